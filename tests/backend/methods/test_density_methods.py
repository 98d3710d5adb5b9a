"""The methods of normalised densities find what is known: a mean, a normaliser, a ring."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backend import catalogue
from backend.errors import BadInput
from backend.events import Curve
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.spec import RunSpec
from jobs.models.method_setup import Prepared, prepare
from jobs.tasks import describe

CPU = torch.device("cpu")
LINE = {"name": "shifted_gaussian", "mean": 1.0, "num": 20_000}
LOCATED = ("noise_contrastive", "compositional_likelihood", "exact_likelihood")
SMALL = Sizes(
    field=16,
    num_walkers=8,
    num_trails=4,
    trail=3,
    num_measured=64,
    num_evaluated=64,
    long_run_steps=20,
    num_diagnosed=8,
    num_draws=10,
)


def trained(
    method: str,
    data: dict[str, Any],
    num_steps: int,
    preset: str = "default",
    seed: int = 0,
    **config: Any,
) -> Prepared:
    spec = RunSpec(method=method, preset=preset, data=data, config=config, seed=seed)
    run = prepare(spec, CPU, None)
    for step in range(num_steps):
        run.method.step(step / num_steps)
    return run


def final(run: Prepared) -> dict[str, float]:
    figures, _, _ = Observation(run.method, run.data, 0, SMALL).evaluate(1)
    return figures


@pytest.mark.parametrize("method", LOCATED)
def test_a_mean_nearby_is_found_and_said_with_its_error_and_log_z(method: str) -> None:
    run = trained(method, LINE, 300, "location")
    figures = final(run)
    assert figures["parameter/error"] < 0.1
    assert figures["log_z/error"] < 0.1
    assert figures["log_z/exact"] == pytest.approx(0.9189, abs=1e-3), "½ log 2π"
    log_z = run.method.log_z()
    assert log_z is not None and figures["log_z/estimate"] == float(log_z)


def test_noise_that_covers_shows_the_likelihood_the_way_from_far() -> None:
    """From 0 to 16 with N(0, 16²): the classifier's slope is small until it is near."""
    far = {"name": "shifted_gaussian", "mean": 16.0, "num": 20_000}
    noise = {"kind": "fixed", "sd": 16.0}
    errors = {
        method: final(
            trained(method, far, 400, "location", noise=noise, train={"learning_rate": 0.1})
        )["parameter/error"]
        for method in LOCATED[:2]
    }
    assert errors["compositional_likelihood"] < 0.1
    assert errors["noise_contrastive"] > 2 * errors["compositional_likelihood"]


def test_weights_that_die_are_said() -> None:
    """At mean 4 the weights under N(0, 1) are log-normal with variance e^16; under N(0, 4²) some
    fifteen of a hundred count."""
    start = {"kind": "location", "start": 4.0}
    far = {"name": "shifted_gaussian", "mean": 4.0, "num": 500}
    for sd, said in ((1.0, True), (4.0, False)):
        run = trained(
            "compositional_likelihood",
            far,
            1,
            "location",
            energy=start,
            noise={"kind": "fixed", "sd": sd},
        )
        eyes = Observation(run.method, run.data, 0, SMALL)
        events = [event for step in (1, 2) for event in eyes.measure(step)]
        assert ("alarm/weights" in [event.path for event in events]) == said


@pytest.mark.parametrize("method", LOCATED)
def test_on_a_line_the_objective_is_drawn_and_everything_else_still_is(method: str) -> None:
    run = trained(method, {**LINE, "num": 500}, 2, "location")
    assert describe(run.data)["preview"]["shape"][1] == 1
    eyes = Observation(run.method, run.data, 0, SMALL)
    measured = eyes.measure(1)
    paths = {event.path for event in [*eyes.begin(), *eyes.watch(1), *measured]}
    assert {
        "objective/landscape",
        "objective/gradient",
        "samples/data",
        "energy/histogram",
        "parameter/error",
        "log_z/exact",
        "log_z/error",
    } <= paths
    assert "log_z/estimate" not in paths, "every step says it already"
    [curve] = [event for event in measured if event.path == "objective/landscape"]
    assert isinstance(curve, Curve) and curve.x.shape == curve.y[0].shape


@pytest.mark.parametrize(
    ("method", "config", "data", "field"),
    [
        ("sliced_score_matching", {"energy": {"activation": "relu"}}, "ring", "energy.activation"),
        ("exact_likelihood", {}, "gaussian", "data.name"),
        ("exact_likelihood", {}, "digits", "data.name"),
        ("noise_contrastive", {"noise": {"kind": "flow"}}, "shifted_gaussian", "noise.kind"),
        ("compositional_likelihood", {"noise": {"kind": "flow"}}, "shifted_gaussian", "noise.kind"),
    ],
)
def test_what_cannot_be_is_said_before_launch(
    method: str, config: dict[str, Any], data: str, field: str
) -> None:
    with pytest.raises(BadInput) as caught:
        prepare(RunSpec(method=method, data={"name": data}, config=config), CPU, None)
    problems = {item.field.removeprefix("config.") for item in caught.value.problems}
    assert problems == {field}


@pytest.mark.parametrize("optimiser", ["sgd", "normalised"])
def test_other_optimisers_take_the_steps_they_say(optimiser: str) -> None:
    """Of an exact gradient μ − m: plain descent moves by the rate times it, a normalised one by
    the rate."""
    train = {
        "optimiser": optimiser,
        "learning_rate": 0.25,
        "beta1": 0.0,
        "gradient_clip": 0.0,
        "batch_size": 65536,
    }
    run = trained("exact_likelihood", {**LINE, "mean": 4.0}, 1, "location", train=train)
    moved = float(run.method.step(0.0)["parameter/location"])
    assert moved == pytest.approx(1.0 if optimiser == "sgd" else 0.25, abs=0.01)


@pytest.mark.parametrize("kind", ["mixture", "flow"])
@pytest.mark.parametrize("method", LOCATED[:2])
def test_a_method_takes_every_noise_law(method: str, kind: str) -> None:
    noise = {"kind": kind, **({"num_fit_steps": 20} if kind == "flow" else {})}
    ring = {"name": "ring", "num": 400}
    run = trained(method, ring, 3, noise=noise, train={"batch_size": 64})
    assert all(value.isfinite() for value in run.method.step(0.5).values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("method", "preset"),
    [("sliced_score_matching", "plain"), *((method, "default") for method in LOCATED)],
)
def test_the_ring_is_learned(method: str, preset: str, seed: int) -> None:
    run = trained(method, {"name": "ring"}, 3000, preset, seed=seed)
    figures = final(run)
    assert figures["quality/grid_kl"] <= 0.05
    assert figures.get("log_z/error", 0.0) <= 0.1


def test_the_networks_of_these_methods_are_in_the_catalogue() -> None:
    found = catalogue.publish()
    assert set(found["distributions"]) == {"fixed", "flow", "gaussian", "mixture"}
    assert "location" in found["networks"]
