"""Energy Matching: its two phases, its samples by time, what it refuses and what it warns of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from backend.errors import BadInput
from backend.method import SampleRequest
from backend.methods.energy_matching import TIMES, EnergyMatching
from backend.metrics.quality import Quality
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.samplers.langevin import Langevin
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

SMALL = {
    "energy": {"kind": "mlp", "width": 16, "depth": 2},
    "num_steps": 4,
    "step_size": 0.1,
    "train": {"batch_size": 32},
}


def made(preset: str = "default", data: str = "moons", seed: int = 0, **fields: Any) -> Any:
    spec = RunSpec(
        method="energy_matching", preset=preset, data={"name": data}, config=fields, seed=seed
    )
    return prepare(spec, torch.device("cpu"), None)


def small(preset: str = "default", **fields: Any) -> EnergyMatching:
    method = made(preset, **{**SMALL, **fields}).method
    assert isinstance(method, EnergyMatching)
    return method


def test_contrast_begins_where_the_share_says() -> None:
    method = small(contrastive_share=0.25)
    phases = [float(method.step(progress)["flow/phase"]) for progress in (0.0, 0.74, 0.75, 0.9)]
    assert phases == [1, 1, 2, 2]
    alone = small("flow_only", contrastive_share=0.25)
    assert [float(alone.step(progress)["flow/phase"]) for progress in (0.0, 0.9)] == [1, 1]


def test_gradients_of_the_chains_are_counted() -> None:
    method = small()
    method.step(0.0)
    assert method.gradient_evaluations == 1
    method.step(0.99)
    assert method.gradient_evaluations == 2 + 4


def test_the_loss_of_each_phase_is_made_of_the_streamed_parts() -> None:
    """Phase 2 at w ≡ 0 would be the contrast alone; with w the two add up to the loss."""
    method = small(contrastive_weight=2.0, temperature=0.5)
    out = method.step(0.99)
    assert float(out["loss/contrastive"]) == pytest.approx(2.0 * 0.5 * float(out["energy/gap"]))
    assert float(out["loss/total"] - out["loss/contrastive"]) > 0
    first = small(contrastive_weight=2.0).step(0.0)
    assert float(first["loss/contrastive"]) == float(first["energy/gap"]) == 0


def test_the_clamp_stops_the_push_where_data_lie_low_enough() -> None:
    """Chains made wide by a high temperature lie above data: the loss then holds −λ c."""
    method = small(contrastive_clamp=1e-6, contrastive_weight=3.0, temperature=50.0)
    for index in range(100):
        method.step(index / 200)
    out = method.step(0.99)
    assert float(out["energy/gap"]) < -1e-6 / 50
    assert float(out["loss/contrastive"]) == pytest.approx(-3e-6)


def test_energies_are_the_potential_in_units_of_the_temperature() -> None:
    method = small(temperature=0.2)
    x = method.task.data.held_out[:20]
    with torch.no_grad():
        assert torch.allclose(method.energy()(x), method.potential()(x) / 0.2)
    kernel = method.sampler()
    assert isinstance(kernel, Langevin)
    assert kernel.config.step_size == pytest.approx(0.1 * 0.2)


def test_its_sampler_takes_the_very_steps_that_samples_take_after_time_one() -> None:
    """x − Δt ∇V + √(2εΔt) ξ is Langevin on V/ε at step ε Δt."""
    method = small(temperature=0.2)
    x = method.task.data.held_out[:20]
    generator, other = generator_of("steps"), generator_of("steps")
    request = SampleRequest(20, start=x, num_steps=3)
    by_chains = conditional_sampling.draw(method, request, generator).position
    flowed = method._flowed(method.potential(), x, torch.ones(20), 3, other)
    assert torch.allclose(by_chains, flowed, atol=1e-5)


def test_the_sampling_time_can_be_asked_for() -> None:
    method = small()
    start = method.task.data.held_out[:8]
    own = conditional_sampling.draw(
        method, SampleRequest(8, start=start), generator_of("draw")
    ).position
    named = conditional_sampling.draw(
        method, SampleRequest(8, start=start, time=1.0), generator_of("draw")
    ).position
    later = conditional_sampling.draw(
        method, SampleRequest(8, start=start, time=4.0), generator_of("draw")
    ).position
    assert torch.equal(own, named) and not torch.equal(own, later)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (SampleRequest(4, time=0.0), "time"),
        (SampleRequest(4, time=1.0, num_steps=5), "time"),
        (SampleRequest(4, guidance=1.0), "guidance"),
        (SampleRequest(4, guidance=1.0, time=1.0), "guidance"),
    ],
)
def test_what_it_cannot_draw_is_said(asked: SampleRequest, field: str) -> None:
    method = small()
    said = conditional_sampling.refusal(method, asked)
    assert said is not None and said[0] == field and said[1].endswith(".")
    with pytest.raises(BadInput):
        conditional_sampling.draw(method, asked, generator_of("draw"))


def test_known_coordinates_are_held() -> None:
    method = small()
    known = torch.full((6, 2), 0.7)
    mask = torch.tensor([True, False])
    x = conditional_sampling.draw(
        method, SampleRequest(6, known=known, mask=mask, num_steps=5), generator_of("draw")
    ).position
    assert (x[:, 0] == 0.7).all() and not (x[:, 1] == 0.7).any()


def test_a_potential_with_kinks_is_refused() -> None:
    with pytest.raises(BadInput, match="must be smooth"):
        made(energy={"kind": "mlp", "activation": "relu"})


def test_it_says_when_contrast_harms_the_flow_or_runs_away() -> None:
    method = small()
    method.running = torch.tensor([0.10, 0.11, -0.5])
    assert list(method.findings(generator_of("look"))) == []
    method.running = torch.tensor([0.10, 0.13, -7.0])
    found = list(method.findings(generator_of("look")))
    assert [item.name for item in found] == ["flow", "gap"]
    assert "0.13" in found[0].message and "7 nats" in found[1].message


def test_the_flow_loss_is_remembered_from_before_contrast() -> None:
    method = small()
    for index in range(5):
        method.step(index / 10)
    before, now, gap = method.running.tolist()
    assert before == now > 0 and gap == 0
    method.step(0.95)
    after = method.running.tolist()
    assert after[0] == pytest.approx(before) and after[1] != before and after[2] != 0


def test_a_runs_last_figures_hold_the_distance_at_each_time() -> None:
    method = small()
    sizes = Sizes(num_evaluated=100, long_run_steps=10, field=16, num_diagnosed=8)
    figures = Observation(method, method.task.data, 0, sizes).evaluate(1)[0]
    for time in TIMES:
        assert math.isfinite(figures[f"time/{time:g}/energy_distance"])
    assert figures["quality/energy_distance/floor"] > 0
    curve = next(iter(method.observe(generator_of("look"))))
    assert curve.path == "quality/by_time"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_samples_stay_where_they_arrive_after_contrast_and_go_on_without_it() -> None:
    found = {}
    for preset in EnergyMatching.presets:
        run = made(preset)
        steps = run.spec.budget.steps
        for step in range(steps):
            run.method.step(step / steps)
        figures = run.method.final_figures(Quality(run.data, 3000), generator_of("final"))
        found[preset] = {time: figures[f"time/{time:g}/energy_distance"] for time in TIMES}
    assert found["default"][1.0] < 0.02 and found["default"][4.0] < 0.02
    assert found["flow_only"][4.0] > 3 * found["default"][4.0]
