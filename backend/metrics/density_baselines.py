"""Densities that cost next to nothing, whose held-out log-likelihood a model should beat: one
Gaussian, twenty, a kernel estimate, of whole numbers independent sites; and the truth, where the
data have one. All nats a point, in the user's units."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor

from backend.data import Data
from backend.distributions import LOG_2PI, build_distribution, too_wide
from backend.distributions.gaussian import FittedGaussianConfig
from backend.distributions.mixture import MixtureConfig
from backend.metrics.density import energies
from backend.metrics.log_likelihood import held_out, log_scale
from backend.metrics.sites import independent_log_prob, site_log_probs

NUM_GAUSSIANS = 20
MAX_CENTRES = 5_000
"""Training points that the kernel estimate puts a kernel on."""
NUM_VALIDATED = 200
"""Training points that its width is chosen on, each left out of the estimate at itself."""
NEIGHBOUR = 8
"""The kernel of a point is as wide as its eighth neighbour is away, times a factor."""
FACTORS = (0.3, 0.45, 0.65, 0.9, 1.3, 1.9, 2.8)
LEAST_WIDTH = 1e-3
"""Of a kernel, in data sd: points that coincide would have infinite density."""
CHUNK = 2_000_000
"""Distances that are held at once."""

Baselines = dict[str, Tensor]
"""log p (num,) float64 of each held-out point, by name"""
_cache: OrderedDict[tuple[object, ...], Baselines] = OrderedDict()
MAX_CACHED = 8


def baselines(data: Data, generator: torch.Generator) -> Baselines:
    """log p of each point of `held_out(data)`: `gaussian`, `mixture`, `kernel`, of whole numbers
    `independent` alone and, of data with a density, `truth`.

    Fitted once in a process to the same data from the same state of the generator.
    """
    state = hash(generator.get_state().cpu().numpy().tobytes())
    key = (data.name, data.train.shape, float(data.train.double().sum()), state)
    if key not in _cache:
        _cache[key] = _fitted(data, generator)
        if len(_cache) > MAX_CACHED:
            _cache.popitem(last=False)
    return _cache[key]


def means(log_probs: Baselines) -> dict[str, float]:
    """Mean log p by name."""
    return {name: float(values.mean()) for name, values in log_probs.items()}


def _fitted(data: Data, generator: torch.Generator) -> Baselines:
    z, units = held_out(data), log_scale(data)
    fitted: Baselines = {}
    if data.num_values is not None:
        fitted["independent"] = independent_log_prob(site_log_probs(data), z)
    elif not too_wide(data.event_shape):
        num = max(1, min(NUM_GAUSSIANS, len(data.train) // (10 * data.event_shape.numel())))
        for name, config in (
            ("gaussian", FittedGaussianConfig(scale=1.0)),
            ("mixture", MixtureConfig(num_components=num, scale=1.0)),
        ):
            distribution = build_distribution(config, data, generator)
            fitted[name] = distribution.log_prob(z.double()).double() - units
    if (
        not data.is_image and data.num_values is None
    ):  # of noisy copies, neighbours are copies of one image
        fitted["kernel"] = kernel_log_probs(data.train, z) - units
    if data.density is not None:
        fitted["truth"] = -energies(data.density, data.restore(z)).double()
    return fitted


def kernel_log_probs(train: Tensor, z: Tensor) -> Tensor:
    """log p (num,) float64 of z (num, *event_shape) by Gaussian kernels on the training points.

    A kernel is as wide as its point's eighth neighbour is away, times a factor that is chosen by
    the log-likelihood of left-out training points (Breiman, Meisel & Purcell 1977).
    """
    from sklearn.neighbors import NearestNeighbors

    centres, points = train.flatten(1)[:MAX_CENTRES], z.flatten(1)
    neighbour = min(NEIGHBOUR, len(centres) - 1)
    # a point is its own nearest neighbour
    search = NearestNeighbors(n_neighbors=neighbour + 1).fit(centres.cpu().numpy())
    distances, _ = search.kneighbors(centres.cpu().numpy())
    reach = torch.from_numpy(distances[:, -1]).to(centres).clamp(min=LEAST_WIDTH)
    validated = centres[:NUM_VALIDATED]
    squares = torch.cdist(validated, centres).square()
    squares.fill_diagonal_(torch.inf)
    dim = centres.shape[1]
    scores = [
        float(_mixed(squares, factor * reach, dim, len(centres) - 1).mean()) for factor in FACTORS
    ]
    factor = FACTORS[max(range(len(FACTORS)), key=scores.__getitem__)]
    return torch.cat(
        [
            _mixed(torch.cdist(part, centres).square(), factor * reach, dim, len(centres))
            for part in _parts(points, len(centres))
        ]
    )


def _parts(points: Tensor, num_centres: int) -> tuple[Tensor, ...]:
    return points.split(max(1, CHUNK // num_centres))


def _mixed(squares: Tensor, widths: Tensor, dim: int, num: int) -> Tensor:
    """log of the mean over `num` kernels (widths (num_centres,)) at squared distances (points,
    num_centres)."""
    log_kernels = -0.5 * squares / widths.square() - dim * (widths.log() + 0.5 * LOG_2PI)
    return log_kernels.logsumexp(1).double() - math.log(num)
