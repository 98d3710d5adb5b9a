"""Several energies as one: runs, or classes of this run, added, alternated or taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from backend.abilities import (
    Cells,
    Drawing,
    Numbers,
    Problems,
    Words,
    cloud,
    drawing_problems,
    label_name,
    label_of,
    label_problems,
    nats,
    refused,
)
from backend.abilities.log_z import fitted_proposal, weighted_estimate
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy, InUnits
from backend.errors import BadInput, NotAvailable
from backend.events import Table
from backend.method import SampleRequest
from backend.metrics import cubature
from backend.metrics.density import energies
from backend.metrics.weighted_points import TRUSTED_SHARE
from backend.observe import pictures
from backend.requests import conditional_sampling


class ComposeConfig(Drawing):
    runs: Words = option(
        [], "Ids of other runs, with commas between.", max_length=10, main=True, group="Parts"
    )
    labels: Words = option(
        [],
        "Classes of this run, with commas between; empty takes its energy as a whole.",
        max_length=20,
        group="Parts",
    )
    weights: Numbers = option(
        [],
        "One weight a part, this run or its classes first, then the other runs; below 0 pushes "
        "away. Empty weighs all alike.",
        max_length=30,
        main=True,
        group="Parts",
    )
    how: Literal["and", "or"] = option(
        "and",
        "And: energies are added, so samples please every part. Or: densities are added, so "
        "they please one of them.",
        main=True,
        group="Parts",
    )
    num: int = option(500, "Samples.", ge=2, le=100_000, log=True, group="Samples")


class Part(NamedTuple):
    """One of the energies that are composed."""

    name: str
    energy: Energy
    """of this run's standardised positions"""
    data: Tensor
    """held-out positions of its own law, standardised as this run's are"""
    label: int | None = None


class Mixture(Energy):
    """−log Σ share exp(−E(z) − log Z), a mixture of the normalised laws."""

    def __init__(self, parts: list[Energy], log_weights: Tensor) -> None:
        super().__init__()
        self.parts, self.log_weights = nn.ModuleList(parts), log_weights
        """log share − log Z"""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        values = torch.stack([part(x) for part in self.parts], 1)
        return -(self.log_weights.to(values) - values).logsumexp(1)


class ComposeAbility(Ability):
    """And, with runs: Σ weight E_run. With classes: E + Σ weight (E(· | label) − E), which for
    weights of 1 is p(x) Π p(label | x). Or: the mixture of the normalised laws, by estimates of
    log Z. Energies of other runs are read in the user's units, so runs on data of other means and
    scales compose.

    Chains from noise, where they are asked for, mix badly between parts that lie apart: the shares
    of an `or` are then those of the basins, not the weights. A part pushed away may leave no law
    to sample: `outside` is the share of samples beyond twice the box of the data.
    Hinton 2002; Du, Li & Mordatch 2020.
    """

    id = "compose"
    title = "Composition"
    summary = "Samples what several runs or classes say together: and, or, not."
    references = "Hinton 2002; Du, Li & Mordatch 2020; Liu et al. 2022"
    needs_energy: ClassVar[bool] = True
    to_choose = ("runs", "labels")
    Config: ClassVar[type[Config]] = ComposeConfig

    @classmethod
    def problems(cls, asked: Asked, config: ComposeConfig) -> Problems:
        objections = [*drawing_problems(asked, config)]
        for label in config.labels:
            objections += label_problems(asked, label, "labels")
            if label == "each":
                objections.append(("labels", "names classes one by one; `each` is none."))
        num = max(1, len(config.labels)) + len(config.runs)
        if num < 2:
            objections.append(("runs", "at least one other run, or two classes in `labels`."))
        if config.weights and len(config.weights) != num:
            sentence = f"must be {num} numbers, one a part, got {len(config.weights)}."
            objections.append(("weights", sentence))
        if config.how == "or" and any(weight <= 0 for weight in config.weights):
            objections.append(("weights", "must be > 0 for `or`; `and` takes negative ones."))
        objections += _run_problems(asked, config)
        if not objections and _native(asked, config):
            names = {"mixture": "labels", "label": "labels"}
            for field, sentence in refused(asked, _request(asked, config)):
                objections.append((names.get(field, field), sentence))
        yield from objections

    @classmethod
    def answer(cls, asked: Asked, config: ComposeConfig, generator: torch.Generator) -> Answer:
        data, parts = asked.data, _parts(asked, config)
        weights = _weights(config, len(parts))
        logs, trusted = _log_zs(asked, parts, config, generator)
        composite = _composed(asked, config, parts, weights, logs)
        request = _request(asked, config)
        if _native(asked, config):
            drawn = conditional_sampling.draw(asked.method, request, generator)
        else:
            drawn = conditional_sampling.on_energy(asked.method, composite, request, generator)
        z = drawn.position
        energy = energies(composite, z)
        centre, reach = (data.noise_low + data.noise_high) / 2, data.noise_high - data.noise_low
        inside = ((z - centre).abs() <= reach).flatten(1).all(1)
        figures = {"energy": float(energy.mean()), "outside": float((~inside).double().mean())}
        rows: list[Cells] = []
        for part, weight in zip(parts, weights, strict=True):
            of_samples = float(energies(part.energy, z).mean())
            of_data = float(energies(part.energy, part.data).mean())
            figures |= {part.name: of_samples, f"{part.name}/floor": of_data}
            rows.append([part.name, weight, of_samples, of_data])
        columns = ["part", "weight", "its energy of the samples", "of its own held-out data"]
        events = (*cloud("samples", data, z, "long_run", energy), Table("table", columns, rows))
        arrays = {"x": pictures.in_units(data.restore(z)), "energy": pictures.float32(energy)}
        summary = f"{_in_words(config, figures, len(parts), trusted)} {drawn.sentence}"
        return Answer(summary, {**figures, **drawn.figures}, arrays, events)


