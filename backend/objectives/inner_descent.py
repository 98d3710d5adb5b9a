"""Steps down an energy that are learned through: what a prediction by minimisation is fitted by.

x_{k+1} = x̃_k − α ∇_x E(x̃_k, c) with x̃_k = x_k + s η. Gladstone et al. 2025.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.energies import Condition
from backend.gradient_use import differentiated

GROUP = "Inner steps"


class InnerStepsConfig(Config):
    """Fields of every method that predicts by going down an energy."""

    num_inner_steps: int = option(
        3,
        "Steps down the energy that make a prediction.",
        ge=1,
        le=64,
        main=True,
        group=GROUP,
    )
    extra_steps: int = option(
        0,
        "In training each row takes up to this many steps more, their number drawn anew; a "
        "prediction then stays where it is when thought on.",
        ge=0,
        le=64,
        group=GROUP,
    )
    num_judged: int = option(
        2,
        "Last inner steps whose positions enter the loss; several make a prediction stay where it "
        "is when more steps are taken.",
        ge=1,
        le=64,
        group=GROUP,
    )
    unrolled: bool = option(
        True,
        "On: the loss is followed back through all inner steps. Off: each step is judged by its "
        "own gradient alone, which is steadier.",
        group=GROUP,
    )
    step_size: float = option(
        0.6,
        "Inner step size at the start; it is learned.",
        gt=0,
        le=1e4,
        log=True,
        main=True,
        group=GROUP,
    )
    step_rate: float = option(
        3.0,
        "Learning rate of the logarithm of the inner step size over that of the weights; 0 holds "
        "it.",
        ge=0,
        le=1e4,
        group=GROUP,
    )
    step_spread: float = option(
        1.0,
        "In training each row's step size is drawn up to this many times smaller or larger, so "
        "that no single path is learned by heart; 1 draws none.",
        ge=1,
        le=10,
        group=GROUP,
    )
    contrast: float = option(
        0.0,
        "Weight of telling the truth from the prediction by their energies (InfoNCE), beside the "
        "error; 0 leaves it out.",
        ge=0,
        le=100,
        group=GROUP,
    )
    langevin_noise: float = option(
        0.0,
        "Standard deviation of the noise that training adds before every inner step.",
        ge=0,
        le=100,
        unit="data sd",
        group=GROUP,
    )
    replay_share: float = option(
        0.0,
        "Share of a batch that goes on from the predictions of earlier updates, so that long "
        "thoughts are trained at the price of short ones.",
        ge=0,
        lt=1,
        group=GROUP,
    )
    replay_size: int = option(
        192,
        "Latest predictions that are kept to go on from; older ones belong to weights long gone.",
        ge=1,
        le=65536,
        group=GROUP,
    )

    num_landscapes: int = option(
        1,
        "Energies that the steps go down, a head of the network each: the first step the first, "
        "and so on; the last of them is that of all further steps, and judges.",
        ge=1,
        le=64,
        group=GROUP,
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.num_landscapes > self.most_steps:
            notes["num_landscapes"] = (
                f"Training takes {self.most_steps} steps: those after them are not trained."
            )
        if not self.unrolled:
            notes["num_judged"] = "No effect: every step is judged by itself."
        elif self.num_judged > self.num_inner_steps:
            notes["num_judged"] = f"All {self.num_inner_steps} inner steps are judged."
        if not self.replay_share:
            notes["replay_size"] = "No effect: no prediction is gone on from."
        return notes

    @property
    def most_steps(self) -> int:
        """Inner steps that an update takes."""
        return self.num_inner_steps + self.extra_steps


class InnerStep(NamedTuple):
    """One step with its graph."""

    position: Tensor
    """(batch, ...) after the step"""
    energy: Tensor
    """(batch, ...) before it"""
    gradient: Tensor
    """(batch, ...) in x, before it"""


class Descent(nn.Module):
    """x ← x − α ∇_x E(x, context), with the energy and log α to be learned.

    network(x, Condition(context)) gives energies (batch, ...), several a row where a row is made of
    parts that do not touch; with several landscapes (batch, ..., num_landscapes), of which step i
    goes down that of its own, or the last.
    """

    def __init__(self, network: nn.Module, step_size: float, num_landscapes: int = 1) -> None:
        super().__init__()
        self.network, self.num_landscapes = network, num_landscapes
        log_step = torch.full((), step_size).log()
        self.log_step = nn.Parameter(log_step.to(next(network.parameters()).device))

    def learned(
        self,
        x: Tensor,
        context: Tensor,
        factor: Tensor,
        num_steps: int,
        unrolled: bool,
        noise: Tensor | None = None,
    ) -> Iterator[InnerStep]:
        """The steps, with their graph. factor (batch,) on the step size; noise (batch, num_steps,
        ...) is added to x before each."""
        step = (self.log_step.exp() * factor).reshape(-1, *[1] * (x.dim() - 1))
        condition, read = Condition(context=context), self.reading(context)
        for index in range(num_steps):
            x = x if unrolled else x.detach()
            x = x if noise is None else x + noise[:, index]
            x = x if x.requires_grad else x.requires_grad_()
            with differentiated("twice"):
                energy = self.landscape(self.network(x, condition, **read), index)
            (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
            x = x - step * gradient
            yield InnerStep(x, energy, gradient)

    def reading(self, context: Tensor) -> dict[str, Any]:
        """Reading of the context that all steps share, of networks that have such a part."""
        reading = getattr(self.network, "reading", None)
        if reading is None:
            return {}
        with differentiated("twice"):
            return {"read": reading(context)}

    def landscape(self, energies: Tensor, index: int | None = None) -> Tensor:
        """Energies (batch, ...) of step `index`; None for those that judge."""
        if self.num_landscapes == 1:
            return energies
        last = self.num_landscapes - 1
        return energies[..., last if index is None else min(index, last)]

    def stepped(self, x: Tensor, context: Tensor, index: int = 0) -> Tensor:
        """x after step `index`, without a graph."""
        with torch.enable_grad(), differentiated("positions"):
            x = x.detach().requires_grad_(True)
            energies = self.network(x, Condition(context=context))
            (gradient,) = torch.autograd.grad(self.landscape(energies, index).sum(), x)
        return x.detach() - self.log_step.detach().exp() * gradient

    def judged(self, x: Tensor, context: Tensor) -> Tensor:
        """Energies (batch, ...) that judge positions."""
        return self.landscape(self.network(x, Condition(context=context)))

    @torch.no_grad()
    def energies(self, x: Tensor, context: Tensor) -> Tensor:
        """The same without a graph."""
        return self.judged(x, context)


def step_factors(
    num: int, spread: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """(num,) factors on the step size, log-uniform between 1 / spread and spread."""
    spreads = torch.rand(num, generator=generator, device=device)
    return torch.pow(spread, 2 * spreads - 1)


def judged_shares(
    config: InnerStepsConfig, num: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """(num, most_steps) weights of each inner step in the loss of a row, each row's sum 1.

    A row's number of steps is uniform from `num_inner_steps` to `most_steps`; its last `num_judged`
    count alike, or all where none learns from those after it. Nothing is copied to the host, so
    that later steps cost time and weigh nothing.
    """
    extra = torch.randint(config.extra_steps + 1, (num, 1), generator=generator, device=device)
    last = config.num_inner_steps + extra
    place = torch.arange(config.most_steps, device=device)
    num_judged = config.num_judged if config.unrolled else config.most_steps
    counts = ((place < last) & (place >= last - num_judged)).float()
    return counts / counts.sum(1, keepdim=True)


class Replay:
    """Latest predictions and the rows they are of: first in, first out.

    Raises nothing; make it with one prediction of each of `size` rows. Du & Mordatch 2019.
    """

    def __init__(self, rows: Tensor, positions: Tensor) -> None:
        self.rows, self.positions = rows, positions

    def push(self, rows: Tensor, positions: Tensor) -> None:
        size = len(self.rows)
        self.rows = torch.cat([rows, self.rows])[:size]
        self.positions = torch.cat([positions, self.positions])[:size]

    def drawn(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows (num,) and positions to go on from, drawn with replacement."""
        index = torch.randint(len(self.rows), (num,), generator=generator, device=self.rows.device)
        return self.rows[index], self.positions[index]
