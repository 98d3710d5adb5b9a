"""What a run was made of is remembered: other data are said, other code is said, and neither
changes what a trained run answers."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from backend.system import discovery
from jobs.cli import main
from jobs.models import answering, fingerprints, trained_run
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from tests.jobs import tiny

X = np.random.default_rng(0).normal([3, -5], [1, 4], (300, 2))
POINTS = X[:5].astype(np.float32)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.save(tmp_path / "d.npy", X)
    return tmp_path / "d.npy"


def make(data: Path, **budget: Any) -> RunDirectory:
    spec = RunSpec(
        method="tiny", data={"name": "file", "path": str(data)}, budget=budget or {"steps": 20}
    )
    return run_store.create_run(spec)


def stopped(data: Path) -> RunDirectory:
    """A run that was stopped after a checkpoint."""
    directory = make(data, steps=100_000)

    class Stop:
        judging_ratio = 1.0

        def begin(self) -> list[Any]:
            return []

        def watch(self, step: int) -> list[Any]:
            if step > 50:
                directory.request("stop")
            return []

        measure = watch

    status = tiny.run(directory, observe=lambda prepared: Stop())
    assert status.status == "stopped" and status.checkpoint_step
    return directory


def gone_on(directory: RunDirectory) -> str:
    """What a run warns of when it goes on for a few steps more."""
    step = directory.status().checkpoint_step
    assert step is not None
    budget = Budget(steps=step + 20)
    directory.write_spec(directory.spec().model_copy(update={"budget": budget}))
    assert tiny.run(directory).status == "finished"
    said = [
        frame.header["meta"] for frame in directory.texts() if frame.header["path"] == "run/made_of"
    ]
    assert all(meta["level"] == "warning" for meta in said)
    return "\n".join(meta["message"] for meta in said)


def overwrite(data: Path) -> None:
    np.save(data, 1000 + 50 * X)


def test_the_record_and_each_checkpoint_say_what_a_run_was_made_of(data: Path) -> None:
    directory = make(data)
    assert tiny.run(directory).status == "finished"
    made = fingerprints.read(directory)
    (file,) = made["files"]
    assert file["field"] == "data.path" and file["path"] == str(data)
    assert file["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert made["code"]["method"] == "tests/jobs/tiny.py" and len(made["code"]["sha256"]) == 64
    assert made["code"]["basin"] and directory.load_checkpoint().meta["made_of"] == made
    assert fingerprints.changes(made) == []


def test_a_trained_run_answers_as_before_when_its_file_is_written_anew(data: Path) -> None:
    directory = make(data)
    tiny.run(directory)
    asked = {"path": str(points_file(data))}
    draws = {"num": 9, "num_steps": 3}
    before = (
        answering.answer(directory.id, "energy", asked).arrays["energy"],
        answering.answer(directory.id, "sample", draws).arrays["x"],
    )
    overwrite(data)
    run = trained_run.load_trained(directory.id)
    (warning,) = run.warnings
    assert (
        "`data.path`" not in warning and "d.npy has changed since this run was trained" in warning
    )
    after = (
        answering.answer(directory.id, "energy", asked).arrays["energy"],
        answering.answer(directory.id, "sample", draws).arrays["x"],
    )
    np.testing.assert_allclose(after[0], before[0], rtol=1e-5)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-4)
    command = ["energy", directory.id, "--points", asked["path"], "--json"]
    said = json.loads(CliRunner().invoke(main, command).stdout)
    assert "has changed since" in said["warnings"][0]
    answer = answering.answer_to_run(directory.id, "sample", {"num": 20, "num_steps": 2})
    assert "has changed since" in answer["warnings"][0]


def points_file(data: Path) -> Path:
    np.save(data.with_name("points.npy"), POINTS)
    return data.with_name("points.npy")


def test_data_of_another_shape_are_refused(data: Path) -> None:
    directory = make(data)
    tiny.run(directory)
    np.save(data, np.random.default_rng(0).normal(size=(300, 3)))
    with pytest.raises(BadInput, match=r"events of shape \(3,\) now; .* of \(2,\)"):
        trained_run.load_trained(directory.id)


def test_a_run_does_not_go_on_with_other_data_unless_somebody_says_so(data: Path) -> None:
    directory = stopped(data)
    step, old = directory.status().checkpoint_step, data.read_bytes()
    overwrite(data)
    failed = tiny.run(directory)
    assert failed.status == "failed" and failed.checkpoint_step == step
    assert "d.npy has changed since this run was trained" in failed.reason
    assert "basin resume RUN --anyway" in failed.reason
    data.write_bytes(old)
    assert fingerprints.changes(fingerprints.read(directory)) == [], "the old file is put back"
    overwrite(data)
    mean = fingerprints.read(directory)["standardised"]["mean"]
    fingerprints.accept(directory)
    assert "Goes on all the same" in gone_on(directory)
    assert fingerprints.read(directory)["standardised"]["mean"] == mean, "weights are of that scale"


def test_other_code_is_said_and_the_run_goes_on(data: Path) -> None:
    directory = stopped(data)
    made = fingerprints.read(directory)
    made["code"] |= {"sha256": "0" * 64, "commit": "f" * 40}
    fingerprints.write(directory, made)
    said = gone_on(directory)
    assert "The code of the method, tests/jobs/tiny.py, has changed" in said
    assert "the last attempt was trained by" in said and "ffffffffffff" in said
    assert fingerprints.read(directory)["code"]["commit"] != "f" * 40


def test_a_file_that_was_touched_alone_is_no_other(data: Path) -> None:
    directory = make(data)
    tiny.run(directory)
    os.utime(data, (1, 1))
    assert fingerprints.changes(fingerprints.read(directory)) == []


def test_a_file_that_is_as_it_was_is_not_read_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make(data)
    tiny.run(directory)
    fingerprints._sha256.cache_clear()
    monkeypatch.setattr("hashlib.file_digest", None)
    assert fingerprints.changes(fingerprints.read(directory)) == []


def test_images_of_a_folder_are_one_fingerprint(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("L", (4, 4), index).save(tmp_path / f"{index}.png")
    first = fingerprints._fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    assert fingerprints._fingerprint(tmp_path) == first and first is not None
    Image.new("L", (4, 4), 99).save(tmp_path / "1.png")
    second = fingerprints._fingerprint(tmp_path)
    assert second is not None and second["sha256"] != first["sha256"]
    (tmp_path / "2.png").rename(tmp_path / "3.png")
    third = fingerprints._fingerprint(tmp_path)
    assert third is not None and third["sha256"] != second["sha256"]


def test_a_run_built_on_another_remembers_its_checkpoint(data: Path) -> None:
    base = make(data)
    tiny.run(base)
    (part,) = fingerprints._runs([base.id, base.id])
    assert part["run"] == base.id
    made = {"files": [], "runs": [part]}
    assert fingerprints.changes(made) == []
    found = base.load_checkpoint()
    base.save_checkpoint(found.step + 1, found.tensors, found.meta | {"more": 1})
    (problem,) = fingerprints.changes(made)
    assert f"the run {base.id} it is built on has changed" in problem.message


def test_runs_of_before_have_nothing_to_hold_against(data: Path) -> None:
    directory = make(data)
    tiny.run(directory)
    (directory.path / fingerprints.NAME).unlink()
    assert fingerprints.changes(fingerprints.read(directory)) == []
    assert trained_run.load_trained(directory.id).warnings == ()
    (directory.path / fingerprints.NAME).write_text("[")
    assert trained_run.load_trained(directory.id).warnings == ()


def test_resuming_says_so_at_once_and_goes_on_when_told(data: Path, redis_url: str) -> None:
    directory = stopped(data)
    overwrite(data)
    with pytest.raises(BadInput, match=r"d\.npy has changed"):
        control.resume(directory.id)
    assert directory.status().status == "stopped"
    refused = CliRunner().invoke(main, ["resume", directory.id, "--json"])
    assert refused.exit_code == 2 and "data.path" in refused.stdout
    going = CliRunner().invoke(main, ["resume", directory.id, "--anyway", "--json"])
    assert json.loads(going.stdout) == [{"id": directory.id, "status": "queued"}]


ROUND = """
from typing import Literal
from backend.datasets.toys import RingConfig, RingData

