"""Reproductions: the runs of a recipe, seed by seed, and the verdicts on its claims.

    BASIN_HOME/reproductions/<id>.json     the recipe's text as launched, run ids, findings

The findings are stored when every run has ended, so that neither a later edit of the recipe nor
the deletion of runs changes the past. Imports no torch.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from backend.claims import recipe as recipes
from backend.claims.recipe import Recipe
from backend.errors import BadInput, NotAvailable, Problem
from backend.spec import RunSpec
from backend.system.about import version
from jobs.claims.recipe_results import ENDED, Findings, RunResult, evaluate, run_result
from jobs.queueing import control, enqueue, spec_paths
from jobs.queueing.spec_paths import Origin
from jobs.records import run_store
from jobs.records.status import this_process
from jobs.system import atomic_files

TAG = "reproduction:"
"""Prefix of the tag that names a run's reproduction."""
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


class Reproduction(BaseModel):
    """Launch of a recipe. Times are unix seconds."""

    id: str
    recipe: str
    text: str
    """the recipe's YAML as it was launched"""
    scale: str
    seeds: list[int]
    runs: dict[str, dict[int, str]]
    """run ids by variant and seed"""
    created: float
    version: str
    """of Basin"""
    findings: Findings | None = None
    """once every run has ended"""

    @model_validator(mode="after")
    def _check_runs(self) -> Self:
        if any(runs.keys() != set(self.seeds) for runs in self.runs.values()):
            raise ValueError("each variant needs a run of each seed")
        return self

    def launched(self) -> Recipe:
        """Parse the recipe as it was launched. Raises BadInput when this version cannot read it."""
        return recipes.parse(self.text, self.recipe)

    def run_ids(self) -> list[str]:
        """List the runs: every variant under one seed before the next seed."""
        return [runs[seed] for seed in self.seeds for runs in self.runs.values()]

    @property
    def is_settled(self) -> bool:
        """Return True once the findings are stored."""
        return self.findings is not None

    @property
    def is_final(self) -> bool:
        """Return True once every seed is judged, so that nothing changes any more."""
        return self.findings is not None and self.findings.num_counted == self.findings.num_runs


class Progress(BaseModel):
    """Progress of a reproduction."""

    total: int
    done: int
    """runs that have ended, however"""
    running: int
    fraction: float
    """of all the work, 0 to 1"""
    seconds_left: float | None
    """None while nothing is known of it"""
    words: dict[str, int] = Field(default_factory=dict)
    """number of runs in each state; `deleted` for those that are gone"""

    @property
    def is_over(self) -> bool:
        """Return True when every run has ended."""
        return self.done == self.total


def specs(
    recipe: Recipe,
    scale: str = "cpu",
    num_seeds: int | None = None,
    first_seed: int = 0,
    reproduction_id: str = "",
) -> dict[tuple[str, int], RunSpec]:
    """Build the runs of a recipe by variant and seed, in the order they are launched.

    num_seeds: the recipe's own when None. Raises BadInput.
    """
    num = recipe.seeds if num_seeds is None else num_seeds
    if not 1 <= num <= 100:
        raise BadInput.at("seeds", f"must be from 1 to 100, got {num}.")
    tags = [f"{TAG}{reproduction_id}"] if reproduction_id else []
    runs: dict[tuple[str, int], RunSpec] = {}
    for seed in range(first_seed, first_seed + num):
        for variant in recipe.variants:
            try:
                spec = recipe.spec(variant, scale, seed)
            except ValidationError as error:
                raise BadInput(*recipes.problems_of(error, f"variants.{variant}")) from error
            runs[variant, seed] = spec.model_copy(update={"tags": [*spec.tags, *tags]})
    return runs


def launch(
    name: str,
    *,
    scale: str = "cpu",
    num_seeds: int | None = None,
    first_seed: int = 0,
    origin: Origin = "cli",
    by: str = "",
) -> Reproduction:
    """Queue the runs of a recipe: all of them or, when one is refused, none.

    Raises BadInput for a broken recipe or a scale it does not have, NotAvailable without Redis or
    for a recipe that is not there.
    """
    record, run_specs = _begin(name, scale, num_seeds, first_seed)
    ids = enqueue.launch_many(run_specs.values(), origin=origin, by=by)
    record = _with_runs(record, dict(zip(run_specs, ids, strict=True)))
    _store(record)
    return record


def create(
    name: str, *, scale: str = "cpu", num_seeds: int | None = None, first_seed: int = 0
) -> Reproduction:
    """Create a reproduction whose runs no queue knows, to be run here. Raises BadInput."""
    record, run_specs = _begin(name, scale, num_seeds, first_seed)
    runs: dict[tuple[str, int], str] = {}
    for key, spec in run_specs.items():
        directory = run_store.create_run(spec_paths.absolute_paths(spec, "cli"))
        directory.write_status(worker=control.INLINE, **this_process())
        runs[key] = directory.id
    record = _with_runs(record, runs)
    _store(record)
    return record


def _begin(
    name: str, scale: str, num_seeds: int | None, first_seed: int
) -> tuple[Reproduction, dict[tuple[str, int], RunSpec]]:
    text = recipes.text_of(name)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    record = Reproduction(
        id=f"{stamp}-{secrets.token_hex(2)}",
        recipe=name,
        text=text,
        scale=scale,
        seeds=[],
        runs={},
        created=time.time(),
        version=version(),
    )
    return record, specs(recipes.parse(text, name), scale, num_seeds, first_seed, record.id)


def _with_runs(record: Reproduction, ids: Mapping[tuple[str, int], str]) -> Reproduction:
    runs: dict[str, dict[int, str]] = {}
    for (variant, seed), run_id in ids.items():
        runs.setdefault(variant, {})[seed] = run_id
    seeds = list(dict.fromkeys(seed for _, seed in ids))
    return record.model_copy(update={"runs": runs, "seeds": seeds})


