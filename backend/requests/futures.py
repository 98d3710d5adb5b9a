"""Pictures of what a predictor says may follow one context, in the plane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from backend.ability import Asked
from backend.data import Data, Rows
from backend.errors import BadInput, NotAvailable
from backend.events import Curve, Event, Field, Table, Trajectory
from backend.method import Method
from backend.metrics import prediction
from backend.observe import pictures
from backend.randomness import generator_of
from backend.requests.predicting import (
    Given,
    PredictingMethod,
    Predictor,
    not_predicting,
    think,
)
from backend.truth import Future

Problems = Iterable[tuple[str, str]]
CELLS = 80
"""Along a side of a landscape."""
NUM_WAYS = 8
"""Predictions that are followed from their starts."""
REACH = 2.0
"""Half the length of a cut, in that from the mean of two futures to one of them."""
NUM_PLACES = 161
"""Along a cut."""
BUDGETS = (2, 5, 10, 20, 50)
"""Steps after which it is looked where predictions land."""


def problems(method: Method, data: Data) -> Problems:
    """Reason why nothing can be asked of what follows a context."""
    if not isinstance(method, PredictingMethod):
        yield "", not_predicting(method)
    elif data.future is None:
        sentence = f"No law of what follows is known of {data.title}. Ask how it thinks."
        yield "", sentence


def misfits(asked: Asked, run: str) -> Problems:
    """Reason, at `runs`, why another run cannot stand beside the one that is asked."""
    if asked.load is None:
        yield "runs", "other runs cannot be reached from here."
        return
    try:
        other = asked.load(run)
    except (BadInput, NotAvailable) as error:
        yield "runs", str(error)
        return
    if list(problems(other.method, other.data)) or (
        other.data.name != asked.data.name
        or other.data.event_shape != asked.data.event_shape
        or other.data.given["context"].shape[1:] != asked.data.given["context"].shape[1:]
    ):
        yield "runs", f"must be a run that predicts {asked.data.title} too."


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
    """Pictures of what may follow a held-out row: the energy over the plane, `num` predictions as
    paths and as they are thought, and the energy across the fork. None where no plane is known."""
    future = data.future
    if future is None or future.view is None:
        return []
    given = repeated(data, row, num)
    generator = generator_of("future", row, device=data.train.device)
    thought = think(predictor, given, generator, num_steps)
    context = given["context"]
    paths = future.path(context, data.restore(thought.last))
    assert paths is not None
    events: list[Event] = [
        *landscape(data, predictor, repeated(data, row, 1)),
        ways("future/paths", paths.transpose(0, 1), future),
        *cut(data, predictor, repeated(data, row, 1), thought.last),
    ]
    few = slice(0, NUM_WAYS)
    places = [future.place_of(context[few], data.restore(x[few])) for x in thought.positions]
    known = [place for place in places if place is not None]
    if known and thought.energies is not None:
        events.append(ways("future/ways", torch.stack(known), future))
    return events


def ways(path: str, places: Tensor, law: Future) -> Trajectory:
    """Ways (steps, num, 2) in the plane of a law, with what stands in the way there."""
    ends = [] if law.view is None else [[-law.view, law.view]] * 2
    discs = [list(disc) for disc in law.obstacles]
    return Trajectory(path, pictures.float32(places), "long_run", view=ends, obstacles=discs)


@torch.no_grad()
def cut(data: Data, predictor: Predictor, given: Given, predicted: Tensor) -> list[Event]:
    """The energy along the line through both futures of one context (1, ...), and where on it
    predictions (num, *event_shape) lie; nothing where one thing alone may follow."""
    future, context = data.future, given["context"]
    possible = None if future is None else future.possible(context)
    if future is None or possible is None or not bool(future.is_open(context)):
        return []
    one, other = (data.standardise(possible[0][0, index]).to(data.train) for index in range(2))
    middle, half = (one + other) / 2, (one - other) / 2
    side = torch.linspace(-REACH, REACH, NUM_PLACES, device=data.train.device)
    along = middle + side.reshape(-1, *[1] * one.dim()) * half
    many = {name: value.expand(len(along), *value.shape[1:]) for name, value in given.items()}
    energies = predictor.energy(along, many)
    if energies is None:
        return []
    off = (predicted - middle).flatten(1) @ half.flatten() / half.square().sum()
    marks = [(1.0, future.two[0]), (0.0, "their mean"), (-1.0, future.two[1])]
    marks += [(float(place), "") for place in off[off.abs() < REACH]]
    curve = Curve(
        "future/cut",
        pictures.float32(side),
        pictures.float32(energies - energies.min())[None],
        ["energy"],
        "from one future, −1, to the other, 1",
        "nats above the lowest",
        marks,
    )
    return [curve]


@torch.no_grad()
def landings(
    data: Data,
    rows: Rows,
    predictor: Predictor,
    generator: torch.Generator,
    steps: Sequence[int | None],
    others: Mapping[str, Predictor] | None = None,
) -> dict[str, list[float]]:
    """Shares of predictions of the open contexts among rows that come to each of two futures, and
    to neither: of the data, after `steps`, of other predictors by name, and by least squares."""
    future = data.future
    if future is None or not future.two:
        return {}
    is_open = future.is_open(rows.given["context"])
    if not bool(is_open.any()):
        return {}
    given = {name: value[is_open] for name, value in rows.given.items()}

    def shares(x: Tensor) -> list[float]:
        by_name = future.outcomes(given["context"], data.restore(x))
        either, first = (by_name[name].nan_to_num(0.0) for name in (future.either, future.two[0]))
        on_first, on_either = float((either * first).mean()), float(either.mean())
        return [on_first, on_either - on_first, 1 - on_either]

    lines = {"the data": shares(rows.x[is_open])}
    for num in steps if predictor.num_steps > 1 else (None,):
        thought = think(predictor, given, generator, num)
        taken = len(thought.positions) - 1
        lines[f"this run, {taken} {'step' if taken == 1 else 'steps'}"] = shares(thought.last)
    for name, other in (others or {}).items():
        lines[name] = shares(think(other, given, generator).last)
    return lines | {"least squares": shares(prediction.linear(data, given))}


def landings_table(data: Data, lines: Mapping[str, Sequence[float]]) -> list[Event]:
    """Table of `landings`; none of an empty one."""
    if data.future is None or not lines:
        return []
    columns = ["of open contexts", *data.future.two, "neither"]
    return [Table("future/probabilities", columns, [[name, *line] for name, line in lines.items()])]


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
