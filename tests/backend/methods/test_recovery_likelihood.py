"""Recovery conditionals against the closed forms of Gaussians, and what can be asked of a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.data import Data
from backend.energies import NO_LABEL, Condition
from backend.energies.residual_mlp import ResidualMLPConfig, ResidualMLPEnergy
from backend.errors import BadInput
from backend.method import SampleRequest
from backend.methods.recovery_likelihood import RecoveryLikelihood
from backend.metrics.distances import energy_distance
from backend.randomness import generator_of
from backend.recovery.bases import Flat, GaussianBase, Kernel
from backend.recovery.descent import Descent, LowestLevel, Terms, terms_of, weighted_energy
from backend.recovery.noise_schedule import linear_log_snr
from backend.requests import conditional_sampling
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

LADDER = linear_log_snr(4, 3.0, -3.0)
DIM = 3
ALONE = Terms((1.0,), (None,))
DIGITS = {"name": "digits"}
RING = {"name": "ring", "radius": 1.0, "sd": 0.15, "num_held_out": 1000}


def correlated(num: int = 500) -> Tensor:
    """Points of a correlated Gaussian (num, 3)."""
    mix = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [-0.5, 0.4, 0.6]])
    shift = torch.tensor([0.3, -0.2, 0.1])
    return torch.randn(num, DIM, generator=generator_of("x", 0)) @ mix.T + shift


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.double().mean(0), torch.cov(x.double().T, correction=0)


def posterior(x: Tensor, level: int, x_next: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of x_t given x_{t+1} when the data are the Gaussian of x."""
    mean, covariance = moments(x)
    alpha_bar, alpha = LADDER.alpha_bar[level], LADDER.alpha[level]
    at = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(DIM)
    centre = alpha_bar.sqrt() * mean
    if level == LADDER.num_levels - 1:
        return centre, at  # the marginal: no quadratic there
    gain = alpha.sqrt() * at @ torch.linalg.inv(alpha * at + (1 - alpha) * torch.eye(DIM))
    return centre + gain @ (x_next.double() - alpha.sqrt() * centre), at - alpha.sqrt() * gain @ at


