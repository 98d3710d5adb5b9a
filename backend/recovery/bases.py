"""The recovery conditional p(x_t | x_{t+1}) and the Langevin steps on it, in two forms.

log p(x_t | x_{t+1}) = F_t(x_t) − |√α_t x_t − x_{t+1}|² / (2 σ_t²) + const, F_t the log-density of
x_t. At the last level the quadratic is left out: what is sampled there is the marginal.

`Flat` has F_t = f / σ_t², f the network's negative energy: the form of the papers. `GaussianBase`
has F_t = log N(x_t) + k_t f with the data's own Gaussian, and steps that are exact for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option, tagged_union
from backend.data import Data
from backend.recovery.noise_schedule import NoiseLadder, per_row

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(x_t, x_{t+1}, gradient of k f at x_t, standard normal noise) → x_t after one step"""

LARGEST_GAUSSIAN = 4096
"""Numbers of an event whose covariance is still kept whole."""


class FlatConfig(KindConfig):
    kind: Literal["flat"] = "flat"
    title: ClassVar[str] = "Flat"
    summary: ClassVar[str] = "The network is the whole log-density; plain Langevin, as published."

    step_size: float = option(
        0.1,
        "Squared noise of a Langevin step, over that between neighbouring levels; less where "
        "there is little noise.",
        gt=0,
        le=4,
        main=True,
        log=True,
        group="Sampler",
    )
    least_step: float = option(
        0.1,
        "Factor on it at a level without noise, from which it rises to 1: thin data want "
        "small steps there.",
        gt=0,
        le=1,
        log=True,
        group="Sampler",
    )
    drift_limit: float = option(
        3.0,
        "Largest drift of a coordinate in a step; 0 sets no limit. It keeps chains from "
        "running away where the energy has become too sharp for the step.",
        unit="sd of its noise",
        ge=0,
        le=1000,
        group="Sampler",
    )


class GaussianBaseConfig(KindConfig):
    kind: Literal["gaussian"] = "gaussian"
    title: ClassVar[str] = "The data's Gaussian"
    summary: ClassVar[str] = (
        "The network corrects a Gaussian of the data's mean and covariance; Langevin steps are "
        "exact for that Gaussian. Wants a network that starts nearly flat."
    )

    relaxation: float = option(
        0.2,
        "How far a Langevin step goes from where it is toward the Gaussian's posterior mean; "
        "1 forgets where it was.",
        gt=0,
        le=1,
        main=True,
        group="Sampler",
    )
    gain: float = option(
        3.0,
        "Factor on the network, over the mean posterior sd of the Gaussian at each level.",
        gt=0,
        le=1000,
        log=True,
        group="Sampler",
    )


if TYPE_CHECKING:
    BaseConfig = KindConfig
else:
    BaseConfig = tagged_union([FlatConfig, GaussianBaseConfig])


class Base(nn.Module, ABC):
    """Base that the network's f is added to, with chains on their sum. Its tensors are buffers."""

    scale: Tensor
    """(T,) k_t, the factor on f"""

    @abstractmethod
    def log_density(self, x: Tensor, level: Tensor) -> Tensor:
        """Term added to k_t f(x), (batch,), of x (batch, *event_shape), up to a constant."""

    @abstractmethod
    def score(self, x: Tensor, level: Tensor) -> Tensor:
        """Its gradient in x, like x."""

    @abstractmethod
    def kernel(self, level: Tensor, mask: Tensor | None = None) -> Kernel:
        """One Langevin step at `level`, (batch,) or 0-d.

        Where `mask` (*event_shape) is True x stays as it is; `level` is then 0-d.
        """

    def _keep(self, **values: Tensor) -> None:
        for name, value in values.items():
            self.register_buffer(name, value.float())


def base_of(config: KindConfig, ladder: NoiseLadder, data: Data) -> Base:
    """The form that a Config names, for these levels and data."""
    if isinstance(config, GaussianBaseConfig):
        return GaussianBase(ladder, data.train, config.relaxation, config.gain)
    assert isinstance(config, FlatConfig)
    return Flat(ladder, config.step_size, config.least_step, config.drift_limit)


def last_is(last: float, values: Tensor) -> Tensor:
    """(T,) values with another one at the last level."""
    return torch.cat([values[:-1], values.new_tensor([last])])


