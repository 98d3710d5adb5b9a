"""Concept bottlenecks: normalisers and conditionals by enumeration in numpy, and the descent."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.ability import Asked
from backend.data import Data
from backend.energies.concept_bottleneck import (
    StateLaw,
    Weights,
    descended,
    enumerated,
    states,
)
from backend.errors import BadInput
from backend.method import Task
from backend.methods.concept_bottleneck import ConceptBottleneck, ConceptBottleneckConfig
from backend.metrics import concepts
from backend.randomness import generator_of
from backend.requests import fitting
from backend.requests.asking import ask

WEIGHTS = Weights(0.7, 1.3, 0.9)


def attributed(**fields: Any) -> Data:
    return catalogue.resolve_data({"name": "attributed", "num": 400, **fields}).load()


def method_of(data: Data, **config: Any) -> ConceptBottleneck:
    task = Task(data, torch.device("cpu"), generator_of("concepts", 0))
    return ConceptBottleneck(ConceptBottleneckConfig.model_validate(config), task)


@cache
def trained(objective: str = "joint", num_drawn: int = 0) -> ConceptBottleneck:
    data = catalogue.resolve_data({"name": "attributed"}).load()
    train = {"learning_rate": 0.01, "beta1": 0.9}
    method = method_of(data, objective=objective, num_drawn=num_drawn, train=train)
    for index in range(150):
        method.step(index / 150)
    return method


def written_out(energies: Any, x: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three energies by the definition, in numpy, one state at a time: of x and class (batch,
    M), of x and each concept (batch, K, 2), of concepts and class (2^K, M)."""

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().double().numpy()

    def unit(tensor: Tensor) -> np.ndarray:
        rows = array(tensor)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    def affine(layer: Any, value: np.ndarray) -> np.ndarray:
        return value @ array(layer.weight).T + array(layer.bias)

    def energy(weight: Tensor, u: np.ndarray, v: np.ndarray) -> float:
        return float(array(weight).ravel() @ np.maximum(u + u * v, 0))

    labels = unit(energies.classes)
    parts = [unit(energies.absent), unit(energies.present)]
    num = len(parts[0])
    features = array(energies.backbone(x))
    by_label = [
        [energy(energies.class_weight, u, v) for v in labels]
        for u in affine(energies.to_class, features)
    ]
    by_concept = [
        [[energy(energies.concept_weight[k], u, part[k]) for part in parts] for k in range(num)]
        for u in affine(energies.to_concepts, features)
    ]
    both = []
    for state in itertools.product((0, 1), repeat=num):
        c = state[::-1]  # the first concept changes first
        u = affine(energies.to_both, np.concatenate([parts[c[k]][k] for k in range(num)]))
        row = np.array([energy(energies.both_weight, u, v) for v in labels])
        both.append(row + np.log(np.exp(-row).sum()) if energies.is_conditional else row)
    return np.array(by_label), np.array(by_concept), np.array(both)


@pytest.mark.parametrize("objective", ["joint", "bottleneck"])
@pytest.mark.parametrize("is_known", [False, True])
def test_answers_and_normaliser_are_those_of_every_state_written_out(
    objective: str, is_known: bool
) -> None:
    data = attributed(num_concepts=4, num_classes=3, dim=5)
    energies: Any = method_of(data, objective=objective, embedding=8).fitter.module
    with torch.no_grad():
        for weight in (energies.class_weight, energies.concept_weight, energies.both_weight):
            weight.mul_(30)  # so that answers are far from even
    x = data.held_out[:6]
    by_label, by_concept, both = written_out(energies, x)
    known = np.full((6, 4), np.nan)
    if is_known:
        known[:, 1], known[::2, 3] = 1, 0
    every = states(4, x.device).numpy().astype(int)
    joint = np.zeros((6, 16, 3))
    for row, (s, c), m in itertools.product(range(6), enumerate(every), range(3)):
        if not any(known[row, k] == 1 - c[k] for k in range(4)):
            total = WEIGHTS.of_class * by_label[row, m] + WEIGHTS.of_both * both[s, m]
            total += WEIGHTS.of_concepts * sum(by_concept[row, k, c[k]] for k in range(4))
            joint[row, s, m] = np.exp(-total)
    joint /= joint.sum((1, 2), keepdims=True)
    with torch.no_grad():
        answer = enumerated(energies, x, WEIGHTS, torch.from_numpy(known).float())
    assert np.allclose(answer.log_labels.exp(), joint.sum(1), atol=1e-5)
    present = np.einsum("bsm,sk->bkm", joint, every)
    assert np.allclose(answer.present, present, atol=1e-5)
    assert present.std(0).max() > 0.01
    log_normaliser = energies.log_normaliser().item()
    assert log_normaliser == pytest.approx(np.log(np.exp(-both).sum()), abs=1e-4)
    if objective == "bottleneck":  # p(y | c) of every state
        assert log_normaliser == pytest.approx(np.log(16), abs=1e-4)


