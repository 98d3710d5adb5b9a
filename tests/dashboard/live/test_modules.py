"""The modules of dashboard/live that need no browser, by node's own test runner.

What Python has to agree with is computed here and handed over as JSON, in a file that the variable
`GOLDEN` names.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import events
from backend.events import Cost, encode, encode_block, pack, unpack
from dashboard import elements
from dashboard.stream.history import bucketed_rows
from jobs.formatting import duration
from tests.dashboard.event_examples import EXAMPLES, OTHERS

LIVE = Path(__file__).parents[3] / "dashboard" / "live"
IMPORT = re.compile(r'^import\s+(\{[^}]*\})\s+from\s+"(\.[^"]+\.js)"', re.M)
FILES = sorted(Path(__file__).parent.glob("*.test.js"))
NUMBERS = [
    0.000996,
    9.96e9,
    0,
    1,
    -1,
    0.5,
    0.0412,
    0.04123,
    731.4,
    999.9,
    1840,
    9999,
    73_600,
    1.2e6,
    3.1e-5,
    -42.0,
    0.001,
    0.00099,
    12.0,
    100.0,
    -0.047,
    5e9,
]
SECONDS = [0.4, 41, 59.6, 80, 3599, 7500, 86_400]
COUNTS = [999_999, 9_999.6, 0, 999, 1840, 73_600, 1_200_000, 3_400_000_000]


def frames() -> list[dict[str, Any]]:
    """One frame of each kind, packed, beside what Python reads out of it."""
    return [
        read(encode(event, run="r", seq=seq, time=0.5, cost=Cost(seq, 2 * seq, 0.1)))
        for seq, event in enumerate((*EXAMPLES.values(), *OTHERS))
    ]


def every_dtype() -> dict[str, Any]:
    """A frame with an array of every type, and with a number that JSON has no word for."""
    arrays = {
        "a": np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5),
        "b": np.linspace(0, 1, 7),
        "c": np.arange(-3, 3, dtype=np.int32),
        "d": np.array([1, -(2**40)], dtype=np.int64),
        "e": np.arange(9, dtype=np.uint8).reshape(3, 3),
        "empty": np.zeros((0, 2), np.float32),
    }
    return read(pack({"run": "é", "seq": 3, "meta": {"low": float("nan")}}, arrays))


def read(data: bytes) -> dict[str, Any]:
    frame = unpack(data)
    arrays = {
        name: {"shape": list(array.shape), "data": array.flatten().tolist()}
        for name, array in frame.arrays.items()
    }
    text = base64.b64encode(data).decode()
    return {"bytes": text, "header": frame.header, "arrays": arrays}


def block() -> str:
    """A scalar block of two paths and three rows."""
    data = encode_block(
        ["x", "y"],
        np.array([[1, 2], [3, 4], [5, 6]]),
        run="r",
        seq=1,
        time=0.0,
        first=Cost(10, 20, 1.0, None),
        last=Cost(12, 60, 2.0, None),
    )
    return base64.b64encode(data).decode()


def thinned() -> list[dict[str, Any]]:
    """Columns with spikes and gaps (null), and what stays of each when Python thins it."""
    rng = np.random.default_rng(0)
    spike = rng.normal(size=1000).astype(np.float32)
    spike[[123, 777]] = -40, 50
    gaps = rng.normal(size=1000).astype(np.float32)
    gaps[300:700] = np.nan
    cases = []
    for values in (spike, gaps, np.arange(997, dtype=np.float32)):
        rows = bucketed_rows(values, 50)
        assert rows is not None
        cases.append(
            {
                "values": [None if np.isnan(value) else float(value) for value in values],
                "most": 50,
                "num": len(rows),
                "ends": [float(values[rows[0]]), float(values[rows[-1]])],
                "range": [float(np.nanmin(values[rows])), float(np.nanmax(values[rows]))],
            }
        )
    return cases


def golden() -> dict[str, Any]:
    return {
        "kinds": list(events.KINDS),
        "frames": frames(),
        "every_dtype": every_dtype(),
        "block": block(),
        "figures": [[value, elements.figure(value)] for value in NUMBERS],
        "counts": [[value, elements.count(value)] for value in COUNTS],
        "durations": [[value, duration(value)] for value in SECONDS],
        "thinned": thinned(),
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_module(path: Path, node_path: str, tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    file.write_text(json.dumps(golden(), allow_nan=False))
    done = subprocess.run(
        [node_path, "--test", path],
        env={**os.environ, "GOLDEN": str(file)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_import_is_of_a_file_and_a_name_that_are_there() -> None:
    files = sorted(LIVE.rglob("*.js"))
    assert len(files) > 40
    for path in files:
        for names, module in IMPORT.findall(path.read_text()):
            source = (path.parent / module).resolve()
            assert source.is_file(), f"{path.name} imports {module}"
            for name in filter(None, re.split(r"[\s,{}]+", names)):
                assert re.search(
                    rf"export [\w* ]*\b{name}\b|export const {{[^}}]*\b{name}\b", source.read_text()
                ), f"{path.name} imports {name} of {module}"