class Flat(Base):
    """F_t = f / σ_t², walked on by plain Langevin.

    In y = √α_t x_t: y ← y + ½ s_t² ∇ log p(y | x_{t+1}) + s_t ξ with

        s_t² = step_size · (least_step + (1 − least_step) σ̄_t) · σ_t²

    and no coordinate drifting further than `drift_limit` · s_t. At the last level √α_t counts as 1.
    A step inflates the variance of what is as stiff as the quadratic by 1 / (1 − s_t² / (4 σ_t²)),
    and of thin data by more: the energy then sharpens to make up for it, until no step of that size
    can follow it. Gao et al. 2021; their constants are for images, and they set no limit.
    """

    pull: Tensor
    signal: Tensor
    step_variance: Tensor

    def __init__(
        self, ladder: NoiseLadder, step_size: float, least_step: float, drift_limit: float
    ) -> None:
        super().__init__()
        variance = ladder.step_sd.square()
        alpha = last_is(1.0, ladder.alpha)
        spread = least_step + (1 - least_step) * ladder.noise_sd[:-1]
        self.drift_limit = drift_limit
        self._keep(
            scale=1 / variance,
            pull=last_is(0.0, ladder.alpha.sqrt() / variance),
            signal=alpha.sqrt(),
            step_variance=step_size * spread * variance / alpha,
        )

    def log_density(self, x: Tensor, level: Tensor) -> Tensor:
        return x.new_zeros(len(x))

    def score(self, x: Tensor, level: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def kernel(self, level: Tensor, mask: Tensor | None = None) -> Kernel:
        def step(x: Tensor, x_next: Tensor, gradient: Tensor, noise: Tensor) -> Tensor:
            pull = per_row(self.pull[level], x) * (per_row(self.signal[level], x) * x - x_next)
            variance = per_row(self.step_variance[level], x)
            spread = variance.sqrt()
            drift = 0.5 * spread * (gradient - pull)
            if self.drift_limit:
                drift = drift.clamp(-self.drift_limit, self.drift_limit)
            moved = x + spread * (drift + noise)
            return moved if mask is None else torch.where(mask, x, moved)

        return step


class GaussianBase(Base):
    """F_t = log N(x_t; √ᾱ_t μ, C_t) + k_t f, C_t = ᾱ_t Σ + (1 − ᾱ_t) I, of the data's μ and Σ.

    With m and M the mean and covariance of the Gaussian's recovery posterior and ρ = 1 −
    relaxation:

        x ← m + ρ (x − m) + (1 − ρ) M ∇(k f) + √(1 − ρ²) M^½ ξ

    which leaves that posterior in place for every ρ, since it is an autoregression of it: only what
    the network adds is subject to the bias of a finite step. k_t = gain / √(mean of M's diagonal).
    Preconditioned Crank–Nicolson without its Metropolis step. Not the recipe of Gao et al. 2021 or
    Zhu et al. 2024, whose plain steps cannot follow pixels that hardly vary beside others that do.
    """

    basis: Tensor
    """eigenvectors of Σ as columns: in their coordinates everything is diagonal"""
    variance: Tensor
    centre: Tensor
    posterior: Tensor
    offset: Tensor
    pull: Tensor

    def __init__(self, ladder: NoiseLadder, x_data: Tensor, relaxation: float, gain: float) -> None:
        super().__init__()
        x = x_data.flatten(1).double()
        values, basis = torch.linalg.eigh(torch.cov(x.T, correction=0).reshape(x.shape[1], -1))
        signal = ladder.alpha_bar[:-1]
        variance = signal[:, None] * values.clamp(min=0) + (1 - signal)[:, None]
        step_variance = ladder.step_sd.square()
        pull = last_is(0.0, ladder.alpha.sqrt() / step_variance)
        posterior = 1 / (1 / variance + last_is(0.0, ladder.alpha / step_variance)[:, None])
        centre = signal.sqrt()[:, None] * (x.mean(0) @ basis)
        self._keep(
            basis=basis,
            variance=variance,
            centre=centre,
            posterior=posterior,
            offset=posterior / variance * centre,
            pull=posterior * pull[:, None],
            scale=gain / posterior.mean(1).sqrt(),
        )
        self.kept = 1 - relaxation

    def log_density(self, x: Tensor, level: Tensor) -> Tensor:
        off = x.flatten(1) @ self.basis - self.centre[level]
        return -0.5 * (off.square() / self.variance[level]).sum(1)

    def score(self, x: Tensor, level: Tensor) -> Tensor:
        off = x.flatten(1) @ self.basis - self.centre[level]
        return -(off / self.variance[level] @ self.basis.T).view_as(x)

    def kernel(self, level: Tensor, mask: Tensor | None = None) -> Kernel:
        if mask is not None:
            return self._held(level, mask)
        correlation, posterior = self.kept, self.posterior[level]
        spread = ((1 - correlation**2) * posterior).sqrt()

        def step(x: Tensor, x_next: Tensor, gradient: Tensor, noise: Tensor) -> Tensor:
            mean = self._mean(x_next, level)
            moved = (
                mean
                + correlation * (x.flatten(1) @ self.basis - mean)
                + (1 - correlation) * posterior * (gradient.flatten(1) @ self.basis)
                + spread * noise.flatten(1)
            )
            return (moved @ self.basis.T).view_as(x)

        return step

    def _mean(self, x_next: Tensor, level: Tensor) -> Tensor:
        """Mean of the Gaussian's recovery posterior (batch, dim), in the eigenvectors."""
        return self.offset[level] + self.pull[level] * (x_next.flatten(1) @ self.basis)

    def _held(self, level: Tensor, mask: Tensor) -> Kernel:
        """The same step on what is not held, of the posterior given what is."""
        correlation, hidden = self.kept, ~mask.flatten()
        precision = (self.basis / self.posterior[level]) @ self.basis.T
        factor = torch.linalg.cholesky(precision[hidden][:, hidden])
        across = precision[hidden][:, ~hidden]

        def step(x: Tensor, x_next: Tensor, gradient: Tensor, noise: Tensor) -> Tensor:
            mean = self._mean(x_next, level) @ self.basis.T
            flat = x.flatten(1)
            pulled = (flat - mean)[:, ~hidden] @ across.T
            both = torch.cat([pulled, gradient.flatten(1)[:, hidden]])
            solved = torch.cholesky_solve(both.T, factor).T
            shift, drift = solved.split(len(x))
            centre = mean[:, hidden] - shift
            white = noise.flatten(1)[:, hidden].T
            jitter = torch.linalg.solve_triangular(factor.T, white, upper=True).T
            moved = flat.clone()
            moved[:, hidden] = (
                centre
                + correlation * (flat[:, hidden] - centre)
                + (1 - correlation) * drift
                + (1 - correlation**2) ** 0.5 * jitter
            )
            return moved.view_as(x)

        return step
