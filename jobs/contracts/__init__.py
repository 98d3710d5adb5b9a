"""Contracts that every method, sampler, energy and data set keeps, one function each.

`tests/test_contracts.py` walks them over all that the package defines, `basin check` over what one
file does. A function takes the id of a part, and for a method a preset and fields over it, and
raises `Unkept` with a sentence. The modules import torch, this one does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


class Unkept(AssertionError):
    """A contract that a part does not keep, in a sentence."""


def need(holds: object, sentence: str) -> None:
    """Raise `Unkept` with the sentence where something does not hold."""
    if not holds:
        raise Unkept(sentence)


def unkept(path: Path) -> list[str]:
    """List what a file does not keep, in sentences; [] is good. For tests of plug-ins.

    In a process of its own: what is imported here already would not know the file's parts. Raises
    RuntimeError where nothing could be checked.
    """
    command = [sys.executable, "-m", "jobs.cli", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        outcomes = json.loads(done.stdout)
        failing = [each for each in outcomes if each["problem"]]
    except (ValueError, TypeError, KeyError):
        raise RuntimeError(done.stdout + done.stderr) from None
    return [f"{each['part']}: {each['check']}: {each['problem']}" for each in failing]
