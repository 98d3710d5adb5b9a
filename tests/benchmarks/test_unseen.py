"""Data sets of the unseen benchmark are what their densities say, and so is their judge."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special
from scipy.stats import multivariate_normal

from benchmarks import unseen
from benchmarks.report import Report
from benchmarks.unseen_claims import CHOSEN, judge
from benchmarks.unseen_sets import sets
from benchmarks.unseen_truth import cells, kl_to
from benchmarks.unseen_work import TOYS, Case, Row

PLANE = [name for name, one in sets().items() if one.dim == 2]
BEYOND = [name for name, one in sets().items() if one.dim > 2]


@pytest.mark.parametrize("name", PLANE)
def test_a_density_in_the_plane_has_mass_one_and_no_kl_to_itself(name: str) -> None:
    one = sets()[name]

    def energy(x: np.ndarray) -> np.ndarray:
        return -np.maximum(one.log_density(x), -1e4)

    centres, log_area = cells(one, energy)
    assert special.logsumexp(one.log_density(centres) + log_area) == pytest.approx(0, abs=2e-3)
    assert kl_to(one, energy)[0] == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("name", sets())
def test_kl_to_one_gaussian_is_that_of_the_covariance(name: str) -> None:
    one = sets()[name]
    x = one.sample(50_000, seed=3)
    mean, covariance = x.mean(0), np.cov(x.T)
    gaussian = multivariate_normal(mean, covariance)
    expected = (one.log_density(x) - gaussian.logpdf(x)).mean()
    kl, log_z, effective = kl_to(one, lambda x: -gaussian.logpdf(x))
    # a mean over draws from a heavy tail is itself uncertain, and a Gaussian has none
    assert kl == pytest.approx(expected, abs=0.1 if "student" in name else 0.03)
    assert log_z == pytest.approx(0, abs=0.02)
    assert effective > 0.05


@pytest.mark.parametrize("name", BEYOND)
def test_draws_find_the_normaliser_of_the_density_itself(name: str) -> None:
    one = sets()[name]
    kl, log_z, _ = kl_to(one, lambda x: 7.0 - one.log_density(x))
    assert kl == pytest.approx(0, abs=0.02)
    assert log_z == pytest.approx(-7, abs=0.02)


CASE = "shells contrastive_divergence persistent 0"


def _row(**changes: Any) -> Row:
    row = Row("shells", *CHOSEN, seed=0, dim=2, status="finished", kl=0.03, held_out=-2.29)
    row.baselines = {"gaussian": -3.71, "mixture": -2.32, "kernel": -2.31, "truth": -2.26}
    row.kl_baselines = {"gaussian": 1.44, "mixture": 0.07}
    row.distance, row.floor = 0.004, 0.002
    return replace(row, **changes)


def _verdicts(*rows: Row) -> dict[str, str]:
    report = Report("unseen")
    judge(report, rows, {"shells": CHOSEN})
    return {claim.text: claim.holds for claim in report.claims}


def test_a_good_run_without_alarms_holds_every_claim() -> None:
    verdicts = _verdicts(_row())
    assert len(verdicts) == 5
    assert set(verdicts.values()) == {"holds"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kl": 0.2}, "shells: KL of the proposed method, worst seed"),
        ({"kl": None}, "shells: KL of persistent chains, worst seed"),
        (
            {"held_out": -4.0},
            "runs without an alarm, of the 1 worse than one Gaussian",
        ),
        (
            {"alarms": ["mixing"]},
            "runs with an alarm, of the 1 near or above the best baseline",
        ),
        ({"distance": 0.02}, f"{CASE}: default draws, energy distance"),
    ],
)
def test_each_claim_fails_by_its_own_figure(changes: dict[str, Any], text: str) -> None:
    assert _verdicts(_row())[text.replace("of the 1 worse", "of the 0 worse")] == "holds"
    assert _verdicts(_row(**changes))[text] == "fails"


def test_the_worst_seed_decides() -> None:
    verdicts = _verdicts(_row(), _row(seed=1, kl=0.2))
    assert verdicts["shells: KL of the proposed method, worst seed"] == "fails"


def test_rows_that_are_there_are_not_run_again(tmp_path: Path) -> None:
    case = Case("shells", *CHOSEN, seed=0)
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(_row().as_dict()) + '\n{"data": "cut')
    rows = unseen.run([case], 1, file)
    assert [row.as_dict() for row in rows] == [_row().as_dict()]


def test_the_whole_benchmark_sees_every_set_by_the_proposed_method_and_persistent_chains() -> None:
    listed = list(unseen.cases(1))
    for data in (*sets(), *TOYS):
        of_set = {(case.method, case.preset) for case in listed if case.data == data}
        assert {unseen.proposed(data), CHOSEN} <= of_set
