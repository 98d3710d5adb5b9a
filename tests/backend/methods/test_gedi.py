"""Clusters without labels: what the terms of an update are, and what each is for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from backend import catalogue
from backend.data import Data
from backend.events import Field, Histogram, Scalar, Table
from backend.method import Task
from backend.methods.clustering import ClusteringMethod
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.requests import fitting

SMALL = Sizes(field=8, num_walkers=8, num_measured=32, num_evaluated=32, long_run_steps=8)


def made(data: str | Data, method: str = "gedi", seed: int = 0, **config: Any) -> Any:
    if isinstance(data, str):
        data = catalogue.resolve_data({"name": data, "num": 600, "num_held_out": 400}).load()
    cls = catalogue.methods()[method]
    fields = catalogue.merge(
        cls.Config().model_dump(), catalogue.merge(cls.presets["default"].config, config)
    )
    task = Task(data, torch.device("cpu"), generator_of(method, seed))
    return cls(cls.Config.model_validate(fields), task)


SHORT = {"num_steps": 2, "buffer_size": 200, "train": {"batch_size": 32}}


@pytest.mark.parametrize("prototypes", ["learned", "axes"])
def test_logits_are_bounded_whatever_the_weights(prototypes: str) -> None:
    method: ClusteringMethod = made("moons", prototypes=prototypes)
    with torch.no_grad():
        for weight in method.fitter.weights:
            weight.mul_(100)
    x = method.task.data.noise(200, generator_of("x", 0))
    logits = method.energy().logits(x)
    assert logits.abs().max() <= 10 + 1e-4
    head = method.energy().network
    embedding, second = head.embedding(x), head.prototypes[1]
    assert (second.tolist() == [0, 1, *[0] * 14]) == (prototypes == "axes")
    cosines = F.cosine_similarity(embedding, second[None])
    assert torch.allclose(logits[:, 1], 10 * cosines, atol=1e-4)
    assert (method.energy()(x) >= -10 - math.log(2) - 1e-4).all()
    assert (method.energy()(x + 10) > 100).all(), "no wall outside the box"


def test_an_update_is_of_the_terms_it_says() -> None:
    method = made("moons", **SHORT)
    weights = method.weights(0.3)
    assert weights == pytest.approx({"energy": 1.0, "invariance": 10.0, "prior": 25.0})
    said = method.step(0.3)
    total = said["energy/gap"] + 10 * said["loss/invariance"] + 25 * said["loss/prior"]
    assert torch.allclose(said["loss/total"], total, atol=1e-4)
    assert torch.allclose(said["energy/gap"], said["energy/data"] - said["energy/model"])
    early = method.step(0.1)
    assert torch.allclose(early["loss/total"], early["energy/gap"], atol=1e-5)


@pytest.mark.parametrize("name", ["energy", "invariance", "prior"])
def test_a_term_of_weight_0_has_no_part_in_training(name: str) -> None:
    """The same update whatever that term is of: its gradient is nowhere in the weights."""
    paths = {"energy": "energy/gap", "invariance": "loss/invariance", "prior": "loss/prior"}
    weights = {f"{each}_weight": float(each == name) for each in paths}
    alone = made("moons", warm_up_share=0.0, ramp_share=0.0, **weights, **SHORT).step(0.5)
    assert torch.allclose(alone["loss/total"], alone[paths[name]], atol=1e-5)
    assert alone["optimiser/gradient_norm"] > 0


def test_a_batch_in_parts_has_the_prior_of_the_whole() -> None:
    """The prior is of the mean over the batch: parts with priors of their own would be another
    update."""
    whole = made("moons", **SHORT)
    parts = made("moons", **catalogue.merge(SHORT, {"train": {"micro_batches": 4}}))
    for said, again in [(whole.step(0.5), parts.step(0.5))]:
        for path, value in said.items():
            assert torch.allclose(value, again[path], atol=1e-4), path


def test_prototypes_turn_where_they_are_learned() -> None:
    """They are as short as the rows of a layer: ten updates of 1e-3 turn them by degrees."""
    turned = {}
    for prototypes in ("learned", "axes"):
        method = made("moons", prototypes=prototypes, **SHORT)
        head = method.fitter.module.network
        before = head.prototypes.detach().clone()
        assert (before.norm(dim=1) <= 1).all()
        for _ in range(10):
            method.step(0.5)
        cosines = F.cosine_similarity(head.prototypes.detach(), before)
        turned[prototypes] = float(cosines.clamp(max=1).acos().min())
    assert turned["learned"] > math.radians(0.5) and turned["axes"] == 0


def test_without_a_density_it_says_so() -> None:
    assert made("moons", energy_weight=0.0).not_a_density and not made("moons").not_a_density


def test_it_is_seen_as_clusters() -> None:
    method = made("moons", **SHORT)
    eyes = Observation(method, method.task.data, seed=0, sizes=SMALL)
    events = [*eyes.begin(), *eyes.watch(0), *eyes.measure(0)]
    by_path = {event.path: event for event in events}
    scalars = {path: event.value for path, event in by_path.items() if isinstance(event, Scalar)}
    log_probs = method.cluster_log_probs(method.task.data.held_out).detach()
    assert scalars["clusters/largest"] == pytest.approx(float(log_probs.exp().mean(0).max()))
    assert 0 <= scalars["clusters/nmi"] <= 1 and scalars["clusters/entropy"] <= math.log(2)
    bars, image = by_path["clusters/shares"], by_path["clusters/map"]
    assert isinstance(bars, Histogram) and bars.counts.sum() == pytest.approx(1, abs=1e-5)
    assert bars.edges.tolist() == [-0.5, 0.5, 1.5]
    assert isinstance(image, Field) and image.values.shape == (8, 8)
    table = by_path["clusters/confusion"]
    assert isinstance(table, Table)
    right = sum(int(row[1 + index]) for index, row in enumerate(table.rows))  # type: ignore[arg-type]
    assert scalars["clusters/matched_accuracy"] == pytest.approx(right / 400)


def test_data_without_classes_have_clusters_and_no_agreement() -> None:
    method = made("ring", **SHORT)
    eyes = Observation(method, method.task.data, seed=0, sizes=SMALL)
    paths = {event.path for event in eyes.measure(0)}
    assert "clusters/largest" in paths and "clusters/nmi" not in paths


def test_symbols_need_triples_and_learn_what_they_add_up_to() -> None:
    cls = catalogue.methods()["gedi_symbols"]
    data = catalogue.resolve_data({"name": "digits"}).load()
    ((field, sentence),) = fitting.problems(cls, cls.Config(), data)
    assert field == "data.name" and "`triple`" in sentence and "`digit_sums`" in sentence


def test_triples_add_up_and_hold_the_digit_they_stand_beside() -> None:
    data = catalogue.resolve_data({"name": "digit_sums", "num": 300, "num_held_out": 150}).load()
    rows = data.held_out_rows(slice(None))
    assert rows.given["triple"].shape == (150, 3, 8, 8)
    which = torch.arange(150) % 3
    assert torch.equal(rows.given["triple"][torch.arange(150), which], rows.x)
    digits = catalogue.resolve_data({"name": "digits"}).load()
    known = {
        digit.numpy().tobytes(): label
        for digit, label in zip(digits.held_out, digits.held_out_labels.tolist(), strict=True)
    }  # type: ignore[union-attr]
    labels = torch.tensor(
        [[known[digit.numpy().tobytes()] for digit in triple] for triple in rows.given["triple"]]
    )
    assert (labels[:, 0] + labels[:, 1] == labels[:, 2]).all()
    assert torch.equal(labels[torch.arange(150), which], rows.label)


def test_the_prior_of_triples_is_how_frequent_digits_are_in_them() -> None:
    data = catalogue.resolve_data({"name": "digit_sums", "num": 20_000}).load()
    method = made(data, "gedi_symbols", prior="triples", **SHORT)
    assert data.labels is not None
    shares = data.labels.bincount(minlength=10) / len(data.labels)
    assert torch.allclose(method.expected, shares, atol=0.015)
    said = method.step(0.2)
    total = 20 * said["loss/prior"] + said["loss/constraint"]
    assert torch.allclose(said["loss/total"], total, atol=1e-4)
    (seen,) = method.observe(generator_of("observe", 0))
    assert seen.path == "symbols/constraint" and seen.value > 0


def test_what_is_observed_at_the_end_is_a_final_figure() -> None:
    data = catalogue.resolve_data({"name": "digit_sums", "num": 300, "num_held_out": 100}).load()
    method = made(data, "gedi_symbols", **SHORT)
    (seen,) = method.observe(generator_of("observe", 0))
    figures, *_ = Observation(method, data, seed=0, sizes=SMALL).evaluate(0)
    assert figures["symbols/constraint"] == pytest.approx(seen.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["circles", "mixture"])
def test_the_preset_for_moons_takes_other_points_as_it_is(name: str) -> None:
    """Energies stay within their bounds, chains within the wall, and data below background."""
    method = made(name, train={"batch_size": 128})
    data, num_steps = method.task.data, 250
    for step in range(num_steps):
        said = method.step(step / num_steps)
        assert all(bool(value.isfinite()) for value in said.values())
        assert float(said["energy/max"]) < 60 and float(said["sampler/radius"]) < 8
    with torch.no_grad():
        of_data = method.energy()(data.held_out)
        of_noise = method.energy()(data.noise(400, generator_of("noise", 0)))
    assert of_data.mean() + 1 < of_noise.mean()
    assert float(said["loss/invariance"]) < 0.5
