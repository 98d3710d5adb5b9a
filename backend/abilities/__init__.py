"""Abilities: questions to a trained run, one file each, and what several of them share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator
from torch import Tensor

from backend import samplers
from backend.ability import Asked
from backend.config import Config, option
from backend.data import Data
from backend.datasets import array_files, reading
from backend.energies import NO_LABEL
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Event
from backend.method import SampleRequest
from backend.metrics.baselines import single_gaussian
from backend.metrics.density import Grid
from backend.metrics.quality import Quality
from backend.observe import pictures
from backend.requests import conditional_sampling
from backend.sampler import Sampler
from backend.samplers import AnySampler

Problems = Iterable[tuple[str, str]]
Cells = list[str | float | int | None]
"""A row of a table."""

ONE_GAUSSIAN = "single_gaussian"
"""Tail of the figures of one Gaussian fitted to all the data."""
CELLS = 120
"""Cells along a side of a landscape."""
EACH = "each"
"""Stands for all the classes in turn."""


def split_list(value: object) -> object:
    """A text taken apart at its commas, a single thing as a list of one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, (int, float)) else value


def _word(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


Label = Annotated[str, BeforeValidator(_word)]
"""A class by its name or its number."""
Numbers = Annotated[list[float], BeforeValidator(split_list)]
"""A list of numbers; text is taken apart at its commas, as a form gives it."""
Words = Annotated[list[Label], BeforeValidator(split_list)]
"""The same of words, which may be numbers as they are written."""


# ---------------------------------------------------------------------- how samples are drawn


def steps_option(main: bool = False) -> Any:
    """The field of how long chains are; main where it is among the three that matter."""
    return option(
        None,
        "Sampler steps of chains, or steps at each level of methods that go down a ladder of "
        "noise; empty leaves it to the run, and points of an energy are then drawn without chains: "
        "exactly up to two coordinates, by importance sampling beyond.",
        ge=0,
        le=100_000,
        main=main,
        log=True,
        group="Sampler",
        sweep=(1, 1000) if main else None,
    )


class Drawing(Config):
    """Base of the Configs of abilities that draw samples."""

    num_steps: int | None = steps_option()
    own_sampler: bool = option(
        True,
        "On: the way the run draws by itself, or exp(−E) as exactly as can be. Off: chains of the "
        "sampler below, from noise.",
        group="Sampler",
    )
    sampler: AnySampler = option(
        {"kind": "langevin"},
        "The sampler of chains on the run's energy.",
        group="Sampler",
        without="own_sampler",
    )

    def derived(self) -> dict[str, str]:
        if self.own_sampler:
            return {"sampler": "No effect while the run draws by itself."}
        return {}

    def kernel(self) -> Sampler | None:
        """The sampler chosen; None leaves it to the run."""
        return None if self.own_sampler else samplers.build(self.sampler)


def drawing_problems(asked: Asked, config: Drawing) -> Problems:
    """Reason why the chosen sampler cannot take this run's energy."""
    if (kernel := config.kernel()) is None:
        return
    if not asked.method.has_energy:
        yield "own_sampler", f"must be on: {asked.method.no_energy()}"
    elif reason := type(kernel).fits(asked.method.energy()):
        yield "sampler.kind", reason
    elif kernel.discrete != (asked.data.num_values is not None):
        kinds = ("real", "whole") if kernel.discrete else ("whole", "real")
        yield "sampler.kind", f"is for {kinds[1]} numbers, and these data are {kinds[0]} ones."


def real_only(asked: Asked, field: str) -> Problems:
    """Reason why nothing that moves through real numbers can be asked of whole ones."""
    if asked.data.num_values is not None:
        yield field, "makes no sense here: these data are whole numbers, and this follows slopes."


def refused(asked: Asked, request: SampleRequest) -> Problems:
    """Objection of the run's method to a request, at the field it names."""
    if problem := conditional_sampling.refusal(asked.method, request):
        yield problem


# ---------------------------------------------------------------------- classes


def label_problems(asked: Asked, label: str, field: str = "label") -> Problems:
    """Reason why this is no class of the run; an empty label asks for none."""
    if not label:
        return
    if asked.method.num_labels == 0:
        yield field, f"{asked.method.title} was trained without classes, so it knows none."
    elif label != EACH and label_of(asked, label) is None:
        yield field, f"must be {_classes(asked)}, got {label!r}."


def label_of(asked: Asked, label: str) -> int | None:
    """The number of a class given by its name or its number; None where there is none such."""
    num = asked.method.num_labels
    names = asked.data.label_names
    if label in names:
        return names.index(label)
    return int(label) if label.isdecimal() and int(label) < num else None


def label_name(data: Data, label: int) -> str:
    return data.label_names[label] if data.label_names else str(label)


def asked_labels(asked: Asked, label: str, num: int) -> Tensor | None:
    """(num,) int64: the class, or all in turn; None for an empty label."""
    if not label:
        return None
    device = asked.data.train.device
    if label == EACH:
        return torch.arange(num, device=device) % asked.method.num_labels
    number = label_of(asked, label)
    return torch.full((num,), NO_LABEL if number is None else number, device=device)


def _classes(asked: Asked) -> str:
    num = asked.method.num_labels
    names = [label_name(asked.data, label) for label in range(min(num, 20))]
    return f"one of {', '.join(names)}" + (", …" if num > 20 else "")


# ---------------------------------------------------------------------- positions from files


def positions_problems(data: Data, path: str, field: str = "path") -> Problems:
    """Reason why a file holds no positions like the run's; an empty path asks for none."""
    if path:
        try:
            read_positions(data, path, field)
        except BadInput as error:
            yield from ((problem.field, problem.message) for problem in error.problems)


def read_positions(data: Data, path: str, field: str = "path") -> Tensor:
    """Positions (num, *event_shape) of an .npy file, of `x` in an .npz or of a table, standardised.

    The file holds the user's units; of a table the columns are read that the run learned, by their
    names. Nothing is unpickled. Raises BadInput at `field`.
    """
    # columns of a file without names are called so by their places
    columns = tuple(name.removeprefix("column ") for name in data.columns)
    is_unnamed = all(name.isdigit() for name in columns)
    array = read_array(path, field, columns if is_unnamed else data.columns)
    if array.shape[1:] != tuple(data.event_shape) or not len(array):
        wanted = ", ".join(["num", *map(str, data.event_shape)])
        raise BadInput.at(
            field,
            f"must hold an array of shape ({wanted}) with a row at least, as this run's "
            f"data have; it holds {array.shape}.",
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(np.float32)).all():
            raise BadInput.at(
                field, f"{Path(path).name} holds values too large for a 32-bit number."
            )
    x = torch.from_numpy(array.astype(np.float64))
    return data.standardise(x).to(data.train)


def read_array(path: str, field: str, columns: tuple[str, ...] = ()) -> np.ndarray[Any, Any]:
    """The finite numbers of an .npy file, of `x` in an .npz or of a table, all its columns of
    numbers or those named. Raises BadInput at `field`."""
    try:
        return _read_array(path, Path(path).stat().st_mtime_ns, field, columns)
    except BadInput as error:
        raise BadInput.at(field, error.problems[0].message) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput.at(field, f"{path[:200]} cannot be read: {reason}.") from error


@lru_cache(maxsize=2)
def _read_array(
    path: str, changed: int, field: str, columns: tuple[str, ...]
) -> np.ndarray[Any, Any]:
    file = Path(path)
    if file.suffix.lower() in reading.TABLE_SUFFIXES:
        return reading.read_rows(file, columns)
    return array_files.read_array(file, field)


# ---------------------------------------------------------------------- figures and pictures


def judged(quality: Quality, z: Tensor, generator: torch.Generator) -> dict[str, float]:
    """`Quality` of samples; beside each figure the floor of as many real ones and, for images,
    what one Gaussian fitted to all the data would have."""
    data = quality.data
    figures = quality.of(z)
    beside = {"floor": quality.floors(generator)}
    if data.is_image:
        beside[ONE_GAUSSIAN] = quality.of(single_gaussian(data, len(z), generator))
    return figures | {
        f"{name}/{what}": value for what, row in beside.items() for name, value in row.items()
    }


def cloud(path: str, data: Data, z: Tensor, role: str, energy: Tensor | None = None) -> list[Event]:
    """Points or images to look at; nothing for events of other shapes."""
    event = pictures.cloud(path, data, z, role, energy, num_dots=1000, num_cells=100)
    return [] if event is None else [event]


def landscape(data: Data, energy: Energy) -> list[Event]:
    """An energy of standardised positions over the view of the data; nothing beyond the plane."""
    view = None if data.num_values is not None else pictures.view_of(data)
    if view is None:
        return []
    grid = Grid(view, CELLS)
    points = data.standardise(grid.points(data.train.device)).to(data.train)
    return [pictures.landscape("landscape", energy, grid, points, 1.0)]


def nats(value: float) -> str:
    """A figure as a sentence has it."""
    return "not finite" if not math.isfinite(value) else f"{value:.3g}"
