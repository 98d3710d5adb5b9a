"""Grids: sample sets over two or three axes, each a setting of drawing, `step`, `seed` or `run`.

    BASIN_HOME/grids/<id>.json        the fields of `Grid`
    BASIN_HOME/grids/<id>.stopped     while a person wants no more of its cells drawn

A cell is a sample set, kept by all that determines it, so a grid that is asked for again has the
same id and draws nothing twice. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import BadInput, NotAvailable, Problem
from backend.system import yaml_reader
from jobs.models import fingerprints
from jobs.queueing.spec_paths import Origin, absolute_config
from jobs.records import run_store, sample_sets
from jobs.records.sample_sets import Request, SampleSet
from jobs.system import atomic_files

RUN, STEP, SEED = "run", "step", "seed"
OF_DRAWING = ("num_steps", "own_sampler", "num", "label", "guidance", "time")
"""Fields of the ability `sample` beside those of its sampler."""
DEFAULT_SAMPLER = "langevin"
NAMES = ("x", "y", "z")
MOST_CELLS = 1000
_ID = re.compile(r"[0-9a-f]{12}")
_FOLDER = "grids"

Value = bool | int | float | str


class Axis(BaseModel):
    """Setting that differs along one side of a grid."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    field: str
    """`run`, `step`, `seed`, or a dotted field of the ability `sample`"""
    values: tuple[Value, ...]