def law(kernel: Kernel, x_next: Tensor, hidden: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the law that an affine step leaves in place, on the hidden part.

    x' = A x + c + B ξ: mean (I − A)⁻¹ c; the covariance solves S = A S Aᵀ + B Bᵀ.
    """
    zero = torch.zeros(1, DIM)

    def apply(position: Tensor, noise: Tensor) -> Tensor:
        given = position.new_zeros(len(position), DIM)
        return kernel(position, x_next.expand(len(position), DIM), given, noise)[:, hidden].double()

    size = int(hidden.sum())
    moves = torch.eye(DIM)[hidden]
    start = torch.where(hidden, zero, x)
    rest = apply(start, zero)
    slope = (apply(start + moves, zero.expand(size, DIM)) - rest).T
    spread = (apply(start.expand(DIM, DIM), torch.eye(DIM)) - rest).T
    mean = torch.linalg.solve(torch.eye(size) - slope, rest[0])
    system = torch.eye(size**2) - torch.kron(slope, slope)
    covariance = torch.linalg.solve(system, (spread @ spread.T).flatten()).reshape(size, size)
    return mean, covariance


@pytest.mark.parametrize("relaxation", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("level", range(LADDER.num_levels))
def test_steps_on_the_gaussian_base_are_exact_at_any_size(level: int, relaxation: float) -> None:
    x, x_next = correlated(), torch.tensor([0.4, -1.0, 0.7])
    kernel = GaussianBase(LADDER, x, relaxation, 1.0).kernel(torch.tensor(level))
    everything = torch.ones(DIM, dtype=torch.bool)
    mean, covariance = law(kernel, x_next, everything, torch.zeros(DIM))
    expected_mean, expected = posterior(x, level, x_next)
    assert torch.allclose(mean, expected_mean, atol=1e-4)
    assert torch.allclose(covariance, expected, atol=1e-4)


@pytest.mark.parametrize("level", range(LADDER.num_levels))
def test_with_coordinates_held_they_are_exact_for_the_others_given_them(level: int) -> None:
    x, x_next = correlated(), torch.tensor([0.4, -1.0, 0.7])
    held = torch.tensor([False, True, False])
    at = torch.tensor([0.0, 0.8, 0.0])
    kernel = GaussianBase(LADDER, x, 0.2, 1.0).kernel(torch.tensor(level), held)
    mean, covariance = law(kernel, x_next, ~held, at)
    joint_mean, joint = posterior(x, level, x_next)
    gain = joint[~held][:, held] / joint[1, 1]
    assert torch.allclose(mean, joint_mean[~held] + gain[:, 0] * (0.8 - joint_mean[1]), atol=1e-4)
    assert torch.allclose(
        covariance, joint[~held][:, ~held] - gain @ joint[held][:, ~held], atol=1e-4
    )
    moved = kernel(at[None], x_next[None], torch.zeros(1, DIM), torch.ones(1, DIM))
    assert moved[0, 1] == at[1], "what is held stays to the bit"


@pytest.mark.parametrize("level", range(LADDER.num_levels - 1))
def test_plain_steps_widen_the_quadratic_as_their_docstring_says(level: int) -> None:
    base = Flat(LADDER, 0.3, 0.4, 0.0)
    alpha, variance = LADDER.alpha[level], 1 - LADDER.alpha[level]
    step = 0.3 * (0.4 + 0.6 * LADDER.noise_sd[level]) * variance
    x_next = torch.tensor([0.4, -1.0, 0.7])
    everything = torch.ones(DIM, dtype=torch.bool)
    mean, covariance = law(base.kernel(torch.tensor(level)), x_next, everything, torch.zeros(DIM))
    assert torch.allclose(mean, x_next.double() / alpha.sqrt(), atol=1e-4)
    expected = variance / (1 - step / (4 * variance)) / alpha
    identity = torch.eye(DIM, dtype=torch.float64)
    assert torch.allclose(covariance, expected * identity, rtol=1e-3, atol=1e-5)


def test_at_the_last_level_plain_steps_feel_the_network_alone() -> None:
    kernel = Flat(LADDER, 0.3, 0.4, 0.0).kernel(torch.tensor(LADDER.num_levels - 1))
    x, nothing = torch.randn(5, DIM, generator=generator_of("last", 0)), torch.zeros(5, DIM)
    assert torch.equal(kernel(x, 100 + x, nothing, nothing), x)


def test_no_coordinate_of_a_plain_step_drifts_further_than_the_limit() -> None:
    level, nothing = torch.tensor(1), torch.zeros(1, DIM)
    kernel = Flat(LADDER, 0.3, 0.1, 2.0).kernel(level)
    steep = torch.tensor([[1e9, -1e9, 0.0]])
    variance = (1 - LADDER.alpha[1]) / LADDER.alpha[1]
    spread = (0.3 * (0.1 + 0.9 * LADDER.noise_sd[1]) * variance).sqrt().float()
    moved = kernel(nothing, nothing, steep, nothing)
    assert torch.allclose(moved, 2 * spread * torch.tensor([[1.0, -1.0, 0.0]]), rtol=1e-4)


class Nothing(ResidualMLPEnergy):
    """A network that says nothing: the base alone is left."""

    def __init__(self) -> None:
        config = ResidualMLPConfig(width=4)
        super().__init__(config, torch.Size([DIM]), generator_of("n", 0), LADDER.num_levels)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


def test_the_way_down_of_a_gaussian_gives_its_denoised_law() -> None:
    """Moments within 4 standard errors of those of E[z | x_0], known for a Gaussian."""
    x, num = correlated(), 20_000
    descent = Descent(LADDER, GaussianBase(LADDER, x, 1.0, 1.0), Nothing())
    data = data_of(x)
    z = descent.descend(data, SampleRequest(num), ALONE, 1, generator_of("way", 0)).positions[-1]
    mean, covariance = moments(x)
    alpha_bar = LADDER.alpha_bar[0]
    at = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(DIM)
    expected = alpha_bar * covariance @ torch.linalg.inv(at) @ covariance
    got_mean, got = moments(z)
    variances = expected.diagonal()
    assert ((got_mean - mean) / (variances / num).sqrt()).abs().max() < 4
    errors = ((torch.outer(variances, variances) + expected**2) / num).sqrt()
    assert ((got - expected) / errors).abs().max() < 4


def test_the_energy_is_that_of_data_with_the_noise_of_the_lowest_level() -> None:
    x = correlated()
    base = GaussianBase(LADDER, x, 0.2, 1.0)
    energy = LowestLevel(Nothing(), base, LADDER, ALONE)
    mean, covariance = moments(x)
    alpha_bar = LADDER.alpha_bar[0]
    blurred = covariance + (1 - alpha_bar) / alpha_bar * torch.eye(DIM)
    truth = torch.distributions.MultivariateNormal(mean, blurred)
    z = 2 * torch.randn(50, DIM, generator=generator_of("z", 0))
    off = energy(z).double() + truth.log_prob(z.double())
    assert off.std() < 1e-3
    level = torch.zeros((), dtype=torch.int64)
    z.requires_grad_(True)
    (gradient,) = torch.autograd.grad(base.log_density(z, level).sum(), z)
    assert torch.allclose(base.score(z.detach(), level), gradient, atol=1e-4)


def data_of(x: Tensor) -> Data:
    low, high = x.amin(0), x.amax(0)
    return Data("x", "x", x, x, torch.zeros(()), torch.ones(()), low, high)


# ---------------------------------------------------------------------- classes


def conditional_network() -> ResidualMLPEnergy:
    config = ResidualMLPConfig(width=8)
    return ResidualMLPEnergy(config, torch.Size([DIM]), generator_of("net", 1), 4, 5)


def test_guidance_and_mixtures_are_sums_of_conditional_energies() -> None:
    network, level = conditional_network(), torch.tensor(2)
    x = torch.randn(6, DIM, generator=generator_of("x", 2))
    labels = torch.tensor([0, 1, 2, 3, 4, NO_LABEL])

    def energy(label: int | Tensor) -> Tensor:
        return network(x, Condition(level, torch.as_tensor(label)))

    def got(*args: Any) -> Tensor:
        return weighted_energy(network, x, level, terms_of(*args))

    assert torch.allclose(got(None), energy(NO_LABEL))
    assert torch.allclose(got(labels), energy(labels))
    guided = 1.7 * energy(labels) - 0.7 * energy(NO_LABEL)
    assert torch.allclose(got(labels, 0.7), guided, atol=1e-5)
    assert torch.allclose(guided[-1], energy(NO_LABEL)[-1], atol=1e-5), "no class, no guidance"
    none = energy(NO_LABEL)
    mixed = none + 0.5 * (energy(1) - none) + 0.8 * (energy(3) - none)
    assert torch.allclose(got(None, 0.0, [(1, 0.5), (3, 0.8)]), mixed, atol=1e-5)
    assert (energy(0) - energy(1)).abs().min() > 0, "classes differ"
    assert sum(terms_of(labels, 2.0).weights) == pytest.approx(1)
    assert len(terms_of(labels).weights) == 1, "what weighs nothing costs nothing"


def test_each_row_is_told_its_own_level_and_class() -> None:
    network = conditional_network()
    x = torch.randn(4, DIM, generator=generator_of("x", 3))
    levels, labels = torch.tensor([0, 1, 2, 3]), torch.tensor([NO_LABEL, 0, 4, 2])
    together = network(x, Condition(levels, labels))
    for row in range(4):
        alone = network(x[row : row + 1], Condition(levels[row], labels[row]))
        assert torch.allclose(alone[0], together[row], atol=1e-6)
    assert torch.equal(network(x, Condition(levels)), network(x, Condition(levels, labels * 0 - 1)))


# ---------------------------------------------------------------------- the method


def method(preset: str, data: dict[str, Any], **config: Any) -> RecoveryLikelihood:
    spec = RunSpec(method="recovery_likelihood", preset=preset, data=data, config=config, seed=1)
    made = prepare(spec, torch.device("cpu"), None).method
    assert isinstance(made, RecoveryLikelihood)
    return made


@pytest.fixture(scope="module")
def digits() -> RecoveryLikelihood:
    made = method("digits", DIGITS, num_steps=2, train={"batch_size": 64})
    for step in range(5):
        made.step(step / 5)
    return made


def test_inpainting_keeps_what_is_known_and_follows_it(digits: RecoveryLikelihood) -> None:
    known, num = digits.task.data.held_out, 100
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[::2] = True
    request = SampleRequest(num, known=known[:num], mask=mask, num_steps=20)
    z = conditional_sampling.draw(digits, request, generator_of("paint", 0)).position
    free = conditional_sampling.draw(digits, SampleRequest(num), generator_of("paint", 0)).position
    assert torch.equal(z[:, mask], known[:num, mask])
    assert z.min() >= -1 and z.max() <= 1
    error, chance = ((s - known[:num])[:, ~mask].square().mean() for s in (z, free))
    assert error < 0.5 * chance, "rows between known ones are told by them"


def test_gradients_are_counted_by_level_step_and_condition(digits: RecoveryLikelihood) -> None:
    labels = torch.zeros(4, dtype=torch.int64)

    def cost(**asked: Any) -> int:
        before = digits.gradient_evaluations
        conditional_sampling.draw(digits, SampleRequest(4, **asked), generator_of("cost", 0))
        return digits.gradient_evaluations - before

    assert cost() == cost(labels=labels) == 5 * 2 + 1
    assert cost(labels=labels, guidance=0.5) == 2 * (5 * 2 + 1)
    assert cost(num_steps=0) == 1
    assert cost(num_steps=7) == 5 * 7 + 1


def test_a_class_has_an_energy_of_its_own(digits: RecoveryLikelihood) -> None:
    z = digits.task.data.held_out[:5]
    assert digits.num_labels == 10
    assert not torch.equal(digits.conditional_energy(1)(z), digits.conditional_energy(7)(z))
    with pytest.raises(BadInput, match="must be one of 10 classes, got 10"):
        digits.conditional_energy(10)


def test_what_cannot_be_drawn_is_said(digits: RecoveryLikelihood) -> None:
    sampler = Langevin(LangevinConfig())
    labels = torch.zeros(4, dtype=torch.int64)
    z = conditional_sampling.draw(
        digits, SampleRequest(4, sampler=sampler, num_steps=2), generator_of("own", 0)
    ).position
    assert z.shape == (4, 8, 8)
    with pytest.raises(BadInput, match="down the ladder"):
        conditional_sampling.draw(
            digits, SampleRequest(4, labels, sampler=sampler), generator_of("own", 0)
        )
    plain = method("digits", DIGITS, classes="none")
    with pytest.raises(BadInput, match="without classes"):
        conditional_sampling.draw(plain, SampleRequest(4, labels), generator_of("own", 0))


def test_classes_are_not_asked_of_data_that_have_none() -> None:
    with pytest.raises(BadInput, match="cannot be `labels`"):
        method("default", RING, classes="labels")


def test_a_covariance_too_large_to_keep_is_refused() -> None:
    config = RecoveryLikelihood.Config(base={"kind": "gaussian"})
    for dim, refused in ((4096, []), (4097, ["base.kind"])):
        found = RecoveryLikelihood.problems(config, data_of(torch.zeros(2, dim)))
        assert [field for field, _ in found] == refused


@pytest.mark.parametrize("energy", ["wide_resnet", "unet"])
def test_networks_of_images_and_their_initializers_take_the_place_of_perceptrons(
    energy: str,
) -> None:
    made = method(
        "digits",
        DIGITS,
        energy={"kind": energy, "features": 4, "wall": 0.0},
        num_steps=2,
        base={"kind": "flat"},
        initializer={"kind": "unet", "features": 4},
        train={"batch_size": 8},
    )
    scalars = made.step(0.0)
    assert all(value.isfinite() for value in scalars.values())
    labels = torch.tensor([3, NO_LABEL])
    z = conditional_sampling.draw(
        made, SampleRequest(2, labels, guidance=0.5), generator_of("nets", 0)
    ).position
    assert z.shape == (2, 8, 8) and z.isfinite().all()
    with pytest.raises(BadInput, match="must be 0, since noisy positions"):
        method("digits", DIGITS, energy={"kind": energy, "wall": 0.03})
    with pytest.raises(BadInput, match="needs images"):
        method("default", RING, initializer={"kind": "unet"})


@pytest.mark.slow
def test_points_are_learned_and_chains_improve_on_the_initializer() -> None:
    made = method("cooperative", RING)
    for step in range(1500):
        made.step(step / 1500)
    held_out = made.task.data.held_out
    refined, alone = (
        energy_distance(
            conditional_sampling.draw(
                made, SampleRequest(1000, num_steps=k), generator_of("d", 0)
            ).position,
            held_out,
        )
        for k in (None, 0)
    )
    assert refined < 0.02
    assert alone > 2 * refined


def test_clusters_stand_in_for_classes_that_nobody_names() -> None:
    config = {"classes": "clusters", "num_clusters": 5}
    told = method("digits", DIGITS, **config)
    assert told.num_labels == 0 and told.num_classes == 5
    assert told.clusters is not None
    counts = told.clusters.of_data.bincount(minlength=5)
    drawn = told.clusters.drawn(SampleRequest(4000), generator_of("clusters")).bincount(minlength=5)
    share = counts / counts.sum()
    deviation = (drawn / 4000 - share).abs() / (share * (1 - share) / 4000).sqrt()
    assert deviation.max() < 4
    # a position of which all is known is of the cluster that k-means gave it
    known = told.task.data.train[:50]
    everything = torch.ones(known.shape[1:], dtype=torch.bool)
    found = told.clusters.drawn(
        SampleRequest(50, known=known, mask=everything), generator_of("clusters")
    )
    assert torch.equal(found, told.clusters.of_data[:50])
    assert conditional_sampling.refusal(told, SampleRequest(2, torch.tensor([0, 1]))) is not None
