"""The pictures of a run as events: landscape, energy histogram, points and image grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.events import Event, Field, Histogram, Images, Points, Table, Trajectory
from backend.metrics.density import Box, Grid, energies

Array = npt.NDArray[Any]

VIEW_MARGIN = 0.2
"""The view of a landscape reaches this many ranges of the data beyond it on each side."""
MAX_STRETCH = 4.0
"""Axes share one scale unless the data are this much longer than wide."""
CEILING = 60.0
"""Nats above the minimum at which a landscape is cut: exp(-60) is nothing."""
TAIL = 2.0
"""Spans of the data's energies by which tails of samples stretch their axis."""
MAX_COLUMNS = 32
"""Coordinates of a point that travel to the page."""
MAX_TOKENS = 256
"""Places of a sequence up to which it is drawn as a strip."""
STRIP = 6
"""Of a strip: so many times wider than high."""
NUM_LINES = 12
"""Windows of a text that are drawn, a line each."""
SIGNS = str.maketrans({"\n": "↵", "\r": "↵", "\t": "⇥"})
"""What stands for characters that a line cannot hold."""


def view_of(data: Data) -> Box | None:
    """The fixed view of 2-D data: its range + 40 %, square where the axes compare; else None.

    Of discrete data the cells about their values, and no more.
    """
    if data.event_shape != (2,):
        return None
    if data.num_values is not None:
        side = (-0.5, data.num_values - 0.5)
        return side, side
    x = data.restore(data.train)
    low, high = x.amin(0), x.amax(0)
    centre, half = (low + high) / 2, (high - low) * (0.5 + VIEW_MARGIN)
    if float(half.max() / half.min()) <= MAX_STRETCH:
        half = half.max().expand(2)
    (left, bottom), (right, top) = (centre - half).tolist(), (centre + half).tolist()
    return (left, right), (bottom, top)


def landscape(path: str, energy: Energy, grid: Grid, points: Tensor, temperature: float) -> Field:
    """The energy over a grid, relative to its lowest value, cut at CEILING temperatures."""
    values = above_lowest(energies(energy, points), temperature)
    shape = (grid.size, grid.size)
    return Field(path, float32(values).reshape(shape), *grid.box, temperature=temperature)


def above_lowest(values: Tensor, temperature: float) -> Tensor:
    """Energies (num,) above their lowest one, cut at CEILING temperatures."""
    values = torch.where(values.isnan(), torch.inf, values)
    values = (values - values.min()).clamp(max=CEILING * temperature)
    # an energy that is infinite everywhere has no lowest value
    return values.nan_to_num(CEILING * temperature)


def histogram(path: str, sets: dict[str, Tensor], num_bins: int, unit: str = "nats") -> Histogram:
    """Energies of several sets, or numbers of another unit, by role, on one axis.

    The axis spans the middle 99 % of the data and the middle 80 % of samples, whose tails stretch
    it by at most TAIL spans of the data; noise does not stretch it. What lies outside is counted
    in `clipped`, what is not finite as above.
    """
    arrays = {role: float32(values).astype(np.float64) for role, values in sets.items()}
    finite = {role: values[np.isfinite(values)] for role, values in arrays.items()}
    low, high = _axis({role: values for role, values in finite.items() if len(values)})
    if high - low < 1e-6 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, num_bins + 1)
    counts, clipped = [], []
    for values in arrays.values():
        inside = np.histogram(values[np.isfinite(values)], edges)[0]
        below = int((values < low).sum())
        clipped.append([below, len(values) - below - int(inside.sum())])
        counts.append(inside / max(len(values), 1))
    return Histogram(
        path,
        edges.astype(np.float32),
        np.array(counts, np.float32),
        list(arrays),
        np.array(clipped, np.int32),
        unit,
    )


def _axis(sets: dict[str, Array]) -> tuple[float, float]:
    """Ends of the axis of energies (num,) by role, all finite."""
    samples = [values for role, values in sets.items() if role != "noise"] or list(sets.values())
    if not samples:
        return 0.0, 1.0
    low, high = _middle(sets.get("data", samples[0]), 0.99)
    reach = TAIL * (high - low)
    least, most = low - reach, high + reach
    for values in samples:
        (start, end), (bulk_start, bulk_end) = _middle(values, 0.99), _middle(values, 0.8)
        low = min(low, bulk_start, max(start, least))
        high = max(high, bulk_end, min(end, most))
    return low, high


def _middle(values: Array, share: float) -> tuple[float, float]:
    """Between which ends the middle share of the values lies."""
    start, end = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(start), float(end)


