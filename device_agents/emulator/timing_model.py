"""How long an Ascend 310 would take: from the operators of an OM to milliseconds. A model, not a measurement.

Operators are fused into kernels as the converter does (conv with ReLU, element-wise adds into the conv before them).
A kernel takes the longest of its cube, vector and memory time, and what it costs to start one. Channels are padded to
blocks of 16, so 17 channels cost what 32 do. Inputs and outputs of the graph are converted in layout and type, which
is why a unit alone takes longer than inside a network. Parameters, with units and sources: `ascend310.json`.
"""

import json

_FP16_BYTES, _FP32_BYTES = 2, 4
_ABSORBED = ("Relu", "Clip", "LeakyRelu", "BatchNormalization")
_ELEMENTWISE = ("Add", "Mul", "Sub", "Relu", "Sigmoid", "Clip", "LeakyRelu", "BatchNormalization")


class Parameters(object):
    """The values of a file like `ascend310.json`, as attributes."""

    def __init__(self, path):
        with open(path, "r") as file:
            for name, entry in json.load(file).items():
                setattr(self, name, entry["value"])


class Kernel(object):
    """One or more operators that run as one: the first, and those fused into it."""

    __slots__ = ("absorbed", "first", "inputs", "output")

    def __init__(self, operator):
        self.first = operator
        self.absorbed = []
        self.inputs = list(operator["inputs"])
        self.output = operator["outputs"][0]

    def absorb(self, operator):
        """Fuse one that consumes the output."""
        self.absorbed.append(operator)
        self.inputs.extend(name for name in operator["inputs"] if name != self.output)
        self.output = operator["outputs"][0]


def kernels(operators, results=()):
    """The operators fused; `results` are tensors that must be written, being outputs of the graph."""
    consumers: dict = {}
    for operator in operators:
        for name in operator["inputs"]:
            consumers.setdefault(name, []).append(operator)
    produced, done, found = set(), set(), []
    made_somewhere = {name for operator in operators for name in operator["outputs"]}
    for operator in operators:
        if id(operator) in done:
            continue
        kernel = Kernel(operator)
        while True:
            follower = consumers.get(kernel.output, [])
            if len(follower) != 1 or kernel.output in results:
                break
            others = [name for name in follower[0]["inputs"] if name != kernel.output]
            if not _fuses(kernel, follower[0]) or any(o in made_somewhere and o not in produced for o in others):
                break
            kernel.absorb(follower[0])
            done.add(id(follower[0]))
        produced.add(kernel.output)
        found.append(kernel)
    return found


def _fuses(kernel, operator):
    if kernel.first["op"] not in ("Conv",) + _ELEMENTWISE:
        return False
    if operator["op"] in _ABSORBED:
        return True
    shapes = [operator["shapes"].get(name) for name in operator["inputs"] + operator["outputs"]]
    return operator["op"] == "Add" and all(shape == shapes[0] for shape in shapes)  # none is broadcast


