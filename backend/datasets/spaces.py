"""Spaces of observations and actions: Gymnasium's own where it is installed, else alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Box:
    """Arrays of one shape between two bounds: the part of `gymnasium.spaces.Box` that loops use."""

    low: Array
    high: Array
    shape: tuple[int, ...]
    dtype: Any = np.float32
    _generator: np.random.Generator = field(default_factory=np.random.default_rng, repr=False)

    def seed(self, seed: int | None = None) -> None:
        self._generator = np.random.default_rng(seed)

    def sample(self) -> Array:
        """A uniform draw of the box."""
        return self._generator.uniform(self.low, self.high).astype(self.dtype)

    def contains(self, x: Any) -> bool:
        array = np.asarray(x)
        return array.shape == self.shape and bool(
            ((array >= self.low) & (array <= self.high)).all()
        )


def box(low: float, high: float, shape: tuple[int, ...]) -> Any:
    """A box of float32 between `low` and `high`."""
    try:
        spaces = import_module("gymnasium.spaces")
    except ImportError:
        return Box(np.full(shape, low, np.float32), np.full(shape, high, np.float32), shape)
    return spaces.Box(low, high, shape, np.float32)
