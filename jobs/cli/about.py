"""`basin methods` and `basin doctor`: commands that list the methods and check the installation."""

from __future__ import annotations

import sys
from typing import Any

import click

from backend.errors import BadInput
from jobs.cli.common import DONE, FAILED, json_command, show, table


@click.command()
@click.argument("method", required=False)
@json_command
def methods(method: str | None, as_json: bool) -> None:
    """List methods, or the fields of one with their bounds, units and help."""
    from backend import catalogue

    published = catalogue.publish()
    if method is None:
        by_id = published["methods"]
        rows = [(m["id"], ", ".join(m["presets"]), m["summary"]) for m in by_id.values()]
        text = table(("method", "presets", "what it does"), rows)
        text += "".join(f"\nbroken: {b['module']}: {b['error']}" for b in published["broken"])
        show(list(by_id.values()), as_json, text)
        return
    if method not in published["methods"]:
        names = ", ".join(published["methods"])
        raise BadInput.at("method", f"there is no method `{method}`. Known: {names}.")
    entry = published["methods"][method]
    show(entry, as_json, lambda: _method_in_words(entry))


def _method_in_words(method: dict[str, Any]) -> str:
    lines = [f"{method['title']} ({method['id']})", method["summary"], method["references"], ""]
    lines += ["presets:"]
    lines += [f"  {name}: {preset['summary']}" for name, preset in method["presets"].items()]
    lines += ["", "config:", *fields_in_words(method["schema"])]
    return "\n".join(lines)


def fields_in_words(schema: dict[str, Any]) -> list[str]:
    """Describe the fields of a JSON schema, unions unfolded: path, default, bounds, unit, help."""
    lines: list[str] = []
    _walk(schema, schema.get("$defs", {}), "", lines)
    return lines


def _walk(
    schema: dict[str, Any], definitions: dict[str, Any], prefix: str, lines: list[str]
) -> None:
    for name, entry in schema.get("properties", {}).items():
        field = _resolved(entry, definitions)
        path = f"{prefix}{name}"
        options = [_resolved(option, definitions) for option in field.get("oneOf", [])]
        options = options or [field] if "properties" in field else options
        if options:
            lines.append(f"  {path}: {entry.get('description', field.get('description', ''))}")
            for option in options:
                kind = option["properties"].get("kind", {}).get("const") or option.get("title", "")
                lines.append(f"    {{kind: {kind}}}")
                _walk(option, definitions, f"    {path}.", lines)
        elif name != "kind":
            lines.append(f"  {path} = {field.get('default', '(required)')}{_bounds(field)}")
            lines.append(f"      {field.get('description', '')}")


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Resolve a field's reference; what stands beside the reference wins."""
    if "$ref" in field:
        return {**definitions[field["$ref"].rpartition("/")[2]], **field}
    several = field.get("anyOf", [])
    plain = [option for option in several if option.get("type") != "null"]
    if len(plain) == 1:
        return {**_resolved(plain[0], definitions), **field}
    return {**field, "oneOf": several} if several and all("$ref" in o for o in several) else field


def _bounds(field: dict[str, Any]) -> str:
    signs = (
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    )
    parts = [f"{sign} {field[key]:g}" for key, sign in signs if key in field]
    if "enum" in field:
        parts.append("one of " + ", ".join(map(str, field["enum"])))
    if field.get("unit"):
        parts.append(field["unit"])
    return f"   [{', '.join(parts)}]" if parts else ""


@click.command()
@json_command
def doctor(as_json: bool) -> None:
    """Say what is installed and found here, what is wrong, and how to mend it."""
    from jobs.services.doctor import examine

    findings = examine()
    sick = [finding for finding in findings if not finding.ok]

    def text() -> str:
        lines = []
        for finding in findings:
            lines.append(f"{'ok  ' if finding.ok else 'WRONG'}  {finding.name}: {finding.result}")
            if finding.mend:
                lines.append(f"       {finding.mend}")
        end = f"{len(sick)} thing(s) to mend." if sick else "Nothing is wrong."
        return "\n".join([*lines, end])

    value = {"ok": not sick, "findings": [finding.as_dict() for finding in findings]}
    show(value, as_json, text)
    sys.exit(FAILED if sick else DONE)
