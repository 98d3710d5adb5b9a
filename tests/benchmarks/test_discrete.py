"""The references of the discrete benchmark sample what Basin samples, and it measures both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.energies.discrete import enumerated
from backend.energies.lattices import Ising
from benchmarks import discrete
from benchmarks.report import Report


@pytest.mark.parametrize(
    "kind",
    [
        "gibbs",
        "block_gibbs",
        pytest.param("gibbs_with_gradients", marks=pytest.mark.slow),
        "cluster",
    ],
)
def test_both_draw_from_the_law(kind: str) -> None:
    case = discrete.Spins(kind, kind, 4000, 4, 1)
    subjects, spins = discrete.spin_subjects(case)
    law = enumerated(Ising(4, 4, discrete.COUPLING, discrete.FIELD))
    assert law is not None
    num = 200 if kind == "gibbs_with_gradients" else 20
    magnetisation = float(2 * law.mean.mean() - 1)
    ising = Ising(4, 4, discrete.COUPLING, discrete.FIELD)
    for subject, steps in subjects.items():
        steps(num)
        x = torch.from_numpy((np.asarray(spins(subject)) + 1) / 2)
        assert set(x.unique().tolist()) == {0.0, 1.0}
        energies = ising(x).double()
        error = float(energies.std()) / len(x) ** 0.5
        assert law.mean_energy is not None
        assert float(energies.mean()) == pytest.approx(law.mean_energy, abs=4 * error)
        means = (2 * x - 1).flatten(1).mean(1)
        error = float(means.std()) / len(x) ** 0.5
        assert float(means.mean()) == pytest.approx(magnetisation, abs=4 * error)


@pytest.mark.slow
def test_speeds_are_of_as_many_spins_and_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    spins = [discrete.Spins("cluster", "clusters", 4, 4, 2)]
    training = [discrete.Training(5, 10, 3), discrete.Training(5, 1000, 2)]
    monkeypatch.setattr(discrete, "spin_cases", lambda quick: spins)
    monkeypatch.setattr(discrete, "training_cases", lambda quick: training)
    report = Report("discrete")
    times = discrete.fill(report, 2, quick=True)
    discrete.judge(report, times)
    assert set(times) == {(5, 10), (5, 1000)}
    assert [claim.target for claim in report.claims] == ["≥ 1", "≥ 3"]
    ratios = [row for row in report.results if row.metric == "times as fast"]
    assert len(ratios) == 3 and all(row.median > 0 and row.n == 2 for row in ratios)
    assert {row.subject for row in report.results} == {"basin", "numpy, scipy", "scikit-learn"}
