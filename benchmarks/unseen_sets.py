"""Data sets that no preset was tuned on, with exact densities and their own judge of KL.

    sets()["shells"].sample(8000, seed=0)        # (8000, 2) float64
    sets()["shells"].log_density(x)              # (num,) of x (num, dim)
    sets()["shells"].data(folder)                # {"name": "file", "path": ...} for a RunSpec
    sets()["shells"].kl(energy)                  # nats; energy: numpy (num, dim) -> (num,)

Nothing here is shared with the package: densities are NumPy's, and the normaliser of an energy
comes from `benchmarks.unseen_truth`, so that a mistake in a metric cannot confirm itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy import special, stats

Array = np.ndarray
NUM_POINTS = 8000


class Part(Protocol):
    """One component of a mixture, normalised."""

    def sample(self, num: int, rng: np.random.Generator) -> Array: ...

    def log_density(self, x: Array) -> Array: ...


@dataclass(frozen=True)
class Elliptical:
    """Gaussian, or Student's t of `df` degrees of freedom, about a mean."""

    mean: Array
    """(dim,)"""
    factor: Array
    """(dim, dim): x = mean + factor @ standard"""
    df: float = np.inf

    def sample(self, num: int, rng: np.random.Generator) -> Array:
        standard = rng.standard_normal((num, len(self.mean)))
        if np.isfinite(self.df):
            standard /= np.sqrt(rng.chisquare(self.df, (num, 1)) / self.df)
        return self.mean + standard @ self.factor.T

    def log_density(self, x: Array) -> Array:
        standard = np.linalg.solve(self.factor, (x - self.mean).T).T
        square, dim = (standard**2).sum(1), len(self.mean)
        log_det = np.linalg.slogdet(self.factor)[1]
        if not np.isfinite(self.df):
            return -0.5 * square - 0.5 * dim * np.log(2 * np.pi) - log_det
        half = 0.5 * (self.df + dim)
        constant = special.gammaln(half) - special.gammaln(0.5 * self.df)
        constant -= 0.5 * dim * np.log(self.df * np.pi) + log_det
        return constant - half * np.log1p(square / self.df)


@dataclass(frozen=True)
class Ring:
    """A circle of a radius in the plane of two orthonormal axes, with normal noise across it and
    in every other direction."""

    radius: float
    sd: float
    axes: Array
    """(dim, dim) orthonormal; the circle lies in the plane of the first two rows"""
    other_sd: float = 0.1

    def sample(self, num: int, rng: np.random.Generator) -> Array:
        angle = rng.uniform(0, 2 * np.pi, num)
        # the noise is normal and cut at 0, which is many sd away
        radius = stats.truncnorm.rvs(
            -self.radius / self.sd, np.inf, self.radius, self.sd, size=num, random_state=rng
        )
        other = self.other_sd * rng.standard_normal((num, len(self.axes) - 2))
        plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return np.concatenate([plane, other], 1) @ self.axes

    def log_density(self, x: Array) -> Array:
        turned = x @ self.axes.T
        radius = np.maximum(np.hypot(turned[:, 0], turned[:, 1]), 1e-12)
        cut = stats.norm.logsf(-self.radius / self.sd)
        across = stats.norm.logpdf(radius, self.radius, self.sd) - cut
        other = stats.norm.logpdf(turned[:, 2:], 0, self.other_sd).sum(1)
        return across - np.log(2 * np.pi * radius) + other


@dataclass(frozen=True)
class Curve:
    """Normal noise about a curve (x_0, f(x_0)), with x_0 normal."""

    course: Callable[[Array], Array]
    """f: (num, 1) -> (num, dim - 1)"""
    first_sd: float
    sd: float

    def sample(self, num: int, rng: np.random.Generator) -> Array:
        first = self.first_sd * rng.standard_normal((num, 1))
        other = self.course(first)
        return np.concatenate([first, other + self.sd * rng.standard_normal(other.shape)], 1)

    def log_density(self, x: Array) -> Array:
        total = stats.norm.logpdf(x[:, 0], 0, self.first_sd)
        return total + stats.norm.logpdf(x[:, 1:], self.course(x[:, :1]), self.sd).sum(1)


