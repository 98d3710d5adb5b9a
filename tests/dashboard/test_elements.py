"""Numbers as people read them, alike in Python and in the browser; one home of the colours."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from backend.errors import BadInput
from backend.spec import RunSpec
from dashboard import elements
from jobs.records import run_store, status
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


def test_the_page_uses_the_colours_of_the_panels() -> None:
    style = (DASHBOARD / "style.css").read_text()
    pairs = re.findall(r"--basin-(\w+): light-dark\((#\w+), (#\w+)\);", style)
    assert {token for _, token in elements.STATUS.values()} <= {name for name, *_ in pairs}
    for name, light, dark in pairs:
        token = {"paper": "bg"}.get(name, name)
        assert light == elements.colours("light")[token], name
        assert dark == elements.colours("dark")[token], name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_paper(theme: str) -> None:
    tokens = elements.colours(theme)
    for name in ("text", "muted", "accent", "alarm", "warning", "good"):
        assert contrast(tokens[name], tokens["bg"]) >= 4.5, name
    for name in ("data", "chains", "samples", *range(10)):
        colour = tokens["runs"][name] if isinstance(name, int) else tokens[name]
        assert contrast(colour, tokens["bg"]) >= 3, name
    assert contrast("#ffffff", tokens["fill"]) >= 4.5, "what a button says"


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000996, "1.0×10⁻³"), (0.00099949, "1.0×10⁻³"), (9.96e9, "1.0×10¹⁰"), (9.94e9, "9.9×10⁹")],
)
def test_what_rounds_up_to_ten_is_one_of_the_next_power(value: float, text: str) -> None:
    assert elements.figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9999.6, "10\u2009k"),
        (999_499, "999\u2009k"),
        (999_999, "1\u2009M"),
        (999_600_000, "1\u2009G"),
    ],
)
def test_what_rounds_up_to_a_thousand_is_one_of_the_next_unit(value: float, text: str) -> None:
    assert elements.count(value) == text


@pytest.mark.parametrize(
    ("name", "markdown"),
    [
        ("[x](http://evil.example)", r"\[x\]\(http://evil\.example\)"),
        ("<b>bold</b> a|b `c`", r"\<b\>bold\</b\> a\|b \`c\`"),
        ("# head\n*x*", r"\# head \*x\*"),
        (":red[x] :material/home:", ":\u2060red\\[x\\] :\u2060material/home:"),
        ("שלום 😀, cuda:0", "שלום 😀, cuda:0"),
    ],
)
def test_a_name_is_shown_as_it_was_typed(name: str, markdown: str) -> None:
    assert elements.as_typed(name) == markdown


def test_a_time_is_the_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Browser:
        timezone = "America/New_York"

    monkeypatch.setattr(elements.st, "context", Browser)
    assert elements.moment(1_764_313_200) == "28 Nov 2025, 02:00"
    Browser.timezone = "Nowhere/Land"
    assert elements.moment(1_764_313_200) == "28 Nov 2025, 07:00"


def test_a_file_of_ones_own_is_called_by_its_own_name() -> None:
    path = "/data/" + "long/" * 40 + "shapes.npz"
    spec = RunSpec(method="tiny", preset="wide_one", data={"name": "file", "path": path})
    run = status.from_spec("r", spec)
    assert (elements.data_of(run), elements.name_of(run)) == ("shapes", "shapes, wide one")
    ring = status.from_spec("r", RunSpec(method="tiny", data={"name": "ring"}))
    assert elements.name_of(ring) == "ring, tiny"


def test_no_field_drops_what_is_too_long_without_a_word() -> None:
    """Of a paste beyond `max_chars` Streamlit says nothing; the record says the bound instead."""
    files = [path.name for path in DASHBOARD.rglob("*.py") if "max_chars" in path.read_text()]
    assert files == []
    run = run_store.create_run(RunSpec(method="contrastive_divergence", data={"name": "ring"}))
    with pytest.raises(BadInput, match="at most 120 characters, got 121"):
        run.set_labels(name="x" * 121)