class TimingModel(object):
    """Milliseconds by `parameters`; no state, no noise."""

    def __init__(self, parameters):
        self._p = parameters
        edge = parameters.cube_edge
        self._macs_per_ms = parameters.cores * edge**3 * parameters.clock_ghz * 1e6
        self._vectors_per_ms = parameters.cores * parameters.clock_ghz * 1e6
        self._bytes_per_ms = parameters.ddr_gb_s * 1e6 * parameters.ddr_efficiency
        self._boundary_bytes_per_ms = parameters.ddr_gb_s * 1e6 * parameters.boundary_efficiency

    def device_ms(self, definition):
        """One run of a model, warm and undisturbed, as the device's events see it."""
        results = {tensor["name"] for tensor in definition["outputs"]}
        fused = kernels(definition["operators"], results)
        total_ms = 1e-3 * self._p.execute_device_us
        before = None
        reads: dict = {}
        for kernel in fused:
            for name in kernel.inputs:
                reads[name] = reads.get(name, 0) + 1
        for kernel in fused:
            free: set = {before.output} if before is not None and self._stays(before) else set()
            writes = not (self._stays(kernel) and reads.get(kernel.output, 0) == 1 and kernel.output not in results)
            total_ms += self.kernel_ms(kernel, free, writes)
            before = kernel
        for tensor in definition["inputs"] + definition["outputs"]:
            total_ms += self._boundary_ms(tensor["shape"])
        return total_ms

    def kernel_ms(self, kernel, free=(), writes=True):
        """One kernel; tensors in `free` are on the chip already, and the output stays there unless it `writes`."""
        traffic = sum(self._bytes(kernel, name) for name in kernel.inputs if name not in free)
        traffic += self._bytes(kernel, kernel.output) if writes else 0
        traffic += sum(_FP16_BYTES * self._padded_weights(kernel.first, name) for name in kernel.first["weights"])
        vector_ms = self._vector_ms(kernel)
        longest_ms = max(traffic / self._bytes_per_ms, vector_ms)
        if kernel.first["op"] == "Conv":
            longest_ms = max(longest_ms, self._conv_ms(kernel.first))
        return longest_ms + 1e-3 * self._p.operator_overhead_us

    def compile_s(self, definition):
        """Seconds that the converter would take."""
        return self._p.atc_s + self._p.atc_operator_s * len(kernels(definition["operators"]))

    def _conv_ms(self, operator):
        source, result = operator["shapes"][operator["inputs"][0]], operator["shapes"][operator["outputs"][0]]
        kernel_height, kernel_width = (operator["kernel"] + [1, 1])[:2]
        pixels = self._padded(_product(result[2:]))
        channels = self._padded(result[1])
        depth = self._padded(source[1] // operator["group"]) * kernel_height * kernel_width
        p = self._p
        efficiency = p.conv_efficiency.get("{}x{}".format(kernel_height, kernel_width), p.conv_efficiency["other"])
        if max(operator["stride"] or [1]) > 1:
            efficiency *= p.strided_efficiency
        efficiency *= channels / float(channels + p.half_speed_channels)
        efficiency *= depth / float(depth + p.half_speed_depth)
        efficiency *= pixels / float(pixels + p.half_speed_pixels)
        return pixels * channels * depth / (self._macs_per_ms * efficiency)

    def _vector_ms(self, kernel):
        total = 0.0
        for operator in [kernel.first] + kernel.absorbed:
            name = operator["outputs"][0]
            if operator["op"] == "GlobalAveragePool":
                name = operator["inputs"][0]
            cycles = self._p.vector_cycles
            per_vector = cycles.get(operator["mode"] if operator["op"] == "Resize" else operator["op"], cycles["other"])
            if operator["op"] == "Conv":
                per_vector = cycles["Relu"]  # the accumulators are converted on their way out
            total += per_vector * self._padded_size(operator["shapes"][name]) / self._p.vector_lanes
        return total / self._vectors_per_ms

    def _boundary_ms(self, shape):
        traffic = _FP32_BYTES * _product(shape) + _FP16_BYTES * self._padded_size(shape)
        return traffic / self._boundary_bytes_per_ms + 1e-3 * self._p.operator_overhead_us

    def _stays(self, kernel):
        return self._bytes(kernel, kernel.output) <= 1e6 * self._p.on_chip_mb

    def _bytes(self, kernel, name):
        for operator in [kernel.first] + kernel.absorbed:
            if name in operator["shapes"]:
                return _FP16_BYTES * self._padded_size(operator["shapes"][name])
        return 0  # a scalar, or a shape that nobody needs

    def _padded(self, count):
        block = self._p.channel_block
        return -(-count // block) * block

    def _padded_size(self, shape):
        if len(shape) < 2:
            return _product(shape)
        return shape[0] * self._padded(shape[1]) * _product(shape[2:])

    def _padded_weights(self, operator, name):
        shape = operator["shapes"][name]
        if len(shape) < 2:
            return _product(shape)
        return self._padded(shape[0]) * self._padded(shape[1]) * _product(shape[2:])


def _product(sizes):
    total = 1
    for size in sizes:
        total *= size
    return total
