"""Clusters of positions with their probabilities and energies: of held-out data, or of a file."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import CELLS, Problems, landscape, nats, positions_problems, read_positions
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Event, Table
from backend.metrics import clustering
from backend.metrics.density import Grid, energies
from backend.observe import pictures
from backend.observe.cluster_pictures import cluster_map, matched_table, share_bars

CHUNK = 4096


class ClusterConfig(Config):
    path: str = option(
        "",
        "An .npy file of positions (num, ...) in the data's units; empty takes held-out data.",
        max_length=1000,
        main=True,
    )
    num: int = option(
        2000, "At most so many of the positions.", ge=1, le=1_000_000, main=True, log=True
    )


class ClusterAbility(Ability):
    """p(cluster | x) of every position, and E(x), which tells those that are like no cluster.

    Of held-out data with known classes also the normalised mutual information and the adjusted Rand
    index, and which cluster is of which class.
    """

    id = "cluster"
    title = "Clusters of positions"
    order = 3
    summary = "The cluster of every position, how sure it is and how usual the position."
    references = "Vinh, Epps & Bailey 2010"
    Config: ClassVar[type[Config]] = ClusterConfig

    @classmethod
    def problems(cls, asked: Asked, config: ClusterConfig) -> Problems:
        if asked.method.cluster_log_probs(asked.data.held_out[:1]) is None:
            yield "", f"{asked.method.title} makes no clusters, so it knows none of positions."
        yield from positions_problems(asked.data, config.path)

    @classmethod
    def answer(cls, asked: Asked, config: ClusterConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        z = (read_positions(data, config.path) if config.path else data.held_out)[: config.num]
        log_probs = _log_probs(asked, z)
        energy = energies(asked.method.energy(), z)
        confidence, cluster = log_probs.exp().max(1)
        shares = clustering.marginal(log_probs)
        figures = {f"share/{k}": float(share) for k, share in enumerate(shares)}
        figures |= {
            "entropy": clustering.entropy(log_probs),
            "confidence": float(confidence.mean()),
        }
        rows: list[list[str | float | int | None]] = [
            [k, figures[f"share/{k}"], float(energy[cluster == k].mean())]
            for k in range(len(shares))
        ]
        events: list[Event] = [
            Table("clusters", ["cluster", "share", "mean energy"], rows),
            share_bars(shares),
            *_maps(asked),
        ]
        summary = (
            f"The {len(z):,} positions fall into {len(shares)} clusters, the largest of which has "
            f"{float(shares.max()):.1%}; they are sure of theirs with a probability of "
            f"{nats(figures['confidence'])} on average."
        )
        if not config.path and data.held_out_labels is not None:
            labels = data.held_out_labels[: config.num]
            match = clustering.matched(log_probs, labels, data.num_labels)
            figures |= clustering.agreement(cluster, labels) | {"matched_accuracy": match.accuracy}
            events.append(matched_table(data, match))
            summary += (
                f" Mutual information with the true classes is {nats(figures['nmi'])} of 1; named "
                f"after them as well as can be, {match.accuracy:.1%} are right."
            )
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "cluster": cluster.cpu().numpy(),
            "probability": pictures.float32(log_probs.exp()),
            "energy": pictures.float32(energy),
        }
        return Answer(summary, figures, arrays, tuple(events))


def _log_probs(asked: Asked, z: Tensor) -> Tensor:
    """log p(cluster | z), (num, num_clusters), a chunk at a time."""
    parts = [asked.method.cluster_log_probs(part) for part in z.split(CHUNK)]
    return torch.cat([part for part in parts if part is not None])


def _maps(asked: Asked) -> list[Event]:
    """Clusters and energy over the view of the data; nothing beyond the plane."""
    data = asked.data
    view = pictures.view_of(data)
    if view is None:
        return []
    grid = Grid(view, CELLS)
    points = data.standardise(grid.points(data.train.device)).to(data.train)
    image = cluster_map(_log_probs(asked, points), grid.size, grid.box)
    return [image, *landscape(data, asked.method.energy())]
