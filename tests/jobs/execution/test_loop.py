"""The loop: what it promises of every method, shown on a tiny one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from backend import catalogue
from backend.errors import BadInput, NotAvailable
from backend.events import Cost
from backend.networks import products
from backend.spec import Budget
from jobs.execution import heartbeat, loop
from jobs.execution.cadence import Cadence
from jobs.models import method_setup, trained_run
from jobs.queueing import control
from jobs.records import progress, run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from jobs.system.joule_meter import Meter
from jobs.system.processes import PARENT
from tests.conftest import ROOT
from tests.jobs import tiny

PATHS = ("loss/total", "energy/gap", "energy/max")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


def at_step(directory: RunDirectory, step: int, act: Callable[[], Any]) -> threading.Thread:
    """Do something from outside once the run has written that it reached a step."""

    def wait() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if any(int(s.step[-1]) >= step for s in directory.scalars().values()):
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def stopped_at(directory: RunDirectory, step: int, word: str = "stop", **settings: Any) -> Status:
    """Run until about a step, then ask for an end."""
    thread = at_step(directory, step, lambda: directory.request(word))
    status = tiny.run(directory, cadence=Cadence(flush_seconds=0.01), **settings)
    thread.join()
    return status


def weights(directory: RunDirectory) -> dict[str, torch.Tensor]:
    return directory.load_checkpoint().tensors


def assert_same(first: RunDirectory, second: RunDirectory) -> None:
    """Bit-identical state and scalars."""
    mine, other = weights(first), weights(second)
    assert mine.keys() == other.keys() and len(mine) > 20
    for name, tensor in mine.items():
        assert torch.equal(tensor, other[name]), name
    for path in PATHS:
        one, two = first.scalars()[path], second.scalars()[path]
        np.testing.assert_array_equal(one.step, two.step)
        np.testing.assert_array_equal(one.gradients, two.gradients)
        np.testing.assert_array_equal(one.value, two.value)


# ---------------------------------------------------------------- a run, start to end


def test_a_run_ends_finished_with_everything_on_record() -> None:
    run = tiny.make(40)
    status = tiny.run(run, observe=tiny.Eyes)
    assert status.status == "finished" and status.step == 40 and status.fraction == 1.0
    assert status.gradients == 41 and status.seconds > 0 and status.reason == ""
    assert status.attempt == 1 and status.device == "cpu" and status.pid == os.getpid()
    assert status.checkpoint_step == 40 and run.checkpoints()[-1] == 40
    assert status.headline == {"path": "quality/energy_distance/long_run", "value": 0.5}
    assert run.metrics() == {"quality/energy_distance/long_run": 0.5}
    assert np.load(run.path / "samples" / "final.npz")["long_run"].shape == (5, 2)
    scalars = run.scalars()
    assert scalars["loss/total"].step.tolist() == list(range(1, 41))
    assert scalars["loss/total"].gradients.tolist() == list(range(2, 42))
    assert (np.diff(scalars["loss/total"].seconds) > 0).all()
    assert scalars["quality/energy_distance/floor"].step.tolist() == [0]
    assert run.keyframe_index()[-1].step == 40
    assert run.texts()[-1].header["meta"]["message"] == "Finished."
    assert run.read_log_frames() == [] and (run.path / "scalars.parquet").exists()
    assert run_store.open_run(run.id).status() == status


def test_the_spec_on_record_names_the_budget_of_the_preset() -> None:
    run = tiny.make()
    run.write_spec(run.spec().model_copy(update={"budget": Budget()}))
    tiny.run(run)
    assert run.spec().budget.steps == 30 and run.status().budget == {"steps": 30}


def test_the_same_spec_gives_the_same_numbers_and_another_seed_does_not() -> None:
    first, second, other = tiny.make(), tiny.make(), tiny.make()
    other.write_spec(other.spec().model_copy(update={"seed": 4}))
    for run in (first, second, other):
        tiny.run(run)
    assert_same(first, second)
    assert not np.array_equal(
        first.scalars()["loss/total"].value, other.scalars()["loss/total"].value
    )


@pytest.mark.parametrize(
    ("budget", "cost", "expected"),
    [
        (Budget(steps=100), Cost(25), 0.25),
        (Budget(steps=100, gradients=1000), Cost(10, 500), 0.5),
        (Budget(seconds=10), Cost(3, 3, 12.0), 1.2),
        (Budget(joules=100), Cost(1, 1, 1.0, 75.0), 0.75),
        (Budget(joules=100), Cost(1, 1, 1.0, None), 0.0),
    ],
)
def test_the_first_limit_reached_counts(budget: Budget, cost: Cost, expected: float) -> None:
    assert budget.fraction_used(cost) == expected


@pytest.mark.parametrize("budget", [Budget(gradients=21), Budget(seconds=0.2, steps=10**6)])
def test_budgets_other_than_steps_end_a_run(budget: Budget) -> None:
    run = tiny.make(sleep=0.002)
    run.write_spec(run.spec().model_copy(update={"budget": budget}))
    status = tiny.run(run)
    assert status.status == "finished" and status.fraction == 1.0
    if budget.gradients:
        assert status.gradients == 21
    else:
        assert 0.2 <= status.seconds < 0.4


def test_a_budget_in_gradients_is_refused_where_none_is_evaluated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiny.Tiny, "follows_gradient", False)
    run = tiny.make()
    for budget, accepted in ((Budget(gradients=21), False), (Budget(gradients=21, steps=5), True)):
        run.write_spec(run.spec().model_copy(update={"budget": budget}))
        if accepted:
            assert tiny.run(run).step == 5
            continue
        with pytest.raises(BadInput) as refused:
            catalogue.resolve(run.spec())
        assert [problem.field for problem in refused.value.problems] == ["budget.gradients"]


# ---------------------------------------------------------------- watching


@pytest.mark.parametrize(
    "cadence",
    [
        Cadence(watch_steps=1, measure_steps=1),
        Cadence(flush_seconds=0.0),
        Cadence(flush_rows=7, flush_seconds=9.0, watch_seconds=0.001, watch_share=0.9),
    ],
)
def test_watching_and_flushing_change_nothing(cadence: Cadence) -> None:
    unobserved, observed = tiny.make(), tiny.make()
    tiny.run(unobserved)
    eyes: list[tiny.Eyes] = []

    def observe(prepared: Any) -> tiny.Eyes:
        eyes.append(tiny.Eyes(prepared))
        return eyes[-1]

    tiny.run(observed, observe=observe, cadence=cadence)
    if cadence.watch_steps:
        assert {("watch", step) for step in range(31)} <= set(eyes[0].looks)
        assert {("measure", step) for step in range(1, 31)} <= set(eyes[0].looks)
    assert_same(unobserved, observed)


def test_looking_is_booked_apart_and_held_to_its_share() -> None:
    run = tiny.make(400, sleep=0.005)
    cadence = Cadence(watch_seconds=0.0, watch_share=0.1, measure_seconds=1e9)
    status = tiny.run(run, observe=lambda p: tiny.Eyes(p, cost=0.02), cadence=cadence)
    looks = [key for key in run.keyframe_index() if 0 < key.step < 400]
    during = 0.02 * len(looks)
    assert len(looks) >= 5
    assert during <= 0.12 * (status.seconds + status.observe_seconds)
    # begin, the first watch, the last watch and the evaluation lie outside the cadence
    assert status.observe_seconds >= during + 0.08
    assert status.seconds == pytest.approx(run.scalars()["loss/total"].seconds[-1])


def test_a_look_that_fails_is_said_and_training_goes_on() -> None:
    run = tiny.make()
    cadence = Cadence(watch_steps=1, measure_steps=1)
    status = tiny.run(run, observe=lambda p: tiny.Eyes(p, fail="measure"), cadence=cadence)
    assert status.status == "finished" and status.step == 30
    (alarm,) = status.alarms
    assert alarm["path"] == "alarm/observation/measure" and "cannot see" in alarm["message"]
    assert "cannot see" in run.trace()
    assert run.keyframe_index()[-1].step == 30


def test_alarms_reach_the_status_with_their_step() -> None:
    run = tiny.make()
    status = tiny.run(run, observe=tiny.Eyes, cadence=Cadence(measure_steps=10))
    (alarm,) = status.alarms
    assert alarm["path"] == "alarm/flattery" and alarm["message"].startswith(
        f"Step {alarm['step']}"
    )


# ---------------------------------------------------------------- stop, pause, resume


@pytest.mark.parametrize("word", ["stop", "pause"])
@pytest.mark.parametrize("cadence", [None, Cadence(flush_rows=3, watch_steps=2, measure_steps=5)])
def test_a_run_ended_anywhere_resumes_to_the_numbers_of_an_uninterrupted_one(
    word: str, cadence: Cadence | None
) -> None:
    # slow enough that a request from another thread comes in time on a busy machine
    whole, parts = tiny.make(60, sleep=0.01), tiny.make(60, sleep=0.01)
    tiny.run(whole)
    status = stopped_at(parts, 20, word)
    assert status.status == {"stop": "stopped", "pause": "paused"}[word]
    assert 20 <= status.step < 60 and parts.checkpoints()[-1] == status.step
    assert f"step {status.step}" in status.reason and parts.requested() is None
    status = tiny.run(parts, observe=tiny.Eyes, cadence=cadence)
    assert status.status == "finished" and status.attempt == 2, parts.trace()
    assert_same(whole, parts)
    assert (np.diff(parts.scalars()["loss/total"].seconds) > 0).all()
    assert any("0 steps recomputed" in t.header["meta"]["message"] for t in parts.texts())


def test_a_run_keeps_its_products_of_matrices_and_one_of_before_gets_torchs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        monkeypatch.setenv("BASIN_PRODUCTS", "onednn")
        directory, old = tiny.make(60, sleep=0.01), tiny.make(60, sleep=0.01)
        for each in (directory, old):
            assert stopped_at(each, 5).products == "onednn" == products.in_use()
        monkeypatch.setenv("BASIN_PRODUCTS", "torch")
        assert method_setup.use_products(tiny.make(5)) == "torch"
        assert tiny.run(directory).products == "onednn" == products.in_use()
        monkeypatch.setenv("BASIN_PRODUCTS", "onednn")
        old.write_status(products="")
        assert method_setup.use_products(old) == "torch" == products.in_use()
    finally:
        products.use("torch")


def test_a_killed_run_resumes_from_its_checkpoint_and_recomputes_the_rest() -> None:
    whole, killed = tiny.make(80, sleep=0.01), tiny.make(80, sleep=0.01)
    tiny.run(whole)
    code = (
        "from tests.jobs import tiny; from backend import catalogue; from jobs import artifacts\n"
        "from jobs.execution.cadence import Cadence; import sys\n"
        "catalogue.methods = lambda: {'tiny': tiny.Tiny}\n"
        "tiny.run(artifacts.open_run(sys.argv[1]), observe=tiny.Eyes,\n"
        "         cadence=Cadence(first_checkpoint=0.2, checkpoint_seconds=0.2))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, killed.id],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    at_step(killed, 50, process.kill).join()
    process.wait()
    reader = run_store.open_run(killed.id)
    shown = reader.scalars()["loss/total"]
    lost = reader.status()
    assert lost.status == "lost" and lost.checkpoint_step in reader.checkpoints()
    assert f"step {lost.checkpoint_step}" in lost.reason
    status = tiny.run(killed, observe=tiny.Eyes)
    assert status.status == "finished"
    assert_same(whole, killed)
    again = shown.step[-1] - reader.checkpoints()[-2:][0]
    texts = [text.header["meta"]["message"] for text in killed.texts()]
    resumed = [text for text in texts if text.startswith("Resumed from step")]
    assert len(resumed) == 1 and again >= 0 and "steps recomputed." in resumed[0]
    # What had been shown is what was computed again.
    np.testing.assert_array_equal(
        shown.value, killed.scalars()["loss/total"].value[: len(shown[0])]
    )


def test_a_checkpoint_never_reaches_beyond_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps up to a checkpoint are not run again, so a kill right after it must not lose them."""
    saved: list[tuple[int, int]] = []
    save = RunDirectory.save_checkpoint

    def save_and_compare(run: RunDirectory, step: int, *rest: Any) -> Any:
        saved.append((step, int(run_store.open_run(run.id).scalars()["loss/total"].step[-1])))
        return save(run, step, *rest)

    monkeypatch.setattr(RunDirectory, "save_checkpoint", save_and_compare)
    cadence = Cadence(first_checkpoint=0.02, checkpoint_seconds=0.02, checkpoint_share=1.0)
    tiny.run(tiny.make(60, sleep=0.005), observe=tiny.Eyes, cadence=cadence)
    assert len(saved) > 3 and all(step == recorded for step, recorded in saved), saved


