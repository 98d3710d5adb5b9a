"""RunSpec: what a file may say, what is refused and how, and what identifies the work."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import BadInput
from backend.spec import Budget, RunSpec, from_dict, parse

FULL = """
name: ring by persistent chains
method: contrastive_divergence
preset: persistent
data: {name: ring}
config: {energy: {kind: mlp, width: 64}}
budget: {steps: 3000}
seed: 7
device: auto
tags: [demo]
notes: "E is unitless – nats"
"""


def test_the_file_format_is_read_completely() -> None:
    spec = parse(FULL)
    assert spec.name == "ring by persistent chains" and spec.preset == "persistent"
    assert spec.data == {"name": "ring"} and spec.config["energy"]["width"] == 64
    assert spec.budget.steps == 3000 and spec.seed == 7 and spec.tags == ["demo"]


def test_all_but_method_and_data_is_optional() -> None:
    spec = parse("method: m\ndata: {name: ring}")
    assert spec.preset == "default" and spec.seed == 0 and spec.budget.is_empty()
    assert spec.device == "auto" and spec.precision == "float32"


def test_json_is_read_too() -> None:
    assert parse('{"method": "m", "data": {"name": "ring"}, "seed": 3}').seed == 3


def test_yaml_comes_back_as_it_was() -> None:
    spec = parse(FULL)
    assert parse(spec.to_yaml()) == spec
    assert "–" in spec.to_yaml()


def test_a_setting_that_is_null_and_a_word_that_looks_like_a_number_come_back() -> None:
    raw = {"method": "m", "data": {"name": "ring"}, "config": {"clip": None}, "name": "1e4"}
    spec = from_dict(raw)
    assert parse(spec.to_yaml()) == spec and spec.config == {"clip": None}
    assert "null" not in parse("method: m\ndata: {name: ring}").to_yaml()


def test_a_name_may_be_written_as_a_bare_number() -> None:
    spec = parse("method: m\ndata: {name: ring}\nname: 42\ntags: [3, a]\nnotes: 2026")
    assert (spec.name, spec.tags, spec.notes) == ("42", ["3", "a"], "2026")


def test_names_tags_and_notes_do_not_change_the_work() -> None:
    spec = parse(FULL)
    relabelled = spec.model_copy(update={"name": "x", "tags": [], "notes": ""})
    assert relabelled.work_hash() == spec.work_hash() and len(spec.work_hash()) == 12
    changes: list[dict[str, Any]] = [
        {"seed": 8},
        {"budget": Budget(steps=1)},
        {"config": {}},
        {"device": "cpu"},
    ]
    for change in changes:
        assert spec.model_copy(update=change).work_hash() != spec.work_hash()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"colour": 1}, "colour", "there is no field `colour`"),
        ({"budget": {"epochs": 3}}, "budget.epochs", "there is no field `epochs`"),
        ({"budget": {"steps": 0}}, "budget.steps", "must be ≥ 1, got 0"),
        ({"budget": {"seconds": -1.5}}, "budget.seconds", "must be > 0, got -1.5"),
        ({"seed": -1}, "seed", "must be ≥ 0, got -1"),
        ({"seed": "many"}, "seed", "got 'many'"),
        ({"device": "tpu"}, "device", "got 'tpu'"),
        ({"precision": "float16"}, "precision", "got 'float16'"),
        ({"method": None}, "method", "got None"),
        ({"data": "ring"}, "data", "got 'ring'"),
        ({"name": "x" * 121}, "name", "120"),
        ({"name": True}, "name", "must be text, got True. Put quotes around it."),
        ({"tags": ["x" * 61]}, "tags.0", "60"),
        ({"seed": 10**18}, "seed", "must be ≤ 2.14748e+09"),
        ({"budget": {"seconds": "inf"}}, "budget.seconds", "finite"),
        ({"budget": {"seconds": "1e999"}}, "budget.seconds", "finite"),
        ({"budget": {"gradients": 10**18}}, "budget.gradients", "must be ≤ 1e+15"),
    ],
)
def test_what_breaks_a_rule_is_named_with_the_rule_and_the_value(
    change: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(BadInput) as caught:
        from_dict({"method": "m", "data": {"name": "ring"}, **change})
    (problem,) = caught.value.problems
    assert problem.field == field and words in problem.message


@pytest.mark.bad_input
def test_every_problem_is_named_not_the_first_alone() -> None:
    with pytest.raises(BadInput) as caught:
        from_dict({"seed": -1, "colour": 1})
    assert {problem.field for problem in caught.value.problems} == {
        "method",
        "data",
        "seed",
        "colour",
    }
    assert any("required" in problem.message for problem in caught.value.problems)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "text", ["a: [1", "- a\n- b", "just words", "", "3", "!!python/object:x {}"]
)
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


def test_a_spec_is_plain_data() -> None:
    spec = parse(FULL)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
