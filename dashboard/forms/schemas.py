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


def written_out(schema: dict[str, Any], values: Values, root: dict[str, Any]) -> Values:
    """Fill values with the defaults of what they leave out; another kind brings its own
    defaults."""
    result = defaults(schema, root)
    for name, value in values.items():
        part = resolved(schema.get("properties", {}).get(name, {}), root)
        kinds = kinds_of(part, root)
        if kinds and isinstance(value, dict) and str(value.get("kind")) in kinds:
            result[name] = written_out(kinds[value["kind"]], value, root)
        elif "properties" in part and isinstance(value, dict):
            result[name] = written_out(part, value, root)
        elif isinstance(value, dict) or not (kinds or "properties" in part):
            result[name] = value  # a part that is none gets its default
    return result


def with_value(values: Values, path: tuple[str, ...], value: Any) -> Values:
    """Copy values with one replaced."""
    name, *rest = path
    inner = with_value(dict(values.get(name) or {}), tuple(rest), value) if rest else value
    return {**values, name: inner}
