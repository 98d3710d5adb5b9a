"""The chains of a run that only samples, as they move: paths in the plane, positions, images."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from backend.events import Event
from backend.methods.sampling import Sampling
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer


class ChainTrailsObserver(Observer):
    """`chains/walk` in the plane; of images `samples/train_time`, of else `chains/positions`."""

    id = "chain_trails"

    def watch(self, context: Context) -> Iterable[Event]:
        subject, method = self.subject, Sampling.of(self.subject.method)
        if subject.grid is not None:
            yield self._path(method)
            return
        state = method.state
        path = "samples/train_time" if subject.data.is_image else "chains/positions"
        yield from subject.cloud(path, state.position, "train_time", state.energy)

    def _path(self, method: Sampling) -> Event:
        trail = list(method.trail)
        accepted = list(method.accepted)[-(len(trail) - 1) :] if len(trail) > 1 else []
        return pictures.trajectory(
            "chains/walk",
            self.subject.data,
            torch.stack([state.position for state in trail]),
            torch.stack([state.energy for state in trail]),
            torch.stack(accepted) if accepted and method.kernel.exact else None,
            "train_time",
            num=self.subject.sizes.num_trails,
        )
