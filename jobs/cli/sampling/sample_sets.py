"""`basin samples`: sample sets of runs, drawn from noise that all runs share; without Redis."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from backend.errors import BadInput
from jobs.cli.common import json_command, number, show, table
from jobs.cli.launch import apply
from jobs.queueing import sample_jobs
from jobs.records import sample_sets
from jobs.records.sample_sets import SampleSet


@click.group()
def samples() -> None:
    """Draw, list, show and delete sample sets of runs.

    Under one seed all runs start from the same noise and their chains take the same noise: what
    differs is the models'.
    """


@samples.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--n", "num", type=click.IntRange(2, 100_000), help="Samples; 64 by default.")
@click.option("--step", type=click.IntRange(0), help="Of a kept checkpoint; else the newest.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="A.B=C",
    help="Give one field of the ability, such as num_steps=500.",
)
@click.option(
    "--ability",
    default="",
    help="Keep the samples of its answer, as `basin ask` draws them; `sample` by default, from the "
    "noise that all runs share.",
)
@click.option("--held-out", is_flag=True, help="Real events the run was not trained on, instead.")
@click.option("--name", default="", help="A name for the sets.")
@json_command
def draw(
    runs: tuple[str, ...],
    num: int | None,
    step: int | None,
    seed: int,
    changes: tuple[str, ...],
    ability: str,
    held_out: bool,
    name: str,
    as_json: bool,
) -> None:
    """Draw a sample set from each run. RUN is an id, the start of one, or `latest`.

    The same run, checkpoint, settings and seed are the same set, to the byte: it is drawn once.
    """
    config: dict[str, Any] = {} if num is None else {"num": num}
    for change in changes:
        apply(config, change)
    if held_out and ability:
        raise BadInput.at("--held-out", "takes real events, and an ability draws none. Leave one.")
    source: sample_sets.Source = "held_out" if held_out else "model"
    from jobs.models import sample_drawing

    wanted = [
        sample_jobs.request(
            run,
            config,
            seed=seed,
            step=step,
            source=source,
            origin="cli",
            ability=ability,
            array=array,
        )
        for run in runs
        for array in sample_drawing.arrays_of(ability, config)
    ]
    sets = [sample_drawing.draw(each, name=name, drawn=_tell) for each in wanted]
    lines = [*map(_line, sets), *_side_by_side(sets)]
    show([_value(each) for each in sets], as_json, "\n".join(lines))


@samples.command("list")
@click.option("--run", help="Those of one run.")
@json_command
def list_command(run: str | None, as_json: bool) -> None:
    """List sample sets, newest first."""
    from jobs.records import run_store

    sets = sample_sets.list_sets(run_store.open_run(run).id if run else None)
    rows = [
        (
            each.id,
            each.state,
            each.title,
            each.run,
            f"{each.num:,}",
            each.seed,
            _seconds(each),
            f"{each.num_bytes / 1e6:.1f} MB",
        )
        for each in sets
    ]
    columns = ("set", "state", "name", "run", "samples", "seed", "ms a sample", "size")
    text = "There are no sample sets: `basin samples draw RUN`."
    if rows:
        newest = [each for each in sets if each.state == "done"][:2]
        text = "\n".join([table(columns, rows), *_side_by_side(newest)])
    show([_value(each) for each in sets], as_json, text)


@samples.command("show")
@click.argument("set_id", metavar="SET")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Copy its .npz there.")
@click.option("--name", help="Give it a name.")
@json_command
def show_command(set_id: str, out: Path | None, name: str | None, as_json: bool) -> None:
    """Show a sample set: what was drawn, how, from what. SET is an id or the start of one."""
    each = sample_sets.open_set(set_id)
    if name is not None:
        each = sample_sets.rename(each.id, name)
    if out is not None:
        if each.state != "done":
            raise BadInput.at("out", f"`{each.id}` is {each.state}: there are no samples yet.")
        shutil.copyfile(each.path / "samples.npz", out)
    show(_value(each), as_json, lambda: _in_words(each))


@samples.command()
@click.argument("sets", nargs=-1, required=True, metavar="SET...")
@json_command
def delete(sets: tuple[str, ...], as_json: bool) -> None:
    """Delete sample sets for good; they can be drawn again."""
    names = [sample_sets.open_set(each).id for each in sets]
    for name in names:
        sample_sets.delete(name)
    show([{"id": name} for name in names], as_json, "\n".join(f"{each}: deleted" for each in names))


def _tell(each: SampleSet) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{each.title}: {each.num_drawn:,} of {each.num:,}", err=True, nl=False)
        if each.num_drawn == each.num:
            click.echo("", err=True)


def _value(each: SampleSet) -> dict[str, Any]:
    return {
        **each.model_dump(mode="json", exclude={"host", "pid", "process"}),
        "title": each.title,
        "file": str(each.path / "samples.npz"),
        "seconds_per_sample": each.seconds_per_sample,
        "joules_per_sample": each.joules_per_sample,
    }


def _side_by_side(sets: list[SampleSet]) -> list[str]:
    """Name the page where sets are compared, of two or more."""
    ids = ",".join(dict.fromkeys(each.id for each in sets))
    return [f"Side by side at /compare?sets={ids}"] if len(sets) > 1 else []


def _line(each: SampleSet) -> str:
    return f"{each.id}  {each.title}: {each.summary or each.state}"


def _seconds(each: SampleSet) -> str:
    seconds = each.seconds_per_sample
    return "" if seconds is None else number(1000 * seconds)


def _in_words(each: SampleSet) -> str:
    lines = [f"{each.title} ({each.id})", each.summary or each.reason or each.state]
    joules = each.joules_per_sample
    rows = [
        ("run", each.run),
        ("drawn by", each.ability or "sample, from shared noise"),
        ("step", f"{each.step:,}"),
        ("seed", each.seed),
        ("settings", ", ".join(f"{name}={value}" for name, value in each.config.items())),
        ("ms a sample", _seconds(each) or "not measured"),
        ("joules a sample", "not measured" if joules is None else number(joules)),
        ("file", each.path / "samples.npz"),
        ("sha256", each.sha256),
    ]
    figures = [(name, number(value)) for name, value in each.figures.items()]
    return "\n\n".join(["\n".join(lines), table(("", ""), rows), table(("figure", ""), figures)])
