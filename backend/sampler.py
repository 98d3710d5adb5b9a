"""Sampler: a Markov kernel that leaves exp(-E/T) in place, exactly or nearly so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from backend.compilation.compiler import Compiler
from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient

T = TypeVar("T")
NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def temperature_option() -> Any:
    """Field `temperature` of the Config of a sampler that has one."""
    return option(
        1.0,
        "T of the exp(−E/T) that is sampled.",
        gt=0,
        le=1000,
        log=True,
        group="Sampler",
        turnable=True,
    )


class State(NamedTuple):
    """State of a batch of chains; the gradient is carried so that no step pays for it twice."""

    position: Tensor
    """(chains, *event_shape)"""
    energy: Tensor
    """(chains,)"""
    gradient: Tensor
    """like position; of discrete events (chains, *event_shape, values), in the one-hot positions"""
    extra: Mapping[str, Tensor] = NOTHING
    """what else a kernel carries on: momenta, replicas, a tuned `step_size`; replaced, never
    written into"""

    def carrying(self, **values: Tensor) -> State:
        """The same with some of `extra` replaced."""
        return self._replace(extra={**self.extra, **values})


class Info(NamedTuple):
    """Record of one step."""

    acceptance_rate: Tensor
    """(chains,) probability of acceptance; 1 for samplers that never reject"""
    accepted: Tensor
    """(chains,) bool"""
    proposal: Tensor
    """(chains, *event_shape), where the step would have gone"""
    gradient_evaluations: int
    """evaluations of ∇E this step cost, each over the whole batch; energies alone count as one"""
    figures: Mapping[str, Tensor] = NOTHING
    """0-d each, the same names at every step: `swap_rate`, `tree_depth`, `divergences`, ..."""
    log_weights: Tensor | None = None
    """(chains,) importance weights of the positions, for samplers that anneal (AIS, SMC)"""
    complete: Tensor | None = None
    """0-d bool: positions (with their weights) are draws of the target now, not on the way there;
    None where they always are"""


class Sampler(ABC):
    """Base of every sampler. A file in `backend/samplers/` with one subclass adds a sampler.

    Works on events of any shape, batched over chains, on one device; draws from the generator it
    is given and nothing else; never copies to the host, save where its docstring says so.
    """

    Config: ClassVar[type[KindConfig]]
    exact: ClassVar[bool]
    """True when it leaves exp(-E/T) in place at any step size"""
    bias: ClassVar[str] = ""
    """for samplers that are not exact: one sentence on what is wrong with their draws"""
    references: ClassVar[str] = ""
    follows_gradient: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    """True for kernels of events that take the values 0, 1, ... q-1"""
    population: ClassVar[bool] = False
    """True where chains act on one another, so that they are no independent repetitions"""
    anneals: ClassVar[bool] = False
    """True where chains go from a wide law to the target, pass after pass, instead of staying"""
    weighs: ClassVar[bool] = False
    """True where the mean weight of a pass's draws is an estimate of ∫ exp(-E)"""

    most_gradients: int | None = None
    """gradients that the next step may cost at most, where a kernel can choose; set on a sampler"""
    compiler: Compiler | None = None
    """what `fused` hands its work to; set on a sampler, None runs everything eager"""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def gradients_a_step(self) -> int:
        """About how many gradient evaluations one step costs."""
        return 1

    @property
    def temperature(self) -> float:
        """T of the exp(-E/T) that is sampled."""
        return float(getattr(self.config, "temperature", 1.0))

    @classmethod
    def fits(cls, energy: Energy) -> str:
        """Reason why this kernel cannot take this energy; "" when it can."""
        of_values = getattr(energy, "num_values", None) is not None
        if cls.discrete and not of_values:
            return "takes events of whole numbers alone, and this energy is of real numbers."
        if of_values and not cls.discrete:
            return "takes events of real numbers alone, and this energy is of whole numbers."
        return ""

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """The state at `position` (chains, *event_shape). Costs one gradient evaluation."""
        position = position.detach()
        return State(position, *energy_and_gradient(energy, position))

    @abstractmethod
    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        """One step of every chain."""

    def redrawn(
        self, position: Tensor, energy: Energy, generator: torch.Generator
    ) -> tuple[Tensor, int] | None:
        """The positions that `step` leads to, and its evaluations, by a kernel that asks for
        neither E nor ∇E at either end; None where it asks, which is the default."""
        return None

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        """The state with what this sampler tunes, after warm-up step `index` of `num_warm_up`.

        Called during warm-up alone, in order; after the last call nothing is tuned any more. What
        is tuned is carried in `state.extra`, on the device. By default nothing is.
        """
        return state

    def fused(self, function: Callable[..., T], energy: Energy, *given: Tensor | float) -> T:
        """`function(energy, *given)`: the arithmetic of a step, which may be compiled as one piece.

        `function` is defined at the top of a module, is of tensors alone, draws nothing, and reads
        numbers that may change (a step size) from its arguments.
        """
        if self.compiler is None:
            return function(energy, *given)
        return self.compiler(function, energy, *given)


def per_chain(value: Tensor, like: Tensor) -> Tensor:
    """A (chains,) tensor shaped to broadcast over positions (chains, *event_shape)."""
    return value.reshape(-1, *[1] * (like.dim() - 1))
