"""Stand-in for `cuda.bindings.runtime`: one virtual card with its own time.

Calls return tuples with the error first. Time is virtual: the host spends some microseconds a call, a stream works on
what it was given, and events remember the stream's time. So a short inference waits for the host's launches, as on a
card.
"""

import bisect
import ctypes
import enum
import os

from device_agents.standins import DEVICES
from device_agents.standins.strict import die, want

_CALL_MS = 0.002  # what a call costs the host
_LAUNCH_MS = 0.004  # and a kernel that is launched by itself
_MEMORY_BYTES = 16 << 30
_NAME = b"Stand-in GPU"
_BUS_ID = b"0000:01:00.0"

cudaStreamNonBlocking = 1
cudaEventDefault = 0
cudaEventBlockingSync = 1

cudaError_t = enum.IntEnum(
    "cudaError_t",
    [
        ("cudaSuccess", 0),
        ("cudaErrorInvalidValue", 1),
        ("cudaErrorMemoryAllocation", 2),
        ("cudaErrorNoDevice", 100),
        ("cudaErrorInvalidDevice", 101),
        ("cudaErrorInvalidResourceHandle", 400),
        ("cudaErrorNotReady", 600),
        ("cudaErrorIllegalState", 401),
        ("cudaErrorStreamCaptureInvalidated", 901),
    ],
)
cudaMemcpyKind = enum.IntEnum("cudaMemcpyKind", [("cudaMemcpyHostToDevice", 1), ("cudaMemcpyDeviceToHost", 2)])
cudaStreamCaptureMode = enum.IntEnum("cudaStreamCaptureMode", [("cudaStreamCaptureModeThreadLocal", 1)])

_OK = cudaError_t.cudaSuccess


class _Device(object):
    """What the card holds; `now_ms` is the host's virtual time, `busy_ms` how long the card has worked."""

    def __init__(self):
        self.now_ms = self.busy_ms = 0.0
        self.blocks = {}  # address to _Block
        self.addresses = []
        self.next_address = 0x7F0000000000
        self.streams, self.next_stream = {}, 0x55000000
        self.works = 0
        self.pending = []  # blocks whose values are not computed yet


class _Block(object):
    def __init__(self, size):
        self.data, self.compute = bytearray(size), None


class _Handle(object):
    """Any of CUDA's opaque handles; int() gives its number."""

    what = "handle"

    def __init__(self, number=0):
        self.number, self.alive = number, True

    def __int__(self):
        return self.number

    def use(self, call):
        """The handle, unless it was destroyed: then the process ends."""
        if not self.alive:
            die("{}: the {} was destroyed".format(call, self.what))
        return self


class cudaStream_t(_Handle):
    what = "stream"

    def __init__(self, number):
        _Handle.__init__(self, number)
        self.free_ms, self.recording = 0.0, None


class cudaEvent_t(_Handle):
    what = "event"
    time_ms = None


class cudaGraph_t(_Handle):
    what = "graph"
    works = ()


class cudaGraphExec_t(_Handle):
    what = "executable graph"
    works = ()


class cudaDeviceProp(object):
    name, major, minor = _NAME, 8, 6


DEVICE = _Device()


def cudaGetErrorString(error):
    return (_OK, error.name.encode())


def cudaGetDeviceCount():
    count = int(os.environ.get(DEVICES, "1"))
    return (_OK, count) if count else (cudaError_t.cudaErrorNoDevice, None)


def cudaSetDevice(device):
    return (_OK if 0 <= want(device, int, "cudaSetDevice") < _count() else cudaError_t.cudaErrorInvalidDevice,)


def cudaGetDeviceProperties(device):
    want(device, int, "cudaGetDeviceProperties")
    return (_OK, cudaDeviceProp()) if _count() else (cudaError_t.cudaErrorNoDevice, None)


def cudaDeviceGetPCIBusId(length, device):
    want(length, int, "cudaDeviceGetPCIBusId")
    want(device, int, "cudaDeviceGetPCIBusId")
    return (_OK, _BUS_ID)


