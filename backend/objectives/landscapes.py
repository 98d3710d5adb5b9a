"""Objectives as functions of one unknown: the mean of a unit Gaussian on a line.

By quadrature, with log Z at its true value ½ log 2π. The likelihood is a parabola wherever noise
is; classifiers of data against noise are flat wherever the two are told apart with ease. Liu et
al. 2021, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.data import Data
from backend.distributions import Distribution
from backend.energies.location import LocationEnergy
from backend.energy import Energy
from backend.events import Curve, Event
from backend.metrics.quadrature import LOG_2PI

Kind = Literal["likelihood", "noise_contrastive", "exponential"]
LogDensity = Callable[[Tensor], Tensor]
"""log-densities (num,) of positions (num,)"""

REACH = 12.0
"""Reach of the quadrature beyond every location: exp(−72) is outside."""
STEP = 0.04
NUM_LOCATIONS = 161
MARGIN = 2.0
"""Reach of the curve beyond the truth, the start and the present location."""
FAR = 200.0
"""Locations this far from the truth have run away, and no curve shows them."""


class Landscape(NamedTuple):
    """An objective over locations, float64."""

    value: Tensor
    """(num,)"""
    gradient: Tensor
    """(num,), its derivative in the location"""


def landscape(
    kind: Kind,
    locations: Tensor,
    mean: float,
    log_p: LogDensity,
    log_q: LogDensity,
    noise_ratio: float = 1.0,
) -> Landscape:
    """The objective of the model N(location, 1) at each of the locations (num,).

    log_p is of the data, about `mean`; log_q of the noise, which the likelihood does not use.
    """
    at = locations.detach().double().requires_grad_(True)
    centres = torch.cat([locations, 2 * mean - locations]).double()
    low, high = float(centres.min()) - REACH, float(centres.max()) + REACH
    x = torch.arange(low, high, STEP, dtype=torch.float64, device=at.device)
    p = log_p(x).double().exp() * STEP
    with torch.enable_grad():
        log_model = -0.5 * (x - at[:, None]).square() - 0.5 * LOG_2PI
        if kind == "likelihood":
            value = -(log_model @ p)
        else:
            log_noise = log_q(x).double()
            value = _classified(kind, log_model, log_noise, p, log_noise.exp() * STEP, noise_ratio)
        (gradient,) = torch.autograd.grad(value.sum(), at)
    return Landscape(value.detach(), gradient)


def _classified(
    kind: Kind, log_model: Tensor, log_noise: Tensor, p: Tensor, q: Tensor, noise_ratio: float
) -> Tensor:
    """Values (num,) of a classifier's loss; log_model (num, nodes), the rest (nodes,)."""
    log_ratio = log_model - log_noise
    if kind == "exponential":
        parts = [(p.log() - 0.5 * log_ratio), (q.log() + 0.5 * log_ratio)]
        return torch.stack(parts).logsumexp((0, 2)) - math.log(2)
    log_ratio = log_ratio - math.log(noise_ratio)
    return -(F.logsigmoid(log_ratio) @ p) - noise_ratio * (F.logsigmoid(-log_ratio) @ q)


def landscape_of(
    kind: Kind,
    energy: Energy,
    data: Data,
    noise: Distribution | None = None,
    noise_ratio: float = 1.0,
) -> list[Event]:
    """`objective/landscape` and `objective/gradient` (log10 of its size) over the location, in the
    user's units, each with the present location as a series of one point; nothing for other
    energies, for locations that ran away, and where data are not on a line or their density is not
    known."""
    known = data.density is not None and data.truth is not None and data.truth.mean is not None
    if not (isinstance(energy, LocationEnergy) and data.event_shape == (1,) and known):
        return []
    assert data.density is not None and data.truth is not None and data.truth.mean is not None
    density, device = data.density, data.train.device
    mean = float(data.standardise(data.truth.mean.to(device)))
    now = float(energy.mean.detach())
    if not abs(now - mean) < FAR:
        return []
    ends = (mean, now, 0.0)
    axis = torch.linspace(min(ends) - MARGIN, max(ends) + MARGIN, NUM_LOCATIONS, device=device)
    place = int((axis - now).abs().argmin())
    axis[place] = now
    log_scale = float(data.scale.log().sum())
    curve = landscape(
        kind,
        axis,
        mean,
        lambda z: log_scale - density(data.restore(z[:, None])),
        lambda z: torch.zeros_like(z) if noise is None else noise.log_prob(z[:, None]),
        noise_ratio,
    )
    x = data.restore(axis[:, None])[:, 0].cpu().numpy().astype(np.float32)
    smallest = torch.finfo(torch.float64).tiny
    rows = {
        "objective/landscape": ("objective", curve.value),
        "objective/gradient": ("log10 |gradient|", curve.gradient.abs().clamp(smallest).log10()),
    }
    return [_curve(path, x, name, values, place) for path, (name, values) in rows.items()]


def _curve(path: str, x: np.ndarray, name: str, values: Tensor, place: int) -> Curve:
    y = np.full((2, len(x)), np.nan, np.float32)
    y[0] = values.cpu().numpy()
    y[1, place] = y[0, place]
    return Curve(path, x, y, [name, "now"], "location")
