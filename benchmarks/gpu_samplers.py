"""The sampler benchmark on an NVIDIA device, for `benchmarks.gpu`."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from statistics import median

from benchmarks import samplers as table
from benchmarks.gpu_parts import Bench
from benchmarks.samplers_work import Case

ON_A_GPU = ("basin eager", "basin compiled", "basin graph", "basin compiled graph")
"""operation by operation; inductor's kernels; the eager kernels as a CUDA graph; inductor's so"""
ORDER = ("ula mlp", "hmc mlp", "ula mixture", "hmc mixture", "ula double_well", "ula conv")
"""Cases that a claim or a comparison rests on come first: time may run out."""
LONGER = {"ula": 200, "hmc": 20}
"""Steps, so that the start of a call is not the figure."""
SHORTER = {"nuts": (50, 50), "mala": (2000, 500)}
"""Steps and warm-up, so that every case has its turn."""


def cases(quick: bool) -> list[Case]:
    """The table's cases at a device's sizes, those first that claims rest on."""
    chosen = []
    for case in table.cases(quick=True):
        if case.sampler in LONGER:
            case = replace(case, num_steps=LONGER[case.sampler])
        else:
            steps, warm_up = SHORTER[case.sampler]
            case = replace(case, num_steps=steps, num_warm_up=warm_up)
        if quick:
            case = replace(case, num_chains=8, num_steps=4, num_warm_up=min(case.num_warm_up, 4))
        chosen.append(case)

    def place(case: Case) -> tuple[int, int]:
        name = f"{case.sampler} {case.energy}"
        return (ORDER.index(name) if name in ORDER else len(ORDER), -case.num_chains)

    ordered = sorted(chosen, key=place)
    return ordered[:2] if quick else ordered


def samplers(bench: Bench) -> None:
    """The table, case by case; claims that no peer is faster on a network of dense layers."""
    report = bench.report
    subjects: tuple[str, ...] = (table.EAGER,)
    if bench.on_gpu:
        subjects = ON_A_GPU
        if all(importlib.util.find_spec(name) for name in ("jax", "blackjax")):
            subjects += ("blackjax",)
        else:
            report.note("samplers: blackjax left out, it or JAX is not here.")

    def after(case: Case, measured: table.Rounds) -> None:
        of_case = {key: rounds for key, rounds in measured.items() if key[0] == case}
        table.show(report, of_case)
        _claim(bench, case, of_case)

    rounds = 1 if bench.quick else 2
    table.measure(cases(bench.quick), rounds, report, subjects, after)
    for note in report.notes:
        report.note(note)


def _claim(bench: Bench, case: Case, measured: table.Rounds) -> None:
    if case.energy != "mlp" or not bench.on_gpu or (case, "blackjax") not in measured:
        return
    seconds = {
        subject: median(r["seconds"] for r in rounds) for (_, subject), rounds in measured.items()
    }
    theirs = seconds.pop("blackjax")
    own = min(seconds, key=lambda subject: seconds[subject])
    text = f"{case.name}: {own} against blackjax, times as fast as it"
    bench.report.claim_at_least(text, theirs / seconds[own], 1.0)
