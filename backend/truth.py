"""Truth: what is known of a target, for samplers to be judged by, or of what follows a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Expectations:
    """Known means of functions of a position, for targets whose coordinates say little.

    A particle has no name and a hidden unit no place: distances and predictions do.
    """

    names: tuple[str, ...]
    of: Callable[[Tensor], Tensor]
    """positions (num, *event_shape) in the user's units -> values (num, len(names))"""
    mean: Tensor
    """(len(names),) float64"""
    variance: Tensor | None = None
    """(len(names),) float64, of one position's values"""
    error: Tensor | None = None
    """(len(names),), standard error of `mean` where it comes from a long run"""


@dataclass(frozen=True)
class Truth:
    """Moments and normaliser of exp(-E), E the data's `density` or `target`, in the user's units.

    What is not known is None. Figures of a long run carry their standard errors.
    """

    source: str
    """"closed form", "quadrature", "enumeration", or "a run of ..." """
    mean: Tensor | None = None
    """(*event_shape) float64"""
    variance: Tensor | None = None
    """(*event_shape) float64"""
    log_z: float | None = None
    """log ∫ exp(-E(x)) dx, or log Σ; 0 for a normalised density"""
    mode_weights: Tensor | None = None
    """(num_modes,) float64, shares of the mass nearest to each of the data's `modes`"""
    mean_energy: float | None = None
    """E[E(x)], nats"""
    mean_error: Tensor | None = None
    """(*event_shape), standard error of `mean` where it comes from a long run"""
    variance_error: Tensor | None = None
    """(*event_shape), standard error of `variance` where it comes from a long run"""
    mode_weights_error: Tensor | None = None
    """(num_modes,), standard error of `mode_weights` where they come from draws"""
    mean_energy_error: float | None = None
    """standard error of `mean_energy`, nats, where it comes from draws"""
    functions: Expectations | None = None
    """what is known beyond the moments of coordinates"""
    comparable: bool = True
    """whether the data's `train` and `held_out` are draws of the target at all"""
    draws: str = "exact draws"
    """what the data's `train` and `held_out` are; a distance to them means no more than that"""


class Rivals(NamedTuple):
    """Events that may follow each context beside one that cannot: the energy should tell."""

    possible: Tensor
    """(num, num_possible, *event_shape)"""
    false: Tensor
    """(num, *event_shape); NaN in rows that are left out"""


class Future(ABC):
    """Law of what follows a context: it judges predictions and goes on from them.

    Contexts (num, *context_shape) and events x (num, *event_shape) are in the data's units.
    """

    view: ClassVar[float | None] = None
    """half the side of the square about the origin in which futures are drawn; None: in none"""
    obstacles: ClassVar[tuple[tuple[float, float, float], ...]] = ()
    """(x, y, radius) of discs in that square which ways must not touch"""
    two: ClassVar[tuple[str, ...]] = ()
    """names of the two futures of open contexts; the first is also that of an outcome, whether one
    on `either` is on it"""
    either: ClassVar[str] = ""
    """name of the outcome of coming to one of the two"""

    @abstractmethod
    def outcomes(self, context: Tensor, x: Tensor) -> dict[str, Tensor]:
        """(num,) by name: what became of each prediction x; NaN in rows it is not asked of."""

    @abstractmethod
    def rivals(self, context: Tensor, x: Tensor, generator: torch.Generator) -> dict[str, Rivals]:
        """By name, what the true x and whatever else may follow is compared with."""

    @abstractmethod
    def places(self, context: Tensor) -> Tensor:
        """(num, num_things, 2): where what moves is, to be drawn."""

    def advance(self, context: Tensor, x: Tensor) -> Tensor | None:
        """The context after x came true; None where one x is not one step."""
        return None

    def true_next(self, context: Tensor) -> Tensor | None:
        """x that follows by the law, without noise; None where chance has a part in it."""
        return None

    def is_open(self, context: Tensor) -> Tensor:
        """(num,) bool: more than one thing may follow."""
        return torch.zeros(len(context), dtype=torch.bool, device=context.device)

    def possible(self, context: Tensor) -> tuple[Tensor, Tensor] | None:
        """(num, 2, *event_shape) futures of each context, and (num,) bool: they differ; None where
        the law has not two."""
        return None

    def place_of(self, context: Tensor, x: Tensor) -> Tensor | None:
        """(num, 2) place that x leads to or by, as `at_places` has it; None without a `view`."""
        return None

    def path(self, context: Tensor, x: Tensor) -> Tensor | None:
        """(num, steps + 1, 2) way in the plane, from the present place; None without a `view`."""
        return None

    def at_places(self, context: Tensor, places: Tensor) -> Tensor | None:
        """x (num, *event_shape) that leads from a context (1, ...) to or by each place (num, 2);
        None without a `view`."""
        return None


class Control(Future):
    """Law of what becomes of plans: x is a plan, and an environment carries it out."""

    @abstractmethod
    def environment(self, num_envs: int) -> Any:
        """A fresh environment with Gymnasium's interface for vectors, and `shove`; observations
        are contexts, and their first two numbers the place."""

    @abstractmethod
    def actions(self, x: Tensor) -> Tensor:
        """(num, steps, action) of plans x."""

    @abstractmethod
    def direct(self, context: Tensor) -> Tensor:
        """x of the plan that heeds nothing in its way."""
