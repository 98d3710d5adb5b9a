"""`basin ask`, `basin sample` and `basin energy`: asking a trained run, without Redis."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np

from backend.errors import BadInput, Problem
from jobs.cli.about import fields_in_words
from jobs.cli.common import json_command, number, show, table
from jobs.cli.launch import apply
from jobs.models import fingerprints
from jobs.queueing import spec_paths
from jobs.records import run_store
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
    settled = spec_paths.absolute_config(config, "cli")
    from jobs.models import answering

    answer = answering.answer_to_run(directory.id, ability, settled, seed=seed, out=out)
    _warn(answer["warnings"])
    value = {key: item for key, item in answer.items() if key != "frames"}
    show(value, as_json, lambda: _answer_in_words(answer))


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"warning: {sentence}", err=True)


def _answer_in_words(answer: dict[str, Any]) -> str:
    parts = [answer["summary"]]
    for rows_of in answer["tables"]:
        cells = [[number(c) if isinstance(c, float) else c for c in row] for row in rows_of["rows"]]
        parts.append(table(rows_of["columns"], cells))
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

    by_id = catalogue.publish()["abilities"]
    if ability is None:
        rows = [(item["id"], item["summary"]) for item in by_id.values()]
        show(list(by_id.values()), as_json, table(("ability", "what is asked"), rows))
        return
    if ability not in by_id:
        names = ", ".join(by_id)
        raise BadInput.at("ability", f"there is no ability {ability!r}. Known: {names}.")
    entry = by_id[ability]
    lines = [f"{entry['title']} ({entry['id']})", entry["summary"]]
    lines += [*filter(None, [entry["references"]]), "", *fields_in_words(entry["schema"])]
    show(entry, as_json, "\n".join(lines))


@click.command()
@click.argument("run")
@click.option("--n", "num", type=click.IntRange(2, 100_000), default=4000, show_default=True)
@click.option("--sampler", help="Its kind, such as langevin; without it the run's own way.")
@click.option(
    "--set", "changes", multiple=True, metavar="A=C", help="Change one field of the sampler."
)
@click.option("--steps", type=click.IntRange(0), help="Without it as many as the run's own.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="An .npz file.")
@json_command
def sample(
    run: str,
    num: int,
    sampler: str | None,
    changes: tuple[str, ...],
    steps: int | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw samples from a run: `x` in the data's units, `energy`, settings.

    The same as `basin ask RUN sample`. Without --out they go into the run's own `answers` folder.
    """
    directory = run_store.open_run(run)
    config: dict[str, Any] = {"num": num}
    if steps is not None:
        config["num_steps"] = steps
    if sampler is not None or changes:
        fields = _sampler_fields(directory.id, sampler, changes)
        config |= {"own_sampler": False, "sampler": fields}
    from jobs.models import answering

    answer = answering.answer_to_run(directory.id, "sample", config, seed=seed, out=out)
    _warn(answer["warnings"])
    used = answer["config"]
    value = {
        "id": directory.id,
        "file": str(out or directory.path / answer["file"]),
        "num": num,
        "run": directory.id,
        "step": answer["step"],
        "sampler": None if used["own_sampler"] else used["sampler"],
        "num_steps": steps,
        "seed": seed,
        "figures": answer["figures"],
        "warnings": answer["warnings"],
    }
    show(value, as_json, lambda: _answer_in_words({**answer, "file": value["file"]}))


def _sampler_fields(run_id: str, kind: str | None, changes: tuple[str, ...]) -> dict[str, Any]:
    """Build the sampler asked for; the run's own fields fill up those of its own kind."""
    from jobs.models import answering

    own = answering.own_sampler(run_id)
    fields = own if kind in (None, own["kind"]) else {"kind": kind}
    for change in changes:
        apply(fields, change)
    return fields


@click.command()
@click.argument("run")
@click.option(
    "--points", required=True, type=click.Path(path_type=Path), help="An .npy file (n, ...)."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="An .npy file.")
@json_command
def energy(run: str, points: Path, out: Path | None, as_json: bool) -> None:
    """Energies of points, in the data's units, under a run; low is likely.

    Those of `basin ask RUN energy`, which keeps its answer and puts the data's beside it.
    """
    directory = run_store.open_run(run)
    values = _energies(directory.id, points)
    if out is not None:
        with atomic_files.written_aside(out, mode=0o644) as file:
            np.save(file, values)
    warnings = fingerprints.changes_in_words(fingerprints.read(directory))
    _warn(warnings)
    value: dict[str, Any] = {"id": directory.id, "num": len(values), "out": out and str(out)}
    value["warnings"] = warnings
    if out is None:
        value["energy"] = values.tolist()
    text = "\n".join(f"{item:.6g}" for item in values) if out is None else f"{out}: {len(values):,}"
    show(value, as_json, text)


def _energies(run_id: str, points: Path) -> np.ndarray[Any, Any]:
    """Ask for the energies (num,) of the positions in an .npy file. Raises BadInput at `points`."""
    from backend import abilities
    from jobs.models import answering

    path = str(points.absolute())
    num = np.atleast_1d(abilities.read_array(path, "points")).shape[0]
    try:
        answer = answering.answer(run_id, "energy", {"path": path, "num": max(2, num)})
    except BadInput as error:
        at = {"path": "points", "num": "points"}
        raise BadInput(
            *(Problem(at.get(p.field, p.field), p.message) for p in error.problems)
        ) from error
    return answer.arrays["energy"]
