"""Figures: what a run showed, as Plotly figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.events import Curve, Event, Field, Histogram, Images, Points, Trajectory

DRAWN = ("curve", "field", "histogram", "images", "points", "trajectory")
"""Kinds of events that `of_event` draws."""
_GAP = 1
"""Pixels between the images of a grid."""


def of_scalars(series: dict[str, Any], title: str) -> go.Figure:
    """Draw scalar series, by path, over steps."""
    lines = [
        go.Scatter(x=each.step, y=each.value, name=path, mode="lines")
        for path, each in series.items()
    ]
    return go.Figure(lines, {"xaxis": {"title": "step"}, "title": title})


def of_event(event: Event, title: str) -> go.Figure:
    """Draw one event of a kind in `DRAWN`."""
    traces, layout = _parts(event)
    return go.Figure(traces, {"title": title, **layout})


def _parts(event: Event) -> tuple[list[Any], dict[str, Any]]:
    """Return the traces of an event, and the layout that goes with them."""
    match event:
        case Field():
            height, width = event.values.shape
            x, y = np.linspace(*event.x_range, width), np.linspace(*event.y_range, height)
            bar = {"title": event.quantity}
            return [go.Heatmap(z=event.values, x=x, y=y, colorbar=bar)], _plane(event.axes)
        case Points():
            colour = event.energies if event.labels is None else event.labels
            marker = {"size": 5, "color": colour, "showscale": colour is not None}
            x, y = _two(event.positions)
            return [go.Scatter(x=x, y=y, mode="markers", marker=marker)], _plane(event.axes)
        case Trajectory():
            walks = [_two(walk) for walk in np.moveaxis(event.positions, 1, 0)]
            return [
                go.Scatter(x=x, y=y, mode="lines", name=f"chain {number}")
                for number, (x, y) in enumerate(walks, 1)
            ], _plane(())
        case Histogram():
            middles = (event.edges[1:] + event.edges[:-1]) / 2
            return [
                go.Scatter(x=middles, y=counts, name=name, line={"shape": "hvh"})
                for name, counts in zip(event.names, event.counts, strict=True)
            ], {"xaxis": {"title": event.unit}, "yaxis": {"title": "share"}}
        case Curve():
            return [
                go.Scatter(x=event.x, y=y, name=name, mode="lines")
                for name, y in zip(event.names, event.y, strict=True)
            ], {"xaxis": {"title": event.x_name}, "yaxis": {"title": event.unit}}
        case Images():
            bare = {"visible": False}
            return [go.Image(z=_grid(event.pixels))], {"xaxis": bare, "yaxis": bare}
    raise TypeError(f"no figure of {type(event).__name__}")


def _plane(axes: tuple[str, ...]) -> dict[str, Any]:
    across, up = axes if len(axes) == 2 else ("x₁", "x₂")
    return {"xaxis": {"title": across}, "yaxis": {"title": up, "scaleanchor": "x"}}


def _two(positions: Any) -> tuple[Any, Any]:
    """Return the first two coordinates of positions (num, dim); one is drawn over its index."""
    if positions.shape[1] == 1:
        return np.arange(len(positions)), positions[:, 0]
    return positions[:, 0], positions[:, 1]


def _grid(pixels: Any) -> Any:
    """Put images (num, height, width[, channels]) into one of three channels, near a square."""
    colour = pixels if pixels.ndim == 4 else pixels[..., None]
    num, height, width, _ = colour.shape
    columns = int(np.ceil(np.sqrt(num)))
    rows = -(-num // columns)
    tall, wide = height + _GAP, width + _GAP
    sheet = np.full((rows * tall - _GAP, columns * wide - _GAP, 3), 255, np.uint8)
    for number, image in enumerate(colour):
        row, column = divmod(number, columns)
        sheet[row * tall : row * tall + height, column * wide : column * wide + width] = image
    return sheet
