"""Distributions: normalised, drawn from exactly, and restored as they were fitted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.config import KindConfig
from backend.data import Data
from backend.distributions import RIDGE, Distribution, build_distribution, leading, mixture, wide
from backend.distributions.leading import NUM_AXES, LowRankGaussian
from backend.randomness import generator_of
from jobs.models import method_state

CPU = torch.device("cpu")
CONFIGS: dict[str, dict[str, Any]] = {
    "gaussian": {"scale": 1.5},
    "fixed": {"mean": 0.4, "sd": 1.7},
    "mixture": {"num_components": 6, "wide_share": 0.2},
    "flow": {"num_layers": 4, "width": 16, "num_fit_steps": 120},
}


@cache
def data_of(name: str = "ring") -> Data:
    return catalogue.resolve_data({"name": name, "num": 4000}).load()


def config_of(kind: str) -> KindConfig:
    config: KindConfig = catalogue.distributions()[kind].Config(**CONFIGS[kind])
    return config


@cache
def distribution_of(kind: str, seed: int = 0) -> Distribution:
    return build_distribution(config_of(kind), data_of(), generator_of("law", seed))


@cache
def grid() -> tuple[Tensor, float]:
    """Points (num, 2) over ±8 data sd and the area of a cell."""
    axis = torch.arange(-8, 8, 0.08) + 0.04
    return torch.cartesian_prod(axis, axis), 0.08**2


def test_every_law_is_tested_here() -> None:
    assert set(CONFIGS) == set(catalogue.distributions())


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_law_is_normalised_and_its_draws_are_of_it(kind: str) -> None:
    check_normalised(distribution_of(kind))


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_so_is_a_mixture_of_wide_events(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    law = mixture_along_one_axis(monkeypatch, num_components=6, scale=1.3, wide_share=share)
    assert law.factors.shape == (6, 1, 1)
    check_normalised(law)


def test_a_gaussian_of_low_rank_is_the_dense_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """N(mean, λ₁ v₁v₁ᵀ + diag(what is left of each variance))."""
    monkeypatch.setattr(leading, "NUM_AXES", 1)
    gaussian = LowRankGaussian(data_of(), scale=1.3).double()
    x = data_of().train.double()
    covariance = x.T.cov()
    lengths, vectors = torch.linalg.eigh(covariance)
    part = lengths[1] * vectors[:, 1:] @ vectors[:, 1:].T
    dense = part + (covariance - part).diagonal().add(RIDGE).diag()
    expected = torch.distributions.MultivariateNormal(x.mean(0), 1.3 * dense)
    z = data_of().held_out[:50].double()
    assert torch.allclose(gaussian.log_prob(z), expected.log_prob(z), atol=1e-5)
    square, half_log_det = gaussian.square(z)
    white = torch.linalg.solve_triangular(expected.scale_tril, (z - x.mean(0)).T, upper=False)
    assert torch.allclose(square, white.square().sum(0), atol=1e-4)
    assert float(half_log_det) == pytest.approx(float(torch.logdet(1.3 * dense)) / 2, abs=1e-5)


def test_fifteen_hundred_columns_are_fitted_and_drawn_within_bounds() -> None:
    """Every factor is of a few axes, and a direction that tells two groups apart is seen."""
    generator = generator_of("columns", 0)
    train = torch.randn((400, 1500), generator=generator)
    train[:, :10] += 6 * (torch.rand((400, 1), generator=generator) < 0.3)
    data = replace(data_of(), train=train, held_out=train[:100], mean=torch.zeros(1500))
    law = build_distribution(config_of("mixture"), data, generator)
    assert max(buffer.numel() for buffer in law.buffers()) <= 1500 * NUM_AXES
    draws = law.sample(1000, generator)
    assert float((draws[:, :10].mean(1) > 3).double().mean()) == pytest.approx(0.3, abs=0.08)
    assert float(draws[:, 500:].std()) == pytest.approx(1.5**0.5, abs=0.15)
    gaussian = LowRankGaussian(data).log_prob(draws[:200]).mean()
    assert float(law.log_prob(draws[:200]).mean()) > float(gaussian)


def test_draws_do_not_depend_on_how_many_factors_are_gathered_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law = distribution_of("mixture")
    expected = law.sample(50, generator_of("d", 0))
    monkeypatch.setattr(mixture, "MOST_GATHERED", 12)
    assert torch.equal(law.sample(50, generator_of("d", 0)), expected)


def mixture_along_one_axis(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Any:
    """A mixture of the ring as those of wide events are, along its first axis."""
    for module in (mixture, wide):
        monkeypatch.setattr(module, "MOST_FULL", 1)
    monkeypatch.setattr(leading, "NUM_AXES", 1)
    config = catalogue.distributions()["mixture"].Config(**fields)
    return build_distribution(config, data_of(), generator_of("law", 0))


def check_normalised(law: Distribution) -> None:
    """Assert that a density of the plane has mass 1, and that its draws have its moments."""
    points, cell = grid()
    log_q = law.log_prob(points).double()
    mass = log_q.exp() * cell
    assert float(mass.sum()) == pytest.approx(1, abs=2e-3)
    draws = law.sample(5000, generator_of("draws", 0))
    assert draws.shape == (5000, 2) and not draws.requires_grad
    functions = (
        law.log_prob,
        lambda z: z[:, 0],
        lambda z: z[:, 0] * z[:, 1],
        lambda z: z.square().sum(1),
        lambda z: (3 * z[:, 1]).sin(),
    )
    for function in functions:
        expected = float((mass * function(points).double()).sum())
        values = function(draws).double()
        error = float(values.std()) / len(values) ** 0.5
        assert abs(float(values.mean()) - expected) < 4 * error + 5e-3


@pytest.mark.parametrize("kind", ["gaussian", "fixed"])
def test_gaussians_have_the_moments_they_say(kind: str) -> None:
    data, law = data_of(), distribution_of(kind)
    if kind == "gaussian":
        mean, covariance = data.train.mean(0), 1.5 * data.train.T.cov()
    else:
        mean = data.standardise(torch.full((2,), 0.4))
        covariance = (1.7 / data.scale).square().diag()
    expected = torch.distributions.MultivariateNormal(mean, covariance)
    z = data.held_out[:50]
    assert torch.allclose(law.log_prob(z), expected.log_prob(z), atol=2e-3)


def test_a_wide_part_bounds_the_weights_of_tails_that_gaussians_miss() -> None:
    """A Student's t over a mixture of Gaussians fitted to it, far out: 3 df in the plane decay as
    r⁻⁵, as the wide part does, and a Gaussian's log-density falls without bound."""
    config_class = catalogue.distributions()["mixture"].Config
    direction = torch.tensor([[0.6, 0.8]])
    near, far = (r * direction for r in (30.0, 3000.0))
    falls = []
    for share in (0.0, 0.05):
        config = config_class(num_components=3, wide_share=share)
        law = build_distribution(config, data_of(), generator_of("law", 0)).double()
        falls.append(float(law.log_prob(near.double()) - law.log_prob(far.double())))
    assert falls[0] > 1e5
    assert falls[1] == pytest.approx(5 * torch.log(torch.tensor(100.0)).item(), abs=0.02)


