"""SIGKILL of a process that logs: how much of what it had logged is on the disk, and of the peers'.

The same process, rate and moments for all; what an own server of theirs may do is not looked at.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults_writer import READ
from benchmarks.live_peers import PEERS
from benchmarks.report import Report

CASE = "SIGKILL of who logs"
_WRITER = Path(__file__).with_name("faults_writer.py")


def measure(report: Report, seed: int, repeats: int) -> None:
    """Add the seconds that are lost, for Basin and for each peer that is installed."""
    for subject in READ:
        python = sys.executable if subject == "basin" else str(PEERS)
        if subject != "basin" and (why := _missing(subject)):
            report.notes.append(f"{subject} is left out: {why}")
            continue
        losses = [_lost(python, subject, random.Random(seed + n)) for n in range(repeats)]
        result = report.add(CASE, subject, "logged and lost", "s", losses)
        if subject == "basin":
            report.claim_at_most("logged and lost at SIGKILL", result.max, 0.2, "s")


def _missing(subject: str) -> str:
    if not PEERS.exists():
        return "no .venv-peers; `make peers` makes it"
    done = subprocess.run([str(PEERS), "-c", f"import {subject}"], capture_output=True)
    return "" if done.returncode == 0 else "it is not in .venv-peers"


def _lost(python: str, subject: str, rng: random.Random) -> float:
    """Seconds of points that a process had logged when it was killed, and that are not there."""
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "said.txt"
        (Path(folder) / "log").mkdir()
        with stamps.open("w") as file:
            process = subprocess.Popen(
                [python, str(_WRITER), "write", subject, f"{folder}/log"],
                stdout=file,
                stderr=subprocess.DEVNULL,
            )
        try:
            while not (logged := _last(r"^step (\d+)$", stamps.read_text())):
                if process.poll() is not None:
                    raise RuntimeError(f"{subject} ended by itself with {process.returncode}")
                time.sleep(0.01)
            began, first = time.monotonic(), logged
            time.sleep(rng.uniform(2.0, 6.0))
        finally:
            process.kill()
            process.wait()
        seconds = time.monotonic() - began
        logged = _last(r"^step (\d+)$", stamps.read_text())
        read = [python, str(_WRITER), "read", subject, f"{folder}/log"]
        done = subprocess.run(read, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{subject} cannot be read: {done.stderr[-500:]}")
        lost = logged - _last(r"^last (\d+)$", done.stdout)
        return lost * seconds / (logged - first)


def _last(pattern: str, text: str) -> int:
    """The last number that stands so in a text; 0 for none."""
    return int((re.findall(pattern, text, re.MULTILINE) or [0])[-1])
