"""Words of the code: how docstrings open, what variables are called, how long a file may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("backend", "basin", "jobs", "dashboard", "benchmarks", "scripts")
MOST_LINES = 420
QUESTION = re.compile(r"(What|Whether|Why|How|Where|Who|Which|When|Until)\b")
SAYS_NOTHING = {"found", "said", "kept", "told", "shown"}
"""Names that tell how a value came about, not what it is."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files(package: str) -> dict[str, ast.Module]:
    """Modules of a package, by path."""
    paths = sorted((ROOT / package).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def nodes(package: str) -> Iterator[tuple[str, ast.AST]]:
    for path, tree in files(package).items():
        for node in ast.walk(tree):
            yield path, node


@pytest.mark.parametrize("package", PACKAGES)
def test_a_docstring_opens_with_a_verb_or_a_noun(package: str) -> None:
    questions = [
        f"{path}: {text.splitlines()[0]}"
        for path, node in nodes(package)
        if isinstance(node, Documented) and QUESTION.match(text := ast.get_docstring(node) or "")
    ]
    assert questions == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_variable_says_what_it_holds(package: str) -> None:
    bound = [
        (path, node.lineno, node.id if isinstance(node, ast.Name) else node.arg)
        for path, node in nodes(package)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]
    assert bound, "the walk sees names"
    assert [f"{path}:{line}: {name}" for path, line, name in bound if name in SAYS_NOTHING] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_outgrows_a_glance(package: str) -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in files(package)}
    assert {path for path, length in lengths.items() if length > MOST_LINES} == set()


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_the_formatter_is_never_switched_off(package: str) -> None:
    switch = "fmt: " + "skip"
    assert [path for path in files(package) if switch in Path(ROOT / path).read_text()] == []
