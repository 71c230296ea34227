"""The line that decides, in the three shapes that ATC has had."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.convert.failures import _LONGEST, classify, clean, decisive

FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
TIME = "2025-03-18-09:02:18.501.341"

codes = st.from_regex(r"\AE(?:[A-Z][0-9]{4}|[0-9]{5})\Z").filter(lambda code: code not in ("E19999", "EZ9999"))
texts = (
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=80)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: text and not re.match(r"\[PID|\d{4}-", text) and not re.search(r"error[!.]?$", text, re.I))
)
pids = st.integers(1, 10**7)
eras = st.sampled_from(["7", "8", "9"])


def head(era: str, code: str, text: str, pid: int) -> str:
    if era == "7":
        return f"{code}: {text}"
    if era == "8":
        return f"{code}: [PID: {pid}] {TIME} {text}"
    return f"[PID: {pid}] {TIME} Some_Title Of-It({code}): {text}"


@given(eras, codes, texts, pids)
def test_code_and_text_are_the_same_in_every_shape(era, code, text, pid):
    lines = [
        head(era, code, text, pid),
        "        Solution: E10001: do it",
        "        TraceBack (most recent call last):",
    ]
    assert decisive(lines) == (code, f"{code}: {text}")


@given(eras, codes, texts, pids, st.sampled_from(["E19999", "EZ9999"]), st.booleans())
def test_an_inner_error_counts_only_when_nothing_says_more(era, code, text, pid, inner, first):
    vague = [head(era, inner, "Inner Error!", pid), "        An unknown error occurred."]
    telling = [head(era, code, text, pid), "        Solution: none"]
    lines = vague + telling if first else telling + vague
    assert decisive(lines) == (code, f"{code}: {text}")
    assert decisive(vague) == (inner, f"{inner}: Inner Error! An unknown error occurred.")


@given(eras, codes, texts, pids)
def test_warnings_and_what_was_said_before_the_failure_do_not_count(era, code, text, pid):
    stdout = "\n".join([
        "ATC start working now, please wait for a moment.", head(era, "E10001", "before", pid), FAILED,
        head(era, "W11001", "not high priority", pid), head(era, code, text, pid),
    ])  # fmt: skip
    assert classify(255, stdout, "").line == clean(f"{code}: {text}")


@given(st.integers(-31, 255), st.text(), st.text())
def test_any_output_has_a_class_and_one_printable_line(status, stdout, stderr):
    """Whatever comes from outside."""
    failed = classify(status, stdout, stderr)
    assert failed.line
    assert failed.remedy
    assert len(failed.line) <= _LONGEST
    assert "\x1b" not in failed.message
    assert failed.message.splitlines() == [failed.message]


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "kind", "line"),
    [
        (255, f"{FAILED}\n\n", "", "internal", "status 255"),
        (126, "", "\x1f", "environment", "cannot be started"),
        (255, f"ModuleNotFoundError: No module named '_struct'\n{FAILED}\nE40000: Failed to import te.\n", "",
         "environment", "E40000: Failed to import te."),
        (255, f"ModuleNotFoundError: No module named '_struct'\n{FAILED}\n", "", "environment", "'_struct'"),
        (255, f"{FAILED}\nE40024: Failed call Python Func\n  No module named 'te'\n", "", "environment", "E40024"),
        (255, f"{FAILED}\nE40024: Failed call Python Func\n", "", "internal", "E40024"),
        (255, "", "ERROR: Non-option parameter: E10054\n", "usage", "Non-option"),
        (255, f"{FAILED}\nE16002: Wrong node\n", "", "unsupported", "E16002"),
        (255, f"{FAILED}\nE10501: IR for Op [x] is not supported\n", "", "unsupported", "E10501"),
        (255, f"{FAILED}\n", "terminate called after throwing an instance of 'std::bad_alloc'", "killed", "bad_alloc"),
        (-6, "", "std::bad_alloc", "killed", "bad_alloc"),
        (134, "", "", "internal", "signal 6"),
        (-15, "", "", "killed", "signal 15"),
        (127, "", "bash: line 9: exec: E10054: not found", "environment", "not found"),
        (255, f"{FAILED}\nsomething (EZ3002) happened\n", "", "unsupported", "EZ3002"),
    ],
)  # fmt: skip
def test_known_outputs(status, stdout, stderr, kind, line):
    failed = classify(status, stdout, stderr)
    assert failed.kind == kind
    assert line in failed.line


def test_escape_sequences_are_taken_out_and_long_lines_cut():
    assert clean("\x1b[31mred\x1b[0m\x00\x07 \t x") == "red x"
    assert len(clean("x" * 5000)) == _LONGEST
