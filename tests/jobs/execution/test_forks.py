"""Forks: the same numbers as the run they come from, or as that run turned at their step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend import catalogue
from backend.errors import BadInput
from backend.spec import Budget
from jobs.contracts.small_runs import fitting_spec
from jobs.execution.training import Training
from jobs.models import forks
from jobs.queueing import control, forking
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.jobs.execution.stepping import (
    AT,
    RATE,
    STEPS,
    asked,
    assert_same,
    at_step,
    launched,
    messages,
    run,
)


def save(training: Training) -> None:
    training.flush()
    training.save()


def forked(parent: RunDirectory, **changes: float) -> RunDirectory:
    fields = {name.replace("__", "."): value for name, value in changes.items()}
    return forking.make(forking.plan(parent.id, fields, step=AT, by="ada"))


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A finished run that keeps the moment AT."""
    directory = launched(name="first", tags=["mine", "recipe:short_run"])
    with monkeypatch.context() as patch:
        at_step(patch, AT, save)
        assert run(directory) == "finished"
    assert directory.checkpoints() == [AT, STEPS]
    return directory


def words(directory: RunDirectory, path: str) -> list[tuple[int, str]]:
    return [
        (frame.header["last"][0], frame.header["meta"]["message"])
        for frame in directory.texts()
        if frame.header["path"] == path
    ]


def test_a_fork_without_changes_is_the_run_it_comes_from_bit_for_bit(parent: RunDirectory) -> None:
    before = {path: path.stat().st_mtime_ns for path in parent.path.rglob("*")}
    child = forked(parent)
    assert (
        child.id != parent.id
        and child.status().step == AT
        and not child.scalars()["loss/total"].step[-1] > AT
    )
    assert run(child) == "finished", child.trace()
    assert_same(parent, child)
    origin = child.status().forked_from or {}
    assert origin["run"] == parent.id and origin["step"] == origin["cost"][0] == AT
    assert child.status().name == "first" and child.status().tags == ["mine"], "no verdict's own"
    sentence = f"Forked from {parent.id} at step {AT}."
    assert words(child, forks.FORKED) == [(AT, sentence)]
    assert [step for step, _ in words(child, "run/ended")] == [STEPS], "not its parent's end"
    assert {f.header["run"] for f in child.texts()} == {child.id}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "untouched"
    assert [status.id for status in forks.children_of(parent.id)] == [child.id]