def test_a_checkpoint_that_cannot_be_read_is_said_and_the_one_before_taken() -> None:
    run = tiny.make(2000, sleep=0.002)
    cadence = Cadence(flush_seconds=0.01, first_checkpoint=0.05, checkpoint_seconds=0.05)
    thread = at_step(run, 120, lambda: run.request("stop"))
    tiny.run(run, cadence=cadence)
    thread.join()
    before, newest = run.checkpoints()[-2:]
    (run.path / "checkpoints" / f"step-{newest:09d}.safetensors").write_bytes(b"torn")
    run.write_spec(run.spec().model_copy(update={"budget": Budget(steps=newest + 10)}))
    status = tiny.run(run)
    assert status.status == "finished"
    (alarm,) = status.alarms
    assert alarm["path"] == "run/checkpoint" and alarm["step"] == before
    assert f"step {newest:,} cannot be read" in alarm["message"]


def test_without_a_checkpoint_a_resumed_run_starts_over() -> None:
    whole, again = tiny.make(), tiny.make(fail_at=12)
    tiny.run(whole)
    tiny.run(again)
    again.write_spec(again.spec().model_copy(update={"config": {}}))
    assert tiny.run(again).status == "finished"
    assert_same(whole, again)
    assert "Resumed from step 0; 11 steps recomputed." in [
        text.header["meta"]["message"] for text in again.texts()
    ]


