"""Forms: a Config's schema becomes fields, and what they hold is a Config again."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from backend import catalogue
from dashboard.forms import form_fields, schemas
from dashboard.forms.form_fields import Choice, Leaf

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
    assert schemas.defaults(SCHEMA, SCHEMA) == {
        "part": {"kind": "b", "rate": 0.5},
        "inner": {"flag": True},
        "word": "y",
    }


def test_parts_follow_the_kind_that_is_chosen() -> None:
    values = {"part": {"kind": "a", "size": 5}}
    found = form_fields.parts(SCHEMA, values, SCHEMA)
    assert isinstance(found[0], Choice) and found[0].kind == "a"
    assert [leaf.path for leaf in found if isinstance(leaf, Leaf)] == [
        ("part", "size"),
        ("inner", "flag"),
        ("word",),
        ("path",),
    ]
    assert next(leaf.value for leaf in found if isinstance(leaf, Leaf)) == 5


def test_only_differences_are_kept() -> None:
    base = {"a": 1, "part": {"kind": "b", "rate": 0.5}, "inner": {"x": 1, "y": 2}}
    assert form_fields.difference(base, base) == {}
    changed = {"a": 1, "part": {"kind": "a", "size": 3}, "inner": {"x": 1, "y": 3}}
    assert form_fields.difference(changed, base) == {
        "part": {"kind": "a", "size": 3},
        "inner": {"y": 3},
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_of_every_method_gives_its_config_back(method: str) -> None:
    cls = catalogue.methods()[method]
    schema = cls.Config.model_json_schema()
    values = schemas.defaults(schema, schema)
    assert cls.Config.model_validate(values) == cls.Config()


@pytest.mark.parametrize("ability", sorted(catalogue.abilities()))
def test_the_schema_of_every_ability_gives_its_config_back(ability: str) -> None:
    cls = catalogue.abilities()[ability]
    schema = cls.Config.model_json_schema()
    values = schemas.defaults(schema, schema)
    assert cls.Config.model_validate(values) == cls.Config()
    drawn = {field.split(".")[0] for field in form_fields.fields_of(schema, values)}
    assert drawn >= set(values)


def test_lists_are_typed_with_commas_or_chosen() -> None:
    def script() -> None:
        import streamlit as st

        from dashboard.forms import form_fields
        from dashboard.forms.form_fields import Form

        words = {"type": "array", "items": {"type": "string"}, "main": True, "default": ["a", "b"]}
        schema = {
            "properties": {
                "strengths": {**words, "default": [0.5, 1]},
                "runs": {**words, "default": []},
                "sets": {**words, "items": {"enum": ["x", "y"]}, "default": ["y"]},
            }
        }
        form = Form(key="t", choices={"config.runs": {"r1": "first run", "r2": "second run"}})
        st.session_state["result"] = form_fields.show(schema, {}, form)

    app = AppTest.from_function(script).run(timeout=30)
    assert app.session_state["result"] == {"strengths": [0.5, 1], "runs": [], "sets": ["y"]}
    app.text_input[0].input("0, 2.5, each").run()
    app.multiselect[0].select("r2").run()
    assert app.session_state["result"] == {
        "strengths": [0, 2.5, "each"],
        "runs": ["r2"],
        "sets": ["y"],
    }


def _odd_forms() -> None:
    """Forms that a link or a file gives odd values; the script that AppTest runs."""
    from dashboard.forms import form_fields
    from dashboard.forms.form_fields import Form

    kind = {"properties": {"kind": {"const": "one"}, "size": {"type": "integer", "default": 1}}}
    schema = {
        "properties": {
            "whole": {"type": "integer", "default": 3},
            "real": {"type": "number", "default": 0.5},
            "text": {"type": "string", "default": "a"},
            "on": {"type": "boolean", "default": True},
            "word": {"enum": ["a", "b"], "default": "a"},
            "list": {"type": "array", "items": {"type": "number"}, "default": [1]},
            "sets": {"type": "array", "items": {"enum": ["x", "y"]}, "default": ["y"]},
            "part": {"properties": {"inner": {"type": "integer", "default": 1}}},
            "choice": {"oneOf": [kind], "default": {"kind": "one"}},
        },
    }
    odd = [
        None,
        "x",
        "",
        True,
        -1,
        0.5,
        10**400,
        float("inf"),
        float("nan"),
        [],
        [[1]],
        ["x", "x"],
        {},
        {"kind": "x"},
        {"kind": []},
        {"a": {"b": 1}},
    ]
    for number, value in enumerate(odd):
        form_fields.show(schema, dict.fromkeys(schema["properties"], value), Form(key=f"t{number}"))


@pytest.mark.bad_input
def test_no_value_of_a_link_or_a_file_breaks_a_form() -> None:
    app = AppTest.from_function(_odd_forms, default_timeout=60).run()
    assert [error.message for error in app.exception] == []
    assert len(app.toggle) == 16


def test_parts_are_called_what_they_call_themselves() -> None:
    schema = catalogue.methods()["recovery_likelihood"].Config.model_json_schema()
    choices = [p for p in form_fields.parts(schema, {}, schema) if isinstance(p, Choice)]
    (base,) = [choice for choice in choices if choice.path == ("base",)]
    assert base.kinds["gaussian"]["kind_title"] == "The data's Gaussian"


def _form(method: str, preset: str) -> None:
    """The script that AppTest runs: it must stand alone."""
    import streamlit as st

    from backend import catalogue
    from dashboard.forms import draft, form_fields
    from dashboard.forms.form_fields import Form

    published = catalogue.publish()
    item = published["methods"][method]
    values = draft.preset_values(item, preset)
    problems = {"config.train.learning_rate": "must be > 0, got -1."}
    st.session_state["result"] = form_fields.show(
        item["schema"], values, Form(key="t", problems=problems)
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
    assert any("Learning rate must be > 0, got -1." in text for text in said)


def test_another_kind_brings_its_own_fields() -> None:
    app = AppTest.from_function(
        _form, args=("contrastive_divergence", "default"), default_timeout=30
    ).run()
    app.selectbox(key="t:config.sampler.kind").set_value("hmc").run()
    assert not app.exception
    held = app.session_state["result"]["sampler"]
    assert held["kind"] == "hmc" and held["num_leapfrog"] == 10
    assert "noise_scale" not in held
