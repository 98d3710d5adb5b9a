"""Plain data, as people write it (YAML, JSON) and as forms and requests send it: bounded.

YAML is read by the core schema of YAML 1.2: `yes` is a word, 010 is ten, 1e4 a number and a date
a word. Aliases, tags and names given twice are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from backend.errors import BadInput

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 20_000
MAX_DIGITS = 19
"""Digits of a whole number: those of 64 bits."""

_Loads: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CORE = (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), "-+0123456789"),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        "-+.0123456789",
    ),
)
"""Scalars that are no words: type, pattern, and the characters they begin with."""


class _Loader(_Loads):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _bad(f"gives `{key.value[:60]}` twice. Keep one.", key.start_mark)
            seen.add(str(key.value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        text = str(node.value)
        if len(text) > 2 * MAX_DIGITS:
            raise _bad(f"holds a number of {len(text):,} digits.", node.start_mark)
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        text = str(node.value)
        return float(text.replace(".", "") if text[-1].isalpha() else text)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than a word."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern, _first in _CORE:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def load(text: str) -> Any:
    """The plain data of YAML or JSON text, within the bounds of `check`. Raises BadInput."""
    if len(text) > MAX_CHARACTERS:
        raise BadInput.at(
            "", f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read."
        )
    try:
        _look_over(text)
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise BadInput.at("", f"not valid YAML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput.at("", f"not valid YAML: {error}.") from error
    check(value)
    return value


def load_value(text: str) -> Any:
    """Value of one `field=TEXT`: a list, a mapping or quoted text as YAML has it; of all else a
    number, true, false, null, or the words as they are, ` #` and `: ` among them. Raises BadInput.
    """
    word = text.strip()
    if word[:1] in ("[", "{", '"', "'") or any(kind.match(word) for _, kind, _ in _CORE):
        return load(word)
    check(word)
    return word


def dump(value: Any) -> str:
    """YAML that `load` reads back as it was, and older readers too."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _bad(message: str, mark: Any) -> BadInput:
    return BadInput.at("", f"line {mark.line + 1} {message}")


def _look_over(text: str) -> None:
    """Raises BadInput for what may not be there at all, before anything is made of the text."""
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loads)
    for count, event in enumerate(events):
        if anchor := getattr(event, "anchor", None):
            raise _bad(
                f"uses an anchor or alias (&{anchor}, *{anchor}), which Basin does not read. Write "
                "the value out, or put quotes around the text.",
                event.start_mark,
            )
        if tag := getattr(event, "tag", None):
            raise _bad(
                f"uses the tag {tag[:60]}; only plain values are read. Remove it.",
                event.start_mark,
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        _check_bounds(depth, count // 2, f"line {event.start_mark.line + 1}")


def _check_bounds(depth: int, count: int, where: str) -> None:
    if depth > MAX_DEPTH:
        raise BadInput.at("", f"{where} is nested more than {MAX_DEPTH} deep.")
    if count > MAX_VALUES:
        raise BadInput.at("", f"holds more than {MAX_VALUES:,} values.")


def check(value: object, field: str = "") -> None:
    """Raises BadInput for what is no plain data: other types, numbers that are not finite or have
    more than 64 bits, control characters in text, too many values, or too deep a nesting."""
    waiting: list[tuple[object, str, int]] = [(value, field, 0)]
    count = characters = 0
    while waiting:
        item, where, depth = waiting.pop()
        count += 1
        _check_one(item, where)
        below: list[tuple[object, str]] = []
        if isinstance(item, dict):
            characters += sum(len(key) for key in item if isinstance(key, str))
            for key in item:
                if not isinstance(key, str):
                    reason = f"the name {key!r:.60} is no text. Put quotes around it."
                    raise BadInput.at(where, reason)
                _check_one(key, where)
            below = [(part, f"{where}.{key}" if where else key) for key, part in item.items()]
        elif isinstance(item, (list, tuple)):
            below = [(part, f"{where}.{index}") for index, part in enumerate(item)]
        elif isinstance(item, str):
            characters += len(item)
        _check_bounds(depth, count + len(waiting) + len(below), f"`{where[:60]}`")
        waiting += [(part, name, depth + 1) for part, name in reversed(below)]
        if characters > MAX_CHARACTERS:
            raise BadInput.at("", f"holds more than {MAX_CHARACTERS:,} characters of text.")


def _check_one(item: object, where: str) -> None:
    if isinstance(item, str):
        if problem := text_problem(item):
            raise BadInput.at(where, problem)
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise BadInput.at(where, f"must be a finite number, got {item}.")
    elif isinstance(item, int):
        if not -(2**63) <= item < 2**64:
            raise BadInput.at(where, "must be a whole number of at most 64 bits, got a larger one.")
    elif item is not None and not isinstance(item, (bool, dict, list, tuple)):
        raise BadInput.at(where, f"must be text, a number or true or false, got {type(item)}.")


def text_problem(text: str) -> str:
    """Problem with the characters of a text; "" for none."""
    if match := _CONTROL.search(text):
        return (
            f"holds the control character U+{ord(match[0]):04X} at place {match.start() + 1}. "
            "Remove it."
        )
    return ""
