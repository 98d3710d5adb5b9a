"""Training of energies over whole numbers, against enumeration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.ability import Asked
from backend.energies.boltzmann import Boltzmann, FreeEnergy
from backend.energies.discrete import Coded, Enumeration, code, enumerate_states, one_hot, read_as
from backend.energies.rbm import RBM
from backend.energy import Energy
from backend.errors import BadInput
from backend.method import SampleRequest
from backend.metrics.density import energies
from backend.objectives.contrastive import contrastive, written_out
from backend.randomness import generator_of
from backend.requests import conditional_sampling, fitting
from backend.requests.asking import ask
from backend.samplers.discrete_log_z import exact_law
from backend.spec import RunSpec
from jobs.models.method_setup import Prepared, prepare

CPU = torch.device("cpu")
LATTICE = {"name": "ising", "rows": 3, "columns": 3, "num": 2000, "num_held_out": 500}


def prepared(preset: str = "rbm", data: dict[str, Any] | None = None, **config: Any) -> Prepared:
    spec = RunSpec(
        method="contrastive_divergence", preset=preset, data=data or LATTICE, config=config
    )
    return prepare(spec, CPU, None)


def log_likelihood(energy: Energy, x: Tensor) -> float:
    law = exact_law(energy)
    assert law is not None
    return -float(energies(energy, x).double().mean()) - law.log_z


def gradients(network: torch.nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


@pytest.mark.parametrize("preset", ["rbm", "bits"])
def test_data_less_the_law_is_the_gradient_of_the_exact_log_likelihood(preset: str) -> None:
    """With every state at its probability as the sample, and by finite differences of log p."""
    run = prepared(preset)
    network, x_data = run.method.network, run.data.train[:100]  # type: ignore[attr-defined]
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator_of(str(weight.shape))))
    law = Enumeration(read_as(network, run.data.event_shape, 2))  # type: ignore[arg-type]
    states = enumerate_states((3, 3), 2)
    loss = contrastive(network, x_data, states, 0.0, law.probabilities.float()).loss
    found = gradients(network, loss)
    for weight, gradient in zip(network.parameters(), found, strict=True):
        way = torch.randn(weight.shape, generator=generator_of("way"))
        values = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                weight.add_(step * way)
            energy = read_as(network, run.data.event_shape, 2)
            values.append(log_likelihood(energy, x_data))
            with torch.no_grad():
                weight.add_(-step * way)
        slope = (values[0] - values[1]) / 2e-3
        assert -float((gradient * way).sum()) == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_the_gradient_of_a_boltzmann_machine_is_autograds() -> None:
    network = prepared().method.network  # type: ignore[attr-defined]
    x = enumerate_states((3, 3), 2)[:40].requires_grad_(True)
    weights = [network.weights, network.visible_bias, network.hidden_bias]
    plain, by_hand = RBM(*weights, x.shape[1:]), FreeEnergy.apply(x.flatten(1), *weights)
    slopes = torch.linspace(-1, 1, 40)
    assert torch.allclose(network(x), plain(x), atol=1e-5)
    assert torch.allclose(by_hand, plain(x), atol=1e-5)
    for part, other in zip(
        torch.autograd.grad((slopes * by_hand).sum(), [*weights, x]),
        torch.autograd.grad((slopes * plain(x)).sum(), [*weights, x]),
        strict=True,
    ):
        assert torch.allclose(part, other, atol=1e-5)


@pytest.mark.parametrize("energy_l2", [0.0, 0.02])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_gradients_that_are_written_out_are_those_of_autograd(
    energy_l2: float, is_weighted: bool
) -> None:
    network = prepared().method.network.double()  # type: ignore[attr-defined]
    generator = generator_of("written out")
    with torch.no_grad():
        for weight in network.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.add_(noise)
    states = enumerate_states((3, 3), 2).double()
    x_data, x_model = states[5:45], states[100:160]
    weights = torch.rand(60, generator=generator, dtype=torch.float64) if is_weighted else None
    known = written_out(network, x_data, x_model, energy_l2, weights)
    # of the formula itself, not of the network, whose own backward pass is written out too
    plain = RBM(torch.zeros(9, 1), torch.zeros(9), torch.zeros(1), x_data.shape[1:])
    plain.weights, plain.visible_bias = network.weights.detach(), network.visible_bias.detach()
    plain.hidden_bias = network.hidden_bias.detach()
    held = [plain.weights, plain.visible_bias, plain.hidden_bias]
    for tensor in held:
        tensor.requires_grad_(True)
    contrast = contrastive(plain, x_data, x_model, energy_l2, weights)
    assert known is not None
    for part, other in zip(known.contrast, contrast, strict=True):
        assert torch.allclose(part, other, rtol=1e-12, atol=1e-12)
    names = [name for name, _ in network.named_parameters()]
    assert names == ["weights", "visible_bias", "hidden_bias"], "gradients come in this order"
    expected = torch.autograd.grad(contrast.loss, held)
    for part, other in zip(known.gradients, expected, strict=True):
        assert torch.allclose(part, other, rtol=1e-12, atol=1e-12)


def test_updates_by_written_gradients_are_those_by_autograd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [prepared(energy_l2=0.01, train={"weight_decay": 0.1}) for _ in range(2)]
    figures = [runs[0].method.step(index / 5) for index in range(5)]
    monkeypatch.setattr(Boltzmann, "pullback", lambda self, x: None)
    others = [runs[1].method.step(index / 5) for index in range(5)]
    for one, other in zip(figures, others, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5), name
    nets = [run.method.network for run in runs]  # type: ignore[attr-defined]
    for part, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.allclose(part, other, atol=1e-5)


def test_restarts_count_once_weights_are_large() -> None:
    ends = []
    for rate in (0.0, 1.0):
        run = prepared(reinit_rate=rate)
        with torch.no_grad():
            for weight in run.method.network.parameters():  # type: ignore[attr-defined]
                weight.copy_(3 * torch.randn(weight.shape, generator=generator_of("large")))
        ends.append(run.method.train_time_samples(50, generator_of("samples")))
    assert not torch.equal(ends[0], ends[1])  # type: ignore[arg-type]


def test_what_chains_walk_on_follows_the_weights() -> None:
    run = prepared()
    energy = run.method.energy()
    x = run.data.train[:20]
    before = energy(x)
    for index in range(20):
        run.method.step(index / 20)
    assert not torch.allclose(before, run.method.energy()(x))
    assert torch.allclose(run.method.network(x), run.method.energy()(x), atol=1e-5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "preset", ["rbm", "rbm_from_data", pytest.param("bits", marks=pytest.mark.slow)]
)
def test_training_passes_independent_sites_and_nears_the_truth(preset: str) -> None:
    rate = 0.01 if preset == "bits" else 0.05
    run = prepared(preset, train={"learning_rate": rate})
    independent = log_likelihood(prepared().method.energy(), run.data.held_out)
    for index in range(400):
        run.method.step(index / 400)
    assert run.data.density is not None
    truth = log_likelihood(run.data.density, run.data.held_out)
    reached = log_likelihood(run.method.energy(), run.data.held_out)
    assert independent < truth - 0.25 and reached > independent + 0.6 * (truth - independent)


def test_values_are_seen_as_signs_or_one_hot_and_their_gradients_are_autograds() -> None:
    graph = {"name": "factor_graph", "num_variables": 4, "num": 500, "num_held_out": 200}
    for data in (LATTICE, graph):
        for depth in (1, 2):
            network = {"kind": "mlp", "depth": depth, "width": 8}
            run = prepared("discrete", data, energy=network)
            energy = run.method.energy()
            assert isinstance(energy, Coded)
            x = run.data.train[:30]
            assert torch.allclose(energy(x), energy.relaxed(one_hot(x, energy.num_values)))
            assert torch.allclose(
                energy(x), energy.network.of_code(code(one_hot(x, energy.num_values)))
            )
            value, gradient = energy.value_and_gradient(x)
            relaxed = one_hot(x, energy.num_values).requires_grad_(True)
            (expected,) = torch.autograd.grad(energy.relaxed(relaxed).sum(), relaxed)
            assert torch.allclose(value, energy(x), atol=1e-5)
            assert torch.allclose(gradient, expected, atol=1e-5)


def test_a_boltzmann_machine_takes_bits_alone_and_block_gibbs_that_alone() -> None:
    potts = {"name": "potts", "rows": 3, "columns": 3, "num": 200, "num_held_out": 100}
    run = prepared("discrete", potts)
    method, config = type(run.method), prepared().method.config
    sentences = dict(fitting.problems(method, config, run.data))
    assert "takes bits, and these data hold" in sentences["energy.kind"]
    of_reals = prepared("default", {"name": "ring", "num": 200, "num_held_out": 100})
    assert "real numbers" in dict(fitting.problems(method, config, of_reals.data))["energy.kind"]
    assert not fitting.problems(method, config, prepared().data)
    other = prepared("bits").method.config.model_copy(update={"sampler": config.sampler})  # type: ignore[attr-defined]
    assert (
        "independent given the rest"
        in dict(fitting.problems(method, other, prepared().data))["sampler.kind"]
    )


@pytest.mark.parametrize("preset", ["rbm", "bits"])
def test_what_is_asked_of_a_run_over_bits(preset: str) -> None:
    """Samples, the rest of an event in any order, and log Z beside its enumeration."""
    run = prepared(preset, num_steps=2)
    for index in range(30):
        run.method.step(index / 30)
    asked, generator = Asked(run.method, run.data, 1), generator_of("asked", preset)
    answer = ask(
        asked, "log_z", {"num": 400, "repeats": 3, "ais": {"num_temperatures": 40}}, generator
    )
    law = Enumeration(run.method.energy())  # type: ignore[arg-type]
    figures = answer.figures
    assert figures["enumeration"] == figures["log_z"] == pytest.approx(law.log_z, abs=1e-4)
    for way in ("ais", "reverse_ais"):
        assert figures[way] == pytest.approx(law.log_z, abs=0.1)
    held_out = log_likelihood(run.method.energy(), run.data.held_out)
    assert figures["nll"] == pytest.approx(-held_out, abs=1e-4)
    assert figures["nll/truth"] < figures["nll/independent"] and "enumeration" in answer.summary
    drawn = ask(asked, "sample", {"num": 50, "num_steps": 20}, generator)
    hidden = {"hidden": "random", "num": 50, "num_steps": 20}
    filled = ask(asked, "inpaint", hidden, generator)
    for arrays in (drawn.arrays, filled.arrays):
        bits = [each for each in arrays.values() if each.shape[-2:] == (3, 3)]
        assert bits and all(set(np.unique(each)) <= {0.0, 1.0} for each in bits)


@pytest.mark.parametrize("preset", ["rbm", "bits"])
def test_bits_that_are_filled_in_follow_the_law_of_what_is_left(preset: str) -> None:
    """By chains of pinned bits, against the enumerated conditional means."""
    run, num = prepared(preset), 2000
    known = run.data.held_out[:1].expand(num, 3, 3)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0] = mask[1, 1] = True
    request = SampleRequest(num, known=known, mask=mask, num_steps=60)
    drawn = conditional_sampling.draw(run.method, request, generator_of("filled", preset))
    states = enumerate_states((3, 3), 2)
    left = states[(states == known[0])[:, mask].all(1)]
    shares = (-run.method.energy()(left)).softmax(0)
    expected = (shares[:, None, None] * left).sum(0)
    assert torch.equal(drawn.position[:, mask], known[:, mask])
    assert torch.allclose(drawn.position.mean(0), expected, atol=0.05)


def test_a_law_too_large_to_list_needs_annealing() -> None:
    run = prepared("bits", {"name": "binary_digits"})
    asked = Asked(run.method, run.data, 1)
    with pytest.raises(BadInput, match="too many states"):
        ask(asked, "log_z", {"annealing": False}, generator_of("asked"))