def cudaRuntimeGetVersion():
    return (_OK, 13000)


def cudaDriverGetVersion():
    return (_OK, 13000)


def cudaMalloc(size):
    want(size, int, "cudaMalloc")
    if sum(len(block.data) for block in DEVICE.blocks.values()) + size > _MEMORY_BYTES:
        return (cudaError_t.cudaErrorMemoryAllocation, None)
    address = DEVICE.next_address
    DEVICE.next_address += (size // 512 + 2) * 512
    DEVICE.blocks[address] = _Block(size)
    bisect.insort(DEVICE.addresses, address)
    return (_OK, address)


def cudaFree(devPtr):
    if want(devPtr, int, "cudaFree") not in DEVICE.blocks:
        die("cudaFree: {:#x} was never allocated, or was freed already".format(devPtr))
    del DEVICE.blocks[devPtr]
    DEVICE.addresses.remove(devPtr)
    return (_OK,)


def cudaMemcpyAsync(dst, src, count, kind, stream):
    call = "cudaMemcpyAsync"
    for number in (dst, src, count):
        want(number, int, call)
    want(kind, cudaMemcpyKind, call)
    want(stream, cudaStream_t, call).use(call)
    if stream.recording is not None:
        return (cudaError_t.cudaErrorStreamCaptureInvalidated,)
    to_device = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
    block, offset = _block(dst if to_device else src, count, call)
    if to_device:
        for pending in DEVICE.pending:
            _computed(pending)
        DEVICE.pending = []
        block.data[offset : offset + count] = ctypes.string_at(src, count)
    else:
        ctypes.memmove(dst, bytes(_computed(block).data[offset : offset + count]), count)
    _work(stream, 0.005 + count / 12e6)  # 12 GB/s
    return (_OK,)


def cudaStreamCreateWithFlags(flags):
    want(flags, int, "cudaStreamCreateWithFlags")
    DEVICE.next_stream += 16
    stream = DEVICE.streams[DEVICE.next_stream] = cudaStream_t(DEVICE.next_stream)
    return (_OK, stream)


def cudaStreamDestroy(stream):
    want(stream, cudaStream_t, "cudaStreamDestroy").use("cudaStreamDestroy").alive = False
    del DEVICE.streams[int(stream)]
    return (_OK,)


def cudaStreamSynchronize(stream):
    want(stream, cudaStream_t, "cudaStreamSynchronize").use("cudaStreamSynchronize")
    if stream.recording is not None:
        return (cudaError_t.cudaErrorStreamCaptureInvalidated,)
    DEVICE.now_ms = max(DEVICE.now_ms, stream.free_ms)
    return (_OK,)


def cudaEventCreateWithFlags(flags):
    want(flags, int, "cudaEventCreateWithFlags")
    return (_OK, cudaEvent_t())


def cudaEventDestroy(event):
    want(event, cudaEvent_t, "cudaEventDestroy").use("cudaEventDestroy").alive = False
    return (_OK,)


def cudaEventRecord(event, stream):
    want(event, cudaEvent_t, "cudaEventRecord").use("cudaEventRecord")
    want(stream, cudaStream_t, "cudaEventRecord").use("cudaEventRecord")
    _work(stream, 0.0)
    event.time_ms = stream.free_ms
    return (_OK,)


def cudaEventQuery(event):
    want(event, cudaEvent_t, "cudaEventQuery").use("cudaEventQuery")
    if event.time_ms is not None and event.time_ms > DEVICE.now_ms:
        DEVICE.now_ms = event.time_ms  # time passes with the question: the next one finds it ready
        return (cudaError_t.cudaErrorNotReady,)
    return (_OK,)


def cudaEventSynchronize(event):
    want(event, cudaEvent_t, "cudaEventSynchronize").use("cudaEventSynchronize")
    DEVICE.now_ms = max(DEVICE.now_ms, event.time_ms or 0.0)
    return (_OK,)


def cudaEventElapsedTime(start, end):
    for event in (start, end):
        want(event, cudaEvent_t, "cudaEventElapsedTime").use("cudaEventElapsedTime")
        if event.time_ms is None:
            return (cudaError_t.cudaErrorInvalidResourceHandle, None)
        if event.time_ms > DEVICE.now_ms:
            return (cudaError_t.cudaErrorNotReady, None)
    return (_OK, end.time_ms - start.time_ms)


def cudaStreamBeginCapture(stream, mode):
    want(stream, cudaStream_t, "cudaStreamBeginCapture").use("cudaStreamBeginCapture")
    want(mode, cudaStreamCaptureMode, "cudaStreamBeginCapture")
    if stream.recording is not None:
        return (cudaError_t.cudaErrorIllegalState,)
    stream.recording = []
    return (_OK,)


def cudaStreamEndCapture(stream):
    want(stream, cudaStream_t, "cudaStreamEndCapture").use("cudaStreamEndCapture")
    works, stream.recording = stream.recording, None
    if works is None:
        return (cudaError_t.cudaErrorIllegalState, None)
    graph = cudaGraph_t()
    graph.works = tuple(works)
    return (_OK, graph)


def cudaGraphInstantiate(graph, flags):
    want(graph, cudaGraph_t, "cudaGraphInstantiate").use("cudaGraphInstantiate")
    want(flags, int, "cudaGraphInstantiate")
    made = cudaGraphExec_t()
    made.works = graph.works
    return (_OK, made)


def cudaGraphLaunch(graphExec, stream):
    want(graphExec, cudaGraphExec_t, "cudaGraphLaunch").use("cudaGraphLaunch")
    want(stream, cudaStream_t, "cudaGraphLaunch").use("cudaGraphLaunch")
    DEVICE.now_ms += _CALL_MS
    for work in graphExec.works:
        work(stream, 0.0)
    return (_OK,)


def cudaGraphDestroy(graph):
    want(graph, cudaGraph_t, "cudaGraphDestroy").use("cudaGraphDestroy").alive = False
    return (_OK,)


def cudaGraphExecDestroy(graphExec):
    want(graphExec, cudaGraphExec_t, "cudaGraphExecDestroy").use("cudaGraphExecDestroy").alive = False
    return (_OK,)


def _count():
    return cudaGetDeviceCount()[1] or 0


def _block(address, count, call):
    """The block that holds `count` bytes from an address, and where in it; outside of one the process ends."""
    place = bisect.bisect_right(DEVICE.addresses, address) - 1
    base = DEVICE.addresses[place] if place >= 0 else 0
    block = DEVICE.blocks.get(base)
    if block is None or address + count > base + len(block.data):
        die("{}: an illegal memory access at {:#x}".format(call, address))
    return block, address - base


def _computed(block):
    if block.compute is not None:
        compute, block.compute = block.compute, None
        compute()
    return block


def _work(stream, spent_ms):
    DEVICE.now_ms += _CALL_MS
    stream.free_ms = max(stream.free_ms, DEVICE.now_ms) + spent_ms
    DEVICE.busy_ms += spent_ms


def _use_stream(handle, call):
    """For the stand-in of TensorRT: the living stream of a number."""
    if want(handle, int, call) not in DEVICE.streams:
        die("{}: there is no stream {:#x}, or it was destroyed".format(call, handle))
    return DEVICE.streams[handle]


def _launch(stream, works):
    """For the stand-in of TensorRT: (milliseconds, function or None) put into a stream or its graph."""
    for spent_ms, effect in works:

        def work(stream, call_ms, spent_ms=spent_ms, effect=effect):
            DEVICE.now_ms += call_ms
            DEVICE.works += 1
            taken_ms = spent_ms * (1 + 0.002 * ((DEVICE.works * 7919) % 101 - 50) / 50.0)
            stream.free_ms = max(stream.free_ms, DEVICE.now_ms) + taken_ms
            DEVICE.busy_ms += taken_ms
            if effect is not None:
                effect()

        if stream.recording is not None:
            stream.recording.append(work)
        else:
            work(stream, _LAUNCH_MS)
