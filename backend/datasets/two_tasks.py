"""Two tasks of two classes at different places of the plane: what is learned in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data
from backend.datasets.toys import Toy, ToyConfig
from backend.energies.closed_form_gaussians import UnevenMixture

TASK = "task"
"""Name in `Data.given` of the task, 0 or 1, that a row belongs to."""
MEANS = ((-2.0, -1.0), (-2.0, 1.0), (1.0, 0.0), (3.0, 0.0))
"""Of class 0 and 1 of the first task, which lie one above the other, then of the second, which lie
side by side: who knows one task alone is right of the other as often as by chance."""


class TwoTasksConfig(ToyConfig):
    kind: Literal["two_tasks"] = "two_tasks"
    num: int = option(200, "Training points of both tasks.", ge=100, le=20_000, main=True)
    num_held_out: int = option(1000, "Held-out points, drawn apart.", ge=100, le=100_000)
    sd: float = option(0.35, "Standard deviation of each class.", ge=0.05, le=0.4)


class TwoTasksData(Toy):
    """Four round Gaussians; of a point whose class is that of the nearest mean."""

    Config: ClassVar[type[KindConfig]] = TwoTasksConfig
    title: ClassVar[str] = "Two tasks"
    summary: ClassVar[str] = "Two classes here, and the same two elsewhere: tasks learned in turn."
    gives: ClassVar[tuple[str, ...]] = (TASK,)

    def target(self) -> UnevenMixture:
        sds = torch.full((4,), float(self.config.sd))
        return UnevenMixture(torch.tensor(MEANS), sds, torch.full((4,), 0.25))

    def load(self) -> Data:
        data = super().load()
        train, held_out = (_nearest(data.restore(z)) for z in (data.train, data.held_out))
        return replace(
            data,
            labels=train % 2,
            held_out_labels=held_out % 2,
            label_names=("first", "second"),
            given={TASK: train // 2},
            held_out_given={TASK: held_out // 2},
        )


def _nearest(x: Tensor) -> Tensor:
    """Number of the mean nearest to each of x (num, 2)."""
    return torch.cdist(x, torch.tensor(MEANS, dtype=x.dtype)).argmin(1)
