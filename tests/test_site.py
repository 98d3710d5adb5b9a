"""The documentation site: what it names is there, what is there it names, and it builds alone."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from backend import catalogue
from dashboard.shell import PAGES as APP_PAGES
from jobs.cli import main
from scripts.documentation import catalogue_pages, pictures, reference_pages
from tests.conftest import ROOT

WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTING = re.compile(r"\bBASIN_[A-Z][A-Z_0-9]*[A-Z0-9]\b")
OF_TESTS = {"BASIN_CHROMIUM", "BASIN_NGINX", "BASIN_NODE"}
CODE = ("backend", "basin", "jobs", "dashboard")
NAMES_IN_ADDRESS = {"lab": "sampler-lab"}


@cache
def code_settings() -> set[str]:
    """Environment variables that the packages name, and PORT."""
    texts = [path.read_text() for each in CODE for path in (ROOT / each).rglob("*.py")]
    return {name for text in texts for name in SETTING.findall(text)}


def test_every_setting_that_is_there_is_named_and_no_other() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    assert set(SETTING.findall(page)) == code_settings()
    for path in WRITTEN:
        assert set(SETTING.findall(path.read_text())) <= code_settings() | OF_TESTS, path


def lines_of(path: Path) -> list[str]:
    """Commands of `basin` that a page names: in code, in blocks and in indented lines."""
    text = re.sub(r"\\\n\s+", "", path.read_text())  # a line that goes on
    inline = re.findall(r"`((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?basin [^`\n]+)`", text)
    blocks = re.findall(r"(?m)^(?:    )?((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?basin [a-z].*)$", text)
    fenced = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```", text)).splitlines()
    indented = {line for line in text.splitlines() if line.startswith("    ")}
    commands = {line for line in blocks if f"    {line}" in indented or line in fenced}
    return [*inline, *commands]


def parsed(line: str) -> tuple[click.Command, set[str]]:
    """The command that a line runs, and the options that it gives."""
    line = re.sub(r"\s+(#|>|&|\|).*$", "", line)
    words = shlex.split(line)
    while words and ("=" in words[0] or words[0].endswith("basin")):
        words.pop(0)
    command: click.Command = main
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            if command is main:
                pytest.fail(f"there is no command `{words[0]}`: {line}")
            break
        command = command.commands[words.pop(0)]
    return command, {word.partition("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_is_there(path: Path) -> None:
    for line in lines_of(path):
        if "|" in line or "..." in line.partition("--")[0]:
            line = line.partition("|")[0].partition("...")[0]
        command, options = parsed(line)
        # of a group that draws or lists by itself, those of its commands
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        params = [each for one in (command, *inner) for each in one.params]
        known = {name for each in params for name in (*each.opts, *each.secondary_opts)}
        assert options <= known | {"--help", "--version"}, line


def test_every_command_of_the_first_level_is_named_in_what_is_written() -> None:
    named = {
        words[1] for path in WRITTEN for words in re.findall(r"(basin) ([a-z]+)", path.read_text())
    }
    quoted = set(re.findall(r"`([a-z]+)`", (ROOT / "docs/reference/index.md").read_text()))
    assert set(main.commands) - named - quoted == set()


def test_the_reference_has_every_command_and_option() -> None:
    page = reference_pages.pages()["reference/command-line.md"]
    for name, command in reference_pages.commands():
        assert f"\n## {name}\n" in page
        for option in command.params:
            assert not isinstance(option, click.Option) or option.opts[0] in page


def test_every_route_says_what_it_answers() -> None:
    page = reference_pages.pages()["reference/http.md"]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    listed = [path for row in rows[1:] for path in row[1].split(", ")]
    assert len(listed) == len(reference_pages.routes())
    for row in rows[1:]:
        assert row[-1].strip(), f"{row[1]}: its endpoint has no docstring"
    needs = {row[1]: row[2] for row in rows[1:]}
    assert needs["<code>/live/file</code>"] == needs["<code>/live/ws</code>"] == "token"
    assert needs["<code>/live/health</code>"].strip() == ""


@pytest.mark.slow
def test_every_part_has_its_entry() -> None:
    made = catalogue_pages.pages()
    for name in catalogue.methods():
        assert f"`{name}`" in made[f"catalogue/methods/{name}.md"]
    for kind, classes in (
        ("samplers", catalogue.samplers()),
        ("energies", catalogue.networks()),
        ("distributions", catalogue.distributions()),
        ("datasets", catalogue.datasets()),
        ("abilities", catalogue.abilities()),
    ):
        assert set(re.findall(r"\{ #(\w+) \}", made[f"catalogue/{kind}.md"])) == set(classes)
    mala = made["catalogue/samplers.md"].partition("{ #mala }")[2].partition("\n## ")[0]
    assert "y = x − a ∇E(x) + √(2aT) ξ" in mala and "Roberts & Tweedie 1996" in mala
    assert "<code>step_size</code> | <code>0.02</code> | &#62; 0, ≤ 100" in mala


def test_the_table_of_claims_is_read_whole() -> None:
    text = (ROOT / "docs/claims.md").read_text()
    verdict = re.compile(r"(holds|fails|undecided)")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    listed = catalogue_pages.measured()
    assert sum(map(len, listed.values())) == len(rows)
    assert set(listed) <= set(catalogue.recipes().recipes)
    assert all(verdict.match(row[2]) for each in listed.values() for row in each)


def test_every_page_of_the_app_has_its_page_and_its_picture() -> None:
    folder = ROOT / "docs/pages"
    for name in APP_PAGES:
        page = (folder / f"{NAMES_IN_ADDRESS.get(name, name)}.md").read_text()
        assert f"](pictures/{name}.webp)" in page, name
    there = {path.stem: path.stat().st_size for path in pictures.FOLDER.iterdir()}
    assert set(there) == set(pictures.NAMES), "made by python -m scripts.documentation.pictures"
    assert max(there.values()) <= pictures.MOST_BYTES


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


class Loads(HTMLParser):
    """Addresses of what a page loads by itself: links that a reader may follow are not among it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "link", "iframe", "source", "video"):
            self.addresses += [given[name] or "" for name in ("src", "href") if name in given]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*build, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) > len(WRITTEN) + len(catalogue.methods())
    for path in built:
        page = Loads()
        page.feed(path.read_text())
        for address in map(html.unescape, page.addresses):
            assert not re.match(r"(https?:)?//", address), (path, address)
            target = address.partition("#")[0].partition("?")[0]
            is_file = target and path.name != "404.html"
            assert not is_file or (path.parent / target).exists(), (path, address)
    for path in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", path.read_text()), path
