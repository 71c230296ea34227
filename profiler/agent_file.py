"""The agent as one file that a board's Python runs: the package `device_agents` zipped, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path

import device_agents

_MAIN = b"from device_agents.agent import main\n\nmain()\n"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_LEFT_OUT = ("emulator", "standins", "__pycache__")  # what stands in for a board never goes to one


@lru_cache(maxsize=1)
def agent_file() -> bytes:
    """The bytes of the zipapp."""
    package = Path(device_agents.__file__).parent
    files = {"__main__.py": _MAIN}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        if not set(parts) & set(_LEFT_OUT):
            files["/".join(("device_agents", *parts))] = path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), data)
    return buffer.getvalue()


def agent_sha256() -> str:
    """What the board must find in the file before it is run."""
    return hashlib.sha256(agent_file()).hexdigest()
