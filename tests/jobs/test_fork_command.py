"""`basin fork`: what it makes, what it says of it, and what it refuses."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.jobs.execution.stepping import STEPS, launched
from tests.jobs.execution.stepping import run as train


def basin(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def parent() -> RunDirectory:
    directory = launched()
    assert train(directory) == "finished"
    return directory


def test_fork_goes_on_in_a_new_run_that_both_records_tell_of(parent: RunDirectory) -> None:
    words = ["fork", parent.id, "learning_rate=1e-3", "name=slower", "--steps", str(STEPS + 3)]
    answer = json.loads(basin(*words, "--inline", "--json").stdout)
    assert answer["status"] == "finished"
    assert answer["forked_from"] == {"run": parent.id, "step": STEPS}
    child = run_store.open_run(answer["id"])
    assert child.status().step == STEPS + 3 and child.status().name == "slower"
    of_child, of_parent = basin("show", child.id).stdout, basin("show", parent.id).stdout
    assert f"forked from {parent.id} at step {STEPS}" in of_child
    assert f"turned at step {STEPS}: Learning rate 0.01 → 0.001" in of_child
    assert f"forked at step {STEPS}: {child.id}" in of_parent and "kept at steps 40" in of_parent
    facts = json.loads(basin("show", parent.id, "--json").stdout)
    assert facts["forks"] == [{"id": child.id, "step": STEPS}]


def test_fork_waits_in_the_queue(parent: RunDirectory, redis_url: str) -> None:
    answer = basin("fork", parent.id, "--steps", str(2 * STEPS)).stdout
    (waiting,) = redis_store.queue(redis_store.TRAIN).job_ids
    assert answer == f"{waiting}: queued, forked from {parent.id} at step {STEPS}\n"


def test_fork_refuses_with_what_to_do_and_makes_nothing(parent: RunDirectory) -> None:
    for words, says in (
        (["--step", "7", "--steps", "60"], f"`step`: must be one that `{parent.id}` keeps: 40"),
        (["energy.width=3", "--steps", "60"], "cannot change in a fork"),
        (["--steps", "40"], "must be more than 40"),
        (["budget.steps=60", "--steps", "60"], "is given beside --steps"),
        (["learning_rate", "--steps", "60"], "must be field=value"),
        (["--steps", "60"], "Redis"),
    ):
        assert says in basin("fork", parent.id, *words, code=2).stderr
    assert "There is no run" in basin("fork", "20200101-000000-abcd", code=2).stderr
    assert [status.id for status in run_store.list_runs()] == [parent.id]
