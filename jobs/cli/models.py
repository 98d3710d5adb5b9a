"""`basin ask`, `basin sample` and `basin energy`: asking a trained run, without Redis."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from backend.datasets.array_files import read_array
from backend.errors import BadInput
from jobs.cli.about import fields_in_words
from jobs.cli.common import json_command, number, show, table
from jobs.cli.launch import apply, value_of
from jobs.models import fingerprints
from jobs.queueing import enqueue
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from jobs.system import atomic_files


@click.command()
@click.argument("run")
@click.argument("ability")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="A.B=C",
    help="Give one field; C: a value, or YAML in [] or {}.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="An .npz file for the arrays."
)
@json_command
def ask(
    run: str, ability: str, changes: tuple[str, ...], seed: int, out: Path | None, as_json: bool
) -> None:
    """Ask a run one of its abilities, as `basin abilities` lists them.

    The answer is kept in the run's own `answers` folder.
    """
    directory = run_store.open_run(run)
    config: dict[str, Any] = {}
    for change in changes:
        apply(config, change)
    settled = enqueue.with_settled_config(config, "cli")
    from jobs.models import answering

    answer = answering.answer_to_run(directory.id, ability, settled, seed=seed, out=out)
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    value = {key: item for key, item in answer.items() if key != "frames"}
    show(value, as_json, lambda: _answer_in_words(answer))


def _answer_in_words(answer: dict[str, Any]) -> str:
    parts = [answer["summary"]]
    for shown in answer["tables"]:
        cells = [[number(c) if isinstance(c, float) else c for c in row] for row in shown["rows"]]
        parts.append(table(shown["columns"], cells))
    if not answer["tables"] and answer["figures"]:
        parts.append(table(("figure", ""), [(k, number(v)) for k, v in answer["figures"].items()]))
    if answer["file"]:
        parts.append(f"{answer['file']}: {', '.join(answer['arrays'])}")
    return "\n\n".join(parts)


@click.command()
@click.argument("ability", required=False)
@json_command
def abilities(ability: str | None, as_json: bool) -> None:
    """List what a run can be asked, or the fields of one ability with bounds and help."""
    from backend import catalogue

    found = catalogue.publish()["abilities"]
    if ability is None:
        rows = [(item["id"], item["summary"]) for item in found.values()]
        show(list(found.values()), as_json, table(("ability", "what is asked"), rows))
        return
    if ability not in found:
        known = ", ".join(found)
        raise BadInput.at("ability", f"there is no ability {ability!r}. Known: {known}.")
    chosen = found[ability]
    lines = [f"{chosen['title']} ({chosen['id']})", chosen["summary"]]
    lines += [*filter(None, [chosen["references"]]), "", *fields_in_words(chosen["schema"])]
    show(chosen, as_json, "\n".join(lines))


@click.command()
@click.argument("run")
@click.option("--n", "num", type=click.IntRange(1, 10_000_000), default=4000, show_default=True)
@click.option("--sampler", help="Its kind, such as langevin; the run's own without it.")
@click.option(
    "--set", "changes", multiple=True, metavar="A=C", help="Change one field of the sampler."
)
@click.option("--steps", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="An .npz file.")
@json_command
def sample(
    run: str,
    num: int,
    sampler: str | None,
    changes: tuple[str, ...],
    steps: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw samples from a run, started from noise: `x` in the data's units, `energy`, settings.

    Without --out they go into the run's own `samples` folder.
    """
    directory = run_store.open_run(run)
    fields = _fields(sampler, changes)
    from jobs.models import trained_run

    drawn = trained_run.sample(directory.id, num=num, sampler=fields, num_steps=steps, seed=seed)
    path = trained_run.save_samples(directory, drawn, out)
    value = {"id": directory.id, "file": str(path), "num": num, **drawn.settings}
    value["warnings"] = _warnings(directory)
    text = f"{path}: {num:,} samples, mean energy {number(float(drawn.energy.mean()))}"
    show(value, as_json, text)


def _warnings(directory: RunDirectory) -> list[str]:
    """What is not as it was when the run was trained. The answer is the run's own all the same, so
    that a person at a terminal is told and a script finds it in the JSON."""
    found = fingerprints.changes_in_words(fingerprints.read(directory))
    for warning in found if sys.stderr.isatty() else ():
        click.echo(f"warning: {warning}", err=True)
    return found


def _fields(sampler: str | None, changes: tuple[str, ...]) -> dict[str, Any] | None:
    """The sampler's fields asked for; None for the run's own."""
    fields: dict[str, Any] = {} if sampler is None else {"kind": sampler}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name:
            raise BadInput.at(
                "", f"--set takes field=value, such as step_size=0.01, got {change!r}."
            )
        fields[name] = value_of(name, text)
    return fields or None


@click.command()
@click.argument("run")
@click.option(
    "--points", required=True, type=click.Path(path_type=Path), help="An .npy file (n, ...)."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="An .npy file.")
@json_command
def energy(run: str, points: Path, out: Path | None, as_json: bool) -> None:
    """Energies of points, in the data's units, under a run; low is likely."""
    directory = run_store.open_run(run)
    x = read_points(points)
    from jobs.models import trained_run

    values = trained_run.energies(directory.id, x)
    if out is not None:
        with atomic_files.written_aside(out, mode=0o644) as file:
            np.save(file, values)
    value: dict[str, Any] = {"id": directory.id, "num": len(values), "out": out and str(out)}
    value["warnings"] = _warnings(directory)
    if out is None:
        value["energy"] = values.tolist()
    text = "\n".join(f"{item:.6g}" for item in values) if out is None else f"{out}: {len(values):,}"
    show(value, as_json, text)


def read_points(path: Path) -> np.ndarray[Any, Any]:
    """The array of an .npy file (num, ...), float32; never unpickles. Raises BadInput."""
    array = read_array(path, "points")
    if array.ndim < 2:
        raise BadInput.at("points", f"{path.name} must hold an array (n, ...), got {array.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        x = array.astype(np.float32)
    if not np.isfinite(x).all():
        raise BadInput.at("points", f"{path.name} holds values too large for a 32-bit number.")
    return x
