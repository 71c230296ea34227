"""What the emulated board is like, from environment variables `ASCEND_EMULATOR_…`.

CANN           version of CANN on it, default 6.0.0.alpha003, the last one for the Atlas 200 DK
SOC            its chip, default Ascend310
MEMORY_MB      its memory that models may use, default 8192
DEVICES        how many devices it has, default 1
TIME_FACTOR    real seconds per modelled second of the device, default 1; 0 waits for nothing: only the events tell then
ATC_TIME_FACTOR real seconds per modelled second of a conversion, default 0: no longer than the stand-in needs
SEED           of the noise, default 0
MODEL          a file of parameters in place of ascend310.json
FAULTS         a file of faults to come, see `script`
STATE          a folder for what is counted over all processes
CALLS          a file to which every call of `acl` is appended, one a line
"""

import os

PREFIX = "ASCEND_EMULATOR_"
DEFAULT_CANN = "6.0.0.alpha003"


class Settings(object):
    """See the module; `environ` is where they are read from. Raises ValueError for values that make no sense."""

    __slots__ = (
        "atc_time_factor",
        "calls",
        "cann",
        "devices",
        "faults",
        "memory_mb",
        "model",
        "seed",
        "soc",
        "state",
        "time_factor",
    )

    def __init__(self, environ=None):
        environ = os.environ if environ is None else environ

        def value(name, default):
            return environ.get(PREFIX + name) or default

        self.cann = value("CANN", DEFAULT_CANN)
        self.soc = value("SOC", "Ascend310")
        self.memory_mb = int(value("MEMORY_MB", "8192"))
        self.devices = int(value("DEVICES", "1"))
        self.time_factor = float(value("TIME_FACTOR", "1"))
        self.atc_time_factor = float(value("ATC_TIME_FACTOR", "0"))
        self.seed = value("SEED", "0")
        self.model = value("MODEL", os.path.join(os.path.dirname(os.path.abspath(__file__)), "ascend310.json"))
        self.faults = value("FAULTS", "")
        self.state = value("STATE", "")
        self.calls = value("CALLS", "")
        if not (self.time_factor >= 0 and self.atc_time_factor >= 0 and self.memory_mb > 0 and self.devices >= 0):
            raise ValueError("{}* has a negative value".format(PREFIX))

    @property
    def cann_major(self):
        """6 of 6.0.0.alpha003."""
        return int(self.cann.split(".")[0])
