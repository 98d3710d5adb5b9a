"""Every toy and the digits: the Data contract, own seeds, exact densities."""

from __future__ import annotations

import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.errors import BadInput
from backend.metrics.density import energies
from backend.randomness import generator_of

TOYS = [
    "ring",
    "moons",
    "circles",
    "checkerboard",
    "pinwheel",
    "spirals",
    "double_well",
    "banana",
    "funnel",
]


def load(name: str, **fields: object) -> Data:
    return resolve_data({"name": name, **fields}).load()


@pytest.mark.parametrize("name", TOYS)
def test_toy(name: str) -> None:
    data = load(name)
    assert data.name == name
    assert data.train.shape == (10_000, 2) and data.held_out.shape == (3000, 2)
    assert data.train.dtype == torch.float32
    assert torch.allclose(data.train.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(data.train.std(0), torch.ones(2), atol=1e-4)
    assert (data.noise_low < data.train.amin(0)).all()
    assert (data.noise_high > data.train.amax(0)).all()
    noise = data.noise(500, generator_of(0))
    assert (noise >= data.noise_low).all() and (noise <= data.noise_high).all()
    assert data.density is not None and data.draw is not None
    # in the user's units, data and fresh draws have the same finite mean energy
    for z in (data.train, data.held_out):
        assert torch.allclose(data.standardise(data.restore(z)), z, atol=1e-4)
    fresh = energies(data.density, data.draw(3000, generator_of(9)))
    own = energies(data.density, data.restore(data.held_out))
    error = float((fresh.var() / 3000 + own.var() / 3000).sqrt())
    if name != "checkerboard":  # there restored points may fall off an edge by a rounding error
        assert float(own.mean()) == pytest.approx(float(fresh.mean()), abs=4 * error)


@pytest.mark.parametrize("name", [*TOYS, "digits"])
def test_the_seed_is_its_own(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = load(name), load(name), load(name, seed=1)
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.train, other.train)
    assert torch.equal(before, torch.get_rng_state())


def test_held_out_points_are_not_training_points() -> None:
    data = load("ring")
    train, held_out = ({tuple(row) for row in z.tolist()} for z in (data.train, data.held_out))
    assert len(train) == 10_000 and not train & held_out


@pytest.mark.parametrize(
    ("name", "field", "value", "other"),
    [
        ("ring", "num_modes", 4, 8),
        ("ring", "radius", 4.0, 2.0),
        ("ring", "sd", 0.1, 0.3),
        ("moons", "noise", 0.2, 0.05),
        ("circles", "noise", 0.1, 0.03),
        ("circles", "factor", 0.3, 0.5),
        ("spirals", "noise", 0.3, 0.1),
        ("pinwheel", "num_arms", 3, 5),
        ("pinwheel", "rate", 0.0, 0.25),
        ("pinwheel", "radial_sd", 0.3, 0.6),
        ("pinwheel", "tangential_sd", 0.5, 0.2),
        ("double_well", "barrier", 10.0, 4.0),
        ("banana", "bend", 0.0, 0.4),
        ("funnel", "spread", 1.0, 3.0),
    ],
)
def test_every_option_changes_the_density(
    name: str, field: str, value: float, other: float
) -> None:
    changed, default = load(name, **{field: value}), load(name, **{field: other})
    assert torch.equal(default.train, load(name).train)
    x = default.restore(default.held_out[:50])
    assert changed.density is not None and default.density is not None
    assert not torch.allclose(energies(changed.density, x), energies(default.density, x))
    assert not torch.equal(changed.train, default.train)


def test_numbers_of_points() -> None:
    data = load("moons", num=500, num_held_out=200)
    assert len(data.train) == 500 and len(data.held_out) == 200


def test_circles_come_with_the_circle_that_each_was_drawn_from() -> None:
    data = load("circles")
    assert data.labels is not None and data.num_labels == 2
    radius = torch.tensor([1.0, 0.5])[data.labels]
    assert ((data.restore(data.train).norm(dim=1) - radius).abs() < 6 * 0.03).all()
    assert float(data.labels.float().mean()) == pytest.approx(0.5, abs=0.02)


def test_funnel_in_more_dimensions() -> None:
    assert load("funnel", dim=5).event_shape == (5,)


@pytest.mark.bad_input
def test_out_of_bounds() -> None:
    with pytest.raises(BadInput) as caught:
        resolve_data({"name": "ring", "num": 5})
    assert caught.value.problems[0].field == "data.num"


def test_modes_are_in_the_users_units() -> None:
    data = load("ring")
    assert data.modes is not None and data.mode_sd == 0.3
    nearest = torch.cdist(data.restore(data.train), data.modes).amin(1)
    assert float((nearest < 0.6).float().mean()) == pytest.approx(0.865, abs=0.02)


def test_digits() -> None:
    data = load("digits")
    assert data.train.shape == (1257, 8, 8) and data.held_out.shape == (540, 8, 8)
    assert data.is_image and data.image_range == (-1.0, 1.0)
    assert float(data.train.min()) == -1 and float(data.train.max()) == 1
    assert data.labels is not None
    counts = torch.bincount(data.labels)
    assert len(counts) == 10 and int(counts.min()) >= 121
    assert torch.equal(data.restore(data.train), data.train)
    assert data.noise(4, generator_of(0)).shape == (4, 8, 8)
