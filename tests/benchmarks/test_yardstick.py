"""The yardstick's claims hold, and its figures of pixels are those of the published one."""

from __future__ import annotations

import pytest

from backend.datasets.digits import DigitsConfig, DigitsData
from benchmarks.report import Report
from benchmarks.yardstick import fill, judge


def test_every_claim_holds() -> None:
    report = Report("yardstick")
    medians = fill(report, DigitsData(DigitsConfig()).load(), seeds=1)
    judge(report, medians)
    assert len(report.claims) == 7
    assert [claim.text for claim in report.claims if claim.holds != "holds"] == []
    for case, expected in {"train": 0.156, "floor": 0.246, "pixels": 3.44, "noise": 10.97}.items():
        assert medians[case]["Fréchet, pixels"] == pytest.approx(expected, rel=0.08)
    assert medians["test"]["labelled as asked"] >= 0.98
