"""A small normalising flow fitted to the data by maximum likelihood."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.data import Data
from backend.distributions import Distribution, gaussian_log_prob, moments, too_wide
from backend.networks.layers import linear

STRETCH = 2.0
"""A layer scales a coordinate by at most e^STRETCH, or its inverse."""
BATCH = 256
LEARNING_RATE = 3e-3
GRADIENT_CLIP = 1.0


class FlowConfig(KindConfig):
    kind: Literal["flow"] = "flow"
    title: ClassVar[str] = "Normalising flow"
    summary: ClassVar[str] = "Affine coupling layers fitted by maximum likelihood before training."

    num_layers: int = option(
        6,
        "Coupling layers; each moves every second coordinate.",
        ge=2,
        le=64,
        group="Noise",
        main=True,
    )
    width: int = option(
        32, "Units of the two hidden layers that steer a coupling.", ge=1, le=1024, group="Noise"
    )
    num_fit_steps: int = option(
        1000,
        "Updates of 256 points that the flow is fitted by when the run starts.",
        ge=1,
        le=100_000,
        group="Noise",
    )
    widening: float = option(
        1.2,
        "Standard deviation of the Gaussian that the flow starts from; 1 is the fitted flow, more "
        "reaches further into the tails.",
        gt=0,
        le=10,
        group="Noise",
    )


class Coupling(nn.Module):
    """y = x where fixed, else x exp(s) + t, with s and t of what is fixed."""

    def __init__(self, fixed: Tensor, width: int, generator: torch.Generator) -> None:
        super().__init__()
        dim = len(fixed)
        self.register_buffer("kept", fixed)
        self.net = nn.Sequential(
            linear(dim, width, generator, False),
            nn.SiLU(),
            linear(width, width, generator, False),
            nn.SiLU(),
            linear(width, 2 * dim, generator, False),
        )

    def scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log-scale and shift (num, dim), both 0 where fixed."""
        fixed = self.get_buffer("kept")
        log_scale, shift = self.net(torch.where(fixed, x, 0.0)).chunk(2, 1)
        log_scale = STRETCH * (log_scale / STRETCH).tanh()
        return torch.where(fixed, 0.0, log_scale), torch.where(fixed, 0.0, shift)

    def forward(self, x: Tensor) -> Tensor:
        """From the base to the data (num, dim)."""
        log_scale, shift = self.scale_and_shift(x)
        return x * log_scale.exp() + shift

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """From the data to the base (num, dim), and log |det| of that (num,)."""
        log_scale, shift = self.scale_and_shift(y)
        return (y - shift) * (-log_scale).exp(), -log_scale.sum(1)


class Flow(Distribution):
    """A Gaussian of the data's covariance pushed through affine couplings (Dinh et al. 2017).

    Fitted in set-up by maximum likelihood with Adam; then frozen. `widening` is put on the base
    after the fit.
    """

    Config: ClassVar[type[KindConfig]] = FlowConfig
    mean: Tensor
    factor: Tensor

    def __init__(self, config: FlowConfig, data: Data, generator: torch.Generator) -> None:
        super().__init__(config, data, generator)
        dim = data.event_shape.numel()
        mean, covariance = moments(data)
        self.register_buffer("mean", mean.float())
        self.register_buffer("factor", torch.linalg.cholesky(covariance).float())
        even = torch.arange(dim) % 2 == 0
        layers = [
            Coupling(even if layer % 2 else ~even, config.width, generator)
            for layer in range(config.num_layers)
        ]
        self.layers = nn.ModuleList(layers).to(data.train.device)
        self._fit(data, config.num_fit_steps, generator)
        self.factor *= config.widening

    def _fit(self, data: Data, num_steps: int, generator: torch.Generator) -> None:
        optimiser = torch.optim.Adam(self.layers.parameters(), lr=LEARNING_RATE)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, num_steps)
        for _ in range(num_steps):
            loss = -self.log_prob(data.batch(BATCH, generator)).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.layers.parameters(), GRADIENT_CLIP)
            optimiser.step()
            fall.step()

    @torch.no_grad()
    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, len(self.mean)), generator=generator, device=self.mean.device)
        x = self.mean + white @ self.factor.T
        for layer in self.layers:
            x = layer(x)
        return x.reshape(num, *self.event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        x, log_det = z.flatten(1).to(self.mean.dtype), torch.zeros_like(z.flatten(1)[:, 0])
        for layer in reversed(self.layers):
            assert isinstance(layer, Coupling)
            x, change = layer.inverse(x)
            log_det = log_det + change
        return gaussian_log_prob(x, self.mean, self.factor) + log_det

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        if event_shape.numel() < 2:
            return "couples coordinates and needs at least 2 of them, got 1. Use `mixture`."
        return too_wide(event_shape)