def test_a_fork_with_a_change_is_a_run_turned_at_that_step(
    parent: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = launched()
    with monkeypatch.context() as patch:
        at_step(patch, AT, asked(turned, {RATE: 0.003, "reinit_rate": 0.5}))
        run(turned)
    child = forked(parent, learning_rate=0.003, reinit_rate=0.5)
    assert child.turns()[0].fields == turned.turns()[0].fields, "known before it begins"
    assert run(child) == "finished", child.trace()
    assert_same(turned, child)
    assert messages(child) == messages(turned)
    assert parent.turns() == []


def test_a_fork_of_a_deleted_run_goes_on_and_so_does_a_fork_of_it_when_killed(
    parent: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = forked(parent, learning_rate=0.003)
    control.delete([parent.id])
    with monkeypatch.context() as patch:
        at_step(patch, AT + 3, save)
        run(child)
    grandchild = forking.make(forking.plan(child.id, {"reinit_rate": 0.5}, step=AT + 3))

    def break_off(training: Training) -> None:
        training.emitter.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_step(patch, AT + 5, break_off)
        with pytest.raises(KeyboardInterrupt):
            run(grandchild)
    assert run(grandchild) == "finished"
    assert [turn.step for turn in grandchild.turns()] == [AT, AT + 3]
    assert [step for step, _ in messages(grandchild)] == [AT, AT + 3]
    assert [step for step, _ in words(grandchild, forks.FORKED)] == [AT, AT + 3]
    steps = grandchild.scalars()["loss/total"].step
    np.testing.assert_array_equal(steps, np.arange(1, STEPS + 1))


def test_a_finished_run_goes_on_in_a_fork_with_a_larger_budget(parent: RunDirectory) -> None:
    with pytest.raises(
        BadInput, match=rf"`budget.steps`: must be more than {STEPS}, which .* had used"
    ):
        forking.plan(parent.id)
    child = forking.make(forking.plan(parent.id, {"budget.steps": STEPS + 5}))
    assert run(child) == "finished" and child.status().step == STEPS + 5
    np.testing.assert_array_equal(
        child.scalars()["loss/total"].value[:STEPS], parent.scalars()["loss/total"].value
    )
    assert child.scalars()["loss/total"].step[-1] == STEPS + 5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"energy.width": 9},
            "`energy.width`: cannot change in a fork: .* `train.learning_rate`, ",
        ),
        ({"seed": 1}, "`seed`: cannot change in a fork: .* Launch a new run with it"),
        ({"learning_rate": -1.0}, "must be ≥ 0, got -1"),
        ({"budget.steps": AT}, f"must be more than {AT}"),
        ({"budget.steps": 0}, "must be ≥ 1, got 0"),
        ({"budget.epochs": 3}, "`budget.epochs`: cannot change"),
        ({"name": "x" * 200}, "name"),
    ],
)
def test_what_a_fork_cannot_be_is_refused_before_anything_is_made(
    parent: RunDirectory, changes: dict[str, float], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        forking.plan(parent.id, changes, step=AT)


def test_a_step_that_is_not_kept_is_answered_with_those_that_are(parent: RunDirectory) -> None:
    with pytest.raises(BadInput, match=rf"`step`: must be one that .* keeps: {AT}, {STEPS}; got 5"):
        forking.plan(parent.id, step=5)
    with pytest.raises(BadInput, match="is queued and keeps no moment"):
        forking.plan(launched().id)


def test_earlier_moments_are_kept_evenly_and_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = launched()
    for step in range(10, 510, 10):
        directory.save_checkpoint(step, {"w": torch.zeros(100)}, {})
    steps = directory.checkpoints()
    assert steps[-2:] == [490, 500] and len(steps) == 10
    gaps = np.diff([0, *steps[:-1]])
    assert gaps.max() <= 4 * gaps[:-1].min() and gaps.max() < 500 / 4
    size = (directory.path / "checkpoints" / "step-000000500.safetensors").stat().st_size
    monkeypatch.setattr("jobs.records.checkpoint.MOMENT_BYTES", int(2.5 * size))
    directory.save_checkpoint(510, {"w": torch.zeros(100)}, {})
    assert len(directory.checkpoints()) == 4 and directory.checkpoints()[-2:] == [500, 510]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=[] if method == "sampling" else [pytest.mark.slow])
        for method in sorted(catalogue.methods())
    ],
)
def test_every_method_can_be_forked(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fitting_spec(method)
    assert spec is not None
    directory = run_store.create_run(spec.model_copy(update={"budget": Budget(steps=6)}))
    with monkeypatch.context() as patch:
        at_step(patch, 3, save)
        assert run(directory) == "finished", directory.trace()
    child = forking.make(forking.plan(directory.id, step=3))
    assert run(child) == "finished", child.trace()
    mine, other = child.load_checkpoint(), directory.load_checkpoint()
    assert mine.step == other.step > 3 and mine.tensors
    for name, tensor in mine.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def test_a_moment_is_kept_for_good_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = launched()

    def ask(training: Training) -> None:
        assert forking.keep(directory.id) is None
        training.heartbeat.is_asked_to_keep = True

    monkeypatch.setattr("jobs.records.checkpoint.MOMENTS", 1)
    with monkeypatch.context() as patch:
        at_step(patch, AT, ask)
        for step in (10, 20, 25, 30, 35):
            at_step(patch, step, save)
        assert run(directory) == "finished"
    assert AT in directory.checkpoints() and not directory.asks_to_keep()
    assert len(directory.checkpoints()) == 4, "beside the last two and the one moment"
    assert forking.keep(directory.id) == STEPS
    with pytest.raises(BadInput, match=f"keeps: .*{AT}.*; got 3"):
        forking.keep(directory.id, 3)


def test_a_figure_keeps_the_goal_that_its_parent_was_told(parent: RunDirectory) -> None:
    parent.write_status(figures={"quality/grid_kl": 0.2, "quality/grid_kl/goal": 0.05})
    child = forked(parent)
    assert child.status().figures == {"quality/grid_kl/goal": 0.05}, "a figure is its own"
    assert run(child) == "finished"
    assert child.status().figures["quality/grid_kl/goal"] == 0.05


def test_costs_go_on_from_those_of_the_parent(parent: RunDirectory) -> None:
    child = forked(parent)
    before = child.status()
    assert 0 < before.gradients < parent.status().gradients and before.fraction == AT / STEPS
    run(child)
    assert child.status().gradients == parent.status().gradients
    series = child.scalars()["loss/total"]
    assert (np.diff(series.seconds) >= 0).all() and math.isfinite(series.seconds[-1])
    assert run_store.open_run(child.id).status().seconds >= before.seconds
