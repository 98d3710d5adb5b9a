"""Default draws of an energy: against closed forms, and what is said of those that are none."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from backend.config import Config
from backend.data import Data, noise_box
from backend.energy import Energy
from backend.method import Method, Preset, SampleRequest, Task
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.requests.conditional_sampling import Drawn
from backend.sampler import Sampler
from backend.samplers.mala import MALA, MALAConfig

CPU = torch.device("cpu")


class Given(Method):
    """A method of an energy that is given."""

    title: ClassVar[str] = "Given"
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}
    temperature = 1.0

    def __init__(self, law: Energy, data: Data) -> None:
        super().__init__(Config(), Task(data, CPU, generator_of("task")))
        self.law = law

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError

    def energy(self) -> Energy:
        return self.law

    def sampler(self) -> Sampler:
        return MALA(MALAConfig(step_size=0.01, temperature=self.temperature))


class Clusters(Energy):
    """−log Σ weight N(mean, sd² I)."""

    def __init__(self, means: Tensor, sds: list[float], weights: list[float]) -> None:
        super().__init__()
        self.means, self.sds, self.weights = means, torch.tensor(sds), torch.tensor(weights)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        squares = (x[:, None] - self.means).square().sum(-1) / self.sds.square()
        logs = self.weights.log() - self.means.shape[1] * self.sds.log() - 0.5 * squares
        return -logs.logsumexp(1)

    def draws(self, num: int, weights: list[float] | None = None) -> Tensor:
        generator = generator_of("clusters")
        shares = self.weights if weights is None else torch.tensor(weights)
        chosen = torch.multinomial(shares, num, True, generator=generator)
        noise = torch.randn((num, self.means.shape[1]), generator=generator)
        return self.means[chosen] + self.sds[chosen][:, None] * noise

    def nearest(self, x: Tensor) -> Tensor:
        """The cluster (num,) that most likely drew each."""
        squares = (x[:, None] - self.means).square().sum(-1) / self.sds.square()
        return (0.5 * squares + self.means.shape[1] * self.sds.log()).argmin(1)


class Banana(Energy):
    """x ~ N(0, 1), y ~ N(x², 0.1²)."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (x[:, 0].square() + ((x[:, 1] - x[:, 0].square()) / 0.1).square())


class Shell(Energy):
    """½ (|x| − 2)² / 0.05²."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * ((x.norm(dim=1) - 2) / 0.05).square()


class Product(Energy):
    """A Gaussian with a covariance."""

    def __init__(self, covariance: Tensor) -> None:
        super().__init__()
        self.precision = torch.linalg.inv(covariance)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * ((x @ self.precision) * x).sum(1)


class Falling(Energy):
    """Lower and lower along an axis, so that exp(−E) has no integral."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * x[:, 1:].square().sum(1) - x[:, 0]


