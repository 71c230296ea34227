"""Boards run Python 3.6: every file must parse there, import only the standard library, and call nothing newer."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import device_agents

ROOT = Path(device_agents.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NEWER_CALLS = re.compile(  # standard library calls that came after 3.6
    r"time_ns|thread_time\(|capture_output|math\.prod|dataclass|cached_property|removeprefix|removesuffix"
    r"|importlib\.(resources|metadata)|\bbreakpoint\(|isascii|asyncio\.run|from __future__ import annotations"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_parses_as_python_36(path):
    ast.parse(path.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    "newer",
    ["if (n := 1): pass", "def f(a, /): pass", "match x:\n    case 1: pass", "with (open(a) as b, open(c) as d): pass"],
)
def test_the_parser_refuses_newer_syntax(newer):
    """The check above is worth nothing if the parser lets newer syntax through."""
    with pytest.raises(SyntaxError):
        ast.parse(newer, feature_version=(3, 6))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_has_nothing_newer_that_the_parser_lets_through(path):
    source = path.read_text()
    assert NEWER_CALLS.search(source) is None
    assert re.search(r"""\bf["'][^"'\n]*\{[^}"']*=[}!:]""", source) is None, "f'{x=}' came with Python 3.8"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            assert not any(word.arg == "strict" for word in node.keywords), "zip(strict=) came with Python 3.10"
        if isinstance(node, ast.FunctionDef):
            assert not node.args.posonlyargs


def test_imports_nothing_but_the_standard_library():
    """In an interpreter without site-packages, everything but the runtimes' own libraries must import."""
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in FILES]
    names = [name.replace(".__init__", "") for name in names if not name.endswith("__main__")]
    root = str(ROOT.parent)
    code = f"import importlib, sys; sys.path.insert(0, {root!r}); list(map(importlib.import_module, {names!r}))"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
