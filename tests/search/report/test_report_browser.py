"""The page in a real browser: every figure drawn, nothing refused, no error, and hostile text still text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_builder import build

from search.report import ReportData, write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser")


def load(data: ReportData, folder: Path) -> tuple[str, str]:
    """(the page after its scripts ran, without them; what the browser wrote to its console)."""
    write_report(data, folder / "report.html")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", *QUIET, "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    url = (folder / "report.html").as_uri()
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=120, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return re.sub(r"<script\b.*?</script>", "", done.stdout, flags=re.DOTALL), console


def test_every_figure_is_drawn_without_an_error(tmp_path: Path) -> None:
    dom, console = load(build(), tmp_path)
    assert console == ""
    assert re.search(r'id="problem" hidden', dom)
    plots = dom.split('data-figure="')[1:]
    assert len(plots) == 6
    for plot in plots:
        assert 'class="main-svg"' in plot
    assert dom.count('class="point"') > 100  # networks and bars
    assert dom.count('class="annotation"') == 3  # the badges


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"></script><script>document.title='taken'</script>"
    pareto = [record | {"id": f"{k}{hostile}", "chosen": [hostile]} for k, record in enumerate(build().pareto)]
    pareto = [r | {"breakdown": [[f"stem {hostile}", r["latency_ms"]]]} for r in pareto]
    dom, console = load(build(name=hostile, pareto=pareto), tmp_path)
    assert console == ""
    assert "<title>taken" not in dom
    assert "<img" not in re.sub(r'="[^"]*"', "", dom)
    assert re.search(r'id="problem" hidden', dom)


def test_an_empty_run_loads_too(tmp_path: Path) -> None:
    empty = build(archive=[], generations=[], pareto=[], landscape=None, validation=None, provenance={})
    dom, console = load(empty, tmp_path)
    assert console == ""
    assert re.search(r'id="problem" hidden', dom)
    assert "main-svg" not in dom