def test_a_request_made_before_the_start_is_obeyed() -> None:
    run = tiny.make()
    run.request("stop")
    status = tiny.run(run)
    assert status.status == "stopped" and status.step == 0 and run.requested() is None


def test_a_stop_during_a_long_step_is_heard_and_the_heart_beats_meanwhile() -> None:
    run = tiny.make(3, sleep=1.3)
    updates = set()
    thread = threading.Thread(target=tiny.run, args=(run,))
    thread.start()
    started = time.monotonic()
    while thread.is_alive():
        updates.add(run.written_status().updated)
        if time.monotonic() - started > 0.5 and run.requested() is None:
            run.request("stop")
        time.sleep(0.02)
    thread.join()
    assert run.status().status == "stopped" and run.status().step == 1
    assert np.diff(sorted(updates)).max() < 1.0


@pytest.mark.parametrize("tier", ["begin", "watch", "measure"])
def test_a_run_asked_to_end_leaves_a_long_look_off_and_resumes_to_the_same_numbers(
    tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PATIENCE_SECONDS", 0.2)
    whole, parts = tiny.make(), tiny.make()
    cadence = Cadence(watch_seconds=100, watch_steps=9, measure_seconds=100, measure_steps=9)
    tiny.run(whole, observe=tiny.Eyes, cadence=cadence)
    seen: list[LongEyes] = []

    def observe(prepared: Any) -> LongEyes:
        seen.append(LongEyes(prepared, tier))
        return seen[0]

    when(lambda: seen and seen[0].is_looking, lambda: parts.request("stop"))
    started = time.monotonic()
    status = tiny.run(parts, observe=observe, cadence=cadence)
    assert time.monotonic() - started < 10
    assert (
        status.status == "stopped" and status.reason == f"Stopped on request at step {status.step}."
    )
    assert parts.checkpoints()[-1] == status.step and parts.requested() is None
    assert all(module.training for module in seen[0].method.modules())
    again = tiny.run(control.take_up(parts.id), observe=tiny.Eyes, cadence=cadence)
    assert (again.status, again.step) == ("finished", 30), parts.trace()
    assert_same(whole, parts)


def test_a_run_asked_to_end_while_it_is_set_up_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PATIENCE_SECONDS", 0.2)
    began: list[bool] = []

    def prepare(*_: Any, **__: Any) -> None:
        began.append(True)
        time.sleep(30)

    monkeypatch.setattr(loop, "prepare", prepare)
    run = tiny.make()
    when(lambda: began, lambda: run.request("pause"))
    started = time.monotonic()
    status = tiny.run(run)
    assert time.monotonic() - started < 10
    assert (status.status, status.reason) == ("paused", "Ended before the first step.")
    assert run.requested() is None and not run.checkpoints()


def test_time_left_follows_the_speed() -> None:
    run = tiny.make(300, sleep=0.01)
    left = []
    thread = threading.Thread(target=tiny.run, args=(run,))
    thread.start()
    while thread.is_alive():
        now = run.written_status()
        if now.seconds_left is not None:
            left.append((now.step, now.seconds_left))
        time.sleep(0.1)
    step, seconds = left[-1]
    assert seconds == pytest.approx((300 - step) * 0.011, rel=0.5)
    assert run.status().seconds_left is None


@pytest.mark.bad_input
def test_the_checkpoint_of_another_method_is_refused() -> None:
    run = tiny.make()
    tiny.run(run)
    tensors, meta = run.load_checkpoint().tensors, run.load_checkpoint().meta
    run.save_checkpoint(30, tensors, {**meta, "method": "other"})
    status = tiny.run(run)
    assert status.status == "failed"
    assert "its checkpoint is of the method `other`" in status.reason
    with pytest.raises(BadInput, match="of the method `other`"):
        trained_run.load_trained(run.id)


@pytest.mark.bad_input
def test_weights_of_another_size_are_refused() -> None:
    run = tiny.make()
    tiny.run(run)
    run.write_spec(run.spec().model_copy(update={"config": {"width": 9}}))
    status = tiny.run(run)
    assert status.status == "failed" and "does not fit" in status.reason


# ---------------------------------------------------------------- when it goes wrong


@pytest.mark.parametrize(("field", "what"), [("nan_at", "Loss"), ("runaway_at", "Largest |E|")])
def test_a_run_that_runs_away_ends_diverged_with_the_last_good_checkpoint(
    field: str, what: str
) -> None:
    run = tiny.make(60, sleep=0.005, **{field: 50})
    cadence = Cadence(first_checkpoint=0.05, checkpoint_seconds=0.05, checkpoint_share=1.0)
    status = tiny.run(run, cadence=cadence)
    assert status.status == "diverged" and status.step == 50 and what in status.reason
    problem = status.problem
    assert problem is not None and problem["step"] == 50 and what in problem["what"]
    if field == "runaway_at":
        assert problem["value"] > problem["bound"] == 1e6
    assert status.checkpoint_step == run.checkpoints()[-1] < 50
    assert f"The last good checkpoint is of step {status.checkpoint_step}" in status.reason
    assert run.scalars()["loss/total"].step[-1] == 50
    for tensor in weights(run).values():
        assert not tensor.is_floating_point() or tensor.isfinite().all()
    json.loads((run.path / "status.json").read_text(), parse_constant=lambda name: 1 / 0)


def test_a_chain_far_out_ends_the_run() -> None:
    from jobs.execution.divergence_guard import breach, radius_bound

    wide = radius_bound(torch.randn(200, 1500))
    noise = np.array([[2.9 * 1500**0.5]], np.float32)
    assert breach(["sampler/radius"], noise, radius=wide) is None, "noise over the data's box"
    assert breach(["sampler/radius"], 10 * noise, radius=wide) is not None
    assert radius_bound(torch.full((9, 2), 1e3)) > 2e3, "as far as the data themselves lie"
    values = np.array([[1.0, 5.0], [1.0, 100.5]], np.float32)
    found = breach(["loss/total", "sampler/radius"], values)
    assert found is not None and found.row == 1 and found.path == "sampler/radius"
    assert breach(["loss/total", "sampler/r_hat"], values) is None
    assert breach(["sampler/acceptance_rate"], np.array([[np.nan]], np.float32)) is None
    negative = breach(["energy/data"], np.array([[-2e6]], np.float32))
    assert negative is not None and negative.value == -2e6


def test_an_error_in_a_step_ends_the_run_failed_with_its_trace() -> None:
    run = tiny.make(fail_at=10)
    status = tiny.run(run)
    assert status.status == "failed" and status.step == 9
    assert "the test wants it so" in status.reason and "There is no checkpoint" in status.reason
    assert "in step" in run.trace()
    assert run.scalars()["loss/total"].step[-1] == 9


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"config": {"refuse": True}}, "config.refuse"),
        ({"config": {"step_size": -0.1}}, "config.step_size"),
        ({"config": {"colour": 1}}, "config.colour"),
        ({"method": "unknown"}, "method"),
        ({"data": {"name": "nowhere"}}, "data.name"),
        ({"device": "cuda:99"}, "device"),
    ],
)
def test_what_does_not_fit_fails_before_the_first_step_and_names_the_field(
    changes: dict[str, Any], field: str
) -> None:
    run = tiny.make()
    run.write_spec(run.spec().model_copy(update=changes))
    status = tiny.run(run)
    assert status.status == "failed" and status.reason.startswith("Failed before the first step")
    assert status.problem is not None and status.problem["field"] == field
    assert f"`{field}`" in status.reason
    assert {"log.bin", "checkpoints"}.isdisjoint(path.name for path in run.path.iterdir())


