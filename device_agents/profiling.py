"""Time by node inside whole networks, from a runtime's own profiler.

What `profile` of a runtime and the operation of the agent return, as JSON data: `nodes`, a list in the order they run
of `{"name", "op", "ms": [one for each run]}`; `total_ms`, one for each run by the same clock, which also holds what
passes between the nodes; where it can be told, `contention`, each run's wall time over its thread's processor time.
"""

import json

from device_agents.faults import Fault

_SUFFIX = "_kernel_time"


def onnxruntime_nodes(path, warm_up):
    """Read the file that ONNX Runtime's profiler left; the first `warm_up` runs do not count. JSON data or a Fault."""
    with open(path, "r") as file:
        events = json.load(file)
    runs: list = []
    nodes: list = []
    for event in events:
        if event["name"] == "model_run":  # it stands after the nodes of its run
            runs.append((event["dur"], nodes))
            nodes = []
        elif event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            nodes.append((event["name"][: -len(_SUFFIX)], event["args"].get("op_name", ""), event["dur"]))
    runs = runs[warm_up:]
    if not runs or not runs[0][1]:
        return Fault("profile", "the runtime's profiler recorded no node")
    order = [node[:2] for node in runs[0][1]]
    if any([node[:2] for node in nodes] != order for _, nodes in runs):
        return Fault("profile", "the runs do not consist of the same nodes in the same order")
    return {
        "nodes": [
            {"name": name, "op": op, "ms": [nodes[k][2] / 1e3 for _, nodes in runs]}
            for k, (name, op) in enumerate(order)
        ],
        "total_ms": [duration / 1e3 for duration, _ in runs],
    }


def strays(path, provider, harmless):
    """Nodes of an ONNX Runtime profile that ran on another provider than wanted, a line each; without doubles.

    harmless: operators that may run anywhere.
    """
    with open(path, "r") as file:
        events = json.load(file)
    found: dict = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            where, op = event["args"].get("provider", "an unnamed provider"), event["args"].get("op_name", "")
            if where != provider and op not in harmless:
                found["{} ({}) ran on {}".format(event["name"][: -len(_SUFFIX)], op, where)] = None
    return list(found)


def convolution_types(path):
    """The types of numbers that an ONNX Runtime profile's convolutions took in, such as `float` and `float16`."""
    with open(path, "r") as file:
        events = json.load(file)
    found: set = set()
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and "Conv" in arguments.get("op_name", ""):
            found.update(kind for kind in (arguments.get("input_type_shape") or [{}])[0])
    return found
