"""Pictures of thinking: ways of predictions, and their errors and energies by step.

Energies are drawn above that of the true answer in the same context: what a context adds to all of
its energies is gone, and several contexts can stand in one picture.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from backend.data import Data, Rows
from backend.events import Curve, Event, Histogram, Images
from backend.metrics import prediction
from backend.observe import pictures
from backend.requests.predicting import Predictor, Thought

NUM_WAYS = 3
"""Held-out images whose ways are drawn, a row each."""
NUM_STEPS = 8
"""Steps of a way that are drawn, beside its start and that of training."""
NUM_BINS = 60
ABOVE = "nats above the truth's"


def drawn_steps(num_steps: int, trained: int) -> list[int]:
    """Steps of a way that are drawn: the start, early ones, that of training and the last.

    >>> drawn_steps(16, 3)
    [0, 1, 2, 3, 5, 7, 11, 16]
    """
    spread = np.geomspace(1, max(num_steps, 1), NUM_STEPS).round().astype(int).tolist()
    return sorted({0, min(trained, num_steps), *(step for step in spread if step <= num_steps)})


def _named(steps: list[int], trained: int) -> list[str]:
    names = {0: "start", trained: f"{trained}, trained"}
    return [names.get(step, str(step)) for step in steps]


def true_energy(data: Data, predictor: Predictor, rows: Rows) -> Tensor | None:
    """(num,) energies of the true answers; None where nothing judges them."""
    return predictor.energy(prediction.as_positions(data, rows.x), rows.given)


def ways(
    path: str, data: Data, rows: Rows, thought: Thought, trained: int, true: Tensor | None
) -> list[Event]:
    """Start, steps and, last, the truth: of a few images, or of one text, its likeliest characters
    with the shares of the true ones. Nothing of events that are neither."""
    steps = drawn_steps(len(thought.positions) - 1, trained)
    names = [*_named(steps, trained), "truth"]
    above = None
    if thought.energies is not None and true is not None:
        taken = thought.energies[steps] - true
        above = torch.cat([taken, torch.zeros_like(taken[:1])])
    if data.alphabet:
        logits = thought.positions[steps, 0]
        text = torch.cat([logits.argmax(-1), rows.x[:1].long()])
        shares = prediction.shares_of(logits, rows.x[:1].expand(len(steps), -1))
        shares = torch.cat([shares, torch.ones_like(shares[:1])])
        energy = None if above is None else above[:, 0]
        return [pictures.lines_of_text(path, data, text, energy, shares, names, ABOVE)]
    if not data.is_image or thought.last.shape[1:] != data.event_shape:
        return []
    num = min(NUM_WAYS, len(rows.x))
    along = torch.cat([thought.positions[steps, :num], rows.x[None, :num]]).transpose(0, 1)
    energies = None if above is None else above[:, :num].T.flatten()
    event = pictures.cloud(
        path,
        data,
        along.flatten(0, 1),
        "long_run",
        energies,
        num_dots=0,
        num_cells=num * len(names),
    )
    return [replace(event, columns=names)] if isinstance(event, Images) else []


def errors_by_step(path: str, values: list[float], name: str, trained: int) -> Curve:
    """A figure of predictions after each step, from the start on."""
    return Curve(
        path,
        np.arange(len(values), dtype=np.float32),
        np.array([values], np.float32),
        ["held out"],
        "inner steps",
        prediction.UNITS[name],
        [(float(trained), "trained")],
    )


def energies_by_step(path: str, energies: Tensor, true: Tensor, trained: int) -> Curve:
    """Energies (steps + 1, num) above those of the truth (num,), by their deciles."""
    above = (energies - true).float()
    parts = torch.tensor([0.5, 0.9, 0.1]).to(above)
    lines = torch.quantile(above, parts, dim=1)
    return Curve(
        path,
        np.arange(len(above), dtype=np.float32),
        pictures.float32(lines),
        ["median", "90 %", "10 %"],
        "inner steps",
        ABOVE,
        [(float(trained), "trained")],
    )


def above_truth(path: str, energies: dict[str, Tensor]) -> Histogram:
    """Energies (num,) by name above those of `true`, each in its own context."""
    sets = {name: value - energies["true"] for name, value in energies.items() if name != "true"}
    return replace(pictures.histogram(path, sets, NUM_BINS, ABOVE), marks=[(0.0, "truth")])