@pytest.mark.bad_input
def test_a_budget_in_joules_where_nothing_measures_them_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "meter", lambda device: None)
    run = tiny.make()
    run.write_spec(run.spec().model_copy(update={"budget": Budget(joules=10)}))
    assert "budget.joules" in tiny.run(run).reason


def test_joules_are_counted_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(lambda: 10 * time.perf_counter(), "counter", "a lamp of 10 W")
    monkeypatch.setattr(loop, "meter", lambda device: meter)
    run = tiny.make(50, sleep=0.002)
    status = tiny.run(run, observe=lambda p: tiny.Eyes(p, cost=0.05))
    assert status.joules == pytest.approx(10 * status.seconds, rel=0.1)
    assert (status.joules_source, status.joules_of) == ("counter", "a lamp of 10 W")
    assert (np.diff(run.scalars()["loss/total"].joules) > 0).all()


def test_a_full_disk_fails_the_run_in_so_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny.make(200, sleep=0.005)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    at_step(run, 20, lambda: monkeypatch.setattr(RunDirectory, "append", full))
    status = tiny.run(run, cadence=Cadence(first_checkpoint=0.02))
    assert status.status == "failed" and "No space left on device" in status.reason
    assert run.status().status == "failed" and status.step < 200
    assert "It can resume from step" in status.reason