def test_a_plain_bottleneck_moves_no_concept_and_the_joint_energy_does() -> None:
    x = trained().task.data.held_out[:200]
    known = torch.full((200, 8), torch.nan)
    known[:, 0] = 1.0
    moved = {}
    for objective in ("joint", "bottleneck"):
        method = trained(objective)
        with torch.no_grad():
            before, after = (method.concepts_and_class(x, given) for given in (None, known))
        assert torch.allclose(after.concepts[:, 0], torch.ones(200), atol=1e-5)
        assert not torch.allclose(after.log_labels, before.log_labels, atol=1e-3)
        moved[objective] = float((after.concepts - before.concepts)[:, 1:].abs().max())
    assert moved["joint"] > 0.1 > 1e-5 > moved["bottleneck"]


def test_what_the_joint_energy_says_of_classes_is_what_the_data_say_and_released_it_is_not() -> (
    None
):
    errors = {}
    for objective in ("joint", "released"):
        method, data = trained(objective), trained(objective).task.data
        with torch.no_grad():
            answer = method.concepts_and_class(data.held_out)
        labels, truth = data.held_out_labels, data.held_out_given["concepts"]
        assert labels is not None
        model = concepts.by_class(answer.present, answer.log_labels)
        errors[objective] = concepts.error(model, concepts.shares(truth, labels, 6))
    assert errors["joint"] < 0.06 < 2 * errors["joint"] < errors["released"]


def test_a_descent_tells_classes_as_enumeration_does_and_holds_what_is_known() -> None:
    method, data = trained(), trained().task.data
    energies, weights = method.fitter.fitted, method.config.weights
    x, labels, given = data.held_out_rows(slice(None))
    truth = given["concepts"]
    for number in range(8):
        known = concepts.known(truth, number)
        with torch.no_grad():
            exact = enumerated(energies, x, weights, known)
        answer, trace = descended(
            energies, x, weights, known, num_steps=60, step_size=0.1, is_cut=False
        )
        assert torch.allclose(answer.concepts[known == 1], torch.ones(int(known.nansum())))
        assert float(answer.concepts[known == 0].abs().sum()) == 0
        assert trace[-1].mean() < trace[0].mean()
        same = (answer.concepts > 0.5) == (exact.concepts > 0.5)
        assert float(same.double().mean()) > 0.95
        right = [
            float((each.log_labels.argmax(1) == labels).double().mean()) for each in (answer, exact)
        ]
        assert right[0] == pytest.approx(right[1], abs=0.03)


def test_a_descent_ends_at_the_posterior_where_concepts_and_class_are_independent() -> None:
    energies, x = trained().fitter.fitted, trained().task.data.held_out[:50]
    weights = Weights(0.2, 0.5, 0.0)
    with torch.no_grad():
        exact = enumerated(energies, x, weights)
    answer, _ = descended(energies, x, weights, num_steps=400, step_size=0.1, is_cut=False)
    assert torch.allclose(answer.log_labels.exp(), exact.log_labels.exp(), atol=2e-3)
    assert torch.allclose(answer.present, exact.present, atol=2e-3)


def test_a_descent_that_cuts_concepts_leaves_them_where_x_puts_them() -> None:
    method = trained()
    x = method.task.data.held_out[:50]
    one, other = (
        descended(
            method.fitter.fitted,
            x,
            Weights(1, 1, of_both),
            num_steps=10,
            step_size=0.1,
            is_cut=True,
        )[0]
        for of_both in (0, 3)
    )
    assert torch.equal(one.concepts.round(), other.concepts.round())
    assert not torch.allclose(one.log_labels, other.log_labels)


