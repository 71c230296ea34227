"""A run that never was, seeded, in the shape that the search hands to the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from search.report import ReportData

SCALES = [[96, 128], [192, 256], [288, 384]]
CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
_LEVEL_MIOU, _LEVEL_MS, _LEVEL_FLOPS = (0.24, 0.33, 0.385), (1.1, 3.9, 8.6), (0.05e9, 0.19e9, 0.43e9)


def build(networks: int = 96, seed: int = 3, **changes: Any) -> ReportData:
    """A finished run of so many networks; `changes` replaces fields."""
    rng = np.random.default_rng(seed)
    archive = [_network(k, rng) for k in range(networks)]
    front = _front(archive)
    ends = {front[0]["id"]: "fastest", front[-1]["id"]: "most accurate", front[len(front) // 2]["id"]: "trade-off"}
    data = ReportData(
        name="runs/demo",
        simulated=False,
        device="cpu (AMD EPYC, ONNX Runtime, 1 thread)",
        dataset="synthetic",
        classes=CLASSES,
        scales=SCALES,
        archive=archive,
        generations=_generations(archive, rng),
        pareto=[_on_front(record, ends.get(record["id"]), rng) for record in front],
        landscape=landscape(),
        validation=validation(),
        provenance={
            "device and runtime": {"device": "cpu", "chip": "AMD EPYC", "runtime": "ONNX Runtime 1.32", "threads": "1"},
            "table": {"file": "lut.json", "sha256": "5f0c" * 16, "method": "stub", "measured": "2026-11-24 08:12"},
            "supernet and data": {"supernet": "supernet.safetensors", "data": "synthetic", "training": "4.5 minutes"},
            "search": {"seed": "0", "initial": "40", "generations": "5", "in-fill": "8", "surrogate": "ranknet"},
            "host and versions": {"system": "Linux 6.1", "python": "3.11.2", "torch": "2.6.0"},
            "times": {"started": "2026-11-24 08:30", "finished": "2026-11-24 08:37"},
        },
    )
    return replace(data, **changes)


def landscape(across: float | None = 0.74, within: float | None = 0.2) -> dict[str, Any]:
    """Halves that agree across the scales and hardly within one."""
    one = {
        "networks": 40, "miou_min": 0.201, "miou_median": 0.318, "miou_max": 0.379, "tau_halves": across,
        "tau_odd_even": 0.81, "tau_flops": 0.69, "strongest_digit": 0, "strongest_digit_share": 0.83,
        "tau_halves_without_strongest": 0.31, "seed": 7,
    }  # fmt: skip
    inner = one | {
        "scale": [192, 256], "miou_min": 0.312, "miou_median": 0.321, "miou_max": 0.329, "tau_halves": within,
        "tau_odd_even": 0.28, "tau_flops": 0.14, "strongest_digit": 10, "strongest_digit_share": 0.22,
        "tau_halves_without_strongest": 0.09,
    }  # fmt: skip
    return one | {"within_scale": inner}


def validation(mape_percent: float = 1.63) -> dict[str, Any]:
    """A table that beats FLOPs."""
    table = _scores(0.958, mape_percent, 98.0)
    rest = {"networks": 30, "label_noise_percent": 0.42, "tau_ceiling": 0.977, "coverage_percent": 96.7}
    return table | rest | {"flops": _scores(0.871, 6.2, 51.0), "flops_params": _scores(0.902, 4.9, 63.0)}


def _scores(tau: float, mape_percent: float, within: float) -> dict[str, Any]:
    return {
        "kendall_tau": tau, "kendall_tau_within_scale": tau - 0.1, "pearson_r": 0.9912, "mape_percent": mape_percent,
        "bias_percent": -0.31, "within_5_percent": within, "within_10_percent": 100.0,
    }  # fmt: skip


def _network(k: int, rng: np.random.Generator) -> dict[str, Any]:
    encoding = rng.integers(0, 3, 29).tolist()
    scale, capacity = encoding[0], float(np.mean(encoding[1:])) / 2
    latency_ms = _LEVEL_MS[scale] * (0.65 + 0.9 * capacity) * float(rng.normal(1, 0.09))
    miou = _LEVEL_MIOU[scale] + 0.06 * (capacity - 0.5) + float(rng.normal(0, 0.012))
    record = {
        "id": k,
        "generation": max(0, (k - 32) // 8),
        "encoding": encoding,
        "miou": miou,
        "latency_ms": latency_ms,
        "ci95_ms": 0.03 * latency_ms,
        "flops": _LEVEL_FLOPS[scale] * (0.6 + capacity),
        "params": 0.3e6 + 0.5e6 * capacity,
    }
    return record | {"miou": None, "error": "out of memory"} if k == 17 else record


def _front(archive: list[dict[str, Any]]) -> list[dict[str, Any]]:
    front: list[dict[str, Any]] = []
    scored = [record for record in archive if record["miou"] is not None]
    for record in sorted(scored, key=lambda one: one["latency_ms"]):
        if not front or record["miou"] > front[-1]["miou"]:
            front.append(record)
    return front


def _on_front(record: dict[str, Any], reason: str | None, rng: np.random.Generator) -> dict[str, Any]:
    again_ms = record["latency_ms"] * float(rng.normal(1.01, 0.02)) if reason else None
    return {name: value for name, value in record.items() if name != "generation"} | {
        "input_hw": SCALES[record["encoding"][0]],
        "measured_ms": again_ms,
        "measured_ci95_ms": None if again_ms is None else 0.008 * again_ms,
        "chosen": [reason] if reason else [],
        "model": f"models/network-{record['id']:04d}.onnx" if reason else None,
        "breakdown": _breakdown(record["latency_ms"], rng) if reason else [],
    }


def _breakdown(latency_ms: float, rng: np.random.Generator) -> list[list[Any]]:
    names = ["stem 3>4>8 d1 192x256"]
    for s in range(4):
        names.append(f"first {8 << s}>{6 << s}>{16 << s} s{min(s + 1, 2)} {48 >> s}x{64 >> s}")
        names += [f"layer {16 << s}>{6 << s}>{16 << s} s1 {48 >> s}x{64 >> s}"] * 2
    names.append("decoder 48+96+192>8.16.32.8>11 192x256")
    shares = rng.dirichlet(np.full(len(names), 6.0)) * 1.02
    pieces = [[name, float(share * latency_ms)] for name, share in zip(names, shares, strict=True)]
    return [*pieces, ["constant", -0.02 * latency_ms]]


def _generations(archive: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    records = []
    for generation in range(archive[-1]["generation"] + 1 if archive else 0):
        records.append(
            {
                "generation": generation,
                "evaluated": sum(record["generation"] <= generation for record in archive),
                "hypervolume": 3.4 - 0.5 * 0.7**generation,
                "surrogate_tau": None
                if not generation
                else min(0.95, float(0.55 + 0.03 * generation + rng.normal(0, 0.05))),
                "seconds": float(rng.uniform(9, 14)),
            }
        )
    return records