class Heavy(Energy):
    """Student's t of 3 degrees of freedom, up to its constant."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (3 + x.shape[1]) * (x.square().sum(1) / 3).log1p()


class Sites(Energy):
    """Random energies of all states of three sites of three values."""

    num_values = 3

    def __init__(self) -> None:
        super().__init__()
        self.values = torch.randn(27, generator=generator_of("sites"))

    def number(self, x: Tensor) -> Tensor:
        return (x.long() * torch.tensor([9, 3, 1])).sum(1)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.values[self.number(x)]


def data_of(z: Tensor, **more: Any) -> Data:
    low, high = noise_box(z)
    half = len(z) // 2
    return Data(
        "given", "Given", z[:half], z[half:], torch.zeros(()), torch.ones(()), low, high, **more
    )


def drawn(law: Energy, data: Data, num: int, **asked: Any) -> Drawn:
    method = Given(law, data)
    with torch.no_grad():
        return conditional_sampling.draw(method, SampleRequest(num, **asked), generator_of("d"))


def uniform(shares: Tensor, bins: int = 20) -> bool:
    """Whether numbers in [0, 1] pass the chi-square test of uniformity at one in 10,000."""
    expected = len(shares) / bins
    counts = torch.histc(shares.double(), bins, 0, 1)
    return passes(counts, torch.full((bins,), expected, dtype=torch.float64))


def passes(counts: Tensor, expected: Tensor) -> bool:
    """Chi-square by the cube-root approximation of Wilson & Hilferty 1931."""
    freedom = len(counts) - 1
    value = float(((counts - expected).square() / expected).sum()) / freedom
    score = (value ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return score < 3.72


def phi(x: Tensor) -> Tensor:
    return torch.special.ndtr(x.double())


TWO = Clusters(torch.tensor([[-1.0], [2.0]]), [0.5, 0.01], [0.85, 0.15])
THREE = Clusters(
    torch.tensor([[-1.0, -1.0], [1.0, 0.0], [1.0, 1.5]]), [0.4, 0.02, 0.1], [0.6, 0.1, 0.3]
)


def test_a_law_on_a_line_is_drawn_by_its_distribution_function() -> None:
    answer = drawn(TWO, data_of(TWO.draws(2000)), 20_000)
    x = answer.position[:, 0]
    shares = 0.85 * phi((x + 1) / 0.5) + 0.15 * phi((x - 2) / 0.01)
    assert uniform(shares) and answer.caveat == "" and answer.figures["weight_ess"] > 0.99


def test_clusters_twenty_scales_apart_get_their_masses_and_shapes() -> None:
    answer = drawn(THREE, data_of(THREE.draws(2000, [0.2, 0.6, 0.2])), 20_000)
    z, of = answer.position, THREE.nearest(answer.position)
    assert passes(torch.bincount(of, minlength=3).double(), 20_000 * THREE.weights.double())
    for index in (1, 2):
        white = (z[of == index] - THREE.means[index]) / THREE.sds[index]
        assert uniform(phi(white[:, 0])) and uniform(phi(white[:, 1]))
    assert "exactly" in answer.how and answer.caveat == ""


def test_a_banana_and_a_shell_are_drawn_as_their_closed_forms_say() -> None:
    x = torch.randn((2000, 2), generator=generator_of("banana"))
    x[:, 1] = x[:, 0].square() + 0.1 * x[:, 1]
    z = drawn(Banana(), data_of(x), 20_000).position
    assert uniform(phi(z[:, 0])) and uniform(phi((z[:, 1] - z[:, 0].square()) / 0.1))
    ring = torch.randn((2000, 2), generator=generator_of("shell"))
    z = drawn(Shell(), data_of(2 * ring / ring.norm(dim=1)[:, None]), 20_000).position
    assert uniform(torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) + 0.5)
    # E[r] of r N(r; 2, 0.05²) is 2 + 0.05² / 2
    assert float(z.norm(dim=1).mean()) == pytest.approx(2.00125, abs=5 * 0.05 / 20_000**0.5)


def test_five_hundred_draws_in_the_plane_take_less_than_a_second() -> None:
    data = data_of(THREE.draws(2000))
    drawn(THREE, data, 500)
    began = time.process_time()
    drawn(THREE, data, 500)
    assert time.process_time() - began < 1.0


def test_a_temperature_of_training_is_that_of_the_draws() -> None:
    law = Product(torch.eye(2))
    method = Given(law, data_of(torch.randn((1000, 2), generator=generator_of("t"))))
    method.temperature = 0.25
    z = conditional_sampling.draw(method, SampleRequest(20_000), generator_of("d")).position
    assert uniform(phi(z[:, 0] / 0.5))


@pytest.mark.parametrize("dim", [10])
def test_masses_of_clusters_beyond_two_dimensions_are_the_energys_and_not_the_datas(
    dim: int,
) -> None:
    means = torch.randn((4, dim), generator=generator_of("means"))
    law = Clusters(means, [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.5, 0.1])
    answer = drawn(law, data_of(law.draws(4000, [0.25] * 4)), 4000)
    counts = torch.bincount(law.nearest(answer.position), minlength=4).double()
    # draws that share a weight are not independent: the effective share widens the error
    assert torch.allclose(counts / 4000, law.weights.double(), atol=0.03)
    biggest = answer.position[law.nearest(answer.position) == 2]
    assert float(biggest.std(0).mean()) == pytest.approx(0.3, rel=0.03)
    assert answer.caveat == "" and answer.figures["weight_ess"] > 0.1
    assert "importance" in answer.how


def test_mass_that_the_data_lack_is_found_or_missed_aloud() -> None:
    """Half of the mass lies where there are no data."""
    means = torch.zeros((2, 6))
    means[1] = 2.5 / math.sqrt(6)
    law = Clusters(means, [0.5, 0.2], [0.5, 0.5])
    answer = drawn(law, data_of(law.draws(4000, [1.0, 0.0])), 2000)
    share = float((law.nearest(answer.position) == 1).double().mean())
    assert share == pytest.approx(0.5, abs=0.05) or "no sample" in answer.caveat


# ---------------------------------------------------------------------- what is known


@pytest.mark.parametrize("num", [1, 3000])
def test_one_free_coordinate_follows_its_conditional_law(num: int) -> None:
    law = Product(torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    z = torch.randn((4000, 2), generator=generator_of("known"))
    z[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]
    known, mask = z[:num], torch.tensor([True, False])
    answer = drawn(law, data_of(z), num, known=known, mask=mask)
    assert torch.equal(answer.position[:, 0], known[:, 0]) and answer.position.shape == (num, 2)
    shares = phi((answer.position[:, 1] - 0.8 * known[:, 0]) / 0.6)
    assert num == 1 or uniform(shares)


def test_three_free_coordinates_follow_their_conditional_law() -> None:
    covariance = torch.eye(4) + 0.6 * (1 - torch.eye(4))
    factor = torch.linalg.cholesky(covariance)
    z = torch.randn((4000, 4), generator=generator_of("known")) @ factor.T
    mask = torch.tensor([True, False, False, False])
    answer = drawn(Product(covariance), data_of(z), 2000, known=z[:2000], mask=mask)
    assert torch.equal(answer.position[:, 0], z[:2000, 0])
    rest = answer.position[:, 1:] - 0.6 * z[:2000, :1]
    wanted = covariance[1:, 1:] - 0.36
    assert torch.allclose(rest.T.cov(), wanted, atol=0.1) and rest.mean(0).abs().max() < 0.1


def test_states_are_drawn_by_their_masses_all_of_them_or_where_some_are_known() -> None:
    law = Sites()
    states = torch.cartesian_prod(*[torch.arange(3)] * 3).float()
    data = data_of(states.repeat(4, 1), num_values=3)
    shares = (-law.values).softmax(0).double()
    answer = drawn(law, data, 20_000)
    counts = torch.bincount(law.number(answer.position), minlength=27).double()
    assert passes(counts, 20_000 * shares) and "all states" in answer.how
    known, mask = states[[5]].expand(9000, 3), torch.tensor([True, True, False])
    z = drawn(law, data, 9000, known=known, mask=mask).position
    assert torch.equal(z[:, :2], known[:, :2])
    of = shares[3:6] / shares[3:6].sum()
    assert passes(torch.bincount(z[:, 2].long(), minlength=3).double(), 9000 * of)


# ---------------------------------------------------------------------- no samples


@pytest.mark.parametrize("dim", [2, 5])
def test_an_energy_without_a_normaliser_has_no_samples_and_the_answer_says_so(dim: int) -> None:
    z = torch.randn((2000, dim), generator=generator_of("falling"))
    answer = drawn(Falling(), data_of(z), 200)
    assert "no normaliser" in answer.caveat and "no sample of the model" in answer.sentence


def test_tails_of_a_power_law_are_no_want_of_a_normaliser() -> None:
    """t of 3 degrees of freedom in five dimensions: the radius is √5 times an F(5, 3) root."""
    normal = torch.randn((8000, 8), generator=generator_of("student"))
    x = normal[:, :5] / normal[:, 5:].square().mean(1, keepdim=True).sqrt()
    answer = drawn(Heavy(), data_of(x[:4000]), 4000)
    assert answer.caveat == ""
    ranks = torch.searchsorted(x[4000:].norm(dim=1).sort().values, answer.position.norm(dim=1))
    assert float((ranks / 4000).mean()) == pytest.approx(0.5, abs=0.03)


def test_chains_between_modes_fifty_deviations_apart_are_said_not_to_mix() -> None:
    means = torch.zeros((2, 20))
    means[0, 0], means[1, 0] = -25 * 0.2, 25 * 0.2
    law = Clusters(means, [0.2, 0.2], [0.9, 0.1])
    data = data_of(law.draws(4000))
    asked = drawn(law, data, 200, num_steps=300)
    assert "have not mixed" in asked.caveat and asked.figures["r_hat"] > 1.05
    own = drawn(law, data, 2000)
    assert float((own.position[:, 0] < 0).double().mean()) == pytest.approx(0.9, abs=0.03)
    assert own.caveat == ""


def test_the_same_generator_draws_the_same_bits() -> None:
    for law in (THREE, Clusters(torch.eye(3), [0.1, 0.2, 0.3], [0.2, 0.3, 0.5])):
        data = data_of(law.draws(1000))
        assert torch.equal(drawn(law, data, 50).position, drawn(law, data, 50).position)
