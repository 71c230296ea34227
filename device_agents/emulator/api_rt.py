"""The functions of `acl.rt`: devices, contexts, memory; streams and events are in `api_streams`."""

import time

from device_agents.emulator import process as codes
from device_agents.emulator.passing import wait

_DEVICE_SIDE = 0  # run mode of a board whose program runs on the board itself
_KINDS = {0: (False, False), 1: (False, True), 2: (True, False), 3: (True, True), 4: (None, None)}
_D2D, _DEFAULT = 3, 4


def functions(process, native):
    """By name; those that boards of the profile lack are absent."""
    found = _devices(process, native) + _memory(process, native)
    return {function.__name__: function for function in found}


def no_context(process):
    """The code for a call that needs a context where there is none, or None."""
    if not process.initialized or process.finalized:
        return process.fail(codes.UNINITIALIZE)
    if process.context is None or process.device is None:
        return process.fail(codes.CONTEXT_NULL, "EE1001: The argument is invalid. Reason: ctx is NULL!")
    return None


def _devices(process, native):
    entry = native.function

    @entry("acl.rt", "i")
    def set_device(device_id):
        if not process.initialized or process.finalized:
            return process.fail(codes.UNINITIALIZE)
        code = process.fault("set_device")
        if code:
            return code
        if time.time() < float(process.script.recall("down-until") or 0):
            return process.fail(codes.DEV_SETUP_ERROR, "EL003: Failed to open device, retCode=0x57.")
        if not 0 <= device_id < process.settings.devices:
            return process.fail(codes.INVALID_DEVICEID, "EE1001: Invalid device ID.")
        if process.device is None:
            wait(process.passing.real_s(process.parameters.set_device_s))
            process.device = device_id
            process.default_context = codes.Handle("default context", 1, None, None)
        process.context = process.default_context
        return codes.SUCCESS

    @entry("acl.rt", "i")
    def reset_device(device_id):
        if process.device != device_id:
            return process.fail(codes.INVALID_DEVICEID)
        for kind in ("model", "stream", "event", "context"):
            if process.living(kind):
                process.misuse("reset_device while a {} is still there".format(kind))
        process.device = process.context = None
        return codes.SUCCESS

    @entry("acl.rt", "")
    def get_device():
        code = no_context(process)
        return (0, code) if code else (process.device, codes.SUCCESS)

    @entry("acl.rt", "")
    def get_device_count():
        return process.settings.devices, codes.SUCCESS

    @entry("acl.rt", "")
    def get_run_mode():
        return _DEVICE_SIDE, codes.SUCCESS

    @entry("acl.rt", "i")
    def create_context(device_id):
        if process.device is None:
            return 0, process.fail(codes.CONTEXT_NULL)
        if device_id != process.device:
            return 0, process.fail(codes.INVALID_DEVICEID)
        number = process.make("context")
        process.context = process.handles[number]
        return number, codes.SUCCESS

    @entry("acl.rt", "L")
    def destroy_context(context):
        if not context:
            return process.fail(codes.INVALID_PARAM)
        handle = process.get(context, "context")
        for kind in ("model", "stream"):
            if any(other.context is handle for other in process.living(kind)):
                process.misuse("destroy_context while a {} of it is still there".format(kind))
        process.destroy(context, "context")
        if process.context is handle:
            process.context = None
        return codes.SUCCESS

    @entry("acl.rt", "L")
    def set_context(context):
        if not context:
            return process.fail(codes.INVALID_PARAM)
        process.context = process.get(context, "context")
        return codes.SUCCESS

    @entry("acl.rt", "")
    def get_context():
        code = no_context(process)
        return (0, code) if code else (process.context.number, codes.SUCCESS)

    return [
        set_device, reset_device, get_device, get_device_count, get_run_mode, create_context, destroy_context,
        set_context, get_context,
    ]  # fmt: skip


def _memory(process, native):
    entry, memory = native.function, process.memory

    @entry("acl.rt", "Li")
    def malloc(size, policy):
        code = no_context(process) or process.fault("malloc")
        if code:
            return 0, code
        if size <= 0:
            return 0, process.fail(codes.INVALID_PARAM)
        address = memory.malloc(size)
        if address is None:
            return 0, process.fail(codes.MEMORY_ALLOCATION, "EL0004: Failed to allocate memory.")
        return address, codes.SUCCESS

    @entry("acl.rt", "L")
    def malloc_host(size):
        code = no_context(process)
        if code or size <= 0:
            return 0, code or process.fail(codes.INVALID_PARAM)
        return memory.malloc_host(size), codes.SUCCESS

    @entry("acl.rt", "L")
    def free(pointer):
        if not pointer:
            return process.fail(codes.INVALID_PARAM)
        for buffer in process.living("data buffer"):
            if buffer.state["pointer"] == pointer:
                process.misuse("free of 0x{:x} while a data buffer still points there".format(pointer))
        memory.free(pointer)
        return codes.SUCCESS

    @entry("acl.rt", "L")
    def free_host(pointer):
        if not pointer:
            return process.fail(codes.INVALID_PARAM)
        memory.free_host(pointer)
        return codes.SUCCESS

    @entry("acl.rt", "LLLLi")
    def memcpy(target, most, source, count, kind):
        code = no_context(process)
        if code or not count:
            return code or codes.SUCCESS
        if not target or not source or kind not in _KINDS:
            return process.fail(codes.INVALID_PARAM)
        if not most or count > most:
            return process.fail(codes.PARAM_INVALID)
        if target == source:
            return codes.SUCCESS
        if kind not in (_D2D, _DEFAULT):  # host and device are one here; boards were seen to fail so
            return process.fail(codes.SYS_DMA, "EE9999: Inner Error! memcpy kind {} in RC mode".format(kind))
        memory.write(target, memory.read(source, count, "memcpy from"), "memcpy to")
        return codes.SUCCESS

    @entry("acl.rt", "LLiL")
    def memset(pointer, most, value, count):
        code = no_context(process)
        if code or not count:
            return code or codes.SUCCESS
        if not pointer:
            return process.fail(codes.INVALID_PARAM)
        if not most or count > most:
            return process.fail(codes.PARAM_INVALID)
        memory.write(pointer, bytes([value & 0xFF]) * count, "memset")
        return codes.SUCCESS

    @entry("acl.rt", "i")
    def get_mem_info(attribute):
        code = no_context(process)
        if code:
            return 0, 0, code
        return memory.capacity_bytes - memory.used_bytes, memory.capacity_bytes, codes.SUCCESS

    return [malloc, malloc_host, free, free_host, memcpy, memset, get_mem_info]
