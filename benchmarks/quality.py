"""Quality of what is learned: shipped presets, unchanged, on every toy and on the digits.

    python -m benchmarks.quality [--quick] [--density] [--seeds 3] [--only ring digits] [--json]

Every figure is that of a run's final evaluation: samples against as many held-out data, with the
floor (real data against fresh real data) beside it. A claim must hold for the worst seed. Runs go
one to a core, in a folder of their own that is removed at the end. `--quick` trains one seed of the
ring and of the digits, and claims as much of them. `--density` trains the presets that learn a
density with few chains or none, on the toys that the recipes leave out, and claims that none
diverges; recipes say how good they are.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from benchmarks.report import Report

TOYS = ("ring", "moons", "checkerboard", "pinwheel")
OTHER_TOYS = ("moons", "checkerboard", "pinwheel", "spirals")
DENSITY = (
    ("sliced_score_matching", "default"),
    ("noise_contrastive", "default"),
    ("compositional_likelihood", "default"),
    ("exact_likelihood", "default"),
    ("energy_matching", "default"),
    ("energy_matching", "flow_only"),
    ("recovery_likelihood", "default"),
    ("recovery_likelihood", "cooperative"),
)
"""method and preset of what `--density` trains"""
METRICS = {
    "quality/grid_kl": ("KL to the true density", "nats"),
    "quality/energy_distance": ("energy distance", "squared, data sd"),
    "quality/sliced_wasserstein": ("sliced Wasserstein-2", "data sd"),
    "quality/mode_share": ("share within 2 sd of a mode", ""),
    "quality/frechet_features": ("Fréchet distance, classifier features", ""),
    "quality/frechet_pca": ("Fréchet distance, 20-d PCA", ""),
    "quality/out_of_range": ("pixels out of range", "share"),
}
SERIES = {"": "", "/train_time": ", train-time", "/long_run": ", long-run", "/floor": ", floor"}
DIGITS_SECONDS = 300.0
SHORT_RUN_KL = 0.3
QUICK = ("persistent", "plain_persistent", "images")
"""presets that `--quick` trains"""


@dataclass(frozen=True)
class Case:
    """One preset on one data set, over seeds, and the bounds its figures must keep."""

    method: str
    preset: str
    data: str
    at_most: dict[str, float] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.data}: {self.method}, {self.preset}"


@dataclass(frozen=True)
class Outcome:
    """Result of one run."""

    case: Case
    status: str
    reason: str
    seconds: float
    """of training, observation left out"""
    metrics: dict[str, float]


def cases(names: set[str] | None = None) -> list[Case]:
    """Every case, or those of the named data sets."""
    sliced = {toy: 0.15 if toy == "moons" else 0.30 for toy in TOYS}
    chosen = []
    for method, preset in (
        ("contrastive_divergence", "plain_persistent"),
        ("denoising_score_matching", "plain"),
    ):
        for toy in TOYS:
            bounds = {
                "quality/energy_distance/long_run": 0.02 if toy == "ring" else 0.03,
                "quality/sliced_wasserstein/long_run": sliced[toy],
            }
            if toy == "ring":
                bounds["quality/grid_kl"] = 0.05
            chosen.append(Case(method, preset, toy, bounds))
    # Its long chains from noise stay where they fall: it is judged by its density.
    density = {"quality/grid_kl": 0.05}
    chosen.append(Case("contrastive_divergence", "persistent", "ring", density))
    chosen.append(
        Case(
            "contrastive_divergence",
            "short_run",
            "ring",
            {"quality/energy_distance/train_time": 0.01},
            {"quality/grid_kl": SHORT_RUN_KL},
        )
    )
    chosen.append(
        Case(
            "contrastive_divergence",
            "images",
            "digits",
            {
                "quality/frechet_pca/train_time": 1.0,
                "quality/frechet_pca/long_run": 2.0,
                "quality/out_of_range/train_time": 0.10,
                "quality/out_of_range/long_run": 0.10,
            },
        )
    )
    return [case for case in chosen if names is None or case.data in names]


def density_cases(names: set[str] | None = None) -> list[Case]:
    """Every preset that learns a density, on every toy that the recipes leave out."""
    return [
        Case(method, preset, toy)
        for method, preset in DENSITY
        for toy in OTHER_TOYS
        if names is None or toy in names
    ]


def train(case: Case, seed: int, home: str) -> Outcome:
    """Train one run here, as `basin run --inline` does, and return its final figures."""
    os.environ["BASIN_HOME"] = home
    os.environ["BASIN_THREADS"] = "1"
    from backend.spec import RunSpec
    from jobs.execution import loop
    from jobs.models import trained_run
    from jobs.records import run_store

    spec = RunSpec(method=case.method, preset=case.preset, data={"name": case.data}, seed=seed)
    directory = run_store.create_run(spec)
    status = loop.run(directory, load_energy=trained_run.load_energy)
    final = directory.metrics() if status.status == "finished" else {}
    # a figure that is no number breaks every bound
    metrics = {path: math.inf if value is None else value for path, value in final.items()}
    return Outcome(case, status.status, status.reason, status.seconds, metrics)


def judge(report: Report, case: Case, outcomes: list[Outcome], *, timed: bool) -> None:
    """Add a case's figures and claims; of seconds none where they are not `timed`."""
    lost = [outcome for outcome in outcomes if outcome.status != "finished"]
    report.claim_at_most(f"{case.name}: runs that did not finish", len(lost), 0)
    report.notes += [f"{case.name}: {outcome.status}, {outcome.reason}" for outcome in lost]
    whole = [outcome for outcome in outcomes if outcome.status == "finished"]
    if not whole:
        return
    report.add(case.name, "basin", "training", "s", [outcome.seconds for outcome in whole])
    for path, (title, unit) in METRICS.items():
        for tail, words in SERIES.items():
            values = [o.metrics[path + tail] for o in whole if path + tail in o.metrics]
            if values:
                subject = "floor" if tail == "/floor" else "basin"
                report.add(case.name, subject, title + words, unit, values)
    for path, bound in case.at_most.items():
        worst = max(outcome.metrics.get(path, math.inf) for outcome in whole)
        report.claim_at_most(f"{case.name}: {_words(path)}, worst seed", worst, bound)
    for path, bound in case.at_least.items():
        worst = min(outcome.metrics.get(path, -math.inf) for outcome in whole)
        report.claim_at_least(f"{case.name}: {_words(path)}, worst seed", worst, bound)
    if timed and case.data == "digits":
        longest = max(outcome.seconds for outcome in whole)
        report.claim_at_most(f"{case.name}: training", longest, DIGITS_SECONDS, "s")


