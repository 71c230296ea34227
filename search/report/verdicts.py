"""Plain sentences made from the numbers, for a reader who does not know what a tau of 0.3 is worth."""

from __future__ import annotations

import math
from typing import Any

from search.report.text import counted, digit_name, fixed, percent, size, tau

# Of Kendall's tau between two halves of the images: below the first the order of most pairs is luck.
_LEVELS = ((0.4, "mostly noise"), (0.6, "part signal and part noise"), (0.8, "mostly meaningful"))


def landscape(record: dict[str, Any]) -> list[str]:
    """What the ranking is worth: within one scale first, since the spread across scales hides it; then across."""
    within = record.get("within_scale")
    if within is None:
        first = "Within one input scale it was not examined, so nothing here says that it is more than noise there."
    else:
        first = f"Within one input scale ({size(within['scale'])}) the ranking {_worth(within)}."
    across = f"Across input scales the ranking {_worth(record)}.{_strongest(record)}"
    return [first, across, _conclusion(record)]


def validation(record: dict[str, Any]) -> str:
    """The table against what FLOPs say of the same networks."""
    rivals = {"FLOPs": record.get("flops"), "FLOPs + params": record.get("flops_params")}
    known = {name: scores for name, scores in rivals.items() if scores}
    said = (
        f"On {counted(record['networks'], 'held-out network')} the table ranks with tau {tau(record['kendall_tau'])} "
        f"and errs by {fixed(record['mape_percent'], 1)} % on average"
    )
    if not known:
        return said + "; how well FLOPs alone would do was not recorded."
    ranks, errs = _rivals_ahead(record, known, "kendall_tau", 1), _rivals_ahead(record, known, "mape_percent", -1)
    if not ranks and not errs:
        return said + f": better than {' and '.join(known)} on both counts."
    ahead = ((ranks, "rank"), (errs, "fit"))
    parts = [f"{' and '.join(names)} {verb} at least as well" for names, verb in ahead if names]
    return said + f", but {' and '.join(parts)}: on these networks the table is not the best predictor on every count."


def chance_limit(networks: int) -> float:
    """Kendall's tau that two unrelated rankings of n networks exceed in 1 case of 40 (normal approximation)."""
    return 1.96 * math.sqrt(2 * (2 * networks + 5) / (9 * networks * (networks - 1))) if networks > 1 else 1.0


def _worth(record: dict[str, Any]) -> str:
    value, networks = record["tau_halves"], record["networks"]
    spread = f"over a spread of {percent(record['miou_max'] - record['miou_min'])} points of mIoU"
    if value is None:
        return f"cannot be judged (tau undefined, {spread})"
    chance = chance_limit(networks)
    lucky = f"; with {counted(networks, 'network')} luck alone reaches {tau(chance)}" if value < chance else ""
    return f"is {_level(value)}: tau {tau(value)} between two halves of the images, {spread}{lucky}"


def _level(value: float) -> str:
    return next((words for limit, words in _LEVELS if value < limit), "meaningful")


def _strongest(record: dict[str, Any]) -> str:
    share, rest = record.get("strongest_digit_share"), record.get("tau_halves_without_strongest")
    if share is None or record.get("strongest_digit") is None:
        return ""
    levelled = "" if rest is None else f"; with that levelled out tau is {tau(rest)}"
    return f" Of the variance, {digit_name(record['strongest_digit'])} alone explains {percent(share, 0)} %{levelled}."


def _conclusion(record: dict[str, Any]) -> str:
    across, within = record["tau_halves"], (record.get("within_scale") or {}).get("tau_halves")
    if across is None or within is None:
        return "So judge the front with care: half of the evidence is missing."
    if within < _LEVELS[0][0] <= across:
        return "So the search can choose an input scale; networks of one scale are as good as tied in mIoU."
    if within < _LEVELS[0][0]:
        return "So the mIoU of this search says little about which network is better."
    if within < _LEVELS[1][0]:
        return "So small differences of mIoU between networks of one scale should not be believed."
    return "So differences of mIoU count, between input scales and within one."


def _rivals_ahead(record: dict[str, Any], rivals: dict[str, Any], field: str, sign: int) -> list[str]:
    return [name for name, scores in rivals.items() if sign * scores[field] >= sign * record[field]]
