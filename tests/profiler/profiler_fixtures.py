"""What the profiler's tests share: a small space and the scripted agent."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from mosegnet.space import Space, load

AGENT = Path(__file__).parent / "scripted_agent.py"
COMMAND = (sys.executable, str(AGENT))
RUN = (  # the command `profiler` with the scripted agent on its device
    sys.executable,
    "-c",
    f"import profiler.link as link; link.AGENT_COMMAND = {COMMAND!r}; from profiler.cli import main; main()",
)


def small_space() -> Space:
    """Two input scales of a few pixels: everything of a real space, and cheap."""
    return load({"preset": "tiny", "name": "small", "scales": [[32, 32], [32, 64]]})


def hear_ctrl_c() -> None:
    """In a program under test before it begins: a shell has what it starts in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
