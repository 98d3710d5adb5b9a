"""`basin methods` and `basin doctor`: what is here."""

from __future__ import annotations

import sys
from typing import Any

import click

from backend.errors import BadInput
from jobs.cli.common import DONE, FAILED, answers, show, table


@click.command()
@click.argument("method", required=False)
@answers
def methods(method: str | None, as_json: bool) -> None:
    """List methods, or the fields of one with their bounds, units and help."""
    from backend import catalogue

    published = catalogue.publish()
    if method is None:
        found = published["methods"]
        rows = [(m["id"], ", ".join(m["presets"]), m["summary"]) for m in found.values()]
        text = table(("method", "presets", "what it does"), rows)
        text += "".join(f"\nbroken: {b['module']}: {b['error']}" for b in published["broken"])
        show(list(found.values()), as_json, text)
        return
    if method not in published["methods"]:
        known = ", ".join(published["methods"])
        raise BadInput.at("method", f"there is no method `{method}`. Known: {known}.")
    chosen = published["methods"][method]
    show(chosen, as_json, lambda: _method_in_words(chosen))


def _method_in_words(method: dict[str, Any]) -> str:
    lines = [f"{method['title']} ({method['id']})", method["summary"], method["references"], ""]
    lines += ["presets:"]
    lines += [f"  {name}: {preset['summary']}" for name, preset in method["presets"].items()]
    lines += ["", "config:", *fields_in_words(method["schema"])]
    return "\n".join(lines)


def fields_in_words(schema: dict[str, Any]) -> list[str]:
    """One line a field of a JSON schema: path, default, bounds, unit, help; unions unfolded."""
    lines: list[str] = []
    _walk(schema, schema.get("$defs", {}), "", lines)
    return lines


def _walk(schema: dict[str, Any], known: dict[str, Any], prefix: str, lines: list[str]) -> None:
    for name, given in schema.get("properties", {}).items():
        field = _resolved(given, known)
        path = f"{prefix}{name}"
        options = [_resolved(option, known) for option in field.get("oneOf", [])]
        options = options or [field] if "properties" in field else options
        if options:
            lines.append(f"  {path}: {given.get('description', field.get('description', ''))}")
            for option in options:
                kind = option["properties"].get("kind", {}).get("const") or option.get("title", "")
                lines.append(f"    {{kind: {kind}}}")
                _walk(option, known, f"    {path}.", lines)
        elif name != "kind":
            lines.append(f"  {path} = {field.get('default', '(required)')}{_bounds(field)}")
            lines.append(f"      {field.get('description', '')}")


def _resolved(field: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A field with its reference followed; what stands beside the reference wins."""
    if "$ref" in field:
        return {**known[field["$ref"].rpartition("/")[2]], **field}
    several = field.get("anyOf", [])
    plain = [option for option in several if option.get("type") != "null"]
    if len(plain) == 1:
        return {**_resolved(plain[0], known), **field}
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
@answers
def doctor(as_json: bool) -> None:
    """Say what is installed and found here, what is wrong, and how to mend it."""
    from jobs.services.doctor import examine

    findings = examine()
    sick = [finding for finding in findings if not finding.ok]

    def text() -> str:
        lines = []
        for finding in findings:
            lines.append(f"{'ok  ' if finding.ok else 'WRONG'}  {finding.name}: {finding.found}")
            if finding.mend:
                lines.append(f"       {finding.mend}")
        end = f"{len(sick)} thing(s) to mend." if sick else "Nothing is wrong."
        return "\n".join([*lines, end])

    value = {"ok": not sick, "findings": [finding.as_dict() for finding in findings]}
    show(value, as_json, text)
    sys.exit(FAILED if sick else DONE)
