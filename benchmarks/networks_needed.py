"""How the error of a table falls with the number of whole networks measured, on the emulated Atlas; seconds, not hours.

    python benchmarks/networks_needed.py --prior luts/cpu.json

Latencies come from the emulator's timing model, with its noise, without waiting for them: SIMULATED, a comparison of
methods and not of devices. `networks`: fitted to whole networks alone, as the paper does with 2,000. `hybrid`: stubs,
then networks. `transfer`: a table of another device (`--prior`), then networks; `scaled`: the same by one factor.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np

from device_agents.emulator import convert, settings, timing_model
from mosegnet.digits import FloatArray, IntArray
from mosegnet.onnx_graph import context_model, network_model, stub_model
from mosegnet.space import Space
from profiler import lut, posterior, prior, stubs
from profiler.plan import context_key, context_shapes
from profiler.posterior import Prior
from profiler.sampling import held_out, mixed, spread
from profiler.validate import scores
from profiler.visits import Estimate

COUNTS = (10, 30, 100, 200, 500, 1000, 2000)
HELD_OUT = 100


class Board:
    """The timing model with noise."""

    def __init__(self, seed: int) -> None:
        chosen = settings.Settings({})
        parameters = timing_model.Parameters(chosen.model)
        self._model, self._chosen = timing_model.TimingModel(parameters), chosen
        self._noise: float = parameters.noise_share
        self._rng = np.random.default_rng(seed)

    def ms(self, onnx: bytes) -> float:
        """One measured latency: the mean of five runs."""
        definition = convert.convert(onnx, self._chosen.soc, self._chosen.cann)[1]
        return float(self._model.device_ms(definition)) * (1 + self._noise * self._rng.standard_normal() / 5**0.5)

    def networks_ms(self, space: Space, X: IntArray) -> FloatArray:
        """Of whole networks, shape (n,)."""
        return np.array([self.ms(network_model(space.decode(x))) for x in X])


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one method with so many networks."""

    method: str
    networks: int
    kendall_tau: float
    mape_percent: float


def main() -> None:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--prior", required=True, help="a table of another device, of the same space")
    arguments = parser.parse_args()
    table = lut.load(arguments.prior)
    space = table.space
    board, rng = Board(0), np.random.default_rng(0)
    many = mixed(space, max(COUNTS), rng, np.empty((0, len(space.cardinalities)), dtype=np.int64))
    many = many[rng.permutation(len(many))]
    few = {n: spread(space, n, rng) for n in COUNTS if n <= 100}
    X = held_out(space, HELD_OUT, rng, np.concatenate([many, *few.values()]))
    many_ms, true_ms = board.networks_ms(space, many), board.networks_ms(space, X)
    by_stubs = _by_stubs(space, board)
    rows = []
    for n in COUNTS:
        if n >= 30:
            start = prior.of_costs(space, many[:n], many_ms[:n])[0]
            rows.append(_row("networks", n, space, start, many[:n], many_ms[:n], X, true_ms))
        if n in few:
            few_ms = board.networks_ms(space, few[n])
            rows.append(_row("hybrid", n, space, by_stubs, few[n], few_ms, X, true_ms))
            start = prior.of_table(space, table, few[n], few_ms)[0]
            rows.append(_row("transfer", n, space, start, few[n], few_ms, X, true_ms))
            scaled_ms = table.predict(X) * np.median(few_ms / table.predict(few[n]))
            found = scores(scaled_ms, true_ms, X)
            rows.append(Row("scaled", n, found.kendall_tau, found.mape_percent))
    print(json.dumps({"simulated": True, "space": space.name, "rows": [asdict(row) for row in rows]}, indent=1))


def _row(
    name: str, n: int, space: Space, start: Prior, X: IntArray, X_ms: FloatArray, Y: IntArray, Y_ms: FloatArray
) -> Row:
    fitted = posterior.fit(space, start, X, X_ms)
    found = scores(posterior.predict(space, fitted, Y), Y_ms, Y)
    return Row(name, n, found.kendall_tau, found.mape_percent)


def _by_stubs(space: Space, board: Board) -> Prior:
    def estimate(onnx: bytes) -> Estimate:
        ms = board.ms(onnx)
        return Estimate(ms, 0.01 * ms, 5, True, (ms,), ())

    known = {unit.key: estimate(stub_model(unit)) for unit in space.units}
    known |= {context_key(shape): estimate(context_model(shape)) for shape in context_shapes(space.units)}
    return prior.of_stubs(space, stubs.units(space, known), stubs.call_ms(known))


if __name__ == "__main__":
    main()
