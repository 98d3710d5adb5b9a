"""Delay from what a run says to what the page shows, and its cost.

    python -m benchmarks.live [--quick] [--json] [--only PART ...] [--soak SECONDS]

Parts: latency (a real training job, a real Chromium; also while another viewer opens a Compare
page of a million points; Trackio and TensorBoard beside it, from `.venv-peers`), viewers (CPU and
memory of the server by viewers and by history), open (a million points), page (remounts and zoom
over many updates, frames a second), cuts (a client cut off, a server killed), redis, soak.

Stamp to visible: from the moment the loop said it (`time` in the frame's header) to the frame in
which the browser painted it. Trackio and TensorBoard are given the moment in which their data
reached the browser, drawing not counted, which is in their favour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks import chromium, live_page, live_server
from benchmarks.live_stage import Stage
from benchmarks.live_work import running
from benchmarks.report import Report

PARTS: dict[str, Callable[[Stage], None]] = {
    "latency": live_page.latency,
    "viewers": live_server.viewing,
    "open": live_page.opening,
    "page": live_page.keeping,
    "cuts": live_server.cuts,
    "redis": live_server.redis,
    "soak": live_server.soak,
}


def run(parts: list[str], quick: bool, soak: float) -> Report:
    """Measure the parts, each in its own Basin, one after the other."""
    report = Report("live")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = chromium.launch(playwright.chromium)
        for part in parts:
            with running(Path(folder) / part) as basin:
                print(f"{part} ...", file=sys.stderr, flush=True)
                PARTS[part](Stage(report, basin, browser, quick, soak))
        browser.close()
    return report


def main() -> None:
    """Measure and print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="shorter, one repeat")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts", default=None)
    parser.add_argument("--soak", type=float, default=None, help="seconds of the soak (20; 3600)")
    arguments = parser.parse_args()
    soak = arguments.soak or (20.0 if arguments.quick else 3600.0)
    report = run(arguments.only or list(PARTS), arguments.quick, soak)
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
