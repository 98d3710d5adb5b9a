"""`basin turn`: what it asks of a run, and what it refuses."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from backend.config import turnable
from backend.methods.contrastive_divergence import ContrastiveDivergenceConfig
from backend.spec import RunSpec
from jobs.cli import main
from jobs.records import run_store
from jobs.records.requests import Turn
from jobs.records.run_directory import RunDirectory

RATE = "train.learning_rate"


def basin(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def run() -> RunDirectory:
    spec = RunSpec(method="contrastive_divergence", data={"name": "ring"})
    directory = run_store.create_run(spec)
    directory.write_settings({}, turnable(ContrastiveDivergenceConfig()))
    directory.write_status(status="paused")
    return directory


def test_turn_asks_for_settings_by_their_short_names(run: RunDirectory) -> None:
    answer = json.loads(basin("turn", run.id, "learning_rate=1e-3", "num_steps=5", "--json").stdout)
    assert answer["settings"] == {RATE: 0.001, "num_steps": 5}
    (request,) = run.turn_requests()
    assert request.settings == answer["settings"] and request.by


def test_turn_lists_what_can_be_turned_as_it_stands(run: RunDirectory) -> None:
    run.write_turns([Turn(7, {RATE: (0.01, 0.002)}, "ada", 0.0, "1")])
    listed = basin("turn", run.id).stdout
    assert "train.learning_rate" in listed and "0.002" in listed and "≥ 0, ≤ 10" in listed
    assert "turned at step 7: Learning rate 0.01 → 0.002, by ada." in basin("show", run.id).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("width=3", "`train.learning_rate`"),
        ("learning_rate=-1", "must be ≥ 0, got -1"),
        ("learning_rate", "must be field=value"),
    ],
)
def test_turn_refuses_with_the_rule_and_what_could_be_turned(
    run: RunDirectory, words: str, says: str
) -> None:
    refused = basin("turn", run.id, words, code=2)
    assert says in refused.stderr
    assert run.turn_requests() == []
