"""What for, which data, which method: each leaves out what does not fit the others."""

from __future__ import annotations

from typing import Any

import pytest

from backend import catalogue
from backend.spec import RunSpec
from dashboard.forms import data_chooser, method_choice, method_fields
from dashboard.forms.draft import Answer, Source
from jobs.models.data_outline import outline
from jobs.queueing.enqueue import Check

METHODS = catalogue.publish()


@pytest.fixture(autouse=True)
def outlines(monkeypatch: pytest.MonkeyPatch) -> None:
    def preview_of(name: str) -> dict[str, Any] | None:
        if name not in ("ring", "moons", "wine", "digits", "ising", "hypergrid"):
            return None
        return {"outline": outline(catalogue.resolve_data({"name": name}).load())}

    monkeypatch.setattr(data_chooser, "preview_of", preview_of)


def test_targets_stand_apart_from_what_is_learned() -> None:
    learned = method_fields.data_for("learn", METHODS)
    targets = method_fields.data_for("sample", METHODS)
    assert {"ring", "digits", "file", "hypergrid"} <= set(learned)
    apart = {"lennard_jones", "potts", "enumerable", "factor_graph", "logistic_regression"}
    assert apart <= set(targets) and not apart & set(learned)
    contexts = {"digits_denoising", "forked_future", "pendulum", "bouncing_balls", "reach"}
    assert contexts <= set(method_fields.data_for("predict", METHODS))
    assert not contexts & set(learned)
    classified = method_fields.data_for("classify", METHODS)
    assert {"digits", "digit_sums"} <= set(classified) and "digits_denoising" not in classified
    assert {"moons", "digits"} <= set(method_fields.data_for("cluster", METHODS))
    assert "digit_sums" not in learned


def test_every_method_is_for_something() -> None:
    purposes = {name: method_fields.purpose_of(item) for name, item in METHODS["methods"].items()}
    assert set(purposes.values()) == set(method_fields.PURPOSES)
    assert (purposes["sampling"], purposes["joint_energy"]) == ("sample", "classify")
    assert (purposes["energy_transformer"], purposes["gedi"]) == ("predict", "cluster")
    # none of these has a density of the data: a known target, and what needs classes
    assert [purposes[name] for name in ("gflownet", "guard", "tabebm")] == [
        "sample",
        *["classify"] * 2,
    ]


@pytest.mark.parametrize(
    ("method", "data", "is_proposed"),
    [
        ("contrastive_divergence", "moons", True),
        ("gedi", "moons", False),
        ("joint_energy", "moons", False),
        ("sampling", "ring", False),
        ("energy_transformer", "digits_denoising", True),
    ],
)
def test_a_method_is_proposed_for_the_purpose_of_the_draft_alone(
    method: str, data: str, is_proposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(method_choice.st, "markdown", said.append)
    monkeypatch.setattr(method_choice.bakeoffs, "newest_of", lambda data: [])
    spec = RunSpec(method=method, data={"name": data})
    check = Check(True, spec=spec, data={"event_shape": [2], "num_train": 900})
    method_choice.show(Answer("", check), METHODS, lambda source: None)
    assert any(word.startswith("Proposed: ") for word in said) == is_proposed


@pytest.mark.parametrize(
    ("seen", "method", "preset"),
    [
        ({"event_shape": [16, 16], "is_image": True}, "contrastive_divergence", "images"),
        ({"event_shape": [5], "num_train": 900}, "noise_contrastive", "default"),
        ({"event_shape": [2], "num_train": 900}, "exact_likelihood", "default"),
        ({"event_shape": [9], "is_discrete": True}, "contrastive_divergence", "discrete"),
    ],
)
def test_own_files_bring_the_method_and_the_preset_for_their_kind(
    seen: dict[str, Any], method: str, preset: str
) -> None:
    first = Source({"method": "contrastive_divergence", "preset": "persistent", "data": {}})
    fitting = ["contrastive_divergence", "noise_contrastive", "exact_likelihood"]
    wanted = method_fields._wanted(first, {"name": "file", "path": "x"}, seen, fitting, METHODS)
    assert wanted == (method, preset)


def test_a_file_with_concepts_brings_the_method_that_learns_from_them() -> None:
    first = Source({"method": "adversarial_training", "preset": "default", "data": {}})
    seen = {"event_shape": [2], "num_train": 64, "classes": ["owl", "wren"]}
    fitting = ["adversarial_training", "joint_energy", "concept_bottleneck"]
    data = {"name": "file", "path": "x"}
    with_concepts = {**seen, "gives": ["concepts"]}
    wanted = method_fields._wanted(first, data, with_concepts, fitting, METHODS)
    assert wanted == ("concept_bottleneck", "default")
    assert method_fields._wanted(first, data, seen, fitting, METHODS)[0] == "adversarial_training"


@pytest.mark.parametrize(("dim", "preset"), [(2, "default"), (4, "default"), (30, "tables")])
def test_a_preset_made_for_data_of_as_many_coordinates_is_taken(dim: int, preset: str) -> None:
    """Chains of the one for two coordinates fall behind on tables, and the energy runs away."""
    seen = {"event_shape": [dim], "classes": ["a", "b"]}
    method = METHODS["methods"]["joint_energy"]
    assert method_fields._preset_of(method, {"name": "file"}, seen, METHODS) == preset
    others = METHODS["methods"]["noise_contrastive"]
    assert method_fields._preset_of(others, {"name": "file"}, seen, METHODS) == "default"


def test_a_data_set_the_method_does_not_fit_brings_one_that_does() -> None:
    first = Source({"method": "exact_likelihood", "preset": "default", "data": {"name": "ring"}})
    data = {"name": "ising"}
    seen = data_chooser.outline_of(data, METHODS)
    wanted = method_fields._wanted(first, data, seen, ["contrastive_divergence"], METHODS)
    assert wanted == ("contrastive_divergence", "discrete")
