"""The long runs that samplers are judged by where nothing is known exactly.

`python -m benchmarks.references [NAME]` makes the files in `backend/datasets/references/` anew;
with `--check` it makes shorter runs from other seeds and compares, writing nothing. Float64, chains
from starts wider than the target, errors from chains as independent repetitions; a reference with
an R-hat above 1.01 is refused, and a shorter run with one above what its length can reach. Minutes
each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.catalogue import resolve_data
from backend.datasets import long_run, physics, posteriors
from backend.energy import Energy
from backend.randomness import generator_of
from backend.truth import Expectations, Truth

MOST_R_HAT = 1.01
NUM_DRAWS = 600
"""Kept of a run, float32; less than 100 kB."""
LARGEST_Z = 4.5
"""Standard errors that any of a reference's figures may be from a second run's."""

Runner = Callable[[Any, Tensor, torch.Generator, float], long_run.LongRun]


@dataclass(frozen=True)
class Reference:
    """Making of one reference: a data set at given settings, starts, and a run."""

    data: dict[str, Any]
    settings: tuple[str, ...]
    start: Callable[[Any, torch.Generator], Tensor]
    """over-dispersed positions (chains, *event_shape) float64"""
    run: Runner
    """of (energy, start, generator, share of the full length)"""
    functions: Callable[[Any], Expectations] | None = None
    moments: bool = True
    symmetric: bool = False
    keep_draws: bool = True


def _expectations(target: Any) -> Expectations:
    return Expectations(target.names, target.functions, torch.zeros(len(target.names)))


def _normal(num: int, target: Any, sd: float, generator: torch.Generator) -> Tensor:
    shape = (num, *target.event_shape)
    return sd * torch.randn(shape, generator=generator, dtype=torch.float64)


def _lattices(target: Any, generator: torch.Generator) -> Tensor:
    """Half of the chains from dense lattices, half from loose ones."""
    num = target.event_shape[0]
    return torch.cat([physics.lattice_start(num, 24, gap, generator) for gap in (1.1, 1.8)])


def _hmc(num_warm_up: int, num_draws: int, **settings: Any) -> Runner:
    def run(
        energy: Energy, start: Tensor, generator: torch.Generator, share: float
    ) -> long_run.LongRun:
        return long_run.hmc_run(
            energy,
            start,
            generator,
            num_warm_up=num_warm_up,
            num_draws=max(long_run.LONG, round(share * num_draws)),
            **settings,
        )

    return run


def _logistic(
    energy: Any, start: Tensor, generator: torch.Generator, share: float
) -> long_run.LongRun:
    return posteriors.logistic_run(energy, start, generator, 300, max(300, round(share * 2000)))


def _logistic_reference(table: str) -> Reference:
    return Reference(
        {"name": "logistic_regression", "table": table},
        ("prior_sd",),
        lambda target, generator: _normal(32, target, 2.0, generator),
        _logistic,
    )


REFERENCES = {
    **{f"logistic_regression_{t}": _logistic_reference(t) for t in posteriors.TABLES},
    "phi4": Reference(
        {"name": "phi4", "dims": 2},
        physics.PHI4_SETTINGS,
        lambda target, generator: _normal(48, target, 1.5, generator),
        _hmc(300, 2000, num_leapfrog=8, spacing=2, step_size=0.05),
        functions=_expectations,
        symmetric=True,
        keep_draws=False,
    ),
    "lennard_jones": Reference(
        {"name": "lennard_jones"},
        physics.LENNARD_JONES_SETTINGS,
        _lattices,
        _hmc(600, 1000, num_leapfrog=10, spacing=6, step_size=0.003),
        functions=_expectations,
        symmetric=True,
    ),
    "bayesian_net": Reference(
        {"name": "bayesian_net"},
        posteriors.BAYESIAN_NET_SETTINGS,
        lambda target, generator: _normal(32, target, 2.0, generator),
        _hmc(600, 1200, num_leapfrog=20, spacing=5, step_size=0.01),
        functions=posteriors.predictions,
        moments=False,
    ),
}


def made(name: str, seed: int, share: float) -> tuple[dict[str, Any], Truth, Tensor]:
    """Make what is written, the truth, and all draws of a reference's run."""
    reference = REFERENCES[name]
    dataset: Any = resolve_data(reference.data)
    target = dataset.target()
    generator = generator_of("reference", name, seed)
    run = reference.run(target, reference.start(target, generator), generator, share)
    functions = None if reference.functions is None else reference.functions(target)
    truth, worst = long_run.truth_of(
        run, target, functions, moments=reference.moments, symmetric=reference.symmetric
    )
    # of chains that mix, R-hat exceeds 1 by the share that a run's own variance has in its means,
    # which falls as one over its length
    most = 1 + (MOST_R_HAT - 1) / min(share, 1.0)
    if not worst <= most:
        raise SystemExit(f"{name}: R-hat is {worst:.4f}, above {most:g}. Run it for longer.")
    about = {
        "settings": dataset.config.model_dump(include=set(reference.settings)),
        "run": {
            "sampler": "hmc",
            "dtype": "float64",
            "chains": run.positions.shape[1],
            "draws": run.positions.shape[0],
            "spacing": run.spacing,
            "num_warm_up": run.num_warm_up,
            "num_leapfrog": run.num_leapfrog,
            "step_size": run.step_size,
            "acceptance_rate": run.acceptance_rate,
            "gradient_evaluations": run.gradient_evaluations,
            "r_hat": worst,
            "seed": seed,
        },
        "truth": long_run.as_json(truth),
    }
    return about, truth, run.flat


