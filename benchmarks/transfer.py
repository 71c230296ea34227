"""A table for another device from few whole networks: the prior corrected, beside the prior scaled by one factor.

    python benchmarks/transfer.py --prior luts/cpu.json --device cpu --threads 2 --networks 10

Networks that nothing was fitted to are measured on the device once; for each number of networks, so many others
correct the prior (`--method hybrid --prior`), and one factor, the median of the same networks, scales it.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from profiler import devices, lut, posterior, prior, whole
from profiler.build import replace_threads
from profiler.link import Link
from profiler.plan import network_job, network_key, reference_job
from profiler.sampling import held_out, spread
from profiler.validate import label_noise, scores, tau_ceiling


def main() -> None:
    """Measure, then print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--prior", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--networks", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--held-out", type=int, default=48)
    parser.add_argument("--draws", type=int, default=5, help="other networks each time")
    arguments = parser.parse_args()
    table = lut.load(arguments.prior)
    space = table.space
    device = replace_threads(devices.find(arguments.device), arguments.threads)
    rng = np.random.default_rng(11)
    choices = {(n, draw): spread(space, n, rng) for n in arguments.networks for draw in range(arguments.draws)}
    known = np.concatenate(list(choices.values()))
    X = held_out(space, arguments.held_out, rng, known)
    jobs = {network_key(x): network_job(space, x, "validation") for x in np.concatenate([X, known])}
    with Link(device) as link:
        measured = whole.in_turns(device, [link], list(jobs.values()), reference_job(space), 0, "measuring networks")
    latency_ms = np.array([measured[network_key(x)].latency_ms for x in X])
    noise = label_noise([measured[network_key(x)] for x in X])
    rows: dict[int, dict[str, list[float]]] = {}
    for (n, _), chosen in choices.items():
        chosen_ms = np.array([measured[network_key(x)].latency_ms for x in chosen])
        start, _ = prior.of_table(space, table, chosen, chosen_ms)
        fitted = posterior.fit(space, start, chosen, chosen_ms)
        predicted_ms = posterior.predict(space, fitted, X)
        scaled_ms = table.predict(X) * np.median(chosen_ms / table.predict(chosen))
        row = rows.setdefault(
            n, {"fitted_mape": [], "scaled_mape": [], "fitted_tau": [], "scaled_tau": [], "inside": []}
        )
        for name, ms in (("fitted", predicted_ms), ("scaled", scaled_ms)):
            found = scores(ms, latency_ms, X)
            row[f"{name}_mape"].append(found.mape_percent)
            row[f"{name}_tau"].append(found.kendall_tau)
        error = np.abs(predicted_ms - latency_ms)
        row["inside"].append(100 * float(np.mean(error <= predicted_ms * fitted.interval[X[:, 0]])))
    report = {
        "prior": table.device.name, "device": device.name, "threads": device.threads, "held_out": len(X),
        "label_noise_percent": round(100 * noise, 2), "tau_ceiling": round(tau_ceiling(latency_ms, noise), 3),
        "unscaled_prior_mape": scores(table.predict(X), latency_ms, X).mape_percent,
        "networks": {n: {name: round(float(np.mean(v)), 3) for name, v in row.items()} for n, row in rows.items()},
    }  # fmt: skip
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
