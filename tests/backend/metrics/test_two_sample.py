"""Two-sample tests: nothing is found between equal laws at the level, and what differs is."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from backend.metrics import two_sample

REPEATS = 50
AT = torch.cartesian_prod(torch.linspace(-3, 3, 20), torch.linspace(-3, 3, 20))


def drawn(generator: torch.Generator, num: int = 150) -> Tensor:
    """Two round clusters, one thrice as likely as the other."""
    which = (torch.rand(num, generator=generator) < 0.25).float()
    centre = torch.stack([2 * which - 1, torch.zeros(num)], 1)
    return centre + 0.3 * torch.randn(num, 2, generator=generator)


def p_values(test: str) -> list[float]:
    values = []
    for seed in range(REPEATS):
        generator = torch.Generator().manual_seed(seed)
        x, y = drawn(generator), drawn(generator)
        if test == "places":
            result = two_sample.places(x, y, AT, generator)
            assert bool(result.beyond.any()) <= (result.p_value <= two_sample.LEVEL)
            values.append(result.p_value)
        else:
            values.append(two_sample.neighbours(x, y, generator).p_value)
    return values


@pytest.mark.parametrize("test", ["neighbours", "places"])
def test_between_equal_laws_nothing_is_found_at_the_level(
    test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_sample, "NUM_PERMUTATIONS", 99)
    values = p_values(test)
    num_findings = sum(value <= two_sample.LEVEL for value in values)
    # of 50 looks at 5 %, more than 6 are as good as never seen by chance
    assert num_findings <= stats.binom.ppf(0.99, REPEATS, two_sample.LEVEL)
    assert 0.3 < sum(values) / REPEATS < 0.75


def test_a_cluster_that_is_too_light_is_found_where_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = drawn(generator, 600), drawn(generator, 600)
    y = y[(y[:, 0] < 0) | (torch.rand(600, generator=generator) < 0.2)]
    assert two_sample.neighbours(x, y, generator).p_value <= 0.05
    result = two_sample.places(x, y, AT, generator)
    assert result.p_value <= 0.05 and bool(result.beyond.any())
    marked = AT[result.beyond & (result.share < 0.3)]
    assert len(marked) and (marked - torch.tensor([1.0, 0.0])).norm(dim=1).median() < 0.7
    assert result.share[AT.norm(dim=1) > 4].isnan().all(), "nothing is said where nothing lies"


def test_neighbours_tell_images_apart_and_equal_ones_not() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(80, 1, 4, 4, generator=generator)
    y = torch.randn(80, 1, 4, 4, generator=generator)
    assert two_sample.neighbours(x, 0.5 * y, generator).p_value <= 0.01
    test = two_sample.neighbours(x, y, generator)
    assert test.p_value > 0.05 and abs(test.accuracy - test.chance) < 0.1
