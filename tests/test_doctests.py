"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("backend", "basin", "jobs", "dashboard", "benchmarks", "scripts")
WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT))
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("path", WITH_EXAMPLES)
def test_examples_of_a_module_hold(path: str) -> None:
    module = importlib.import_module(
        ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")
    )
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
