"""An agent with the real protocol and a made-up device: what a model costs is known, so tables can be checked.

Run as a program. FAULT in the environment makes it misbehave: `die:N` kills itself at the N-th measurement of a
process, `die-once:FILE` does so once, `garbage`, `silence`, `foreign` and `refuse:TEXT` are what they say; `refuse`
goes by parts, separated by `|`, of the model's name or of a tensor's.
NODES=no hides its profiler of nodes; ENERGY=yes gives it a meter, ENERGY=still one that never moves.
FASTER=2 halves all of its latencies; SKEW=1 makes 3x3 convolutions twice as slow.
"""

import itertools
import os
import sys
import time

import onnx

from device_agents import agent, runtimes
from device_agents.faults import Fault
from device_agents.timing import ci95

CALL_MS = 0.02
NODE_MS = 0.001
MAC_MS = 2e-7
POOL_MS = 5e-8  # an element
FAULT = os.environ.get("FAULT", "")
PAUSE_S = float(os.environ.get("PAUSE_S", "0"))
FASTER = float(os.environ.get("FASTER", "1"))
ENERGY = os.environ.get("ENERGY", "")
CONV_W, OTHER_W = 20.0, 5.0
SKEW = float(os.environ.get("SKEW", "0"))


def model_ms(data: bytes) -> float:
    """Latency of a model on the made-up device: a call, and each operator alone; pools cost by their input."""
    return (CALL_MS + sum(ms for _, ms in nodes_ms(data))) / FASTER


def nodes_ms(data: bytes) -> list[tuple[onnx.NodeProto, float]]:
    """Each operator that is not folded away, with its latency."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data)).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.value_info, *graph.input, *graph.output]
    }
    return [(node, node_ms(node, sizes)) for node in graph.node if node.op_type != "ConstantOfShape"]


def node_ms(node: onnx.NodeProto, sizes: dict[str, list[int]]) -> float:
    """Latency of one operator."""
    if node.op_type == "GlobalAveragePool":
        return POOL_MS * product(sizes[node.input[0]])
    if node.op_type == "Conv":
        kernel = sizes[node.input[1]]
        slow = 1 + SKEW if kernel[2] == 3 else 1
        return NODE_MS + slow * MAC_MS * product(sizes[node.output[0]]) * product(kernel[1:])
    return NODE_MS


def product(values: list[int]) -> int:
    """Of whole numbers."""
    result = 1
    for value in values:
        result *= value
    return result


def model_mj(data: bytes) -> float:
    """Energy of an inference: convolutions draw more power than the rest."""
    return CALL_MS * OTHER_W + sum(ms * (CONV_W if node.op_type == "Conv" else OTHER_W) for node, ms in nodes_ms(data))


class Runtime:
    """See `device_agents.runtimes`."""

    clock = "thread_cpu"
    card = "a meter" if ENERGY else Fault("energy", "no meter")

    def telemetry(self):
        return {"gpu_energy_mj": 1} if ENERGY else {}

    def describe(self):
        version = "2" if FAULT == "foreign" else "1"
        return {"name": "scripted", "kind": "script", "version": version, "precision": "fp32", "batch": 1, "threads": 1}

    def load(self, data):
        try:
            return Model(data)
        except Exception as error:
            return Fault.of(error, "load")

    def profile(self, data, warm_up, runs, alive):
        time.sleep(PAUSE_S)
        kind, _, value = FAULT.partition(":")
        found = nodes_ms(data)
        if kind == "refuse" and refused([node.output[0] for node, _ in found], value):
            return Fault("run", "no kernel for it")
        nodes = [{"name": node.output[0], "op": node.op_type, "ms": [ms / FASTER] * runs} for node, ms in found]
        total_ms = (CALL_MS + sum(ms for _, ms in found)) / FASTER
        return {"nodes": nodes, "total_ms": [total_ms] * runs}


class Model:
    """Knows what it costs."""

    def __init__(self, data: bytes) -> None:
        self.name = onnx.load_from_string(data).graph.name
        if not self.name:
            raise ValueError("no model")
        self.latency_ms, self.energy_mj = model_ms(data), model_mj(data)
        self.tensors = [node.output[0] for node, _ in nodes_ms(data)]

    def close(self):
        pass


def refused(names, parts):
    """Whether any part is in any of the names."""
    return any(part in name for part in parts.split("|") for name in names)


measurements = itertools.count(1)


def measure(model, rule, clock, alive):
    """Samples of a device without noise."""
    measured = next(measurements)
    time.sleep(PAUSE_S)
    kind, _, value = FAULT.partition(":")
    if kind == "die" and measured == int(value):
        print("about to fail", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    if kind == "die-once" and measured == 30 and not os.path.exists(value):
        open(value, "w").close()
        os.kill(os.getpid(), 9)
    if kind == "silence":
        time.sleep(600)
    if kind == "refuse" and refused([model.name, *model.tensors], value):
        return Fault("run", "no kernel for it")
    samples = [model.latency_ms] * rule.floor
    assert ci95(samples) < rule.target
    return {
        "samples_ms": {"thread_cpu": samples, "wall": samples},
        "loops": 1, "warm_up_runs": 3, "warm": True, "converged": True, "spent_s": 1e-3,
    }  # fmt: skip


def measure_energy(model, card, window_s, alive):
    """Visits differ by up to 1 %."""
    if ENERGY == "still":
        return Fault("energy", "the card's counter did not move in 10.0 s")
    energy_mj = model.energy_mj * (1 + 0.01 * (next(measurements) % 3 - 1))
    return {"energy_mj": energy_mj, "runs": 9, "seconds": window_s, "source": "counter"}


if __name__ == "__main__":
    if FAULT == "garbage":
        print("Welcome to the board!", flush=True)
    if os.environ.get("NODES") == "no":
        del Runtime.profile
    runtimes.create = lambda name, options: Runtime()
    agent.measure = measure
    agent.energy.measure_energy = measure_energy
    agent.main()
