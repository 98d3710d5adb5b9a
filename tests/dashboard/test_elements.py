"""Numbers as people read them, alike in Python and in the browser; one home of the colours."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dashboard import elements
from jobs.records.status import WORDS

DASHBOARD = Path(elements.__file__).parent


def test_every_status_has_a_sign_and_a_colour() -> None:
    assert set(elements.STATUS) == set(WORDS)
    for theme in ("light", "dark"):
        for _, token in elements.STATUS.values():
            assert elements.colours(theme)[token].startswith("#")


def test_the_theme_uses_the_colours_of_the_panels() -> None:
    theme = tomllib.loads((DASHBOARD / "theme.toml").read_text())["theme"]
    names = {
        "backgroundColor": "bg",
        "secondaryBackgroundColor": "surface",
        "textColor": "text",
        "linkColor": "accent",
        "borderColor": "line2",
        "redColor": "alarm",
        "greenColor": "good",
        "yellowColor": "warning",
        "grayColor": "muted",
        "primaryColor": "fill",
    }
    for mode in ("light", "dark"):
        for name, token in names.items():
            assert theme[mode][name] == elements.colours(mode)[token], (mode, name)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_paper(theme: str) -> None:
    tokens = elements.colours(theme)
    for name in ("text", "muted", "accent", "alarm", "warning", "good"):
        assert contrast(tokens[name], tokens["bg"]) >= 4.5, name
    for name in ("data", "chains", "samples", *range(10)):
        colour = tokens["runs"][name] if isinstance(name, int) else tokens[name]
        assert contrast(colour, tokens["bg"]) >= 3, name


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
