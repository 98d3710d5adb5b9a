"""Alarms: sentences about what is wrong with a run; each is said when it newly becomes true."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from backend.events import Finding, Text
from backend.metrics.modes import mode_weights

PATIENCE = 2
"""Measurements in a row that an alarm must hold before it is said."""
FLATTERY = 3.0
RARE = 0.25
"""A mode is missed when it gets less than this share of what an equal split would give it."""
MIXED = 1.1
LOW_ACCEPTANCE = 0.05
RUNAWAY = 3.0
"""Times the farthest data point's norm; the corners of the noise box lie at about 2."""
RELAPSE = 5.0
RELAPSE_FLOOR = 0.05
"""Energy distances below this are no relapse, however good the best one was."""


@dataclass
class Alarms:
    """Remembers what held before, so that nothing is said twice while it lasts."""

    patience: int = PATIENCE
    _counts: dict[str, int] = field(default_factory=dict)
    _best: tuple[float, int] = (math.inf, 0)

    def say(self, findings: list[Finding], *, final: bool = False) -> list[Text]:
        """Texts for the findings that have now held `patience` times in a row.

        At the final evaluation once is enough, for what was not said before.
        """
        before = self._counts
        self._counts = {item.name: before.get(item.name, 0) + 1 for item in findings}
        needed = 1 if final else self.patience
        return [
            Text(f"alarm/{item.name}", item.message, item.level)
            for item in findings
            if before.get(item.name, 0) < self.patience and self._counts[item.name] >= needed
        ]

    def relapse(self, long_run: float, step: int) -> list[Finding]:
        """A long-run energy distance far above the best one so far, which this remembers."""
        best, best_step = self._best
        if long_run < best:
            self._best = (long_run, step)
        if not (long_run > RELAPSE * best and long_run > RELAPSE_FLOOR):
            return []
        return [
            Finding(
                "relapse",
                "alarm",
                f"The model got worse. Long-run energy distance is {long_run:.2g}; it was "
                f"{best:.2g} at step {best_step}. Usual causes: a learning rate that stays high, "
                "or a sampler step too large for how sharp the energy has become.",
            )
        ]


def flattery(train_time: float, long_run: float, floor: float) -> list[Finding]:
    """Train-time samples that look far better than long chains of the same energy."""
    if not (long_run > FLATTERY * train_time and long_run > FLATTERY * floor):
        return []
    return [
        Finding(
            "flattery",
            "alarm",
            f"Train-time samples flatter this model. Their energy distance to held-out data is "
            f"{train_time:.2g}; long-run chains reach {long_run:.2g}, the floor is "
            f"{floor:.2g}. The energy is right only where training looked: trust the long-run "
            "figures. Usual causes: few sampler steps per update, or chains that start anew each "
            "time. Persistent chains usually mend this.",
        )
    ]


def missed_modes(x: Tensor, modes: Tensor, shares: Tensor | None = None) -> list[Finding]:
    """Modes (num_modes, dim) that few of the points x (num, dim) lie nearest to, against the
    shares (num_modes,) they should have, equal ones unless given."""
    weights = mode_weights(x, modes)
    due = torch.full_like(weights, 1 / len(modes)) if shares is None else shares.to(weights)
    missed = (weights < RARE * due).nonzero()[:, 0].tolist()
    if not missed:
        return []
    names = ", ".join(str(index + 1) for index in missed[:8])
    few = round(float(weights[missed[0]]) * len(x))
    return [
        Finding(
            "modes",
            "warning",
            f"Samples visit {len(modes) - len(missed)} of {len(modes)} modes. Too rare: "
            f"{names} (mode {missed[0] + 1} got {few} of {len(x)} chains, its share is "
            f"{len(x) * float(due[missed[0]]):.0f}). More training, a smaller learning rate at the "
            "end or, of a known law, a sampler that crosses between modes usually mends this.",
        )
    ]


def stuck(acceptance_rate: float, displacement: float) -> list[Finding]:
    """Chains that reject nearly everything or do not move; displacement in data sd."""
    if acceptance_rate < LOW_ACCEPTANCE:
        cause = f"The sampler accepts {acceptance_rate:.1%} of its proposals; below 5 % it stands."
    elif displacement < 1e-3:
        cause = f"In a whole walk they moved by {displacement:.1g} data sd."
    else:
        return []
    return [
        Finding("stuck", "warning", f"Chains are stuck. {cause} Change the sampler's `step_size`.")
    ]


def unmixed(r_hat: float, what: str) -> list[Finding]:
    if not r_hat > MIXED:
        return []
    return [
        Finding(
            "mixing",
            "warning",
            f"Long-run chains have not mixed. Split R-hat of {what} is {r_hat:.2f}; mixed chains "
            "give at most 1.01. Samples still depend on where their chains started: run more "
            "steps, or a sampler that moves further.",
        )
    ]


def runaway(positions: Tensor, data_radius: float) -> list[Finding]:
    """Chains that left for good: not finite, or far beyond any data; in standardised units."""
    norms = positions.flatten(1).norm(dim=1)
    lost = int((~(norms <= RUNAWAY * data_radius)).sum())
    if lost <= len(norms) / 100:
        return []
    return [
        Finding(
            "runaway",
            "alarm",
            f"Long-run chains run away. {lost} of {len(norms)} went further out than "
            f"{RUNAWAY:.0f} times the farthest data point: the energy falls off outward, so "
            "exp(−E) is no density there. An energy L2 term, more chains started from noise or a "
            "smaller step usually mends this.",
        )
    ]


def upside_down(data: float, noise: float) -> list[Finding]:
    """Mean energies of data and of noise the wrong way round."""
    if not (math.isfinite(data) and data > noise):
        return []
    return [
        Finding(
            "sign",
            "warning",
            f"Noise has lower energy than data: {noise:.3g} against {data:.3g} nats on average. "
            "A trained energy is lower on data.",
        )
    ]
