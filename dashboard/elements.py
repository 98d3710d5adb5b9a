"""Elements that several pages share: words of status, numbers as people read them, notes."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from jobs import report_cards
from jobs.records.status import Status

HERE = Path(__file__).resolve().parent
THIN = "\u2009"
MINUS = "\u2212"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

STATUS = {
    "queued": ("◌", "muted"),
    "running": ("◉", "accent"),
    "paused": ("❚❚", "muted"),
    "finished": ("✓", "good"),
    "stopped": ("■", "muted"),
    "failed": ("✕", "alarm"),
    "diverged": ("↗", "alarm"),
    "lost": ("⚯", "alarm"),
}
"""Sign and colour token of every status; the word always stands beside them."""


@cache
def colours(theme: str = "light") -> dict[str, Any]:
    """Read the colour tokens of a theme, `light` or `dark`."""
    tokens: dict[str, dict[str, Any]] = json.loads((HERE / "live" / "colours.json").read_text())
    return tokens[theme]


def status_word(status: str) -> str:
    """Build HTML of a status: sign, colour and word."""
    sign, token = STATUS[status]
    style = f"color: var(--basin-{token})"
    return f'<span class="basin-word" style="{style}"><i>{sign}</i> {status}</span>'


def data_of(run: Status) -> str:
    """Name a run's data: one's own file by its own name, all else as the catalogue does."""
    path = run.settings.get("data.path")
    return Path(path).stem or run.data if isinstance(path, str) and path else run.data


def name_of(run: Status) -> str:
    """Name a run: its own name, else its data and its preset or method."""
    variant = run.method if run.preset == "default" else run.preset
    return run.name or f"{data_of(run)}, {variant.replace('_', ' ')}"


Fact = str | tuple[str, str]
"""Words, or words and the address that they lead to."""


def head(title: str, word: str = "", facts: Sequence[Fact] | None = None, tab: str = "") -> None:
    """Draw the head of a page: title, status, one grey line of facts. Everything is escaped.

    tab: title of the browser's tab, where more is needed to tell it from others.
    """
    st.set_page_config(page_title=f"{tab or title} · Basin")
    parts = [f'<div class="basin-head"><h1>{html.escape(title)}</h1>{word}</div>']
    if facts:
        spans = "".join(f"<span>{_fact(fact)}</span>" for fact in facts if fact)
        parts.append(f'<div class="basin-facts">{spans}</div>')
    st.html("".join(parts))


def _fact(fact: Fact) -> str:
    if isinstance(fact, str):
        return html.escape(fact)
    words, address = fact
    return f'<a href="{html.escape(address)}" target="_self">{html.escape(words)}</a>'


def empty(message: str, page: str = "", label: str = "") -> None:
    """Draw a note for a page with nothing to show, and what to do next."""
    with st.container(border=True):
        st.markdown(message)
        if page:
            st.page_link(page, label=label, icon=":material/arrow_forward:")


def code(text: str, *, height: int = 0) -> None:
    """Draw text as it is, with a button that copies it. Streamlit's own brings 1.5 MB for colours.

    height: pixels beyond which it scrolls; 0 for as much as there is.
    """
    limit = f' style="max-height: {height}px"' if height else ""
    st.html(
        '<div class="basin-code"><button type="button" class="basin-copy">Copy</button>'
        f'<pre tabindex="0"{limit}>{html.escape(text)}</pre></div>'
    )


@st.dialog("Report card", width="large")
def report_card(run_ids: list[str]) -> None:
    """Show what runs cost and reached, to copy or download as Markdown."""
    text = report_cards.or_reason(run_ids)
    st.caption("Markdown for a paper: what it cost, as it was measured, and what it came to.")
    code(text, height=420)
    st.download_button(
        "Download", text, "card.md", "text/markdown", icon=":material/download:", type="primary"
    )


def moment(seconds: float) -> str:
    """Format a time in the viewer's own zone: 18 Nov 2026, 14:02."""
    at = datetime.fromtimestamp(seconds, _zone())
    return f"{at.day} {at:%b %Y, %H:%M}"


def _zone() -> tzinfo:
    """Return the browser's zone; UTC where it has none that is known here."""
    try:
        return ZoneInfo(st.context.timezone or "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


_ICON = re.compile(r":(?=[a-z_]+(?:\\[_a-z]+)*[/:\\])")
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$~])")


def as_typed(text: str) -> str:
    """Escape a name for Markdown, tables included, so that it reads as it was typed.

    >>> as_typed("cost $5 to $9, a|b")
    'cost \\\\$5 to \\\\$9, a\\\\|b'
    """
    escaped = _MARKUP.sub(r"\\\1", " ".join(text.split()))
    # icons, colours and emoji are looked for in what is read: a joiner of no width parts them
    return _ICON.sub(":\u2060", escaped)


def figure(value: float | None) -> str:
    """Format three significant digits.

    >>> figure(0.04123), figure(731.4), figure(-0.5), figure(3.1e6), figure(float("nan"))
    ('0.0412', '731', '−0.5', '3.1×10⁶', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size == 0:
        text = "0"
    elif size < 0.001 or size >= 1e6:
        mantissa, _, exponent = f"{size:.1e}".partition("e")
        text = f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    elif size >= 999.5:
        text = count(round(size))
    else:
        digits = max(2 - math.floor(math.log10(size)), 0)
        text = f"{size:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{MINUS}{text}" if value < 0 else text


def count(value: float) -> str:
    """Format a number of things: 1 840 with a thin space, then 73.6 k, 1.2 M.

    >>> count(73600)
    '73.6\u2009k'
    """
    if value < 9_999.5:
        whole = round(value)
        return f"{whole // 1000}{THIN}{whole % 1000:03d}" if whole >= 1000 else str(whole)
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * scale:  # what rounds to 1000 of a unit is 1 of the next
            return f"{value / scale:.3g}{THIN}{unit}"
    raise AssertionError


def size(num_bytes: float) -> str:
    """Format bytes as people read them.

    >>> size(212_000), size(41_000_000)
    ('212\u2009kB', '41\u2009MB')
    """
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g}{THIN}{unit}"
    return f"{int(num_bytes)}{THIN}B"


def plural(number: int, word: str) -> str:
    """Format `1 run`, `2 runs`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
