"""The sampler benchmark: that what it times is really sampled, and that a wrong sampler shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.energies.closed_form import Ring
from backend.energies.closed_form_shapes import DoubleWell
from backend.energy import Energy
from backend.randomness import generator_of
from benchmarks import samplers
from benchmarks import samplers_work as work
from benchmarks.report import Report
from benchmarks.samplers_work import Case, Outcome


def outcome_of(draws: torch.Tensor, folder: Path, **fields: int) -> Outcome:
    """What a worker would tell of draws (draws, chains, *event_shape)."""
    file = folder / "draws"
    draws.numpy().astype(np.float32).tofile(file)
    gradients = fields.get("gradients", len(draws))
    return Outcome(2.0, gradients, str(file), tuple(draws.shape), warm_up_seconds=2.0)


def gaussian(num_draws: int, num_chains: int) -> torch.Tensor:
    white = torch.randn((num_draws, num_chains, 100), generator=generator_of("draws")).double()
    spectrum, axes = (torch.from_numpy(found) for found in (work.spectrum(), work.axes()))
    return (white * spectrum.sqrt()) @ axes.T


def test_basin_alone_runs_without_peers_and_keeps_the_shared_format() -> None:
    report = samplers.run(
        quick=True, only={"ula"}, rounds=1, subjects=(samplers.EAGER,), at_most=16
    )
    found = report.as_dict()
    assert {row["case"] for row in found["results"]} == {
        "ula mixture, 16 x 16",
        "ula double well, 16 x 16",
        "ula mlp, 16 x 5",
        "ula conv, 16 x 16",
    }
    assert all(row["median"] > 0 for row in found["results"])
    assert not report.notes


@pytest.mark.parametrize("energy", [Ring(), DoubleWell()])
def test_exact_draws_have_the_true_variance_and_wider_ones_do_not(
    energy: Ring | DoubleWell, tmp_path: Path
) -> None:
    name = "mixture" if isinstance(energy, Ring) else "double_well"
    case = Case("ula", name, 40_000, 20, 0.01)
    draws = energy.draw(40_000, generator_of("draws"))[None]
    # two coordinates of 40,000 draws: the standard error of a variance is at most √(2/40,000)
    found = samplers.figures(case, outcome_of(draws, tmp_path))["variance"]
    assert abs(found - 1) < 4 * (2 / 40_000) ** 0.5
    wide = samplers.figures(case, outcome_of(1.2 * draws, tmp_path))
    assert abs(wide["variance"] / found - 1.44) < 1e-4
    report = Report("samplers")
    samplers.claim(report, {(case, samplers.EAGER): [wide]})
    assert [one.holds for one in report.claims] == ["fails"]


def test_independent_draws_are_counted_whole(tmp_path: Path) -> None:
    case = Case("nuts", "gaussian", 4, 500, 0.1, 500, keep_every=1)
    found = samplers.figures(case, outcome_of(gaussian(500, 4), tmp_path, gradients=1000))
    # the smallest of 100 estimates of 2,000, each with a relative error of about 10 %
    assert 1200 < found["ess"] < 2200
    assert found["rate"] == pytest.approx(found["ess"] / 2)
    assert found["rate_with_warm_up"] == pytest.approx(found["ess"] / 4)
    assert found["per_gradient"] == pytest.approx(found["ess"] / 4)
    assert abs(found["variance"] - 1) < 4 * (2 / 200_000) ** 0.5


def test_faster_is_told_from_slower() -> None:
    case = Case("ula", "mixture", 10_000, 20, 0.01)
    kept = {
        (case, samplers.EAGER): [{"seconds": 3.0, "variance": 1.0}],
        (case, samplers.COMPILED): [{"seconds": 1.0, "variance": 1.0}],
        (case, "torchebm"): [{"seconds": 2.0, "variance": 1.0}],
        (case, "blackjax"): [{"seconds": 2.0, "variance": 1.0}],
    }
    report = Report("samplers")
    samplers.claim(report, kept)
    values = {claim.text.split("against ")[1].split(",")[0]: claim for claim in report.claims[:2]}
    assert values["blackjax"].value == 2 and values["blackjax"].holds == "holds"
    assert values["torchebm"].value == 2 and values["torchebm"].holds == "fails"


@pytest.mark.parametrize("name", ["mixture", "double_well", "mlp", "conv", "gaussian"])
def test_peers_are_given_the_energies_that_basin_has(name: str, tmp_path: Path) -> None:
    from benchmarks.samplers_basin import energy_of
    from benchmarks.samplers_peers import torch_energy

    samplers.prepare([Case("ula", name, 32, 1, 0.01)], tmp_path)
    x = torch.from_numpy(np.load(tmp_path / f"{name}-32.npy"))
    ours: Energy = energy_of(name, torch.float32).cpu()
    apart = ours(x) - torch_energy(name, tmp_path)(x)
    # up to a constant
    assert float((apart - apart.mean()).abs().max()) < 1e-3
