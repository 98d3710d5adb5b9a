"""`basin race`: several samplers on one target with one budget, here or in the queue."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

import click

from backend.errors import BadInput, Problem
from backend.metric_names import ERRORS
from backend.spec import Budget, RunSpec, from_dict
from jobs import races
from jobs.cli import launch
from jobs.cli.common import DONE, FAILED, json_command, number, show, table, user
from jobs.queueing import enqueue, redis_store, spec_paths
from jobs.races import Race
from jobs.records import run_store

_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}|latest")
_FIELD = re.compile(r",(?=[A-Za-z_][\w.]*=)")
_COLUMNS = {
    "sampler/acceptance_rate": "accepted",
    "sampler/r_hat": "R-hat",
    "sampler/bulk_ess": "bulk ESS",
    "sampler/tail_ess": "tail ESS",
    "sampler/ess_per_second": "ESS/s",
    "sampler/ess_per_kilogradient": "ESS/1k gradients",
    "sampler/ess_per_joule": "ESS/J",
}


@dataclass(frozen=True)
class Entry:
    """Run of a race, as it was asked for."""

    text: str
    """the sampler as it was typed"""
    spec: RunSpec
    is_exact: bool


@click.command("race")
@click.argument("target")
@click.option(
    "--sampler",
    "racers",
    multiple=True,
    metavar="KIND[:FIELD=VALUE,...]",
    help="A racer; give it once for each.",
)
@click.option("--gradients", type=int, help="Gradient evaluations of every chain.")
@click.option("--seconds", type=float, help="Seconds of sampling.")
@click.option("--joules", type=float, help="Joules, where they are measured.")
@click.option("--steps", type=int, help="Steps of the run, each of several sampler steps.")
@click.option("--chains", type=int, help="Chains side by side.")
@click.option("--start", type=click.Choice(["noise", "data", "one_mode"]), help="Where they start.")
@click.option("--warm-up", type=int, help="Sampler steps that tune and whose draws are dropped.")
@click.option("--until-error", type=float, help="End a racer at this error.")
@click.option("--until-ess", type=float, help="End a racer at this effective sample size.")
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(1, 100), default=1, help="Seeds, one run each.")
@click.option("--set", "changes", multiple=True, metavar="A.B=C", help="Change one field of all.")
@click.option("--inline", is_flag=True, help="Run them here, one after the other.")
@click.option("--wait", is_flag=True, help="Queue them and return when all have ended.")
@json_command
def race_command(
    target: str,
    racers: tuple[str, ...],
    changes: tuple[str, ...],
    inline: bool,
    wait: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Race samplers on TARGET, a data set with a known density or the id of a trained run."""
    if inline and wait:
        raise BadInput.at("", "give one of --inline and --wait, not both.")
    race = _race(target, racers, options)
    if not inline:
        redis_store.connect()  # before the seconds that importing torch takes
    entries = _entries(race, racers, changes, inline)
    if inline:
        ids = _run_here(entries, quiet=as_json)
    else:
        ids = enqueue.launch_many([entry.spec for entry in entries], by=user())
        for run_id in ids if wait else []:
            launch.wait_for(run_id, quiet=as_json)
    results = [_result(entry, run_id) for entry, run_id in zip(entries, ids, strict=False)]
    value = {"address": f"/lab?runs={','.join(ids)}", "runs": results}
    show(value, as_json, lambda: _in_words(value))
    ended = inline or wait
    good = len(ids) == len(entries) and all(item["status"] == "finished" for item in results)
    sys.exit(DONE if good or not ended else FAILED)


def _race(target: str, racers: tuple[str, ...], options: dict[str, Any]) -> Race:
    """Build the race that was asked for. Raises BadInput, and NotAvailable for a run that is
    gone."""
    if not racers:
        raise BadInput.at("--sampler", "name a sampler at least, such as `--sampler mala`.")
    limits = {cost: options[cost] for cost in races.COSTS if options[cost] is not None}
    if not limits:
        raise BadInput.at(
            "budget", "give --gradients, --seconds, --joules or --steps: the same for all racers."
        )
    shared = {
        "chains": options["start"],
        "num_chains": options["chains"],
        "num_warm_up": options["warm_up"],
        "stop_at_error": options["until_error"],
        "stop_at_ess": options["until_ess"],
    }
    data, energy_of = {"name": target}, ""
    if _RUN_ID.fullmatch(target):
        directory = run_store.open_run(target)
        data, energy_of = directory.spec().data, directory.id
    base = from_dict(
        {"method": races.METHOD, "data": data, "budget": limits, "seed": options["seed"]}
    )
    samplers = tuple(racer(text) for text in racers)
    return Race(
        data,
        samplers,
        Budget(**base.budget.model_dump()),
        energy_of,
        shared,
        base.seed,
        options["seeds"],
    )