class Grid(BaseModel):
    """Axes of a grid, what all of its cells share, and the sample sets that are its cells."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    axes: tuple[Axis, ...]
    """across, down, and side by side where there are three"""
    run: str
    config: dict[str, Any] = Field(default_factory=dict)
    """fields of the ability `sample` that no axis gives"""
    seed: int = 0
    steps: dict[str, int] = Field(default_factory=dict)
    """step of the checkpoint by run, where no axis gives it and the run keeps any"""
    code: dict[str, str] = Field(default_factory=dict)
    sets: tuple[str, ...] = ()
    """ids of the cells: the first axis runs fastest"""
    created: float = 0.0
    problems: tuple[tuple[str, str], ...] = ()
    """(field, sentence) for which nothing of it can be drawn"""

    @property
    def places(self) -> list[tuple[Value, ...]]:
        """List the values of each cell along the axes, in the order of `sets`."""
        return _places(self.axes)

    @property
    def runs(self) -> list[str]:
        """List the runs that take part."""
        axis = next((axis for axis in self.axes if axis.field == RUN), None)
        return [str(value) for value in axis.values] if axis else [self.run]

    @property
    def title(self) -> str:
        """Name the axes: `step size × steps`."""
        return " × ".join(words(axis.field) for axis in self.axes)

    def settings(self, place: Sequence[Value]) -> dict[str, Any]:
        """Collect what a cell is drawn with: `run`, `step`, `seed` and `config`."""
        given = {axis.field: value for axis, value in zip(self.axes, place, strict=True)}
        run = str(given.pop(RUN, self.run))
        step = given.pop(STEP, self.steps.get(run))
        seed = given.pop(SEED, self.seed)
        config = json.loads(json.dumps(self.config))
        for name, value in given.items():
            _put(config, name, value)
        sampler = config.get("sampler")
        if isinstance(sampler, dict):
            sampler.setdefault("kind", DEFAULT_SAMPLER)
            config.setdefault("own_sampler", False)
        return {"run": run, "step": step, "seed": seed, "config": config}

    def requests(self) -> list[Request]:
        """Build what each cell asks for. Raises BadInput, NotAvailable for a run or a checkpoint
        that is gone."""
        whole: dict[tuple[str, Any, Any], Request] = {}
        requests = []
        for place in self.places:
            cell = self.settings(place)
            for name in (STEP, SEED):
                if cell[name] is None:
                    continue  # a run that keeps no checkpoints
                if isinstance(cell[name], bool) or not isinstance(cell[name], int):
                    raise BadInput.at(name, f"must be whole numbers, got {cell[name]!r}.")
            of = cell["run"], cell["step"], cell["seed"]
            if of not in whole:
                whole[of] = sample_sets.request(
                    cell["run"], {}, code=self.code, seed=cell["seed"], step=cell["step"]
                )
            requests.append(whole[of]._replace(config=cell["config"]))
        return requests

    def cells(self) -> Iterator[SampleSet | None]:
        """Read each cell; None for one that nobody has begun to draw."""
        folder = sample_sets.folder()
        for set_id in self.sets:
            try:
                entry = (folder / set_id / "set.json").stat()
                cell = _read_cell(set_id, entry.st_ino, entry.st_mtime_ns)
                # whose process is gone is not written down
                yield sample_sets.open_set(set_id) if cell.state == "drawing" else cell
            except (OSError, NotAvailable):
                yield None

    @property
    def is_stopped(self) -> bool:
        """Tell that a person wants no more of it drawn."""
        return _stop_mark(self.id).exists()


@lru_cache(maxsize=20_000)
def _read_cell(set_id: str, *stat: int) -> SampleSet:
    return sample_sets.open_set(set_id)


def define(
    run_id: str,
    axes: Sequence[Axis],
    config: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    step: int | None = None,
    origin: Origin = "browser",
) -> Grid:
    """Define a grid of a run and keep it; one that is there is returned, ready to go on.

    config: fields of the ability `sample` of all cells. step: a kept checkpoint, else the newest of
    each run. Raises BadInput, NotAvailable.
    """
    fields = absolute_config({"num": sample_sets.DEFAULT_NUM, **(config or {})}, origin)
    axes = tuple(Axis(field=full_name(axis.field), values=axis.values) for axis in axes)
    if problems := list(_problems(axes, fields)):
        raise BadInput(*problems)
    axes = tuple(_with_whole_ids(axis) for axis in axes)
    run = run_store.open_run(run_id)
    steps = {}
    if not any(axis.field == STEP for axis in axes):
        for each in Grid(id="", axes=axes, run=run.id).runs:
            known = run_store.open_run(each).checkpoints()
            if step is not None or known:
                steps[each] = max(known) if step is None else step
    draft = Grid(
        id="",
        axes=axes,
        run=run.id,
        config=fields,
        seed=seed,
        steps=steps,
        code=fingerprints.code_now(),
        created=time.time(),
    )
    sets = tuple(request.id for request in draft.requests())
    made_of = json.dumps([[axis.model_dump() for axis in axes], sets])
    grid_id = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    with contextlib.suppress(NotAvailable):
        return keep(open_grid(grid_id).model_copy(update={"problems": ()}))
    return keep(draft.model_copy(update={"id": grid_id, "sets": sets}))


def axis_of(where: str, text: str) -> Axis:
    """Parse `FIELD=A,B,...`; values are YAML. Raises BadInput at `where`.

    >>> axis_of("x", "step_size=1e-2,0.1")
    Axis(field='step_size', values=(0.01, 0.1))
    """
    field, equals, values = text.partition("=")
    if not equals or not field.strip() or not values.strip():
        raise BadInput.at(where, f"takes FIELD=A,B,... such as step_size=0.01,0.1, got {text!r}.")
    parts = [part.strip() for part in values.split(",")]
    return Axis(field=field.strip(), values=tuple(_value_of(where, part) for part in parts))


def _value_of(where: str, text: str) -> Value:
    try:
        value = yaml_reader.load_value(text)
    except BadInput as error:
        raise BadInput.at(where, f"{error}") from error
    if isinstance(value, str):
        try:
            return float(value)  # YAML takes 1e-2 for a word
        except ValueError:
            return value
    if isinstance(value, (bool, int, float)):
        return value
    raise BadInput.at(where, f"takes numbers and words, got {text!r}.")


def full_name(name: str) -> str:
    """Return the field an axis is over: those of the sampler may be named without it.

    >>> full_name("step_size"), full_name("sampler"), full_name("num_steps"), full_name("seed")
    ('sampler.step_size', 'sampler.kind', 'num_steps', 'seed')
    """
    if name == "sampler":
        return "sampler.kind"
    is_whole = "." in name or name in (RUN, STEP, SEED, *OF_DRAWING)
    return name if is_whole else f"sampler.{name}"


def words(name: str) -> str:
    """Return a field as a person reads it.

    >>> words("sampler.step_size"), words("sampler.kind"), words("step")
    ('step size', 'sampler', 'training step')
    """
    known = {"sampler.kind": "sampler", STEP: "training step", "num_steps": "sampler steps"}
    return known.get(name) or name.removeprefix("sampler.").replace("_", " ").replace(".", " ")


def keep(grid: Grid) -> Grid:
    """Write a grid. Raises NotAvailable."""
    try:
        atomic_files.write(_path(grid.id), json.dumps(grid.model_dump(mode="json")))
    except OSError as error:
        raise NotAvailable(f"The grid cannot be kept: {error.strerror}.") from error
    return grid


def open_grid(grid_id: str) -> Grid:
    """Read the grid of an id. Raises BadInput, NotAvailable."""
    if not _ID.fullmatch(grid_id):
        raise BadInput.at("grid", f"must be twelve hexadecimal digits, got {grid_id!r}.")
    try:
        return Grid.model_validate(atomic_files.read_json(_path(grid_id)))
    except FileNotFoundError as error:
        raise NotAvailable(f"There is no grid `{grid_id}`.") from error
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise NotAvailable(f"The grid `{grid_id}` is damaged: {error}") from error


def list_grids(run_id: str | None = None) -> list[Grid]:
    """Read all grids, or those a run takes part in, newest first. Raises NotAvailable."""
    grids = []
    for entry in os.scandir(_folder()):
        with contextlib.suppress(NotAvailable, BadInput):  # deleted since, damaged, or a mark
            grids.append(open_grid(entry.name.removesuffix(".json")))
    chosen = [each for each in grids if run_id is None or run_id in (each.run, *each.runs)]
    return sorted(chosen, key=lambda each: (each.created, each.id), reverse=True)


def remove(grid_id: str) -> None:
    """Remove the record of a grid; its cells stay, and so does the mark of a stop.

    Raises NotAvailable, OSError.
    """
    try:
        _path(grid_id).unlink()
    except FileNotFoundError as error:
        raise NotAvailable(f"There is no grid `{grid_id}`.") from error


def mark_stopped(grid_id: str, stopped: bool) -> None:
    """Say that no more of a grid is to be drawn, or that it may go on. Raises OSError."""
    if stopped:
        _stop_mark(grid_id).touch(mode=0o600)
    else:
        _stop_mark(grid_id).unlink(missing_ok=True)


def _folder() -> Path:
    return run_store.private_folder(_FOLDER)


def _path(grid_id: str) -> Path:
    return _folder() / f"{grid_id}.json"


def _stop_mark(grid_id: str) -> Path:
    return _folder() / f"{grid_id}.stopped"


def _places(axes: Sequence[Axis]) -> list[tuple[Value, ...]]:
    turned = itertools.product(*(axis.values for axis in reversed(axes)))
    return [tuple(reversed(place)) for place in turned]


def _put(config: dict[str, Any], name: str, value: Value) -> None:
    *parts, last = name.split(".")
    for part in parts:
        inner = config.setdefault(part, {})
        if not isinstance(inner, dict):
            raise BadInput.at(name, f"cannot differ: `{part}` is {inner!r} in all cells.")
        config = inner
    config[last] = value


def _with_whole_ids(axis: Axis) -> Axis:
    if axis.field != RUN:
        return axis
    ids = tuple(run_store.open_run(str(value)).id for value in axis.values)
    return axis.model_copy(update={"values": ids})


def _problems(axes: Sequence[Axis], config: dict[str, Any]) -> Iterator[Problem]:
    """Find what is wrong with the axes themselves; of their values the worker knows more."""
    if not 2 <= len(axes) <= 3:
        yield Problem("axes", f"must be two or three, got {len(axes)}.")
    for name, axis in zip(NAMES, axes, strict=False):
        values = [json.dumps(value) for value in axis.values]
        if len(values) < 2:
            yield Problem(name, f"needs two values of `{axis.field}` or more, got {len(values)}.")
        elif len(set(values)) < len(values):
            twice = next(each for each in values if values.count(each) > 1)
            yield Problem(name, f"must have each value of `{axis.field}` once, got {twice} twice.")
        if axis.field == "own_sampler" and "sampler" in config:
            yield Problem(name, "`own_sampler` cannot differ where a sampler is given.")
    names = [axis.field for axis in axes]
    for field in sorted({each for each in names if names.count(each) > 1}):
        yield Problem("axes", f"must differ, got `{field}` twice.")
    num = len(_places(axes))
    if num > MOST_CELLS:
        yield Problem("axes", f"must make at most {MOST_CELLS:,} cells, got {num:,}.")
