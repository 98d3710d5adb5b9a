"""Tables of the fields of a Config, from its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from backend import catalogue
from scripts.documentation.markdown import code, prose, table

_SIGNS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
_Row = tuple[str, str, str, str, str]


def field_table(schema: dict[str, Any], up: str) -> str:
    """Table of fields: path, default, bounds, unit and sentence. `up` leads to the catalogue."""
    rows = _rows(schema, schema.get("$defs", {}), "", up)
    return table(("field", "default", "values", "unit", "what it is"), rows)


def _rows(
    schema: dict[str, Any], definitions: dict[str, Any], prefix: str, up: str
) -> Iterator[_Row]:
    for name, entry in schema.get("properties", {}).items():
        field = _resolved(entry, definitions)
        about = prose(str(entry.get("description", field.get("description", ""))))
        path = f"{prefix}{name}"
        options = [_resolved(option, definitions) for option in field.get("oneOf", [])]
        if options:
            kinds = [_kind(option, up) for option in options]
            default = _default(field.get("default", ""))
            yield code(path), default, ", ".join(kinds), "", about
            for option in options:
                if not _page(option):
                    yield from _rows(option, definitions, f"{path}.", up)
        elif "properties" in field:
            yield code(path), "", "", "", about
            yield from _rows(field, definitions, f"{path}.", up)
        elif name != "kind":
            default = _default(field.get("default", "required"))
            yield code(path), default, _bounds(field), prose(field.get("unit", "")), about


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Resolve a field's reference; what stands beside the reference wins."""
    if "$ref" in field:
        return {**definitions[field["$ref"].rpartition("/")[2]], **field}
    several = field.get("anyOf", [])
    plain = [option for option in several if option.get("type") != "null"]
    if len(plain) == 1:
        return {**_resolved(plain[0], definitions), **field}
    return {**field, "oneOf": several} if several and all("$ref" in o for o in several) else field


def _kind(option: dict[str, Any], up: str) -> str:
    name = str(option["properties"].get("kind", {}).get("const") or option.get("title", ""))
    page = _page(option)
    return f"[{name}]({up}{page}.md#{name})" if page else code(name)


def _page(option: dict[str, Any]) -> str:
    """Page of the catalogue that has a section on a kind, else nothing."""
    name, schema = option["properties"].get("kind", {}).get("const"), option.get("title")
    for page, classes in (
        ("samplers", catalogue.samplers()),
        ("energies", catalogue.networks()),
        ("distributions", catalogue.distributions()),
    ):
        if name in classes and classes[name].Config.__name__ == schema:
            return page
    return ""


def _default(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}: {item}" for key, item in value.items())
    return code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _bounds(field: dict[str, Any]) -> str:
    parts = [f"{sign} {field[key]:g}" for key, sign in _SIGNS if key in field]
    parts += map(str, field.get("enum", ()))
    if field.get("type") == "boolean":
        parts = ["true, false"]
    return prose(", ".join(parts))
