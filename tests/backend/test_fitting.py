"""Checks of a Config against data: of every part, and of what is special to the method."""

from __future__ import annotations

from typing import Any

import pytest

from backend import catalogue
from backend.requests import fitting
from backend.spec import RunSpec


def fields_of(method: str, data: str, config: dict[str, Any]) -> list[str]:
    sizes = {"num": 200, "num_held_out": 100} if data != "digits" else {}
    spec = RunSpec(method=method, data={"name": data, **sizes}, config=config)
    resolved = catalogue.resolve(spec)
    found = fitting.problems(resolved.method, resolved.config, resolved.dataset.load())
    assert all(sentence.endswith(".") for _, sentence in found)
    return [field for field, _ in found]


CONV, MLP = {"energy": {"kind": "conv"}}, {"energy": {"kind": "mlp"}}


@pytest.mark.parametrize(
    ("method", "data", "config", "fields"),
    [
        ("denoising_score_matching", "ring", CONV, ["energy.kind"]),
        ("denoising_score_matching", "digits", CONV, []),
        ("denoising_score_matching", "ring", MLP, []),
        ("noise_contrastive", "shifted_gaussian", {"noise": {"kind": "flow"}}, ["noise.kind"]),
        ("noise_contrastive", "ring", {"noise": {"kind": "flow"}, **CONV}, ["energy.kind"]),
        ("recovery_likelihood", "ring", {"initializer": {"kind": "unet"}}, ["initializer.kind"]),
        ("exact_likelihood", "digits", CONV, ["data.name"]),
        ("denoising_score_matching", "ising", CONV, ["data.name"]),
        (
            "contrastive_divergence",
            "ising",
            {"data_noise": 0.0, "data_noise_end": 0.0},
            ["sampler.kind"],
        ),
        ("sampling", "ising", {"sampler": {"kind": "langevin"}}, ["sampler.kind"]),
        ("sampling", "ising", {"sampler": {"kind": "cluster"}}, []),
    ],
)
def test_what_does_not_fit_is_said_at_its_field(
    method: str, data: str, config: dict[str, Any], fields: list[str]
) -> None:
    assert fields_of(method, data, config) == fields


def test_a_specification_without_data_takes_those_its_preset_is_made_for() -> None:
    raw = {"method": "exact_likelihood", "preset": "location"}
    assert catalogue.with_data(raw) == {**raw, "data": {"name": "shifted_gaussian"}}
    named = {**raw, "data": {"name": "ring"}}
    for unchanged in (named, {"method": "exact_likelihood"}, {"method": "none"}, {}):
        assert catalogue.with_data(unchanged) == unchanged
