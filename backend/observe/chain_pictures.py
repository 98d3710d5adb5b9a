"""Diagnostics of chains as pictures, in ArviZ's vocabulary: trace, rank plot, autocorrelation,
effective sample size and R-hat by draws, energy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from backend.events import Curve, Event, Histogram
from backend.metrics.convergence import autocorrelation, bulk_ess, r_hat, tail_ess
from backend.observe.pictures import float32

MOST_LAGS = 64
NUM_CHAINS = 4
"""Chains that a trace and a rank plot show."""
NUM_RANK_BINS = 16
NUM_BINS = 30
NUM_LENGTHS = 8
"""Numbers of draws at which effective sample size and R-hat are taken."""
FEWEST_DRAWS = 8
"""Draws of a chain below which nothing is drawn."""
MIXED = 1.01
"""R-hat of chains that mix, Vehtari et al. 2021."""


def of_draws(draws: Tensor, between: int, *, first: int = 0, share: float = 1.0) -> Iterable[Event]:
    """Pictures of draws (chains, draws, figures) whose first figure is the energy.

    between: sampler steps from one draw to the next; first: the step of the first one; share: all
    chains over those that are here. Nothing of draws that are few, not finite, or do not move.
    """
    draws = draws.detach().double().cpu()
    moves = draws.flatten(0, 1).std(0) > 0
    if draws.shape[1] < FEWEST_DRAWS or not draws.isfinite().all() or not moves.any():
        return
    energy = draws[:, :, 0]
    steps = first + between * torch.arange(1, draws.shape[1] + 1)
    names = [f"chain {index + 1}" for index in range(min(NUM_CHAINS, len(draws)))]
    yield Curve(
        "chains/trace", float32(steps), float32(energy[:NUM_CHAINS]), names, "sampler step", "nats"
    )
    if len(draws) > 1:
        yield _ranks(energy, names)
    rho = autocorrelation(energy)[:MOST_LAGS]
    lags = torch.arange(len(rho)) * float(between)
    yield Curve(
        "chains/autocorrelation",
        float32(lags),
        float32(rho)[None],
        ["energy"],
        "lag, sampler steps",
    )
    yield from _by_length(draws[:, :, moves], steps, share)


def _ranks(energy: Tensor, names: list[str]) -> Histogram:
    """Ranks of a few chains' energies among those of all: flat where chains mix."""
    ranks = energy.flatten().argsort().argsort().reshape(energy.shape)
    edges = np.linspace(0, energy.numel(), NUM_RANK_BINS + 1)
    counts = [np.histogram(row.numpy() + 0.5, edges)[0] / len(row) for row in ranks[: len(names)]]
    expected = np.full(NUM_RANK_BINS, 1 / NUM_RANK_BINS)
    return Histogram(
        "chains/ranks",
        edges.astype(np.float32),
        np.array([*counts, expected], np.float32),
        [*names, "chains that mix"],
        np.zeros((len(names) + 1, 2), np.int32),
        unit="rank of the energy among all chains",
    )


def _by_length(draws: Tensor, steps: Tensor, share: float) -> Iterable[Event]:
    """Effective sample sizes and R-hat of the first draws, more and more of them.

    Of the figure with the largest R-hat in the end, and of it alone: all of them at every length
    would cost what the run should have.
    """
    worst = draws[:, :, int(r_hat(draws).nan_to_num(torch.inf).argmax())]
    lengths = torch.linspace(4, draws.shape[1], NUM_LENGTHS).round().int().unique().tolist()
    first = [worst[:, :length] for length in lengths]
    x = float32(steps[torch.tensor(lengths) - 1])
    sizes = torch.stack(
        [
            share * torch.stack([bulk_ess(part) for part in first]),
            share * torch.stack([tail_ess(part) for part in first]),
            share * len(draws) * torch.tensor(lengths).double(),
        ]
    )
    yield Curve(
        "chains/ess_growth",
        x,
        float32(sizes),
        ["bulk", "tail", "independent draws"],
        "sampler step",
        "draws",
    )
    hats = torch.stack([r_hat(part) for part in first])
    yield Curve(
        "chains/r_hat",
        x,
        float32(torch.stack([hats, torch.full_like(hats, MIXED)])),
        ["worst figure", f"chains that mix: {MIXED}"],
        "sampler step",
    )


def of_hamiltonians(values: Iterable[Tensor]) -> Iterable[Event]:
    """Energy plot: Hamiltonians at the starts of trajectories, (chains,) each, about their mean,
    beside the jumps from one to the next. Where jumps are much the narrower, momenta cannot follow
    the energy. Betancourt 2016."""
    rows = list(values)
    if len(rows) < FEWEST_DRAWS:
        return
    stacked = torch.stack(rows).double().cpu()
    if not stacked.isfinite().all():
        return
    sets = [(stacked - stacked.mean(0)).flatten().numpy(), stacked.diff(dim=0).flatten().numpy()]
    reach = max(float(np.quantile(np.abs(values), 0.995)) for values in sets)
    if reach == 0:
        return
    edges = np.linspace(-reach, reach, NUM_BINS + 1)
    counts = [np.histogram(values, edges)[0] / len(values) for values in sets]
    beyond = [[int((v < -reach).sum()), int((v > reach).sum())] for v in sets]
    yield Histogram(
        "chains/energy",
        edges.astype(np.float32),
        np.array(counts, np.float32),
        ["energy about its mean", "jumps between trajectories"],
        np.array(beyond, np.int32),
    )