class RoundConfig(RingConfig):
    kind: Literal["round"] = "round"

class Round(RingData):
    Config = RoundConfig
"""


def test_a_run_remembers_where_its_plug_ins_came_from_and_says_when_they_changed(
    basin_home: Path,
) -> None:
    plug_in = basin_home / "plugins" / "round.py"
    plug_in.parent.mkdir()
    plug_in.write_text(ROUND)
    discovery.forget()
    spec = RunSpec(method="tiny", data={"name": "round", "num": 200, "num_held_out": 100})
    directory = run_store.create_run(spec.model_copy(update={"budget": Budget(steps=5)}))
    assert tiny.run(directory).status == "finished"
    made_of = fingerprints.read(directory)
    digest = hashlib.sha256(plug_in.read_bytes()).hexdigest()[:16]
    assert [(each["part"], each["path"], each["sha256"]) for each in made_of["plugins"]] == [
        ("data set `round`", str(plug_in), digest)
    ]
    line = f"Data set `round` of {plug_in} ({digest[:8]}…)."
    assert fingerprints.plugins_in_words(made_of) == [(line, "")]
    plug_in.write_text(ROUND + "# edited")
    assert fingerprints.plugins_in_words(made_of) == [(line, "It has changed since.")]
    shown = CliRunner().invoke(main, ["show", directory.id])
    assert shown.exit_code == 0
    assert f"{line} It has changed since." in shown.output
    plug_in.unlink()
    shown = CliRunner().invoke(main, ["show", directory.id])
    assert shown.exit_code == 0 and "It is gone" in shown.output, "what was recorded is there"
    now = {**made_of, "plugins": [{**made_of["plugins"][0], "sha256": "ab" * 8}]}
    assert "data set `round` has changed since the last" in " ".join(
        fingerprints.warnings(made_of, now)
    )
    discovery.forget()
