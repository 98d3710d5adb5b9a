"""What commands print: one strict JSON value alone, in any locale, and never a traceback."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jobs.cli import common
from jobs.cli.common import BasinGroup, json_command, show
from tests.conftest import ROOT

PRINTING = """
import os, subprocess, sys
import click
from jobs.cli.common import BasinGroup, json_command, show
group = BasinGroup()
@group.command()
@json_command
def act(as_json):
    print("a plug-in prints")
    os.write(1, b"so does a library\\n")
    subprocess.run(["echo", "and a program"])
    value = {"name": "∇ü", "value": float("nan"), "rows": [(1.0, float("inf"))]}
    show(value, as_json, "∇ in words")
group()
"""


def printing(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRINTING, "act", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_json_stands_alone_on_standard_output_and_is_strict() -> None:
    done = printing("--json")
    assert done.returncode == 0, done.stderr

    def refuse(name: str) -> None:
        raise AssertionError(name)

    value = json.loads(done.stdout, parse_constant=refuse)
    assert value == {"name": "∇ü", "value": None, "rows": [[1.0, None]]}
    assert set(done.stderr.splitlines()) == {
        "a plug-in prints",
        "so does a library",
        "and a program",
    }


def test_a_locale_that_cannot_write_a_sign_ends_no_command() -> None:
    done = printing(PYTHONIOENCODING="latin-1")
    assert done.returncode == 0 and "? in words" in done.stdout
    done = printing("--json", PYTHONIOENCODING="latin-1")
    assert json.loads(done.stdout)["name"] == "∇ü", "what cannot be written is escaped"


@click.group(cls=BasinGroup)
def group() -> None:
    """A command line with a fault."""


@group.command()
@json_command
def fall(as_json: bool) -> None:
    """Fail in a way that nobody foresaw."""
    raise LookupError("no such\nthing")


@group.command()
@json_command
def count(as_json: bool) -> None:
    """Show what is no number."""
    show([math.nan, -math.inf, {"a": (math.nan,)}], as_json, "")


@pytest.mark.bad_input
def test_a_fault_is_one_sentence_and_its_place_is_kept(basin_home: Path) -> None:
    done = CliRunner().invoke(group, ["fall"])
    assert done.exit_code == 1 and done.stdout == ""
    place = basin_home / "logs" / "fault.txt"
    words = "this should not happen. LookupError: no such. Where it happened stands in"
    assert done.stderr == f"error: {words} {place}.\n"
    assert "Traceback" in place.read_text() and "fall" in place.read_text()
    (problem,) = json.loads(CliRunner().invoke(group, ["fall", "--json"]).stdout)["error"][
        "problems"
    ]
    assert problem["message"].startswith(words)


def test_a_fault_is_raised_to_who_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(group, ["fall"]).exception, LookupError)


def test_what_is_not_finite_is_null_however_deep() -> None:
    assert CliRunner().invoke(group, ["count", "--json"]).stdout == '[null, null, {"a": [null]}]\n'


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert common.user() == f"user {os.getuid()}"
    monkeypatch.setenv("USER", "ada")
    assert common.user() == "ada"
