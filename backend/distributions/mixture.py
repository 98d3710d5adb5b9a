"""Gaussians fitted to the data by expectation maximisation."""

from __future__ import annotations

import math
import warnings
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data
from backend.distributions import LOG_2PI, RIDGE, Distribution, too_wide
from backend.distributions.leading import MOST_FULL, LeadingAxes
from backend.distributions.wide import WideStudent, whitened

MAX_FITTED = 20_000
"""Training points that the fit looks at."""
MOST_GATHERED = 2**24
"""Numbers of factors that are gathered at once."""


class MixtureConfig(KindConfig):
    kind: Literal["mixture"] = "mixture"
    title: ClassVar[str] = "Mixture of Gaussians"
    summary: ClassVar[str] = "Full-covariance Gaussians fitted to the data: close, and still exact."

    num_components: int = option(8, "Gaussians fitted.", ge=1, le=256, group="Noise", main=True)
    scale: float = option(
        1.5,
        "Their covariances over the fitted ones; below 1 they miss tails.",
        gt=0,
        le=100,
        group="Noise",
        log=True,
    )
    wide_share: float = option(
        0.0,
        "Share of a Student's t of 3 degrees of freedom about all data that is mixed in: density "
        "over it stays bounded in tails and gaps, where Gaussians have next to none.",
        ge=0,
        lt=1,
        group="Noise",
    )


class Mixture(Distribution):
    """(1 − share) Σ weight_k N(mean_k, scale × covariance_k) + share t₃(mean, covariance).

    Fitted by expectation maximisation from k-means (Dempster et al. 1977), with `scale` and the
    wide part, about the mean and covariance of all data, put on afterwards. Beyond MOST_FULL
    coordinates the sum is of the leading principal axes, times the data's Gaussian given them.
    """

    Config: ClassVar[type[KindConfig]] = MixtureConfig
    log_weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, config: MixtureConfig, data: Data, generator: torch.Generator) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        super().__init__(config, data, generator)
        device = generator.device
        seed = int(torch.randint(2**31 - 1, (), generator=generator, device=device))
        x = data.train.flatten(1)[:MAX_FITTED].double()
        wide = x.shape[1] > MOST_FULL
        self.leading = LeadingAxes(data, config.scale) if wide else None
        if self.leading is not None:
            x = self.leading.coordinates(x)
        num = min(config.num_components, len(x))
        fitted = GaussianMixture(num, reg_covar=RIDGE, random_state=seed)
        with warnings.catch_warnings():
            # a fit that stopped early is still a density with exact values and draws
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(x.cpu().numpy())
        covariances = torch.as_tensor(config.scale * fitted.covariances_)
        self.register_buffer("log_weights", torch.as_tensor(fitted.weights_).log().float())
        self.register_buffer("means", torch.as_tensor(fitted.means_).float())
        self.register_buffer("factors", torch.linalg.cholesky(covariances).float())
        self.wide = WideStudent(data) if config.wide_share else None
        self.wide_share = config.wide_share

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        weights = self.log_weights.exp()
        chosen = torch.multinomial(weights, num, replacement=True, generator=generator)
        shape = (num, self.means.shape[1])
        white = torch.randn(shape, generator=generator, device=self.means.device)
        size = max(1, MOST_GATHERED // self.factors[0].numel())
        coloured = [
            torch.einsum("nij,nj->ni", self.factors[of], part)
            for of, part in zip(chosen.split(size), white.split(size), strict=True)
        ]
        x = self.means[chosen] + torch.cat(coloured)
        if self.leading is not None:
            x = self.leading.completed(x, generator)
        if self.wide is not None:
            uniform = torch.rand((num, 1), generator=generator, device=x.device)
            x = torch.where(uniform < self.wide_share, self.wide.sample(num, generator), x)
        return x.reshape(num, *self.event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        x = z.flatten(1)
        log_prob = self._log_sum(x)
        if self.wide is None:
            return log_prob
        log_wide = self.wide.log_prob(x) + math.log(self.wide_share)
        return torch.logaddexp(log_prob + math.log1p(-self.wide_share), log_wide)

    def _log_sum(self, x: Tensor) -> Tensor:
        """Log-density (num,) of x (num, dim) without the wide part."""
        head = x if self.leading is None else self.leading.coordinates(x)
        means, factors = self.means.to(x.dtype), self.factors.to(x.dtype)
        square = whitened(head, means, factors).square().sum(2)
        log_scale = factors.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * head.shape[1] * LOG_2PI
        log_prob = (self.log_weights.to(x.dtype) - log_scale - 0.5 * square).logsumexp(1)
        return log_prob if self.leading is None else log_prob + self.leading.log_rest(x, head)

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        return too_wide(event_shape)
