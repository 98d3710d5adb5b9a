"""What every method, sampler, network and data set keeps, walked over all that is discovered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from backend import catalogue
from backend.system import discovery
from jobs.contracts import of_fields, of_methods, of_parts, of_samplers
from jobs.contracts.small_runs import ELSEWHERE

SHORT: dict[str, dict[str, Any]] = {"nuts": {"max_depth": 4}}
"""Fields that keep a sampler's step short at any step size."""


METHODS = sorted(catalogue.methods())
PRESETS = [(m, preset) for m, cls in catalogue.methods().items() for preset in cls.presets]
QUICK = [
    (m, preset) for m, preset in PRESETS if not catalogue.methods()[m].presets[preset].wants_gpu
]
"""Those that learn something on a CPU; of the others the first steps are taken alone."""
ONE_EACH = [
    pytest.param(m, preset, marks=[] if preset == "default" else [pytest.mark.slow])
    for m, preset in QUICK
]
"""The same: the code is the method's own, so one preset tells of it; the others are slow."""
OF_ENERGIES = [each for each in ONE_EACH if catalogue.methods()[str(each.values[0])].has_energy]


# ---------------------------------------------------------------------- settings


def configs() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, method in catalogue.methods().items():
        yield name, method.Config
    parts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("sampler", catalogue.samplers()),
        ("network", catalogue.networks()),
        ("distribution", catalogue.distributions()),
        ("data", dict(catalogue.datasets())),
    )
    for kind, found in parts:
        for name, part in found.items():
            yield f"{kind} {name}", part.Config


@pytest.mark.parametrize(("name", "config"), list(configs()), ids=lambda value: str(value)[:40])
def test_every_field_says_what_it_is_and_has_bounds(name: str, config: type[BaseModel]) -> None:
    of_fields.fields_describe_themselves(name, config)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_is(method: str) -> None:
    of_methods.describes_itself(method)


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_a_preset_keeps_what_it_does_not_name_of_training(method: str, preset: str) -> None:
    of_methods.preset_keeps_the_rest_of_training(method, preset)


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_a_form_shows_at_most_eight_fields_unfolded(method: str, preset: str) -> None:
    of_methods.form_shows_few_fields(method, preset)


# ---------------------------------------------------------------------- methods


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_steps_return_the_same_finite_scalars_on_the_device(method: str, preset: str) -> None:
    of_methods.steps_return_finite_scalars(method, preset)


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_the_same_seed_gives_the_same_numbers(method: str, preset: str) -> None:
    of_methods.same_seed_gives_the_same_numbers(method, preset)


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_saved_and_restored_it_goes_on_to_the_same_numbers(method: str, preset: str) -> None:
    of_methods.resumes_to_the_same_numbers(method, preset)


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_watching_changes_nothing(method: str, preset: str) -> None:
    of_methods.watching_changes_nothing(method, preset)


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_every_event_survives_the_wire(method: str, preset: str) -> None:
    of_methods.events_survive_the_wire(method, preset)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_an_energy_says_so_and_draws_by_itself(method: str) -> None:
    of_methods.without_an_energy_says_so_and_draws(method)


@pytest.mark.parametrize(("method", "preset"), OF_ENERGIES)
def test_data_get_lower_energy_than_noise(method: str, preset: str) -> None:
    of_methods.data_get_lower_energy_than_noise(method, preset)


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_fit_the_data_is_said_before_set_up(method: str) -> None:
    if "energy" not in catalogue.methods()[method].Config.model_fields:
        pytest.skip("takes no network")
    of_methods.misfits_are_named_before_set_up(method)


# ------------------------------------------------------- every field changes something


LONG = (
    "adversarial_training",
    "concept_bottleneck",
    "conditional_diffusion",
    "dual_adversarial_training",
    "energy_matching",
    "energy_text",
    "energy_transformer",
    "failure_search",
    "feed_forward",
    "gedi_symbols",
    "marginalization",
    "recovery_likelihood",
    "text_transformer",
)
"""Methods of many fields whose every step is dear: `make test-slow` varies their fields."""


def variants() -> Iterator[Any]:
    """Every preset in which something counts that did not in those before, slow all of them, and
    every sampler watched on its own."""
    for method in catalogue.methods():
        for preset in of_fields.telling_presets(method):
            yield pytest.param(method, preset, {}, marks=pytest.mark.slow)
    for kind in catalogue.samplers():
        yield "sampling", "default", {"sampler": {"kind": kind, **SHORT.get(kind, {})}}


