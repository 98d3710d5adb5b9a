"""Draws and figures of targets that have no exact ones: runs of Hamiltonian Monte Carlo.

Long ones are made by `python -m benchmarks.references` and come with Basin, in `references/`; for
settings that have none a short one is made when the data are loaded.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.energy import Energy
from backend.metrics.convergence import r_hat
from backend.truth import Expectations, Truth

FOLDER = Path(__file__).parent / "references"
TARGET_RATE = 0.8
LONG = 200
"""Draws a chain of which R-hat is told."""
STAGE = 10
"""Warm-up steps between two changes of the step size."""


@dataclass(frozen=True)
class LongRun:
    """Record of a run of HMC."""

    positions: Tensor
    """(draws, chains, *event_shape)"""
    step_size: float
    num_leapfrog: int
    num_warm_up: int
    spacing: int
    """trajectories from one draw to the next"""
    acceptance_rate: float
    gradient_evaluations: int
    """each over all chains"""

    @property
    def flat(self) -> Tensor:
        """All draws (draws * chains, *event_shape)."""
        return self.positions.flatten(0, 1)


def hmc_run(
    energy: Energy,
    start: Tensor,
    generator: torch.Generator,
    *,
    num_warm_up: int,
    num_draws: int,
    num_leapfrog: int = 10,
    spacing: int = 1,
    step_size: float = 0.1,
) -> LongRun:
    """Independent chains from `start` (chains, *event_shape), with its dtype.

    The step size is tuned towards 80 % acceptance in the warm-up alone, whose draws are dropped.
    """
    from backend import samplers
    from backend.samplers.hmc import HMC, HMCConfig

    evaluations, position = 0, start
    for _ in range(math.ceil(num_warm_up / STAGE)):
        kernel = HMC(HMCConfig(step_size=step_size, num_leapfrog=num_leapfrog))
        walk = samplers.run(kernel, position, energy, generator, STAGE)
        evaluations += walk.gradient_evaluations
        # a chain that has not moved in a whole stage starts where the step is far too long, which
        # a mean over chains does not show
        moved = (walk.state.position != position).flatten(1).any(1).all()
        rate = float(walk.acceptance_rate) if moved else 0.0
        position = walk.state.position
        step_size = min(100.0, step_size * math.exp(rate - TARGET_RATE))
    kernel = HMC(HMCConfig(step_size=step_size, num_leapfrog=num_leapfrog))
    walk = samplers.run(
        kernel, position, energy, generator, num_draws * spacing, record_every=spacing
    )
    assert walk.positions is not None
    return LongRun(
        walk.positions,
        step_size,
        num_leapfrog,
        num_warm_up,
        spacing,
        float(walk.acceptance_rate),
        evaluations + walk.gradient_evaluations,
    )


def mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of values (draws, chains, ...) and its standard error, from chains as repetitions."""
    chains = values.double().mean(0)
    return chains.mean(0), chains.std(0) / math.sqrt(len(chains))


@torch.no_grad()
def truth_of(
    run: LongRun,
    energy: Energy,
    functions: Expectations | None = None,
    *,
    moments: bool = True,
    symmetric: bool = False,
) -> tuple[Truth, float]:
    """Estimates of a run about its target, with standard errors, and the greatest R-hat of it all
    (nan for chains of less than LONG draws).

    functions: what to average beside the coordinates (its `mean` is not looked at). moments: also
    of coordinates. symmetric: the mean is 0 by symmetry and all coordinates have one variance.
    """
    x = run.positions
    shape, event = x.shape[:2], x.shape[2:]
    energies = torch.stack([energy(part) for part in x])
    mean_energy, energy_error = mean_and_error(energies)
    watched = [energies[:, :, None]]
    known: dict[str, Any] = {}
    if symmetric:
        square, error = mean_and_error(x.double().square().flatten(2).mean(2))
        known["mean"] = torch.zeros(event, dtype=torch.float64)
        known["variance"] = square.expand(event).clone()
        known["variance_error"] = error.expand(event).clone()
        known["mean_error"] = torch.zeros(event, dtype=torch.float64)
    elif moments:
        known["mean"], known["mean_error"] = mean_and_error(x)
        squares = (x.double() - known["mean"]).square()
        known["variance"], known["variance_error"] = mean_and_error(squares)
        watched.append(x.flatten(2))
    if functions is not None:
        values = torch.stack([functions.of(part) for part in x]).double()
        mean, error = mean_and_error(values)
        variance = values.flatten(0, 1).var(0)
        known["functions"] = replace(functions, mean=mean, variance=variance, error=error)
        watched.append(values)
    # (chains, draws, figures)
    seen = torch.cat([part.double() for part in watched], 2).transpose(0, 1)
    # of chains shorter than this it is above 1 even when they have mixed
    worst = float(r_hat(seen).max()) if shape[0] >= LONG else math.nan
    convergence = f"R-hat {worst:.3f}" if shape[0] >= LONG else "too short to be sure of"
    truth = Truth(
        f"a run of HMC: {shape[1]:,} chains of {shape[0] * run.spacing:,} trajectories after "
        f"{run.num_warm_up:,} of warm-up, {convergence}",
        mean_energy=float(mean_energy),
        mean_energy_error=float(energy_error),
        draws="draws of a run of HMC",
        **known,
    )
    return truth, worst


TENSORS = ("mean", "variance", "mean_error", "variance_error")


def as_json(truth: Truth) -> dict[str, Any]:
    """The figures of a long run's truth as plain numbers."""
    fields: dict[str, Any] = {
        "source": truth.source,
        "draws": truth.draws,
        "mean_energy": truth.mean_energy,
        "mean_energy_error": truth.mean_energy_error,
    }
    for name in TENSORS:
        value = getattr(truth, name)
        fields[name] = None if value is None else value.tolist()
    if (functions := truth.functions) is not None:
        assert functions.variance is not None and functions.error is not None
        fields["functions"] = {
            "names": list(functions.names),
            "mean": functions.mean.tolist(),
            "variance": functions.variance.tolist(),
            "error": functions.error.tolist(),
        }
    return fields


@cache
def _file(name: str) -> dict[str, Any] | None:
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else None


def bundled_truth(
    name: str, settings: dict[str, Any], functions: Expectations | None = None
) -> Truth | None:
    """The truth that comes with Basin for these very settings; None where there is none."""
    document = _file(name)
    if document is None or document["settings"] != settings:
        return None
    truth = document["truth"]
    known: dict[str, Any] = {
        key: None if truth[key] is None else torch.tensor(truth[key], dtype=torch.float64)
        for key in TENSORS
    }
    if functions is not None and "functions" in truth:
        of: dict[str, Any] = {
            key: torch.tensor(truth["functions"][key], dtype=torch.float64)
            for key in ("mean", "variance", "error")
        }
        known["functions"] = replace(functions, **of)
    plain = {key: truth[key] for key in ("source", "draws", "mean_energy", "mean_energy_error")}
    return Truth(**plain, **known)


@cache
def bundled_draws(name: str) -> Tensor:
    """The draws (num, *event_shape) float32 that come with a reference, far apart in the run."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return torch.from_numpy(arrays["x"].astype(np.float32))


def halves(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws shuffled and shared between training and held-out events."""
    order = torch.randperm(len(x), generator=generator)
    return x[order[: len(x) // 2]], x[order[len(x) // 2 :]]
