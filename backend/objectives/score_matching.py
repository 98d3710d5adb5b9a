"""Objectives that fit the score, −∇E, and need no samples of the model."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.arithmetic import differentiated
from backend.energy import Energy


def denoising_score_matching(
    energy: Energy, x_data: Tensor, noise_sd: float, generator: torch.Generator
) -> Tensor:
    """½ |σ s(x + σz) + z|² with s = −∇E and z ~ N(0, I), averaged over the batch; 0-d.

    Its minimum is the score of the data blurred by noise of standard deviation σ. The value does
    not go to 0: what is left is the noise that cannot be told from data. Vincent 2011.
    """
    noise = torch.randn(x_data.shape, generator=generator, device=x_data.device, dtype=x_data.dtype)
    return denoising_error(energy, x_data, noise, noise_sd)


def denoising_error(energy: Energy, x_data: Tensor, noise: Tensor, noise_sd: float) -> Tensor:
    """The same with the noise z given, shaped like x_data (batch, *event_shape); 0-d."""
    x = (x_data + noise_sd * noise).requires_grad_(True)
    with differentiated("twice"):
        (gradient,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
    return 0.5 * (noise - noise_sd * gradient).square().flatten(1).sum(1).mean()
