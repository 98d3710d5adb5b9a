"""Energy-based transformers on text: the next character is what minimises an energy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.method import Preset, Task
from backend.methods.energy_transformer import LARGE, EnergyTransformer
from backend.methods.text_transformer import DATA, FIGURES, TRAIN, SequenceConfig, misfit
from backend.metric_names import Figure
from backend.networks.causal_transformer import CausalEnergy
from backend.objectives.inner_descent import GROUP, InnerStepsConfig
from backend.spec import Budget
from backend.training import TrainConfig


class EnergyTextConfig(SequenceConfig, InnerStepsConfig):
    num_inner_steps: int = option(
        2, "Steps down the energy that make a prediction.", ge=1, le=64, main=True, group=GROUP
    )
    unrolled: bool = option(
        False,
        "On: the loss is followed back through all inner steps. Off: each step is judged by its "
        "own gradient alone, which is steadier.",
        group=GROUP,
    )
    step_size: float = option(
        30.0,
        "Inner step size at the start; it is learned.",
        gt=0,
        le=1e4,
        log=True,
        main=True,
        group=GROUP,
    )
    step_rate: float = option(
        1.5,
        "Learning rate of the logarithm of the inner step size over that of the weights; 0 holds "
        "it.",
        ge=0,
        le=1e4,
        group=GROUP,
    )
    start_noise: float = option(
        0.1,
        "Standard deviation of the logits that a prediction starts at; other starts than those of "
        "training lead nowhere.",
        gt=0,
        le=100,
        unit="logits",
        group=GROUP,
    )
    train: TrainConfig = option(TRAIN, "How the weights are fitted.")


class EnergyText(EnergyTransformer):
    """x_{k+1} = x_k − α ∇_x E(x_k, c), x logits at every place, fitted by their cross-entropy.

    Energies of all places are computed at once: each sees the characters before it and its own
    guess alone. Gladstone et al. 2025.
    """

    id: ClassVar[str] = "energy_text"
    title: ClassVar[str] = "Energy-based transformer on text"
    summary: ClassVar[str] = (
        "Finds the shares of the next character by going down an energy of them and the text "
        "before."
    )
    Config: ClassVar[type[Config]] = EnergyTextConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Two steps, each judged by itself.", budget=Budget(steps=1500), data=DATA
        ),
        "large": Preset(
            "Windows of 256 characters by six blocks 384 wide, the size of the small models of the "
            "paper; give it a text of your own.",
            {
                "width": 384,
                "depth": 6,
                "num_heads": 6,
                "train": LARGE | {"batch_size": 64},
            },
            budget=Budget(steps=50_000),
            wants_gpu=True,
            data=DATA | {"length": 256, "num_characters": 1_000_000},
        ),
    }
    headline: ClassVar[tuple[str, ...]] = (
        "prediction/bits",
        *EnergyTransformer.headline[1:4],
        "loss/total",
    )
    figures: ClassVar[dict[str, Figure]] = {**EnergyTransformer.figures, **FIGURES}
    takes_real: ClassVar[bool] = False
    takes_discrete: ClassVar[bool] = True
    config: EnergyTextConfig  # type: ignore[assignment]

    @classmethod
    def fits(cls, data: Data) -> str:
        return super().fits(data) or misfit(data)

    @classmethod
    def problems(cls, config: EnergyTextConfig, data: Data) -> Iterable[tuple[str, str]]:  # type: ignore[override]
        return ()

    def network(self, task: Task) -> nn.Module:
        sizes = self.config.sizes(task.data, self.generator)
        return CausalEnergy(*sizes, num_outputs=self.config.num_landscapes).to(task.device)

    def errors(self, position: Tensor, x: Tensor) -> Tensor:
        entropies = F.cross_entropy(position.transpose(1, 2), x.long(), reduction="none")
        return entropies.mean(1)

    def start_of(self, context: Tensor, generator: torch.Generator) -> Tensor:
        shape = (*context.shape, int(self.task.data.num_values or 0))
        noise = torch.randn(shape, generator=generator, device=context.device)
        return self.config.start_noise * noise
