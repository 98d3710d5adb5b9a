"""Shapes with exact densities: checkerboard, pinwheel, double well, banana and funnel."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.closed_form import REACH, ClosedForm

LOG_2PI = math.log(2 * math.pi)


def _log_normal(x: Tensor, mean: Tensor | float, sd: Tensor | float) -> Tensor:
    sd = torch.as_tensor(sd, dtype=x.dtype, device=x.device)
    return -0.5 * ((x - mean) / sd).square() - sd.log() - 0.5 * LOG_2PI


class Checkerboard(ClosedForm):
    """Uniform on 8 of the 16 squares of side 2 that tile [-4, 4]².

    The density is piecewise constant: -log p is log 32 on the squares and infinite elsewhere,
    its gradient is 0 wherever it exists, and Langevin or Hamiltonian chains cannot use it.
    """

    differentiable: ClassVar[bool] = False
    dim = 2
    box = ((-5.0, 5.0), (-5.0, 5.0))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        square = torch.floor(x / 2)
        inside = (x >= -4).all(1) & (x < 4).all(1) & (square.sum(1) % 2 == 0)
        energy = torch.where(inside, math.log(32.0), math.inf).to(x)
        return energy + 0 * x.sum(1)  # a gradient of 0 rather than none

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        uniform = torch.rand((num, 2), generator=generator, device=device)
        cell = torch.randint(8, (num,), generator=generator, device=device)
        row = cell // 2
        column = 2 * (cell % 2) + row % 2
        return 2 * (torch.stack([column, row], 1) + uniform) - 4


class Pinwheel(ClosedForm):
    """`num_arms` Gaussian arms, bent by turning each point by rate · exp(|x| / radius).

    The turn depends on the radius alone, so it keeps areas and the density is exact: undo the
    turn, then read a mixture of Gaussians that are long in the radius and thin across it. (The
    usual recipe turns by the coordinate along the arm; the two differ by a hair, and only this
    one has a density in closed form.)
    """

    dim = 2
    angles: Tensor

    def __init__(
        self, num_arms: int = 5, radius: float = 2.0, radial_sd: float = 0.6,
        tangential_sd: float = 0.2, rate: float = 0.25,
    ) -> None:  # fmt: skip
        super().__init__()
        self.radius, self.rate = radius, rate
        self.radial_sd, self.tangential_sd = radial_sd, tangential_sd
        angles = torch.arange(num_arms, dtype=torch.float64) * (2 * math.pi / num_arms)
        self.register_buffer("angles", angles.float())
        reach = radius + REACH * radial_sd
        self.box = ((-reach, reach), (-reach, reach))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        angle = self._turn(x)[:, None] + self.angles.to(x.dtype)
        cos, sin = angle.cos(), angle.sin()
        along = cos * x[:, :1] + sin * x[:, 1:]
        across = cos * x[:, 1:] - sin * x[:, :1]
        log_terms = _log_normal(along, self.radius, self.radial_sd) + _log_normal(
            across, 0.0, self.tangential_sd
        )
        return math.log(len(self.angles)) - log_terms.logsumexp(1)

    def _turn(self, x: Tensor) -> Tensor:
        return self.rate * (torch.linalg.vector_norm(x, dim=1) / self.radius).exp()

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        white = torch.randn((num, 2), generator=generator, device=device)
        arm = torch.randint(len(self.angles), (num,), generator=generator, device=device)
        along = self.radius + self.radial_sd * white[:, 0]
        across = self.tangential_sd * white[:, 1]
        angle = self._turn(torch.stack([along, across], 1)) + self.angles[arm]
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * along - sin * across, sin * along + cos * across], 1)


class DoubleWell(ClosedForm):
    """E = barrier · ((x/a)² - 1)² + y²/(2 sd²) + log Z: two wells at x = ±a, y = 0.

    sd = a / √(8 barrier) is the width of a well, so that both directions are alike at its foot.
    log Z and the inverse distribution function of x are tables of 20,001 nodes in float64, whose
    error is far below float32.
    """

    dim = 2
    grid: Tensor
    cumulative: Tensor

    def __init__(self, barrier: float = 4.0, a: float = 2.0) -> None:
        super().__init__()
        self.barrier, self.a = barrier, a
        self.sd = a / math.sqrt(8 * barrier)
        # 40 nats above the bottom of a well: nothing lies beyond
        edge = a * math.sqrt(1 + math.sqrt(40 / barrier))
        grid = torch.linspace(-edge, edge, 20_001, dtype=torch.float64)
        weight = (-self._well(grid)).exp()
        steps = 0.5 * (weight[1:] + weight[:-1]) * (grid[1] - grid[0])
        cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
        self.log_z = float(cumulative[-1].log()) + math.log(self.sd) + 0.5 * LOG_2PI
        self.register_buffer("grid", grid)
        self.register_buffer("cumulative", cumulative / cumulative[-1])
        self.register_buffer("wells", torch.tensor([[-a, 0.0], [a, 0.0]]))
        self.modes, self.mode_sd = self.get_buffer("wells"), self.sd
        reach = REACH * self.sd
        self.box = ((-edge, edge), (-reach, reach))

    def _well(self, x: Tensor) -> Tensor:
        return self.barrier * ((x / self.a).square() - 1).square()

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self._well(x[:, 0]) + 0.5 * (x[:, 1] / self.sd).square() + self.log_z

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        uniform = torch.rand((num,), generator=generator, device=device, dtype=torch.float64)
        right = torch.searchsorted(self.cumulative, uniform).clamp(1, len(self.grid) - 1)
        low, high = self.cumulative[right - 1], self.cumulative[right]
        share = (uniform - low) / (high - low)
        x = self.grid[right - 1] + share * (self.grid[right] - self.grid[right - 1])
        y = self.sd * torch.randn((num,), generator=generator, device=device)
        return torch.stack([x.float(), y], 1)


class Banana(ClosedForm):
    """x ~ N(0, width²), y | x ~ N(bend (x² - width²), sd²): skewed, with known moments.

    bend must not be negative.
    """

    dim = 2

    def __init__(self, width: float = 2.0, bend: float = 0.4, sd: float = 0.5) -> None:
        super().__init__()
        self.width, self.bend, self.sd = width, bend, sd
        # five widths, not seven: the arms reach so far up that the grid would grow coarse
        x, pad = 5 * width, 5 * sd
        self.box = ((-x, x), (-bend * width**2 - pad, bend * (x**2 - width**2) + pad))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (2,) and covariance (2, 2), float64."""
        variances = [self.width**2, 2 * self.bend**2 * self.width**4 + self.sd**2]
        return torch.zeros(2, dtype=torch.float64), torch.tensor(variances).double().diag()

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        centre = self.bend * (x[:, 0].square() - self.width**2)
        return -_log_normal(x[:, 0], 0.0, self.width) - _log_normal(x[:, 1], centre, self.sd)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, 2), generator=generator, device=generator.device)
        x = self.width * white[:, 0]
        return torch.stack([x, self.bend * (x.square() - self.width**2) + self.sd * white[:, 1]], 1)


class Funnel(ClosedForm):
    """v ~ N(0, spread²), every other coordinate ~ N(0, exp(v)). Neal 2003, spread 3.

    Its tails reach so far that no plain grid holds the mass: `box` is None.
    """

    def __init__(self, dim: int = 2, spread: float = 3.0) -> None:
        super().__init__()
        self.dim, self.spread = dim, spread

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        v, rest = x[:, :1], x[:, 1:]
        log_density = _log_normal(v[:, 0], 0.0, self.spread)
        # written with exp(-v), not with an sd, so that far out nothing divides by zero
        others = -0.5 * (rest.square() * (-v).exp() + v + LOG_2PI)
        return -log_density - others.sum(1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, self.dim), generator=generator, device=generator.device)
        v = self.spread * white[:, :1]
        return torch.cat([v, (0.5 * v).exp() * white[:, 1:]], 1)