# -------------------------------------------------------------------------- the record


def folder() -> Path:
    """Return the folder of the records; created when missing. Raises NotAvailable."""
    return run_store.private_folder("reproductions")


def _store(record: Reproduction) -> None:
    try:
        atomic_files.write(
            folder() / f"{record.id}.json", record.model_dump_json(indent=1), sync=True
        )
    except OSError as error:
        raise NotAvailable(f"{folder()} cannot be written to: {error.strerror}.") from error


def open_reproduction(reproduction_id: str) -> Reproduction:
    """Read the record of an id, or of the `latest`; findings that are due are stored in it first.

    Raises BadInput, NotAvailable.
    """
    if reproduction_id == "latest":
        records = list_reproductions()
        if not records:
            raise NotAvailable("Nothing has been reproduced yet.")
        return records[0]
    record = _read(reproduction_id)
    with contextlib.suppress(BadInput, NotAvailable):
        return record if record.is_final else store_findings(reproduction_id)
    return record


def _read(reproduction_id: str) -> Reproduction:
    if not _ID.fullmatch(reproduction_id):
        raise BadInput.at("reproduction", f"{reproduction_id!r} is not the id of a reproduction.")
    try:
        return Reproduction.model_validate_json(
            atomic_files.read(folder() / f"{reproduction_id}.json")
        )
    except FileNotFoundError as error:
        raise NotAvailable(f"There is no reproduction `{reproduction_id}`.") from error
    except (OSError, ValueError) as error:
        message = f"its record cannot be read: {error}"
        raise BadInput(Problem("reproduction", message)) from error


def list_reproductions(recipe: str | None = None) -> list[Reproduction]:
    """Read every readable record, or those of one recipe, newest first."""
    records = []
    for path in folder().glob("*.json"):
        with contextlib.suppress(BadInput, NotAvailable):
            if _ID.fullmatch(path.stem):
                records.append(open_reproduction(path.stem))
    matching = [item for item in records if recipe in (None, item.recipe)]
    return sorted(matching, key=lambda item: (item.created, item.id), reverse=True)


def damaged() -> dict[str, str]:
    """Explain why records cannot be read, by id."""
    errors = {}
    for path in folder().glob("*.json"):
        if _ID.fullmatch(path.stem):
            try:
                _read(path.stem).launched()
            except (BadInput, NotAvailable) as error:
                errors[path.stem] = str(error)
    return errors


# -------------------------------------------------------------------------- how it goes


def runs_of(record: Reproduction) -> dict[tuple[str, int], RunResult]:
    """Read the state of every run as it is now, by variant and seed."""
    return {
        (variant, seed): run_result(runs[seed])
        for seed in record.seeds
        for variant, runs in record.runs.items()
    }


def progress(record: Reproduction) -> Progress:
    """Sum up the progress of its runs, and estimate the seconds left from what they took so far."""
    return progress_of(list(runs_of(record).values()))


def progress_of(runs: Sequence[RunResult]) -> Progress:
    """Sum up the progress of runs of about the same budget."""
    states: dict[str, int] = {}
    for run in runs:
        states[run.state] = states.get(run.state, 0) + 1
    num_over = sum(run.is_over for run in runs)
    share = sum(1.0 if run.is_over else run.fraction for run in runs)
    spent = sum(run.seconds for run in runs)
    running = states.get("running", 0)
    work_left = len(runs) - share
    # Shares of runs count alike: variants of one budget take about as long.
    seconds_left = spent / share * work_left / max(running, 1) if share > 0 and work_left else None
    return Progress(
        total=len(runs),
        done=num_over,
        running=running,
        fraction=share / max(len(runs), 1),
        seconds_left=0.0 if work_left == 0 else seconds_left,
        words=states,
    )


def findings(record: Reproduction) -> Findings:
    """Return the findings: as stored, else of the runs that have ended by now. Raises BadInput."""
    return record.findings or evaluate(record.launched(), record.seeds, runs_of(record))


def store_findings(reproduction_id: str) -> Reproduction:
    """Store the findings when every run has ended; returns the record as it is then.

    Once every seed is judged they stay as they are, whatever becomes of the runs. Seeds that were
    cut off are judged again when their runs went on. Raises BadInput, NotAvailable.
    """
    with atomic_files.locked(folder()):
        record = _read(reproduction_id)
        if record.is_final:
            return record
        stored, runs = record.findings, runs_of(record)
        if not all(run.is_over for run in runs.values()):
            return record
        new = evaluate(record.launched(), record.seeds, runs)
        if stored is None or new.num_counted > stored.num_counted:
            record = record.model_copy(update={"findings": new})
            _store(record)
    return record


def delete_runs(run_ids: Sequence[str]) -> None:
    """Delete runs as `control.delete` does, once what they showed of a recipe is stored."""
    list_reproductions()
    control.delete(run_ids)


def stop(reproduction_id: str) -> int:
    """Stop every run that has not ended; returns how many. Raises BadInput, NotAvailable."""
    record = open_reproduction(reproduction_id)
    stopped = 0
    for run_id in reversed(record.run_ids()):  # those that wait first, else they would start
        if run_result(run_id).state not in ENDED:
            with contextlib.suppress(BadInput, NotAvailable):
                control.stop(run_id)
                stopped += 1
    return stopped


def expected_seconds(name: str, scale: str, num_seeds: int) -> float | None:
    """Estimate the seconds of training that a launch costs, by the newest settled one; None
    without."""
    for record in list_reproductions(name):
        results = record.findings
        if results and record.scale == scale and record.is_final:
            return results.seconds / len(record.seeds) * num_seeds
    return None
