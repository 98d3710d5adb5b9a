"""Changing a running run, asking it for samples, and what numbers it is computed in."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from jobs import tasks
from jobs.execution import loop, training
from jobs.models import answering, method_setup
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory


def launched(**config: object) -> RunDirectory:
    config = {"sampler": {"kind": "langevin", "step_size": 0.01}, "num_chains": 8, **config}
    spec = RunSpec(
        method="sampling",
        data={"name": "ring", "num": 200, "num_held_out": 100},
        config=config,
        budget=Budget(seconds=20),
    )
    return run_store.create_run(spec)


def messages(directory: RunDirectory) -> list[tuple[str, str]]:
    return [
        (frame.header["meta"]["level"], frame.header["meta"]["message"])
        for frame in directory.texts()
        if frame.header["path"] == training.CHANGED
    ]


def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_is_taken_while_the_run_goes_on_and_recorded() -> None:
    directory = launched()
    thread = threading.Thread(target=loop.run, args=(directory,))
    thread.start()
    try:
        until(lambda: directory.status().step > 3)
        control.change(directory.id, {"sampler.step_size": 0.02})
        until(lambda: len(messages(directory)) == 1)
        control.change(directory.id, {"sampler.temperature": 3.0})
        control.change(directory.id, {"sampler.step_size": 1e6})
        until(lambda: len(messages(directory)) == 3)
    finally:
        control.stop(directory.id)
        thread.join()
    said = messages(directory)
    assert said[0] == ("info", "Step size 0.01 → 0.02.")
    assert said[1][0] == said[2][0] == "warning"
    assert "no such setting" in said[1][1] and "≤ 100" in said[2][1]
    assert directory.status().status == "stopped"
    assert not list((directory.path / "changes").iterdir()), "each is taken once"


def test_what_cannot_be_changed_is_refused_before_it_is_asked() -> None:
    directory = launched()
    with pytest.raises(BadInput, match="queued; only a running run"):
        control.change(directory.id, {"sampler.step_size": 0.1})
    directory.write_status(status="running", host=socket.gethostname(), pid=1)
    for settings, words in (
        ({}, "at least one"),
        ({"train.learning_rate": 1.0}, "cannot be changed"),
        ({"sampler.step_size": 0.0}, "> 0"),
        ({"sampler.step_size": float("nan")}, "> 0"),
    ):
        with pytest.raises(BadInput, match=words):
            control.change(directory.id, settings)
    assert directory.take_changes() == []


def test_changes_are_given_once_and_in_order() -> None:
    directory = launched()
    for value in (1.0, 2.0, 3.0):
        directory.ask_change({"sampler.step_size": value})
    assert [each["sampler.step_size"] for each in directory.take_changes()] == [1, 2, 3]
    assert directory.take_changes() == []


def test_samples_of_a_sampler_that_anneals_are_those_of_a_finished_pass() -> None:
    """A ring's radius tells draws from what is on its way from a wide law."""
    ais = {"kind": "ais", "num_temperatures": 40}
    directory = launched()
    asked: dict[str, Any] = {"own_sampler": False, "sampler": ais, "num": 800}
    drawn = answering.answer(directory.id, "sample", {**asked, "num_steps": 70})
    radius = np.linalg.norm(drawn.arrays["x"], axis=1)
    assert abs(radius - 2.0).mean() < 0.4
    assert np.quantile(radius, 0.02) > 0.8
    with pytest.raises(BadInput, match="takes more than 30 steps"):
        answering.answer(directory.id, "sample", {**asked, "num_steps": 30})


def test_matrix_precision_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_MATMUL_PRECISION", "medium")
    try:
        method_setup.find_device("cpu")
        assert torch.get_float32_matmul_precision() == "medium"
        monkeypatch.setenv("BASIN_MATMUL_PRECISION", "sloppy")
        with pytest.raises(BadInput, match="highest, high or medium, got 'sloppy'"):
            method_setup.find_device("cpu")
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_moves_through_real_numbers_is_refused_whole_ones() -> None:
    spec = {"method": "contrastive_divergence", "data": {"name": "ising"}}
    problems = tasks.check_job(spec)["value"]["problems"]
    assert {problem["field"] for problem in problems} == {
        "config.sampler.kind",
        "config.data_noise",
    }
    assert all("whole numbers" in problem["message"] for problem in problems)
