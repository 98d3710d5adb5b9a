"""Baselines that cost nothing to fit: samples, energies and inpaintings that a model should beat.

Gaussians have the training set's mean and covariance with RIDGE added to the diagonal, since
some pixels never change. On 8×8 digits one Gaussian a class lies at the floor of real data. All
positions are standardised, (num, *event_shape); samples of images are clipped to [-1, 1], which
the energies, being those of the Gaussians themselves, do not know of.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.metrics.images import MOST_IMAGES, MOST_PIXELS
from backend.metrics.quadrature import LOG_2PI

RIDGE = 1e-3
"""Variance added to every coordinate, in standardised units."""


class GaussianMixture(Energy):
    """-log Σ_k weight_k N(z; mean_k, C_k), normalised, over events of any shape.

    means (num, dim), covariances (num, dim, dim), weights (num,) summing to 1.
    """

    means: Tensor
    whiten: Tensor
    constants: Tensor

    def __init__(self, means: Tensor, covariances: Tensor, weights: Tensor) -> None:
        super().__init__()
        factors = torch.linalg.cholesky(covariances.double())
        identity = torch.eye(means.shape[1], dtype=torch.float64, device=means.device)
        inverse = torch.linalg.solve_triangular(factors, identity.expand_as(factors), upper=False)
        log_det = 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = weights.double().log() - 0.5 * (log_det + means.shape[1] * LOG_2PI)
        self.register_buffer("means", means.float())
        self.register_buffer("whiten", inverse.transpose(1, 2).contiguous().float())
        self.register_buffer("constants", constant.float())

    def log_terms(self, z: Tensor) -> Tensor:
        """log weight_k N(z; mean_k, C_k), (batch, num)."""
        centred = z.flatten(1)[None] - self.means.to(z.dtype)[:, None]
        white = centred @ self.whiten.to(z.dtype)
        return self.constants.to(z.dtype) - 0.5 * white.square().sum(2).T

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return -self.log_terms(x).logsumexp(1)


def gaussian_energy(data: Data) -> GaussianMixture:
    """-log N(z; mean, covariance) of the training set, nats, normalised."""
    mean, covariance = _moments(data.train)
    return GaussianMixture(mean[None], covariance[None], torch.ones(1, device=mean.device))


def class_gaussian_energy(data: Data) -> GaussianMixture:
    """-log of the mixture of one Gaussian a class, weighted by the shares of the classes, nats.

    Classes without training events are left out. Raises ValueError for data without labels.
    """
    labels = _labels(data)
    present = labels.unique()
    moments = [_moments(data.train[labels == label]) for label in present]
    counts = torch.stack([(labels == label).sum() for label in present])
    means, covariances = (torch.stack(parts) for parts in zip(*moments, strict=True))
    return GaussianMixture(means, covariances, counts / counts.sum())


def single_gaussian(data: Data, num: int, generator: torch.Generator) -> Tensor:
    """`num` draws of one Gaussian fitted to the training set."""
    if data.train[0].numel() > MOST_PIXELS:
        draws = _draw_wide(data.train, num, generator)
    else:
        draws = _draw(*_moments(data.train), num, generator)
    return _within(data, draws.reshape(-1, *data.event_shape))


def class_gaussian(data: Data, labels: Tensor, generator: torch.Generator) -> Tensor:
    """One draw for each of `labels` (num,), of the Gaussian fitted to that class.

    Raises ValueError for data without labels, and for a label that no training event has.
    """
    known = _labels(data)
    z = torch.empty((len(labels), *data.event_shape), device=data.train.device)
    for label in labels.unique():
        chosen = labels == label
        moments = _moments(_of_class(data, known, int(label)))
        draws = _draw(*moments, int(chosen.sum()), generator)
        z[chosen] = draws.reshape(-1, *data.event_shape)
    return _within(data, z)


def pixel_resampled(data: Data, num: int, generator: torch.Generator) -> Tensor:
    """Events whose every coordinate is that of a training event of its own: marginals alone."""
    flat = data.train.flatten(1)
    places = torch.randint(len(flat), (num, flat.shape[1]), generator=generator, device=flat.device)
    return flat.gather(0, places).reshape(-1, *data.event_shape)


def nearest_inpaint(data: Data, known: Tensor, mask: Tensor) -> Tensor:
    """The training event nearest in the known coordinates, its other ones taken.

    known (num, *event_shape); mask True where it is known, (*event_shape) or (num, *event_shape).
    """
    train, flat = data.train.flatten(1), known.flatten(1)
    observed = _mask(mask, known).to(flat.dtype)
    # |k - t|² over what is known, less what does not depend on t
    gaps = observed @ train.square().T - 2 * (observed * flat) @ train.T
    nearest = data.train[gaps.argmin(1)]
    return torch.where(mask, known, nearest)


def mean_inpaint(data: Data, known: Tensor, mask: Tensor) -> Tensor:
    """The mean training event where nothing is known."""
    return torch.where(mask, known, data.train.mean(0))


def independent_inpaint(
    data: Data, known: Tensor, mask: Tensor, generator: torch.Generator
) -> Tensor:
    """Each unknown coordinate of a training event drawn for it alone."""
    train = data.train.flatten(1)
    shape = (len(known), train.shape[1])
    rows = torch.randint(len(train), shape, generator=generator, device=train.device)
    return torch.where(mask, known, train.gather(0, rows).view_as(known))


def gaussian_inpaint(
    data: Data,
    known: Tensor,
    mask: Tensor,
    generator: torch.Generator | None,
    labels: Tensor | None = None,
) -> Tensor:
    """The unknown coordinates given the known ones under one Gaussian, or one a class.

    A draw of N(m_u + C_uk C_kk⁻¹ (x_k - m_k), C_uu - C_uk C_kk⁻¹ C_ku), or its mean when the
    generator is None. Images are clipped. labels (num,) choose the Gaussian of a class.
    """
    result = known.clone()
    flat = result.view(len(known), -1)
    masks = _mask(mask, known)
    asked = torch.zeros(len(known), dtype=torch.long, device=known.device)
    for label in (asked if labels is None else labels).unique():
        of = asked == 0 if labels is None else labels == label
        train = data.train if labels is None else _of_class(data, _labels(data), int(label))
        mean, covariance = _moments(train)
        for one in masks[of].unique(dim=0):
            rows = of & (masks == one).all(1)
            flat[rows] = _conditional(mean, covariance, flat[rows], one, generator).to(flat)
    return torch.where(mask, known, _within(data, result))


def _conditional(
    mean: Tensor, covariance: Tensor, x: Tensor, known: Tensor, generator: torch.Generator | None
) -> Tensor:
    """x (num, dim) with the coordinates that are not `known` (dim,) filled in, float64."""
    x = x.double().clone()
    joint = covariance[known][:, ~known]
    gain = torch.linalg.solve(covariance[known][:, known], joint)
    filled = mean[~known] + (x[:, known] - mean[known]) @ gain
    if generator is not None:
        rest = covariance[~known][:, ~known] - joint.T @ gain
        filled = filled + _draw(torch.zeros_like(mean[~known]), rest, len(x), generator).double()
    x[:, ~known] = filled
    return x


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (dim,) and covariance (dim, dim) with the ridge, float64; of one event the ridge."""
    flat = z.flatten(1).double()
    mean = flat.mean(0)
    centred = flat - mean
    ridge = RIDGE * torch.eye(flat.shape[1], dtype=torch.float64, device=flat.device)
    return mean, centred.T @ centred / max(len(flat) - 1, 1) + ridge


