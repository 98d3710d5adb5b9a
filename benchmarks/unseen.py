"""Densities on data that no preset was tuned on, and on the toys.

    python -m benchmarks.unseen [--quick] [--json] [--only SET ...] [--methods METHOD ...]
                                [--seeds 3] [--processes 2] [--resume FILE]

Each run is trained as `basin run --inline` does, by a preset as it ships, and judged by a
normaliser of the benchmark's own: KL to the known density, nats of held-out points beside one
Gaussian, 20 Gaussians and a kernel estimate, the alarms it raised, and the samples that are drawn
by default. The proposed method and persistent chains see every set; the others five kinds; methods
whose energy is that of no density are judged by samples, on one set. Each finished run is a line of
the file of `--resume`, whose runs are not run again. `--quick` is one seed of four sets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.report import Report
from benchmarks.unseen_claims import judge, table
from benchmarks.unseen_sets import sets
from benchmarks.unseen_work import GENERATORS, TOYS, Case, Row, train

KINDS = ("rotated", "shells", "student", "mixture_10d", "ring_10d")
"""sets that every method sees"""
QUICK = ("rotated", "shells", "student", "ring_10d")
EVERYWHERE = (("contrastive_divergence", "persistent"),)
"""and the proposed method: on every set"""
ELSEWHERE = (
    ("contrastive_divergence", "plain_persistent"),
    ("contrastive_divergence", "default"),
    ("denoising_score_matching", "default"),
    ("sliced_score_matching", "default"),
    ("noise_contrastive", "default"),
    ("compositional_likelihood", "default"),
    ("exact_likelihood", "default"),
)
"""on KINDS"""
OF_THE_PLANE = (
    ("exact_likelihood", "default"),
    ("contrastive_divergence", "plain_persistent"),
)
"""in two dimensions alone"""


def proposed(data: str) -> tuple[str, str]:
    """Method and preset that Basin proposes for a set before any bakeoff."""
    from jobs import proposals

    dim = 2 if data in TOYS else sets()[data].dim
    contestant = proposals.proposal(proposals.Kind((dim,), num_train=6400)).contestant
    return contestant.method, contestant.preset


def cases(seeds: int, *, quick: bool = False) -> Iterator[Case]:
    """Every run of the benchmark: each set once before any is seen by another seed."""
    from backend import catalogue

    methods = catalogue.methods()
    for seed in range(seeds):
        for data in QUICK if quick else (*sets(), *TOYS):
            pairs = [proposed(data), *EVERYWHERE]
            if data in KINDS and not quick:
                pairs += ELSEWHERE
            if data == KINDS[0] and not quick:
                pairs += [(method, "default") for method in GENERATORS]
            for method, preset in dict.fromkeys(pairs):
                plane = data in TOYS or sets()[data].dim == 2
                is_there = preset in methods[method].presets
                if is_there and (plane or (method, preset) not in OF_THE_PLANE):
                    yield Case(data, method, preset, seed)


def run(chosen: list[Case], processes: int, file: Path) -> list[Row]:
    """Run what the file does not hold yet; each row is written to it at once."""
    rows = read(file)
    done = {row.key for row in rows}
    waiting = [case for case in chosen if case.key not in done]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # of the children, baselines included
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="basin-unseen-") as home,
        ProcessPoolExecutor(max(1, processes), mp_context=get_context("spawn")) as pool,
        file.open("a") as lines,
    ):
        futures = [pool.submit(train, case, home) for case in waiting]
        for index, future in enumerate(as_completed(futures), start=1):
            value = future.result()
            lines.write(json.dumps(value) + "\n")
            lines.flush()
            rows.append(Row(**value))
            spent = time.monotonic() - started
            left = spent / index * (len(waiting) - index)
            progress = f"{index} of {len(waiting)}, {spent / 60:.1f} min, {left / 60:.1f} left"
            print(f"{progress}: {rows[-1].line()}", file=sys.stderr, flush=True)
    wanted = {case.key for case in chosen}
    return [row for row in rows if row.key in wanted]


def read(file: Path) -> list[Row]:
    """Rows of earlier runs; those that were cut off in writing are left out."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError):
            print(f"left out of {file}: {line[:80]}", file=sys.stderr)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed of four sets")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every case")
    parser.add_argument("--only", nargs="+", metavar="SET", help="these sets alone")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="these methods alone")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--resume", type=Path, metavar="FILE", help="rows are read and added here")
    parser.add_argument("--list", action="store_true", help="list the runs and end")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    chosen = [
        case
        for case in cases(seeds, quick=options.quick)
        if (not options.only or case.data in options.only)
        and (not options.methods or case.method in options.methods)
    ]
    if not chosen:
        parser.error(f"nothing is left to run; the sets are {', '.join((*sets(), *TOYS))}.")
    if options.list:
        print("\n".join(case.key for case in chosen))
        return 0
    with tempfile.TemporaryDirectory(prefix="basin-unseen-rows-") as folder:
        file = options.resume or Path(folder) / "rows.jsonl"
        rows = run(chosen, options.processes, file)
    report = Report("unseen")
    judge(report, rows, {data: proposed(data) for data in {row.data for row in rows}})
    print(table(rows), file=sys.stderr)
    report.show(options.json)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
