"""A race: several samplers on one target, each with the same chains, seed and budget.

A race is nothing but its runs, of the method `sampling`, in their order. Plain data in, RunSpecs
out; imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import BadInput
from backend.events import unpack
from backend.observe.draw_reading import OPEN, Reading, of_table
from backend.spec import Budget, RunSpec, from_dict
from jobs.records.run_directory import RunDirectory

METHOD = "sampling"
TAG = "race"
TABLE = "chains/diagnostics"
"""Table of a run that holds the reading of its draws."""
COSTS = ("gradients", "seconds", "joules", "steps")
"""Costs a budget may limit, the fairest first: gradient evaluations need no clock."""
_SHARED = ("chains", "num_chains", "num_steps", "num_warm_up", "stop_at_error", "stop_at_ess")


@dataclass(frozen=True)
class Race:
    """Race of samplers: the racers, and what all of them share."""

    data: dict[str, Any]
    """`name` of the target and its own fields"""
    racers: tuple[dict[str, Any], ...]
    """`kind` of each sampler and its own fields"""
    budget: Budget
    energy_of: str = ""
    """id of a trained run whose energy is the target, or "" for the density of the data"""
    shared: Mapping[str, Any] | None = None
    """fields of `SamplingConfig` that all racers have: chains, num_chains, num_warm_up, ..."""
    seed: int = 0
    num_seeds: int = 1
    device: str = "auto"

    def spec(self, racer: Mapping[str, Any], seed: int | None = None) -> RunSpec:
        """Build the run of one racer under one seed. Raises BadInput for bad fields of a
        RunSpec."""
        config: dict[str, Any] = {"sampler": dict(racer)}
        if self.energy_of:
            config["energy_of"] = self.energy_of
        config |= {name: value for name, value in (self.shared or {}).items() if value is not None}
        return from_dict(
            {
                "name": f"{self.data.get('name', '')}, {kind_in_words(racer)}"[:120],
                "method": METHOD,
                "data": dict(self.data),
                "config": config,
                "budget": self.budget.model_dump(exclude_none=True),
                "seed": self.seed if seed is None else seed,
                "device": self.device,
                "tags": [TAG],
            }
        )

    def specs(self) -> list[RunSpec]:
        """Build a run for each racer and seed: every racer has run once before any runs again.

        Raises BadInput for a race that cannot be.
        """
        if not self.racers:
            raise BadInput.at("sampler", "a race needs a sampler at least.")
        if self.budget.is_empty():
            raise BadInput.at(
                "budget", "a race needs a budget: gradients, seconds, joules or steps."
            )
        seeds = range(self.seed, self.seed + self.num_seeds)
        return [self.spec(racer, seed) for seed in seeds for racer in self.racers]


def race_of(specs: Sequence[RunSpec]) -> Race:
    """Recover the race that runs came from, for another one like it. Raises BadInput for other
    runs."""
    entries = [spec for spec in specs if spec.method == METHOD]
    if not entries:
        raise BadInput.at("runs", "none of these runs is of the method `sampling`.")
    first = entries[0]
    racers: list[dict[str, Any]] = []
    for spec in entries:
        racer = sampler_of(spec)
        if spec.seed == first.seed or racer not in racers:
            racers.append(racer)
    seeds = {spec.seed for spec in entries}
    return Race(
        data=dict(first.data),
        racers=tuple(racers),
        budget=first.budget,
        energy_of=str(first.config.get("energy_of", "")),
        shared={name: first.config[name] for name in _SHARED if name in first.config},
        seed=min(seeds),
        num_seeds=len(seeds),
        device=first.device,
    )


def sampler_of(spec: RunSpec) -> dict[str, Any]:
    """Return the `kind` of a run's sampler and the fields that its spec sets."""
    fields = spec.config.get("sampler", {})
    return {"kind": "langevin" if spec.preset == "default" else spec.preset, **fields}


def kind_in_words(racer: Mapping[str, Any]) -> str:
    """Return the name of a racer's sampler for people."""
    return str(racer.get("kind", "")).replace("_", " ")


def reading_of(directory: RunDirectory) -> Reading:
    """Judge a racer by what its record says: the run's own reading of its draws.

    One that did not come to its end is not judged, and says why.
    """
    status = directory.status()
    if status.status in ("failed", "diverged", "lost", "queued"):
        reason = f"{status.status}: {status.reason}" if status.reason else status.status
        return Reading(OPEN, f"not judged: {reason}")
    tables = [unpack(data) for data in directory.keyframes_at(status.step, [TABLE])]
    verdict = of_table(tables[0].header["meta"]["rows"]) if tables else None
    return verdict or Reading(OPEN, f"not judged: {status.reason or 'nothing was measured'}")
