"""Formulas of laws: against densities on a grid, written by hand for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from backend.ability import Asked
from backend.errors import BadInput
from backend.requests import composition
from backend.requests.asking import ask
from backend.requests.composition import Law
from tests.backend.test_abilities import Quadratic, answered, fixed, ring, trained

LogDensity = Callable[[Tensor], Tensor]
LAWS = ((-1.0, 0.0, 0.8), (1.0, 0.5, 1.0), (0.0, 1.0, 1.5))
"""Centre and standard deviation of the Gaussians a, b and c."""
SIDE = torch.linspace(-10, 10, 401, dtype=torch.float64)
GRID = torch.cartesian_prod(SIDE, SIDE)


def gaussian(x: float, y: float, sd: float) -> LogDensity:
    centre = torch.tensor([x, y], dtype=torch.float64)
    constant = math.log(2 * math.pi * sd**2)
    return lambda z: -0.5 * ((z - centre) / sd).square().sum(1) - constant


def normalised(log_density: LogDensity) -> LogDensity:
    log_z = float(log_density(GRID).logsumexp(0)) + 2 * math.log(float(SIDE[1] - SIDE[0]))
    return lambda z: log_density(z) - log_z


def mixture(shares: list[float], parts: list[LogDensity]) -> LogDensity:
    logs = [math.log(share / sum(shares)) for share in shares]
    return lambda z: torch.stack(
        [log + part(z) for log, part in zip(logs, parts, strict=True)]
    ).logsumexp(0)


def product(weights: list[float], parts: list[LogDensity]) -> LogDensity:
    return normalised(
        lambda z: torch.stack([w * part(z) for w, part in zip(weights, parts, strict=True)]).sum(0)
    )


A, B, C = (gaussian(*law) for law in LAWS)
CASES: dict[str, tuple[list[float], LogDensity]] = {
    "and": ([1, 0.5, 1], product([1, 0.5, 1], [A, B, C])),
    "or": ([3, 1, 2], mixture([3, 1, 2], [A, B, C])),
    "(a or b) and c": ([3, 1, 2], product([1, 2], [mixture([3, 1], [A, B]), C])),
    "a and b or c": ([1, 0.5, 2], mixture([1, 2], [product([1, 0.5], [A, B]), C])),
    "(a or b) and not c": ([1, 1, 0.4], product([1, -0.4], [mixture([1, 1], [A, B]), C])),
    "a and not (b or c)": ([1, 2, 1], product([1, -1], [A, mixture([2, 1], [B, C])])),
}


@pytest.fixture(scope="module")
def asked() -> Asked:
    """A run that has learned the first Gaussian; others have constants of their own."""
    data = ring()
    runs = [
        fixed(Quadratic(torch.tensor([x, y]), sd, shift=shift), data)
        for (x, y, sd), shift in zip(LAWS, (7.0, -4.0, 1.0), strict=True)
    ]
    return replace(runs[0], load=lambda name: runs["abc".index(name)])


@pytest.mark.parametrize("how", CASES)
def test_samples_and_their_energies_are_of_the_density_on_a_grid(asked: Asked, how: str) -> None:
    weights, truth = CASES[how]
    config = {"runs": "b, c", "how": how, "weights": weights, "num": 2000}
    answer = ask(asked, "compose", config, torch.Generator().manual_seed(0))
    z = asked.data.standardise(torch.from_numpy(answer.arrays["x"])).double()
    constant = torch.from_numpy(answer.arrays["energy"]).double() + truth(z)
    assert float(constant.std()) < 2e-3
    if how == "or":  # a mixture of normalised laws is normalised
        assert float(constant.mean()) == pytest.approx(0, abs=5e-3)
    mass = truth(GRID).softmax(0)[:, None]
    mean = (mass * GRID).sum(0)
    variance = (mass * (GRID - mean).square()).sum(0)
    assert ((z.mean(0) - mean).abs() < 5 * (variance / 2000).sqrt()).all()
    assert torch.allclose(z.var(0), variance, rtol=0.2)


def test_every_part_weighs_one_unless_a_weight_is_given(asked: Asked) -> None:
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    short, whole = (
        ask(asked, "compose", {"runs": "b, c", "weights": weights, "num": 20}, generator)
        for weights, generator in zip(("2", "2, 1, 1"), generators, strict=True)
    )
    assert short.figures == whole.figures and " of 2 a and b and c," in short.summary


def test_what_is_not_known_of_a_normaliser_is_said(asked: Asked) -> None:
    flat = replace(asked, load=lambda _: fixed(Quadratic(torch.zeros(2), 1e4), ring()))
    config = {"runs": "b", "how": "or", "num": 20}
    answer = ask(flat, "compose", config, torch.Generator().manual_seed(0))
    assert "Log Z of b is not known" in answer.summary
    assert "Log Z of a" not in answer.summary


def test_classes_stand_beside_the_whole_law() -> None:
    method = trained("classes").method
    laws = [Law(str(k), method.conditional_energy(k), torch.zeros(1, 8, 8), k) for k in (3, 8)]
    formula = composition.read("a and not b", 2)
    energy = composition.energy_of(formula, [2, 0.5], laws, method.energy(), None)  # type: ignore[arg-type]
    x = trained("classes").data.held_out[:50]
    whole, three, eight = (law(x) for law in (method.energy(), laws[0].energy, laws[1].energy))
    expected = whole + 2 * (three - whole) - 0.5 * (eight - whole)
    assert torch.allclose(energy(x), expected, rtol=1e-4)


def test_classes_that_are_taken_away_alone_leave_the_rest_of_the_law() -> None:
    answer = answered("classes", "compose", how="not a and not b", weights="0.3, 0.2")
    assert " of not 0.3 a and not 0.2 b," in answer.summary


def test_whole_numbers_have_no_normaliser_to_mix_by(asked: Asked) -> None:
    states = replace(asked.data, num_values=2)
    of_states = replace(asked, data=states, load=lambda _: replace(asked, data=states))
    with pytest.raises(BadInput, match="log Z is not known of whole numbers"):
        ask(of_states, "compose", {"runs": "b", "how": "or"}, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a and", "ends where a part is missing"),
        ("(a or b", "a bracket that is not closed"),
        ("a or d", "knows no part `d`; it takes the parts a to c"),
        ("a 0.5 b", "cannot be read from `0.5 b` on"),
        ("0.5 a", "their weights stand in `weights`"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        composition.read(text, 3)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("or", "a or 0.5 b or c"),
        ("A AND not (B or C)", "a and not (0.5 b or c)"),
        ("(a and (b and c))", "a and 0.5 b and c"),
        ("(a or b) or c", "(a or 0.5 b) or c"),
    ],
)
def test_it_is_written_as_it_is_read_and_read_as_it_is_written(text: str, written: str) -> None:
    formula = composition.read(text, 3)
    assert composition.in_words(formula, [1, 0.5, 1]) == written
    assert composition.read(composition.in_words(formula, [1, 1, 1]), 3) == formula
