"""Episodes of few labels: some classes of the data, few rows of each labelled, others asked."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Episodes(NamedTuple):
    """Rows of the data, episode by episode, those with labels first."""

    rows: Tensor
    """(episodes, events) places in the data"""
    truth: Tensor
    """(episodes, events) numbers of their classes within the episode"""
    classes: Tensor
    """(episodes, ways) the data's classes that these are"""


def rows_needed(ways: int, shots: int, queries: int, concentration: float) -> int:
    """Rows of one class that an episode may take."""
    return shots + queries * (ways if concentration else 1)


def large_classes(labels: Tensor, num_labels: int, least: int) -> Tensor:
    """Classes of so many rows or more, of labels (num,)."""
    return (labels.bincount(minlength=num_labels) >= least).nonzero()[:, 0]


def episodes(
    labels: Tensor,
    classes: Tensor,
    num: int,
    sizes: tuple[int, int, int],
    concentration: float,
    generator: torch.Generator,
) -> Episodes:
    """Draw `num` episodes of (ways, shots, queries) from rows with these labels (num_rows,).

    Queries are as many of every class, or of Dirichlet shares where there is a concentration.
    """
    ways, shots, queries = sizes
    device = labels.device
    keys = torch.rand((num, len(classes)), generator=generator, device=device)
    chosen = classes[keys.argsort(1)[:, :ways]]
    counts = torch.full((num, ways), queries, device=device)
    if concentration:  # Pólya's urn draws Dirichlet shares, and sizes by them
        counts.zero_()
        for _ in range(ways * queries):
            drawn = torch.multinomial(concentration + counts, 1, generator=generator)
            counts.scatter_add_(1, drawn, torch.ones_like(drawn))
    rows, truth = [], []
    for own, asked in zip(chosen, counts.tolist(), strict=True):
        mixed = []
        for each in own:
            of_class = (labels == each).nonzero()[:, 0]
            order = torch.randperm(len(of_class), generator=generator, device=device)
            mixed.append(of_class[order])
        queried = [each[shots : shots + n] for each, n in zip(mixed, asked, strict=True)]
        rows.append(torch.cat([*(each[:shots] for each in mixed), *queried]))
        lengths = torch.tensor([shots] * ways + asked, device=device)
        truth.append(torch.arange(ways, device=device).repeat(2).repeat_interleave(lengths))
    return Episodes(torch.stack(rows), torch.stack(truth), chosen)
