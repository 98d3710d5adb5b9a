"""What the quick worker answers: problems at their fields, sentences, cost, data with a preview."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from backend import catalogue
from backend.config import Config, option
from backend.spec import from_dict
from jobs import tasks
from jobs.queueing import enqueue, job_calls
from jobs.records import run_store
from tests.jobs import tiny

SPEC: dict[str, Any] = {
    "method": "tiny",
    "data": {"name": "ring", "num": 200, "num_held_out": 100},
    "budget": {"steps": 30},
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


def check(**changes: Any) -> dict[str, Any]:
    answer = tasks.check_job({**SPEC, **changes})
    assert json.loads(json.dumps(answer)) == answer
    enqueue.Check(**answer["value"])
    return answer["value"]


def test_gradients_are_exact() -> None:
    """The tiny method evaluates one at its first step and one at every step."""
    cost = check()["cost"]
    assert (cost["steps"], cost["gradients"]) == (30, 31)
    assert cost["from_runs"] == 0 and "timed" in cost["note"]
    low, high = cost["seconds_spread"]
    assert 0 < low <= cost["seconds"] <= high


def test_a_check_is_what_a_run_then_costs() -> None:
    expected = check(budget={"gradients": 77})["cost"]
    directory = tiny.make(1000)
    directory.write_spec(
        directory.spec().model_copy(update={"budget": catalogue.Budget(gradients=77)})
    )
    status = tiny.run(directory)
    assert (status.step, status.gradients) == (expected["steps"], expected["gradients"])


def test_seconds_limit_steps() -> None:
    cost = check(budget={"seconds": 2}, config={"sleep": 0.02})["cost"]
    assert 50 <= cost["steps"] <= 100 and cost["seconds"] == pytest.approx(2, rel=0.05)


def test_joules_alone_tell_nothing_beforehand() -> None:
    cost = check(budget={"joules": 5})["cost"]
    assert (cost["steps"], cost["gradients"], cost["seconds"]) == (None, None, None)


def test_earlier_runs_of_the_same_work_say_how_long_it_takes() -> None:
    directory = tiny.make(60, sleep=0.02)
    status = tiny.run(directory)
    same = {"config": {"sleep": 0.02}, "budget": {"steps": 600}}
    cost = check(**same)["cost"]
    assert cost["from_runs"] == 1 and cost["note"] == ""
    assert cost["seconds"] == pytest.approx(10 * status.seconds, rel=1e-6)
    assert check(budget={"steps": 600})["cost"]["from_runs"] == 0


def test_a_check_reads_little_of_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the status of the newest, and no specification."""
    spec = from_dict(SPEC)
    for step, seed in ((100, 0), (200, 1), (400, 2)):
        run = run_store.create_run(spec.model_copy(update={"seed": seed}))
        run.write_status(status="finished", step=step, seconds=100.0)
    run_store.create_run(spec.model_copy(update={"precision": "bfloat16"}))
    monkeypatch.setattr(run_store.RunDirectory, "spec", lambda self: pytest.fail("read"))
    assert sorted(tasks._seconds_of_like_runs(spec)) == [0.25, 0.5, 1.0]
    monkeypatch.setattr(tasks, "_SEARCHED_RUNS", 1)
    assert len(tasks._seconds_of_like_runs(spec)) <= 1


def test_a_slow_first_step_ends_the_timing() -> None:
    assert "from 1 step timed" in check(config={"sleep": 0.5})["cost"]["note"]


def test_looking_is_estimated_from_runs_that_are_no_shorter_by_far() -> None:
    def looking_after(seconds: float) -> float | None:
        run = tiny.make(20)
        run.write_status(
            status="finished", attempt=1, seconds=seconds, observe_seconds=seconds, started=1.0
        )
        cost = check(config={"sleep": 0.02})["cost"]
        assert 0.3 < cost["seconds"] < 100.0
        return cost["looking"]

    assert looking_after(0.05) is None
    assert looking_after(200.0) is not None


def test_data_come_with_a_preview_in_their_own_units() -> None:
    data = check()["data"]
    assert (data["num_train"], data["num_held_out"], data["event_shape"]) == (200, 100, [2])
    assert data["is_image"] is False
    preview = data["preview"]
    points = np.frombuffer(base64.b64decode(preview["values"]), "<f4").reshape(preview["shape"])
    radius = np.linalg.norm(points, axis=1)
    assert points.shape == (200, 2) and 1.8 < np.median(radius) < 2.2


def test_images_come_as_pixels() -> None:
    described = tasks.describe(catalogue.resolve_data({"name": "digits"}).load())
    assert described["is_image"] and described["event_shape"] == [8, 8]
    preview = described["preview"]
    pixels = np.frombuffer(base64.b64decode(preview["values"]), np.uint8).reshape(preview["shape"])
    assert preview["kind"] == "images" and pixels.shape == (64, 8, 8)
    assert pixels.min() == 0 and pixels.max() == 255


def test_sentences_of_nested_settings_are_filed_under_their_fields() -> None:
    class Inner(Config):
        noise: float = option(1.0, "Noise.")

        def derived(self) -> dict[str, str]:
            return {"noise": f"Effective temperature {self.noise:g}."}

    class Outer(Config):
        sampler: Inner = Inner(noise=2.0)

        def derived(self) -> dict[str, str]:
            return {"sampler": "Two steps."}

    assert tasks.derived(Outer()) == {
        "config.sampler": "Two steps.",
        "config.sampler.noise": "Effective temperature 2.",
    }


def test_what_goes_wrong_in_a_check_is_an_answer() -> None:
    value = check(config={"refuse": True})
    assert not value["ok"] and value["problems"][0]["field"] == "config.refuse"


def test_what_an_earlier_version_queued_ends_in_a_sentence() -> None:
    run = "20200101-000000-0000"
    for name, argument in (("sample_job", {"num": 10}), ("energy_job", [[0.0, 0.0]])):
        types = job_calls.CALLS[f"jobs.tasks.{name}"]
        assert isinstance(argument, types[1])
        answer = getattr(tasks, name)(run, argument)
        assert "an earlier version of Basin" in answer["not_available"]


def test_a_check_leaves_no_run() -> None:
    check()
    assert run_store.list_runs() == []


def test_training_that_breaks_outside_the_loop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.execution import loop

    def breaks(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("no memory for the loop")

    monkeypatch.setattr(loop, "run", breaks)
    monkeypatch.setenv("BASIN_REDIS_URL", "redis://127.0.0.1:1/0")
    directory = tiny.make()
    with pytest.raises(RuntimeError):
        tasks.train(directory.id)
    status = directory.status()
    assert status.status == "failed" and "no memory for the loop" in status.reason
    assert "RuntimeError" in directory.trace()


def test_previews_of_all_data_sets_come_at_once_and_none_of_what_needs_more() -> None:
    names = ["ring", "ising", "energy_file", "file"]
    answer = tasks.previews_job(names)
    assert json.loads(json.dumps(answer)) == answer
    found = answer["value"]
    assert list(found) == ["ring", "ising"]
    assert (found["ring"]["kind"], found["ising"]["kind"]) == ("points", "images")
