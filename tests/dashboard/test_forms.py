"""Forms: a Config's schema becomes fields, and what they hold is a Config again."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from backend import catalogue
from dashboard import forms
from dashboard.forms import Choice, Leaf

METHODS = sorted(catalogue.methods())
SCHEMA: dict[str, Any] = {
    "$defs": {
        "A": {"properties": {"kind": {"const": "a"}, "size": {"type": "integer", "default": 3}}},
        "B": {"properties": {"kind": {"const": "b"}, "rate": {"type": "number", "default": 0.5}}},
        "Inner": {"properties": {"flag": {"type": "boolean", "default": True}}},
    },
    "properties": {
        "part": {"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "default": {"kind": "b"}},
        "inner": {"$ref": "#/$defs/Inner", "default": {}},
        "word": {"type": "string", "enum": ["x", "y"], "default": "y"},
        "path": {"type": "string"},
    },
}


def test_defaults_are_written_out() -> None:
    assert forms.defaults(SCHEMA, SCHEMA) == {
        "part": {"kind": "b", "rate": 0.5},
        "inner": {"flag": True},
        "word": "y",
    }


def test_parts_follow_the_kind_that_is_chosen() -> None:
    values = {"part": {"kind": "a", "size": 5}}
    found = forms.parts(SCHEMA, values, SCHEMA)
    assert isinstance(found[0], Choice) and found[0].kind == "a"
    assert [leaf.path for leaf in found if isinstance(leaf, Leaf)] == [
        ("part", "size"), ("inner", "flag"), ("word",), ("path",),
    ]  # fmt: skip
    assert next(leaf.value for leaf in found if isinstance(leaf, Leaf)) == 5


def test_only_differences_are_kept() -> None:
    base = {"a": 1, "part": {"kind": "b", "rate": 0.5}, "inner": {"x": 1, "y": 2}}
    assert forms.difference(base, base) == {}
    changed = {"a": 1, "part": {"kind": "a", "size": 3}, "inner": {"x": 1, "y": 3}}
    assert forms.difference(changed, base) == {
        "part": {"kind": "a", "size": 3}, "inner": {"y": 3},
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_of_every_method_gives_its_config_back(method: str) -> None:
    cls = catalogue.methods()[method]
    schema = cls.Config.model_json_schema()
    values = forms.defaults(schema, schema)
    assert cls.Config.model_validate(values) == cls.Config()


def _form(method: str, preset: str) -> None:
    """The script that AppTest runs: it must stand alone."""
    import streamlit as st

    from backend import catalogue
    from dashboard import draft, forms
    from dashboard.forms import Form

    published = catalogue.publish()
    item = published["methods"][method]
    values = draft.preset_values(item, preset)
    titles = {k: (v["title"], v["summary"]) for k, v in published["samplers"].items()}
    problems = {"config.train.learning_rate": "must be > 0, got -1."}
    st.session_state["result"] = forms.show(
        item["schema"], values, Form(key="t", titles=titles, problems=problems)
    )


PRESETS = [(m, preset) for m, cls in catalogue.methods().items() for preset in cls.presets]


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_every_methods_form_renders_and_holds_its_preset(method: str, preset: str) -> None:
    app = AppTest.from_function(_form, args=(method, preset), default_timeout=30).run()
    assert not app.exception
    cls = catalogue.methods()[method]
    held = cls.Config.model_validate(app.session_state["result"])
    assert held == cls.Config.model_validate(
        catalogue.merge(catalogue.publish()["methods"][method]["presets"][preset]["config"], {})
    )


def test_typing_changes_one_value_and_a_problem_stands_under_its_field() -> None:
    app = AppTest.from_function(
        _form, args=("contrastive_divergence", "persistent"), default_timeout=30
    ).run()
    app.number_input(key="t:config.num_steps").set_value(7).run()
    assert app.session_state["result"]["num_steps"] == 7
    said = [item.value for item in app.markdown]
    assert any("`learning_rate` must be > 0, got -1." in text for text in said)


def test_another_kind_brings_its_own_fields() -> None:
    app = AppTest.from_function(
        _form, args=("contrastive_divergence", "default"), default_timeout=30
    ).run()
    app.selectbox(key="t:config.sampler.kind").set_value("hmc").run()
    assert not app.exception
    held = app.session_state["result"]["sampler"]
    assert held["kind"] == "hmc" and held["num_leapfrog"] == 10
    assert "noise_scale" not in held
