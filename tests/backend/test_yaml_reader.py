"""Plain data: what YAML may say, what is refused and how; nothing is changed on the way."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from backend.claims import recipe
from backend.errors import BadInput
from backend.spec import from_dict, parse
from backend.system import yaml_reader


def refused(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        yaml_reader.load(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("-3", -3),
        ("1e4", 10_000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2026-03-01", "2026-03-01"),
        ("1:30", "1:30"),
        ("10_000", "10_000"),
        ("'1'", "1"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    found = yaml_reader.load(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        "1e4",
        "010",
        "yes",
        "on",
        "1:30",
        "2026-03-01",
        "10_000",
        ".inf",
        "~",
        "",
        "0o17",
        "*a",
        "&b",
        "trial #3",
        "a: b",
        "- x",
        "é\n\tb ",
        "=",
        "<<",
        1,
        1e20,
        1e-7,
        True,
        None,
        [1, [2.5]],
        {},
    ],
)
def test_what_is_written_comes_back_from_this_reader_and_from_others(value: object) -> None:
    text = yaml_reader.dump({"a": value})
    found = yaml_reader.load(text)["a"]
    assert found == value and type(found) is type(value)
    assert yaml.safe_load(text) == {"a": value}


def test_what_stands_twice_in_the_data_is_written_out_twice() -> None:
    shared = [1, 2]
    assert yaml_reader.load(yaml_reader.dump({"a": shared, "b": shared})) == {
        "a": [1, 2],
        "b": [1, 2],
    }


def bomb(depth: int = 9) -> str:
    """Nine lines that stand for a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, depth):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb(), "line 1 uses an anchor or alias (&a0, *a0)"),
        ("a: 1\nb: *a", "line 2 uses an anchor or alias"),
        ("a: !!python/object/apply:os.system [x]", "line 1 uses the tag tag:yaml.org,2002:python"),
        ("a: !!binary aGk=", "uses the tag"),
        ("seed: 1\nname: x\nseed: 2", "line 3 gives `seed` twice"),
        ("a: {b: 1, b: 2}", "line 1 gives `b` twice"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("x: " + "{a: " * 5000, "nested more than 32 deep"),
        ("- " * 40 + "1", "nested more than 32 deep"),
        ("a: [" + "1," * 300_000 + "]", "holds more than 20,000 values"),
        ("a: '" + "x" * 1_000_000 + "'", "1,000,005 characters; at most 1,000,000 are read"),
        ("a: " + "9" * 5000, "a number of 5,000 digits"),
        ("a: " + "9" * 25, "at most 64 bits"),
        ("a: .nan", "must be a finite number, got nan"),
        ("a: 1e999", "must be a finite number, got inf"),
        ('a: "x\\0y"', "control character U+0000 at place 2"),
        ('a: "\\e[2J"', "control character U+001B"),
        ("1: 2", "the name 1 is no text"),
        ("[[1]: 2", "not valid YAML"),
        ("\ud800", "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
    ids=lambda value: value[:12],
)
def test_what_is_no_plain_bounded_data_is_refused_at_once(text: str, says: str) -> None:
    start = time.process_time()
    assert says in refused(text)
    assert time.process_time() - start < 2


@pytest.mark.bad_input
def test_specs_and_recipes_are_read_by_the_same_rules() -> None:
    for read in (parse, lambda text: recipe.parse(text, "x")):
        with pytest.raises(BadInput, match="anchor or alias"):
            read(bomb())


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        (deep(5000), "", "nested more than 32 deep"),
        ({"a": [0] * 30_000}, "", "holds more than 20,000 values"),
        ({"a": "x" * 2_000_000}, "", "characters of text"),
        ({"a": float("nan")}, "config.a", "finite number"),
        ({"a": 10**30}, "config.a", "at most 64 bits"),
        ({"a": "\ud800"}, "config.a", "U+D800"),
        ({"a": b"x"}, "config.a", "must be text, a number or true or false"),
        ({3: 1}, "config", "the name 3 is no text"),
    ],
)
def test_what_a_form_or_a_request_sends_has_the_same_bounds(
    config: Any, field: str, says: str
) -> None:
    with pytest.raises(BadInput) as caught:
        from_dict({"method": "m", "data": {"name": "ring"}, "config": config})
    (problem,) = caught.value.problems
    assert problem.field == field and says in problem.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("trial #3", "trial #3"),
        ("ablation: lr", "ablation: lr"),
        ("1e4", 10_000.0),
        ("8", 8),
        ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}),
        ("'8'", "8"),
        ("*x", "*x"),
        ("", None),
        ("010", 10),
        ("1:30", "1:30"),
        ("true", True),
        ("/data/run #3/x.npy", "/data/run #3/x.npy"),
    ],
)
def test_a_value_on_the_command_line_is_not_cut_nor_turned(text: str, value: object) -> None:
    found = yaml_reader.load_value(text)
    assert found == value and type(found) is type(value)
