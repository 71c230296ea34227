"""CUDA through `cuda.bindings.runtime`, every call checked: streams, events, memory, graphs.

The bindings return a tuple with the error first and never raise for what the device says; here each error becomes a
CudaError that names the call.
"""

from device_agents import standins
from device_agents.faults import Fault

_REMEDY = "pip install cuda-bindings on the device"
_NO_DRIVER = "check the driver with nvidia-smi"


class CudaError(RuntimeError):
    """A CUDA call that failed."""


class CudaMemoryError(MemoryError):
    """The device has not enough memory."""


def open_device(index):
    """A Cuda on device number `index`, or a Fault that says what is missing: package, driver or device.

    This must succeed before anything of TensorRT is created: without a device, its deserialising ends the process.
    """
    try:
        runtime = standins.import_module("cuda.bindings.runtime")
    except ImportError as error:
        return Fault("runtime", "the package cuda-bindings is missing ({}): {}".format(error, _REMEDY))
    try:
        cuda = Cuda(runtime)
        count = cuda.call("cudaGetDeviceCount")
        if not isinstance(index, int) or not 0 <= index < count:
            return Fault("runtime", "there is no CUDA device {!r}: this host has {}".format(index, count))
        cuda.call("cudaSetDevice", index)
        cuda.index = index
    except (CudaError, MemoryError, RuntimeError) as error:  # RuntimeError: the driver's library cannot be opened
        return Fault("runtime", "no CUDA device can be used ({}): {}".format(error, _NO_DRIVER))
    return cuda


class Cuda(object):
    """The calls that are needed; the module stays reachable as `runtime`."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.index = 0
        self._success = runtime.cudaError_t.cudaSuccess

    def call(self, name, *arguments):
        """One call: its result (None, one value or a tuple), or a CudaError."""
        answer = getattr(self.runtime, name)(*arguments)
        self._check(name, answer[0])
        results = answer[1:]
        return (results[0] if len(results) == 1 else results) if results else None

    def describe(self):
        """Versions, and the device's name and capability."""
        properties = self.call("cudaGetDeviceProperties", self.index)
        name = properties.name
        return {
            "gpu": name.decode() if isinstance(name, bytes) else str(name),
            "compute_capability": "{}.{}".format(properties.major, properties.minor),
            "cuda_runtime": _version(self.call("cudaRuntimeGetVersion")),
            "cuda_driver": _version(self.call("cudaDriverGetVersion")),
        }

    def bus_id(self):
        """The device's place on the PCI bus, by which NVML finds the same one."""
        found = self.call("cudaDeviceGetPCIBusId", 32, self.index)
        return (found.decode() if isinstance(found, bytes) else str(found)).strip("\0 ")

    def stream(self):
        """A stream that does not wait for the default one."""
        return self.call("cudaStreamCreateWithFlags", self.runtime.cudaStreamNonBlocking)

    def event(self, spin):
        """An event that keeps the time; without `spin`, whoever waits for it sleeps."""
        flags = self.runtime.cudaEventDefault if spin else self.runtime.cudaEventBlockingSync
        return self.call("cudaEventCreateWithFlags", flags)

    def wait(self, event, spin):
        """Return when the device has passed the event."""
        if not spin:
            self.call("cudaEventSynchronize", event)
            return
        query, not_ready = self.runtime.cudaEventQuery, self.runtime.cudaError_t.cudaErrorNotReady
        error = query(event)[0]
        while error == not_ready:
            error = query(event)[0]
        self._check("cudaEventQuery", error)

    def upload(self, address, host, stream):
        """Copy a host buffer (ctypes array) to the device, and wait for it."""
        self._copy(address, _address(host), len(host), self.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def download(self, host, address, stream):
        """Copy from the device into a host buffer (ctypes array), and wait for it."""
        self._copy(_address(host), address, len(host), self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def capture(self, stream, enqueue):
        """The executable graph of what `enqueue()` puts into the stream; the stream never stays in capture mode."""
        mode = self.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            enqueue()
        except Exception:
            error, graph = self.runtime.cudaStreamEndCapture(stream)  # failed already: that it fails is no news
            if error == self._success:
                self.call("cudaGraphDestroy", graph)
            raise
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)

    def _copy(self, target, source, size_bytes, kind, stream):
        self.call("cudaMemcpyAsync", target, source, size_bytes, kind, stream)
        self.call("cudaStreamSynchronize", stream)

    def _check(self, name, error):
        if error == self._success:
            return
        words = self.runtime.cudaGetErrorString(error)[1]
        message = "{}: {}, {}".format(name, error.name, words.decode() if isinstance(words, bytes) else words)
        if error == self.runtime.cudaError_t.cudaErrorMemoryAllocation:
            raise CudaMemoryError(message)
        raise CudaError(message)


def _version(number):
    return "{}.{}".format(number // 1000, number % 1000 // 10)


def _address(host):
    import ctypes

    return ctypes.addressof(host)
