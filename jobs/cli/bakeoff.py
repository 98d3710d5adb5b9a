"""`basin bakeoff`: several methods on the same data for equal seconds, and which one to take."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from backend.errors import BadInput, NotAvailable, Problem
from backend.spec import RunSpec, from_dict
from jobs import bakeoffs, proposals
from jobs.bakeoffs import Bakeoff, Verdict
from jobs.claims.reproduction import progress_of
from jobs.cli import launch
from jobs.cli.common import DONE, FAILED, json_command, number, show, table, user
from jobs.cli.progress_line import ProgressLine
from jobs.execution import local_pool
from jobs.proposals import Contestant, Kind
from jobs.queueing import control, enqueue, redis_store, spec_paths
from jobs.records import run_store
from jobs.records.status import this_process


@click.command("bakeoff")
@click.argument("data")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 1e6),
    default=bakeoffs.SECONDS,
    show_default=True,
    help="Seconds of training of every run.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=1, help="Seeds, one run each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--method", "methods", multiple=True, metavar="METHOD[/PRESET]", help="These alone; repeat it."
)
@click.option("--set", "changes", multiple=True, metavar="data.B=C", help="Change a field of DATA.")
@click.option("--inline", is_flag=True, help="Run here, though there are workers.")
@json_command
def bakeoff_command(
    data: str,
    methods: tuple[str, ...],
    changes: tuple[str, ...],
    inline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Try the sensible methods on DATA, a data set or a file, for equal seconds each.

    Judged by the log-likelihood of held-out data, in nats a point, beside baselines. Queued where
    workers are up, else run here, one to a core.
    """
    base = _base(data, changes, options)
    bakeoff = _bakeoff(base, options["seconds"], options["seeds"], methods)
    specs = [spec_paths.absolute_paths(spec, "cli") for spec in bakeoff.specs()]
    if inline or not _has_workers():
        ids, whole = _run_here(specs, quiet=as_json)
    else:
        ids, whole = _queued(specs, quiet=as_json), True
    verdict = bakeoffs.verdict(bakeoffs.results(ids))
    value = as_dict(base.data, ids, verdict)
    show(value, as_json, lambda: in_words(value, verdict))
    sys.exit(DONE if whole and verdict.proposed is not None else FAILED)


def _base(data: str, changes: tuple[str, ...], options: dict[str, Any]) -> RunSpec:
    """Read the data, the seed and the device. Raises BadInput."""
    is_file = Path(data).suffix.lower() in (".npy", ".npz", ".csv", ".parquet") or "/" in data
    raw: dict[str, Any] = {
        "method": proposals.EXACT.method,
        "data": {"name": "file", "path": data} if is_file else {"name": data},
        "seed": options["seed"],
        "device": options["device"],
    }
    for change in changes:
        if not change.startswith("data."):
            raise BadInput.at("--set", f"changes a field of the data, data.B=C, got {change!r}.")
        launch.apply(raw, change)
    return spec_paths.absolute_paths(from_dict(raw), "cli")


def _bakeoff(base: RunSpec, seconds: float, num_seeds: int, methods: tuple[str, ...]) -> Bakeoff:
    """Build the bakeoff, without methods that cannot take these data. Imports torch.

    Raises BadInput where fewer than two are left.
    """
    from backend import catalogue
    from jobs.models import method_setup

    method_setup.find_device(base.device)
    dataset = catalogue.resolve_data(base.data)
    loaded = dataset.stand_in() if dataset.missing() else dataset.load()
    kind = Kind(
        tuple(loaded.event_shape),
        len(loaded.train),
        loaded.is_image,
        loaded.num_values is not None,
        tuple(dataset.gives),
    )
    bakeoff = bakeoffs.bakeoff_of(
        base.data, kind, seconds, num_seeds, seed=base.seed, device=base.device
    )
    if methods:
        bakeoff = replace(bakeoff, contestants=tuple(_contestant(text) for text in methods))
    return _fitting(bakeoff)


