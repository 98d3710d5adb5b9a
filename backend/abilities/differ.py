"""Difference of two runs: a two-sample test of their draws, and each one's energy of both."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.abilities import Drawing, Problems, Words, cloud, drawing_problems, nats, refused
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config, option
from backend.errors import BadInput, NotAvailable
from backend.events import Event, Field, Table
from backend.method import SampleRequest
from backend.metrics import two_sample
from backend.metrics.density import energies
from backend.metrics.two_sample import LEVEL
from backend.observe import pictures
from backend.requests import conditional_sampling

NUM_BINS = 60
GRID = 64


class DifferConfig(Drawing):
    runs: Words = option([], "Id of the other run.", max_length=1, main=True, group="The other run")
    num: int = option(
        1000, "Samples of each.", ge=20, le=5000, main=True, log=True, group="Samples"
    )


class DifferAbility(Ability):
    """Draws of both runs are told apart by their nearest neighbours, against labels in random
    orders: the chance of finding anything between equal laws is 5 %, whatever the law. In two
    dimensions the map is of the share of the other's draws; places are marked that are beyond
    chance over the whole map together. Chains that have not mixed differ by where they started.
    """

    id = "differ"
    title = "Difference of two runs"
    summary = "Says whether and where draws of another run differ, beyond chance, from this one's."
    references = "Schilling 1986; Kim, Lee & Lei 2019; Lopez-Paz & Oquab 2017"
    to_choose = ("runs",)
    Config: ClassVar[type[Config]] = DifferConfig

    @classmethod
    def problems(cls, asked: Asked, config: DifferConfig) -> Problems:
        objections = [*drawing_problems(asked, config), *refused(asked, _request(config))]
        if len(config.runs) != 1:
            objections.append(("runs", f"must be one other run, got {len(config.runs)}."))
        else:
            objections += _misfits(asked, config)
        yield from objections

    @classmethod
    def answer(cls, asked: Asked, config: DifferConfig, generator: torch.Generator) -> Answer:
        data, other = asked.data, _other(asked, config.runs[0])
        own = conditional_sampling.draw(asked.method, _request(config), generator)
        drawn = conditional_sampling.draw(other.method, _request(config), generator)
        theirs = data.standardise(other.data.restore(drawn.position)).to(own.position)
        test = two_sample.neighbours(own.position, theirs, generator)
        figures = {
            "neighbours_alike": test.accuracy,
            "neighbours_alike/chance": test.chance,
            "p_value": test.p_value,
        }
        events: list[Event] = [
            *cloud("samples", data, own.position, "long_run"),
            *cloud("other_samples", data, theirs, "train_time"),
        ]
        if (map_of := _map(asked, own.position, theirs, generator)) is not None:
            fields, figures["map_p_value"] = map_of
            events += fields
        sets = {"own": own.position, "other": theirs}
        for name, of in (("this", asked), ("other", other)):
            if of.method.has_energy:
                by_set = _energies(asked, of, sets)
                events.append(pictures.histogram(f"energy_{name}", by_set, NUM_BINS))
                gap = by_set["other"].mean() - by_set["own"].mean()
                figures[f"energy_gap_{name}"] = float(gap)
        rows: list[list[str | float | int | None]] = [
            [name, value] for name, value in figures.items()
        ]
        arrays: dict[str, Array] = {
            "x": pictures.in_units(data.restore(own.position)),
            "other": pictures.in_units(data.restore(theirs)),
        }
        events.append(Table("table", ["figure", "value"], rows))
        caveats = [f"{each.caveat}." for each in (own, drawn) if each.caveat]
        summary = " ".join([_in_words(figures), *caveats])
        return Answer(summary, figures, arrays, tuple(events))


def _request(config: DifferConfig) -> SampleRequest:
    return SampleRequest(config.num, num_steps=config.num_steps, sampler=config.kernel())


def _other(asked: Asked, run: str) -> Asked:
    if asked.load is None:
        raise NotAvailable("other runs cannot be reached from here.")
    return asked.load(run)


def _misfits(asked: Asked, config: DifferConfig) -> Problems:
    """Reason why the draws of both cannot be held against each other."""
    try:
        other = _other(asked, config.runs[0])
    except (BadInput, NotAvailable) as error:
        yield "runs", str(error)
        return
    shapes = [tuple(each.data.event_shape) for each in (asked, other)]
    if shapes[0] != shapes[1]:
        yield (
            "runs",
            f"its events have shape {shapes[1]}, and this run's {shapes[0]}: choose a run on the "
            "same data.",
        )
        return
    for field, sentence in [*drawing_problems(other, config), *refused(other, _request(config))]:
        yield field, f"{config.runs[0]}: {sentence}"


def _energies(asked: Asked, of: Asked, sets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Energies of one run, at positions that are standardised as the asked run's are."""
    energy = of.method.energy()
    return {
        name: energies(energy, of.data.standardise(asked.data.restore(z)).to(z))
        for name, z in sets.items()
    }


def _map(
    asked: Asked, own: Tensor, theirs: Tensor, generator: torch.Generator
) -> tuple[list[Event], float] | None:
    """Maps of two-dimensional draws, and the p-value of the largest difference on them."""
    if asked.data.num_values is not None or (box := pictures.view_of(asked.data)) is None:
        return None
    axes = [torch.linspace(*side, GRID) for side in box]
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    at = asked.data.standardise(torch.stack([x, y], 2).reshape(-1, 2).to(own))
    result = two_sample.places(own, theirs, at.to(own), generator)
    marked = torch.where(result.beyond, result.share, torch.nan)
    fields: list[Event] = [
        Field(path, pictures.float32(values).reshape(GRID, GRID), *box, quantity="probability")
        for path, values in (("share_of_other", result.share), ("beyond_chance", marked))
    ]
    return fields, result.p_value


def _in_words(figures: dict[str, Any]) -> str:
    p = min(figures["p_value"], figures.get("map_p_value", 1.0))
    # of two looks the better one: as if each were at half the level
    tests = 2 if "map_p_value" in figures else 1
    differ = p * tests <= LEVEL
    verdict = (
        "The draws differ beyond chance" if differ else "No difference beyond chance was found"
    )
    words = (
        f"{verdict} (p = {min(1.0, p * tests):.2g}): {figures['neighbours_alike']:.1%} of a draw's "
        f"nearest neighbours are its own run's, {figures['neighbours_alike/chance']:.1%} by chance."
    )
    for name, of in (("this", "this run's energy"), ("other", "the other's energy")):
        if (gap := figures.get(f"energy_gap_{name}")) is not None:
            side = "above" if gap >= 0 else "below"
            words += f" By {of} the other's draws lie {nats(abs(gap))} nats {side} this run's."
    return words
