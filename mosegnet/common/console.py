"""Results on standard output, progress and warnings on standard error, errors as one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mosegnet.common.errors import UserError

_WIDTH = 160  # of tables in a file or a pipe

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
stdout = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)

_PLAIN_EVERY_S = 10.0


def warn(message: str) -> None:
    """Say something that does not stop the work but that the user must know."""
    stderr.print("warning:", style="yellow", end=" ")
    stderr.print(message, markup=False)


def note(message: str) -> None:
    """Say what is being done, on standard error."""
    stderr.print(message, markup=False)


class Bar:
    """One long step: `advance` as it goes, with a few words on its state."""

    def __init__(self, title: str, total: float, progress: Progress | None) -> None:
        self._title, self._total, self._progress = title, total, progress
        self.done = 0.0
        self._started = self._said = time.monotonic()
        self._task = progress.add_task(title, total=total, state="") if progress else None

    def advance(self, amount: float = 1.0, state: str = "") -> None:
        """Count `amount` more of the total as done; `state` is shown behind the bar."""
        self.done += amount
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self.done, state=state)
        elif time.monotonic() - self._said >= _PLAIN_EVERY_S or self.done >= self._total:
            self._say_plainly(state)

    def _say_plainly(self, state: str) -> None:
        self._said = time.monotonic()
        elapsed_s = self._said - self._started
        left_s = elapsed_s * (self._total - self.done) / self.done if self.done else 0.0
        share = min(100.0, 100.0 * self.done / self._total) if self._total else 100.0
        tail = f" · {state}" if state else ""
        note(f"{self._title}: {share:.0f} % · {elapsed_s:.0f} s, about {max(0.0, left_s):.0f} s left{tail}")


@contextmanager
def progress_bar(title: str, total: float) -> Iterator[Bar]:
    """A progress bar with a time estimate on a terminal, a plain line every ten seconds without one."""
    if not stderr.is_terminal:
        yield Bar(title, total, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=stderr) as progress:
        yield Bar(title, total, progress)


def run_command(command: click.Command, args: list[str] | None = None, **extra: Any) -> None:
    """Run a click command as the process: errors in one line, the exit status of the house.

    Exit status: 0 done · 2 the user can mend it · 3 a device failed · 130 interrupted.
    """
    try:
        status = command.main(args=args, standalone_mode=False, **extra)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        first, *lines = str(error).split("\n") if error.has_lines else [str(error)]
        _say_error(first)
        for line in lines:
            stderr.print(line, markup=False)
        sys.exit(error.exit_status)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        _say_error(error.format_message())
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _say_error("interrupted: everything finished so far is kept, --resume goes on where there is one")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away: no further words
        sys.exit(0)


def _say_error(message: str) -> None:
    stderr.print("error:", style="red", end=" ")
    stderr.print(" ".join(message.split()), markup=False)
