"""`search pick`: which network of a finished run's front to take, by a preference in words."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mosegnet.common.console import note, stdout

_PICKED = "picked: "


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("choices", metavar="CHOICE…", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="print one JSON line a choice")
def pick(folder: Path, choices: tuple[str, ...], as_json: bool) -> None:
    """Pick networks of a run's front, print them, and mark them in its report in the place of earlier picks.

    A CHOICE is `knee`, `trade-off` or `best NAME`, of those that meet the conditions before a colon. What `search run`
    takes as an objective has a name here. Networks that the table cannot tell apart in latency count as equally fast:
    the most accurate of them is taken.

    \b
    Example:
      search pick runs/first 'latency<=25ms:best miou' knee
    """
    import numpy as np

    from search import summary
    from search.preferences import Networks
    from search.preferences import pick as pick_one
    from search.report import write_report
    from search.results import write_front
    from search.wanted import wanted

    rows, own = summary.front_rows(folder), wanted(folder)
    front = Networks(
        np.array([row["encoding"] for row in rows], dtype=np.int64),
        np.array([row["miou"] for row in rows]),
        np.array([row["ci95_ms"] for row in rows]),
    )
    picks = [pick_one(text, front, own.catalogue, own.goals, own.lut.space.largest()) for text in choices]
    for row in rows:
        row["chosen"] = [reason for reason in row["chosen"] if not reason.startswith(_PICKED)]
    for one in picks:
        row = rows[one.row]
        row["chosen"].append(_PICKED + one.text)
        tied = [rows[k]["id"] for k in one.tied]
        if as_json:
            shown = {name: row[name] for name in ("id", "encoding", "miou", "latency_ms", "ci95_ms", "model")}
            click.echo(json.dumps({"choice": one.text} | shown | {"tied": tied}))
            continue
        stdout.print(
            f"{one.text}: {row['id']}, mIoU {row['miou']:.4f}, {row['latency_ms']:.2f} ±{row['ci95_ms']:.2f} ms, "
            f"{folder / row['model']}",
            markup=False,
        )
        if tied:
            stdout.print(f"  in latency the table cannot tell it from {', '.join(tied)}", markup=False)
        stdout.print(f"  {json.dumps(row['encoding'], separators=(',', ':'))}", markup=False)
    write_front(folder, rows, own)
    write_report(summary.report_data(folder), folder / "report.html")
    note(f"marked in {folder / 'report.html'}")
