"""Filling in what is hidden of held-out events, beside what costs nothing to fit."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.abilities import (
    EACH,
    Cells,
    Drawing,
    Label,
    Problems,
    Words,
    asked_labels,
    cloud,
    drawing_problems,
    label_problems,
    nats,
    read_array,
    real_only,
    refused,
    steps_option,
)
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy
from backend.errors import BadInput
from backend.events import Event, Images, Table
from backend.method import SampleRequest
from backend.metrics.density import energies
from backend.observe import pictures
from backend.requests import conditional_sampling, masks
from backend.requests.filled_in import BASELINES, TITLES, Compared
from backend.requests.marginals import MarginalMethod

Hidden = Literal[
    "lower", "upper", "left", "right", "centre", "random", "coordinates", "drawn", "file"
]
USED = {"random": "share", "coordinates": "coordinates", "drawn": "mask", "file": "mask_path"}
"""The field that says more, by what is hidden."""
TRUE = "true"
"""Stands for the class that each event is of."""
NUM_DRAWS = 3


class InpaintConfig(Drawing):
    num: int = option(
        100,
        "Held-out events that are filled in, the first of them; of one `row` so many fills.",
        ge=2,
        le=20_000,
        main=True,
        log=True,
        group="What is hidden",
    )
    hidden: Hidden = option(
        "lower",
        "What is hidden: a part of the image, random places, coordinates by number or "
        "name, what was drawn, or what a file says.",
        main=True,
        group="What is hidden",
    )
    num_steps: int | None = steps_option(main=True)
    row: int | None = option(
        None,
        "The one held-out event that is filled in, by its row from 0; empty takes many.",
        ge=0,
        le=10_000_000,
        group="What is hidden",
        pointed="row",
    )
    mask: str = option(
        "",
        "What was drawn, row by row from the upper left: k20h8k36 is 20 places known, 8 hidden, "
        "36 known.",
        max_length=masks.MOST_CHARACTERS,
        group="What is hidden",
        pointed="mask",
        implies={"hidden": "drawn"},
    )
    share: float = option(
        0.5,
        "Share of the random places.",
        gt=0,
        lt=1,
        group="What is hidden",
        sweep=(0.1, 0.9),
    )
    coordinates: Words = option(
        ["0"],
        "Hidden coordinates, by number from 0 or by name, with commas between.",
        min_length=1,
        max_length=1000,
        group="What is hidden",
    )
    mask_path: str = option(
        "",
        "An .npy file shaped like one event, not 0 where it is hidden.",
        max_length=1000,
        group="What is hidden",
    )
    label: Label = option(
        "",
        "The class that is told: `true` for each event's own, or one by name or number; empty "
        "tells none.",
        max_length=100,
        group="What is hidden",
    )

    def derived(self) -> dict[str, str]:
        used = USED
        return super().derived() | {
            field: f"No effect unless `{hidden}` is hidden."
            for hidden, field in used.items()
            if hidden != self.hidden
        }


class InpaintAbility(Ability):
    """x_hidden ~ p(x_hidden | x_known): the known coordinates are held while the others are drawn.

    mse: squared error over what is hidden, in standardised units, of one draw; mse_mean of the mean
    of three, which is lower for any law that is spread out. A single draw of the true law has twice
    the error of its mean. wrong: of whole numbers, the share of hidden places of another value.
    """

    id = "inpaint"
    title = "Inpainting"
    summary = "Hides a part of held-out events and fills it in, beside neighbours and Gaussians."
    references = "Lugmayr et al. 2022"
    to_choose = ("hidden",)
    Config: ClassVar[type[Config]] = InpaintConfig

    @classmethod
    def samples(cls, config: InpaintConfig) -> tuple[str, ...]:
        return ("filled",)

    @classmethod
    def problems(cls, asked: Asked, config: InpaintConfig) -> Problems:
        fills = isinstance(asked.method, MarginalMethod) or (
            asked.method.has_energy and isinstance(asked.method.energy(), DiscreteEnergy)
        )
        objections = [] if fills else [*real_only(asked, "num")]
        objections += drawing_problems(asked, config)
        if config.row is not None and config.row >= (num := len(asked.data.held_out)):
            objections.append(("row", f"must be < {num}, the held-out rows, got {config.row}."))
        if config.label == EACH:
            objections.append(
                ("label", "is one class, or `true` for each event's own; not `each`.")
            )
        elif config.label != TRUE:
            objections += label_problems(asked, config.label)
        elif asked.method.num_labels == 0 or asked.data.held_out_labels is None:
            objections += label_problems(asked, "0") or [("label", "is not known of these data.")]
        unusable = _mask_problems(asked.data, config)
        if not objections:
            # a run that fills in nothing says so, whatever is hidden
            hidden = torch.arange(_places(asked.data).numel(), device=asked.data.train.device) == 0
            generator = torch.Generator(asked.data.train.device).manual_seed(0)
            mask = (
                _of_places(asked.data, hidden) if unusable else _mask(asked.data, config, generator)
            )
            refusals = refused(asked, _request(asked, config, mask))
            names = {"mask": "num", "known": "num"}
            objections += [(names.get(field, field), sentence) for field, sentence in refusals]
        yield from [*objections, *unusable]

    @classmethod
    def answer(cls, asked: Asked, config: InpaintConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        mask = _mask(data, config, generator)
        request = _request(asked, config, mask)
        known = request.known
        assert known is not None
        drawn = [
            conditional_sampling.draw(asked.method, request, generator) for _ in range(NUM_DRAWS)
        ]
        draws = torch.stack([each.position for each in drawn])
        together = conditional_sampling.joined(draws, drawn)
        labels = data.held_out_labels
        if labels is not None:
            labels = labels[_rows(asked, config)]
        energy = asked.method.energy() if asked.method.has_energy else None
        compared = Compared(data, known, mask, labels, energy, spread=config.row is None)
        rows = {"": compared.of(draws[0], draws.mean(0))}
        rows |= compared.beside(generator)
        if energy is not None:
            rows["whole"] = {"energy": float(energies(energy, known).mean())}
        figures = {
            "/".join(filter(None, [figure, name])): value
            for name, row in rows.items()
            for figure, value in row.items()
        }
        arrays = {
            "x": pictures.in_units(data.restore(known)),
            "filled": pictures.in_units(data.restore(draws).transpose(0, 1)),
            "hidden": (~mask).cpu().numpy(),
        }
        events = [*_pictures(asked, config, known, mask, draws[0]), _table(rows)]
        summary = f"{_in_words(config, rows)} {together.sentence}"
        figures |= together.figures
        return Answer(summary, figures, arrays, tuple(events), together.caveat)


def _rows(asked: Asked, config: InpaintConfig) -> slice | list[int]:
    """The held-out rows that are filled in."""
    return slice(config.num) if config.row is None else [config.row] * config.num


def _request(asked: Asked, config: InpaintConfig, mask: Tensor) -> SampleRequest:
    rows = _rows(asked, config)
    known = asked.data.held_out[rows]
    if config.label == TRUE and asked.data.held_out_labels is not None:
        labels: Tensor | None = asked.data.held_out_labels[rows]
    else:
        labels = asked_labels(asked, config.label, len(known))
    return SampleRequest(
        len(known),
        labels=labels,
        known=known,
        mask=mask,
        num_steps=config.num_steps,
        sampler=config.kernel(),
    )


# ---------------------------------------------------------------------- what is hidden


def _mask_problems(data: Data, config: InpaintConfig) -> list[tuple[str, str]]:
    if config.hidden == "file":
        if not config.mask_path:
            return [("mask_path", "is needed where a file says what is hidden.")]
        try:
            shape = read_array(config.mask_path, "mask_path").shape
        except BadInput as error:
            return [(problem.field, problem.message) for problem in error.problems]
        if shape != tuple(data.event_shape):
            wanted = tuple(data.event_shape)
            return [("mask_path", f"must hold an array of shape {wanted}, got {shape}.")]
    elif config.hidden == "coordinates":
        if len(data.event_shape) != 1:
            return [("hidden", "`coordinates` are of points; choose a part of the image.")]
        known = ", ".join(data.columns) or f"0 to {data.event_shape[0] - 1}"
        for name in config.coordinates:
            if _coordinate(data, name) is None:
                return [("coordinates", f"there is no coordinate {name!r}. Known: {known}.")]
    elif config.hidden == "drawn":
        try:
            masks.read(config.mask, _places(data).numel())
        except ValueError as error:
            return [("mask", str(error))]
    elif config.hidden != "random" and not data.is_image:
        return [
            (
                "hidden",
                f"`{config.hidden}` is a part of an image, and these data are points. "
                "Choose `coordinates` or `random`.",
            )
        ]
    generator = torch.Generator(data.train.device).manual_seed(0)
    mask = _mask(data, config, generator)
    if bool(mask.all()) or not bool(mask.any()):
        field = USED.get(config.hidden, "hidden")
        return [(field, "must hide a part of an event, neither nothing nor all of it.")]
    return []


def _coordinate(data: Data, name: str) -> int | None:
    if name in data.columns:
        return data.columns.index(name)
    return int(name) if name.isdecimal() and int(name) < data.event_shape[0] else None


def _places(data: Data) -> torch.Size:
    """Places that can be hidden one by one: the pixels of an image, the coordinates of a point."""
    return data.event_shape[:2] if data.is_image else data.event_shape


def _of_places(data: Data, hidden: Tensor) -> Tensor:
    """Known coordinates, (*event_shape) bool, from the places that are hidden (num_places,)."""
    places = _places(data)
    channels = [1] * (len(data.event_shape) - len(places))
    return ~hidden.reshape(*places, *channels).expand(data.event_shape)


def _mask(data: Data, config: InpaintConfig, generator: torch.Generator) -> Tensor:
    """(*event_shape) bool, True where it is known."""
    shape, device = data.event_shape, data.train.device
    hidden = torch.zeros(shape, dtype=torch.bool, device=device)
    if config.hidden == "file":
        mask = torch.from_numpy(read_array(config.mask_path, "mask_path").astype("float32"))
        return mask.to(device) == 0
    if config.hidden == "coordinates":
        hidden[
            [index for c in config.coordinates if (index := _coordinate(data, c)) is not None]
        ] = True
        return ~hidden
    if config.hidden == "random":
        num = _places(data).numel()
        most = min(max(1, round(config.share * num)), max(1, num - 1))
        flat = torch.zeros(num, dtype=torch.bool, device=device)
        flat[torch.randperm(num, generator=generator, device=device)[:most]] = True
        return _of_places(data, flat)
    if config.hidden == "drawn":
        return _of_places(data, masks.read(config.mask, _places(data).numel()).to(device))
    height, width = shape[0], shape[1]
    half, across = height // 2, width // 2
    if config.hidden == "centre":
        hidden[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    elif config.hidden == "lower":
        hidden[half:] = True
    elif config.hidden == "upper":
        hidden[:half] = True
    elif config.hidden == "left":
        hidden[:, :across] = True
    else:
        hidden[:, across:] = True
    return ~hidden


def _pictures(
    asked: Asked, config: InpaintConfig, known: Tensor, mask: Tensor, filled: Tensor
) -> list[Event]:
    """Pictures of what was given, what the run made of it and what it was, with energies."""
    data, method = asked.data, asked.method
    if config.row is not None:
        known = known[:1]
    dark = data.noise_low.expand(data.event_shape)
    given = torch.where(mask, known, dark) if data.is_image else known

    def energy(z: Tensor) -> Tensor | None:
        return energies(method.energy(), z) if method.has_energy else None

    events = [
        *cloud("known", data, given, "data"),
        *cloud("filled", data, filled, "long_run", energy(filled)),
        *(cloud("whole", data, known, "data", energy(known)) if data.is_image else []),
    ]
    hidden = (~mask).flatten(2).any(2) if mask.dim() > 2 else ~mask
    where = hidden.to(torch.uint8).cpu().numpy()
    return [replace(e, hidden=where) if isinstance(e, Images) else e for e in events]


def _table(rows: dict[str, dict[str, float]]) -> Table:
    columns = list(rows[""])
    cells: list[Cells] = [
        [TITLES[name], *(row.get(column) for column in columns)] for name, row in rows.items()
    ]
    return Table("table", ["filled in by", *columns], cells)


def _in_words(config: InpaintConfig, rows: dict[str, dict[str, float]]) -> str:
    own = rows[""]
    sentence = (
        f"Squared error {nats(own['mse'])} for one draw, {nats(own['mse_mean'])} for the mean of "
    )
    sentence += f"{NUM_DRAWS}"
    if "wrong" in own:
        sentence += f"; {own['wrong']:.1%} of the hidden places are wrong"
    if "label_accuracy" in own:
        sentence += f"; {own['label_accuracy']:.0%} of the events keep their class"
    # one that is told the class is no match for a run that was not
    knows_class = config.label == TRUE
    fair = [
        name for name in BASELINES if name in rows and (name != "class_gaussian" or knows_class)
    ]
    better = [name for name in fair if not rows[name]["mse"] > own["mse"]]
    if not better:
        return sentence + ". Nothing that costs no training does as well."
    listed = ", ".join(f"{TITLES[name]} ({nats(rows[name]['mse'])})" for name in better)
    return f"{sentence}. No gain over what costs no training: {listed}."
