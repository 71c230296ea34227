"""Scoring a sub-network, batch norms re-estimated, beside bare inference of the same images, interleaved in one run.

python benchmarks/scoring.py [--data camvid:PATH] [--networks 6] [--device cpu]

Bare inference is the sub-network as PyTorch runs it, on images that lie ready in memory at its input size, logits at
1/8 and nothing else; once more with weights and images laid out channels last, as the scoring has them. Scoring is
everything that the search does for one network: extraction from the supernet, batch norms from 64 images, inference,
logits to label resolution, classes, confusion matrices. Once beside the inference of the scored images alone, which
leaves the 64 images of the batch norms to the scoring, and once beside that of both.
"""

from __future__ import annotations

import json
import time

import click
import numpy as np
import torch
from torch import Tensor

from mosegnet import space as spaces
from mosegnet.modules import Network, extract
from mosegnet.space import SCALE
from search.datasets import load as load_data
from search.evaluate import BATCH_NORM_IMAGES, Evaluator
from search.scoring import BATCH, fast_layout
from search.supernet.store import DataSummary, Supernet


@click.command()
@click.option("--data", default="synthetic", show_default=True)
@click.option("--networks", default=6, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--scale", type=int, help="only networks of this input scale")
@click.option("--threads", default=1, show_default=True)
def main(data: str, networks: int, device: str, scale: int | None, threads: int) -> None:
    """Time both in turns, network by network, and print JSON."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    space, dataset = spaces.load("tiny"), load_data(data)
    summary = DataSummary(dataset.name, dataset.classes, dataset.mean, dataset.std)
    supernet = Supernet(space, Network(space.decode(space.largest())).eval(), summary)
    evaluator = Evaluator(supernet, dataset, device)
    images, norm_images = dataset.split("search").images, dataset.files("supernet").sample(BATCH_NORM_IMAGES).images
    scored, searched, both, faster = [], [], [], []
    X = space.sample(networks, np.random.default_rng(0))
    if scale is not None:
        X[:, SCALE] = scale
    for x in space.canonical(X):
        network = extract(supernet.network, space.decode(x)).to(device)
        ready = [dataset.to_input(part, network.architecture.input_hw).to(device) for part in (images, norm_images)]
        evaluator.miou(x)  # images are resized once per input size, not once per network
        scored.append(_timed_s(lambda x=x: evaluator.miou(x), device))
        searched.append(_timed_s(lambda network=network, ready=ready: _bare(network, ready[0]), device))
        again = [part.contiguous(memory_format=torch.channels_last) for part in ready]
        quick = fast_layout(extract(supernet.network, space.decode(x)).to(device))
        faster.append(_timed_s(lambda quick=quick, again=again: _bare(quick, again[0]), device))
        both.append(searched[-1] + _timed_s(lambda network=network, ready=ready: _bare(network, ready[1]), device))
    print(
        json.dumps(
            {
                "data": dataset.name,
                "images": len(images),
                "batch_norm_images": len(norm_images),
                "networks": networks,
                "device": device,
                "scoring_s": round(sum(scored), 3),
                "inference_of_the_scored_s": round(sum(searched), 3),
                "inference_of_all_s": round(sum(both), 3),
                "inference_of_the_scored_channels_last_s": round(sum(faster), 3),
                "times_inference_of_the_scored": round(sum(scored) / sum(searched), 2),
                "times_inference_of_the_scored_channels_last": round(sum(scored) / sum(faster), 2),
                "times_inference_of_all": round(sum(scored) / sum(both), 2),
            },
            indent=1,
        )
    )


def _bare(network: Network, images: Tensor) -> None:
    with torch.inference_mode():
        for batch in images.split(BATCH):
            network.forward_eighth(batch)


def _timed_s(run, device: str) -> float:  # type: ignore[no-untyped-def]
    """The faster of two: processor time on a CPU, whose threads all count, else wall time until the device is idle."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    found = []
    for _ in range(2):
        started = clock()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(clock() - started)
    return min(found)


if __name__ == "__main__":
    main()