def test_the_law_that_states_are_drawn_from_is_the_one_it_says() -> None:
    data = attributed(num_concepts=4, num_classes=3)
    assert data.labels is not None
    law = StateLaw(data.given["concepts"], data.labels, 3)
    every = states(4, data.train.device)
    expected = np.zeros(16)
    for label in range(3):
        rows = data.given["concepts"][data.labels == label].numpy()
        odds = np.log((rows.sum(0) + 1) / (len(rows) - rows.sum(0) + 1))
        for power, (s, c) in itertools.product((0, 0.25, 0.5, 1), enumerate(every.numpy())):
            present = 1 / (1 + np.exp(-power * odds))
            mass = np.prod(np.where(c == 1, present, 1 - present))
            expected[s] += (len(rows) + 1) / (len(data.train) + 3) * mass / 4
    assert expected.sum() == pytest.approx(1)
    assert np.allclose(law.log_probs(every).exp(), expected, atol=1e-6)
    drawn = law.draw(20_000, generator_of("law", 0))
    assert torch.allclose(drawn.log_probs, law.log_probs(drawn.concepts))
    counts = (drawn.concepts @ (2.0 ** torch.arange(4))).long().bincount(minlength=16) / 20_000
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(counts.numpy() - expected) < 4.5 * error).all()


def test_a_normaliser_from_drawn_states_and_its_gradient_are_those_of_all_states() -> None:
    """Within 4 standard errors, which are known exactly: all 16 states can be written out."""
    data = attributed(num_concepts=4, num_classes=3, dim=5)
    energies: Any = method_of(data, embedding=8).fitter.module
    with torch.no_grad():
        energies.both_weight.mul_(30)
    assert data.labels is not None
    law = StateLaw(data.given["concepts"], data.labels, 3)
    every = states(4, data.train.device)

    def gradient(value: Tensor) -> Tensor:
        parts = torch.autograd.grad(value, [energies.both_weight, energies.classes])
        return torch.cat([part.flatten() for part in parts]).double()

    mass = (-energies.of_both(every)).logsumexp(1)
    of_each = torch.stack([gradient((-energies.of_both(c[None])).logsumexp(1)[0]) for c in every])
    q = law.log_probs(every).double().exp()
    share = mass.detach().double().softmax(0)
    weight = share / q
    num = 40_000
    exact = energies.log_normaliser()
    estimate = energies.log_normaliser(law.draw(num, generator_of("drawn", 0)))
    error = float(((q * weight.square()).sum() - 1) / num) ** 0.5
    assert 1e-4 < error < 0.01
    assert (estimate - exact).item() == pytest.approx(0, abs=4 * error)
    exact_gradient = gradient(energies.log_normaliser())
    assert torch.allclose(exact_gradient, share @ of_each, atol=1e-4)
    difference = gradient(estimate) - exact_gradient
    variance = (q * weight.square()) @ (of_each - exact_gradient).square().sum(1) / num
    assert difference.norm() < 4 * variance.sqrt() < 0.1 * exact_gradient.norm()


@pytest.mark.slow
def test_what_is_learned_from_drawn_states_is_what_all_states_teach() -> None:
    tables = {}
    for num_drawn in (0, 2000):
        method = trained("joint", num_drawn)
        data = method.task.data
        with torch.no_grad():
            answer = method.concepts_and_class(data.held_out)
        labels, truth = data.held_out_labels, data.held_out_given["concepts"]
        assert labels is not None
        tables[num_drawn] = concepts.by_class(answer.present, answer.log_labels)
        assert concepts.error(tables[num_drawn], concepts.shares(truth, labels, 6)) < 0.06
    assert concepts.error(tables[2000], tables[0]) < 0.03


@pytest.mark.slow
def test_sixteen_concepts_are_learned_from_drawn_states() -> None:
    """Those that are known move the others, as the correlations in the data have it."""
    data = attributed(num_concepts=16, num=2000, num_held_out=300, noise=3.0)
    config = {"inference": "gradient", "num_drawn": 500, "train": {"learning_rate": 0.01}}
    checked = ConceptBottleneckConfig.model_validate(config)
    assert not list(fitting.problems(ConceptBottleneck, checked, data))
    rest = {}
    for objective in ("joint", "bottleneck"):
        method = method_of(data, objective=objective, **config)
        for index in range(150):
            method.step(index / 150)
        truth = data.held_out_given["concepts"]
        known = concepts.known(truth, 12)
        answer = method.concepts_and_class(data.held_out, known)
        assert data.held_out_labels is not None
        rest[objective] = concepts.accuracies(
            answer.log_labels, answer.concepts, known, truth, data.held_out_labels
        ).rest
    assert rest["joint"] > 0.9 and rest["joint"] > rest["bottleneck"] + 0.05, rest


