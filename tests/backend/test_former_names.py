"""Modules that moved are found by the names they had."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from backend import former_names
from tests.conftest import ROOT


@pytest.mark.parametrize("former", sorted(former_names.MODULES))
def test_a_former_name_is_the_module_of_now(former: str) -> None:
    sys.modules.pop(former, None)
    with pytest.warns(DeprecationWarning, match=f"{former} is"):
        found = importlib.import_module(former)
    now = importlib.import_module(former_names.MODULES[former])
    assert found is now and now.__spec__ is not None
    assert now.__spec__.name == former_names.MODULES[former]


def test_a_script_of_version_0_1_finds_what_it_imports() -> None:
    code = "from jobs import artifacts, store; from jobs.control import settle; store.TRAIN"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
