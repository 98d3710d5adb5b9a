"""Weight and speed of every page, and whether everybody can use it.

    python -m benchmarks.pages [--quick] [--json] [--only PAGE ...]

A Basin with a few small runs (two seeds in the plane, images, a table, a race) is started, and each
page opened in headless Chromium, cold (a new profile: nothing in the cache) and warm (again in the
same profile): seconds to the first paint and until what matters on it is there, bytes, requests,
layout shift. Then axe-core (all its rules, light and dark), errors of the console, and the pixels
by which it is wider than a screen of 390. Server and browser share the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from backend.spec import Budget, RunSpec
from benchmarks import chromium
from benchmarks.live_work import running
from benchmarks.pages_visit import Case, Visit, overflow, violations, visit
from benchmarks.report import Report
from jobs.queueing import enqueue
from jobs.races import Race
from jobs.records import run_store

PAGES = (
    "launch",
    "runs",
    "run",
    "images",
    "table",
    "compare",
    "grid",
    "lab",
    "race",
    "studio",
    "arena",
    "gallery",
    "system",
)
TARGETS = (
    ("cold", "first paint", 1.0, "s"),
    ("cold", "usable", 2.5, "s"),
    ("cold", "over HTTP", 3.5, "MB"),
    ("light", "axe violations", 0, ""),
    ("dark", "axe violations", 0, ""),
    ("narrow", "overflow at 390", 0, "px"),
    ("console", "errors", 0, ""),
)
"""What the worst page may have: who or what it is measured of, the figure, the most, its unit."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
THEME_MS = 1000
"""Until a page that is told of another theme has drawn all in it."""
_CHART = ".bl-plot .main-svg"
_PRIMARY = 'button[data-testid="stBaseButton-primary"]:not(:disabled)'


def cases(runs: dict[str, list[str]]) -> list[Case]:
    """Build the pages, with the runs that they show."""
    ring, images, table, race = (runs[name] for name in ("ring", "images", "table", "race"))
    return [
        Case("launch", "launch", (f".st-key-launch_bar {_PRIMARY}", ".basin-cost", ".bl-tile")),
        Case("runs", "runs", (".bl-run a.bl-name",)),
        Case("run", f"run?id={ring[0]}", (".bl-hero canvas", _CHART)),
        Case("images", f"run?id={images[0]}", (".bl-hero canvas",)),
        Case("table", f"run?id={table[0]}", (_CHART,)),
        Case("compare", f"compare?runs={','.join(ring)}", (".bl-cards canvas",)),
        Case("grid", f"grid?run={ring[0]}", (_PRIMARY,)),
        Case("lab", "lab", (f".st-key-beside {_PRIMARY}",)),
        Case("race", f"lab?runs={','.join(race)}", (".bl-lane canvas", ".bl-diagnostics td")),
        Case("studio", f"studio?run={ring[0]}", (_PRIMARY,)),
        Case("arena", "arena", ('[data-testid="stBaseButton-primaryFormSubmit"]',)),
        Case("gallery", "gallery", (".basin-claim", f'[class*="st-key-launch_"] {_PRIMARY}')),
        Case("system", "system", (".bl-worker", ".basin-disk")),
    ]


