"""What the pages for readers say is so: the example runs, and what they name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")]
)
PLUG_IN = """
from pathlib import Path

import backend.methods

backend.methods.__path__.append(str(Path(__file__).parent / "methods"))
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", (ROOT / page).read_text())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_of_a_method_keeps_every_contract_as_it_stands(tmp_path: Path) -> None:
    example = blocks(Path("CONTRIBUTING.md"), "python")[0]
    name = re.search(r'\n    id = "(\w+)"', example)
    assert name
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / f"{name[1]}.py").write_text(example)
    (tmp_path / "sitecustomize.py").write_text(PLUG_IN)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "tests/test_contracts.py", "-k", name[1]),
            *("-v", "-p", "no:xdist", "-p", "no:cacheprovider"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(rf"::(\w+)\[{name[1]}.* PASSED", done.stdout)
    assert {
        "test_every_field_says_what_it_is_and_has_bounds",
        "test_what_does_not_fit_the_data_is_said_before_set_up",
        "test_steps_return_the_same_finite_scalars_on_the_device",
        "test_saved_and_restored_it_goes_on_to_the_same_numbers",
        "test_watching_changes_nothing",
    } <= set(passed)


def test_the_example_of_a_method_is_formatted_and_linted_as_all_code_is(tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(blocks(Path("CONTRIBUTING.md"), "python")[0])
    settings = ["--config", str(ROOT / "pyproject.toml")]
    for command in (["format", "--check"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, *settings, str(file)]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def named_paths(text: str) -> set[str]:
    """Words in code, and targets of links, that read as files or folders of this repository."""
    words = set(re.findall(r"`([\w./-]+)`", text)) | set(re.findall(r"\]\(([\w./-]+)\)", text))
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} | {".ci", ".github"}
    return {word for word in words if word.partition("/")[0] in folders and "/" in word}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    for word in named_paths((ROOT / page).read_text()):
        assert (ROOT / word).exists() or (ROOT / page).parent.joinpath(word).exists(), word


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_target_of_make_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    text = (ROOT / page).read_text()
    lines = re.findall(r"(?m)`(?:[A-Z_]+=\S+ )?make ((?:[a-z-]+ ?)+)", text)
    lines += re.findall(r"(?m)^    make ((?:[a-z-]+ ?)+)$", text)
    for line in lines:
        assert set(line.split()) <= targets, line


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_module_that_a_page_runs_is_there(page: Path) -> None:
    for module in re.findall(r"python -m\s+(benchmarks[\w.]*)", (ROOT / page).read_text()):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
