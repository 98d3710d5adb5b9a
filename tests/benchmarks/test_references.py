"""Bundled long runs: whole, small, mixed, of the settings that data have by default."""

from __future__ import annotations

import json

import pytest
import torch

from backend.catalogue import resolve_data
from backend.datasets import long_run
from benchmarks.references import MOST_R_HAT, REFERENCES, check, differences

MOST_BYTES = 100_000


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_reference_is_whole_small_and_mixed(name: str) -> None:
    reference = REFERENCES[name]
    path = long_run.FOLDER / f"{name}.json"
    about = json.loads(path.read_text())
    config = resolve_data(reference.data).config  # type: ignore[attr-defined]
    assert about["settings"] == config.model_dump(include=set(reference.settings))
    assert about["run"]["r_hat"] <= MOST_R_HAT and about["run"]["chains"] >= 32
    assert path.stat().st_size < MOST_BYTES
    assert path.with_suffix(".npz").exists() == reference.keep_draws
    if reference.keep_draws:
        assert path.with_suffix(".npz").stat().st_size < MOST_BYTES
        assert long_run.bundled_draws(name).isfinite().all()
    truth = long_run.bundled_truth(name, about["settings"])
    assert truth is not None and truth.mean_energy_error is not None
    assert long_run.bundled_truth(name, {**about["settings"], "other": 1}) is None
    assert differences(truth, truth)["mean_energy"] == 0


def test_chains_that_are_stuck_shorten_the_step() -> None:
    """One chain in a steep place among many in a flat one: the warm-up brings it home."""
    target = resolve_data({"name": "phi4", "dims": 2}).target()  # type: ignore[attr-defined]
    start = torch.zeros(40, 8, 8)
    start[0] = 8.0
    run = long_run.hmc_run(
        target,
        start,
        torch.Generator().manual_seed(0),
        num_warm_up=200,
        num_draws=10,
        step_size=0.2,
    )
    assert float(run.positions.abs().max()) < 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_run_of_another_seed_agrees(name: str) -> None:
    assert check(name, 1)
