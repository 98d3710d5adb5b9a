"""Several energies as one: runs, or classes of this run, joined by and, or, not."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import model_validator
from torch import Tensor

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
    landscape,
    nats,
    refused,
)
from backend.abilities.log_z import EDGE, fitted_proposal, weighted_estimate
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
from backend.requests import composition, conditional_sampling
from backend.requests.composition import LETTERS, Formula, Law

ALIKE = "Choose runs whose data are alike."


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
        "One weight a part, this run or its classes first, then the other runs; those left out "
        "are 1.",
        max_length=30,
        main=True,
        group="Parts",
        sweep=(0, 2.4),
    )
    how: str = option(
        "and",
        "`and` adds the energies of all parts, so samples please every one; `or` mixes their "
        "densities, so they please one of them. Or a formula, `(a and b) or c` or `a and not b`: a "
        "is the first part, b the second; a bracket weighs 1.",
        min_length=1,
        max_length=200,
        main=True,
        group="Parts",
    )
    num: int = option(500, "Samples.", ge=2, le=100_000, log=True, group="Samples")

    @model_validator(mode="after")
    def _every_part_weighs(self) -> ComposeConfig:
        """Write the weights out, so that each can be asked for anew."""
        missing = self.num_parts - len(self.weights)
        object.__setattr__(self, "weights", [*self.weights, *[1.0] * missing])
        return self

    @property
    def num_parts(self) -> int:
        return max(1, len(self.labels)) + len(self.runs)

    @property
    def formula(self) -> Formula:
        """Raises ValueError with a sentence about `how`."""
        return composition.read(self.how, self.num_parts)


class ComposeAbility(Ability):
    """And, with runs: Σ weight E_run. With classes: E + Σ weight (E(· | label) − E), which for
    weights of 1 is p(x) Π p(label | x). Or: the mixture of the normalised laws, by estimates of
    log Z. Not: the energy is taken away, by no more weight than stands beside it. Energies of other
    runs are read in the user's units, so runs on data of other means and scales compose.

    Chains from noise, where they are asked for, mix badly between parts that lie apart: the shares
    of an `or` are then those of the basins, not the weights. A part taken away may leave no law
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
    def samples(cls, config: ComposeConfig) -> tuple[str, ...]:
        return ("x",)

    @classmethod
    def problems(cls, asked: Asked, config: ComposeConfig) -> Problems:
        objections = [*drawing_problems(asked, config)]
        for label in config.labels:
            objections += label_problems(asked, label, "labels")
            if label == "each":
                objections.append(("labels", "names classes one by one; `each` is none."))
        if config.num_parts < 2:
            objections.append(("runs", "at least one other run, or two classes in `labels`."))
        else:
            objections += _formula_problems(asked, config)
        objections += _run_problems(asked, config)
        if not objections and _native(config):
            names = {"mixture": "labels", "label": "labels"}
            for field, sentence in refused(asked, _request(asked, config)):
                objections.append((names.get(field, field), sentence))
        yield from objections

    @classmethod
    def answer(cls, asked: Asked, config: ComposeConfig, generator: torch.Generator) -> Answer:
        data, laws = asked.data, _laws(asked, config)
        doubts: list[str] = []
        composite = composition.energy_of(
            config.formula,
            config.weights,
            laws,
            asked.method.energy(),
            lambda energy, z, words: _log_z(asked, energy, z, words, doubts, generator),
        )
        request = _request(asked, config)
        if _native(config):
            drawn = conditional_sampling.draw(asked.method, request, generator)
        else:
            drawn = conditional_sampling.on_energy(asked.method, composite, request, generator)
        z = drawn.position
        energy = energies(composite, z)
        centre, reach = (data.noise_low + data.noise_high) / 2, data.noise_high - data.noise_low
        inside = ((z - centre).abs() <= reach).flatten(1).all(1)
        figures = {"energy": float(energy.mean()), "outside": float((~inside).double().mean())}
        rows: list[Cells] = []
        for letter, law, weight in zip(_letters(len(laws)), laws, config.weights, strict=True):
            of_samples = float(energies(law.energy, z).mean())
            of_data = float(energies(law.energy, law.data).mean())
            figures |= {law.name: of_samples, f"{law.name}/floor": of_data}
            rows.append([letter, law.name, weight, of_samples, of_data])
        columns = ["", "part", "weight", "its energy of the samples", "of its own held-out data"]
        events = (
            *landscape(data, composite),
            *cloud("samples", data, z, "long_run", energy),
            Table("table", columns, rows),
        )
        arrays = {"x": pictures.in_units(data.restore(z)), "energy": pictures.float32(energy)}
        summary = " ".join([_in_words(config, figures), *doubts, drawn.sentence])
        return Answer(summary, {**figures, **drawn.figures}, arrays, events, drawn.caveat)


