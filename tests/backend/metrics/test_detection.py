"""AUROC and ROC against scikit-learn and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from backend.metrics.detection import auroc, roc
from backend.randomness import generator_of


@pytest.mark.parametrize("levels", [5, 10_000])
def test_auroc_is_that_of_scikit_learn_with_many_ties_and_with_few(levels: int) -> None:
    generator = generator_of(0)
    inliers = torch.randint(levels, (300,), generator=generator).float()
    outliers = torch.randint(levels, (200,), generator=generator).float() + levels // 5
    truth = [0] * 300 + [1] * 200
    scores = torch.cat([inliers, outliers])
    assert auroc(inliers, outliers) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    false_rate, true_rate, _ = roc_curve(truth, scores, drop_intermediate=False)
    found = roc(inliers, outliers, num_points=1000)
    assert found[0].numpy() == pytest.approx(false_rate)
    assert found[1].numpy() == pytest.approx(true_rate)


def test_scores_that_say_nothing_and_everything() -> None:
    x = torch.arange(6.0)
    assert auroc(x, x) == 0.5
    assert auroc(x, x + 10) == 1.0
    assert auroc(x + 10, x) == 0.0
    assert math.isnan(auroc(x, torch.tensor([math.nan])))
    assert auroc(x, torch.tensor([math.inf, 10.0])) == 1.0
    with pytest.raises(ValueError, match="got 6 and 0"):
        auroc(x, x[:0])


def test_a_thinned_curve_still_runs_from_corner_to_corner() -> None:
    x = torch.randn(500, generator=generator_of(1))
    rates = roc(x, x + 1, num_points=20)
    for rate in rates:
        assert len(rate) == 20 and rate[0] == 0 and rate[-1] == 1
        assert (rate.diff() >= 0).all()
    # by trapezoids: the area of the whole curve is Φ(1/√2) = .760
    area = float(torch.trapezoid(rates[1], rates[0]))
    assert area == pytest.approx(auroc(x, x + 1), abs=0.01)
