"""The chains that training walks, as they move: paths in the plane, positions, or images."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from backend.events import Event
from backend.metrics.density import energies
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer


class WalkingChainsObserver(Observer):
    """`chains/walk` in the plane; of images `samples/train_time`, of else `chains/positions`."""

    id = "walking_chains"
    needs_energy = True

    def watch(self, context: Context) -> Iterable[Event]:
        if self.subject.grid is not None:
            yield self._path(context)
        elif self.subject.data.is_image:
            yield from self._images(context)
        else:
            chains, role = context.walk
            z, energy = chains.position, chains.state.energy
            yield from self.subject.cloud("chains/positions", z, role, energy)

    def _path(self, context: Context) -> Event:
        subject, (chains, role) = self.subject, context.walk
        accepted = chains.accepted[-(len(chains.path) - 1) :]
        return pictures.trajectory(
            "chains/walk",
            subject.data,
            torch.stack(chains.path),
            torch.stack(chains.energies),
            torch.stack(accepted) if subject.sampler.exact else None,
            role,
            num=subject.sizes.num_trails,
        )

    def _images(self, context: Context) -> Iterable[Event]:
        """The chains that training walks or, of a method that draws in a way of its own, fresh
        samples; chains from noise only where there is nothing else."""
        subject, (chains, role) = self.subject, context.walk
        z, energy = chains.position, chains.state.energy
        if role != "train_time":
            fresh = context.train_time_samples(subject.sizes.num_cells)
            if fresh is not None:
                z, role, energy = fresh, "train_time", energies(context.energy, fresh)
        return subject.cloud(f"samples/{role}", z, role, energy)