def cloud(
    path: str,
    data: Data,
    z: Tensor,
    role: str,
    energy: Tensor | None = None,
    *,
    num_dots: int,
    num_cells: int,
) -> Event | None:
    """Points or images of standardised z in the user's units; None for events of other shapes.

    Text is lines of a table. Other sequences of whole numbers are images, a strip each, the largest
    number the lightest.
    """
    x = data.restore(z)
    if data.alphabet:
        return lines_of_text(path, data, x[:NUM_LINES], energy)
    most = 0 if data.num_values is None else data.num_values - 1
    if most and not data.is_image and x.dim() == 2 and 2 < x.shape[1] <= MAX_TOKENS:
        strips = _strips(x[:num_cells], most)
        values = None if energy is None else float32(energy[:num_cells])
        return Images(path, strips, role, 0.0, float(most), values)
    if data.image_range is not None:
        low, high = data.image_range
        share = ((x[:num_cells] - low) / (high - low)).nan_to_num(0.0).clamp(0, 1)
        pixels = (share * 255).round().to(torch.uint8).cpu().numpy()
        values = None if energy is None else float32(energy[:num_cells])
        return Images(path, pixels, role, low, high, values)
    if x.dim() != 2:
        return None
    values = None if energy is None else float32(energy[:num_dots])
    axes = data.columns[:MAX_COLUMNS] if len(data.columns) == x.shape[1] else ()
    return Points(path, in_units(x[:num_dots, :MAX_COLUMNS]), role, values, axes=axes)


def lines_of_text(
    path: str,
    data: Data,
    values: Tensor,
    energy: Tensor | None = None,
    shares: Tensor | None = None,
    names: Sequence[str] = (),
    energy_name: str = "energy",
) -> Table:
    """Table of values (num, length) as the characters they stand for, a line each; the energies
    (num,) and `names` of the lines beside them, `shares` (num, length) of each character.
    """
    columns = [*(["step"] if names else []), "text", *([] if energy is None else [energy_name])]
    rows: list[list[str | float | int | None]] = []
    for place, line in enumerate(values.long().tolist()):
        text = "".join(data.alphabet[value] for value in line).translate(SIGNS)
        row: list[str | float | int | None] = [text]
        if names:
            row.insert(0, names[place])
        if energy is not None:
            row.append(float(energy[place]))
        rows.append(row)
    each = [] if shares is None else [[round(s, 2) for s in line] for line in shares.tolist()]
    return Table(path, columns, rows, "text", each)


def _strips(x: Tensor, most: int) -> Array:
    """Sequences (num, length) of 0, 1, ... `most` as images (num, height, length) uint8."""
    share = (x / most).nan_to_num(0.0).clamp(0, 1)
    pixels = (share * 255).round().to(torch.uint8).cpu().numpy()
    height = max(1, x.shape[1] // STRIP)
    return np.repeat(pixels[:, None], height, axis=1)


def trajectory(
    path: str,
    data: Data,
    z: Tensor,
    energy: Tensor,
    accepted: Tensor | None,
    role: str,
    *,
    num: int,
) -> Trajectory:
    """The first `num` chains of z (steps, chains, 2), standardised, in the user's units, with
    their energies (steps, chains); `accepted` (steps or one less, chains) bool where they may
    reject."""
    return Trajectory(
        path,
        in_units(data.restore(z[:, :num])),
        role,
        float32(energy[:, :num]),
        None if accepted is None else accepted[:, :num].to(torch.uint8).cpu().numpy(),
    )


def in_units(x: Tensor) -> Array:
    """Positions (..., dim) in the user's units as float32, or as float64 where that would blur
    them: far from the origin, or beyond what 32 bits hold."""
    if x.dtype == torch.float64 and x.numel():
        values = x.detach().cpu().numpy()
        flat = values.reshape(-1, values.shape[-1])
        reach, width = np.abs(flat).max(0), np.ptp(flat, axis=0)
        if (reach > 1e3 * width).any() or (width < 1e-35).any():
            return values
    return float32(x)


def float32(values: Tensor) -> Array:
    return values.detach().float().cpu().numpy()


def concept_table(path: str, data: Data, values: Tensor) -> Table:
    """Table of p(concept | class), values (num_concepts, num_labels); NaN is left out. A path whose
    last word begins with `probabilities` has it shaded by them."""
    num_concepts, num_labels = values.shape
    names = data.concept_names or [f"concept {place + 1}" for place in range(num_concepts)]
    classes = data.label_names or [str(label) for label in range(num_labels)]
    rows: list[list[str | float | int | None]] = [
        [name, *(None if math.isnan(value) else round(value, 3) for value in line)]
        for name, line in zip(names, values.tolist(), strict=True)
    ]
    return Table(path, ["concept", *classes], rows)
