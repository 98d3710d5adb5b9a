"""Asking runs: questions of a spec, answers in the run's folder, paths, and other runs."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import catalogue
from backend.errors import BadInput, NotAvailable, Problem
from backend.events import decode, unpack
from backend.requests import asking
from backend.spec import Question
from jobs import tasks
from jobs.models import answering, trained_run
from jobs.queueing import enqueue, spec_paths
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.jobs import tiny


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


def make(*questions: dict[str, Any], steps: int = 10) -> RunDirectory:
    directory = tiny.make(steps)
    asked = [Question.model_validate(question) for question in questions]
    directory.write_spec(directory.spec().model_copy(update={"questions": asked}))
    return directory


ENERGY = {"name": "held_out", "ability": "energy"}


def test_questions_are_answered_when_the_training_is_done() -> None:
    directory = make(ENERGY, {**ENERGY, "name": "few", "config": {"num": 20}})
    assert tiny.run(directory).status == "finished"
    metrics = directory.metrics()
    again = answering.answer(directory.id, "energy")
    assert metrics["answers/held_out/mean"] == pytest.approx(again.figures["mean"])
    assert metrics["answers/few/mean"] != metrics["answers/held_out/mean"]
    with np.load(directory.path / "samples" / "answers-few.npz") as kept:
        assert kept["x"].shape == (20, 2)
    said = {text.header["path"]: text.header["meta"]["message"] for text in directory.texts()}
    # uniform noise, said last, is drawn by the name of the question
    assert said["answers/held_out/summary"].split(";")[0] == again.summary.split(";")[0]
    paths = {key.path for key in directory.keyframe_index()}
    assert {"answers/few/histogram", "answers/few/table"} <= paths


def test_a_question_that_fails_is_a_warning_and_the_run_finishes(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 2)))
    directory = make({"name": "gone", "ability": "energy", "config": {"path": str(path)}}, ENERGY)
    original = tiny.Tiny.step

    def step(self: tiny.Tiny, progress: float) -> Any:
        path.unlink(missing_ok=True)
        return original(self, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny.Tiny, "step", step)
        status = tiny.run(directory)
    assert status.status == "finished"
    assert [alarm["path"] for alarm in status.alarms] == ["answers/gone/summary"]
    assert "was not answered" in status.alarms[0]["message"]
    assert {name.split("/")[1] for name in directory.metrics()} == {"held_out"}


def test_a_stop_leaves_off_asking_and_says_what_was_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = make(ENERGY, {**ENERGY, "name": "long"}, {**ENERGY, "name": "never"})
    original = answering.answer_questions

    def slow(prepared: Any) -> Any:
        answers = original(prepared)
        yield next(answers)
        directory.request("stop")
        time.sleep(30)
        yield from answers

    monkeypatch.setattr(answering, "answer_questions", slow)
    status = tiny.run(directory)
    assert status.status == "stopped"
    assert status.reason == (
        "Stopped on request at step 10. Its training was done; still missing: `long` and `never`. "
        "Resume it to have them."
    )
    assert "answers/held_out/mean" in directory.metrics()
    assert not any(path.startswith("answers/long") for path in directory.metrics())


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"ability": "telepathy"}, "questions.q.ability"),
        ({"ability": "energy", "config": {"num": 0}}, "questions.q.config.num"),
        ({"ability": "energy", "config": {"path": "/none.npy"}}, "questions.q.config.path"),
        ({"ability": "sample", "config": {"label": "3"}}, "questions.q.config.label"),
    ],
)
def test_questions_are_checked_before_the_launch(question: dict[str, Any], field: str) -> None:
    directory = make({"name": "q", **question})
    with pytest.raises(BadInput) as caught:
        tasks.examine(directory.spec())
    assert [problem.field for problem in caught.value.problems] == [field]
    status = tiny.run(directory)
    assert status.status == "failed" and status.problem and status.problem["field"] == field


def test_two_questions_cannot_have_one_name() -> None:
    with pytest.raises(BadInput, match=r"questions\.held_out"):
        tasks.examine(make(ENERGY, ENERGY).spec())


def test_an_answer_is_kept_whole_and_repeats_by_its_seed() -> None:
    directory = make()
    tiny.run(directory)
    before = directory.load_checkpoint().tensors
    config = {"num": 30, "num_steps": 5}
    given = tasks.ask_job(directory.id, "sample", config, 4)["value"]
    assert json.loads(json.dumps(given)) == given == directory.answers()[0]
    frames = [decode(unpack(base64.b64decode(frame))) for frame in given["frames"]]
    assert [frame.path for frame in frames] == ["samples", "held_out", "quality"]
    other = answering.answer_to_run(directory.id, "sample", config, seed=5)
    again = answering.answer(directory.id, "sample", config, seed=4)
    assert asking.plain(again.figures) == given["figures"] != other["figures"]
    assert len(directory.answers()) == 2
    assert {given["file"], f"answers/{given['id']}.json"} <= {name for name, _ in directory.files()}
    after = directory.load_checkpoint().tensors
    assert all((after[name] == value).all() for name, value in before.items())


def test_another_run_can_be_asked_for() -> None:
    first, second = make(), make()
    for directory in (first, second):
        tiny.run(directory)
    asked = trained_run.asked(first.id)
    assert asked.load is not None
    assert asked.load(second.id).data.event_shape == asked.data.event_shape
    with pytest.raises(NotAvailable):
        asked.load("20200101-000000-0000")


def test_paths_from_the_browser_stay_in_the_data_folder() -> None:
    settled = spec_paths.absolute_config({"mask_path": "a.npy", "path": ""}, "browser")
    assert settled == {"mask_path": str(run_store.data_folder().resolve() / "a.npy"), "path": ""}
    with pytest.raises(BadInput) as caught:
        spec_paths.absolute_config({"path": "/etc/passwd"}, "browser")
    assert caught.value.problems[0].field == "path"
    spec = make({"name": "q", "ability": "energy", "config": {"path": "../x.npy"}}).spec()
    with pytest.raises(BadInput, match=r"questions\.q\.config\.path"):
        spec_paths.absolute_paths(spec, "browser")


def test_a_page_asks_through_the_quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make()
    tiny.run(directory)

    def worker(task: str, *arguments: Any, timeout: float, **_: Any) -> Any:
        assert json.loads(json.dumps(arguments)) == list(arguments)
        answer = getattr(tasks, f"{task}_job")(*arguments)
        if "problems" in answer:
            raise BadInput(*(Problem(**problem) for problem in answer["problems"]))
        return answer["value"]

    monkeypatch.setattr(enqueue, "call", worker)
    answer = enqueue.ask_run(directory.id, "energy", {"num": 30}, seed=2)
    assert answer == directory.answers()[0] and answer["seed"] == 2
    with pytest.raises(BadInput, match="num"):
        enqueue.ask_run(directory.id, "energy", {"num": 1})
    with pytest.raises(BadInput, match="data folder"):
        enqueue.ask_run(directory.id, "energy", {"path": "/etc/passwd"})


def test_what_is_published_of_abilities_is_plain_json() -> None:
    found = catalogue.publish()["abilities"]
    assert json.loads(json.dumps(found)) == found
    assert set(found) == set(catalogue.abilities())
    assert found["sample"]["schema"]["properties"]["num"]["maximum"] == 100_000


def test_a_question_asked_twice_is_answered_once_until_something_has_changed() -> None:
    directory = make()
    assert tiny.run(directory).status == "finished"

    def ask(seed: int = 0, **config: Any) -> str:
        return str(answering.answer_to_run(directory.id, "energy", config, seed=seed)["id"])

    first = ask()
    assert ask() == first
    assert ask(num=30) != first and ask(seed=1) != first
    assert len(directory.answers()) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering.fingerprints, "code_now", lambda: {"basin": "another"})
        assert ask() != first
    newest = directory.checkpoints()[-1]
    os.utime(directory.path / "checkpoints" / f"step-{newest:09d}.safetensors")
    assert ask() not in (first, ask(seed=1))


def test_what_reads_a_file_is_answered_each_time(tmp_path: Path) -> None:
    directory = make()
    assert tiny.run(directory).status == "finished"
    path = tmp_path / "x.npy"
    for value in (0.0, 1.0):
        np.save(path, np.full((4, 2), value))
        answering.answer_to_run(directory.id, "energy", {"path": str(path)})
    low, high = (answer["figures"]["mean"] for answer in directory.answers())
    assert low != high


def test_a_run_offers_what_it_can_be_asked_and_says_why_not_the_rest() -> None:
    directory = make()
    assert tiny.run(directory).status == "finished"
    offers = tasks.offers_job(directory.id)["value"]
    assert json.loads(json.dumps(offers)) == offers and set(offers) == set(catalogue.abilities())
    askable = {name for name, offer in offers.items() if not offer["refused"]}
    assert {"sample", "energy", "compose", "detect", "score"} <= askable
    for name in ("classify", "attack", "condition", "predict"):
        assert len(offers[name]["refused"]) > 20
    assert set(offers["sample"]["idle"]) == {"label", "guidance", "time"}
