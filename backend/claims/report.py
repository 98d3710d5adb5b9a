"""Reports that benchmarks and recipes print with `--json`: results and claims. No torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from backend.claims.verdict import Holds
from backend.system.about import version


@dataclass(frozen=True)
class Result:
    """One figure of one subject in one case, over repeats."""

    case: str
    subject: str
    metric: str
    unit: str
    median: float
    min: float
    max: float
    n: int


@dataclass(frozen=True)
class Claim:
    """A sentence with its target and what was measured."""

    text: str
    target: str
    value: float | None
    """None where nothing could be measured"""
    holds: Holds
    kind: Literal["acceptance", "paper"] = "acceptance"


def as_dict(
    name: str, results: Sequence[dict[str, Any]], claims: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The shared format: results and claims with the machine and the version they are of."""
    return {
        "name": name,
        "machine": machine(),
        "version": version(),
        "results": list(results),
        "claims": list(claims),
    }


def machine() -> dict[str, Any]:
    """The machine in words."""
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
