"""The tables of a run as events: diagnostics of chains and of samplers, and the final figures."""

from __future__ import annotations

import math
from collections.abc import Callable

from backend.events import Table
from backend.metric_names import FIGURES
from backend.observe.chains import Chains, Diagnostics, diagnose
from backend.observe.draw_reading import MIXED, ROW, Reading
from backend.sampler import Sampler
from backend.truth import Truth

Cell = str | float | int | None
R_HAT_IDEAL = 1.01


def diagnostics(
    walk: Chains | None,
    chains: Chains,
    health: Diagnostics,
    figures: dict[str, float],
    floors: dict[str, float],
    *,
    exact: bool,
    data_radius: float,
) -> Table:
    """`chains/diagnostics`: train-time chains as they last walked, beside the long-run chains."""
    walked = diagnose(walk) if walk is not None and len(walk.path) >= 4 else None
    per_gradients = 1000 / max(chains.gradient_evaluations, 1)
    num = len(chains.path[0])
    rows: list[list[Cell]] = [
        [
            "split R-hat",
            walked.r_hat if walked else None,
            health.r_hat,
            R_HAT_IDEAL,
            _mixing(health.r_hat),
        ],
        [
            "split R-hat of the energy",
            walked.r_hat_energy if walked else None,
            health.r_hat_energy,
            R_HAT_IDEAL,
            _mixing(health.r_hat_energy),
        ],
        [
            "bulk ESS per 1k gradients",
            None,
            health.bulk_ess * per_gradients,
            None,
            _of_chains(health.bulk_ess, num),
        ],
        [
            "tail ESS per 1k gradients",
            None,
            health.tail_ess * per_gradients,
            None,
            _of_chains(health.tail_ess, num),
        ],
        [
            "acceptance rate",
            walk.acceptance_rate if walk else None,
            chains.acceptance_rate,
            None,
            "" if exact else "never rejects: biased at this step size",
        ],
        [
            "drift over noise in a step",
            walk.gradient_to_noise if walk else None,
            chains.gradient_to_noise,
            None,
            _pull(chains.gradient_to_noise),
        ],
        [
            "largest chain norm, data sd",
            walk.radius if walk else None,
            chains.radius,
            data_radius,
            "inside bounds" if chains.radius <= 1.5 * data_radius else "far beyond the data",
        ],
    ]
    path = "quality/mode_share/"
    if path + "long_run" in figures:
        share, floor = figures[path + "long_run"], floors.get("mode_share", math.nan)
        rows.append(
            [
                "share within 2 sd of a mode",
                figures.get(path + "train_time"),
                share,
                floor,
                _share(share, floor),
            ]
        )
    columns = ["figure", "train-time", "long-run", "floor or ideal", "reading"]
    return Table("chains/diagnostics", columns, [_plain(row) for row in rows])


def final(
    figures: dict[str, float], floors: dict[str, float], num: int, baselines: dict[str, float]
) -> Table:
    """`quality/final`: every quality figure with its floor, of `num` samples.

    With `baselines`, the figures of one Gaussian a class, in a column of their own.
    """
    rows: list[list[Cell]] = []
    for name, floor in floors.items():
        path = f"quality/{name}"
        roles = [figures.get(f"{path}/{role}") for role in ("train_time", "long_run")]
        beside = [baselines.get(name)] if baselines else []
        rows.append([FIGURES[path].title, *roles, floor, *beside])
    if "quality/grid_kl" in figures:
        rows.append([FIGURES["quality/grid_kl"].title, None, figures["quality/grid_kl"], 0.0])
    columns = [f"figure, {num:,} samples", "train-time", "long-run", "floor"]
    columns += ["one Gaussian a class"] if baselines else []
    return Table("quality/final", columns, [_plain(row) for row in rows])


def sampler_diagnostics(
    kernel: Sampler, figures: dict[str, float], truth: Truth | None, verdict: Reading
) -> Table:
    """`chains/diagnostics` of a run that only samples: what there is to know of its sampler, and
    how to read it. Figures by path."""
    kind = "exact: leaves the law in place" if kernel.exact else f"biased: {kernel.bias}"
    rows: list[list[Cell]] = [["sampler", type(kernel.config).title, kind], [ROW, *verdict]]
    if kernel.compiler is not None:
        rows.append(["arithmetic", None, str(kernel.compiler.status)])
    rows += [
        [title, figures[path], _read(reading, figures[path])]
        for path, title, reading in (*_SAMPLER_ROWS, *_ERROR_ROWS)
        if path in figures
    ]
    if truth is not None:
        rows.append(["truth", None, f"from {truth.source}"])
    return Table(
        "chains/diagnostics", ["figure", "value", "reading"], [_plain(row) for row in rows]
    )


def _mixing(r_hat: float) -> str:
    if not math.isfinite(r_hat):
        return "not finite"
    if r_hat <= R_HAT_IDEAL:
        return "long-run chains mix"
    return "nearly mixed" if r_hat <= MIXED else "long-run chains differ: not mixed"


def _of_chains(ess: float, num: int) -> str:
    return f"of {num} chains" if math.isfinite(ess) else "not finite"


def _pull(ratio: float) -> str:
    if ratio < 0.1:
        return "nearly a random walk"
    return "nearly plain descent" if ratio > 10 else "drift and noise in balance"


def _share(share: float, floor: float) -> str:
    if abs(share - floor) <= 0.03:
        return "near the ideal"
    return "over-sharp" if share > floor else "diffuse"


def _plain(row: list[Cell]) -> list[Cell]:
    """A row as JSON can hold it: numbers that are not finite become None."""
    return [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row]


def _read(reading: Callable[[float], str], value: float) -> str:
    return reading(value) if math.isfinite(value) else "not finite"


def _always(words: str) -> Callable[[float], str]:
    return lambda value: words


_Row = tuple[str, str, Callable[[float], str]]
"""path, title, and the reading of a value"""
_SAMPLER_ROWS: tuple[_Row, ...] = (
    (
        "sampler/r_hat",
        "split R-hat, worst figure",
        lambda value: "mixed" if value <= R_HAT_IDEAL else "chains differ: not mixed",
    ),
    ("sampler/bulk_ess", "bulk ESS, all chains", _always("independent draws they are worth")),
    ("sampler/tail_ess", "tail ESS, all chains", _always("for the 5 % and 95 % quantiles")),
    ("sampler/autocorrelation_time", "autocorrelation time", _always("sampler steps")),
    (
        "sampler/ess_per_kilogradient",
        "ESS per 1k gradients of a chain",
        _always("warm-up included"),
    ),
    ("sampler/ess_per_second", "ESS per second", _always("warm-up included")),
    ("sampler/ess_per_joule", "ESS per joule", _always("warm-up included")),
    (
        "sampler/e_bfmi",
        "E-BFMI",
        lambda value: "good" if value >= 0.3 else "momenta cannot follow the energy",
    ),
)
_ERROR_ROWS: tuple[_Row, ...] = (
    ("error/mean", "error of the mean", _always("target sd, worst coordinate")),
    ("error/mean/floor", "error of as many independent draws", _always("as its ESS, the median")),
    ("error/variance", "error of the variance", _always("ratio, worst coordinate")),
    ("error/energy", "error of the mean energy", _always("nats")),
    ("error/mode_weights", "error of the mode weights", _always("total variation")),
    ("error/functions", "error of the known functions", _always("their sd, the worst")),
    ("error/log_z", "error of log Z", _always("nats")),
)
