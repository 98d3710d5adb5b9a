"""Predictors: thought step by step, resting, in passes, and by diffusion."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend.methods.conditional_diffusion import ConditionalDiffusion
from backend.methods.feed_forward import FeedForward
from backend.metrics import prediction
from backend.networks.regressors import PerceptronConfig, Regressor, TransformerConfig
from backend.randomness import generator_of
from backend.requests.asking import left_alone
from backend.requests.predicting import Given, PredictingMethod, Predictor, think
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")
SMALL = {"kind": "mlp", "width": 128, "depth": 2}


class Halving(Predictor):
    """x ← x / 2 down E = x², from the context."""

    num_steps = 4

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        return given["context"]

    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        return x / 2

    def energy(self, x: Tensor, given: Given) -> Tensor:
        return x.square().sum(1)


def trained(name: str, num_steps: int, **config: Any) -> PredictingMethod:
    torch.set_num_threads(1)
    data = {"name": "digits_denoising", "num_copies": 4}
    spec = RunSpec(method=name, data=data, config=config, seed=1)
    method = prepare(spec, CPU, None).method
    assert isinstance(method, PredictingMethod)
    for step in range(num_steps):
        method.step(step / num_steps)
    return method


def test_a_row_rests_once_a_step_changes_its_energy_too_little() -> None:
    given = {"context": torch.tensor([[8.0], [0.1]])}
    thought = think(Halving(), given, generator_of("think"), settled=1.0)
    assert thought.positions[:, :, 0].tolist() == [
        [8.0, pytest.approx(0.1)],
        [4.0, pytest.approx(0.05)],
        [2.0, pytest.approx(0.05)],
        [1.0, pytest.approx(0.05)],
        [0.5, pytest.approx(0.05)],
    ]
    assert thought.num_taken.tolist() == [4, 1]
    assert thought.energies is not None and thought.energies[:, 0].tolist() == [64, 16, 4, 1, 0.25]
    on = think(Halving(), given, generator_of("think"), num_steps=1, start=thought.last)
    assert on.positions.shape == (2, 2, 1) and on.last[0].item() == 0.25


@pytest.mark.parametrize("config", [TransformerConfig(width=8, num_heads=2), PerceptronConfig()])
@pytest.mark.parametrize("event_shape", [(4,), (5, 6), (4, 4, 3)])
@pytest.mark.parametrize("context_shape", [(3,), (2, 2), (5, 6)])
def test_regressors_take_events_and_contexts_of_any_shape(
    config: Any, event_shape: tuple[int, ...], context_shape: tuple[int, ...]
) -> None:
    generator = generator_of("regressor")
    shapes = torch.Size(event_shape), torch.Size(context_shape)
    context = torch.randn(7, *context_shape, generator=generator)
    x, time = torch.randn(7, *event_shape, generator=generator), torch.rand(7, generator=generator)
    plain = Regressor(config, *shapes, False, generator)(context)
    level = Regressor(config, *shapes, True, generator)
    of_all = level(context, x, time)
    assert plain.shape == of_all.shape == (7, *event_shape)
    for other in (
        level(context + 1, x, time),
        level(context, x + 1, time),
        level(context, x, 0 * time),
    ):
        assert (of_all - other).abs().amax() > 1e-4, "each part counts"


def test_a_second_pass_goes_on_from_the_first() -> None:
    method = trained("feed_forward", 100, network=SMALL)
    assert isinstance(method, FeedForward)
    rows = method.task.data.held_out_rows(slice(0, 200))
    with left_alone(method):
        thought = think(method.predictor(), rows.given, generator_of("think"), num_steps=2)
        network, (start, first, second) = method.fitter.fitted, thought.positions
        with torch.no_grad():
            assert torch.equal(start, rows.given["context"]) and torch.equal(
                first, method.predicted(network, start)
            )
            assert torch.equal(second, method.predicted(network, first))
    data = method.task.data
    figures = [prediction.figures_of(data, x, rows.x)["psnr"] for x in thought.positions]
    assert figures[1] > 10.5 > 8.5 > figures[0]


def test_diffusion_draws_what_fits_its_context() -> None:
    method = trained("conditional_diffusion", 400, network=SMALL, train={"learning_rate": 5e-3})
    assert isinstance(method, ConditionalDiffusion)
    rows = method.task.data.held_out_rows(slice(0, 200))
    with left_alone(method):
        thoughts = [
            think(method.predictor(), rows.given, generator_of("think", seed), num_steps=10)
            for seed in range(4)
        ]
    draws = torch.stack([thought.last for thought in thoughts])
    assert draws.abs().max() <= 1.0, "held to the range"
    data = method.task.data
    of_draw = prediction.figures_of(data, draws[0], rows.x)["squared_error"]
    of_mean = prediction.figures_of(data, draws.mean(0), rows.x)["squared_error"]
    of_others = prediction.figures_of(data, draws[0], rows.x.roll(1, 0))["squared_error"]
    assert of_mean < of_draw < 0.8 * of_others
