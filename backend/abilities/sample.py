"""Samples of a trained run, and how far they are from held-out data."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import (
    ONE_GAUSSIAN,
    Cells,
    Drawing,
    Label,
    Problems,
    asked_labels,
    cloud,
    drawing_problems,
    judged,
    label_problems,
    nats,
    refused,
    steps_option,
)
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.events import Table
from backend.method import SampleRequest
from backend.metrics.density import energies
from backend.metrics.features import space_of
from backend.metrics.quality import Quality, label_accuracy, label_spread
from backend.observe import pictures
from backend.requests import conditional_sampling

NUM_HELD_OUT = 2000
"""Held-out data whose energies stand beside those of samples."""
MOST_LISTED = 64
"""Values of an event of whole numbers that can be read."""
NUM_LISTED = 20
"""Events of whole numbers that are listed with their energies."""


class SampleConfig(Drawing):
    num: int = option(500, "Samples.", ge=2, le=100_000, main=True, log=True, group="Samples")
    label: Label = option(
        "",
        "A class, by its name or number, or `each` for all of them in turn; empty asks for none.",
        max_length=100,
        main=True,
        group="Samples",
    )
    num_steps: int | None = steps_option(main=True)
    guidance: float = option(
        0.0,
        "How far the samples are pushed towards their class: 0 is the class's own law, more "
        "makes them typical and alike.",
        ge=0,
        le=100,
        group="Samples",
        sweep=(0, 5),
    )
    time: float | None = option(
        None,
        "How long to flow, for methods with a time of their own; empty leaves it to the run.",
        gt=0,
        le=1000,
        group="Sampler",
    )


def request_of(asked: Asked, config: SampleConfig) -> SampleRequest:
    return SampleRequest(
        config.num,
        labels=asked_labels(asked, config.label, config.num),
        guidance=config.guidance,
        num_steps=config.num_steps,
        sampler=config.kernel(),
        time=config.time,
    )


class SampleAbility(Ability):
    """x ~ exp(−E(x)), or of one class, the way the method draws or by chains of a sampler.

    Where neither a sampler nor steps are asked for, an energy of one or two coordinates, or of few
    states, is drawn from exactly, and one of more by importance sampling; `weight_ess` is the
    effective share of the weights, `edge_mass` what lies at the edge of the box. Chains of finite
    length are biased towards where they start, noise; so are figures of them, and `r_hat` says
    whether they agree. The answer says where its samples are none of the model.
    """

    id = "sample"
    title = "Samples"
    order = 5
    summary = "Draws samples and says how far they are from held-out data, beside real ones."
    Config: ClassVar[type[Config]] = SampleConfig

    @classmethod
    def samples(cls, config: SampleConfig) -> tuple[str, ...]:
        return ("x",)

    @classmethod
    def problems(cls, asked: Asked, config: SampleConfig) -> Problems:
        objections = [*drawing_problems(asked, config), *label_problems(asked, config.label)]
        if config.guidance and not config.label:
            objections.append(("guidance", "pushes towards a class. Give `label`, or 0."))
        yield from objections or refused(asked, request_of(asked, config))

    @classmethod
    def answer(cls, asked: Asked, config: SampleConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        request = request_of(asked, config)
        drawn = conditional_sampling.draw(asked.method, request, generator)
        z = drawn.position
        has_energy, target = asked.method.has_energy, data.density or data.target
        energy = energies(asked.method.energy(), z) if has_energy else None
        if energy is None and target is not None:
            energy = energies(target, data.restore(z))
        # of one class there is no reference: all of the data are not it
        whole = request.labels is None or config.label == "each"
        figures = judged(Quality(data, len(z)), z, generator) if whole else {}
        if request.labels is not None:
            figures |= label_figures(asked, z, request.labels)
        if energy is not None and has_energy:
            figures["energy"] = float(energy.mean())
        elif energy is not None and target is not None:
            held_out = energies(target, data.restore(data.held_out[:NUM_HELD_OUT]))
            figures["target_energy"] = float(energy.mean())
            figures["target_energy/floor"] = float(held_out.mean())
        figures |= drawn.figures
        figures["not_finite"] = float((~z.flatten(1).isfinite().all(1)).double().mean())
        beside = [
            (tail, title)
            for tail, title in (("floor", "as many real ones"), (ONE_GAUSSIAN, "one Gaussian"))
            if any(name.endswith(f"/{tail}") for name in figures)
        ]
        rows: list[list[str | float | int | None]] = [
            [name, value, *(figures.get(f"{name}/{tail}") for tail, _ in beside)]
            for name, value in figures.items()
            if f"{name}/floor" in figures
        ]
        arrays = {"x": pictures.in_units(data.restore(z))}
        if energy is not None:
            arrays["energy" if has_energy else "target_energy"] = pictures.float32(energy)
        if request.labels is not None:
            arrays["label"] = request.labels.cpu().numpy()
        events = [
            *cloud("samples", data, z, "long_run", energy),
            *cloud("held_out", data, data.held_out, "data"),
        ]
        few = data.num_values is not None and data.event_shape.numel() <= MOST_LISTED
        if energy is not None and few and not data.is_image:
            events.append(_likeliest(data, z, energy))
        if rows:
            titles = [title for _, title in beside]
            events.append(Table("quality", ["figure", "samples", *titles], rows))
        summary = f"{_in_words(config, figures)} {drawn.sentence}"
        return Answer(summary, figures, arrays, tuple(events), drawn.caveat)


def _likeliest(data: Data, z: Tensor, energy: Tensor) -> Table:
    """Events of lowest energy among those drawn, their values, and how often each was drawn."""
    events, inverse, counts = z.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
    lowest = energy.new_empty(len(events))
    lowest[inverse] = energy
    between = "" if (data.num_values or 0) <= 10 else " "
    rows: list[Cells] = [
        [between.join(str(int(value)) for value in events[row]), int(counts[row]), value]
        for row, value in ((row, float(lowest[row])) for row in lowest.argsort()[:NUM_LISTED])
    ]
    return Table("likeliest", ["event", "times drawn", "energy"], rows)


def label_figures(asked: Asked, z: Tensor, labels: Tensor) -> dict[str, float]:
    """Agreement of samples with their class, and their variety, beside held-out data."""
    data, space = asked.data, space_of(asked.data)
    if space is None or not space.num_labels or not z.isfinite().all():
        return {}
    figures = {
        "label_accuracy": label_accuracy(z, labels, space),
        "label_spread": label_spread(z, labels, space),
    }
    if data.held_out_labels is not None:
        of = torch.isin(data.held_out_labels, labels)
        real, known = data.held_out[of], data.held_out_labels[of]
        figures["label_accuracy/floor"] = label_accuracy(real, known, space)
        figures["label_spread/floor"] = label_spread(real, known, space)
    return figures


def _in_words(config: SampleConfig, figures: dict[str, float]) -> str:
    of_energy = f" of mean energy {nats(figures['energy'])}" if "energy" in figures else ""
    sentence = f"{config.num:,} samples{of_energy}."
    if figures["not_finite"]:
        return f"{sentence} {figures['not_finite']:.0%} of them are not finite."
    name = "frechet_features" if "frechet_features" in figures else "energy_distance"
    if name in figures:
        title = "Fréchet distance in features" if name != "energy_distance" else "Energy distance"
        floor = nats(figures[f"{name}/floor"])
        sentence += f" {title} to held-out data {nats(figures[name])}; real data have {floor}"
        gaussian = figures.get(f"{name}/{ONE_GAUSSIAN}")
        sentence += "." if gaussian is None else f", one Gaussian {nats(gaussian)}."
        if gaussian is not None and gaussian <= figures[name]:
            sentence += " No gain over one Gaussian fitted to the data."
    if "label_accuracy" in figures:
        sentence += f" {figures['label_accuracy']:.0%} are of the class that was asked for."
    return sentence