def test_more_than_twelve_concepts_are_refused_where_all_states_are_counted() -> None:
    data = attributed(num_concepts=13)
    said = dict(fitting.problems(ConceptBottleneck, ConceptBottleneck.Config(), data))
    assert "at most 12 concepts, and these data have 13" in said["num_drawn"]
    assert said["inference"].startswith("must be `gradient` or `cut`")
    config = ConceptBottleneckConfig(objective="bottleneck", inference="gradient")
    assert not list(fitting.problems(ConceptBottleneck, config, data))
    method = method_of(data, objective="bottleneck", inference="gradient", num_steps=3)
    method.step(0.0)
    paths = {event.path for event in method.observe(generator_of("observe", 0))}
    assert "concepts/accuracy" in paths and "concepts/descent_gap" not in paths
    ring = catalogue.resolve_data({"name": "ring"}).load()
    [(field, sentence)] = fitting.problems(ConceptBottleneck, ConceptBottleneck.Config(), ring)
    assert field == "data.name" and "Choose `attributed`" in sentence


def test_concepts_go_together_as_the_codebook_of_the_data_has_them() -> None:
    dataset = catalogue.resolve_data({"name": "attributed", "num": 20_000, "flip": 0.1})
    data = dataset.load()
    codebook: Tensor = dataset.codebook()  # type: ignore[attr-defined]
    assert len(codebook.unique(dim=0)) == 6
    assert data.labels is not None
    shares = concepts.shares(data.given["concepts"], data.labels, 6)
    expected = torch.where(codebook.T > 0.5, 0.9, 0.1).double()
    assert float((shares - expected).abs().max()) < 0.025
    clean = dataset.positions(data.given["concepts"])  # type: ignore[attr-defined]
    noise = data.restore(data.train).double() - clean
    assert float(noise.std()) == pytest.approx(1.4, rel=0.01)
    again = catalogue.resolve_data({"name": "attributed", "num": 20_000, "flip": 0.1}).load()
    assert torch.equal(again.train, data.train) and torch.equal(again.held_out, data.held_out)


def test_known_concepts_stay_known_where_more_are() -> None:
    truth = attributed().held_out_given["concepts"]
    before = concepts.known(truth, 0)
    assert before.isnan().all()
    for num in range(1, 9):
        now = concepts.known(truth, num)
        assert (now.isfinite().sum(1) == num).all()
        assert torch.equal(now[before.isfinite()], before[before.isfinite()])
        assert torch.equal(now[now.isfinite()], truth[now.isfinite()])
        before = now


def asked(objective: str = "joint") -> Asked:
    return Asked(trained(objective), trained(objective).task.data, 0)


def test_a_concept_that_is_corrected_is_held_and_moves_others_by_the_joint_energy_alone() -> None:
    generator = generator_of("correct", 0)
    moved = {}
    for objective in ("joint", "bottleneck"):
        answer = ask(
            asked(objective), "correct", {"row": 2, "concepts": "c1=1, 3=0", "num": 300}, generator
        )
        before, after = answer.arrays["concepts"]
        assert after[[0, 2]].tolist() == pytest.approx([1, 0], abs=1e-5)
        moved[objective] = answer.figures["moved"]
        rest = np.delete(np.abs(after - before), [0, 2])
        assert moved[objective] == pytest.approx(rest.max(), abs=1e-6)
        assert answer.figures["class_accuracy/8"] > answer.figures["class_accuracy/0"]
        assert "c1, c3 set" in answer.summary
    assert moved["joint"] > 0.01 > 1e-4 > moved["bottleneck"]


def test_what_is_told_wrong_is_corrected_where_nothing_is_named() -> None:
    run = asked()
    truth = run.data.held_out_given["concepts"]
    with torch.no_grad():
        wrong = (run.method.concepts_and_class(run.data.held_out).concepts > 0.5) != (truth > 0.5)  # type: ignore[union-attr]
    row = int(wrong.sum(1).argmax())
    answer = ask(run, "correct", {"row": row, "num": 50}, generator_of("correct", 0))
    assert answer.figures["num_known"] == int(wrong[row].sum()) > 0
    assert np.array_equal(answer.arrays["concepts"][1] > 0.5, truth[row].numpy() > 0.5) or (
        answer.figures["moved"] > 0
    )
    right = int((wrong.sum(1) == 0).nonzero()[0])
    assert "told right" in ask(run, "correct", {"row": right}, generator_of("correct", 0)).summary


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"concepts": "c9"}, "must be among c1, c2"),
        ({"concepts": "c1=2"}, "alone or with =0 or =1; got 'c1=2'"),
        ({"row": 1000}, "must be less than 1000"),
    ],
)
def test_concepts_that_are_not_there_are_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        ask(asked(), "correct", config, generator_of("correct", 0))