def test_a_full_disk_is_waited_for_with_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny.make(200, sleep=0.005)
    full_until: list[float] = []
    append, write = RunDirectory.append, RunDirectory.write_status

    def no_room() -> None:
        if full_until and time.monotonic() < full_until[0]:
            raise OSError(28, "No space left on device")

    def appended(*arguments: Any) -> None:
        no_room()
        append(*arguments)

    def written(directory: RunDirectory, **changes: Any) -> Status:
        no_room()
        return write(directory, **changes)

    monkeypatch.setattr(RunDirectory, "append", appended)
    monkeypatch.setattr(RunDirectory, "write_status", written)
    at_step(run, 20, lambda: full_until.append(time.monotonic() + 1.0))
    status = tiny.run(run, cadence=Cadence(first_checkpoint=0.02))
    assert time.monotonic() > full_until[0]
    assert run.written_status() == status and status.status == "failed"
    assert "No space left on device" in status.reason and "resume from step" in status.reason


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
def test_a_finished_run_stays_finished_though_its_log_cannot_be_compacted(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.make()
    words: list[str] = []

    def compact(directory: RunDirectory) -> None:
        words.append(directory.written_status().status)
        raise error

    monkeypatch.setattr(RunDirectory, "compact", compact)
    assert tiny.run(run).status == "finished" == run.status().status
    assert words == ["finished"], "what may be killed comes after the last word"
    assert len(run.scalars()["loss/total"].step) == 30
    assert run.texts()[-1].header["meta"]["message"] == "Finished."


# ---------------------------------------------------------------- an end after training


class LongEyes(tiny.Eyes):
    """Takes half a minute for one look, at step 9 or later where it has steps."""

    def __init__(self, prepared: Any, tier: str) -> None:
        super().__init__(prepared)
        self.tier, self.is_looking = tier, False

    def _looked(self, name: str, step: int) -> None:
        super()._looked(name, step)
        if name == self.tier and (step >= 9 or name == "begin"):
            self.is_looking = True
            time.sleep(30)


class SlowEyes(tiny.Eyes):
    """Takes half a minute for its final figures."""

    def evaluate(self, step: int) -> Any:
        time.sleep(30)
        return super().evaluate(step)


def doing(directory: RunDirectory, word: str) -> Callable[[], bool]:
    return lambda: directory.written_status().doing == word


def when(condition: Callable[[], Any], act: Callable[[], Any]) -> None:
    """Do something from outside once a condition holds."""

    def wait() -> None:
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    threading.Thread(target=wait).start()


@pytest.mark.parametrize(("word", "ended"), [("stop", "Stopped"), ("pause", "Paused")])
def test_a_run_asked_to_end_after_its_training_ends_at_once_and_has_its_figures_when_resumed(
    word: str, ended: str
) -> None:
    run = tiny.make()
    when(doing(run, progress.FIGURES), lambda: run.request(word))
    started = time.monotonic()
    status = tiny.run(run, observe=SlowEyes)
    assert time.monotonic() - started < 10
    assert status.status == ended.lower() and status.fraction == 1.0 and status.doing == ""
    assert status.reason == (
        f"{ended} on request at step 30. Its training was done; still missing: the final figures. "
        "Resume it to have them."
    )
    assert run.checkpoints()[-1] == 30 and run.requested() is None
    assert run.texts()[-1].header["meta"]["message"] == status.reason
    assert run.metrics() == {}
    again = tiny.run(control.take_up(run.id), observe=tiny.Eyes)
    assert (again.status, again.reason, again.step) == ("finished", "", 30)
    assert run.metrics()["quality/energy_distance/long_run"] == 0.5


def test_a_run_that_hangs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LEAST_SECONDS", 0.5)
    run = tiny.make(60)
    original = tiny.Tiny.step

    def step(self: tiny.Tiny, fraction: float) -> Any:
        time.sleep(2.0 if self.num_updates == 50 else 0.01)
        return original(self, fraction)

    monkeypatch.setattr(tiny.Tiny, "step", step)
    heard: list[Any] = []
    when(lambda: run.written_status().alarms, lambda: heard.extend(run.written_status().alarms))
    status = tiny.run(run)
    assert [(alarm["path"], alarm["step"]) for alarm in heard] == [("run/hang", 50)]
    assert status.status == "finished" and status.alarms == []


# ---------------------------------------------------------------- orphans


class Redis:
    """A publisher whose server is there, or away."""

    def __init__(self, away: bool) -> None:
        self.away_seconds = 1.0 if away else 0.0

    def publish(self, entries: list[tuple[str, bytes]]) -> bool:
        return self.away_seconds == 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("away", "word"), [(True, "stopped"), (False, "lost")])
