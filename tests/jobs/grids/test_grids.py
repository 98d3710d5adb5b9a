"""Grids: cells are sample sets, drawn once however often a grid is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from backend import catalogue
from backend.abilities.sample import SampleConfig
from backend.errors import BadInput, NotAvailable
from jobs import tasks
from jobs.cli import main
from jobs.grids import drawing, records
from jobs.grids.progress import progress
from jobs.grids.records import Axis, Grid
from jobs.models import sample_drawing
from jobs.queueing import redis_store, sample_jobs
from jobs.records import sample_sets
from jobs.records.run_directory import RunDirectory
from tests.jobs import tiny

STEP_SIZES = Axis(field="step_size", values=(0.01, 0.1))
NUM_STEPS = Axis(field="num_steps", values=(3, 1, 2))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    catalogue.abilities()  # discovered before `tiny` is all there is
    monkeypatch.setattr(catalogue, "methods", lambda: {"tiny": tiny.Tiny})
    directory = tiny.make(6)
    tiny.run(directory)
    return directory


def defined(run: RunDirectory, *axes: Axis, **more: Any) -> Grid:
    return records.define(run.id, axes or (STEP_SIZES, NUM_STEPS), {"num": 8}, origin="cli", **more)


def test_the_fields_of_drawing_are_those_of_the_ability() -> None:
    assert {*records.OF_DRAWING, "sampler"} == set(SampleConfig.model_fields)
    assert SampleConfig().sampler.kind == records.DEFAULT_SAMPLER


def test_each_cell_is_the_sample_set_of_its_values(run: RunDirectory) -> None:
    grid = defined(run, STEP_SIZES, NUM_STEPS, Axis(field="seed", values=(0, 7)))
    assert len(grid.sets) == len(set(grid.sets)) == 12
    assert grid.places[:3] == [(0.01, 3, 0), (0.1, 3, 0), (0.01, 1, 0)]
    assert drawing.draw_here(grid) == 12
    cell = sample_sets.open_set(grid.sets[7])
    assert (cell.state, cell.seed, cell.run, cell.step) == ("done", 7, run.id, 6)
    assert cell.config == {
        "num": 8,
        "num_steps": 3,
        "own_sampler": False,
        "sampler": {"kind": "langevin", "step_size": 0.1},
    }
    assert cell.figures["energy"] == pytest.approx(cell.samples()["energy"].mean(), rel=1e-5)


def test_a_grid_asked_for_again_is_the_same_and_draws_nothing_twice(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = defined(run)
    assert drawing.draw_here(first) == 6
    monkeypatch.setattr(sample_drawing, "draw", lambda *_, **__: pytest.fail("drawn again"))
    again = defined(run)
    assert again.id == first.id
    assert again.created == first.created
    assert drawing.draw_here(again) == 0
    # what the step size of the cells is, and not how the axis is called, makes the cells
    named = defined(run, Axis(field="sampler.step_size", values=(0.01, 0.1)), NUM_STEPS)
    assert named.sets == first.sets


def test_runs_and_checkpoints_are_axes_too(run: RunDirectory) -> None:
    other = tiny.make(6, width=16)
    tiny.run(other)
    grid = defined(run, Axis(field="run", values=(run.id, other.id)), NUM_STEPS)
    drawing.draw_here(grid)
    assert [cell.run for cell in grid.cells() if cell] == [run.id, other.id] * 3
    with pytest.raises(BadInput, match="keeps no checkpoint of 5"):
        defined(run, Axis(field="step", values=(6, 5)), NUM_STEPS)
    with pytest.raises(BadInput, match="whole numbers, got 'six'"):
        defined(run, Axis(field="step", values=("six", 6)), NUM_STEPS)


def test_what_is_wrong_with_the_axes_is_said_at_once(run: RunDirectory) -> None:
    for axes, sentence in (
        ([STEP_SIZES], "two or three, got 1"),
        ([STEP_SIZES, Axis(field="seed", values=(1,))], "two values of `seed`"),
        ([STEP_SIZES, Axis(field="seed", values=(1, 2, 1))], "each value of `seed` once, got 1"),
        ([STEP_SIZES, Axis(field="sampler.step_size", values=(1, 2))], "`sampler.step_size` twice"),
        ([STEP_SIZES, Axis(field="seed", values=tuple(range(501)))], "at most 1,000 cells"),
    ):
        with pytest.raises(BadInput, match=sentence):
            records.define(run.id, axes, origin="cli")
    assert records.list_grids() == []


def test_values_a_field_does_not_take_are_found_before_anything_is_drawn(
    run: RunDirectory,
) -> None:
    grid = defined(run, Axis(field="step_size", values=(0.01, -1.0)), NUM_STEPS)
    with pytest.raises(BadInput, match=r"sampler.*step_size.*-1"):
        drawing.check(grid)
    assert list(grid.cells()) == [None] * 6
    drawing.check(defined(run))


def test_a_cell_that_fails_says_why_and_the_others_are_drawn(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = defined(run)
    draw = sample_drawing._drawn

    def broken(wanted: sample_sets.Request, *rest: Any) -> Any:
        if wanted.id == grid.sets[0]:
            raise RuntimeError("a broken cell")
        return draw(wanted, *rest)

    monkeypatch.setattr(sample_drawing, "_drawn", broken)
    assert drawing.draw_here(grid) == 6
    cells = list(grid.cells())
    assert [cell.state for cell in cells if cell] == ["failed", *["done"] * 5]
    assert cells[0] and "a broken cell" in cells[0].reason
    assert progress(grid, cells)[:4] == ("done", 6, 5, 1)
    monkeypatch.setattr(sample_drawing, "_drawn", draw)
    assert drawing.draw_here(grid) == 0, "not by itself"
    drawing.retry(grid)
    assert drawing.draw_here(grid) == 1


def test_cells_of_few_steps_come_first_and_progress_counts_their_cost(run: RunDirectory) -> None:
    grid = defined(run, STEP_SIZES, Axis(field="num_steps", values=(10_000, 1)))
    ended: list[str] = []
    drawing.draw_here(grid, drawn=lambda cell: ended.append(cell.id), goes_on=lambda: False)
    assert ended == [grid.sets[2]]
    sample_sets.change(ended[0], seconds=0.01)
    state = progress(grid, list(grid.cells()))
    assert (state.state, state.num, state.done) == ("waiting", 4, 1)
    assert state.share < 0.01, "a quarter of the cells is no quarter of the work"
    assert state.seconds_left and state.seconds_left > 150
    records.mark_stopped(grid.id, True)
    assert drawing.draw_here(grid) == 0
    assert progress(grid, list(grid.cells())).state == "stopped"


def test_a_grid_outlives_its_run_and_cannot_be_drawn_on(run: RunDirectory) -> None:
    grid = defined(run)
    drawing.draw_here(grid, goes_on=lambda: False)
    run.delete()
    assert records.open_grid(grid.id) == grid
    assert [cell.state if cell else "" for cell in grid.cells()].count("done") == 1
    with pytest.raises((BadInput, NotAvailable)):
        drawing.draw_here(grid)


def test_the_command_draws_a_grid_and_refuses_what_is_none(run: RunDirectory) -> None:
    def basin(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["grid", run.id, *words])
        return result.exit_code, result.output

    axes = ["--x", "step_size=1e-2,0.1", "--y", "num_steps=1,2", "--n", "8"]
    code, output = basin(*axes, "--json")
    value = json.loads(output)
    assert (code, value["done"], value["num"]) == (0, 4, 4)
    assert value["cells"][3]["sampler.step_size"] == 0.1
    assert value["cells"][3]["figures"]["energy_distance"] > 0
    code, output = basin(*axes)
    assert code == 0 and "energy distance" in output and value["address"] in output
    for words, sentence in (
        (
            ["--x", "step_size"],
            "`--x`: takes FIELD=A,B,... such as step_size=0.01,0.1, got 'step_size'",
        ),
        (["--x", "step_size=-1,1"], "-1"),
        (["--x", "num_steps=ten,1"], "num_steps"),
        (["--x", "colour=red,blue"], "colour"),
        (["--x", "seed=0.5,1"], "`seed`: must be whole numbers, got 0.5"),
    ):
        code, output = basin(*words, "--y", "guidance=0,1")
        assert code == 2, output
        assert sentence in output


def test_a_worker_draws_in_turns_that_leave_room_for_questions(
    run: RunDirectory, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = defined(run)
    with pytest.raises(NotAvailable, match="No quick worker"):
        drawing.launch(grid)
    redis_store.beat(redis_store.connect(), {"name": "deaf", "queue": "quick", "device": "cpu"})
    drawing.launch(grid)
    drawing.launch(grid)
    queue = redis_store.queue(redis_store.QUICK)
    assert [each.startswith(f"grid-{grid.id}-") for each in queue.job_ids] == [True]
    queue.empty()
    monkeypatch.setattr(drawing, "_LEAST_SECONDS", 0.0)
    sample_jobs.draw([sample_jobs.request(run.id, {"num": 9}, origin="cli")])
    assert tasks.draw_grid_job(grid.id) == {"value": 1}, "somebody else waits"
    question, turn = queue.job_ids
    assert question.startswith("set-") and turn.startswith(f"grid-{grid.id}-")
    queue.remove(question)
    drawing.stop(grid)
    assert queue.job_ids == []
    assert tasks.draw_grid_job(grid.id) == {"value": 0}
    drawing.launch(grid)
    assert tasks.draw_grid_job(grid.id) == {"value": 5}
    assert progress(grid, list(grid.cells())).state == "done"


def test_a_worker_says_in_the_record_what_cannot_be_drawn(
    run: RunDirectory, redis_url: str
) -> None:
    grid = defined(run, Axis(field="step_size", values=(0.01, -1.0)), NUM_STEPS)
    assert tasks.draw_grid_job(grid.id) == {"value": 0}
    refused = records.open_grid(grid.id)
    assert any("-1" in message for _, message in refused.problems)
    assert progress(refused, list(refused.cells())).state == "refused"
    assert redis_store.queue(redis_store.QUICK).job_ids == []


def test_a_deleted_grid_takes_the_cells_along_that_nothing_else_has(run: RunDirectory) -> None:
    def answer(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["grid", *arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    grid = defined(run)
    drawing.draw_here(grid)
    other = defined(run, Axis(field="step_size", values=(0.01, 0.5)), NUM_STEPS)
    shared = set(grid.sets) & set(other.sets)
    assert len(shared) == 3
    named = next(each for each in grid.sets if each not in shared)
    sample_sets.rename(named, "the good one")
    assert {each["id"]: each["done"] for each in answer("list")} == {grid.id: 6, other.id: 3}
    assert answer("list", "--run", run.id[:-1])[0]["num"] == 6
    assert answer("delete", grid.id[:6]) == [{"id": grid.id, "cells": 2}]
    assert {each.id for each in sample_sets.list_sets()} == {*shared, named}
    assert [each.id for each in records.list_grids()] == [other.id]
    # the same grid again draws what is gone
    assert drawing.draw_here(defined(run)) == 0, "it was stopped: who deletes it wants no more"
    records.mark_stopped(grid.id, False)
    assert drawing.draw_here(defined(run)) == 2
    gone = CliRunner().invoke(main, ["grid", "delete", "ffff"])
    assert gone.exit_code == 2 and "basin grid list" in gone.stderr
