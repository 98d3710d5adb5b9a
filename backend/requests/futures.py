"""Pictures of what a predictor says may follow one context, in the plane."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from backend.data import Data
from backend.events import Event, Field, Trajectory
from backend.method import Method
from backend.observe import pictures
from backend.randomness import generator_of
from backend.requests.predicting import Given, PredictingMethod, Predictor, think
from backend.truth import Future

Problems = Iterable[tuple[str, str]]
CELLS = 80
"""Along a side of a landscape."""


def problems(method: Method, data: Data) -> Problems:
    """Reason why nothing can be asked of what follows a context."""
    if not isinstance(method, PredictingMethod):
        yield "", f"{method.title} does not predict from a context. Ask for samples."
    elif data.future is None:
        sentence = f"no law of what follows is known of {data.title}. Ask for a prediction."
        yield "", sentence


def telling_row(data: Data) -> int:
    """Place of the first held-out context after which several things may follow, or 0."""
    future, context = data.future, data.held_out_given["context"]
    if future is None:
        return 0
    return int(future.is_open(context).long().argmax())


def repeated(data: Data, row: int, num: int) -> dict[str, Tensor]:
    """Given of one held-out row, `num` times over."""
    row = row % len(data.held_out)
    return {
        name: value[row : row + 1].expand(num, *value.shape[1:])
        for name, value in data.held_out_given.items()
    }


def pictures_of(
    data: Data, predictor: Predictor, row: int, num: int, num_steps: int | None = None
) -> list[Event]:
    """The energy over the plane of what may follow a held-out row, and `num` predictions as paths;
    nothing where the law knows no plane."""
    future = data.future
    if future is None or future.view is None:
        return []
    given = repeated(data, row, num)
    generator = generator_of("future", row, device=data.train.device)
    thought = think(predictor, given, generator, num_steps)
    paths = future.path(given["context"], data.restore(thought.last))
    assert paths is not None
    return [
        *landscape(data, predictor, repeated(data, row, 1)),
        Trajectory("future/paths", pictures.float32(paths.transpose(0, 1)), "long_run"),
    ]


@torch.no_grad()
def landscape(data: Data, predictor: Predictor, given: Given) -> list[Event]:
    """The energy of what each place of the plane stands for, given one context (1, ...)."""
    future = data.future
    if future is None or future.view is None:
        return []
    side = torch.linspace(-future.view, future.view, CELLS, device=data.train.device)
    y, x = torch.meshgrid(side, side, indexing="ij")
    places = torch.stack([x, y], 2).flatten(0, 1)
    many = {name: value.expand(len(places), *value.shape[1:]) for name, value in given.items()}
    events = _events_at(future, given["context"], places)
    energies = predictor.energy(data.standardise(events), many)
    if energies is None:
        return []
    values = pictures.float32(pictures.above_lowest(energies, 1.0)).reshape(CELLS, CELLS)
    ends = (-future.view, future.view)
    return [Field("future/landscape", values, ends, ends)]


def _events_at(future: Future, context: Tensor, places: Tensor) -> Tensor:
    events = future.at_places(context, places)
    assert events is not None
    return events