def _draw(mean: Tensor, covariance: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """`num` draws of N(mean, covariance), (num, dim) float32."""
    white = torch.randn((num, len(mean)), generator=generator, device=generator.device)
    factor = torch.linalg.cholesky(covariance)
    return (mean + white.to(mean) @ factor.T).float()


def _draw_wide(z: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Draws (num, dim) of the same law without its covariance: random sums of MOST_IMAGES events,
    evenly taken, and the ridge's noise."""
    flat = z.flatten(1)[:: -(-len(z) // MOST_IMAGES)]
    mean = flat.mean(0)
    shares = torch.randn((num, len(flat)), generator=generator, device=generator.device).to(flat)
    noise = torch.randn((num, len(mean)), generator=generator, device=generator.device).to(flat)
    sums = shares @ (flat - mean) / max(len(flat) - 1, 1) ** 0.5
    return mean + sums + RIDGE**0.5 * noise


def _within(data: Data, z: Tensor) -> Tensor:
    return z.clamp(-1, 1) if data.is_image else z


def _mask(mask: Tensor, known: Tensor) -> Tensor:
    """(num, dim) bool."""
    return mask.expand_as(known).flatten(1)


def _labels(data: Data) -> Tensor:
    if data.labels is None:
        raise ValueError(f"{data.title} have no labels, so no Gaussian a class")
    return data.labels


def _of_class(data: Data, labels: Tensor, label: int) -> Tensor:
    chosen = data.train[labels == label]
    if not len(chosen):
        raise ValueError(f"no training event of {data.title} has the label {label}")
    return chosen
