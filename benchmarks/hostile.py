"""Bad inputs at every door: each is refused in a sentence or served, and nothing else happens.

    python -m benchmarks.hostile [--quick] --json

Forms, uploads, YAML and the command line are asked in a process of their own a case, whose peak of
memory is measured; the live routes are asked of a Basin that runs meanwhile, whose processes must
be the same at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from click.testing import CliRunner
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from backend.errors import BadInput, NotAvailable
from benchmarks import hostile_cases, live_work
from benchmarks.report import Report
from dashboard.forms import draft
from dashboard.security import access
from jobs import tasks
from jobs.cli import main as basin
from jobs.records import run_store

SECONDS, MEGABYTES, LONGEST = 30, 512, 4000
Case = tuple[str, Callable[[], str]]
"""Its name, and what is said: begins with "refused" or "served"."""


def form(raw: Any) -> str:
    """Answer of the form to a specification."""
    answer = tasks.check_job(raw)
    if "not_available" in answer:
        return f"refused {answer['not_available']}"
    problems = answer.get("value", {}).get("problems") or answer.get("problems") or []
    return "refused " + "; ".join(item["message"] for item in problems) if problems else "served"


def file(name: str, content: bytes) -> str:
    """Answer of the form to an uploaded file."""
    path = draft.keep_upload(name, content)
    try:
        return form({**hostile_cases.GOOD, "data": {"name": "file", "path": str(path)}})
    finally:
        path.unlink()


def yaml(text: str) -> str:
    draft.from_text(text)
    return "served"


def command(arguments: list[str], stdin: str) -> str:
    """Output of a command, by its exit code."""
    result = CliRunner().invoke(basin, arguments, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"raised {result.exception!r}"
    word = {0: "served", 2: "refused"}.get(result.exit_code, f"ended with {result.exit_code}")
    return f"{word} {result.output.strip() or 'nothing'}"


def cases() -> Iterator[Case]:
    """Every case that needs no server."""
    for name, content, _ in hostile_cases.FILES:
        yield f"upload {name}", partial(file, name, content)
    for name in hostile_cases.NAMES:
        yield f"name {name[:20]!r}", partial(file, name, b"x")
    for at, raw in enumerate(hostile_cases.specs()):
        yield f"form {at}", partial(form, raw)
    for at, text in enumerate(hostile_cases.TEXTS):
        yield f"yaml {at}", partial(yaml, text)
        yield f"run {at}", partial(command, hostile_cases.RUN, text)
    good = json.dumps(hostile_cases.GOOD)
    for arguments in hostile_cases.COMMANDS:
        yield " ".join(arguments)[:60], partial(command, arguments, good)


def apart(do: Callable[[], str]) -> tuple[str, float]:
    """Answer of a case in a process of its own, and its peak of memory in MB."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        try:
            answer = do()
        except (BadInput, NotAvailable) as error:
            answer = f"refused {error}"
        except BaseException as error:
            answer = f"raised {error!r}"
        os.write(writing, answer.encode(errors="replace")[:LONGEST])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    _, status, used = os.wait4(child, 0)
    return answer or f"died with {status}", used.ru_maxrss / 1024


def is_clear(answer: str) -> bool:
    """Served, or refused in words."""
    if "Traceback" in answer:
        return False
    return answer.startswith("served") or bool(re.match(r"refused .{5,}", answer, re.DOTALL))


def left(home: Path) -> set[str]:
    """Runs, and files that were written aside."""
    runs = {path.name for path in (home / "runs").glob("*")}
    return runs | {path.name for path in home.glob("data/**/.*")}


def http(address: str, path: str, body: bytes | None) -> str:
    token = access.issue()
    request = urllib.request.Request(f"{address}{path.replace('TOKEN', token)}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return f"served {answer.status}"
    except urllib.error.HTTPError as error:
        words = error.read(LONGEST).decode(errors="replace")
        return f"refused {error.code} {words}" if error.code < 500 or error.code == 503 else words


def socket(address: str, message: str | bytes) -> str:
    """Tell whether a page that says this is answered, closed, or at least followed by others."""
    url = f"{address.replace('http', 'ws')}/live/ws?token={access.issue()}"
    with connect(url, open_timeout=SECONDS, max_size=None) as page:
        try:
            page.send(message)
            page.recv(1.0)
        except (TimeoutError, WebSocketException) as error:
            return f"refused {type(error).__name__}"
    return "served"


def tree(process: int) -> dict[int, str]:
    """Long-lived processes of a Basin by pid; jobs that workers fork come and go."""
    return {item.pid: item.name() for item in psutil.Process(process).children()}


def tried(report: Report, name: str, answer: str, counts: Counter[str]) -> None:
    kind = "clear" if is_clear(answer) else "unclear"
    counts[kind] += 1
    if kind == "unclear":
        report.notes.append(f"{name}: {answer[:200]}")


def measure(quick: bool) -> Report:
    """Try everything; in `quick` every sixth case."""
    report, counts, peaks = Report("hostile"), Counter[str](), [0.0]
    step = 6 if quick else 1
    with tempfile.TemporaryDirectory(prefix="basin-hostile-") as folder:
        home = Path(folder) / "home"
        with live_work.running(home) as server:
            before, processes = left(home), tree(server.process.pid)
            run_store.runs_folder()
            for name, do in list(cases())[::step]:
                known = left(home)
                answer, peak = apart(do)
                peaks.append(peak)
                if peak > MEGABYTES:
                    report.notes.append(f"{name}: {peak:.0f} MB")
                if made := left(home) - known:
                    report.notes.append(f"{name}: left {', '.join(sorted(made))}; {answer[:200]}")
                tried(report, name, answer, counts)
            for path, body in hostile_cases.REQUESTS[::step]:
                tried(report, path[:60], http(server.address, path, body), counts)
            for message in hostile_cases.MESSAGES[::step]:
                tried(report, repr(message[:40]), socket(server.address, message), counts)
            time.sleep(1.0)
            stopped = len(set(processes) - set(tree(server.process.pid)))
            more = len(left(home) - before)
    total = sum(counts.values())
    report.add("all", "basin", "bad inputs", "", [float(total)])
    report.add("all", "basin", "peak of memory", "MB", [max(peaks)])
    report.claim_at_most("inputs neither refused in words nor served", counts["unclear"], 0)
    report.claim_at_most("processes that ended", stopped, 0)
    report.claim_at_most("runs and files left behind", more, 0)
    report.claim_at_most("memory of the process that handled it", max(peaks), MEGABYTES, "MB")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    measure(given.quick).show(given.json)


if __name__ == "__main__":
    main()