def run(pages: list[str], quick: bool) -> Report:
    """Measure the pages, one after the other."""
    report = Report("pages")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        with running(home) as basin:
            chosen = [case for case in cases(train(_specs(home))) if case.name in pages]
            browser = chromium.launch(playwright.chromium)
            # who comes first to a server that just started waits for its imports: once a start
            page, _ = visit(browser.new_context(), basin.address, chosen[0])
            page.context.close()
            for case in chosen:
                began = time.monotonic()
                _measure(report, browser, basin.address, case, 1 if quick else 3)
                seconds = time.monotonic() - began
                print(f"{case.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
            browser.close()
    claim(report)
    return report


def _specs(home: Path) -> dict[str, list[RunSpec]]:
    """Small runs for the pages to show, by kind."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(600, 5)) @ rng.normal(size=(5, 5))
    path = home / "measurements.csv"
    np.savetxt(path, mixed, fmt="%.4f", delimiter=",", header="a,b,c,d,e", comments="")
    small = {"method": "contrastive_divergence", "budget": Budget(steps=40)}
    plane = {"name": "ring", "num": 1000, "num_held_out": 300}
    noise = {"method": "denoising_score_matching", "budget": Budget(steps=20)}
    race = Race(
        {"name": "ring"},
        ({"kind": "langevin", "step_size": 0.02}, {"kind": "mala"}, {"kind": "hmc"}),
        Budget(gradients=2000),
    )
    return {
        "ring": [
            RunSpec(data=plane, preset="plain_persistent", seed=seed, **small) for seed in (0, 1)
        ],
        "images": [RunSpec(data={"name": "digits"}, **noise)],
        "table": [RunSpec(data={"name": "file", "path": str(path)}, **noise)],
        "race": race.specs(),
    }


def train(specs: dict[str, list[RunSpec]]) -> dict[str, list[str]]:
    """Train what the pages show, on the workers; returns ids by kind."""
    runs = {name: enqueue.launch_many(each) for name, each in specs.items()}
    deadline = time.monotonic() + 600
    for run_id in (run_id for ids in runs.values() for run_id in ids):
        while not (status := run_store.open_run(run_id).status()).is_over:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{run_id} is {status.status} after 600 s")
            time.sleep(0.2)
        if status.status != "finished":
            raise RuntimeError(f"{run_id} is {status.status}: {status.reason}")
    return runs


def _visit_twice(browser: Browser, address: str, case: Case) -> tuple[Page, tuple[Visit, Visit]]:
    """Visit with a new profile, and once more with the same, whose page is left open."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page, cold = visit(context, address, case)
    page.close()
    page, warm = visit(context, address, case)
    return page, (cold, warm)


def _measure(report: Report, browser: Browser, address: str, case: Case, repeats: int) -> None:
    pairs = []
    for repeat in range(repeats):
        page, pair = _visit_twice(browser, address, case)
        pairs.append(pair)
        if repeat == repeats - 1:
            _look(report, page, case)
        page.context.close()
    for subject, visits in zip(("cold", "warm"), zip(*pairs, strict=True), strict=True):
        figures = {
            ("first paint", "s"): [each.first_paint for each in visits],
            ("usable", "s"): [each.usable for each in visits],
            ("over HTTP", "MB"): [each.megabytes for each in visits],
            ("over WebSockets", "MB"): [each.socket_megabytes for each in visits],
            ("main thread", "s of CPU"): [each.main_thread for each in visits],
            ("requests", ""): [float(each.requests) for each in visits],
            ("layout shift", ""): [each.shift for each in visits],
        }
        for (metric, unit), values in figures.items():
            report.add(case.name, subject, metric, unit, values)
    errors = {text for pair in pairs for each in pair for text in each.errors}
    largest = sorted(pairs[0][0].largest.items(), key=lambda item: -item[1])[:4]
    weights = ", ".join(f"{name} {num_bytes / 1e6:.2f} MB" for name, num_bytes in largest)
    report.notes.append(f"{case.name}: the heaviest are {weights}")
    report.notes += [f"{case.name}: console: {text}" for text in sorted(errors)]
    report.add(case.name, "console", "errors", "", [float(len(errors))])


def _look(report: Report, page: Page, case: Case) -> None:
    """Ask axe of a page that is open, in both themes, and measure its width."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(THEME_MS)
        listed = violations(page)
        report.add(case.name, theme, "axe violations", "", [float(len(listed))])
        report.notes += [f"{case.name}, {theme}: {text}" for text in listed]
    report.add(case.name, "narrow", "overflow at 390", "px", [float(overflow(page))])


def claim(report: Report) -> None:
    """Claim of the worst page what every page is to be."""
    for subject, metric, target, unit in TARGETS:
        rows = [row for row in report.results if (row.subject, row.metric) == (subject, metric)]
        worst = max(rows, key=lambda row: row.median)
        report.claim_at_most(
            f"{subject} {metric}, the worst page ({worst.case})", worst.median, target, unit
        )


def main() -> None:
    """Measure and print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one visit in place of three")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", choices=PAGES, help="some pages", default=None)
    arguments = parser.parse_args()
    report = run(arguments.only or list(PAGES), arguments.quick)
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
