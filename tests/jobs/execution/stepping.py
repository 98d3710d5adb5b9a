"""Small runs of training, with something done between two of their steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from backend.spec import Budget, RunSpec
from jobs.execution import loop
from jobs.execution.cadence import Cadence
from jobs.execution.training import TURNED, Training
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory

STEPS, AT = 40, 17
RATE = "train.learning_rate"
SPARSE = Cadence(first_checkpoint=1e6)
"""No checkpoint before the end."""


def launched(**fields: Any) -> RunDirectory:
    config = {
        "chains": "persistent",
        "buffer_size": 64,
        "num_steps": 2,
        "energy": {"kind": "mlp", "width": 8},
        "train": {"batch_size": 16, "ema_decay": 0.9},
    }
    spec = RunSpec(
        method="contrastive_divergence",
        data={"name": "ring", "num": 200, "num_held_out": 100},
        config=config,
        budget=Budget(steps=STEPS),
        seed=4,
        **fields,
    )
    return run_store.create_run(spec)


def run(directory: RunDirectory, cadence: Cadence = SPARSE) -> str:
    return loop.run(directory, observe=lambda prepared: None, cadence=cadence).status


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Any) -> None:
    """Do something once, right before the step after `step`."""
    before, done = Training._step, []

    def stepped(training: Training, progress: float) -> None:
        before(training, progress)
        if training.step == step and not done:
            done.append(step)
            act(training)

    monkeypatch.setattr(Training, "_step", stepped)


def asked(directory: RunDirectory, settings: dict[str, float]) -> Any:
    """What asks a run for settings, as from another process, and is heard before the next step."""

    def ask(training: Training) -> None:
        control.turn(directory.id, settings, "ada")
        training.heartbeat.is_asked_to_turn = True

    return ask


def messages(directory: RunDirectory) -> list[tuple[int, str]]:
    return [
        (frame.header["last"][0], frame.header["meta"]["message"])
        for frame in directory.texts()
        if frame.header["path"] == TURNED
    ]


def assert_same(one: RunDirectory, two: RunDirectory) -> None:
    mine, other = one.load_checkpoint(), two.load_checkpoint()
    assert mine.step == other.step == STEPS and mine.tensors.keys() == other.tensors.keys()
    for name, tensor in mine.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    for path in ("loss/total", "energy/gap", "optimiser/learning_rate"):
        np.testing.assert_array_equal(one.scalars()[path].value, two.scalars()[path].value)