def _formula_problems(asked: Asked, config: ComposeConfig) -> Problems:
    """Objections to weights or formula."""
    if len(config.weights) > config.num_parts:
        yield (
            "weights",
            f"must be at most {config.num_parts} numbers, one a part, got {len(config.weights)}.",
        )
        return
    if min(config.weights) < 0:
        yield "weights", "must be ≥ 0; say `not` in `how` to take a part away."
        return
    try:
        formula = config.formula
    except ValueError as error:
        yield "how", str(error)
        return
    classes = [index < len(config.labels) for index in range(config.num_parts)]
    yield from composition.problems(formula, config.weights, classes)
    if asked.data.num_values is not None and formula.has("or"):
        yield (
            "how",
            "mixes normalised laws where it says `or`, and log Z is not known of whole numbers; "
            "join them by `and`.",
        )


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
            objections.append(
                ("runs", f"`{run}` cannot be composed with this run: {reason} {ALIKE}")
            )
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


def _laws(asked: Asked, config: ComposeConfig) -> list[Law]:
    data = asked.data
    laws = []
    for text in config.labels:
        label = label_of(asked, text)
        assert label is not None
        of = data.held_out
        if data.held_out_labels is not None:
            of = of[data.held_out_labels == label]
        name = f"class_{label_name(data, label)}"
        laws.append(Law(name, asked.method.conditional_energy(label), of, label))
    if not laws:
        laws.append(Law("this_run", asked.method.energy(), data.held_out))
    for run in config.runs:
        other = _other(asked, run)
        # one shift from these standardised units to the others, as offsets of both may be large
        mean = (other.data.mean.double() - data.mean.double()) / data.scale.double()
        scale = other.data.scale.double() / data.scale.double()
        energy = InUnits(other.method.energy(), mean.float(), scale.float())
        held_out = data.standardise(other.data.restore(other.data.held_out)).to(data.held_out)
        laws.append(Law(f"run_{run}", energy, held_out))
    return laws


def _letters(num: int) -> list[str]:
    return [LETTERS[index] if index < len(LETTERS) else "" for index in range(num)]


def _log_z(
    asked: Asked,
    energy: Energy,
    z: Tensor,
    words: str,
    doubts: list[str],
    generator: torch.Generator,
) -> float:
    """log Z of a member of an `or`; a sentence joins the doubts where it is not to be trusted."""
    if cubature.fits(asked.data):
        points = cubature.integrated(energy, asked.data, also=z)
        log_z, reason = points.log_z, ""
        if points.edge >= EDGE:
            reason = f"{points.edge:.1%} of its mass lies at the very edge of the box"
    else:
        proposal = fitted_proposal(replace(asked.data, train=z), 10, generator)
        estimate = weighted_estimate(energy, proposal, 5000, generator)
        log_z, reason = estimate.log_z, ""
        if estimate.share < TRUSTED_SHARE:
            reason = f"only {estimate.share:.1%} of the weights count"
    if reason:
        doubts.append(f"Log Z of {words} is not known ({reason}), so neither is its share.")
    return log_z


def _native(config: ComposeConfig) -> bool:
    """True where the method itself draws this mixture of its classes."""
    is_flat = composition.flat(config.formula, config.weights) is not None
    return config.own_sampler and not config.runs and is_flat


def _request(asked: Asked, config: ComposeConfig) -> SampleRequest:
    request = SampleRequest(config.num, num_steps=config.num_steps, sampler=config.kernel())
    if not _native(config):
        return request
    labels = [label_of(asked, label) or 0 for label in config.labels]
    terms = composition.flat(config.formula, config.weights) or []
    return replace(request, mixture=tuple((labels[part], weight) for part, weight in terms))


def _in_words(config: ComposeConfig, figures: dict[str, float]) -> str:
    formula = composition.in_words(config.formula, config.weights)
    sentence = f"{config.num:,} samples of {formula}, mean energy {nats(figures['energy'])}."
    if figures["outside"] > 0.01:
        sentence += f" {figures['outside']:.0%} of them lie far outside the data."
    return sentence
