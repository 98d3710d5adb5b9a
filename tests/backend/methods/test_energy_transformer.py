"""Energy-based transformers: the inner descent, what it learns, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from backend import catalogue
from backend.energies import Condition
from backend.energy import energy_and_gradient
from backend.errors import BadInput, NotAvailable
from backend.events import Curve, Histogram, Images
from backend.method import SampleRequest
from backend.methods.energy_transformer import EnergyTransformer, EnergyTransformerConfig
from backend.metrics import prediction
from backend.observe.observation import Observation
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.requests.asking import left_alone
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")
PERCEPTRON = {"kind": "mlp", "width": 128, "depth": 2}


def method(**config: Any) -> EnergyTransformer:
    torch.set_num_threads(1)
    data = {"name": "digits_denoising", "num_copies": 4}
    spec = RunSpec(
        method="energy_transformer", data=data, config={"energy": PERCEPTRON} | config, seed=1
    )
    made = prepare(spec, CPU, None).method
    assert isinstance(made, EnergyTransformer)
    return made


def request_of(made: EnergyTransformer, num: int, **fields: Any) -> SampleRequest:
    rows = made.task.data.held_out_rows(slice(0, num))
    return SampleRequest(len(rows.x), given=rows.given, **fields)


def test_a_prediction_goes_down_the_gradient_of_its_own_context() -> None:
    made = method(num_inner_steps=1, step_size=0.3)
    request = request_of(made, 4, start=torch.zeros(4, 8, 8))
    energy = made.fitter.fitted.network.given(Condition(context=request.given["context"]))
    expected = -0.3 * energy_and_gradient(energy, torch.zeros(4, 8, 8))[1]
    with left_alone(made):
        predicted = made.draw(request, generator_of("draw"))
    assert torch.allclose(predicted, expected, atol=1e-7) and predicted.abs().max() > 0


def test_the_loss_reaches_the_first_of_unrolled_steps_and_no_further_than_one_of_others() -> None:
    """Unrolled, the last position answers to the first energy; judged alone, it does not."""
    made = method()
    x, context = made.task.data.train[:2], made.task.data.given["context"][:2]
    for unrolled in (True, False):
        start = torch.zeros(2, 8, 8, requires_grad=True)
        factor = torch.ones(2)
        *_, last = made.fitter.module.learned(start, context, factor, 2, unrolled)
        [gradient] = torch.autograd.grad(
            (last.position - x).square().sum(), start, allow_unused=True
        )
        assert (gradient is not None) == unrolled


def test_predictions_beat_the_mean_and_stay_where_they_are_with_more_steps() -> None:
    made = method()
    for step in range(250):
        made.step(step / 250)
    data = made.task.data
    with left_alone(made):
        psnr_after = {
            num_steps: prediction.figures_of(
                data,
                made.draw(request_of(made, 540, num_steps=num_steps), generator_of("d")),
                data.held_out,
            )["psnr"]
            for num_steps in (1, 3, 8)
        }
    assert psnr_after[3] > 13.5  # the mean training image has 11.3
    assert psnr_after[3] > psnr_after[1] and psnr_after[8] > psnr_after[3] - 0.3


def test_what_is_given_predicted_and_true_is_drawn_with_the_way_of_the_inner_steps() -> None:
    made = method()
    observation = Observation(made, made.task.data, seed=1)
    begun, seen = observation.begin(), {event.path: event for event in observation.measure(1)}
    paths = {event.path for event in begun}
    assert {"prediction/given", "prediction/true", "prediction/psnr/linear"} <= paths
    curve = seen["inner/psnr"]
    assert isinstance(curve, Curve) and curve.x.tolist() == list(range(9))
    assert seen["prediction/predicted"].kind == "images"
    assert curve.marks == [(3.0, "trained")]
    ways, above, energy = (seen[f"inner/{name}"] for name in ("ways", "above_truth", "energy"))
    assert isinstance(ways, Images) and ways.energies is not None
    assert [ways.columns[0], ways.columns[-1]] == ["start", "truth"]
    each = ways.energies.reshape(-1, len(ways.columns))
    assert not each[:, -1].any(), "energies stand above the truth's, in each context"
    assert isinstance(above, Histogram) and above.names == ["predicted", "noisy", "random"]
    assert isinstance(energy, Curve) and len(energy.x) == 9
    figures, _, _ = observation.evaluate(2)
    assert {"prediction/psnr", "prediction/squared_error"} <= set(figures)


def test_it_has_no_energy_without_a_context_and_says_what_it_cannot_draw() -> None:
    made = method()
    assert not EnergyTransformer.has_energy
    with pytest.raises(NotAvailable, match="none of x alone"):
        made.energy()
    request = request_of(made, 2)
    for wrong, sentence in (
        (replace(request, given={}), "is needed"),
        (replace(request, sampler=Langevin(LangevinConfig())), "by its own inner steps"),
        (replace(request, mask=torch.ones(8, 8, dtype=torch.bool)), "whole events"),
        (replace(request, labels=torch.tensor([1, 2])), "without classes"),
    ):
        with pytest.raises(BadInput, match=sentence):
            conditional_sampling.draw(made, wrong, generator_of("draw"))


def test_a_context_that_is_no_event_is_no_start() -> None:
    data = catalogue.resolve_data({"name": "digits_denoising", "num_copies": 1}).load()
    numbers = replace(data, given={"context": data.given["context"].flatten(1)[:, :5]})
    config = EnergyTransformerConfig(start="context")
    assert list(EnergyTransformer.problems(config, data)) == []
    [(field, sentence)] = EnergyTransformer.problems(config, numbers)
    assert field == "start" and "must be `noise`" in sentence
