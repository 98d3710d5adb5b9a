"""Claims of the unseen benchmark, as functions of its rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.report import Report
from benchmarks.unseen_work import GENERATORS, Row

GOOD_KL = 0.05
NEAR = 0.05
"""nats: within this of the best baseline a run is good; and what the proposed one may fall short
of 20 Gaussians beyond the plane"""
PERSISTENT_KL = 0.1
TIMES_PLAIN = 3.0
FLOORS = 3.0
CHOSEN = ("contrastive_divergence", "persistent")
PLAIN = ("contrastive_divergence", "plain_persistent")


def judge(report: Report, rows: Sequence[Row], proposed: Mapping[str, tuple[str, str]]) -> None:
    """Add the figures of every case, and the claims, each for its worst seed."""
    for (data, method, preset), group in _cases(rows).items():
        _figures(report, f"{data}: {method}, {preset}", group)
        if (method, preset) == proposed[data]:
            _judge_proposed(report, data, group)
        if (method, preset) == CHOSEN and group[0].dim == 2:
            worst = max(kl_of(row) for row in group)
            report.claim_at_most(
                f"{data}: KL of persistent chains, worst seed", worst, PERSISTENT_KL, "nats"
            )
    _judge_seconds(report, rows)
    _judge_alarms(report, rows)
    for row in rows:
        if row.kl is not None and row.kl <= GOOD_KL and row.floor:
            floors = _number(row.distance) / row.floor
            report.claim_at_most(f"{row.key}: default draws, energy distance", floors, FLOORS, "×")
    lost = [row for row in rows if row.status != "finished" or row.reason.startswith("not judged")]
    report.notes += [f"{row.key}: {row.status}, {row.reason}" for row in lost]


def kl_of(row: Row) -> float:
    """KL, at least what was seen of it; inf of a run without one."""
    if row.kl is not None:
        return row.kl
    # what importance sampling could not see may only make it larger
    return math.inf


def best_baseline(row: Row) -> float:
    """Held-out nats of the best of one Gaussian, 20 and the kernel estimate."""
    names = ("gaussian", "mixture", "kernel")
    return max((row.baselines[name] for name in names if name in row.baselines), default=math.inf)


def worse_than_gaussian(row: Row) -> bool:
    """True where one Gaussian is the better density, or where the energy is none at all."""
    if row.method in GENERATORS:
        return False
    return _number(row.held_out, -math.inf) < row.baselines.get("gaussian", math.inf)


def table(rows: Sequence[Row]) -> str:
    """One line a case: medians over seeds."""
    head = ("set", "method", "KL", "GMM-20", "held-out", "Gaussian", "best", "seconds", "draws")
    lines = ["{:16} {:44} {:>8} {:>7} {:>9} {:>9} {:>8} {:>8} {:>7}  alarms".format(*head)]
    for (data, method, preset), group in _cases(rows).items():
        kl = statistics.median(kl_of(row) for row in group)
        held_out = statistics.median(_number(row.held_out, math.nan) for row in group)
        floors = statistics.median(_number(row.distance) / (row.floor or math.nan) for row in group)
        alarms = sorted({name for row in group for name in row.alarms})
        seconds = statistics.median(row.seconds for row in group)
        baselines = group[0].baselines
        lines.append(
            f"{data:16} {f'{method}, {preset}':44} {kl:8.3f} "
            f"{group[0].kl_baselines.get('mixture', math.nan):7.3f} {held_out:9.3f} "
            f"{baselines.get('gaussian', math.nan):9.3f} {best_baseline(group[0]):8.3f} "
            f"{seconds:8.1f} {floors:6.1f}×  {' '.join(alarms)}"
        )
    return "\n".join(lines)


def _cases(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.data, row.method, row.preset), []).append(row)
    return groups


def _figures(report: Report, case: str, group: list[Row]) -> None:
    columns = (
        ("KL to the true density", "nats", [row.kl for row in group]),
        ("held-out log-likelihood", "nats", [row.held_out for row in group]),
        ("held-out, as the run gives it", "nats", [row.reported for row in group]),
        ("training", "s", [row.seconds for row in group]),
        (
            "default draws, energy distance",
            "floors",
            [row.distance / row.floor if row.distance and row.floor else None for row in group],
        ),
        ("drawing", "s", [row.draw_seconds or None for row in group]),
    )
    for metric, unit, values in columns:
        known = [value for value in values if value is not None]
        if known:
            report.add(case, "basin", metric, unit, known)
    for name, value in group[0].baselines.items():
        report.add(case, name, "held-out log-likelihood", "nats", [value])
    for name, value in group[0].kl_baselines.items():
        report.add(case, name, "KL to the true density", "nats", [value])


def _judge_proposed(report: Report, data: str, group: list[Row]) -> None:
    if group[0].dim == 2:
        bound = max(GOOD_KL, group[0].kl_baselines.get("mixture", 0.0))
        worst = max(kl_of(row) for row in group)
        report.claim_at_most(f"{data}: KL of the proposed method, worst seed", worst, bound, "nats")
        return
    behind = max(
        row.baselines.get("mixture", math.inf) - _number(row.held_out, -math.inf) for row in group
    )
    report.claim_at_most(
        f"{data}: proposed method behind 20 Gaussians, worst seed", behind, NEAR, "nats"
    )


def _judge_seconds(report: Report, rows: Sequence[Row]) -> None:
    by_case = _cases(rows)
    ratios = [
        statistics.median(row.seconds for row in group)
        / statistics.median(row.seconds for row in by_case[data, *PLAIN])
        for (data, *rest), group in by_case.items()
        if tuple(rest) == CHOSEN and (data, *PLAIN) in by_case
    ]
    if ratios:
        report.claim_at_most(
            "persistent chains: seconds over those of the plain ones", max(ratios), TIMES_PLAIN, "×"
        )


def _judge_alarms(report: Report, rows: Sequence[Row]) -> None:
    judged = [row for row in rows if row.method not in GENERATORS and row.baselines]
    silent = [row for row in judged if worse_than_gaussian(row) and not row.alarms]
    good = [row for row in judged if _number(row.held_out, -math.inf) >= best_baseline(row) - NEAR]
    loud = [row for row in good if row.alarms]
    num_worse = sum(worse_than_gaussian(row) for row in judged)
    report.claim_at_most(
        f"runs without an alarm, of the {num_worse} worse than one Gaussian", len(silent), 0
    )
    report.claim_at_most(
        f"runs with an alarm, of the {len(good)} near or above the best baseline", len(loud), 0
    )
    report.notes += [f"{row.key}: worse than one Gaussian, no alarm" for row in silent]
    report.notes += [f"{row.key}: good, alarms: {', '.join(row.alarms)}" for row in loud]


def _number(value: float | None, otherwise: float = math.inf) -> float:
    return otherwise if value is None else value
