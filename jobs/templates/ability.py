"""Template name: how well the energy tells held-out data from noise; ask what you want to know."""

from collections.abc import Iterable
from typing import ClassVar

import torch

from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.metrics.density import energies


class TemplateNameConfig(Config):
    num: int = option(
        1000, "Held-out events, and as many of noise.", ge=2, le=100_000, main=True, log=True
    )


class TemplateName(Ability):
    """P(E(data) < E(noise)) over pairs: the area under the ROC curve; 0.5 is chance."""

    id = "template_name"
    title = "Template name"
    summary = "How often a held-out event has less energy than uniform noise."
    needs_energy: ClassVar[bool] = True
    Config: ClassVar[type[Config]] = TemplateNameConfig

    @classmethod
    def problems(cls, asked: Asked, config: TemplateNameConfig) -> Iterable[tuple[str, str]]:
        """(field, sentence) for whatever makes no sense to ask of this run."""
        return ()

    @classmethod
    def answer(cls, asked: Asked, config: TemplateNameConfig, generator: torch.Generator) -> Answer:
        energy, z = asked.method.energy(), asked.data.held_out[: config.num]
        on_data = energies(energy, z)
        on_noise = energies(energy, asked.data.noise(len(z), generator))
        share = float((on_data[:, None] < on_noise[None, :]).double().mean())
        summary = f"Of pairs of data and noise, {100 * share:.1f} % have less energy at the data."
        return Answer(summary, {"share": share, "share/chance": 0.5})
