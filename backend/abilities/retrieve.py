"""Recall of a stored pattern from a damaged cue: overlap climbs while the energy falls."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Problems, cloud, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.energies.associative import AssociativeEnergy
from backend.errors import NotAvailable
from backend.events import Curve
from backend.observe import pictures
from backend.requests import masks
from backend.requests.retrieval import RETRIEVED, Memory, RetrievingMethod

PARTS = 5
"""Looks at a sweep in which bits are updated one after the other."""
NUM_SHOWN = 10


def memory_of(asked: Asked) -> RetrievingMethod:
    """The run's method. Raises NotAvailable where it is no associative memory."""
    if not isinstance(asked.method, RetrievingMethod):
        raise NotAvailable(f"{asked.method.title} stores no patterns to recall.")
    return asked.method


def memory_problems(asked: Asked, field: str) -> Problems:
    """Reason why nothing can be recalled by this run."""
    try:
        memory_of(asked)
    except NotAvailable as error:
        yield field, f"cannot be asked: {error} Ask a run of `associative_memory`."


def random_memory_problems(asked: Asked, field: str) -> Problems:
    """Reason why no memories of random bits can be made like this run's."""
    if objections := [*memory_problems(asked, field)]:
        yield from objections
    elif memory_of(asked).kind is None:
        yield field, "is of memories of bits, and this one stores real numbers."


def kind_of(asked: Asked) -> Memory:
    """Rule by which a run stores bits. Raises NotAvailable where it does not."""
    if (kind := memory_of(asked).kind) is None:
        raise NotAvailable("This memory stores real numbers.")
    return kind


class RetrieveConfig(Config):
    pattern: int = option(
        0, "Stored pattern that is recalled, by its number from 0.", ge=0, le=1_000_000, main=True
    )
    turned: float = option(
        0.2,
        "Chance of each bit to be turned; of the modern memory the standard deviation of the "
        "noise, in data sd.",
        ge=0,
        le=1,
        main=True,
        sweep=(0, 0.5),
    )
    num_sweeps: int = option(
        10, "Sweeps at most; it rests where none changes anything.", ge=1, le=1000, main=True
    )
    row: int | None = option(
        None,
        "Held-out event that is the cue in place of the pattern, by its row from 0; the pattern "
        "nearest to it is then the one to recall.",
        ge=0,
        le=10_000_000,
        pointed="row",
    )
    mask: str = option(
        "",
        "Places that are forgotten and begin at random, drawn row by row from the upper left: "
        "k20h8k36 is 20 known, 8 forgotten, 36 known.",
        max_length=masks.MOST_CHARACTERS,
        pointed="mask",
    )

    def derived(self) -> dict[str, str]:
        return {} if self.row is None else {"pattern": "No effect: the row says what is recalled."}


