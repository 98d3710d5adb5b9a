"""Markdown of plain text: docstrings and sentences of the catalogue as they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SIGNS = re.compile(r"([\\*_\[\]<>|#~])")


def prose(text: str) -> str:
    """Escape what Markdown would read as its own, but for code between backticks."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        part.replace("|", "&#124;") if part.startswith("`") else _SIGNS.sub(_entity, part)
        for part in parts
    )


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[1])};"


def code(text: object) -> str:
    """Code in a sentence or a cell, or nothing where there is none."""
    plain = str(text).replace("|", "&#124;").replace("<", "&lt;").replace("\n", " ")
    return f"<code>{plain}</code>" if plain else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Table of Markdown; nothing where there are no rows."""
    lines = [f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines, ""])


def docstring(text: str) -> tuple[str, str]:
    """Split a docstring into its first paragraph and the rest, both without indentation."""
    lines = text.strip().splitlines()
    whole = (
        "\n".join([lines[0], *(line.removeprefix("    ") for line in lines[1:])]) if lines else ""
    )
    first, _, rest = whole.partition("\n\n")
    return first, rest.strip()


def formula(text: str) -> str:
    """Fenced block of an equation, as it stands in the code."""
    return f"```text\n{text}\n```\n" if text else ""