def test_many_coordinates_are_solved_for_as_few_are() -> None:
    law, z = distribution_of("mixture"), data_of().held_out[:20]
    expected = law.log_prob(z)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "MOST_INVERTED", 1)
        assert torch.allclose(law.log_prob(z), expected, atol=1e-4)


def test_a_fitted_law_is_closer_to_the_data_than_a_gaussian() -> None:
    """Mean log q of held-out data on the ring, nats: structure is worth several tenths."""
    z = data_of().held_out
    scores = {kind: float(distribution_of(kind).log_prob(z).mean()) for kind in CONFIGS}
    assert scores["mixture"] > scores["gaussian"] + 0.3
    assert scores["flow"] > scores["gaussian"] + 0.1


def test_a_flows_determinant_is_that_of_its_jacobian() -> None:
    law = distribution_of("flow")
    for z in data_of().held_out[:5]:
        through = z[None]
        log_det = 0.0
        for layer in reversed(law.layers):  # type: ignore[arg-type]
            jacobian = torch.autograd.functional.jacobian(
                lambda y, it=layer: it.inverse(y)[0], through
            )[0, :, 0]
            log_det += float(torch.linalg.slogdet(jacobian).logabsdet)
            back, change = layer.inverse(through)
            assert torch.allclose(layer(back), through, atol=1e-4)
            assert float(change.detach()) == pytest.approx(
                float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-4
            )
            through = back.detach()


@pytest.mark.parametrize("kind", ["mixture", "flow"])
def test_a_fitted_law_is_restored_as_it_was(kind: str) -> None:
    z = data_of().held_out[:20]
    law, other = (
        distribution_of(kind),
        build_distribution(config_of(kind), data_of("moons"), generator_of("law", 5)),
    )
    assert not torch.allclose(law.log_prob(z), other.log_prob(z))
    method_state.restore(other, *method_state.collect(law), CPU)
    assert torch.equal(law.log_prob(z), other.log_prob(z))


def test_its_draws_are_the_generators_and_nothing_of_it_is_trained() -> None:
    before = torch.random.get_rng_state()
    for kind in CONFIGS:
        law = distribution_of(kind)
        draws = [law.sample(5, generator_of("d", seed)) for seed in (0, 0, 1)]
        assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
        assert not any(weight.requires_grad for weight in law.parameters())
    assert torch.equal(before, torch.random.get_rng_state())


def test_laws_that_do_not_fit_say_so() -> None:
    line = catalogue.resolve_data({"name": "shifted_gaussian", "num": 200}).load()
    laws, huge = catalogue.distributions(), torch.Size([100, 100])
    assert "2" in laws["flow"].fits(line.event_shape)
    assert not laws["mixture"].fits(line.event_shape)
    assert laws["gaussian"].fits(huge) and not laws["fixed"].fits(huge)


def test_a_law_takes_images_and_lines() -> None:
    for name in ("digits", "shifted_gaussian"):
        data = catalogue.resolve_data({"name": name}).load()
        for kind in ("gaussian", "fixed"):
            law = build_distribution(config_of(kind), data, generator_of("law", 0))
            z = law.sample(3, generator_of("d", 0))
            assert z.shape == (3, *data.event_shape)
            assert law.log_prob(z).shape == (3,) and law.log_prob(z).isfinite().all()
