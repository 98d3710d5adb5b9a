"""Contracts of energies and data sets: shapes, finite numbers, independence of rows, seeds."""

from __future__ import annotations

import torch

from backend import catalogue
from backend.data import Data
from backend.distributions import build_distribution
from backend.energies import build_network
from backend.energy import energy_and_gradient
from backend.method import Task
from backend.randomness import generator_of
from jobs.contracts import need
from jobs.contracts.small_runs import CPU

SHAPES = ((2,), (5,), (8, 8), (28, 28), (16, 16, 3))


def gives_an_energy_an_event_or_says_why_not(kind: str, shape: tuple[int, ...]) -> None:
    """A finite energy for each row, of that row alone; or a sentence on the shape."""
    cls = catalogue.networks()[kind]
    num_values = 2 if cls.fits_values(None) else None
    task = small_task(torch.Size(shape), num_values)
    if refused := cls.fits(torch.Size(shape)):
        need(refused.endswith("."), f"refuses shape {shape} without a sentence: {refused!r}.")
        return
    network = build_network(cls.Config(), task)
    x = torch.rand(6, *shape, generator=generator_of("x", 0))
    if num_values is None:
        energy, gradient = energy_and_gradient(network, x)
        need(gradient.shape == x.shape, "its gradient is of another shape than x.")
    else:
        need(cls.fits_values(None).endswith("."), "refuses real numbers without a sentence.")
        x = x.round()
        energy, gradient = network.over_values(task.data.event_shape, 2).value_and_gradient(x)
        need(gradient.shape == (*x.shape, num_values), "its gradient has not one entry a value.")
    need(energy.shape == (6,), f"gives {tuple(energy.shape)} for 6 events of shape {shape}.")
    need(energy.isfinite().all(), f"gives energies that are not finite at shape {shape}.")
    need(gradient.abs().sum() > 0, "does not depend on x.")
    need(
        torch.allclose(network(x[2:3]), energy[2:3], atol=1e-5),
        "the energy of an event depends on those beside it in the batch.",
    )
    twin = build_network(cls.Config(), small_task(torch.Size(shape), num_values))
    need(
        all(map(torch.equal, network.state_dict().values(), twin.state_dict().values())),
        "two of one seed differ: draw weights from the generator that is passed.",
    )


def small_task(shape: torch.Size, num_values: int | None = None) -> Task:
    """Data of zeros of a shape, on the CPU."""
    x = torch.zeros(4, *shape)
    data = Data(
        "none",
        "Nothing",
        x,
        x,
        torch.zeros(()),
        torch.ones(()),
        torch.zeros(shape),
        torch.ones(shape),
        num_values=num_values,
    )
    return Task(data=data, device=CPU, generator=generator_of("task", 0))


def is_standardised_and_comes_back(name: str) -> None:
    """Float32, finite, of mean 0 and deviation 1 unless it says otherwise, by its seed alone."""
    cls = catalogue.datasets()[name]
    data = catalogue.resolve_data({"name": name}).load()
    need(
        data.train.dtype == data.held_out.dtype == torch.float32,
        f"is of {data.train.dtype}, not of float32.",
    )
    finite = data.train.isfinite().all() and data.held_out.isfinite().all()
    need(finite, "holds numbers that are not finite.")
    shapes = data.train.shape[1:] == data.held_out.shape[1:] == data.event_shape
    need(shapes, "training and held-out events are of other shapes than `event_shape`.")
    x = data.restore(data.train)
    close = torch.allclose(data.standardise(x), data.train, atol=1e-4)
    need(close, "`standardise` does not undo `restore`.")
    if data.num_values is not None:
        need((data.train == x).all() and (x == x.round()).all(), "whole numbers do not stay so.")
        need(x.min() >= 0 and x.max() <= data.num_values - 1, "has values beyond `num_values`.")
    elif data.is_image:
        low, high = data.image_range or (0.0, -1.0)
        need(low <= high, "is of images and has no `image_range`.")
        need(x.min() >= low and x.max() <= high, "leaves its `image_range`.")
    else:
        if not getattr(cls, "keeps_units", False):
            mean = float(data.train.flatten(1).mean(0).abs().max())
            need(mean < 0.1, f"is not standardised: a mean of {mean:.3g}.")
        off = float((data.train.flatten(1).std(0) - 1).abs().max())
        need(off < 0.1, f"is not standardised: a deviation {off:.3g} off 1.")
    for given, rows in ((data.given, data.train), (data.held_out_given, data.held_out)):
        need(set(given) == set(cls.gives), f"gives {sorted(given)}, and says {sorted(cls.gives)}.")
        need(all(len(v) == len(rows) for v in given.values()), "gives not one value a row.")
    noise = data.noise(100, generator_of("noise", 0))
    inside = (noise >= data.noise_low).all() and (noise <= data.noise_high).all()
    need(inside, "its noise leaves the box of `noise_low` and `noise_high`.")
    again = catalogue.resolve_data({"name": name}).load()
    need(torch.equal(again.train, data.train), "is not the same when loaded twice.")
    other = catalogue.resolve_data({"name": name, "seed": 7}).load()
    need(not torch.equal(other.train[:100], data.train[:100]), "is the same under another seed.")


def has_one_sign(name: str, has_density: bool | None = None) -> None:
    """Low energy is likely, p ∝ exp(−E), for data with a known density too.

    has_density: whether one is known; None where anything goes.
    """
    data = catalogue.resolve_data({"name": name}).load()
    energy = data.density if data.density is not None else data.target
    need(
        has_density is None or (energy is not None) == has_density,
        f"has {'no' if has_density else 'a'} known density.",
    )
    if energy is None:
        return
    centre = data.restore(data.held_out)
    far = data.restore(data.held_out * 0 + 20)
    if data.num_values is not None:
        far = data.noise(len(centre), generator_of("far", 0))
    need(
        energy(centre).mean() < energy(far).mean(),
        "its energy is higher at data than far away: is the sign p ∝ exp(−E)?",
    )


def draws_have_finite_log_density(kind: str) -> None:
    """Draws of the right shape, with a finite log-density each, from the generator alone."""
    cls = catalogue.distributions()[kind]
    data = catalogue.resolve_data({"name": "ring", "num": 400, "num_held_out": 200}).load()
    law = build_distribution(cls.Config(), data, generator_of("law", 0))
    z = law.sample(50, generator_of("draws", 0))
    need(z.shape == (50, 2), f"50 draws of points are of shape {tuple(z.shape)}.")
    need(torch.equal(z, law.sample(50, generator_of("draws", 0))), "draws differ under one seed.")
    log_prob = law.log_prob(z)
    need(log_prob.shape == (50,), f"gives {tuple(log_prob.shape)} log-densities of 50 draws.")
    need(log_prob.isfinite().all(), "gives log-densities that are not finite.")
