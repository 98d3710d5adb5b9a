"""The posterior of a small classifying network whose prior may be what was fitted before."""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.distributions.wide import whitened
from backend.energies.posteriors import Posterior
from backend.metrics.quadrature import LOG_2PI

RIDGE = 1e-3
"""Added to the variances of fitted Gaussians, whose prior has variance 1."""


class Gaussians:
    """Σ_k weight_k N(mean_k, F_k F_kᵀ), a density of weights (batch, dim)."""

    def __init__(self, log_weights: Tensor, means: Tensor, factors: Tensor) -> None:
        self.log_weights, self.means, self.factors = log_weights, means, factors

    def log_prob(self, w: Tensor) -> Tensor:
        """(batch,)"""
        square = whitened(w, self.means, self.factors).square().sum(2)
        log_scale = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * w.shape[1] * LOG_2PI
        return (self.log_weights - log_scale - constant - 0.5 * square).logsumexp(1)


def fitted_gaussians(w: Tensor, num: int, generator: torch.Generator) -> Gaussians:
    """Fit by expectation maximisation to draws w (draws, dim). Dempster et al. 1977."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    mixture = GaussianMixture(num, reg_covar=RIDGE, random_state=seed)
    with warnings.catch_warnings():
        # a fit that stopped early is a density all the same
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(w.double().cpu().numpy())
    covariances = torch.as_tensor(mixture.covariances_)
    return Gaussians(
        torch.as_tensor(mixture.weights_).log().to(w),
        torch.as_tensor(mixture.means_).to(w),
        torch.linalg.cholesky(covariances).to(w),
    )


class CarriedPosterior(Posterior):
    """E(w) = −weight · log p_prior(w) + Σ_rows −log p(y | x, w), y in {0, 1}.

    p(y = 1 | x, w) = σ(b + Σ_j v_j tanh(u_j · x + c_j)). w (batch, (dim + 2) hidden + 1) holds u,
    c, v, then b; inputs (rows, dim). The prior is N(0, 1) of every weight unless Gaussians are
    `carried`. Reordering hidden units changes nothing, so the posterior has many equal modes.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        hidden: int,
        carried: Gaussians | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, targets.to(inputs), (inputs.shape[1] + 2) * hidden + 1, 1.0)
        self.hidden, self.carried, self.weight = hidden, carried, weight

    def prior(self, w: Tensor) -> Tensor:
        if self.carried is None:
            return super().prior(w)
        return -self.weight * self.carried.log_prob(w)

    def losses(self, w: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = self.logits(w, inputs)
        return F.softplus(logits) - targets * logits

    def logits(self, w: Tensor, inputs: Tensor) -> Tensor:
        """(batch, rows) of inputs (rows, dim)."""
        u, c, v, b = w.split([inputs.shape[1] * self.hidden, self.hidden, self.hidden, 1], 1)
        at = inputs.to(w) @ u.unflatten(1, (inputs.shape[1], self.hidden)) + c[:, None]
        return (at.tanh() @ v[..., None])[..., 0] + b


def log_of_mean(logits: Tensor) -> Tensor:
    """log p(y | x) (rows, 2), the mean over weights of those of logits (weights, rows)."""
    both = F.logsigmoid(torch.stack([-logits, logits], 2))
    return both.logsumexp(0) - math.log(len(logits))


def prototype_log_probs(tasks: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """log p(y | x) (num, 2) of a Gaussian for each class of each task, the mean over tasks.

    tasks: (rows, dim) and classes of each. Means have prior N(0, 1), variances are those within
    classes, alike in all; the posterior of means is closed and that of a task apart from others,
    so nothing is forgotten.
    """
    groups = [[x_task[classes == label] for x_task, classes in tasks] for label in (0, 1)]
    flat = [rows for of_class in groups for rows in of_class]
    centred = torch.cat([rows - rows.mean(0) for rows in flat if len(rows)])
    variance = centred.square().mean()
    parts = []
    for of_class in groups:
        log_probs = []
        for rows in of_class:
            shrunk = len(rows) + variance
            spread = variance + variance / shrunk
            square = (x - rows.sum(0) / shrunk).square().sum(1)
            log_probs.append(-0.5 * square / spread - 0.5 * x.shape[1] * spread.log())
        parts.append(torch.stack(log_probs).logsumexp(0))
    return torch.stack(parts, 1).log_softmax(1)
