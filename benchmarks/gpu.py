"""Basin on an NVIDIA device, measured in one command of at most eight minutes.

    python -m benchmarks.gpu [--json] [--wheels DIR] [--out FILE] [--only samplers training]
    python -m benchmarks.gpu --device cpu --quick    # a rehearsal without a device

Needs this source tree (nothing installed), Python ≥ 3.11, a CUDA torch ≥ 2.11 and no network. What
else is missing is taken from DIR, a folder of wheels, and put in a folder that is removed at the
end. Every part is a process of its own: one that fails, hangs or loses the device says so and the
next goes on. Lines of JSON come to FILE while it is measured, the whole is printed at the end.

Exits with 0 where every part ended and every claim holds, 1 where one does not, 2 for bad options.

    facts      versions, the device, how fast it multiplies and copies
    samplers   eager, by inductor's kernels, as CUDA graphs; blackjax, where JAX sees the device
    training   a step of the presets that want a GPU: images a second, idle time, waits for the
               host, memory, float32 against bfloat16
    precision  what bfloat16 changes in energies and losses
    waits      a step of every method and sampler with waits for the host forbidden
    runs       every method trained, watched and judged as a run
    resume     every method saved, restored and compared bit by bit
    nccl       shared rows in a group of one process
    joules     the counter of joules against power over time
    workers    a forked process that sees one device
    tests      those marked `gpu`
    compiled   the step of the largest network by torch.compile
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.report import Report

ROOT = Path(__file__).resolve().parent.parent
SECONDS = {
    "facts": 25,
    "samplers": 100,
    "training": 85,
    "precision": 25,
    "waits": 40,
    "runs": 50,
    "resume": 30,
    "nccl": 20,
    "joules": 20,
    "workers": 20,
    "tests": 40,
    "compiled": 10,
}
"""Parts in the order they run, and the share of the time each may take; what one leaves goes on to
those after it, so that the last has minutes where nothing went wrong."""
NEEDED = {
    "torch": "torch",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic-core",
    "annotated_types": "annotated-types",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "safetensors": "safetensors",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
}
"""Modules without which no part runs, and the packages that bring them."""
WANTED = {
    "pynvml": "nvidia-ml-py (joules)",
    "redis": "redis (tests, workers)",
    "rq": "rq (workers)",
    "click": "click (workers)",
    "pytest": "pytest (tests)",
    "pytest_timeout": "pytest-timeout (tests)",
    "blackjax": "blackjax (samplers)",
    "jax": "jax (samplers)",
}
"""Modules that a part or a comparison needs."""


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="basin-gpu-")))
        notes = [] if options.wheels is None else unpack(options.wheels, scratch / "packages")
        missing = absent(NEEDED)
        if missing:
            for note in notes:
                print(note, file=sys.stderr)
            folder = "--wheels DIR with their wheels"
            print(f"missing here: {', '.join(missing)}. Give {folder}.", file=sys.stderr)
            return 2
        from benchmarks.report import Report

        report = Report("gpu")
        report.notes += notes
        report.notes += [f"not here: {package}." for package in absent(WANTED)]
        lines = stack.enter_context(open(options.out, "a")) if options.out else None
        curves: list[dict[str, Any]] = []
        deadline = began + 60 * options.minutes
        for name in options.only or SECONDS:
            limit = allowance(name, list(options.only or SECONDS), deadline - time.monotonic())
            run_part(name, options, scratch, limit, report, curves, lines)
        if options.json:
            print(json.dumps({**report.as_dict(), "curves": curves}, indent=1))
        else:
            report.show(False)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks and few steps")
    parser.add_argument("--only", nargs="+", choices=list(SECONDS), help="these parts alone")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels of what is missing")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results as they come")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts (default 8)")
    options = parser.parse_args(arguments)
    if options.wheels is not None and not options.wheels.is_dir():
        parser.error(f"--wheels must name a folder, got {options.wheels}.")
    if not options.minutes > 0:
        parser.error(f"--minutes must be above 0, got {options.minutes:g}.")
    return options


def allowance(name: str, names: list[str], left: float) -> float:
    """Seconds that a part may take when `left` are left for it and those after it.

    >>> allowance("tests", ["facts", "tests", "compiled"], 480.0)
    470.0
    >>> allowance("tests", ["facts", "tests", "compiled"], 25.0)
    20.0
    """
    share, later = SECONDS[name], sum(SECONDS[each] for each in names[names.index(name) + 1 :])
    return max(left - later, left * share / (share + later), 1.0)


def unpack(folder: Path, target: Path) -> list[str]:
    """Put wheels of packages that are not here into `target`, and that onto the path of this
    process and its children; returns sentences about it.

    Without what they depend on: a package that is here stays as it is, torch above all.
    """
    names: dict[str, None] = {}
    for wheel in sorted(folder.glob("*.whl")):
        names.setdefault(re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower())
    wanted = [name for name in names if not _installed(name)]
    notes = []
    target.mkdir(parents=True)
    for name in wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        command += ["--disable-pip-version-check", "--find-links", str(folder)]
        done = subprocess.run(
            [*command, "--target", str(target), name], capture_output=True, text=True
        )
        reason = done.stderr.strip().splitlines()
        if done.returncode:
            notes.append(f"{name}: not taken from {folder}: {reason[-1] if reason else 'no word'}.")
    sys.path.insert(0, str(target))
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(target) if not path else f"{target}{os.pathsep}{path}"
    importlib.invalidate_caches()
    return notes


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def absent(modules: dict[str, str]) -> list[str]:
    """Packages of the modules that cannot be found here."""
    return [text for name, text in modules.items() if importlib.util.find_spec(name) is None]


def run_part(
    name: str,
    options: argparse.Namespace,
    scratch: Path,
    limit: float,
    report: Report,
    curves: list[dict[str, Any]],
    lines: IO[str] | None,
) -> None:
    """Run a part in a process of its own for at most `limit` seconds, and take what it says."""
    began = time.monotonic()
    arguments = [name, options.device, "quick" if options.quick else "whole", f"{limit:.0f}"]
    errors = scratch / f"{name}.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_parts", *arguments],
            cwd=ROOT,
            env=_environment(options.device, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    with _watched(process, limit) as overdue, process.stdout:
        for line in process.stdout:
            if lines is not None:
                print(json.dumps({"part": name, "line": line.rstrip()}), file=lines, flush=True)
            _take(line, report, curves)
        code = process.wait()
    seconds = time.monotonic() - began
    report.add(name, "harness", "part", "s", [seconds])
    print(f"{name}: {seconds:.1f} s, exit code {code}", file=sys.stderr)
    reason = _reason(code, overdue.is_set(), limit, errors)
    report.claim_at_most(f"{name}: parts that did not end{reason}", float(bool(reason)), 0)


def _reason(code: int, overdue: bool, limit: float, errors: Path) -> str:
    if overdue:
        return f", out of time after {limit:.0f} s"
    if not code:
        return ""
    last = errors.read_text(errors="replace").strip().splitlines()
    return f", exit code {code}: {last[-1] if last else 'without a word'}"


def _take(line: str, report: Report, curves: list[dict[str, Any]]) -> None:
    from backend.claims.report import Claim, Result

    try:
        kind, value = json.loads(line)
    except ValueError:
        return  # what a library printed
    if kind == "result":
        report.results.append(Result(**value))
    elif kind == "claim":
        report.claims.append(Claim(**value))
    elif kind == "note":
        report.notes.append(value)
    elif kind == "curve":
        curves.append(value)


def _environment(device: str, scratch: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("BASIN_")}
    environment = {
        **others,
        "BASIN_HOME": str(scratch / "home"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "PYTHONPATH": os.pathsep.join(filter(None, [others.get("PYTHONPATH"), str(ROOT)])),
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


@contextlib.contextmanager
def _watched(process: subprocess.Popen[str], limit: float) -> Iterator[threading.Event]:
    """Kill a process and all it has started after `limit` seconds; the event tells that it was."""
    overdue, ended = threading.Event(), threading.Event()

    def watch() -> None:
        if not ended.wait(limit):
            overdue.set()
            _kill(process)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield overdue
    finally:
        ended.set()
        thread.join()
        _kill(process)  # what it left behind, too
        process.wait()


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
