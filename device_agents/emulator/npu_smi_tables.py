"""The stand-in for `npu-smi`: its three tables and its list of a device's readings. Reference 3.2.

The setting NPU_SMI chooses what it can: 21, 22 or 23 (the table of that driver), common (the list too), or none.
"""

import os
import sys

from device_agents.emulator.settings import PREFIX

_RULE = "+" + "-" * 22 + "+" + "-" * 15 + "+" + "-" * 39 + "+"
_COMMON = """\
        NPU ID                         : 0
        Chip Count                     : 1

        Chip ID                        : 0
        Memory Usage Rate(%)           : 65
        Aicore Usage Rate(%)           : 12
        Aicore Freq(MHZ)               : 680
        Aicore curFreq(MHZ)            : 650
        Temperature(C)                 : 51
        Rated Power Dissipation(W)     : 12.8
"""


def table(version):
    """What `npu-smi info` prints with the driver of a version: 21, 22 or 23."""
    wide = version >= 22
    first = "0       310            | OK            | 12.8         51" + ("                0    / 187" if wide else "")
    second = "0       0              | NA            | 0            " + ("5745 / 7757" if wide else "5324 / 8192")
    head = "NPU     Name           | Health        | Power(W)     Temp(C)"
    head += "           Hugepages-Usage(page)" if wide else ""
    chip = "Chip    Device         | Bus-Id        | AICore(%)    "
    chip += "Memory-Usage(MB)"
    title = "| npu-smi {0}.0.3                        Version: {0}.0.3".format(version)
    lines = [_RULE, title, _RULE, "| " + head + " |", "| " + chip + " |", _RULE.replace("-", "=")]
    lines += ["| " + first + " |", "| " + second + " |", _RULE]
    if version >= 23:
        lines += [
            "| NPU     Chip           | Process id    | Process name  | Process memory(MB) |",
            _RULE.replace("-", "="),
        ]
        lines += ["| No running processes found in NPU 0 |", _RULE]
    return "\n".join(lines) + "\n"


def main(arguments):
    """Print what was asked for; returns the exit status."""
    can = os.environ.get(PREFIX + "NPU_SMI") or "common"
    if can == "none":
        sys.stderr.write("dcmi module initialize failed. ret is -8005\n")
        return 255
    if arguments[:3] == ["info", "-t", "common"]:
        if can != "common":
            sys.stderr.write("Error parameter of -t\n")
            return 1
        sys.stdout.write(_COMMON)
        return 0
    if arguments == ["info"]:
        sys.stdout.write(table(22 if can == "common" else int(can)))
        return 0
    sys.stderr.write("Invalid parameter\n")
    return 1
