"""Bad inputs at every door: what the benchmark calls clear, and its quick form."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import hostile
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("said", "clear"),
    [
        ("served", True),
        ("refused `seed` must be a whole number.", True),
        ("refused ", False),
        ("raised ValueError('x')", False),
        ("died with 9", False),
        ("refused Traceback (most recent call last)", False),
    ],
)
def test_clear_is_served_or_refused_in_words(said: str, clear: bool) -> None:
    assert hostile.is_clear(said) is clear


def test_there_are_more_than_two_hundred_at_six_doors() -> None:
    doors = [name.split(" ")[0] for name, _ in hostile.cases()]
    assert {"upload", "name", "form", "yaml", "run"} <= set(doors)
    more = len(hostile.hostile_cases.REQUESTS) + len(hostile.hostile_cases.MESSAGES)
    assert len(doors) + more >= 200


def test_what_a_case_says_and_takes_is_of_a_process_of_its_own() -> None:
    said, peak = hostile.apart(lambda: f"served {len(bytearray(100_000_000))}")
    assert said == "served 100000000" and peak > 100
    assert hostile.apart(lambda: str(1 / 0))[0].startswith("raised ZeroDivisionError")


@pytest.mark.slow
def test_its_quick_form_holds() -> None:
    command = [sys.executable, "-m", "benchmarks.hostile", "--quick", "--json"]
    # in a process of its own: a case's memory is counted with that of who forked it
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    report = json.loads(done.stdout)
    unmet = [claim["text"] for claim in report["claims"] if claim["holds"] != "holds"]
    assert unmet == [], report["notes"]
    assert len(report["claims"]) == 4 and done.returncode == 0