def _words(path: str) -> str:
    for tail, words in SERIES.items():
        if tail and path.endswith(tail):
            return METRICS[path.removesuffix(tail)][0] + words
    return METRICS[path][0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed of the ring and digits")
    parser.add_argument("--density", action="store_true", help="presets that learn a density")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every case")
    parser.add_argument("--only", nargs="+", metavar="DATA", help="these data sets alone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    every = density_cases if options.density else cases
    chosen = every(set(options.only) if options.only else None)
    seeds = options.seeds
    if options.quick:
        seeds = 1
    if options.quick and not options.density:
        chosen = [case for case in chosen if case.preset in QUICK]
        chosen = [case for case in chosen if case.data in ("ring", "digits")]
    if not chosen:
        known = ", ".join(sorted({case.data for case in every()}))
        parser.error(f"--only must name some of {known}, got {' '.join(options.only or [])}.")
    report = Report("quality")
    # the longest first, so that no core waits for one at the end
    work = sorted(
        ((case, seed) for case in chosen for seed in range(seeds)),
        key=lambda pair: pair[0].data != "digits",
    )
    with tempfile.TemporaryDirectory(prefix="basin-quality-") as home:
        processes = min(os.cpu_count() or 1, len(work))
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(train, case, seed, home) for case, seed in work]
            outcomes = [future.result() for future in futures]
    for case in chosen:
        of_case = [outcome for outcome in outcomes if outcome.case == case]
        # whoever checks in passing shares the machine with others: its seconds decide nothing
        judge(report, case, of_case, timed=not options.quick)
    report.show(options.json)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
