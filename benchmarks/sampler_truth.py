"""Every sampler against targets whose truth is known.

    python -m benchmarks.sampler_truth [--quick] [--only PART ...] [--json]

exact: kernels that claim no bias, on three targets each, one of them asymmetric; the worst moment
in standard errors over independent chains. biased: where the bias is known in closed form. ising:
total variation to the enumerated law beside as many independent draws. tempering: mode weights and
log Z on a ring started in one mode. funnel: who fails where it is narrow, with the truth beside.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend import catalogue
from backend.energies.discrete import enumerate_states, state_index
from backend.errors import BadInput
from backend.observers.draw_statistics import health
from backend.randomness import generator_of
from backend.spec import RunSpec
from benchmarks.report import Report
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")
Spec = dict[str, Any]
CONTINUOUS: dict[str, Spec] = {
    "gaussian": {"name": "gaussian", "dim": 10, "condition": 100.0},
    "banana": {"name": "banana"},
    "logistic regression": {"name": "logistic_regression"},
}
DISCRETE: dict[str, Spec] = {
    "ising": {"name": "ising", "rows": 3, "columns": 3, "field": 0.2},
    "potts": {"name": "potts", "rows": 3, "columns": 3},
    "rbm": {"name": "rbm"},
}
STEPS = {"nuts": 150, "hmc": 400}
"""Sampler steps that count, where not 2,000."""
SEEDS = (0, 1, 2)
PARTS: dict[str, Callable[[Report, bool], None]] = {}


def part(function: Callable[[Report, bool], None]) -> Callable[[Report, bool], None]:
    PARTS[function.__name__] = function
    return function


def method_of(data: dict[str, Any], sampler: dict[str, Any], seed: int, **config: Any) -> Any:
    """A `sampling` method, set up."""
    config = {"sampler": sampler, **config}
    spec = RunSpec(method="sampling", data=data, config=config, seed=seed)
    return prepare(spec, CPU, None).method


def warmed(method: Any, num: int) -> Any:
    """Its state after `num` steps in which it tuned itself."""
    state = method.state
    for index in range(num):
        state, info = method.kernel.step(state, method.target, method.generator)
        state = method.kernel.tune(state, info, index, num)
    return state


def worst_moment(method: Any, num_warm_up: int, num: int) -> tuple[float, float]:
    """(the mean, variance or mean energy furthest from the truth, in standard errors; the smallest
    standard error of a mean, in sd of the target).

    Chains are independent, so that the spread of their averages is the standard error, however
    slowly each of them mixes.
    """
    data, truth = method.task.data, method.truth
    state = warmed(method, num_warm_up)
    centre, scale = truth.mean, truth.variance.clamp(min=1e-12).sqrt()
    sums: Tensor | None = None
    for _ in range(num):
        state, _ = method.kernel.step(state, method.target, method.generator)
        z = ((data.restore(state.position).double() - centre) / scale).flatten(1)
        moves = (truth.variance > 0).flatten()
        figures = [z[:, moves], z[:, moves].square()]
        if truth.mean_energy is not None:
            figures.append(state.energy.double()[:, None] - truth.mean_energy)
        row = torch.cat(figures, 1)
        sums = row if sums is None else sums + row
    assert sums is not None
    averages = sums / num
    num_moving = int((truth.variance > 0).sum())
    expected = torch.zeros(averages.shape[1], dtype=torch.float64)
    expected[num_moving : 2 * num_moving] = 1.0
    error = averages.std(0) / math.sqrt(len(averages))
    known_to = _reference_errors(truth, num_moving, averages.shape[1], scale)
    off = (averages.mean(0) - expected).abs() / (error.square() + known_to.square()).sqrt()
    return float(off.max()), float(error[:num_moving].min())


def _reference_errors(truth: Any, num: int, size: int, scale: Tensor) -> Tensor:
    """Standard errors of the truth itself, where it is of a long run."""
    errors = torch.zeros(size, dtype=torch.float64)
    moves = (truth.variance > 0).flatten()
    if truth.mean_error is not None:
        errors[:num] = (truth.mean_error / scale).flatten()[moves]
    if truth.variance_error is not None:
        errors[num : 2 * num] = (truth.variance_error / scale.square()).flatten()[moves]
    return errors


def exact_kernels(discrete: bool) -> list[str]:
    return [
        kind
        for kind, cls in catalogue.samplers().items()
        if cls.exact and cls.discrete == discrete and not (cls.anneals or cls.population)
    ]


@part
def exact(report: Report, quick: bool) -> None:
    """Kernels that claim no bias."""
    for discrete, targets in ((False, CONTINUOUS), (True, DISCRETE)):
        for kind in exact_kernels(discrete):
            worst, tried = 0.0, 0
            for name, data in targets.items():
                values = []
                for seed in SEEDS[:1] if quick else SEEDS:
                    try:
                        method = method_of(
                            data, {"kind": kind}, seed, num_chains=200, chains="data"
                        )
                    except BadInput as error:  # a kernel of lattices alone, on something else
                        report.notes.append(f"{kind} on {name}: {error}")
                        continue
                    steps = STEPS.get(kind, 2000) // (10 if quick else 1)
                    off, _ = worst_moment(method, 100 if quick else 500, steps)
                    values.append(off)
                if values:
                    tried += 1
                    report.add(name, kind, "worst moment", "standard errors", values)
                    worst = max(worst, sorted(values)[len(values) // 2])
            report.claim_at_most(f"{kind}: worst moment on {tried} targets", worst, 4.0, "se")


@part
def biased(report: Report, quick: bool) -> None:
    """Unadjusted Langevin and BAOAB on a Gaussian of known variances, standardised or not."""
    data = {"name": "gaussian", "dim": 4, "condition": 10.0}
    for kind, step_size, law in (
        ("langevin", 0.3, lambda a, precision: 1 / (precision * (1 - a * precision / 2))),
        ("underdamped", 0.5, lambda a, precision: 1 / precision),
    ):
        ratios = []
        for seed in SEEDS[:1] if quick else SEEDS:
            sampler = {"kind": kind, "step_size": step_size}
            method = method_of(data, sampler, seed, num_chains=4000, chains="data")
            state = warmed(method, 200)
            directions, precisions = _principal(method.target)
            total = torch.zeros(len(precisions), dtype=torch.float64)
            num = 50 if quick else 500
            for _ in range(num):
                state, _ = method.kernel.step(state, method.target, method.generator)
                z = (state.position.double() - _centre(method)) @ directions
                total += z.square().mean(0) / num
            expected = torch.stack([torch.as_tensor(law(step_size, p)) for p in precisions])
            ratios.append(float((total / expected - 1).abs().max()))
        report.add("gaussian", kind, "variance against its closed form", "ratio − 1", ratios)
        middle = sorted(ratios)[len(ratios) // 2]
        report.claim_at_most(f"{kind}: variance against the closed form", middle, 0.05)


def _centre(method: Any) -> Tensor:
    truth, data = method.truth, method.task.data
    centre: Tensor = (truth.mean - data.mean.double()) / data.scale.double()
    return centre


def _principal(target: Any) -> tuple[Tensor, Tensor]:
    """Principal directions (dim, dim) and precisions of a Gaussian energy, from its Hessian."""
    hessian = torch.autograd.functional.hessian(
        lambda x: target(x[None])[0], torch.zeros(4, dtype=torch.float64)
    )
    values, vectors = torch.linalg.eigh(torch.as_tensor(hessian))
    return vectors, values


@part
def ising(report: Report, quick: bool) -> None:
    """4×4 lattices: 1,000 chains of 10,000 steps each, their last positions' law."""
    num_steps = 300 if quick else 10_000
    for label, data in (
        (
            "ising 4×4, field",
            {"name": "ising", "rows": 4, "columns": 4, "coupling": 0.05, "field": 0.1},
        ),
        (
            "ising 4×4, coupled",
            {"name": "ising", "rows": 4, "columns": 4, "coupling": 0.125, "field": 0.0},
        ),
    ):
        for kind in ("gibbs_with_gradients", "discrete_mala", "block_gibbs"):
            gaps, values, floors = [], [], []
            for seed in SEEDS[:1] if quick else SEEDS:
                method = method_of(data, {"kind": kind}, seed, num_chains=1000)
                value, floor = _total_variation(method, num_steps, seed)
                values.append(value)
                floors.append(floor)
                gaps.append(value - floor)
            report.add(label, kind, "total variation", "", values)
            report.add(label, "independent", "total variation", "", floors)
            middle = sorted(gaps)[len(gaps) // 2]
            report.claim_at_most(f"{kind}: above the floor on {label}", middle, 0.02)


def _total_variation(method: Any, num_steps: int, seed: int) -> tuple[float, float]:
    """Of all positions after the first tenth, every 10th step, and of as many exact draws."""
    states = enumerate_states(method.task.data.event_shape, 2)
    with torch.no_grad():
        law = torch.softmax(-method.target(states).double(), 0)
    counts = torch.zeros(len(law), dtype=torch.float64)
    state = warmed(method, num_steps // 10)
    for index in range(num_steps):
        state, _ = method.kernel.step(state, method.target, method.generator)
        if index % 10 == 9:
            counts += torch.bincount(state_index(state.position, 2), minlength=len(law))
    num = int(counts.sum())
    drawn = torch.multinomial(law, num, True, generator=generator_of("floor", seed))
    ideal = torch.bincount(drawn, minlength=len(law)).double()
    return tuple(float(0.5 * (c / num - law).abs().sum()) for c in (counts, ideal))  # type: ignore[return-value]


@part
def tempering(report: Report, quick: bool) -> None:
    """A ring of 8 modes with unequal weights: every chain starts in one of them."""
    data = {"name": "ring", "weights": "alternating"}
    share = 10 if quick else 1
    for kind, num_steps in (
        ("parallel_tempering", 3000),
        ("langevin", 30_000),
        ("ais", 3000),
        ("tempered_smc", 3000),
        ("annealed_langevin", 5000),
    ):
        modes, log_zs = [], []
        for seed in SEEDS[:1] if quick else SEEDS:
            method = method_of(
                data,
                {"kind": kind},
                seed,
                num_chains=512,
                chains="one_mode",
                num_steps=10,
                num_warm_up=500,
            )
            metrics: dict[str, Tensor] = {}
            for _ in range(num_steps // 10 // share):
                metrics = method.step(0.0)
            method.statistics._next_errors = 0
            metrics = method.step(0.0)
            modes.append(float(metrics["error/mode_weights"]))
            if "error/log_z" in metrics:
                log_zs.append(float(metrics["error/log_z"]))
        label = "ring from one mode"
        report.add(label, kind, "mode weights, total variation", "", modes)
        if kind == "parallel_tempering":
            middle = sorted(modes)[len(modes) // 2]
            report.claim_at_most("parallel tempering: mode weights", middle, 0.03)
        if log_zs:
            report.add(label, kind, "log Z, error", "nats", log_zs)
        if kind in ("ais", "tempered_smc"):
            middle = sorted(log_zs)[len(log_zs) // 2]
            report.claim_at_most(f"{kind}: log Z", middle, 0.05, "nats")


@part
def funnel(report: Report, quick: bool) -> None:
    """Neal's funnel in ten dimensions at equal gradients: its log-scale has mean 0 and sd 3."""
    data = {"name": "funnel", "dim": 10}
    budget = 1500 if quick else 20_000
    for kind in (
        "langevin",
        "mala",
        "hmc",
        "nuts",
        "underdamped",
        "parallel_tempering",
        "tempered_smc",
    ):
        errors, spreads, hats = [], [], []
        for seed in SEEDS[:1] if quick else SEEDS:
            method = method_of(
                data, {"kind": kind}, seed, num_chains=256, num_warm_up=300, chains="one_mode"
            )
            while method.gradient_evaluations < budget:
                method.step(0.0)
            method.statistics._next_errors = 0
            metrics = method.step(0.0)
            errors.append(float(metrics["error/mean"]))
            spreads.append(float(metrics["error/variance"]))
            hats.append(health(method).get("r_hat", math.nan))
        report.add("funnel", kind, "error of the mean", "sd", errors)
        report.add("funnel", kind, "error of the variance", "ratio", spreads)
        report.add("funnel", kind, "split R-hat", "", hats)
    report.notes.append(
        "funnel: a sampler that fails there may show a good R-hat; the errors beside tell."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, one seed")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these parts alone")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    given = parser.parse_args()
    torch.set_num_threads(1)
    report = Report("sampler_truth")
    for name in given.only or PARTS:
        PARTS[name](report, given.quick)
    report.show(given.json)


if __name__ == "__main__":
    main()
