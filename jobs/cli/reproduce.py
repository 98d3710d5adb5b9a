"""`basin reproduce`: run a published claim and judge if it holds here."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import Any

import click

from backend.claims import recipe as recipes
from backend.claims.recipe import Recipe
from backend.claims.report import Claim, Result, as_dict
from backend.claims.verdict import Reading
from backend.errors import BadInput, NotAvailable, Problem
from jobs.claims import reproduction
from jobs.claims.recipe_results import Findings
from jobs.claims.reproduction import Reproduction
from jobs.cli.common import DONE, FAILED, json_command, number, show, table, user
from jobs.cli.progress_line import ProgressLine
from jobs.execution import local_pool
from jobs.formatting import duration
from jobs.queueing import control, redis_store


@click.command("reproduce")
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the recipes and their last verdicts.")
@click.option("--seeds", type=click.IntRange(1, 100), help="Seeds; the recipe's own by default.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first one.")
@click.option("--scale", type=click.Choice(recipes.SCALES), default="cpu", show_default=True)
@click.option("--processes", type=click.IntRange(1, 256), help="Runs side by side; default cores.")
@click.option("--queue", is_flag=True, help="Queue the runs for the workers and return.")
@click.option("--again", metavar="ID", help="Go on with one that was cut off, or `latest`.")
@json_command
def reproduce(
    name: str | None,
    listed: bool,
    seeds: int | None,
    seed: int,
    scale: str,
    processes: int | None,
    queue: bool,
    again: str | None,
    as_json: bool,
) -> None:
    """Run the recipe NAME, a published claim, and judge it by paired seeds.

    Exit code 0 when every acceptance claim holds, 1 when not.
    """
    if listed or name is None:
        show_list(as_json)
        return
    if queue:
        show_queued(_queued(name, scale, seeds, seed, again), as_json)
        return
    record = _reproduction(name, scale, seeds, seed, again)
    ids = local_pool.take_up(record.run_ids())
    whole = True
    if ids:
        side = processes or (local_pool.cores() if record.scale == "cpu" else 1)
        line = ProgressLine(lambda: reproduction.progress(record), quiet=as_json)
        whole = local_pool.run_all(ids, min(side, len(ids)), line.tell)
        line.end()
    record = reproduction.open_reproduction(record.id)
    findings = reproduction.findings(record)
    show(as_report(record, findings), as_json, lambda: in_words(record, findings))
    sys.exit(DONE if whole and record.is_settled and findings.acceptance_holds() else FAILED)


def _reproduction(
    name: str, scale: str, seeds: int | None, seed: int, again: str | None
) -> Reproduction:
    """Create a reproduction, or open the one to go on with, having looked for errors first.

    Raises BadInput with the problems of all variants, NotAvailable.
    """
    if again:
        return _earlier(name, again)
    _examine(recipes.parse(recipes.text_of(name), name), scale, seeds, seed)
    return reproduction.create(name, scale=scale, num_seeds=seeds, first_seed=seed)


def _examine(recipe: Recipe, scale: str, seeds: int | None, seed: int) -> None:
    run_specs = reproduction.specs(recipe, scale, seeds, seed)
    from jobs import tasks
    from jobs.models import method_setup

    problems: dict[Problem, None] = {}
    for variant in recipe.variants:
        spec = run_specs[variant, seed]
        try:
            method_setup.find_device(spec.device)
            tasks.examine(spec)
        except BadInput as error:
            for each in error.problems:
                problems[Problem(f"variants.{variant}.spec.{each.field}", each.message)] = None
    if problems:
        raise BadInput(*problems)


def _earlier(name: str, again: str) -> Reproduction:
    record = reproduction.open_reproduction(again)
    if record.recipe != name:
        raise BadInput.at("--again", f"`{record.id}` is of the recipe `{record.recipe}`.")
    return record


def _queued(name: str, scale: str, seeds: int | None, seed: int, again: str | None) -> Reproduction:
    if not again:
        return reproduction.launch(name, scale=scale, num_seeds=seeds, first_seed=seed, by=user())
    record = _earlier(name, again)
    redis_store.connect()
    for run_id in reversed(record.run_ids()):  # each is put before the others
        with contextlib.suppress(BadInput, NotAvailable):
            control.resume(run_id)
    return record


def as_report(record: Reproduction, findings: Findings) -> dict[str, Any]:
    """Format findings as benchmarks print them too, with the values seed by seed."""
    recipe = record.launched()
    results = []
    for item in findings.figures:
        values = [each for each in item.readings if each.value is not None]
        if item.median is None or item.min is None or item.max is None:
            continue
        path = recipe.figures[item.figure].path
        row = Result(
            recipe.name, item.variant, path, item.unit, item.median, item.min, item.max, len(values)
        )
        results.append({**asdict(row), "floor": item.floor, "baselines": item.baselines})
    claims = [
        {
            **asdict(Claim(claim.text, claim.target, claim.median, claim.holds, claim.kind)),
            "reason": claim.reason,
            "seeds": {each.seed: each.value for each in claim.readings},
        }
        for claim in findings.claims
    ]
    report = as_dict(recipe.name, results, claims)
    report |= {
        "version": record.version,
        "id": record.id,
        "holds": findings.holds,
        "scale": record.scale,
    }
    return report | {"settled": record.is_settled, "notes": findings.notes}


def in_words(record: Reproduction, findings: Findings) -> str:
    """Describe the figures variant by variant with spread and floor, then each claim."""
    recipe = record.launched()
    lines = [recipe.claim, _origin(recipe), ""]
    rows = []
    for item in findings.figures:
        spread = f"{number(item.min)} to {number(item.max)}" if item.min is not None else ""
        seeds = " ".join(_short(each) for each in item.readings)
        title = recipe.variants[item.variant].title
        rows.append(
            (title, item.title, number(item.median), spread, number(item.floor), item.unit, seeds)
        )
    columns = ("variant", "figure", "median", "range", "floor", "unit", "seed by seed")
    lines += [table(columns, rows), ""]
    for claim in findings.claims:
        lines.append(f"{claim.holds:9}  {claim.text} ({claim.kind}, {claim.target})")
        lines.append(f"           {claim.reason}")
        if claim.holds == "undecided" and claim.readings:
            listed = ", ".join(f"seed {each.seed}: {_short(each)}" for each in claim.readings)
            lines.append(f"           {listed}")
    lines += [f"note: {note}" for note in findings.notes]
    joules = (
        f", {findings.joules / 1000:.3g} kJ ({findings.joules_source})" if findings.joules else ""
    )
    on = ", ".join(findings.devices) or "no device"
    lines.append("")
    lines.append(
        f"{record.id}: {findings.num_counted} of {findings.num_runs} runs judged, "
        f"{duration(findings.seconds)} of training on {on}{joules}, "
        f"version {record.version}"
    )
    if findings.num_counted < findings.num_runs:
        lines.append(f"Go on with `basin reproduce {record.recipe} --again {record.id}`.")
    return "\n".join(lines)


def _origin(recipe: Recipe) -> str:
    return f"{recipe.paper.authors}: {recipe.paper.title}, {recipe.paper.year}"


def _short(each: Reading) -> str:
    return number(each.value) if each.value is not None else "–"


def show_queued(record: Reproduction, as_json: bool) -> None:
    """Print the runs that were queued."""
    ids = record.run_ids()
    text = f"{record.id}: {len(ids)} runs in the queue.\n" + "\n".join(f"  {each}" for each in ids)
    show({"id": record.id, "runs": record.runs}, as_json, text)


def show_list(as_json: bool) -> None:
    """Print every recipe with its last verdict; broken ones with their errors."""
    discovered = recipes.discover()
    listed = []
    for name, item in discovered.recipes.items():
        judged = [each for each in reproduction.list_reproductions(name) if each.findings]
        holds = judged[0].findings.holds if judged and judged[0].findings else None
        num = len(item.variants) * item.seeds
        listed.append({"name": name, "title": item.title, "runs": num, "holds": holds})
    rows = [
        (each["name"], each["runs"], each["holds"] or "not run yet", each["title"])
        for each in listed
    ]
    text = table(("recipe", "runs", "verdict", "claim"), rows)
    text += "".join(f"\nbroken: {item.name}: {item.error}" for item in discovered.broken)
    broken = [
        {"name": item.name, "problems": [asdict(problem) for problem in item.problems]}
        for item in discovered.broken
    ]
    show({"recipes": listed, "broken": broken}, as_json, text)
