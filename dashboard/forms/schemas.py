"""JSON schemas of Configs: references resolved, kinds of a part, defaults written out."""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Resolve the schema where it refers to another part of the root; its own words count."""
    while "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def kinds_of(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return schemas by `kind` of a tagged union; {} for anything else."""
    members = [resolved(item, root) for item in schema.get("oneOf", schema.get("anyOf", []))]
    by_kind = {}
    for member in members:
        kind = member.get("properties", {}).get("kind", {}).get("const")
        if kind is not None:
            by_kind[str(kind)] = member
    return by_kind


def defaults(schema: dict[str, Any], root: dict[str, Any]) -> Values:
    """Collect the default of every field, nested parts written out."""
    values: Values = {}
    for name, raw in schema.get("properties", {}).items():
        part = resolved(raw, root)
        kinds = kinds_of(part, root)
        default = part.get("default")
        if kinds:
            kind = str(default["kind"]) if isinstance(default, dict) else next(iter(kinds))
            values[name] = {**defaults(kinds[kind], root), **(default or {})}
        elif "properties" in part:
            values[name] = {**defaults(part, root), **(default or {})}
        elif default is not None:
            values[name] = default
    return values
