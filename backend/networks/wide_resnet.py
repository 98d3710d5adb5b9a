"""A wide residual network that ends in one number an image, or in several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backend.networks.conditioning import condition_embedding
from backend.networks.layers import ACTIVATIONS, Activation, conv, linear
from backend.networks.residual_blocks import ImageNetwork, Stage, halved


class WideResNet(ImageNetwork):
    """Σ over pixels of a(h), dotted with as many vectors as there are outputs, which the condition
    chooses: x → (batch, outputs) float32.

    h is what residual blocks make of the image: `num_blocks` at each of len(multipliers)
    resolutions, `features` × multiplier channels wide. No batch norm: an energy depends on its own
    position alone. Spectral norm, where asked for, is on every layer but those of the last dot
    product. The sum and the dot product are float32. Gao et al. 2021.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        multipliers: Sequence[int],
        num_blocks: int,
        generator: torch.Generator,
        *,
        activation: Activation = "leaky_relu",
        spectral: bool = False,
        num_levels: int = 0,
        num_labels: int = 0,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        size = 4 * features
        self.embedding = condition_embedding(num_levels, num_labels, size, generator)
        self.first = conv(channels, features, 3, generator, spectral, padding=1)
        self.act = ACTIVATIONS[activation]()
        self.stages = nn.ModuleList()
        # branches start so small that all of them together add as much as comes in
        gain = (num_blocks * len(multipliers)) ** -0.5
        now = features
        for multiplier in multipliers:
            stage = Stage(
                now,
                multiplier * features,
                num_blocks,
                generator,
                activation=activation,
                gain=gain,
                embedding=size if self.embedding is not None else 0,
                spectral=spectral,
            )
            self.stages.append(stage)
            now = multiplier * features
        # small, so that energies start near zero though many pixels are summed
        if self.embedding is None:
            self.readout = linear(now, outputs, generator, False)
        else:
            self.readout = linear(size, outputs * now, generator, False)
        with torch.no_grad():
            for parameter in self.readout.parameters():
                parameter.div_(now**0.5)

    def forward(
        self, x: Tensor, level: Tensor | None = None, label: Tensor | None = None
    ) -> Tensor:
        embedded = None
        if self.embedding is not None:
            embedded = self.embedding(len(x), level, label)
        hidden = self.opened(self.first, x)
        for index, stage in enumerate(self.stages):
            hidden = halved(hidden) if index else hidden
            hidden = stage(hidden, embedded)
        summed = self.act(hidden).float().sum((2, 3))
        with torch.autocast(x.device.type, enabled=False):
            if embedded is None:
                read: Tensor = self.readout(summed)
                return read
            vectors = self.readout(embedded.float()).unflatten(1, (-1, summed.shape[1]))
            return (summed[:, None] * vectors).sum(2)