def _contestant(text: str) -> Contestant:
    method, _, preset = text.partition("/")
    known = {each.method: each for each in proposals.POINTS}
    return Contestant(method, preset) if preset else known.get(method, Contestant(method))


def _fitting(bakeoff: Bakeoff) -> Bakeoff:
    """Leave out what a worker would refuse, and say so. Raises BadInput."""
    from jobs import tasks

    problems: list[Problem] = []
    fitting = []
    for each in bakeoff.contestants:
        try:
            tasks.examine(replace(bakeoff, contestants=(each,), num_seeds=1).specs()[0])
        except BadInput as error:
            problems += [
                Problem(f"{each.method}.{item.field}", item.message) for item in error.problems
            ]
            click.echo(f"{each.method} is left out: {error}", err=True)
        else:
            fitting.append(each)
    if len(fitting) < 2:
        few = Problem("--method", "a bakeoff needs two methods at least that take these data.")
        raise BadInput(*problems, few)
    return replace(bakeoff, contestants=tuple(fitting))


def _has_workers() -> bool:
    try:
        return any(map(redis_store.takes_runs, redis_store.workers()))
    except NotAvailable:
        return False


def _run_here(specs: list[RunSpec], quiet: bool) -> tuple[list[str], bool]:
    ids = []
    for spec in specs:
        directory = run_store.create_run(spec, by=user())
        directory.write_status(worker=control.INLINE, **this_process())
        ids.append(directory.id)
    line = ProgressLine(lambda: progress_of(bakeoffs.results(ids)), quiet)
    whole = local_pool.run_all(ids, min(local_pool.cores(), len(ids)), line.tell)
    line.end()
    return ids, whole


def _queued(specs: list[RunSpec], quiet: bool) -> list[str]:
    """Queue the runs and wait for them; Ctrl-C leaves them running."""
    ids = enqueue.launch_many(specs, by=user())
    line = ProgressLine(lambda: progress_of(bakeoffs.results(ids)), quiet)
    while not all(run.is_over for run in bakeoffs.results(ids)):
        control.settle()
        line.tell()
        time.sleep(0.5)
    line.end()
    return ids


def as_dict(data: dict[str, Any], ids: list[str], verdict: Verdict) -> dict[str, Any]:
    """Return the object that `basin bakeoff --json` prints."""
    return {
        "data": data,
        "runs": ids,
        "standings": [asdict(item) for item in verdict.standings],
        "baselines": dict(verdict.baselines),
        "proposed": None if verdict.proposed is None else asdict(verdict.proposed),
        "reason": verdict.reason,
        "command": "" if verdict.proposed is None else command_line(verdict.proposed, data),
    }


def command_line(proposed: Contestant, data: dict[str, Any]) -> str:
    """Return the command line that launches the proposed method at its own budget."""
    spec = {"method": proposed.method, "preset": proposed.preset, "data": data}
    return f"echo {shlex.quote(json.dumps(spec, ensure_ascii=False))} | basin run -"


def in_words(value: dict[str, Any], verdict: Verdict) -> str:
    """Describe the standings, the baselines, and what is proposed."""
    rows = [
        (
            item.contestant.method,
            item.contestant.preset,
            number(item.mean),
            "" if item.low is None else f"{number(item.low)} to {number(item.high)}",
            f"{item.seconds:.0f}",
            item.note,
        )
        for item in verdict.standings
    ]
    rows += [
        (bakeoffs.BASELINES.get(name, "the true density"), "", number(nats), "", "", "")
        for name, nats in verdict.baselines.items()
    ]
    head = ("method", "preset", "held-out nats", "interval", "seconds", "")
    lines = [table(head, rows), "", verdict.reason]
    if value["command"]:
        lines += ["Launch it at its own budget with", f"  {value['command']}"]
    return "\n".join(lines)