class RetrieveAbility(Ability):
    """States from the cue to rest, with the overlap and the energy of each.

    overlap: with the pattern, 1 where it is recalled; other: the largest with any other pattern.
    """

    id = "retrieve"
    title = "Retrieval"
    summary = "Damages a stored pattern, or takes an event as the cue, and has it recalled."
    references = "Hopfield 1982; Krotov & Hopfield 2016; Ramsauer et al. 2021"
    Config: ClassVar[type[Config]] = RetrieveConfig

    @classmethod
    def problems(cls, asked: Asked, config: RetrieveConfig) -> Problems:
        if objections := [*memory_problems(asked, "pattern")]:
            yield from objections
            return
        num = len(memory_of(asked).patterns)
        if config.row is None and config.pattern >= num:
            yield "pattern", f"must be < {num:,}, the patterns stored, got {config.pattern}."
        if config.row is not None and config.row >= (rows := len(asked.data.held_out)):
            yield "row", f"must be < {rows:,}, the held-out rows, got {config.row}."
        if config.mask:
            try:
                masks.read(config.mask, asked.data.event_shape.numel())
            except ValueError as error:
                yield "mask", str(error)

    @classmethod
    @torch.no_grad()
    def answer(cls, asked: Asked, config: RetrieveConfig, generator: torch.Generator) -> Answer:
        method = memory_of(asked)
        number, cue = _cue(asked, config, generator)
        times, states = _recalled(method, cue, config.num_sweeps, generator)
        pattern = method.patterns[number]
        every = torch.stack([method.similar(method.patterns, state) for state in states])
        overlap = every[:, number]
        others = every.clone()
        others[:, number] = -1
        other = others.amax(1)
        energy = method.energies(states)
        of_pattern = float(method.energies(pattern[None]))
        nearest = int(every[-1].argmax())
        figures = {
            "overlap": float(overlap[-1]),
            "overlap/cue": float(overlap[0]),
            "other": float(other[-1]) if len(method.patterns) > 1 else 0.0,
            "energy": float(energy[-1]),
            "energy/cue": float(energy[0]),
            "energy/pattern": of_pattern,
            "sweeps": times[-1],
            "nearest": float(nearest),
            "retrieved": float(overlap[-1] > RETRIEVED),
        }
        chosen = np.unique(np.linspace(0, len(states) - 1, NUM_SHOWN).round().astype(int))
        strip = torch.cat([pattern[None], states[chosen.tolist()]])
        x = method.positions_of(strip)
        x_axis = np.array(times, np.float32)
        rest = np.full(len(times), of_pattern, np.float32)
        series = [pictures.float32(overlap)]
        names = ["with the pattern"]
        if len(method.patterns) > 1:
            series.append(pictures.float32(other))
            names.append("largest with another")
        events = (
            *cloud("states", asked.data, x, "train_time", method.energies(strip)),
            Curve("overlap", x_axis, np.stack(series), names, "sweeps", "overlap"),
            Curve(
                "energy",
                x_axis,
                np.stack([pictures.float32(energy), rest]),
                ["state", "pattern"],
                "sweeps",
                "nats",
            ),
        )
        arrays = {
            "x": pictures.in_units(asked.data.restore(method.positions_of(states))),
            "overlap": pictures.float32(overlap),
            "energy": pictures.float32(energy),
            "sweeps": x_axis,
        }
        return Answer(_in_words(number, nearest, figures), figures, arrays, events)


def _cue(asked: Asked, config: RetrieveConfig, generator: torch.Generator) -> tuple[int, Tensor]:
    """The number of the pattern to recall, and the cue (1, N) of it."""
    method = memory_of(asked)
    if config.row is None:
        number = config.pattern
        whole = method.patterns[number][None]
    else:
        whole = method.states_of(asked.data.held_out[config.row : config.row + 1])
        number = int(method.similar(method.patterns, whole).argmax())
    cue = method.damaged(whole, config.turned, generator)
    if config.mask:
        forgotten = masks.read(config.mask, cue.shape[1]).to(cue.device)
        noise = asked.data.noise(1, generator)
        cue = torch.where(forgotten, method.states_of(noise), cue)
    return number, cue


def _recalled(
    method: RetrievingMethod, cue: Tensor, most: int, generator: torch.Generator
) -> tuple[list[float], Tensor]:
    """Times in sweeps and states (num, N), from the cue (1, N) to rest."""
    times, states = [0.0], [cue]
    law, settings = method.law, method.config
    at_rest_ends = isinstance(law, AssociativeEnergy) and not settings.temperature
    for sweep in range(most):
        state = before = states[-1]
        if isinstance(law, AssociativeEnergy) and settings.update == "asynchronous":
            order = torch.randperm(law.num_sites, generator=generator, device=cue.device)
            for part, sites in enumerate(order.tensor_split(PARTS)):
                state = law.asynchronous(state, settings.temperature, generator, sites)
                times.append(sweep + (part + 1) / PARTS)
                states.append(state)
        else:
            state = method.swept(state, generator)
            times.append(float(sweep + 1))
            states.append(state)
        if at_rest_ends and torch.equal(state, before):
            break
    return times, torch.cat(states)


def _in_words(number: int, nearest: int, figures: dict[str, float]) -> str:
    what = (
        f"Pattern {number} is recalled"
        if figures["retrieved"]
        else f"Pattern {number} is not recalled"
        + (f", and pattern {nearest} is nearer" if nearest != number else "")
    )
    return (
        f"{what}: its overlap goes from {figures['overlap/cue']:.2f} to {figures['overlap']:.2f} "
        f"in {figures['sweeps']:g} sweeps, the energy from {nats(figures['energy/cue'])} to "
        f"{nats(figures['energy'])}, where the pattern itself has "
        f"{nats(figures['energy/pattern'])}."
    )
