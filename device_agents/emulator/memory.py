"""The emulated board's memory: addresses that exist nowhere else, so that touching them by other means ends badly.

Blocks have no bytes until somebody writes to them. Host memory is that of this process, and a host pointer counts only
where the system has mapped it.
"""

import collections
import ctypes
import sys

ALIGNMENT_BYTES = 64
_FIRST_ADDRESS = 0x120000000000  # below what the system maps, so never a host pointer
_OWN_REFERENCES = 2  # to a lent object: the memory's own, and getrefcount's argument
_GAP_BYTES = 4096  # between blocks: a pointer past the end of one is not inside another


class Block(object):
    """Memory got by malloc. `pending` is a function that has still to fill it, run when somebody looks."""

    __slots__ = ("address", "data", "dependents", "pending", "size")

    def __init__(self, address, size):
        self.address, self.size = address, size
        self.data = None
        self.pending = None
        self.dependents = []  # blocks whose pending contents are to be computed from this one's present ones

    def settle(self):
        """Let what is pending be computed."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending()

    def read(self, offset, count):
        """Bytes of the block; it starts with zeros, where the real one starts with anything."""
        self.settle()
        return bytes(count) if self.data is None else bytes(self.data[offset : offset + count])

    def release(self):
        """The contents are about to change: let what depends on them be computed."""
        dependents, self.dependents = self.dependents, []
        for block in dependents:
            block.settle()

    def write(self, offset, data):
        """Put bytes in."""
        self.release()
        if len(data) < self.size:
            self.settle()
        self.pending = None
        if self.data is None:
            self.data = bytearray(self.size)
        self.data[offset : offset + len(data)] = data


class Memory(object):
    """Everything that pointers can point to. `crash` ends the process where the real one would be corrupted."""

    def __init__(self, capacity_bytes, crash):
        self.capacity_bytes, self._crash = capacity_bytes, crash
        self.used_bytes = 0
        self.blocks = {}
        self.hosts = {}
        self._freed = set()  # addresses of blocks
        self._quarantine: collections.deque = collections.deque(
            maxlen=32
        )  # host memory freed of late: not used again so soon
        self._objects = {}
        self._next = _FIRST_ADDRESS

    def take(self, size):
        """Reserve memory that has no address, as that of models; whether there was enough."""
        if self.used_bytes + size > self.capacity_bytes:
            return False
        self.used_bytes += size
        return True

    def give(self, size):
        """Undo `take`."""
        self.used_bytes -= size

    def malloc(self, size):
        """Address of a new block, or None for want of memory."""
        taken = _rounded(size)
        if not self.take(taken):
            return None
        address = self._next
        self.blocks[address] = Block(address, size)
        self._next += -(-(taken + _GAP_BYTES) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return address

    def free(self, address):
        """Give a block back."""
        if address not in self.blocks:
            what = "double free of" if address in self._freed else "free of the foreign pointer"
            self._crash("{} 0x{:x}".format(what, address))
        block = self.blocks.pop(address)
        block.release()
        self.give(_rounded(block.size))
        self._freed.add(address)

    def malloc_host(self, size):
        """Address of new host memory."""
        buffer = ctypes.create_string_buffer(size)
        address = ctypes.addressof(buffer)
        self.hosts[address] = buffer
        return address

    def free_host(self, address):
        """Give host memory back."""
        if address not in self.hosts:
            what = "double free of" if self._quarantined(address) else "free of the foreign pointer"
            self._crash("{} 0x{:x} (host)".format(what, address))
        self._quarantine.append((address, self.hosts.pop(address)))

    def lend(self, thing, address, size):
        """Remember that `address` is that of a Python object, which the client must keep alive itself."""
        for other, entry in list(self._objects.items()):
            if other != address and sys.getrefcount(entry[0]) <= _OWN_REFERENCES:
                del self._objects[other]  # the client dropped it, as it may
        self._objects[address] = (thing, size)
        return address

    def block_at(self, address, count, doing):
        """(block, offset) of device memory, or (None, 0) for an address of the host."""
        if address >= _FIRST_ADDRESS:
            for start, block in self.blocks.items():
                if start <= address < start + max(block.size, 1):
                    if address - start + count > block.size:
                        text = "{} reaches {} bytes past the end of 0x{:x}"
                        self._crash(text.format(doing, address - start + count - block.size, start))
                    return block, address - start
            if address in self._freed:
                self._crash("{} at 0x{:x}, which was freed".format(doing, address))
            if address < self._next:
                self._crash("{} at 0x{:x}, which is no block's".format(doing, address))
        return None, 0

    def read(self, address, count, doing):
        """Bytes at an address of either kind."""
        block, offset = self.block_at(address, count, doing)
        if block is not None:
            return block.read(offset, count)
        self._check_host(address, count, doing)
        return ctypes.string_at(address, count)

    def write(self, address, data, doing):
        """Put bytes at an address of either kind."""
        block, offset = self.block_at(address, len(data), doing)
        if block is not None:
            block.write(offset, data)
            return
        self._check_host(address, len(data), doing)
        ctypes.memmove(address, data, len(data))

    def _check_host(self, address, count, doing):
        if address in self._objects:
            if sys.getrefcount(self._objects[address][0]) <= _OWN_REFERENCES:
                self._crash("{} at 0x{:x}: the Python object there is no longer kept alive".format(doing, address))
            if count > self._objects[address][1]:
                self._crash("{} at 0x{:x} reaches past the end of the Python object".format(doing, address))
        elif address in self.hosts:
            if count > ctypes.sizeof(self.hosts[address]):
                self._crash("{} at 0x{:x} reaches past the end of host memory".format(doing, address))
        elif self._quarantined(address) or not _mapped(address, count):
            self._crash("{} at 0x{:x}, where this process has no memory".format(doing, address))

    def _quarantined(self, address):
        return any(address == freed for freed, _ in self._quarantine)


def _rounded(size):
    return -(-size // 32) * 32 + 32


def _mapped(address, count):
    """Whether the system has mapped all of it."""
    try:
        with open("/proc/self/maps", "r") as file:
            lines = file.readlines()
    except OSError:
        return True  # this system does not tell
    for line in lines:
        span, rights = line.split()[:2]
        start, end = (int(word, 16) for word in span.split("-"))
        if start <= address < end and rights.startswith("r"):
            if address + count <= end:
                return True
            count -= end - address
            address = end
    return False
