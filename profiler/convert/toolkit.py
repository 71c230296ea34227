"""Which CANN an `atc` belongs to, found without running it, and what follows from its version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosegnet.common.errors import UserError

# Values are arguments only: nothing that a user wrote is ever part of a script. A leading ~/ is the home over there.
_LAUNCH = r"""
args=()
for arg in "$@"; do
  case $arg in "~/"*) arg=$HOME/${arg#"~/"};; esac
  args+=("$arg")
done
set_env=${args[0]}; args=("${args[@]:1}"); set --
if [ -n "$set_env" ]; then
  if ! [ -r "$set_env" ]; then echo "cannot read $set_env" >&2; exit 127; fi
  source "$set_env" >/dev/null
fi
"""
RUN = _LAUNCH + 'exec env -- "${args[@]}"\n'  # set_env.sh, NAME=value …, program, arguments
PROBE = (  # set_env.sh, program, arguments
    _LAUNCH
    + r"""
if ! command -v -- "${args[0]}" >/dev/null; then echo "${args[0]}: command not found" >&2; exit 127; fi
for arg in "${args[@]}"; do
  tool=$(command -v -- "$arg") || continue
  tool=$(readlink -f -- "$tool") || continue
  stat -Lc 'tool=%n %s %Y' -- "$tool"
  here=$(dirname -- "$tool")
  for home in "${ASCEND_TOOLKIT_HOME:-$here}" "$here" "$here/.." "$here/../.." "$here/../../.."; do
    for file in "$home"/ascend_toolkit_install.info "$home"/*-linux/ascend_toolkit_install.info \
                "$home"/version.cfg "$home"/*-linux/version.cfg; do
      if [ -r "$file" ]; then cat -- "$file"; exit 0; fi
    done
  done
done
exit 0
"""
)

PRECISION_MODES = (
    "force_fp16", "force_fp32", "cube_fp16in_fp32out", "allow_mix_precision", "allow_fp32_to_fp16",
    "must_keep_origin_dtype", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16",
)  # fmt: skip
PRECISION_MODES_V2 = (
    "fp16", "origin", "mixed_float16", "mixed_bfloat16", "cube_hif8", "mixed_hif8",
)  # fmt: skip
_V2_SINCE = 7  # certainly unknown to 5.x and the 6.0 of the Atlas 200 DK
_DATED = 20  # 20.0 came before 3.x

_INSTALL_INFO = re.compile(r"^\s*version\s*=\s*(\S+)", re.MULTILINE)
_VERSION_CFG = re.compile(r"^\s*(\w+)_running_version\s*=\s*\[[^:\]]*:([^\]]+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """The CANN that converts; `version` is None where nothing says it, `identity` tells its installations apart."""

    version: str | None
    identity: str


def parse_probe(text: str) -> Toolkit:
    """What `PROBE` printed: the tool, then the version file, in either format."""
    tools = [line for line in text.split("\n") if line.startswith("tool=")]
    running = dict(_VERSION_CFG.findall(text))
    versions = _INSTALL_INFO.findall(text) or [running[name] for name in ("toolkit", "compiler") if name in running]
    return Toolkit(versions[0].strip("\"'") if versions else None, "; ".join(tools))


def major(version: str | None) -> int | None:
    """The number that ages compare by; None when unknown. The releases 20.x are older than 5."""
    found = re.match(r"\d+", version or "")
    if not found:
        return None
    return int(found[0]) if int(found[0]) < _DATED else 1


def opsets(version: str | None) -> range | None:
    """The ONNX opsets that a CANN reads; None where it is not certain and ATC shall say it itself."""
    number = major(version)
    if number is None or number < 5:
        return None
    return range(9, 14) if number < 7 else range(9, 19)


def precision_option(mode: str, version: str | None) -> str:
    """The option that asks this CANN for a precision mode, by its name in either generation of the option.

    Raises:
        UserError: no CANN has such a mode, or this one is too old for it.
    """
    if mode in PRECISION_MODES:
        return f"--precision_mode={mode}"
    if mode not in PRECISION_MODES_V2:
        raise UserError(f"unknown precision mode {mode!r}: there is {', '.join(PRECISION_MODES + PRECISION_MODES_V2)}")
    number = major(version)
    if number is not None and number < _V2_SINCE:
        if mode == "fp16":
            return "--precision_mode=force_fp16"
        raise UserError(f"CANN {version} has no precision mode {mode!r}: choose one of {', '.join(PRECISION_MODES)}")
    return f"--precision_mode_v2={mode}"