@pytest.mark.parametrize(("method", "preset", "fields"), list(variants()), ids=str)
def test_no_field_changes_nothing(method: str, preset: str, fields: dict[str, Any]) -> None:
    of_fields.no_field_changes_nothing(method, preset, fields)


def turned_variants() -> Iterator[Any]:
    """Those of `variants`, of which one a method and two samplers are not slow."""
    for variant in variants():
        method, preset, fields = getattr(variant, "values", variant)
        is_slow = method in (*LONG, "compositional_likelihood") or preset != "default"
        is_slow |= fields.get("sampler", {}).get("kind", "hmc") not in ("hmc", "gibbs")
        yield pytest.param(method, preset, fields, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(("method", "preset", "fields"), list(turned_variants()), ids=str)
def test_a_field_turned_before_the_first_step_counts_as_if_launched_so(
    method: str, preset: str, fields: dict[str, Any]
) -> None:
    of_fields.turned_field_counts_as_launched(method, preset, fields)


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_arithmetic_changes_no_numbers(method: str, preset: str) -> None:
    of_methods.arithmetic_changes_no_numbers(method, preset)


# ---------------------------------------------------------------------- samplers


REAL = sorted(kind for kind, cls in catalogue.samplers().items() if not cls.discrete)
WHOLE = sorted(kind for kind, cls in catalogue.samplers().items() if cls.discrete)


EXACT = {kind for kind in catalogue.samplers() if of_samplers.stays_exact(kind)}


@pytest.mark.parametrize("shape", of_samplers.SHAPES, ids=str)
@pytest.mark.parametrize("kind", REAL)
def test_a_sampler_walks_any_shape_and_counts_its_gradients(
    kind: str, shape: tuple[int, ...]
) -> None:
    of_samplers.walks_any_shape_and_counts_its_gradients(kind, shape)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_sampler_of_whole_numbers_keeps_to_them(kind: str) -> None:
    of_samplers.keeps_to_whole_numbers(kind)


@pytest.mark.parametrize("kind", sorted(catalogue.samplers()))
def test_a_sampler_that_is_biased_says_how_and_none_takes_what_it_cannot(kind: str) -> None:
    of_samplers.says_its_bias_and_what_it_does_not_fit(kind)


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind in EXACT])
def test_an_exact_sampler_leaves_the_law_of_whole_numbers_in_place(kind: str) -> None:
    of_samplers.leaves_the_law_of_whole_numbers(kind)


@pytest.mark.parametrize("kind", [kind for kind in REAL if kind in EXACT])
def test_an_exact_sampler_leaves_the_law_in_place(kind: str) -> None:
    of_samplers.leaves_the_law(kind)


# ---------------------------------------------------------------------- networks and data


@pytest.mark.parametrize("shape", of_parts.SHAPES, ids=str)
@pytest.mark.parametrize("kind", sorted(catalogue.networks()))
def test_a_network_gives_one_finite_energy_an_event_or_says_why_not(
    kind: str, shape: tuple[int, ...]
) -> None:
    of_parts.gives_an_energy_an_event_or_says_why_not(kind, shape)


@pytest.mark.parametrize("name", [n for n in catalogue.datasets() if n not in ELSEWHERE])
def test_data_are_standardised_and_come_back(name: str) -> None:
    of_parts.is_standardised_and_comes_back(name)


# ---------------------------------------------------------------------- discovery


def test_a_file_that_fails_to_import_is_reported_and_the_rest_serve_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import backend.methods

    (tmp_path / "half_written.py").write_text("raise RuntimeError('half written')\n")
    monkeypatch.setattr(backend.methods, "__path__", [*backend.methods.__path__, str(tmp_path)])
    discovery.forget()
    try:
        assert [item.module for item in catalogue.broken()] == ["backend.methods.half_written"]
        assert "half written" in catalogue.broken()[0].error
        assert sorted(catalogue.methods()) == METHODS
    finally:
        discovery.forget()


def test_nothing_that_ships_is_broken() -> None:
    assert catalogue.broken() == []


def test_one_sign_everywhere() -> None:
    """Low energy is likely: p ∝ exp(−E) for data with a known density too."""
    for name in catalogue.datasets():
        if name not in ELSEWHERE:
            of_parts.has_one_sign(name, has_density=catalogue.datasets()[name].is_target)