@dataclass(frozen=True)
class HalfMoon:
    """Uniform on half an annulus, with a hard edge."""

    inner: float
    outer: float

    def sample(self, num: int, rng: np.random.Generator) -> Array:
        radius = np.sqrt(rng.uniform(self.inner**2, self.outer**2, num))
        angle = rng.uniform(0, np.pi, num)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)

    def log_density(self, x: Array) -> Array:
        radius = np.hypot(x[:, 0], x[:, 1])
        inside = (radius >= self.inner) & (radius <= self.outer) & (x[:, 1] >= 0)
        area = 0.5 * np.pi * (self.outer**2 - self.inner**2)
        return np.where(inside, -np.log(area), -np.inf)


@dataclass(frozen=True)
class Box:
    """Uniform between two corners."""

    low: Array
    high: Array

    def sample(self, num: int, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, (num, len(self.low)))

    def log_density(self, x: Array) -> Array:
        inside = ((x >= self.low) & (x <= self.high)).all(1)
        return np.where(inside, -np.log(self.high - self.low).sum(), -np.inf)


@dataclass(frozen=True)
class UnseenSet:
    """A mixture of parts, exactly known."""

    name: str
    kind: str
    """kind of data, in a few words"""
    weights: tuple[float, ...]
    parts: tuple[Part, ...]

    @property
    def dim(self) -> int:
        return self.parts[0].sample(1, np.random.default_rng(0)).shape[1]

    def sample(self, num: int, seed: int) -> Array:
        """Exact draws (num, dim), float64, in random order."""
        rng = np.random.default_rng([seed, 12])
        counts = rng.multinomial(num, np.array(self.weights) / sum(self.weights))
        drawn = [part.sample(count, rng) for part, count in zip(self.parts, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def data(self, folder: Path) -> dict[str, str]:
        """Write the 8,000 points of the set to a folder; return the data of a run on them."""
        path = folder / f"{self.name}.npy"
        np.save(path, self.sample(NUM_POINTS, seed=0).astype(np.float32))
        return {"name": "file", "path": str(path)}

    def log_density(self, x: Array) -> Array:
        """log p (num,) of x (num, dim); -inf outside the support."""
        weights = np.log(self.weights) - np.log(sum(self.weights))
        logs = [w + part.log_density(x) for w, part in zip(weights, self.parts, strict=True)]
        return special.logsumexp(np.stack(logs), axis=0)

    def kl(self, energy: Callable[[Array], Array]) -> float:
        """KL(p || exp(-E)/Z) in nats of an energy (num, dim) -> (num,) in the set's units."""
        from benchmarks.unseen_truth import kl_to

        return kl_to(self, energy)[0]


def _turned(first: float, second: float, degrees: float) -> Array:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([first, second])


def _blob(x: float, y: float, first: float, second: float, degrees: float = 0.0) -> Elliptical:
    return Elliptical(np.array([x, y]), _turned(first, second, degrees))


def _orthonormal(dim: int, seed: int) -> Array:
    drawn = np.random.default_rng(seed).standard_normal((dim, dim))
    return np.linalg.qr(drawn)[0]


def _spiral_of_blobs() -> UnseenSet:
    places = np.linspace(0.6, 3.4, 11)
    blobs = [
        _blob(p * np.cos(2.4 * p), p * np.sin(2.4 * p), 0.05 + 0.05 * p, 0.04, 137.5 * p)
        for p in places
    ]
    return UnseenSet("spiral_blobs", "11 blobs on a spiral", tuple(places**1.5), tuple(blobs))


def _mixture_in(dim: int, num: int, seed: int, name: str, df: float = np.inf) -> UnseenSet:
    """Unequal components with covariances of condition about 25, means 3 a coordinate apart."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(num):
        scales = np.exp(rng.uniform(np.log(0.2), np.log(1.0), dim))
        factor = _orthonormal(dim, seed + index + 1) @ np.diag(scales)
        parts.append(Elliptical(rng.uniform(-3, 3, dim), factor, df))
    weights = 0.62 ** np.arange(num)
    return UnseenSet(name, f"{num} unequal components in {dim}-D", tuple(weights), tuple(parts))


def _winding(x: Array) -> Array:
    """Cosines (num, 4) of rising frequency of x (num, 1)."""
    return np.cos(x * np.array([1.0, 1.5, 2.0, 2.5]) + np.arange(4))


@cache
def sets() -> dict[str, UnseenSet]:
    """Every set by its name; two dimensions first."""
    plane = np.eye(2)
    rotated = (
        _blob(-3.0, 1.5, 1.2, 0.12, 35),
        _blob(2.5, 2.2, 0.6, 0.15, -50),
        _blob(0.5, -2.5, 0.9, 0.09, 80),
        _blob(3.6, -1.6, 0.12, 0.12),
        _blob(-1.0, 0.2, 0.4, 0.25, 15),
    )
    near = (_blob(0.4, -0.3, 0.15, 0.1, 20), _blob(0.0, 0.0, 1.8, 0.9, 60))
    student = (
        Elliptical(np.array([-4.0, 0.0]), _turned(0.8, 0.3, 30), 3.0),
        Elliptical(np.array([3.0, 2.0]), _turned(0.4, 0.4, 0), 3.0),
        Elliptical(np.array([1.0, -4.0]), _turned(1.0, 0.2, -20), 3.0),
    )
    every = (
        UnseenSet("rotated", "unequal, rotated, 10 scales", (0.4, 0.25, 0.2, 0.1, 0.05), rotated),
        UnseenSet("nested", "a narrow component inside a broad one", (0.3, 0.7), near),
        UnseenSet(
            "shells",
            "two concentric shells",
            (0.35, 0.65),
            (Ring(1.0, 0.08, plane), Ring(2.6, 0.12, plane)),
        ),
        UnseenSet(
            "three_shells",
            "three concentric shells, unequal",
            (0.2, 0.5, 0.3),
            (Ring(0.7, 0.07, plane), Ring(1.9, 0.1, plane), Ring(3.2, 0.15, plane)),
        ),
        UnseenSet(
            "banana",
            "a banana with a satellite",
            (0.85, 0.15),
            (Curve(lambda x: 0.6 * x**2 - 1.0, 1.4, 0.25), _blob(0.0, 4.5, 0.25, 0.15, 30)),
        ),
        UnseenSet(
            "student",
            "heavy tails, df 3",
            (1.0,),
            (Elliptical(np.array([1.0, -2.0]), _turned(1.5, 0.4, 25), 3.0),),
        ),
        UnseenSet("student_mixture", "three components with tails, df 3", (0.5, 0.2, 0.3), student),
        _spiral_of_blobs(),
        UnseenSet("half_moon", "half an annulus with a hard edge", (1.0,), (HalfMoon(1.0, 2.0),)),
        UnseenSet(
            "box_blob",
            "a uniform box and a small blob",
            (0.7, 0.3),
            (Box(np.array([-2.0, -1.0]), np.array([1.0, 1.0])), _blob(2.5, 0.0, 0.12, 0.3, 40)),
        ),
        UnseenSet("curve_5d", "a winding curve in 5-D", (1.0,), (Curve(_winding, 1.2, 0.2),)),
        _mixture_in(10, 7, 70, "mixture_10d"),
        UnseenSet(
            "ring_10d", "a ring in 10-D", (1.0,), (Ring(2.0, 0.1, _orthonormal(10, 5), 0.15),)
        ),
    )
    return {one.name: one for one in every}
