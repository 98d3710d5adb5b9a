"""Classification of held-out data: accuracy, log-loss, calibration, confusion and a map."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from backend.data import Data
from backend.events import Event, Field, Scalar, Table
from backend.metrics import classification
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer

MOST = 2000
"""Held-out positions that are classified at most."""
CHUNK = 4096


class ClassificationObserver(Observer):
    """`classification/accuracy`, `/log_loss` and `/calibration_error` of held-out data, a table of
    which class was called which and, for points in a plane, a map of the decision."""

    id = "classification"

    def begin(self, context: Context) -> Iterable[Event]:
        labels = self.subject.data.held_out_labels
        if labels is not None and self._log_probs(self.subject.data.held_out[:1]) is not None:
            share = float(labels.bincount().amax() / len(labels))
            yield Scalar("classification/accuracy/floor", share)

    def watch(self, context: Context) -> Iterable[Event]:
        grid, points = self.subject.grid, self.subject.grid_points
        if grid is None or points is None:
            return
        log_probs = self._log_probs(self.subject.data.standardise(points))
        if log_probs is None:
            return
        if log_probs.shape[1] == 2:
            values, quantity = log_probs[:, 1].exp(), "probability"
        else:
            values, quantity = log_probs.argmax(1).float(), "class"
        image = pictures.float32(values).reshape(grid.size, grid.size)
        yield Field("classification/map", image, *grid.box, quantity=quantity)

    def measure(self, context: Context) -> Iterable[Event]:
        data = self.subject.data
        if data.held_out_labels is None:
            return
        log_probs, labels = self._log_probs(data.held_out[:MOST]), data.held_out_labels[:MOST]
        if log_probs is None:
            return
        yield Scalar("classification/accuracy", classification.accuracy(log_probs, labels))
        yield Scalar("classification/log_loss", classification.log_loss(log_probs, labels))
        error = classification.calibration_error(log_probs, labels)
        yield Scalar("classification/calibration_error", error)
        yield confusion_table(data, classification.confusion(log_probs, labels))

    def _log_probs(self, z: Tensor) -> Tensor | None:
        parts = [self.subject.method.class_log_probs(part) for part in z.split(CHUNK)]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if known else None


def confusion_table(data: Data, counts: Tensor, path: str = "classification/confusion") -> Table:
    """A table with a row for each true class and a column for each that was called."""
    names = data.label_names or tuple(str(label) for label in range(len(counts)))
    rows: list[list[str | float | int | None]] = [
        [name, *row] for name, row in zip(names, counts.tolist(), strict=True)
    ]
    return Table(path, ["true class", *names], rows)
