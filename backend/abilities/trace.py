"""One chain on the energy of a run, step by step."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.abilities import (
    Drawing,
    Numbers,
    Problems,
    cloud,
    drawing_problems,
    landscape,
    nats,
)
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy
from backend.events import Curve, Event
from backend.metrics.density import energies
from backend.observe import pictures
from backend.sampler import Sampler
from backend.samplers import default_sampler

MOST_STATES = 1000
"""States of the path that are kept, evenly spaced; energies are of every step."""
NUM_HELD_OUT = 2000
"""Held-out data that the level of energies is of."""
NUM_IMAGES = 24
"""Images of the strip."""
MOST_COORDINATES = 8
"""Coordinates whose course is drawn, where they are more than two."""


class TraceConfig(Drawing):
    begin: Literal["noise", "held_out", "place"] = option(
        "noise",
        "Where the chain starts: at noise, at a row of held-out data, or at a place of your own.",
        main=True,
        group="Start",
    )
    row: int = option(
        0,
        "The row of held-out data.",
        ge=0,
        le=10_000_000,
        main=True,
        group="Start",
        pointed="row",
        implies={"begin": "held_out"},
    )
    place: Numbers = option(
        [],
        "The coordinates of a place, in the data's units, with commas between.",
        max_length=1000,
        group="Start",
        pointed="place",
        implies={"begin": "place"},
    )
    num_steps: int = option(
        300,
        "Steps of the chain.",
        ge=1,
        le=20_000,
        main=True,
        log=True,
        group="Sampler",
        sweep=(10, 2000),
    )
    own_sampler: bool = option(
        True,
        "On: the sampler that the run trains with, or Langevin steps (Gibbs sweeps of whole "
        "numbers) where it has none. Off: the sampler below.",
        group="Sampler",
    )

    def derived(self) -> dict[str, str]:
        idle = {"row": "held_out", "place": "place"}
        return super().derived() | {
            name: f"No effect unless the chain begins at `{begin}`."
            for name, begin in idle.items()
            if self.begin != begin
        }


class TraceAbility(Ability):
    """x₀, x₁, … of one Markov chain on exp(−E), as the sampler says, nothing tuned on the way.

    Its energy falls to the level of held-out data and stays there where the run has learned them
    and the chain reaches them; far below, the energy has a hollow that no data are in. `settled` is
    the first step at which the energy is as low as that of 95 % of held-out data, the number of
    steps where it never is. Samplers that reject nothing have no acceptance.
    """

    id = "trace"
    title = "One chain"
    summary = "Follows one chain step by step: its path, its energy and what it accepts."
    needs_energy: ClassVar[bool] = True
    to_choose = ("own_sampler",)
    Config: ClassVar[type[Config]] = TraceConfig

    @classmethod
    def problems(cls, asked: Asked, config: TraceConfig) -> Problems:
        yield from drawing_problems(asked, config)
        kernel = _kernel(asked, config)
        field = "own_sampler" if config.own_sampler else "sampler.kind"
        if kernel.population:
            yield field, "moves many chains by one another; choose a sampler of single chains."
        elif kernel.anneals:
            yield field, "goes from a wide law to the target; choose a sampler that stays at it."
        if config.begin == "held_out" and config.row >= (num := len(asked.data.held_out)):
            yield "row", f"must be < {num}, the held-out rows, got {config.row}."
        if config.begin == "place":
            yield from _place_problems(asked.data, config.place)

    @classmethod
    def answer(cls, asked: Asked, config: TraceConfig, generator: torch.Generator) -> Answer:
        data, energy, kernel = asked.data, asked.method.energy(), _kernel(asked, config)
        start = _start(data, config, generator)
        path = walk(kernel, energy, start, config.num_steps, generator)
        level = energies(energy, data.held_out[:NUM_HELD_OUT]).double()
        low = path.energy <= float(level.quantile(0.95))
        settled = int(low.nonzero()[0]) if bool(low.any()) else config.num_steps
        later = path.energy[len(path.energy) // 2 :].double()
        moved = (path.states[-1] - path.states[0]).double()
        figures = {
            "energy_start": float(path.energy[0]),
            "energy_end": float(path.energy[-1]),
            "energy": float(later.mean()),
            "energy/floor": float(level.mean()),
            "settled": float(settled),
            "distance": float(moved.square().mean().sqrt()),
            "gradients": float(path.gradient_evaluations),
        }
        if path.acceptance is not None:
            figures["acceptance"] = float(path.acceptance.double().mean())
        arrays = {
            "x": pictures.in_units(data.restore(path.states)),
            "step": np.arange(len(path.states)) * path.every,
            "energy": pictures.float32(path.energy),
        }
        if path.acceptance is not None:
            arrays["acceptance"] = pictures.float32(path.acceptance)
        events = (*_pictures(data, energy, path), *_curves(path, float(level.mean())))
        sentence = _in_words(kernel, config, figures, bool(low.any()))
        return Answer(sentence, figures, arrays, events)


class Path(NamedTuple):
    """Course of one chain."""

    states: Tensor
    """(states, *event_shape), standardised, every `every`-th of the chain's, the start first"""
    every: int
    energy: Tensor
    """(steps + 1,)"""
    acceptance: Tensor | None
    """(steps,) probability of acceptance; None for samplers that never reject"""
    accepted: Tensor
    """(steps,) bool"""
    gradient_evaluations: int


