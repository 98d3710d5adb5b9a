"""Rolling out: each prediction becomes the context of the next, beside the truth."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Problems, Words, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.events import Curve, Event, Images
from backend.metrics import prediction
from backend.observe import pictures
from backend.requests import futures
from backend.requests.predicting import PredictingMethod, think
from backend.truth import Future

SIDE = 24
"""Pixels along a side of a frame."""
MARGIN = 1.2
BLOB = 1.3
"""Standard deviation of what stands for a thing, in pixels."""


class RollOutConfig(Config):
    row: int = option(
        0, "Held-out event that the film starts from.", ge=0, le=1_000_000, main=True, pointed="row"
    )
    num_frames: int = option(
        16, "Frames that are predicted.", ge=1, le=500, log=True, main=True, unit="frames"
    )
    num_steps: int | None = option(
        None,
        "Steps of thought for each frame. Empty leaves it to the run.",
        ge=1,
        le=10_000,
        log=True,
        main=True,
        sweep=(1, 100),
    )
    num: int = option(200, "Held-out starts that the distances are of.", ge=2, le=5000, log=True)
    runs: Words = option(
        [], "Id of another run on the same data, to roll out beside this one.", max_length=1
    )


class RollOutAbility(Ability):
    """c ← advance(c, x), x predicted from c: errors of one frame grow by those of all before it.

    Where what follows is open, such as at a fork, the truth is one draw of several, and a distance
    from it says nothing.
    """

    id = "roll_out"
    title = "Roll out"
    summary = "A film of predictions, each made from the one before, beside the truth."
    references = "Gladstone et al. 2025"
    to_choose = ("runs",)
    Config: ClassVar[type[Config]] = RollOutConfig

    @classmethod
    def problems(cls, asked: Asked, config: RollOutConfig) -> Problems:
        if objections := list(futures.problems(asked.method, asked.data)):
            yield from objections
            return
        data = asked.data
        context = data.held_out_given["context"][:1]
        assert data.future is not None
        if data.future.advance(context, data.restore(data.held_out[:1])) is None:
            yield "", "What is predicted is a whole plan, not a next state. Ask it to act."
        elif config.runs:
            yield from futures.misfits(asked, config.runs[0])

    @classmethod
    def answer(cls, asked: Asked, config: RollOutConfig, generator: torch.Generator) -> Answer:
        data, future = asked.data, asked.data.future
        assert future is not None
        num = max(config.num, config.row % len(data.held_out) + 1)
        context = data.held_out_given["context"][:num]
        predicted, figures = _film(asked, config, context, generator)
        films = {"predicted": predicted}
        if (truth := _truth(future, context, config.num_frames)) is not None:
            films = {"truth": truth, **films}
        if config.runs and asked.load is not None:
            other = asked.load(config.runs[0])
            films["other_run"], _ = _film(other, config, context, generator)
        films["least_squares"] = _linear_film(data, context, config.num_frames)
        frames = np.concatenate([_frames(film[:, config.row % num]) for film in films.values()])
        columns = ["given", *(str(index + 1) for index in range(config.num_frames))]
        rows = [name.replace("_", " ") for name in films]
        strip = Images("film", frames, "long_run", 0.0, 1.0, columns=columns, rows=rows)
        events: list[Event] = [strip]
        if truth is not None:
            apart = {
                name: (film - truth).norm(dim=-1).mean((1, 2))
                for name, film in films.items()
                if name != "truth"
            }
            for name, values in apart.items():
                tail = {"predicted": "", "least_squares": "/linear"}.get(name, f"/{name}")
                figures[f"distance_first{tail}"] = float(values[1])
                figures[f"distance_last{tail}"] = float(values[-1])
            numbers = np.arange(config.num_frames + 1, dtype=np.float32)
            curves = pictures.float32(torch.stack(list(apart.values())))
            events.append(Curve("distance", numbers, curves, list(apart), "frame", "units"))
        row = config.row % num
        arrays = {name: pictures.float32(film[:, row]) for name, film in films.items()}
        return Answer(_in_words(figures, config), figures, arrays, tuple(events))


def _film(
    asked: Asked, config: RollOutConfig, context: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """(num_frames + 1, num, things, 2) places as the run predicts them, the first given, and what
    the law says of the first prediction."""
    future, method = asked.data.future, asked.method
    assert future is not None and isinstance(method, PredictingMethod)
    predictor, places = method.predictor(), [future.places(context)]
    figures: dict[str, float] = {}
    for index in range(config.num_frames):
        x = asked.data.restore(
            think(predictor, {"context": context}, generator, config.num_steps).last
        )
        if not index:
            by_name = future.outcomes(context, x)
            figures = {name: float(values.nanmean()) for name, values in by_name.items()}
        context = _after(future, context, x)
        places.append(future.places(context))
    return torch.stack(places), figures


def _linear_film(data: Data, context: Tensor, num_frames: int) -> Tensor:
    """The same by least squares."""
    future = data.future
    assert future is not None
    places = [future.places(context)]
    for _ in range(num_frames):
        x = prediction.linear(data, {"context": context})
        context = _after(future, context, data.restore(x))
        places.append(future.places(context))
    return torch.stack(places)


def _truth(future: Future, context: Tensor, num_frames: int) -> Tensor | None:
    """The same by the law; None where chance has a part in it."""
    places = [future.places(context)]
    for _ in range(num_frames):
        x = future.true_next(context)
        if x is None:
            return None
        context = _after(future, context, x)
        places.append(future.places(context))
    return torch.stack(places)


def _after(future: Future, context: Tensor, x: Tensor) -> Tensor:
    after = future.advance(context, x)
    assert after is not None
    return after


def _frames(places: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(num, SIDE, SIDE) pictures of things at places (num, things, 2), up is up."""
    reach = max(MARGIN, float(places[0].abs().max()) * MARGIN)
    axis = torch.linspace(-1, 1, SIDE, device=places.device)
    at = places / reach
    width = 2 * BLOB / SIDE
    across = (-0.5 * ((at[..., 0, None] - axis) / width).square()).exp()
    down = (-0.5 * ((at[..., 1, None] - axis.flip(0)) / width).square()).exp()
    light = (down[..., :, None] * across[..., None, :]).amax(1)
    return (255 * light).round().to(torch.uint8).cpu().numpy()


def _in_words(figures: dict[str, float], config: RollOutConfig) -> str:
    if "distance_last" not in figures:
        return (
            f"{config.num_frames} frames, each predicted from the one before; what follows is "
            "open, so no distance from one truth is taken."
        )
    return (
        f"{nats(figures['distance_first'])} from the truth after the first frame, "
        f"{nats(figures['distance_last'])} after {config.num_frames}; least squares "
        f"{nats(figures['distance_first/linear'])} and {nats(figures['distance_last/linear'])}."
    )