def racer(text: str) -> dict[str, Any]:
    """Parse the sampler of `KIND:field=value,...`; values are YAML. Raises BadInput.

    >>> racer("hmc:step_size=0.1,num_leapfrog=5")
    {'kind': 'hmc', 'step_size': 0.1, 'num_leapfrog': 5}
    """
    kind, colon, fields = text.partition(":")
    raw: dict[str, Any] = {"kind": kind}
    if not kind or (colon and not fields):
        raise BadInput.at("--sampler", f"takes KIND or KIND:field=value, got {text!r}.")
    for change in _FIELD.split(fields) if fields else []:
        if "=" not in change:
            raise BadInput.at("--sampler", f"takes KIND:field=value, got {text!r}.")
        launch.apply(raw, change)
    return {name: value if name == "kind" else _as_number(value) for name, value in raw.items()}


def _as_number(value: Any) -> Any:
    """Convert a number where YAML saw none: it takes 1e-2 for a word."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _entries(
    race: Race, texts: tuple[str, ...], changes: tuple[str, ...], inline: bool
) -> list[Entry]:
    """Build every run, having found all that a worker would find wrong. Imports torch.

    Raises BadInput with the problems of all racers, those of a sampler under its name.
    """
    from jobs import tasks
    from jobs.models import method_setup

    problems: dict[Problem, None] = {}
    entries: list[Entry] = []
    for index, spec in enumerate(race.specs()):
        text = texts[index % len(texts)]
        try:
            spec = _changed(spec, changes)
            if index < len(texts):  # another seed asks for nothing new
                if inline:
                    method_setup.find_device(spec.device)
                sampler = tasks.examine(spec).method.sampler()
                exact = bool(sampler and sampler.exact)
            else:
                exact = entries[index % len(texts)].is_exact
            entries.append(Entry(text, spec, exact))
        except BadInput as error:
            problems |= dict.fromkeys(_at_racer(problem, text) for problem in error.problems)
        if problems and index + 1 == len(texts):
            raise BadInput(*problems)
    return entries


def _at_racer(problem: Problem, text: str) -> Problem:
    head = "config.sampler"
    if not problem.field.startswith(head):
        return problem
    kind = text.partition(":")[0]
    return Problem(f"{kind}{problem.field.removeprefix(head)}", problem.message)


def _changed(spec: RunSpec, changes: tuple[str, ...]) -> RunSpec:
    raw = spec.model_dump(mode="json", exclude_none=True)
    for change in changes:
        launch.apply(raw, change)
    return spec_paths.absolute_paths(from_dict(raw), "cli")


def _run_here(entries: list[Entry], quiet: bool) -> list[str]:
    """Run the entries one after the other; one that was stopped by hand is the last."""
    ids = []
    for entry in entries:
        ids.append(launch.run_here(entry.spec, quiet=quiet))
        if run_store.open_run(ids[-1]).status().status == "stopped":
            break
    return ids


def _result(entry: Entry, run_id: str) -> dict[str, Any]:
    directory = run_store.open_run(run_id)
    status = directory.status()
    latest = directory.latest(("error/", "sampler/"))
    figures = {path: value for path, value in latest.items() if math.isfinite(value)}
    figures |= {
        path: value
        for path, value in directory.metrics().items()
        if value is not None and path.startswith(("error/", "sampler/"))
    }
    verdict = races.reading_of(directory)
    return {
        "id": run_id,
        "sampler": entry.text,
        "exact": entry.is_exact,
        "seed": entry.spec.seed,
        "status": status.status,
        "reason": status.reason,
        "step": status.step,
        "gradients": status.gradients,
        "seconds": status.seconds,
        "joules": status.joules,
        "figures": figures,
        "verdict": verdict.verdict,
        "reading": verdict.words,
    }


def _in_words(value: dict[str, Any]) -> str:
    runs = value["runs"]
    errors = [path for path in ERRORS if any(path in run["figures"] for run in runs)]
    measured = [path for path in _COLUMNS if any(path in run["figures"] for run in runs)]
    head = ["sampler", "seed", "draws", "status", "gradients", "seconds"]
    head += [f"{path.rpartition('/')[2].replace('_', ' ')} (floor)" for path in errors]
    head += [*(_COLUMNS[path] for path in measured), "reading"]
    rows = []
    for run in runs:
        figures = run["figures"]
        rows.append(
            [
                run["sampler"],
                run["seed"],
                "exact" if run["exact"] else "biased",
                run["status"],
                f"{run['gradients']:,}",
                f"{run['seconds']:.3g}",
                *(_with_floor(figures, path) for path in errors),
                *(number(figures.get(path)) for path in measured),
                run["reading"],
            ]
        )
    lines = [table(head, rows), f"Watch it at {value['address']}"]
    lines[1:1] = [f"{run['id']}: {run['reason']}" for run in runs if run["reason"]]
    if not errors and any(run["figures"] for run in runs):
        lines.append("The truth of this target is not known: only the chains' agreement counts.")
    return "\n".join(lines)


def _with_floor(figures: dict[str, float], path: str) -> str:
    text = number(figures.get(path))
    floor = figures.get(f"{path}/floor")
    return text if floor is None else f"{text} ({number(floor)})"
