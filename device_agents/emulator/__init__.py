"""A board that is not there: stand-ins for `acl`, `atc` and `npu-smi`, stricter than the real ones.

The real agent and the real converter calls run on them unchanged. `acl` ends the process loudly where the real library
would corrupt memory, takes as long as a model of the Ascend 310 says (`timing_model`, parameters in `ascend310.json`),
and fails on request (`script`). Everything made on it says so: `acl.__emulator__` is what a client probes.

    environment = dict(os.environ, **emulator.environment(time_factor=0.1))
    subprocess.Popen([sys.executable, "-m", "device_agents"], env=environment, ...)

or, as a folder that looks like an installed CANN, with `set_env.sh`: `python -m device_agents.emulator FOLDER`.
Settings are environment variables, see `settings`. It runs where the near side runs and never ships to a board, but
keeps to what a board's Python knows, so that the agent can be tried on an old interpreter.
"""

import os

from device_agents.emulator.settings import PREFIX

FOLDER = os.path.dirname(os.path.abspath(__file__))
SITE = os.path.join(FOLDER, "site")  # for PYTHONPATH: `import acl` finds the stand-in
BIN = os.path.join(FOLDER, "bin")  # for PATH: atc and npu-smi, to be run by a Python that has onnx


def environment(**settings):
    """Environment variables that put a process on the emulator; `settings` are named as in `settings.Settings`.

    PATH and PYTHONPATH are those of this process, extended.
    """
    found = {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    found["PYTHONPATH"] = _joined(SITE, os.environ.get("PYTHONPATH"))
    found["PATH"] = _joined(BIN, os.environ.get("PATH"))
    return found


def _joined(first, rest):
    return os.pathsep.join([first, rest] if rest else [first])
