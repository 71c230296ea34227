"""A folder that looks like an installed CANN: `set_env.sh`, `atc`, `npu-smi`, version files, pyACL."""

import os
import platform
import shlex
import sys

from device_agents.emulator import BIN, SITE
from device_agents.emulator.settings import DEFAULT_CANN, PREFIX

_INFO = "package_name=Ascend-cann-toolkit\nversion={0}\ninnerversion=V100\narch={1}\npath={2}\n"


def install(folder, **settings):
    """Make it; returns the path of its `set_env.sh`, to be sourced.

    settings: named as in `settings`, exported by `set_env.sh`. The commands run in this Python, which has onnx.
    """
    folder = os.path.abspath(folder)
    machine = platform.machine()
    home = os.path.join(folder, machine + "-linux")
    commands = os.path.join(folder, "bin")
    for path in (home, commands):
        os.makedirs(path, exist_ok=True)
    cann = str(settings.get("cann", DEFAULT_CANN))
    _write(os.path.join(home, "ascend_toolkit_install.info"), _INFO.format(cann, machine, folder))
    _write(os.path.join(home, "version.cfg"), "version={}\n".format(cann))
    _write(os.path.join(folder, "driver-version.info"), "Version=1.0.13.alpha\n")
    for name in ("atc", "npu-smi"):
        line = 'exec {} {} "$@"'.format(shlex.quote(sys.executable), shlex.quote(os.path.join(BIN, name)))
        path = os.path.join(commands, name)
        _write(path, "#!/bin/sh\n" + line + "\n")
        os.chmod(path, 0o755)
    values = {"ASCEND_TOOLKIT_HOME": folder, "ASCEND_HOME_PATH": folder, "ASCEND_OPP_PATH": folder + "/opp"}
    values.update((PREFIX + name.upper(), str(value)) for name, value in settings.items())
    lines = ["export {}={}".format(name, shlex.quote(values[name])) for name in sorted(values)]
    lines.append("export PATH={}${{PATH:+:$PATH}}".format(shlex.quote(commands)))
    lines.append("export PYTHONPATH={}${{PYTHONPATH:+:$PYTHONPATH}}".format(shlex.quote(SITE)))
    script = os.path.join(folder, "set_env.sh")
    _write(script, "\n".join(lines) + "\n")
    return script


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)