def walk(
    kernel: Sampler, energy: Energy, start: Tensor, num_steps: int, generator: torch.Generator
) -> Path:
    """`num_steps` of one chain from start (1, *event_shape)."""
    every = -(-num_steps // MOST_STATES)
    state = kernel.init(start, energy, generator)
    states, values = [state.position], [state.energy]
    rates, accepted, evaluations = [], [], 1
    for index in range(1, num_steps + 1):
        state, info = kernel.step(state, energy, generator)
        evaluations += info.gradient_evaluations
        values.append(state.energy)
        rates.append(info.acceptance_rate)
        accepted.append(info.accepted)
        if index % every == 0:
            states.append(state.position)
    rate = torch.cat(rates) if kernel.exact else None
    return Path(
        torch.cat(states).detach(),
        every,
        torch.cat(values).detach(),
        rate,
        torch.cat(accepted),
        evaluations,
    )


def _kernel(asked: Asked, config: TraceConfig) -> Sampler:
    return config.kernel() or asked.method.sampler() or default_sampler(asked.data)


def _place_problems(data: Data, place: list[float]) -> Problems:
    """Reason why these coordinates are no place of the data."""
    if len(data.event_shape) != 1:
        yield "begin", "takes a place of rows of numbers alone; choose `held_out` and a `row`."
    elif len(place) != (dim := data.event_shape.numel()):
        yield "place", f"must be {dim} numbers, one a coordinate, got {len(place)}."
    elif data.num_values is not None and any(
        value != int(value) or not 0 <= value < data.num_values for value in place
    ):
        yield "place", f"must be whole numbers from 0 to {data.num_values - 1}."


def _start(data: Data, config: TraceConfig, generator: torch.Generator) -> Tensor:
    """(1, *event_shape), standardised."""
    if config.begin == "noise":
        return data.noise(1, generator)
    if config.begin == "held_out":
        return data.held_out[config.row : config.row + 1]
    place = torch.tensor([config.place], dtype=torch.float64, device=data.train.device)
    return data.standardise(place).to(data.train)


def _pictures(data: Data, energy: Energy, path: Path) -> list[Event]:
    """The path on the landscape; a strip of images; the course of a few coordinates."""
    num = len(path.states)
    values = path.energy[:: path.every][:num]
    if data.is_image:
        rows = torch.linspace(0, num - 1, min(num, NUM_IMAGES)).round().long()
        strip = cloud("start_to_end", data, path.states[rows], "long_run", values[rows])
        return [*strip, *cloud("held_out", data, data.held_out[:NUM_IMAGES], "data")]
    if data.event_shape == (2,):
        film = pictures.trajectory(
            "path",
            data,
            path.states[:, None],
            values[:, None],
            path.accepted[:, None] if path.every == 1 and path.acceptance is not None else None,
            "long_run",
            num=1,
        )
        return [*landscape(data, energy), film]
    if len(data.event_shape) != 1:
        return []
    x = pictures.float32(data.restore(path.states))[:, :MOST_COORDINATES].T
    names = data.columns or tuple(f"x_{index + 1}" for index in range(len(x)))
    steps = np.arange(num, dtype=np.float32) * path.every
    return [Curve("coordinates", steps, np.ascontiguousarray(x), list(names[: len(x)]), "step")]


def _curves(path: Path, level: float) -> list[Event]:
    """Energy against step beside the level of held-out data, and the running acceptance."""
    steps = np.arange(len(path.energy), dtype=np.float32)
    values = pictures.float32(path.energy)
    both = np.stack([values, np.full_like(values, level)])
    curves: list[Event] = [Curve("energy", steps, both, ["chain", "held_out"], "step", "nats")]
    if path.acceptance is not None:
        running = path.acceptance.double().cumsum(0) / torch.arange(
            1, len(path.acceptance) + 1, device=path.acceptance.device
        )
        rows = pictures.float32(running)[None]
        curves.append(Curve("acceptance", steps[1:], rows, ["mean_so_far"], "step"))
    return curves


def _in_words(
    kernel: Sampler, config: TraceConfig, figures: dict[str, float], settled: bool
) -> str:
    begun = {"noise": "noise", "held_out": f"held-out row {config.row}", "place": "a chosen place"}
    sentence = (
        f"{type(kernel.config).title}: {config.num_steps:,} steps from {begun[config.begin]}. "
        f"The energy goes from {nats(figures['energy_start'])} to {nats(figures['energy_end'])}, "
        f"held-out data have {nats(figures['energy/floor'])}"
    )
    low = "as low as that of 95 % of them"
    sentence += (
        f", and it is first {low} at step {figures['settled']:.0f}."
        if settled
        else f", and it is never {low}."
    )
    if "acceptance" in figures:
        sentence += f" {figures['acceptance']:.0%} of its proposals are accepted."
    if not kernel.exact:
        sentence += f" {type(kernel).bias}" if type(kernel).bias else ""
    return sentence
