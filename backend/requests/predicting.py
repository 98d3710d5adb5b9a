"""Predictor: x from what is given beside it, thought step by step, judged by an energy or by none.

A method with one derives from `PredictingMethod`, which draws, refuses and is observed by it; the
abilities that predict ask the predictor itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.config import KindConfig
from backend.method import Method, SampleRequest
from backend.networks.regressors import Regressor

CONTEXT = "context"
"""Name of what predictions are made from, in all that is given."""
Given = Mapping[str, Tensor]
"""(num, ...) by name, as `Data.given`"""


class Predictor(ABC):
    """Steps from a start to a prediction, all without a graph.

    Positions are (num, *event_shape), standardised; of events of whole numbers they are logits
    (num, *event_shape, num_values) of each.
    """

    num_steps: int
    """steps of a prediction unless others are asked for"""
    passes_per_step: int = 1
    """passes through the network, forward or back, of one step"""

    @abstractmethod
    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        """Positions that predictions begin at."""

    @abstractmethod
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        """Positions after step `index`, 0 the first, of `num_steps` planned."""

    def energy(self, x: Tensor, given: Given) -> Tensor | None:
        """(num,) energies of positions beside what is given; None where nothing judges them.

        They compare positions with the same given alone: what is given shifts them freely.
        """
        return None


class Thought(NamedTuple):
    """One prediction of each row, with the way to it."""

    positions: Tensor
    """(num_steps + 1, num, ...): the start and the position after each step"""
    energies: Tensor | None
    """(num_steps + 1, num) of these positions; None where nothing judges them"""
    num_taken: Tensor
    """(num,) int64: steps taken before the energy had settled"""

    @property
    def last(self) -> Tensor:
        return self.positions[-1]


@torch.no_grad()
def think(
    predictor: Predictor,
    given: Given,
    generator: torch.Generator,
    num_steps: int | None = None,
    settled: float = 0.0,
    start: Tensor | None = None,
) -> Thought:
    """A prediction of each row by `num_steps` steps, with every position on the way.

    A row rests once a step changes its energy by less than `settled`; 0 lets none rest, and neither
    does a predictor without an energy.
    """
    num_steps = predictor.num_steps if num_steps is None else num_steps
    x = predictor.start(given, generator) if start is None else start
    energy = predictor.energy(x, given)
    positions, energies = [x], [energy]
    taken = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    awake = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for index in range(num_steps):
        stepped = predictor.think(x, given, index, num_steps, generator)
        x = torch.where(awake.reshape(-1, *[1] * (x.dim() - 1)), stepped, x)
        before, energy = energy, predictor.energy(x, given)
        taken += awake
        if settled and energy is not None and before is not None:
            awake = awake & ((energy - before).abs() >= settled)
        positions.append(x)
        energies.append(energy)
    judged = [each for each in energies if each is not None]
    return Thought(torch.stack(positions), torch.stack(judged) if judged else None, taken)


def not_predicting(method: Method) -> str:
    """The sentence for whoever asks another method for predictions: what it can be asked."""
    if not method.draws:
        return method.no_energy()
    instead = "a prediction" if method.needs else "samples"
    return f"{method.title} predicts nothing step by step. Ask for {instead}."


class PredictingMethod(Method):
    """Base of methods that draw by a predictor of x beside a `context`."""

    needs: ClassVar[tuple[str, ...]] = (CONTEXT,)
    headline: ClassVar[tuple[str, ...]] = (
        "prediction/psnr",
        "prediction/squared_error",
        "loss/total",
    )
    judges: ClassVar[bool] = False
    """True where an energy judges predictions beside their context"""
    observers: ClassVar[tuple[str, ...]] = (
        "data",
        "predictions",
        "thinking",
        "outcomes",
        "own_events",
    )

    @abstractmethod
    def predictor(self) -> Predictor:
        """The trained (averaged) weights as they predict."""

    def regressor(self, config: KindConfig, *, takes_event: bool) -> Regressor:
        """The network of a Config from the context of the data, and an event beside it or none."""
        data, generator = self.task.data, self.generator
        shape = data.given[CONTEXT].shape[1:]
        network = Regressor(config, data.event_shape, shape, takes_event, generator)
        return network.to(self.task.device)

    def prediction_of(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Events (num, *event_shape) of a predictor's positions; drawn from logits, where events
        are of whole numbers."""
        if self.task.data.num_values is None:
            return x
        shares = x.softmax(-1).flatten(0, -2)
        drawn = torch.multinomial(shares, 1, generator=generator)
        return drawn.reshape(x.shape[:-1]).to(self.task.data.train.dtype)

    @classmethod
    def no_energy(cls) -> str:
        return (
            f"{cls.title} predicts x from its context; an energy it has, if any, is none of x "
            "alone. Ask for a prediction."
        )

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        if request.sampler is not None:
            return "sampler", f"{self.title} predicts by its own inner steps; give `num_steps`."
        if request.known is not None or request.mask is not None:
            return "mask", f"{self.title} predicts whole events from their context."
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        """Results of `num_steps` steps from the start, each beside its own context."""
        predictor, given = self.predictor(), request.given
        num_steps = predictor.num_steps if request.num_steps is None else request.num_steps
        x = predictor.start(given, generator) if request.start is None else request.start
        for index in range(num_steps):
            x = predictor.think(x, given, index, num_steps, generator)
        return self.prediction_of(x, generator)
