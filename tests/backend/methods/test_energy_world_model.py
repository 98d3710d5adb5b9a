"""Energy world models and mixture densities: against closed forms, quadrature and a forked law."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend import catalogue
from backend.data import Data, Rows
from backend.method import Method
from backend.methods.energy_world_model import AnnealedDescent, EnergyWorldModelConfig
from backend.methods.mixture_density import MixtureDensity
from backend.metrics import outcomes
from backend.objectives.inner_descent import Descent
from backend.randomness import generator_of
from backend.requests import futures
from backend.requests.predicting import think
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")
SHAPE = torch.Size((2,))


def made(method: str, data: str = "forked_future", **config: Any) -> Method:
    few = {"name": data, "num": 400, "num_held_out": 200}
    return prepare(RunSpec(method=method, data=few, config=config, seed=1), CPU, None).method


def trained(method: str, num_steps: int, **config: Any) -> Method:
    run = made(method, **config)
    for index in range(num_steps):
        run.step(index / num_steps)
    for module in run.modules():
        module.eval()
    return run


# ---------------------------------------------------------------------- mixture density


def test_a_mixture_density_integrates_to_one_and_is_its_closed_form() -> None:
    run = trained("mixture_density", 30, width=32)
    assert isinstance(run, MixtureDensity)
    context = run.task.data.held_out_given["context"][5:6]
    side = torch.linspace(-8, 8, 400)
    grid = torch.cartesian_prod(side, side)
    given = {"context": context.expand(len(grid), -1)}
    log_prob = -run.predictor().energy(grid, given)  # type: ignore[operator]
    cell = float(side[1] - side[0]) ** 2
    assert float(log_prob.double().exp().sum() * cell) == pytest.approx(1, abs=1e-3)
    log_weights, mean, sd = run.fitter.fitted(context)
    parts = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=log_weights[0]),
        torch.distributions.Independent(torch.distributions.Normal(mean[0], sd[0]), 1),
    )
    assert torch.allclose(log_prob, parts.log_prob(grid), atol=1e-3, rtol=1e-4)


def test_draws_of_a_mixture_density_have_its_mean_and_variance() -> None:
    run = trained("mixture_density", 30, width=32)
    given = futures.repeated(run.task.data, 5, 40_000)
    drawn = think(run.predictor(), given, generator_of("draws")).last  # type: ignore[attr-defined]
    log_weights, mean, sd = run.fitter.fitted(given["context"][:1])  # type: ignore[attr-defined]
    weights = log_weights[0].exp()[:, None]
    centre = (weights * mean[0]).sum(0)
    variance = (weights * (sd[0].square() + mean[0].square())).sum(0) - centre.square()
    error = 4 * (variance / len(drawn)).sqrt()
    assert ((drawn.mean(0) - centre).abs() < error).all()
    assert torch.allclose(drawn.var(0), variance, rtol=0.05)


def test_a_mixture_density_learns_both_branches_in_seconds() -> None:
    run = trained("mixture_density", 250, train={"learning_rate": 5e-3, "batch_size": 128})
    data = run.task.data
    rows = data.held_out_rows(slice(None))
    with torch.no_grad():
        predictor = run.predictor()  # type: ignore[attr-defined]
        ranks = outcomes.of_energies(data, rows, predictor.energy, generator_of("rivals"))
    assert ranks["rank/branch_mean"] > 0.9 and ranks["rank/shuffled_time"] > 0.95


def test_events_of_many_coordinates_are_refused_with_a_way_out() -> None:
    config = MixtureDensity.Config()

    def of(dim: int) -> Data:
        x = torch.zeros(3, dim)
        return Data("wide", "Wide", x, x, *map(torch.tensor, (0.0, 1.0, -1.0, 1.0)))

    [(field, sentence)] = MixtureDensity.problems(config, of(65))
    assert field == "num_components" and "conditional diffusion" in sentence
    assert list(MixtureDensity.problems(config, of(64))) == []


# ---------------------------------------------------------------------- going down an energy


class TwoWells(nn.Module):
    """−log of two Gaussians about ± the context (batch, 2), a closed form."""

    sd = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        wells = torch.stack([condition.context, -condition.context], 1)
        square = (x[:, None] - wells).square().sum(2) / self.sd**2
        log_norm = math.log(2 * 2 * math.pi * self.sd**2)
        return log_norm - (-0.5 * square).logsumexp(1)


def test_a_step_goes_down_the_closed_form_and_noise_falls_to_none() -> None:
    config = EnergyWorldModelConfig(num_steps=5, langevin_noise=0.0, step_size=0.02)
    predictor = AnnealedDescent(Descent(TwoWells(), 0.02), config, SHAPE)
    context = torch.tensor([[1.0, 0.0]])
    x = torch.tensor([[0.7, 0.1]])
    stepped = predictor.think(x, {"context": context}, 0, 5, generator_of("step"))
    # far from the other well the gradient is that of one Gaussian
    assert torch.allclose(stepped, x - 0.02 * (x - context) / 0.09, atol=1e-4)
    noisy = AnnealedDescent(
        Descent(TwoWells(), 0.02), EnergyWorldModelConfig(langevin_noise=0.5), SHAPE
    )
    many = {"context": context.expand(20_000, 2)}
    begin = x.expand(20_000, 2)
    for index, expected in ((0, 0.5 * 0.75), (2, 0.5 * 0.25), (3, 0.0)):
        after = noisy.think(begin, many, index, 4, generator_of("noise", index))
        assert float((after - stepped).std()) == pytest.approx(expected, rel=0.03)


def test_predictions_land_in_both_wells_of_a_closed_form_in_the_same_share() -> None:
    config = EnergyWorldModelConfig(num_steps=60, langevin_noise=0.4)
    predictor = AnnealedDescent(Descent(TwoWells(), 0.03), config, SHAPE)
    num = 4000
    context = torch.tensor([[1.0, 0.5]]).expand(num, 2)
    x = think(predictor, {"context": context}, generator_of("wells")).last
    near = torch.stack([(x - context).norm(dim=1), (x + context).norm(dim=1)], 1)
    assert float((near.amin(1) < 0.1).double().mean()) > 0.98, "each draw is in a well"
    share = float((near.argmin(1) == 0).double().mean())
    assert share == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(num))


def test_rivals_of_the_forked_law_are_ordered_by_its_own_density() -> None:
    data = catalogue.resolve_data({"name": "forked_future", "num": 60, "num_held_out": 300}).load()
    rows: Rows = data.held_out_rows(slice(None))
    assert data.future is not None

    def energy(x: Tensor, given: dict[str, Tensor]) -> Tensor:
        """−log of the law: noise about the branches, spread by what the past leaves open."""
        possible, _ = data.future.possible(given["context"])  # type: ignore[union-attr]
        square = (data.restore(x)[:, None] - possible).square().sum(2)
        return -(-0.5 * square / 0.08**2).logsumexp(1)

    ranks = outcomes.of_energies(data, rows, energy, generator_of("rivals"))
    assert ranks["rank/branch_mean"] == 1
    assert ranks["rank/another"] > 0.99 and ranks["rank/shuffled_time"] == 1

    def shifted(x: Tensor, given: dict[str, Tensor]) -> Tensor:
        """The same with a constant of each context's own."""
        return energy(x, given) + 100 * given["context"].sum(1)

    assert outcomes.of_energies(data, rows, shifted, generator_of("rivals")) == ranks