def write(name: str, seed: int) -> None:
    """Make a reference's files anew."""
    about, _, x = made(name, seed, 1.0)
    long_run.FOLDER.mkdir(exist_ok=True)
    path = long_run.FOLDER / f"{name}.json"
    path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    if REFERENCES[name].keep_draws:
        order = torch.randperm(len(x), generator=generator_of("kept", name))[:NUM_DRAWS]
        np.savez(path.with_suffix(".npz"), x=x[order].float().numpy())
    print(f"{name}: R-hat {about['run']['r_hat']:.4f}, {about['run']['acceptance_rate']:.0%} taken")


def differences(bundled: Truth, other: Truth) -> dict[str, float]:
    """The largest difference of each kind of figure, in combined standard errors."""
    pairs: list[tuple[str, Any, Any, Any, Any]] = [
        (
            "mean_energy",
            bundled.mean_energy,
            bundled.mean_energy_error,
            other.mean_energy,
            other.mean_energy_error,
        ),
        ("mean", bundled.mean, bundled.mean_error, other.mean, other.mean_error),
        (
            "variance",
            bundled.variance,
            bundled.variance_error,
            other.variance,
            other.variance_error,
        ),
    ]
    if bundled.functions is not None and other.functions is not None:
        mine, its = bundled.functions, other.functions
        pairs.append(("functions", mine.mean, mine.error, its.mean, its.error))
    differing = {}
    for name, value, error, second, second_error in pairs:
        if value is None:
            continue
        first, second, error, second_error = (
            torch.as_tensor(item, dtype=torch.float64)
            for item in (value, second, error, second_error)
        )
        combined = (error.square() + second_error.square()).sqrt().clamp(min=1e-12)
        differing[name] = float(((first - second).abs() / combined).max())
    return differing


def check(name: str, seed: int, share: float = 0.25) -> bool:
    """Compare a shorter run of another seed with the bundled reference; prints both."""
    about, other, _ = made(name, seed, share)
    functions = None if other.functions is None else other.functions
    bundled = long_run.bundled_truth(name, about["settings"], functions)
    if bundled is None:
        print(f"{name}: no reference comes with Basin for {about['settings']}")
        return False
    differing = differences(bundled, other)
    agrees = max(differing.values()) <= LARGEST_Z
    figures = ", ".join(f"{key} {value:.2f}" for key, value in differing.items())
    print(f"{name}: {'agrees' if agrees else 'DIFFERS'}; largest z: {figures}")
    return agrees


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(REFERENCES), help="all when left out")
    parser.add_argument("--check", action="store_true", help="compare with a run of another seed")
    parser.add_argument("--seed", type=int, help="0, or 1 to check")
    given = parser.parse_args()
    names = [given.name] if given.name else list(REFERENCES)
    seed = given.seed if given.seed is not None else int(given.check)
    if given.check:
        agree = [check(name, seed) for name in names]
        sys.exit(not all(agree))
    for name in names:
        write(name, seed)


if __name__ == "__main__":
    main()
