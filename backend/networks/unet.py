"""A U-Net: images in, images of the same shape out, one or several each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.networks.conditioning import condition_embedding
from backend.networks.layers import ACTIVATIONS, Activation, conv
from backend.networks.residual_blocks import ImageNetwork, Stage, halved


class UNet(ImageNetwork):
    """(x, level, label) → an image shaped like x (batch, h, w) or (batch, h, w, channels), or with
    several `outputs` as many (batch, outputs, ...).

    Residual blocks down len(multipliers) resolutions and up again, each joined on the way up with
    what was there on the way down; group norm, over each image alone. The last layer starts at
    zero: `residual` adds x, so that it starts as the identity, else it starts at zero. Ronneberger
    et al. 2015; Ho et al. 2020, without attention.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        multipliers: Sequence[int],
        num_levels: int,
        num_labels: int,
        generator: torch.Generator,
        *,
        num_blocks: int = 1,
        activation: Activation = "silu",
        residual: bool = True,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.residual, self.num_images = residual, outputs
        size = 4 * features
        self.embedding = condition_embedding(num_levels, num_labels, size, generator)

        def stage(inputs: int, outputs: int, num: int = num_blocks) -> Stage:
            return Stage(
                inputs,
                outputs,
                num,
                generator,
                activation=activation,
                gain=1.0,
                normalised=True,
                embedding=size if self.embedding is not None else 0,
            )

        self.first = conv(channels, features, 3, generator, False, padding=1)
        widths = [features * multiplier for multiplier in multipliers]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        now = features
        for width in widths:
            self.down.append(stage(now, width))
            now = width
        self.middle = stage(now, now, 1)
        for width in reversed(widths):
            self.up.append(stage(now + width, width))
            now = width
        self.act = ACTIVATIONS[activation]()
        self.last = conv(now, outputs * channels, 3, generator, False, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Tensor, level: Tensor | None = None, label: Tensor | None = None
    ) -> Tensor:
        embedded = None
        if self.embedding is not None:
            embedded = self.embedding(len(x), level, label)
        hidden = self.opened(self.first, x)
        skips: list[Tensor] = []
        for index, stage in enumerate(self.down):
            hidden = halved(hidden) if index else hidden
            hidden = stage(hidden, embedded)
            skips.append(hidden)
        hidden = self.middle(hidden, embedded)
        for stage in self.up:
            there = skips.pop()
            if hidden.shape[2:] != there.shape[2:]:
                hidden = F.interpolate(hidden, size=there.shape[2:], mode="nearest")
            hidden = torch.cat([hidden, there], 1)
            hidden = stage(hidden, embedded)
        changed = self.last(self.act(hidden)).to(x.dtype)
        if self.num_images > 1:
            changed = changed.unflatten(1, (self.num_images, -1))
            x = x[:, None]
        channels = changed.dim() - 3
        flat = x.dim() == changed.dim() - 1
        changed = changed.squeeze(channels) if flat else changed.movedim(channels, -1)
        return x + changed if self.residual else changed
