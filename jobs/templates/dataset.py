"""Template name: points on a wave; put your own into `load`."""

from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.randomness import generator_of


class TemplateNameConfig(KindConfig):
    kind: Literal["template_name"] = "template_name"
    num: int = option(5000, "Training points.", ge=100, le=1_000_000, main=True)
    num_held_out: int = option(2000, "Held-out points, drawn apart.", ge=100, le=100_000)
    noise: float = option(0.1, "Standard deviation around the wave.", gt=0, le=10)
    seed: int = option(0, "Seeds the draw of the data; the run has its own.", ge=0, le=2**31 - 1)


class TemplateName(Dataset):
    """Points (x, sin x + noise); training data have mean 0 and deviation 1 a coordinate."""

    Config: ClassVar[type[KindConfig]] = TemplateNameConfig
    title: ClassVar[str] = "Template name"
    summary: ClassVar[str] = "Points on a wave: does the model follow a curve?"
    config: TemplateNameConfig

    def load(self) -> Data:
        x, held_out = (
            self._drawn(num, generator_of("data", self.config.seed, index))
            for index, num in enumerate((self.config.num, self.config.num_held_out))
        )
        mean, scale = x.mean(0), x.std(0)
        z = (x - mean) / scale
        low, high = noise_box(z)
        return Data(
            name=self.config.kind,
            title=self.title,
            train=z,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            columns=("x", "y"),
        )

    def _drawn(self, num: int, generator: torch.Generator) -> torch.Tensor:
        x = 6.3 * torch.rand(num, generator=generator) - 3.15
        y = x.sin() + self.config.noise * torch.randn(num, generator=generator)
        return torch.stack([x, y], 1)
