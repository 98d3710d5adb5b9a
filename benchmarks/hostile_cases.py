"""Inputs that nobody should send: specifications, texts, names, commands, requests and messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.hostile_files import FILES

GOOD: dict[str, Any] = {
    "method": "contrastive_divergence",
    "data": {"name": "ring"},
    "budget": {"steps": 5},
}
NAMES = ["x.exe", "../../x.py", "x", "", "x.npy\0.png", "a" * 300 + ".csv", ".npy", "é\ud800.npz"]
BOMB = "a0: &a0 [x, x]\n" + "\n".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
)
TEXTS = [
    BOMB,
    "",
    "just words",
    "[",
    "{" * 5000,
    "- " * 5000,
    "a: 1\na: 2",
    "!!python/name:os.system ''",
    "!!binary aGk=",
    "method: *x",
    "\0",
    "method: m\ndata: 3",
    "? [1]\n: 2",
    "a: " + "9" * 5000,
    "x: '" + "y" * 1_100_000 + "'",
    "[" + "1," * 50_000 + "]",
    "method: {}",
    "seed: .nan",
    "%YAML 9",
    "method: contrastive_divergence\ndata: {name: ring}\nseed: 1e999",
]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    -(2**63),
    float("nan"),
    float("inf"),
    "1e999",
    "nan",
    "x" * 100_000,
    "\0",
    "\ud800",
    "\x1b[2J",
    [],
    [[]],
    {},
    deep(500),
    [0] * 30_000,
    {"kind": "none"},
    {"": ""},
]
PATHS = [
    "/dev/zero",
    "/etc/passwd",
    "../../../etc/passwd",
    "~nobody-x/a.npy",
    "a" * 5000,
    "\0",
    ".",
    "/proc/self/mem",
    "uploads",
    "//",
    "x.npy/y.npy",
]


def specs() -> Iterator[Any]:
    """Specifications with one thing wrong, as a form or a program may send them."""
    yield from VALUES
    for field in ("name", "seed", "budget", "config", "tags", "data", "device", "other"):
        wrong = [value for value in VALUES if not (value is None or value == [] or value == {})]
        yield from ({**GOOD, field: value} for value in wrong[::3] if field != "name" or value)
    for path in PATHS:
        yield {**GOOD, "data": {"name": "file", "path": path}}
        yield {**GOOD, "data": {"name": "energy_file", "path": path}}
    for value in VALUES:
        yield {**GOOD, "config": {"energy": value}}


RUN = ["run", "-", "--inline", "--json"]
COMMANDS = [
    *[
        [*RUN, "--set", f"{change}"]
        for change in (
            "seed",
            "=3",
            "a..b=1",
            "seed=1e999",
            "seed=x",
            "config=[",
            "data=3",
            "seed=" + "9" * 30,
            "a" + ".a" * 500 + "=1",
            "config.energy={kind: x}",
            "budget.steps=-1",
            "data.num={a: *b}",
        )
    ],
    *[
        [name, run, "--json"]
        for name in ("show", "stop", "pause", "resume", "sample", "reindex")
        for run in ("../../etc", "20200101-000000-0000", "\ud800", "x" * 3000, "")
    ],
    ["run", "/dev/null", "--json"],
    ["run", "/dev/zero", "--json"],
    ["run", "/", "--json"],
    ["run", "/none", "--json"],
    ["energy", "latest", "--points", "/dev/zero", "--json"],
    ["ask", "latest", "none", "--json"],
    ["methods", "none", "--json"],
    ["ls", "--none", "--json"],
    ["abilities", "none", "--json"],
    ["data", "fetch", "none", "--json"],
    ["none"],
    ["race", "none", "--json"],
    ["sample", "latest", "--n", "-1", "--json"],
]
_PAGE = "0" * 32
REQUESTS: list[tuple[str, bytes | None]] = [
    *[
        (f"/live/poll?token={token}", body)
        for token in ("TOKEN", "x")
        for body in (
            b"",
            b"[",
            b"[" * 50_000,
            b"null",
            b"{}",
            b"x" * 100_000,
            b"\xff\xfe",
            json.dumps({"page": _PAGE, "say": 3}).encode(),
            json.dumps({"page": 3, "say": []}).encode(),
            json.dumps({"page": _PAGE, "say": [deep(300)]}).encode(),
        )
    ],
    *[
        (f"/live/file?token=TOKEN&run={run}&name={name}", None)
        for run in ("x", "latest", "..%2f..", "%00")
        for name in ("x", "..%2fx", "%00", "spec.yaml")
    ],
    ("/live/file", None),
    ("/live/curves.csv?token=TOKEN", None),
    ("/live/static/..%2fx", None),
    ("/live/curves.csv?token=TOKEN&run=x&path=y", None),
    ("/live/static/" + "a" * 3000, None),
    ("/live/curves.csv?token=TOKEN" + "&run=x" * 100 + "&path=y", None),
    ("/live/none", None),
]
MESSAGES: list[str | bytes] = [
    "",
    "x",
    "[" * 5000,
    "null",
    "3",
    "[]",
    "{}",
    b"\xff",
    "y" * 100_000,
    '{"op": 3}',
    '{"op": "watch"}',
    '{"op": "watch", "runs": 3}',
    '{"op": "watch", "runs": [{"run": "../x"}]}',
    '{"op": "watch", "runs": [' + ",".join(['{"run": "x"}'] * 200) + "]}",
    '{"op": "seek"}',
    '{"op": "seek", "id": 1, "run": "x", "step": 1e999}',
    '{"op": "range", "id": NaN}',
    '{"op": "range", "id": 1, "run": "x", "paths": [], "from": "a", "to": null}',
]

__all__ = ["COMMANDS", "FILES", "GOOD", "MESSAGES", "NAMES", "REQUESTS", "RUN", "TEXTS", "specs"]