# ---------------------------------------------------------------------- training


def test_starts_are_of_the_sizes_asked_for() -> None:
    run = made("energy_world_model", noise_share=0.25)
    x = torch.zeros(40_000, 2)
    start, sigma = run._starts(x)  # type: ignore[attr-defined]
    alone = (sigma - 1 / 0.6).abs() < 1e-6
    assert float(alone.double().mean()) == pytest.approx(0.25, abs=0.01)
    logs = sigma[~alone].log()
    low, high = math.log(0.083), math.log(2.0)
    assert float(logs.mean()) == pytest.approx((low + high) / 2, abs=0.02)
    assert float(logs.std()) == pytest.approx((high - low) / math.sqrt(12), rel=0.02)
    assert float(start[alone].std()) == pytest.approx(1.2, rel=0.02)
    scaled = start[~alone] / sigma[~alone][:, None]
    assert float(scaled.std()) == pytest.approx(1, rel=0.02)


@pytest.mark.slow
def test_noise_of_many_sizes_finds_the_branches_that_noise_alone_averages() -> None:
    small = {"energy": {"width": 64, "depth": 3}, "train": {"batch_size": 128}}
    data = {"name": "forked_future", "num": 2000, "num_held_out": 300}
    seen = {}
    for preset in ("default", "plain"):
        spec = RunSpec(method="energy_world_model", preset=preset, data=data, config=small, seed=0)
        run = prepare(spec, CPU, None)
        for index in range(700):
            run.method.step(index / 700)
        rows = run.data.held_out_rows(slice(None))
        predictor = run.method.predictor()  # type: ignore[attr-defined]
        x = think(predictor, rows.given, generator_of("draws"), 50).last
        with torch.no_grad():
            ranks = outcomes.of_energies(run.data, rows, predictor.energy, generator_of("r"))
        seen[preset] = outcomes.of_predictions(run.data, rows, x) | ranks
    assert seen["default"]["outcome/on_branch"] > 0.15 > 0.02 >= seen["plain"]["outcome/on_branch"]
    assert seen["default"]["rank/branch_mean"] > 0.8 > 0.2 > seen["plain"]["rank/branch_mean"]
