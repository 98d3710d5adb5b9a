"""Sample sets: the same request is the same bytes; under one seed only the models differ."""

from __future__ import annotations

import itertools
import json
import shutil
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from backend import catalogue
from backend.errors import BadInput, NotAvailable
from jobs.cli import main
from jobs.models import answering, sample_drawing
from jobs.queueing import sample_jobs
from jobs.records import run_store, sample_sets
from jobs.records.run_directory import RunDirectory
from jobs.records.sample_sets import SampleSet
from jobs.system.joule_meter import Meter
from tests.jobs import tiny

CHAINS = {"num": 20, "own_sampler": False, "sampler": {"kind": "langevin", "step_size": 0.01}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    catalogue.abilities()  # discovered before `tiny` is all there is
    monkeypatch.setattr(catalogue, "methods", lambda: {"tiny": tiny.Tiny})
    directory = tiny.make(6)
    tiny.run(directory)
    return directory


def drawn(run: RunDirectory, **config: Any) -> SampleSet:
    return sample_drawing.draw(sample_jobs.request(run.id, config, seed=5, origin="cli"))


def test_the_same_request_gives_the_same_bytes(run: RunDirectory) -> None:
    first = drawn(run, num=20)
    content = (first.path / "samples.npz").read_bytes()
    assert first.state == "done" and first.samples()["x"].shape == (20, 2)
    assert first.seconds_per_sample
    sample_sets.delete(first.id)
    again = drawn(run, num=20)
    assert again.id == first.id
    assert (again.path / "samples.npz").read_bytes() == content
    assert drawn(run, num=21).id != first.id


def test_joules_of_drawing_are_those_of_the_meter_and_none_without_one(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_drawing, "meter", lambda device: None)
    assert drawn(run, num=20).joules is None
    spent = itertools.count(step=40.0)
    lamp = Meter(lambda: next(spent), "sampled", "a lamp")
    monkeypatch.setattr(sample_drawing, "meter", lambda device: lamp)
    measured = drawn(run, num=10)
    assert (measured.joules, measured.joules_from) == (40.0, "sampled")
    assert measured.joules_per_sample == 4.0
    request = sample_jobs.request(run.id, {"num": 10}, source="held_out", origin="cli")
    assert sample_drawing.draw(request).joules is None, "nothing was spent on real data"


def test_a_set_that_is_there_is_not_drawn_again(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn(run, num=20)
    monkeypatch.setattr(sample_drawing, "_drawn", lambda *_: pytest.fail("drawn again"))
    assert drawn(run, num=20) == first


def test_runs_share_the_noise_they_start_from_and_that_of_their_chains(
    run: RunDirectory,
) -> None:
    other = tiny.make(6, width=16)
    tiny.run(other)
    starts = [drawn(each, **CHAINS, num_steps=0).samples()["x"] for each in (run, other)]
    ends = [drawn(each, **CHAINS, num_steps=1).samples()["x"] for each in (run, other)]
    assert np.array_equal(*starts)
    moved = [after - before for before, after in zip(starts, ends, strict=True)]
    assert not np.array_equal(*moved)
    # what the noise of a step moves is shared; what the slopes of the models move is not
    assert np.abs(moved[0] - moved[1]).max() < 0.2 * np.abs(moved[0]).max()


def test_a_run_is_drawn_at_any_checkpoint_that_is_kept(run: RunDirectory) -> None:
    steps = run.checkpoints()
    assert steps[-1] == 6
    with pytest.raises(BadInput, match="keeps no checkpoint of 5"):
        sample_jobs.request(run.id, step=5, origin="cli")
    wanted = sample_jobs.request(run.id, {"num": 8}, step=6, origin="cli")
    assert sample_drawing.draw(wanted).step == 6


def test_real_events_make_a_set_too(run: RunDirectory) -> None:
    wanted = sample_jobs.request(run.id, {"num": 8}, source="held_out", origin="cli")
    real = sample_drawing.draw(wanted)
    assert real.title.endswith("real") and real.seconds is None
    assert len(np.unique(real.samples()["x"], axis=0)) == 8


OTHER = "another run"
ANSWERS = [
    ("sample", {"num": 12}, "x"),
    ("compose", {"num": 12, "runs": [OTHER]}, "x"),
    ("inpaint", {"num": 4, "hidden": "coordinates"}, "filled"),
]


@pytest.mark.parametrize(("ability", "config", "array"), ANSWERS)
def test_samples_of_an_answer_are_kept_as_they_were_and_drawn_again_to_the_byte(
    run: RunDirectory, ability: str, config: dict[str, Any], array: str
) -> None:
    if "runs" in config:
        other = tiny.make(4)
        tiny.run(other)
        config = {**config, "runs": [other.id]}
    answer = answering.answer_to_run(run.id, ability, config, seed=5)
    assert answer["samples"] == [array]
    asked: dict[str, Any] = {"seed": 5, "step": answer["step"], "origin": "cli"}
    wanted = sample_jobs.request(run.id, config, ability=ability, array=array, **asked)
    kept = sample_drawing.draw(wanted)
    with np.load(run.path_of(answer["file"])) as arrays:
        x = arrays[array].reshape(-1, 2)
    np.testing.assert_array_equal(kept.samples()["x"], x)
    assert (kept.num, kept.ability, kept.summary) == (len(x), ability, answer["summary"])
    assert kept.title.endswith(f", {ability}") and len(kept.samples()["energy"]) == len(x)
    content = (kept.path / "samples.npz").read_bytes()
    sample_sets.delete(kept.id)
    changes = [f"--set={name}={value}" for name, value in config.items() if name != "num"]
    words = ["draw", run.id, "--ability", ability, "--n", str(config["num"]), *changes]
    done = CliRunner().invoke(main, ["samples", *words, "--seed", "5", "--json"])
    assert json.loads(done.stdout)[0]["id"] == kept.id, done.output
    assert (kept.path / "samples.npz").read_bytes() == content
    shared = sample_jobs.request(run.id, {"num": 12}, seed=5, origin="cli")
    assert shared.id != kept.id
    if "runs" in config:  # what another run learned since makes another set
        again = tiny.make(5)
        tiny.run(again)
        shutil.copytree(again.path / "checkpoints", other.path / "checkpoints", dirs_exist_ok=True)
        assert (
            sample_jobs.request(run.id, config, ability=ability, array=array, **asked).id != kept.id
        )


def test_an_answer_without_samples_is_not_kept(run: RunDirectory) -> None:
    done = CliRunner().invoke(main, ["samples", "draw", run.id, "--ability", "energy"])
    assert done.exit_code == 2 and "`energy` draws no samples;" in done.output
    assert "condition" in done.output
    wanted = sample_jobs.request(run.id, {}, ability="sample", array="y", origin="cli")
    with pytest.raises(BadInput, match="has no samples `y`: x"):
        sample_drawing.draw(wanted)


def test_what_cannot_be_drawn_fails_with_its_reason(run: RunDirectory) -> None:
    wanted = sample_jobs.request(run.id, {"num": 8, "label": "cat"}, origin="cli")
    with pytest.raises(BadInput, match="label"):
        sample_drawing.draw(wanted)
    known = sample_sets.open_set(wanted.id)
    assert known.state == "failed" and "label" in known.reason


def test_a_set_whose_process_is_gone_has_failed(run: RunDirectory) -> None:
    wanted = sample_jobs.request(run.id, {"num": 8}, origin="cli")
    sample_sets.begin(wanted, 8)
    sample_sets.drawing(wanted.id)
    assert sample_sets.open_set(wanted.id).state == "drawing"
    sample_sets.change(wanted.id, pid=2**22 + 1)
    assert sample_sets.open_set(wanted.id).state == "failed"


def test_no_more_sets_are_made_than_there_is_room_for(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(run, num=8)
    monkeypatch.setattr(sample_sets, "MOST_SETS", 1)
    with pytest.raises(NotAvailable, match="Delete some"):
        drawn(run, num=9)
    monkeypatch.setattr(sample_sets, "MOST_SET_BYTES", 50)
    with pytest.raises(BadInput, match="at most 6"):
        sample_drawing._check_size(9, _data(run))


def _data(run: RunDirectory) -> Any:
    from jobs.models import trained_run

    return trained_run.load_trained(run.id).data


def test_the_command_draws_lists_shows_and_deletes(run: RunDirectory) -> None:
    def basin(*words: str) -> str:
        result = CliRunner().invoke(main, ["samples", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "8 samples" in basin("draw", run.id, "--n", "8", "--name", "mine")
    assert "mine" in basin("list", "--run", run.id)
    set_id = sample_sets.list_sets()[0].id
    other = drawn(run, num=120)
    assert "energy_distance" in other.intervals and other.num_labels == 0
    pair = f"{other.id},{set_id}"
    assert f"Side by side at /compare?sets={pair}" in basin("list", "--run", run.id)
    sample_sets.delete(other.id)
    assert set_id in basin("show", set_id[:6])
    assert "deleted" in basin("delete", set_id)
    assert sample_sets.list_sets() == []
    assert CliRunner().invoke(main, ["samples", "show", set_id]).exit_code == 2
    assert run_store.open_run(run.id).status().status == "finished"