def _run_problems(asked: Asked, config: ComposeConfig) -> list[tuple[str, str]]:
    """Runs that are not there, or whose events are not of this run's kind."""
    objections = []
    for run in config.runs:
        try:
            other = _other(asked, run)
        except (BadInput, NotAvailable) as error:
            objections.append(("runs", str(error)))
            continue
        if reason := _apart(asked.data, other.data):
            objections.append(("runs", f"`{run}` cannot be composed with this run: {reason}"))
    return objections


def _other(asked: Asked, run: str) -> Asked:
    if asked.load is None:
        raise NotAvailable("other runs cannot be reached from here.")
    return asked.load(run)


def _apart(one: Data, other: Data) -> str:
    """Reason why energies of two data sets are not of the same things; "" where they are."""
    if one.event_shape != other.event_shape:
        shapes = [tuple(data.event_shape) for data in (one, other)]
        return f"its events have shape {shapes[1]}, and this run's {shapes[0]}."
    if one.num_values != other.num_values:
        return "the one is of whole numbers and the other of real or of more of them."
    if one.image_range != other.image_range:
        return "their images have other blacks and whites, or the one's are none."
    if one.columns and other.columns and one.columns != other.columns:
        return f"its columns are {', '.join(other.columns)}, and this run's other ones."
    low = [data.restore(data.noise_low[None])[0] for data in (one, other)]
    high = [data.restore(data.noise_high[None])[0] for data in (one, other)]
    if bool((torch.maximum(*low) > torch.minimum(*high)).any()):
        return "their data lie apart in the data's units, so nothing pleases both."
    return ""


def _parts(asked: Asked, config: ComposeConfig) -> list[Part]:
    data = asked.data
    parts = []
    for text in config.labels:
        label = label_of(asked, text)
        assert label is not None
        of = data.held_out
        if data.held_out_labels is not None:
            of = of[data.held_out_labels == label]
        name = f"class_{label_name(data, label)}"
        parts.append(Part(name, asked.method.conditional_energy(label), of, label))
    if not parts:
        parts.append(Part("this_run", asked.method.energy(), data.held_out))
    for run in config.runs:
        other = _other(asked, run)
        # one shift from these standardised units to the others, as offsets of both may be large
        mean = (other.data.mean.double() - data.mean.double()) / data.scale.double()
        scale = other.data.scale.double() / data.scale.double()
        energy = InUnits(other.method.energy(), mean.float(), scale.float())
        held_out = data.standardise(other.data.restore(other.data.held_out)).to(data.held_out)
        parts.append(Part(f"run_{run}", energy, held_out))
    return parts


def _weights(config: ComposeConfig, num: int) -> list[float]:
    if config.how == "and":
        return list(config.weights) or [1.0] * num
    given = list(config.weights) or [1.0] * num
    return [weight / sum(given) for weight in given]


def _log_zs(
    asked: Asked, parts: list[Part], config: ComposeConfig, generator: torch.Generator
) -> tuple[list[float], bool]:
    """log Z of every part, and whether all of them are to be trusted; 0 where none is needed."""
    if config.how == "and":
        return [0.0] * len(parts), True
    logs, trusted = [], True
    for part in parts:
        if cubature.fits(asked.data):
            logs.append(cubature.integrated(part.energy, asked.data).log_z)
            continue
        proposal = fitted_proposal(replace(asked.data, train=part.data), 10, generator)
        estimate = weighted_estimate(part.energy, proposal, 5000, generator)
        logs.append(estimate.log_z)
        trusted = trusted and estimate.share >= TRUSTED_SHARE
    return logs, trusted


def _composed(
    asked: Asked, config: ComposeConfig, parts: list[Part], weights: list[float], logs: list[float]
) -> Energy:
    each = [part.energy for part in parts]
    if config.how == "or":
        return Mixture(each, torch.tensor(weights).log() - torch.tensor(logs))
    if not config.labels:
        return conditional_sampling.Sum(each, weights)
    num = len(config.labels)
    classes = [(part.label or 0, weight) for part, weight in zip(parts, weights, strict=True)]
    of_classes = conditional_sampling.mixed(asked.method, classes[:num])
    return conditional_sampling.Sum([of_classes, *each[num:]], [1.0, *weights[num:]])


def _native(asked: Asked, config: ComposeConfig) -> bool:
    """True where the method itself draws this mixture of its classes."""
    return config.own_sampler and not config.runs and config.how == "and"


def _request(asked: Asked, config: ComposeConfig) -> SampleRequest:
    request = SampleRequest(config.num, num_steps=config.num_steps, sampler=config.kernel())
    if not _native(asked, config):
        return request
    labels = [label_of(asked, label) or 0 for label in config.labels]
    weights = _weights(config, len(labels))
    return SampleRequest(
        config.num, num_steps=config.num_steps, mixture=tuple(zip(labels, weights, strict=True))
    )


def _in_words(config: ComposeConfig, figures: dict[str, float], num: int, trusted: bool) -> str:
    sentence = f"{config.num:,} samples of {num} parts by `{config.how}`, mean energy "
    sentence += f"{nats(figures['energy'])}."
    if figures["outside"] > 0.01:
        sentence += f" {figures['outside']:.0%} of them lie far outside the data."
    if not trusted:
        sentence += (
            " The normalisers of the parts are not to be trusted, so neither are their shares."
        )
    return sentence
