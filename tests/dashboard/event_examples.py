"""One event of each kind, under paths that no page knows: what a method may say of its own."""

from __future__ import annotations

import numpy as np

from backend.events import (
    Curve,
    Event,
    Field,
    Histogram,
    Images,
    Points,
    Scalar,
    Table,
    Text,
    Trajectory,
)

_rng = np.random.default_rng(0)
_classes = np.repeat(np.arange(3, dtype=np.int32), 40)
_grid = np.linspace(-2, 2, 40, dtype=np.float32)

EXAMPLES: dict[str, Event] = {
    event.kind: event
    for event in (
        Scalar("own/accuracy", 0.75),
        Histogram(
            "own/confidence",
            np.linspace(0, 1, 11, dtype=np.float32),
            np.stack([np.linspace(0.02, 0.18, 10), np.full(10, 0.1)]).astype(np.float32),
            ["data", "long_run"],
            np.zeros((2, 2), np.int32),
            unit="probability",
        ),
        Points(
            "own/classes",
            (_rng.normal(size=(120, 2)) + 4 * np.stack([_classes, _classes % 2], 1)).astype(
                np.float32
            ),
            "data",
            labels=_classes,
            axes=("petal length, cm", "petal width, cm"),
        ),
        Images(
            "own/filters",
            _rng.integers(0, 255, (16, 8, 8), dtype=np.uint8),
            "train_time",
            -1.0,
            1.0,
        ),
        Trajectory(
            "own/descent",
            np.cumsum(_rng.normal(0, 0.2, (30, 4, 2)), 0).astype(np.float32),
            "train_time",
        ),
        Field(
            "own/decision",
            (1 / (1 + np.exp(-3 * np.add.outer(_grid, _grid)))).astype(np.float32),
            (-2.0, 2.0),
            (-2.0, 2.0),
            quantity="probability",
        ),
        Curve(
            "own/calibration",
            np.linspace(0, 1, 9, dtype=np.float32),
            np.stack([np.linspace(0, 1, 9), np.linspace(0, 1, 9) ** 2]).astype(np.float32),
            ["perfect", "this model"],
            x_name="predicted",
            unit="observed share",
        ),
        Table("own/confusion", ["class", "as 0", "as 1"], [["0", 48, 2], ["1", 5, None]]),
        Text("own/remark", "the third class came late"),
    )
}
"""By kind; a test finds out when one is missing."""

OTHERS: tuple[Event, ...] = (
    Trajectory(
        "own/ways",
        np.cumsum(_rng.normal(0, 0.2, (9, 4, 2)), 0).astype(np.float32),
        "long_run",
        view=[[-1.5, 1.5], [-1.5, 1.5]],
        obstacles=[[0.0, 0.0, 0.35]],
    ),
    Field(
        "own/phases",
        np.tri(6, 6, dtype=np.float32),
        (0.0, 6.0),
        (0.0, 1.0),
        quantity="overlap",
        axes=("patterns", "temperature"),
        line=np.array([[0.0, 1.0], [6.0, 0.0]], np.float32),
    ),
)
"""Further ones, of kinds that are there already."""
