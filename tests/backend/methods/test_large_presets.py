"""Presets of predictors in the sizes of the papers: their first steps, on a CPU."""

from __future__ import annotations

import pytest
import torch

from backend import catalogue
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

MILLIONS = {
    ("energy_transformer", "large"): 7,
    ("energy_text", "large"): 7,
    ("energy_world_model", "large_frames"): 7,
    ("energy_world_model", "large_policy"): 4,
}
"""Weights of each, at least."""
FEWER = {"num": 60, "num_held_out": 20, "num_characters": 60_000}
"""Of the data; events are as large as the preset's."""


def test_these_are_all_there_are() -> None:
    of_predictors = {
        (name, preset)
        for name, cls in catalogue.methods().items()
        if "context" in cls.needs
        for preset, settings in cls.presets.items()
        if settings.wants_gpu
    }
    assert of_predictors == set(MILLIONS)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "preset"), list(MILLIONS))
def test_a_preset_of_the_papers_size_takes_its_first_steps(method: str, preset: str) -> None:
    """Its settings but the number of events in a batch: all weights that reach the loss move."""
    data = catalogue.methods()[method].presets[preset].data
    assert data is not None
    fields = catalogue.datasets()[data["name"]].Config.model_fields
    fewer = data | {name: num for name, num in FEWER.items() if name in fields}
    spec = RunSpec(
        method=method, preset=preset, data=fewer, config={"train": {"batch_size": 2}}, seed=0
    )
    run = prepare(spec, torch.device("cpu"), None).method
    module = run.fitter.module  # type: ignore[attr-defined]
    before = [weight.clone() for weight in module.parameters()]
    assert sum(weight.numel() for weight in before) > 1e6 * MILLIONS[method, preset]
    for index in range(2):
        said = run.advance(0.1 + index / 100)
        assert all(value.isfinite() for value in said.values())
    moved = [not torch.equal(*each) for each in zip(before, module.parameters(), strict=True)]
    assert sum(moved) >= len(moved) - 1  # a shift of what the energy reads last is no part of it
