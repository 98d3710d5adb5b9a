"""Template name: random-walk Metropolis; put your own proposal into `step`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.mala import metropolis


class TemplateNameConfig(KindConfig):
    kind: Literal["template_name"] = "template_name"
    title: ClassVar[str] = "Template name"
    summary: ClassVar[str] = "Steps in any direction, each accepted or rejected; no gradient."

    step_size: float = option(
        0.5,
        "Standard deviation of a proposal in every coordinate.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    temperature: float = temperature_option()


class TemplateName(Sampler):
    """y = x + a ξ, taken with probability min(1, e^{(E(x)−E(y))/T}). Metropolis et al. 1953."""

    Config: ClassVar[type[KindConfig]] = TemplateNameConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Metropolis et al. 1953"
    follows_gradient: ClassVar[bool] = False
    config: TemplateNameConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        return State(position, _values(energy, position), torch.zeros_like(position))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        x = state.position
        noise = torch.empty_like(x).normal_(generator=generator)
        uniform = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        y = x + self.config.step_size * noise
        proposed = State(y, _values(energy, y), state.gradient)
        log_rate = (state.energy - proposed.energy) / self.temperature
        return metropolis(state, proposed, log_rate, uniform, 1)


def _values(energy: Energy, x: Tensor) -> Tensor:
    with torch.no_grad():
        values: Tensor = energy(x)
    return values
