"""Networks with several outputs, and a classifier read as an energy."""

from __future__ import annotations

import pytest
import torch

from backend import catalogue
from backend.energies import NO_LABEL, Condition, build_network
from backend.energies.classifier import Classifier
from backend.energies.conv import ConvConfig, ConvEnergy
from backend.energies.images import wall_energy
from backend.energies.location import LocationConfig, LocationEnergy
from backend.energy import energy_and_gradient
from backend.method import Task
from backend.randomness import generator_of
from backend.requests.conditional_sampling import Sum


@pytest.fixture(scope="module")
def task() -> Task:
    data = catalogue.resolve_data({"name": "digits"}).load()
    return Task(data, torch.device("cpu"), generator_of("task", 0))


def means() -> Classifier:
    """Unit Gaussians around (1, 0), (0, 2) and (−1, −1)."""
    network = LocationEnergy(LocationConfig(), torch.Size((2,)), generator_of(0), num_outputs=3)
    with torch.no_grad():
        network.mean.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]]))
    return Classifier(network)


OF_REAL_NUMBERS = [kind for kind, cls in catalogue.networks().items() if not cls.fits_values(None)]


@pytest.mark.parametrize("kind", sorted(OF_REAL_NUMBERS))
def test_every_network_has_an_energy_for_each_of_several_outputs(kind: str, task: Task) -> None:
    network = build_network(catalogue.networks()[kind].Config(), task, num_outputs=3)
    x = task.data.held_out[:5]
    values = network(x)
    assert values.shape == (5, 3) and values.dtype == torch.float32
    assert torch.allclose(network(x[1:2]), values[1:2], atol=1e-5), "rows answer for each other"
    one = build_network(catalogue.networks()[kind].Config(), task)
    assert one(x).shape == (5,)


def test_the_outputs_of_a_u_net_are_its_distances_to_as_many_images(task: Task) -> None:
    network = build_network(catalogue.networks()["unet"].Config(wall=0.5), task, num_outputs=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(
                0.1
                * torch.randn(parameter.shape, generator=generator_of("moved", parameter.numel()))
            )
    x = 1.2 * task.data.held_out[:4]
    images = network.read(x, None)  # type: ignore[operator]
    assert images.shape == (4, 3, 8, 8)
    for k in range(3):
        expected = 0.5 * (x - images[:, k]).square().sum((1, 2)) + wall_energy(x, 0.5)
        assert torch.allclose(network(x)[:, k], expected, rtol=1e-4)


def test_the_energy_is_minus_log_sum_exp_of_the_logits() -> None:
    classifier = means()
    x = torch.randn(6, 2, generator=generator_of("x", 0))
    of_classes = 0.5 * (x[:, None] - classifier.network.mean).square().sum(2)  # type: ignore[operator]
    assert torch.allclose(classifier.logits(x), -of_classes, atol=1e-6)
    assert torch.allclose(classifier(x), -(-of_classes).exp().sum(1).log(), atol=1e-6)
    probabilities = (-of_classes).exp() / (-of_classes).exp().sum(1, keepdim=True)
    assert torch.allclose(classifier.log_probs(x), probabilities.log(), atol=1e-6)


def test_the_energy_of_a_class_is_minus_its_logit() -> None:
    classifier = means()
    x = torch.randn(4, 2, generator=generator_of("x", 1))
    labels = torch.tensor([2, NO_LABEL, 0, 1])
    expected = -classifier.logits(x)
    mixed = classifier(x, Condition(label=labels))
    rows = torch.stack([expected[0, 2], classifier(x)[1], expected[2, 0], expected[3, 1]])
    assert torch.allclose(mixed, rows)
    assert torch.allclose(classifier.given(Condition(label=torch.tensor(1)))(x), expected[:, 1])
    # ∇E(x | y) of a unit Gaussian is x − μ
    bound = classifier.given(Condition(label=torch.tensor(1)))
    _, gradient = energy_and_gradient(bound, x)
    assert torch.allclose(gradient, x - torch.tensor([0.0, 2.0]), atol=1e-6)


def test_guidance_on_it_adds_the_log_probability_of_the_class() -> None:
    """(1 + w) E(x | y) − w E(x) = E(x) − (1 + w) log p(y | x)."""
    classifier, strength = means(), 1.5
    x = torch.randn(5, 2, generator=generator_of("x", 2))
    of_class = classifier.given(Condition(label=torch.tensor(0)))
    guided = Sum([of_class, classifier], [1 + strength, -strength])
    expected = classifier(x) - (1 + strength) * classifier.log_probs(x)[:, 0]
    assert torch.allclose(guided(x), expected, atol=1e-5)


def test_a_wall_raises_every_class_alike_and_tells_none_apart() -> None:
    shape = torch.Size((8, 8))
    walled, free = (
        Classifier(ConvEnergy(ConvConfig(wall=wall), shape, generator_of("w"), num_outputs=4))
        for wall in (0.5, 0.0)
    )
    x = 3 * torch.rand(5, 8, 8, generator=generator_of("x", 3))
    assert torch.allclose(walled.log_probs(x), free.log_probs(x), atol=1e-4)
    assert torch.allclose(walled(x), free(x) + wall_energy(x, 0.5), rtol=1e-5)


def test_a_wall_of_its_own_stands_around_a_box_for_points_too() -> None:
    """(how far out)² / (2 wall²), summed over coordinates: (0.5² + 1²) / (2 · 0.5²) = 2.5."""
    low, high = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 2.0])
    free = means()
    walled = Classifier(free.network, low, high, 0.5)
    x = torch.tensor([[0.5, 1.5], [1.5, -2.0]])
    assert torch.allclose(walled(x) - free(x), torch.tensor([0.0, 2.5]))
    assert torch.allclose(walled.log_probs(x), free.log_probs(x), atol=1e-6)


def test_it_is_no_network_that_a_form_offers() -> None:
    assert "classifier" not in catalogue.networks() and not catalogue.broken()
