"""Objectives that fit the score, −∇E, and need no samples of the model."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.energy import Energy
from backend.gradient_use import differentiated


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


def sliced_score_matching(
    energy: Energy, x_data: Tensor, num_slices: int, generator: torch.Generator
) -> Tensor:
    """mean over data and slices of ½ |∇E|² − vᵀ ∇²E v, v of random signs; 0-d.

    Variance-reduced: |∇E|² is taken whole, only the trace of the Hessian is sliced, without bias
    since E[v vᵀ] = I. Up to a constant it is ½ E|∇E + ∇log p|², the Fisher divergence of the data
    themselves, not of blurred ones. Differentiates twice in x: a network whose second derivative
    is zero or undefined learns nothing. x_data (batch, *event_shape). Song et al. 2019.
    """
    x = x_data.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
    curvature = x.new_zeros(())
    for _ in range(num_slices):
        uniform = torch.rand(x.shape, generator=generator, device=x.device)
        signs = torch.where(uniform < 0.5, -1.0, 1.0).to(x.dtype)
        (turned,) = torch.autograd.grad((gradient * signs).sum(), x, create_graph=True)
        curvature = curvature + (turned * signs).flatten(1).sum(1).mean() / num_slices
    return 0.5 * gradient.square().flatten(1).sum(1).mean() - curvature