def test_a_run_whose_worker_died_goes_on_a_while_then_ends_with_a_checkpoint(
    away: bool, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARENT, "1")
    monkeypatch.setattr(heartbeat, "ORPHAN_SECONDS", 0.8)
    monkeypatch.setattr(heartbeat, "ABANDONED_SECONDS", 0.3)
    run = tiny.make(10_000, sleep=0.01)
    started = time.monotonic()
    status = tiny.run(run, publisher=Redis(away))
    took = time.monotonic() - started
    assert status.status == word and status.ended is not None
    assert run.checkpoints()[-1] == status.step == run.scalars()["loss/total"].step[-1]
    assert f"resume from step {status.step}" in status.reason
    assert (0.8 if away else 0.3) < took < 3
    assert word in control.RESUMABLE


# ---------------------------------------------------------------- asking a trained run


def test_a_trained_run_gives_its_energy_back() -> None:
    run = tiny.make()
    tiny.run(run)
    found = trained_run.load_trained(run.id)
    x = np.array([[0.5, -1.0], [3.0, 0.0]], np.float32)
    expected = found.energy()(found.data.standardise(torch.from_numpy(x))).detach().numpy()
    given = trained_run.load_energy(run.id)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(given, expected)
    assert found.step == 30 and not any(p.requires_grad for p in found.energy().parameters())
    state = weights(run)
    assert torch.equal(next(found.energy().parameters()), state["average.body.0.weight"])


def test_a_run_without_weights_is_not_available() -> None:
    with pytest.raises(NotAvailable, match="no trained weights"):
        trained_run.load_trained(tiny.make().id)
