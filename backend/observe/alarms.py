"""Alarms: sentences about what is wrong with a run.

Each is said when it newly becomes true, follows the latest look while it lasts, and is taken back
when it has passed. What training still has to bring about is judged late; what a short try could
not bring about is no alarm of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from backend.events import Event, Finding, Standing, Text
from backend.metrics.modes import mode_weights
from backend.observe.draw_reading import MIXED

PATIENCE = 2
"""Measurements in a row that an alarm must hold before it is said, or be gone before it is taken
back."""
LATE = 0.8
"""Share of the budget from which on `NEEDS_TRAINING` is judged."""
NEEDS_TRAINING = frozenset({"mixing", "modes"})
"""Findings that are true of every run that has just begun."""
NEEDS_LENGTH = NEEDS_TRAINING | {
    "density",
    "distance",
    "flattery",
    "kl",
    "mass_outside",
    "masses",
    "sign",
}
"""Findings about what training has reached: of a short try they are said, and are no alarm."""
SHORT = 0.1
"""Share of its preset's budget below which a run is a short try."""
FLATTERY = 3.0
RARE = 0.25
"""A mode is missed when it gets less than this share of what an equal split would give it."""
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
    is_short: bool = False
    """True of a short try"""
    _present: dict[str, int] = field(default_factory=dict)
    """looks in a row with each finding"""
    _absent: dict[str, int] = field(default_factory=dict)
    """looks in a row without each finding that stands"""
    _standing: dict[str, Finding] = field(default_factory=dict)
    """findings that were said and not taken back, as they were last seen"""
    _best: tuple[float, int] = (math.inf, 0)

    def say(
        self, findings: list[Finding], *, final: bool = False, share_spent: float = 1.0
    ) -> list[Event]:
        """Events about the findings of a look: a Text for what has now held `patience` times in a
        row, or whose level has changed; a Standing for what was said before and still holds; a Text
        of level info for what is over.

        At the final evaluation once is enough. share_spent: of the budget, 0 to 1.
        """
        judged = [self._leveled(item) for item in findings if _is_due(item, final, share_spent)]
        needed = 1 if final else self.patience
        self._present = {item.name: self._present.get(item.name, 0) + 1 for item in judged}
        events: list[Event] = []
        for item in judged:
            before = self._standing.get(item.name)
            if before is None and self._present[item.name] < needed:
                continue
            self._standing[item.name] = item
            is_news = before is None or before.level != item.level
            event = Text if is_news else Standing
            events.append(event(f"alarm/{item.name}", item.message, item.level))
        return events + self._taken_back(needed)

    def _leveled(self, item: Finding) -> Finding:
        return replace(item, level="info") if self.is_short and item.name in NEEDS_LENGTH else item

    def _taken_back(self, needed: int) -> list[Event]:
        """Texts for what stood and has not been seen for as long as it takes to be said."""
        gone = [name for name in self._standing if name not in self._present]
        self._absent = {name: self._absent.get(name, 0) + 1 for name in gone}
        over = [self._standing.pop(name) for name in gone if self._absent[name] >= needed]
        return [
            Text(f"alarm/{item.name}", f"No longer so: {item.message.partition('. ')[0]}.")
            for item in over
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


def _is_due(item: Finding, final: bool, share_spent: float) -> bool:
    return final or share_spent >= LATE or item.name not in NEEDS_TRAINING


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
            f"Long-run chains have not mixed. Split R-hat of {what} is {r_hat:.3g}; chains that "
            f"agree stay below {MIXED:g}. Samples still depend on where chains started: run more "
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
