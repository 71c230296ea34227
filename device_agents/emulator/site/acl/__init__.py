"""A stand-in for Ascend's pyACL: no board, no silicon, times from a model. See `device_agents.emulator`."""

import os
import sys
import types

_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
try:
    import device_agents
except ImportError:
    sys.path.append(os.path.dirname(_FOLDER))
    import device_agents
# The agent that a board gets has no emulator in it: then it is found where this file is.
if _FOLDER not in device_agents.__path__:
    device_agents.__path__.append(_FOLDER)


def _assemble():
    from device_agents.emulator import api, api_execute, api_mdl, api_rt, api_streams, api_util
    from device_agents.emulator.native import Native
    from device_agents.emulator.process import Process

    process = Process()
    native = Native(process.settings.calls)
    here = sys.modules[__name__]
    parts = {"rt": (api_rt, api_streams), "mdl": (api_mdl, api_execute), "util": (api_util,)}
    for name in sorted(parts):
        module = types.ModuleType("acl." + name)
        for part in parts[name]:
            module.__dict__.update(part.functions(process, native))
        sys.modules["acl." + name] = module
        setattr(here, name, module)
    here.__dict__.update(api.functions(process, native))
    here.__dict__["__emulator__"] = {
        "time_factor": process.settings.time_factor,
        "cann": process.settings.cann,
        "faults": bool(process.settings.faults),
        "seed": process.settings.seed,
        "model": os.path.basename(process.settings.model),
    }


_assemble()
