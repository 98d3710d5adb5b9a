"""Precision, recall, density and coverage of cases small enough to draw."""

from __future__ import annotations

import pytest
import torch

from backend.metrics.neighbours import overlap
from backend.randomness import generator_of


def line(*places: float) -> torch.Tensor:
    return torch.tensor(places)[:, None]


def test_four_points_on_a_line() -> None:
    """Nearest neighbours: the real balls are 0 ± 1, 1 ± 1, 3 ± 2 and 10 ± 7; the samples' balls
    are 0.5 ± 4, 4.5 ± 4 and 20 ± 15.5."""
    found = overlap(line(0.5, 4.5, 20.0), line(0.0, 1.0, 3.0, 10.0), num_neighbours=1)
    # .5 lies in 0 ± 1 and 1 ± 1, 4.5 in 3 ± 2 and 10 ± 7, 20 in none
    assert found.precision == pytest.approx(2 / 3)
    assert found.density == pytest.approx(4 / 3)
    assert found.coverage == 1.0
    assert found.recall == 1.0


def test_two_neighbours_and_boundaries_that_belong() -> None:
    """The real balls reach to the second neighbour: 0 ± 2, 1 ± 1, 2 ± 2."""
    found = overlap(line(4.0, 4.5, 5.0), line(0.0, 1.0, 2.0), num_neighbours=2)
    assert found.precision == pytest.approx(1 / 3)  # 4 on the boundary of 2 ± 2
    assert found.density == pytest.approx(1 / 3 / 2)
    assert found.coverage == pytest.approx(1 / 3)
    # the samples' balls are 4 ± 1, 4.5 ± .5 and 5 ± 1
    assert found.recall == 0.0


def test_an_outlier_spoils_recall_and_not_coverage() -> None:
    """Samples on the left half and one far away, whose ball holds every real point."""
    real = line(*range(100))
    x = torch.cat([line(*range(50)), line(1000.0)])
    found = overlap(x, real)
    assert found.recall == 1.0
    # the balls of real points reach 3 to each side: to 5 others within, further at the ends
    assert found.coverage == pytest.approx(53 / 100 - 1 / 100, abs=0.011)
    assert found.precision == pytest.approx(50 / 51)


def test_one_sample_repeated_is_precise_and_covers_nothing() -> None:
    real = torch.randn((200, 3), generator=generator_of(0))
    repeated = real[:1].expand(200, 3)
    found = overlap(repeated, real)
    assert found.precision == 1.0
    assert found.recall == pytest.approx(1 / 200)
    assert found.coverage < 0.1


def test_real_data_against_themselves() -> None:
    real = torch.randn((100, 3), generator=generator_of(0))
    found = overlap(real, real)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    # every ball holds its centre and five more
    assert found.density == pytest.approx(6 / 5)
    # independent draws: the expected density is 1, coverage 1 - 2⁻⁵ in the limit
    many = [torch.randn((500, 3), generator=generator_of(seed)) for seed in range(2)]
    fresh = overlap(*many)
    assert fresh.density == pytest.approx(1, abs=0.1)
    assert fresh.coverage == pytest.approx(1 - 2**-5, abs=0.03)


def test_few_points() -> None:
    assert overlap(line(0.0, 1.0), line(0.0, 1.0)).density == 2.0
    with pytest.raises(ValueError, match="got 1 and 2"):
        overlap(line(0.0), line(0.0, 1.0))
