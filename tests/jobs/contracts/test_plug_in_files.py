"""`basin new` and `basin check`: what is written keeps the contracts, what fails is explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.cli import main
from jobs.cli.plug_ins import KINDS
from jobs.contracts import unkept


def new(kind: str, name: str) -> Any:
    return CliRunner().invoke(main, ["new", kind, name])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where one stands, which is none of Basin's."""
    root = Path(__file__).resolve().parents[3]
    monkeypatch.setenv("PYTHONPATH", str(root))
    here = tmp_path / "lab"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def test_a_new_part_and_its_test_are_written_where_one_stands(folder: Path) -> None:
    done = new("method", "my_rule")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in folder.iterdir()) == ["my_rule.py", "test_my_rule.py"]
    text = (folder / "my_rule.py").read_text()
    assert 'id = "my_rule"' in text and "class MyRule(Method)" in text
    assert "template" not in text.lower()
    compile((folder / "test_my_rule.py").read_text(), "test_my_rule.py", "exec")


def test_nothing_is_overwritten_and_bad_names_are_refused(folder: Path) -> None:
    (folder / "test_mine.py").write_text("mine")
    done = new("sampler", "mine")
    assert done.exit_code == 2 and "test_mine.py is there already" in done.output
    assert [path.name for path in folder.iterdir()] == ["test_mine.py"]
    for name in ("Mine", "9lives", "a-b", "class", "../up", "a" * 61, ""):
        done = new("sampler", name)
        assert done.exit_code == 2 and "`name`" in done.output, name
    assert new("optimiser", "mine").exit_code == 2
    assert [path.name for path in folder.iterdir()] == ["test_mine.py"]


@pytest.mark.parametrize("name", ["nowhere.py", "notes.txt", "."])
def test_what_cannot_be_checked_is_bad_input(folder: Path, name: str) -> None:
    (folder / "notes.txt").write_text("")
    done = CliRunner().invoke(main, ["check", name])
    assert done.exit_code == 2, done.output
    assert "`file`" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_new_part_keeps_every_contract_by_its_own_test(folder: Path, kind: str) -> None:
    assert new(kind, "mine").exit_code == 0
    suffix = ".yaml" if kind == "recipe" else ".py"
    command = [sys.executable, "-m", "jobs.cli", "check", f"mine{suffix}", "--json"]
    if kind == "energy":  # the test is the same for all
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if kind != "energy":
        outcomes = json.loads(done.stdout)
        assert len(outcomes) >= 2 and {each["part"] for each in outcomes} == {f"{kind} mine"}


@pytest.mark.slow
def test_what_fails_is_explained_and_the_exit_code_is_1(folder: Path) -> None:
    assert new("sampler", "mine").exit_code == 0
    path = folder / "mine.py"
    text = path.read_text()
    wrong = text.replace(".normal_(generator=generator)", ".normal_()")
    path.write_text(wrong.replace("log_rate = (", "log_rate = 0 * ("))
    problems = " ".join(unkept(path))
    assert "draw from it alone" in problems
    assert "does not leave a Gaussian's" in problems and "`bias`" in problems
    path.write_text("import backend\nraise RuntimeError('half written')")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "check", "mine.py"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "FAILS  mine.py" in done.stdout and "RuntimeError: half written" in done.stdout
    path.write_text("import backend\n")
    assert "defines no part" in " ".join(unkept(path))
    path.write_text(text.replace('"mine"', '"mala"'))
    assert "defined twice" in " ".join(unkept(path))