def test_concepts_by_class_stand_beside_the_shares_of_the_same_rows() -> None:
    answer = ask(asked(), "concepts_by_class", {"num": 1000}, generator_of("table", 0))
    data = trained().task.data
    assert data.held_out_labels is not None
    rows = data.held_out_labels == 2
    expected = data.held_out_given["concepts"][rows].mean(0)
    assert np.allclose(answer.arrays["data"][:, 2], expected, atol=1e-6)
    gap = np.abs(answer.arrays["model"] - answer.arrays["data"]).mean()
    assert answer.figures["error"] == pytest.approx(gap, abs=1e-6)
    assert answer.figures["error"] < 0.06 and answer.figures["error/floor"] < 0.03


def test_concepts_by_class_where_others_are_known_are_those_of_every_state_written_out() -> None:
    data = attributed(num_concepts=4, num_classes=3, dim=5)
    method = method_of(data, embedding=8)
    energies: Any = method.fitter.module
    with torch.no_grad():
        for weight in (energies.concept_weight, energies.both_weight):
            weight.mul_(30)
    num = 25
    _, by_concept, both = written_out(energies, data.held_out[:num])
    every = states(4, data.train.device).numpy().astype(int)
    joint = np.zeros((num, 16, 3))
    for row, (s, c), m in itertools.product(range(num), enumerate(every), range(3)):
        joint[row, s, m] = np.exp(-both[s, m] - sum(by_concept[row, k, c[k]] for k in range(4)))
    joint /= joint.sum((1, 2), keepdims=True)
    has = (every[:, 1] == 1) & (every[:, 3] == 0)
    mass = joint[:, has].sum(0)
    expected = np.einsum("sm,sk->km", mass, every[has]) / mass.sum(0)
    run = Asked(method, data, 0)
    generator = generator_of("table", 0)
    answer = ask(run, "concepts_by_class", {"num": num, "given": "c2=1, 4=0"}, generator)
    assert np.allclose(answer.arrays["model"], expected, atol=1e-5)
    alone = ask(run, "concepts_by_class", {"num": num}, generator).arrays["model"]
    assert np.abs(answer.arrays["model"] - alone)[[0, 2]].max() > 0.02
    rows = slice(0, num)
    truth, labels = data.held_out_given["concepts"][rows], data.held_out_labels
    assert labels is not None
    those = (truth[:, 1] == 1) & (truth[:, 3] == 0)
    assert answer.figures["num_rows"] == int(those.sum()) > 0
    for label in range(3):
        both_hold = those & (labels[rows] == label)
        if both_hold.any():
            shares = answer.arrays["data"][:, label]
            assert np.allclose(shares, truth[both_hold].mean(0), atol=1e-6)
    gap = np.abs(answer.arrays["model"] - answer.arrays["data"])[[0, 2]]
    assert answer.figures["error"] == pytest.approx(np.nanmean(gap), abs=1e-6)
    assert "p(concept | class, c2 = 1, c4 = 0) is off by" in answer.summary
    every_one = ask(run, "concepts_by_class", {"given": "c1=1,c2=1,c3=0,c4=0"}, generator)
    assert "error" not in every_one.figures or every_one.figures["num_rows"] > 0


@pytest.mark.parametrize(
    ("given", "sentence"), [("c2", "each with =0 or =1; got 'c2'"), ("c2=1, 2=0", "c2 twice")]
)
def test_known_concepts_that_say_nothing_or_two_things_are_refused(
    given: str, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        ask(asked(), "concepts_by_class", {"given": given}, generator_of("table", 0))


def test_a_descent_has_no_gradient_in_x_to_attack_along() -> None:
    method = method_of(attributed(), inference="gradient", num_steps=2)
    run = Asked(method, method.task.data, 0)
    with pytest.raises(BadInput, match="has no gradient in x"):
        ask(run, "attack", {}, generator_of("attack", 0))
