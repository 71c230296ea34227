"""One runtime a file, imported when it is asked for.

A runtime is a module with `create(options)`, which returns a runtime or a Fault. A runtime has
- `describe()`: JSON data on what it is: name, kind of device, version, precision, batch, threads, …
- `clock`: the name of the clock, one of `timing.CLOCKS`, that is right for it
- `load(data)`: a model from its bytes, or a Fault
- `close()`, where it holds what the process must give back when it ends; returns a Fault or None
- `say_alive(alive)`, where loading may take long: `alive` is to be called meanwhile
- `card`, a `nvml.Card` or a Fault, and `telemetry()`, where there is a graphics card
- `profile(data, warm_up, runs, alive)`, where the runtime can time each node: see `profiling`; or a Fault
and a model has
- `run()`: one inference on inputs that lie ready; returns the milliseconds by the device's own events where there are
  such, else None; raises what the runtime raises
- `run_by_events()`, where the device's own time needs a run apart: one more inference; returns milliseconds
- `infer(inputs)`: outputs by name for inputs by name, both flat lists of floats; for checks, not for timing
- `close()`: gives its memory back.
`conformance.RuntimeConformance` says the same as tests.
"""

import importlib

from device_agents.faults import Fault

NAMES = ("acl", "onnxruntime", "onnxruntime-cuda", "tensorrt")


def create(name, options):
    """The runtime called `name`, or a Fault that says why it cannot be had."""
    if name not in NAMES:
        return Fault("runtime", "unknown runtime {!r}: this agent has {}".format(name, ", ".join(NAMES)))
    try:
        module = importlib.import_module("device_agents.runtimes.{}_runtime".format(name.replace("-", "_")))
        return module.create(options)
    except Exception as error:
        return Fault.of(error, "runtime")
