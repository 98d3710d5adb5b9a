"""Settings turned while a run goes on: recorded, resumed, and the same numbers again."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from backend.errors import BadInput
from backend.spec import Budget
from jobs.execution.emitter import Emitter
from jobs.execution.training import Training
from jobs.queueing import control
from jobs.records.run_directory import RunDirectory
from jobs.records.status import this_process
from tests.jobs.execution.stepping import (
    AT,
    RATE,
    asked,
    assert_same,
    at_step,
    launched,
    messages,
    run,
)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that was turned at a step, unbroken."""
    directory = launched()
    with monkeypatch.context() as patch:
        at_step(patch, AT, asked(directory, {RATE: 0.003, "reinit_rate": 0.5}))
        assert run(directory) == "finished"
    return directory


def test_a_turn_counts_from_the_next_step_and_stands_in_the_record(whole: RunDirectory) -> None:
    plain = launched()
    run(plain)
    changed = whole.scalars()["loss/total"].value != plain.scalars()["loss/total"].value
    assert int(np.argmax(changed)) == AT and changed[AT:].all(), "row AT is that of step AT + 1"
    (turn,) = whole.turns()
    assert turn.step == AT and turn.by == "ada"
    assert turn.fields == {RATE: (0.01, 0.003), "reinit_rate": (0.05, 0.5)}
    sentence = "Learning rate 0.01 → 0.003, Reinit rate 0.05 → 0.5, by ada."
    assert messages(whole) == [(AT, sentence)]
    assert whole.turnable()[RATE]["value"] == 0.003
    assert whole.settings()["config"]["train"]["learning_rate"] == 0.01, "as it was launched"
    assert not whole.turn_requests()


@pytest.mark.parametrize("how", ["killed before a checkpoint", "killed after one", "paused"])
def test_broken_off_after_a_turn_and_resumed_it_comes_to_the_numbers_of_one_unbroken(
    how: str, whole: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = launched()
    with monkeypatch.context() as patch:
        at_step(patch, AT, asked(parts, {RATE: 0.003, "reinit_rate": 0.5}))
        if how == "killed after one":
            at_step(patch, AT + 3, lambda training: (training.flush(), training.save()))

        def break_off(training: Training) -> None:
            if how == "paused":
                training.heartbeat.request = "pause"
            else:
                training.emitter.flush()  # or its thread writes while the run goes on already
                raise KeyboardInterrupt

        at_step(patch, AT + 6, break_off)
        if how == "paused":
            assert run(parts) == "paused"
        else:
            with pytest.raises(KeyboardInterrupt):
                run(parts)
    saved = {"killed before a checkpoint": [], "killed after one": [AT + 3], "paused": [AT + 6]}
    assert parts.checkpoints() == saved[how]
    assert run(parts) == "finished", parts.trace()
    assert_same(whole, parts)
    assert parts.turns()[0][:3] == whole.turns()[0][:3] and len(parts.turns()) == 1
    assert messages(parts) == messages(whole), "said once"


def test_a_paused_run_is_turned_when_it_goes_on_and_a_copied_request_counts_once(
    whole: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = launched()
    with monkeypatch.context() as patch:
        at_step(patch, AT, lambda training: setattr(training.heartbeat, "request", "pause"))
        assert run(parts) == "paused"
    control.turn(parts.id, {"learning_rate": 0.003, "config.reinit_rate": 0.5}, "ada")
    (request,) = (parts.path / "turns").glob("*.json")
    content = request.read_text()
    with monkeypatch.context() as patch:
        at_step(patch, AT + 4, lambda training: setattr(training.heartbeat, "request", "pause"))
        assert run(parts) == "paused"
    request.write_text(content)  # as where a kill came between the record and its removal
    assert run(parts) == "finished"
    assert_same(whole, parts)
    assert len(parts.turns()) == 1 and not parts.turn_requests()


def test_a_later_word_on_a_field_is_not_taken_back_by_what_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turned at AT, killed, resumed from the start, and turned before AT is come to again."""
    directory = launched()
    with monkeypatch.context() as patch:
        at_step(patch, AT, asked(directory, {RATE: 0.003, "reinit_rate": 0.5}))
        at_step(patch, AT + 1, lambda training: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(directory)
    with monkeypatch.context() as patch:
        at_step(patch, 5, asked(directory, {RATE: 0.001}))
        assert run(directory) == "finished"
    assert [(turn.step, set(turn.fields)) for turn in directory.turns()] == [
        (5, {RATE}),
        (AT, {"reinit_rate"}),
    ]
    assert directory.turnable()[RATE]["value"] == 0.001


def test_what_a_run_refuses_is_said_and_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = launched()

    def ask(training: Training) -> None:
        directory.ask_turn({"buffer_size": 3.0})
        directory.ask_turn({RATE: -1.0})
        training.heartbeat.is_asked_to_turn = True

    at_step(monkeypatch, AT, ask)
    assert run(directory) == "finished"
    refused = [message for _, message in messages(directory)]
    assert ["Not changed." in each for each in refused] == [True, True]
    assert "cannot be turned" in refused[0] and "must be ≥ 0" in refused[1]
    assert directory.turns() == [] and directory.turn_requests() == []


def test_a_refusal_right_before_a_kill_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = launched()

    def ask(training: Training) -> None:
        directory.ask_turn({RATE: -1.0})
        training.heartbeat.is_asked_to_turn = True

    def break_off(name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_step(patch, AT, ask)
        patch.setattr(directory, "drop_turn_request", break_off)
        text = Emitter.text

        def written_at_once(emitter: Emitter, path: str, *rest: Any) -> None:
            text(emitter, path, *rest)
            emitter.flush()

        patch.setattr(Emitter, "text", written_at_once)
        with pytest.raises(KeyboardInterrupt):
            run(directory)
    assert len(messages(directory)) == len(directory.turn_requests()) == 1, "said, and still asked"
    assert run(directory) == "finished"
    assert len(messages(directory)) == 1 and not directory.turn_requests()


def test_what_cannot_be_turned_is_refused_before_it_is_asked() -> None:
    directory = launched()
    with pytest.raises(BadInput, match="queued; only a running or paused run"):
        control.turn(directory.id, {RATE: 0.1})
    directory.write_status(status="running", **this_process())
    with pytest.raises(BadInput, match="being set up"):
        control.turn(directory.id, {RATE: 0.1})
    run(directory)
    directory.write_status(status="paused")
    for settings, words in (
        ({}, "at least one"),
        ({"energy.width": 9}, "cannot be turned while the run goes on; `sampler.step_size`, "),
        ({RATE: -1.0}, "must be ≥ 0, got -1"),
        ({RATE: float("nan")}, "finite"),
    ):
        with pytest.raises(BadInput, match=words):
            control.turn(directory.id, settings)
    assert directory.turn_requests() == []
    decided = launched(tags=["recipe:short_run"])
    decided.write_status(status="paused")
    with pytest.raises(BadInput, match="Turn a copy"):
        control.turn(decided.id, {RATE: 0.1})


def test_requests_are_heard_from_another_thread_while_the_run_goes_on() -> None:
    directory = launched()
    directory.write_spec(directory.spec().model_copy(update={"budget": Budget(seconds=30)}))
    thread = threading.Thread(target=run, args=(directory,))
    thread.start()
    try:
        while directory.status().step < 2:
            threading.Event().wait(0.02)
        control.turn(directory.id, {"step_size": 0.001})
        while not directory.turns():
            threading.Event().wait(0.02)
    finally:
        control.stop(directory.id)
        thread.join()
    assert directory.turns()[0].fields == {"sampler.step_size": (0.005, 0.001)}
