"""Do a supernet's scores order networks as training each one by itself does, and is the best one worth the search?

    python benchmarks/inherited_and_retrained.py supernet.safetensors --data camvid:data/camvid --minutes 10

K networks spread over the supernet's own ranking on the split `search` are each trained from scratch and scored on
`test`. Printed: Kendall's tau between inherited and re-trained accuracy with its bootstrap interval (over networks and
over images), and the best inherited network re-trained beside a baseline of the same multiply-adds and input,
trained alike, over the seeds. Networks that are done are kept in --out and not trained again.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from scipy.stats import kendalltau

from mosegnet.architecture import Architecture
from mosegnet.common.console import note, progress_bar
from mosegnet.common.files import write_json
from mosegnet.cost import architecture_costs, costs
from mosegnet.digits import FloatArray, IntArray
from search import metrics
from search.datasets import Dataset
from search.datasets import load as load_data
from search.evaluate import Evaluator
from search.network_file import load_network
from search.retrain import baselines, schedules
from search.retrain.training import Job, train_into
from search.scoring import Scorer
from search.supernet import Supernet
from search.supernet import load as load_supernet
from search.supernet.ranks import Ranks
from search.supernet.train import Budget

RESAMPLES = 2000


def candidates(supernet: Supernet, evaluator: Evaluator, count: int, drawn: int, seed: int, scale: int) -> IntArray:
    """So many of `drawn` random networks, evenly spread over their ranking, the worst first, (count, 29).

    `scale` fixes the input size, so that the digits of the encoder decide; -1 leaves it free.
    """
    X = supernet.space.sample(drawn, np.random.default_rng(seed))
    if scale >= 0:
        X[:, 0] = scale
    with progress_bar("scoring with inherited weights", drawn) as bar:
        miou = []
        for found in evaluator.confusions_of_all(X):
            miou.append(float(metrics.miou(found.sum(0))))
            bar.advance()
    order = np.argsort(miou, kind="stable")
    return X[order[np.linspace(0, drawn - 1, count).round().astype(int)]]


def bootstrap(
    inherited: torch.Tensor, retrained: torch.Tensor, over_images: bool, seed: int
) -> tuple[float, float, float]:
    """Kendall's tau of accuracies and its 95 % interval.

    Args:
        inherited, retrained: confusion matrices (networks, images, classes, classes + 1) of each kind of weights.
        over_images: images are drawn again; else networks are.
    """
    rng, found = np.random.default_rng(seed), []
    a, b = _mious(inherited), _mious(retrained)
    for _ in range(RESAMPLES // 10 if over_images else RESAMPLES):
        if over_images:
            rows = [torch.as_tensor(rng.integers(0, k.shape[1], k.shape[1])) for k in (inherited, retrained)]
            drawn = (_mious(inherited[:, rows[0]]), _mious(retrained[:, rows[1]]))
        else:
            rows_of_networks = rng.integers(0, len(a), len(a))
            drawn = (a[rows_of_networks], b[rows_of_networks])
        found.append(kendalltau(*drawn).statistic)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(kendalltau(a, b).statistic), float(low), float(high)


def _mious(confusions: torch.Tensor) -> FloatArray:
    return np.array([float(metrics.miou(own.sum(0))) for own in confusions])


class Trainings:
    """Networks trained by themselves into one folder; what is there is not trained again."""

    def __init__(self, folder: Path, dataset: Dataset, full_hw: tuple[int, int], budget: Budget, data: str) -> None:
        self.folder, self.dataset, self.full_hw, self.budget, self.data = folder, dataset, full_hw, budget, data
        self._scorer = Scorer(dataset)

    def confusions(self, name: str, architecture: Architecture, seed: int) -> torch.Tensor:
        """Confusion matrices of the network on `test`, (images, classes, classes + 1), trained where it is not."""
        length = f"{self.budget.minutes:g}min" if self.budget.minutes else f"{self.budget.steps}steps"
        path = self.folder / f"{name}-{length}-seed{seed}.safetensors"
        if not path.exists():
            schedule = schedules.get(schedules.choose(architecture_costs(architecture).flops, self.data))
            job = Job(name, architecture, self.full_hw, self.dataset, schedule, self.budget, seed)
            resume = path.with_name(path.name + ".checkpoint").exists()
            with progress_bar(f"training {name}, seed {seed}", 100) as bar:
                train_into(path, job, Ranks(), resume, lambda own: bar.advance(100 * own.progress - bar.done))
        network, found, _ = load_network(path)
        if found != architecture:
            raise click.UsageError(f"{path} is another network: take another --out")
        return self._scorer.confusions(network, "test")


@click.command()
@click.argument("supernet", type=click.Path(exists=True, path_type=Path))
@click.option("--data", required=True)
@click.option("--networks", type=click.IntRange(3), default=8, show_default=True)
@click.option("--drawn", type=click.IntRange(3), default=60, show_default=True, help="random networks they are from")
@click.option("--scale", type=int, default=-1, show_default=True, help="input scale of all of them; -1: any")
@click.option("--minutes", type=float, help="of training a network")
@click.option("--steps", type=int, help="or steps")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="of best network and baseline")
@click.option("--baseline", "against", default="bisenet-tiny", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/inherited-and-retrained"), show_default=True)
def main(
    supernet: Path,
    data: str,
    networks: int,
    drawn: int,
    scale: int,
    minutes: float | None,
    steps: int | None,
    seeds: int,
    against: str,
    out: Path,
) -> None:
    """Print the correlation and the comparison; all figures go into `figures.json` in --out."""
    trained, dataset = load_supernet(supernet), load_data(data)
    space, evaluator = trained.space, Evaluator(trained, dataset)
    trainings = Trainings(out, dataset, space.full_hw, Budget(minutes, steps), data)
    X = candidates(trained, evaluator, networks, drawn, 0, scale)
    inherited = torch.stack([evaluator.confusions(x, "search") for x in X])
    retrained = torch.stack([trainings.confusions("-".join(map(str, x)), space.decode(x), seed=0) for x in X.tolist()])
    flops = costs(space, X).flops
    for x, a, b, macs in zip(X, _mious(inherited), _mious(retrained), flops, strict=True):
        click.echo(f"  {macs / 1e9:.3f} G  input {x[0]}  inherited {a:.4f} (search)  re-trained {b:.4f} (test)")
    figures: dict[str, object] = {
        "networks": X.tolist(),
        "flops": flops.tolist(),
        "inherited": _mious(inherited).tolist(),
        "retrained": _mious(retrained).tolist(),
    }
    for over in ("networks", "images"):
        tau, low, high = bootstrap(inherited, retrained, over == "images", seed=0)
        figures[f"tau_over_{over}"] = [tau, low, high]
        click.echo(f"Kendall tau, inherited against re-trained: {tau:.2f}, 95 % over {over} {low:.2f} … {high:.2f}")
    tau = float(kendalltau(flops, _mious(retrained)).statistic)
    click.echo(f"for comparison, multiply-adds against re-trained: {tau:.2f}")
    figures |= {"tau_flops": tau} | _compared(trainings, space.decode(X[-1]), against, seeds)
    write_json(out / "figures.json", figures)
    note(f"figures: {out / 'figures.json'}")


def _compared(trainings: Trainings, best: Architecture, against: str, seeds: int) -> dict[str, object]:
    """The best network beside the baseline of its cost and input, mean and deviation over the seeds."""
    flops = architecture_costs(best).flops
    other = baselines.of_cost(baselines.get(against), flops, best.classes, best.input_hw)
    found: dict[str, object] = {}
    for title, name, own in (
        ("the best inherited network, re-trained", "-".join(map(str, best.encoding)), best),
        (f"{against} of its cost, trained alike", f"{against}-{best.input_hw[0]}x{best.input_hw[1]}", other),
    ):
        miou = np.array([float(metrics.miou(trainings.confusions(name, own, seed).sum(0))) for seed in range(seeds)])
        found[title] = {"flops": architecture_costs(own).flops, "miou": miou.tolist()}
        click.echo(
            f"{title}: mIoU {miou.mean():.4f} ± {miou.std():.4f} over {seeds} seeds on test, {architecture_costs(own)}"
        )
    return found


if __name__ == "__main__":
    main()
