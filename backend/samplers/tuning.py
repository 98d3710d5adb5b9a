"""Tuning of kernels in warm-up: one step size for all chains, and the scale of each coordinate.

Everything is carried in `State.extra`, on the device and in the dtype of the positions, under the
names `step_size`, `inverse_mass` and `tuning_...`. Without warm-up nothing of it changes.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from backend.sampler import State, per_chain

ADAPT_ABOUT = (
    "No effect without a warm-up; with one, the step size above is only where tuning starts."
)
"""Sentence of `derived` on a field `adapt`; forms and tests know a field as idle by its start."""

GAMMA, DELAY, KAPPA = 0.05, 10.0, 0.75
"""Dual averaging: how hard it pulls, how many steps it is slowed by, how fast it forgets."""

FIRST, LAST, BASE = 75, 50, 25
"""Warm-up steps before the first window, after the last one, and in the shortest window."""

Window = tuple[int, int]


def step_extra(position: Tensor, step_size: float) -> dict[str, Tensor]:
    """State that `robbins_monro` carries: the step size, 0-d, and the mean of its logarithm."""
    number = position.new_tensor(step_size)
    return {"step_size": number, "tuning_log_step": number.log()}


def robbins_monro(state: State, rate: Tensor, index: int, num_warm_up: int, target: float) -> State:
    """The state after one move of log step_size towards a mean acceptance of `target`.

    log a ← log a + (mean rate − target) (index + 1)^−0.6, rate (chains,). After the last step of
    warm-up a is exp of the mean of log a over its later half. Robbins & Monro 1951; Polyak &
    Juditsky 1992.
    """
    gap = rate.mean() - target
    log_step = state.extra["step_size"].log() + gap * (index + 1) ** -0.6
    mean = state.extra["tuning_log_step"]
    later = index - num_warm_up // 2
    mean = log_step if later <= 0 else mean + (log_step - mean) / (later + 1)
    last = index == num_warm_up - 1
    return state.carrying(step_size=(mean if last else log_step).exp(), tuning_log_step=mean)


# ------------------------------------------------------------------ dual averaging and the mass


def mass_extra(position: Tensor, step_size: float) -> dict[str, Tensor]:
    """State that `tuned` carries: step size and mass, and the sums that they come from."""
    number, event = position.new_tensor(step_size), torch.zeros_like(position[0])
    return {
        "step_size": number,
        "inverse_mass": torch.ones_like(event),
        "tuning_centre": (10 * number).log(),
        "tuning_error": torch.zeros_like(number),
        "tuning_log_step": number.log(),
        **_empty_window(event),
    }


def tuned(state: State, rate: Tensor, index: int, num_warm_up: int, target: float) -> State:
    """The state with step size and diagonal mass moved on, after warm-up step `index`.

    The step size goes by dual averaging towards a mean of rate (chains,) of `target`. At the end of
    each window the inverse mass becomes the variances of that window's positions, and the dual
    averaging starts anew. Hoffman & Gelman 2014. The last steps go by `robbins_monro`: dual
    averaging comes near from afar, but swings, and the mean of its swings is a step too small.
    """
    slow = windows(num_warm_up)
    settling = settled_from(num_warm_up)
    if index >= settling:
        return robbins_monro(state, rate, index - settling, num_warm_up - settling, target)
    begun = max((end for _, end in slow if end <= index), default=0)
    state = dual_averaged(state, rate, index - begun + 1, target)
    if any(start <= index < end for start, end in slow):
        state = gathered(state)
    if any(index == end - 1 for _, end in slow):
        return _restarted(state)
    if index + 1 in (settling, num_warm_up):
        return state.carrying(step_size=state.extra["tuning_log_step"].exp())
    return state


@functools.cache
def windows(num_warm_up: int) -> tuple[Window, ...]:
    """Warm-up steps [start, end) that variances are taken over, each twice as long as the last.

    >>> windows(1000)
    ((75, 100), (100, 150), (150, 250), (250, 450), (450, 950))
    >>> windows(100), windows(10)
    (((15, 75),), ())
    """
    if num_warm_up < 20:
        return ()
    start, size, end = FIRST, BASE, num_warm_up - LAST
    if num_warm_up < FIRST + BASE + LAST:
        start, end = int(0.15 * num_warm_up), num_warm_up - int(0.25 * num_warm_up)
        size = end - start
    ends = []
    while start < end:
        stop = end if start + 3 * size > end else start + size
        ends.append((start, stop))
        start, size = stop, 2 * size
    return tuple(ends)


def settled_from(num_warm_up: int) -> int:
    """The warm-up step from which `tuned` goes by `robbins_monro`; the end where there is no mass.

    >>> settled_from(500), settled_from(100), settled_from(10)
    (470, 85, 10)
    """
    slow = windows(num_warm_up)
    return num_warm_up if not slow else slow[-1][1] + 2 * (num_warm_up - slow[-1][1]) // 5


def dual_averaged(state: State, rate: Tensor, count: int, target: float) -> State:
    """The state after update `count` (1, 2, ...) of the dual averaging of log step_size.

    h ← (1 − η) h + η (target − mean rate), η = 1/(count + 10); log ε = μ − (√count/0.05) h;
    mean log ε ← w log ε + (1 − w) mean log ε, w = count^−0.75. Nesterov 2009; Hoffman & Gelman
    2014.
    """
    share, weight = 1 / (count + DELAY), count**-KAPPA
    extra = state.extra
    error = (1 - share) * extra["tuning_error"] + share * (target - rate.mean())
    log_step = extra["tuning_centre"] - math.sqrt(count) / GAMMA * error
    mean = weight * log_step + (1 - weight) * extra["tuning_log_step"]
    return state.carrying(step_size=log_step.exp(), tuning_error=error, tuning_log_step=mean)


def gathered(state: State) -> State:
    """The state with its positions added to the window's count, mean and sum of squares.

    Chains and steps are pooled. Chains that are not finite anywhere are left out. Chan et al. 1983.
    """
    x, extra = state.position, state.extra
    count, mean, squares = (extra[f"tuning_{name}"] for name in ("count", "mean", "squares"))
    finite = x.flatten(1).isfinite().all(1)
    num = finite.sum().to(x.dtype)
    wide = per_chain(finite, x)
    centre = torch.where(wide, x, 0).sum(0) / num.clamp(min=1)
    inside = torch.where(wide, x - centre, 0).square().sum(0)
    total = (count + num).clamp(min=1)
    gap = centre - mean
    return state.carrying(
        tuning_count=count + num,
        tuning_mean=mean + gap * (num / total),
        tuning_squares=squares + inside + gap.square() * (count * num / total),
    )


def regularised(count: Tensor, squares: Tensor) -> Tensor:
    """Variances from `count` draws with sums of squares (*event_shape), shrunk towards 1e-3.

    n/(n + 5) s² + 5/(n + 5) · 1e-3, as Stan does; ones where fewer than two draws were taken.
    """
    variance = squares / (count - 1).clamp(min=1)
    shrunk = (count * variance + 5 * 1e-3) / (count + 5)
    return torch.where(count > 1, shrunk, 1.0)


def _empty_window(event: Tensor) -> dict[str, Tensor]:
    return {
        "tuning_count": torch.zeros_like(event.new_zeros(())),
        "tuning_mean": torch.zeros_like(event),
        "tuning_squares": torch.zeros_like(event),
    }


def _restarted(state: State) -> State:
    """With the mass of the window that ends, an empty window, and dual averaging from the start."""
    extra = state.extra
    step_size = extra["tuning_log_step"].exp()
    return state.carrying(
        step_size=step_size,
        inverse_mass=regularised(extra["tuning_count"], extra["tuning_squares"]),
        tuning_centre=(10 * step_size).log(),
        tuning_error=torch.zeros_like(extra["tuning_error"]),
        **_empty_window(extra["tuning_mean"]),
    )
