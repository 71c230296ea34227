"""The score that workers give: a sub-network of the supernet on the search split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.workers.pool import Score


@dataclass(frozen=True, slots=True)
class SupernetRecipe:
    """What a worker needs to evaluate as this process would; the paths are good on every host."""

    supernet: Path
    fingerprint: str  # of its weights
    data: str

    def __call__(self, number: int) -> Score:
        """The supernet on the worker's own GPU, by its number, or on one core.

        Raises:
            UserError: a file is missing here, or another than where the search runs.
        """
        import torch

        from mosegnet.common.errors import UserError
        from search import datasets
        from search.evaluate import Evaluator
        from search.supernet import load

        torch.set_num_threads(1)  # as in this process, so that no score depends on the number of cores
        supernet = load(self.supernet)
        if supernet.fingerprint() != self.fingerprint:
            raise UserError(f"{self.supernet} has other weights here than where the search runs: copy it here")
        gpus = torch.cuda.device_count()
        data = datasets.load(self.data)
        for split in ("supernet", "search"):
            data.split(split)  # read or painted before the first network's time begins
        return Evaluator(supernet, data, f"cuda:{number % gpus}" if gpus else "cpu").miou
