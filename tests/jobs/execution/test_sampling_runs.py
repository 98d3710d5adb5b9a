"""Changing a running run, asking it for samples, and what numbers it is computed in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from jobs import races, tasks
from jobs.execution import loop
from jobs.execution.cadence import Cadence
from jobs.models import answering, method_setup
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


def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
        assert torch.backends.cudnn.allow_tf32
        monkeypatch.delenv("BASIN_MATMUL_PRECISION")
        method_setup.find_device("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32, "convolutions round where products do not"
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


# ---------------------------------------------------------------- budgets and warm-ups


def ended(budget: Budget, data: dict[str, Any] | None = None, **config: Any) -> RunDirectory:
    spec = RunSpec(
        method="sampling",
        data=data or {"name": "ring", "num": 200, "num_held_out": 100},
        config={"num_chains": 8, **config},
        budget=budget,
    )
    directory = run_store.create_run(spec)
    loop.run(directory, cadence=Cadence(measure_steps=10))
    return directory


@pytest.mark.parametrize(
    ("kind", "over"),
    [("langevin", 0), ("mala", 0), ("hmc", 0), ("nuts", 0), ("parallel_tempering", 7)],
)
def test_a_budget_of_gradients_is_kept_to_one_step_of_the_kernel(kind: str, over: int) -> None:
    directory = ended(Budget(gradients=1003), sampler={"kind": kind}, num_warm_up=0)
    assert 1003 <= directory.status().gradients <= 1003 + over


def test_a_kernel_is_left_without_a_limit_once_the_budget_is_used() -> None:
    """Answers borrow it."""
    directory = ended(Budget(gradients=40), sampler={"kind": "nuts"}, num_warm_up=0)
    samples = answering.answer(directory.id, "sample", {"num": 64, "num_steps": 20})
    assert np.abs(samples.arrays["x"]).max() < 5


def test_a_budget_of_seconds_is_not_outrun_by_the_steps_between_two_points() -> None:
    budget, taken = Budget(seconds=0.2), []
    while not taken or (taken[-1] >= 0.6 and len(taken) < 3):  # a machine may stall, not each time
        directory = ended(budget, sampler={"kind": "langevin"}, num_steps=10_000, num_warm_up=0)
        taken.append(directory.status().seconds)
    assert min(taken) >= 0.2 and taken[-1] < 0.6


def test_draws_of_a_warm_up_are_no_results() -> None:
    directory = ended(
        Budget(gradients=400),
        sampler={"kind": "hmc"},
        num_steps=1,
        stop_at_error=100.0,
        stop_at_ess=1e-9,
    )
    status, figures = directory.status(), directory.metrics()
    assert status.status == "finished"
    assert status.reason.startswith("The budget ended in the warm-up (")
    assert "of 500 steps); none of its draws count." in status.reason
    results = ("error/", "quality/", "sampler/bulk_ess", "sampler/r_hat", "sampler/ess_per")
    assert not [path for path in figures if path.startswith(results)]
    latest = directory.latest(results)
    assert latest and all(np.isnan(value) for value in latest.values())
    verdict = races.reading_of(directory)
    assert verdict.verdict == "not judged" and "the budget ended in the warm-up" in verdict.words


def test_an_early_end_waits_for_the_warm_up_and_its_draws_are_judged() -> None:
    directory = ended(
        Budget(gradients=8000),
        data={"name": "gaussian", "num": 200, "num_held_out": 100},
        sampler={"kind": "hmc"},
        num_chains=64,
        num_steps=1,
        num_warm_up=100,
        stop_at_ess=300.0,
    )
    assert "independent draws" in directory.status().reason
    assert 1000 < directory.status().gradients < 8000
    assert races.reading_of(directory).verdict == "sound"


# ---------------------------------------------------------------- a user's own energy


def file_of(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "own.py"
    path.write_text("import torch\nevent_shape = (2,)\n" + text)
    return {"name": "energy_file", "path": str(path), "num": 200, "num_held_out": 100}


STRICT = """
def energy(x):
    if not x.isfinite().all():
        raise ValueError("not finite")
    return x.pow(4).sum(1)
"""
POSITIVE = """
def energy(x):
    return torch.where(x > 0, x - x.log(), torch.inf).sum(1)
"""


@pytest.mark.parametrize("kind", ["hmc", "nuts", "mala"])
def test_an_energy_that_raises_at_nan_ends_no_run(kind: str, tmp_path: Path) -> None:
    sampler = {"kind": kind, "step_size": 90.0, "adapt": False}
    directory = ended(Budget(gradients=600), file_of(tmp_path, STRICT), sampler=sampler)
    assert directory.status().status == "finished", directory.status().reason


def test_one_that_never_rejects_diverges_by_name(tmp_path: Path) -> None:
    sampler = {"kind": "langevin", "step_size": 90.0}
    directory = ended(Budget(gradients=600), file_of(tmp_path, STRICT), sampler=sampler)
    assert directory.status().status == "diverged"
    assert "no finite number" in directory.status().reason


def test_starts_outside_a_support_are_drawn_anew(tmp_path: Path) -> None:
    """Gamma(2) in each coordinate: three starts in four lie outside of it."""
    data, sampler = file_of(tmp_path, POSITIVE), {"kind": "nuts"}
    directory = ended(Budget(gradients=4000), data, sampler=sampler, num_warm_up=100)
    assert directory.status().status == "finished", directory.status().reason
    with np.load(directory.path / "samples" / "final.npz") as arrays:
        assert (arrays["train_time"] > 0).all()


def test_a_support_that_is_never_met_is_said_with_its_field(tmp_path: Path) -> None:
    text = "def energy(x): return torch.where(x > 40, x, torch.inf).sum(1)"
    directory = ended(Budget(gradients=100), file_of(tmp_path, text), sampler={"kind": "hmc"})
    status = directory.status()
    assert status.status == "failed" and "Change `scale`" in status.reason
