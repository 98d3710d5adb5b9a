"""Posteriors of weights given data: Bayesian logistic regression and a small Bayesian network.

Energies are -log of prior times likelihood: `exp(-E)` integrates to the evidence of the data.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from backend.energy import Energy
from backend.metrics.quadrature import LOG_2PI


class Posterior(Energy):
    """E(w) = |w|²/(2 sd²) + dim · log(sd √2π) + Σ_rows loss(w; row), with prior N(0, sd² I).

    inputs (rows, ...) and targets (rows,); w (batch, dim).
    """

    inputs: Tensor
    targets: Tensor

    def __init__(self, inputs: Tensor, targets: Tensor, dim: int, prior_sd: float) -> None:
        super().__init__()
        self.register_buffer("inputs", inputs)
        self.register_buffer("targets", targets)
        self.dim, self.prior_sd = dim, prior_sd
        self.event_shape = torch.Size((dim,))

    @abstractmethod
    def losses(self, w: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """-log p(target | input, w) in nats, (batch, rows), constants included."""

    @property
    def num_rows(self) -> int:
        return len(self.targets)

    def prior(self, w: Tensor) -> Tensor:
        """-log of the prior's density (batch,)."""
        scale = self.dim * (math.log(self.prior_sd) + 0.5 * LOG_2PI)
        return 0.5 * w.square().sum(1) / self.prior_sd**2 + scale

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        losses = self.losses(x, self.inputs.to(x.dtype), self.targets.to(x.dtype))
        return self.prior(x) + losses.sum(1)

    @property
    def num_terms(self) -> int:
        return self.num_rows

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        """An unbiased estimate of this energy, from `size` random rows drawn without replacement.

        E_b(w) = prior(w) + (rows/size) Σ_{rows of the batch} loss, the same rows for every chain.
        Drawn anew by each call; E[∇E_b] = ∇E. size is cut to all rows, which give E itself.
        """
        order = torch.randperm(self.num_rows, generator=generator, device=generator.device)
        chosen = order[:size].to(self.targets.device)
        return Minibatch(self, self.inputs[chosen], self.targets[chosen])


class Minibatch(Energy):
    """A posterior's energy estimated from some of its rows."""

    def __init__(self, posterior: Posterior, inputs: Tensor, targets: Tensor) -> None:
        super().__init__()
        # in a tuple, so that its buffers are not this module's too
        self._of = (posterior,)
        self.register_buffer("inputs", inputs)
        self.register_buffer("targets", targets)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        (posterior,) = self._of
        inputs, targets = self.get_buffer("inputs"), self.get_buffer("targets")
        losses = posterior.losses(x, inputs.to(x.dtype), targets.to(x.dtype))
        return posterior.prior(x) + posterior.num_rows / len(targets) * losses.sum(1)


class LogisticRegression(Posterior):
    """p(y = 1 | features, w) = 1/(1 + exp(-w · features)), y in {0, 1}.

    inputs (rows, dim), the intercept a column of ones. Convex: one mode, near a Gaussian.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, prior_sd: float = 1.0) -> None:
        super().__init__(inputs, targets, inputs.shape[1], prior_sd)

    def losses(self, w: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = w @ inputs.T
        return nn.functional.softplus(logits) - targets * logits

    def laplace(self) -> tuple[Tensor, Tensor]:
        """The mode (dim,) and a factor F of the inverse Hessian F Fᵀ there, float64; by Newton."""
        inputs, targets = self.inputs.double(), self.targets.double()
        prior = torch.eye(self.dim, dtype=torch.float64) / self.prior_sd**2
        w = torch.zeros(self.dim, dtype=torch.float64)
        for _ in range(100):
            share = (inputs @ w).sigmoid()
            gradient = w / self.prior_sd**2 + inputs.T @ (share - targets)
            hessian = prior + inputs.T @ (inputs * (share * (1 - share))[:, None])
            # damped far away, where a whole step may overshoot
            step = torch.linalg.solve(hessian, gradient)
            length = float((step @ gradient).clamp(min=0).sqrt())
            w = w - step / (1 + length) if length > 0.25 else w - step
            if length < 1e-10:
                break
        return w, torch.linalg.inv(torch.linalg.cholesky(hessian)).T


class Whitened(Energy):
    """Another energy of x = centre + F z, read as an energy of z (batch, dim)."""

    def __init__(self, energy: Energy, centre: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.energy = energy
        self.register_buffer("centre", centre)
        self.register_buffer("factor", factor)

    def restore(self, z: Tensor) -> Tensor:
        """x of z."""
        return self.get_buffer("centre").to(z) + z @ self.get_buffer("factor").to(z).T

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(self.restore(x))


class BayesianNet(Posterior):
    """f(x) = b + Σ_j v_j tanh(u_j x + c_j) / √hidden, y ~ N(f(x), noise²): 3 hidden + 1 weights.

    w (batch, dim) holds u, c, v, then b; inputs (rows,). Reordering hidden units, or flipping the
    signs of one's u, c and v, changes nothing: single weights have no meaning, values of f do.
    """

    def __init__(
        self, inputs: Tensor, targets: Tensor, hidden: int, noise: float, prior_sd: float
    ) -> None:
        super().__init__(inputs, targets, 3 * hidden + 1, prior_sd)
        self.hidden, self.noise = hidden, noise

    def value(self, w: Tensor, inputs: Tensor) -> Tensor:
        """f (batch, rows) at inputs (rows,)."""
        u, c, v, b = w.split([self.hidden, self.hidden, self.hidden, 1], 1)
        units = torch.tanh(u[:, None] * inputs[:, None] + c[:, None])
        return b + (units * v[:, None]).sum(2) / math.sqrt(self.hidden)

    def losses(self, w: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        residual = (targets - self.value(w, inputs)) / self.noise
        return 0.5 * residual.square() + math.log(self.noise) + 0.5 * LOG_2PI

    def reordered(self, w: Tensor, generator: torch.Generator) -> Tensor:
        """The same functions (num, dim), hidden units in random order and of random signs."""
        num, hidden = len(w), self.hidden
        order = torch.rand((num, hidden), generator=generator).argsort(1)
        sign = 2.0 * torch.randint(2, (num, hidden), generator=generator) - 1
        parts = [sign * part.gather(1, order) for part in w[:, :-1].split(hidden, 1)]
        return torch.cat([*parts, w[:, -1:]], 1)
