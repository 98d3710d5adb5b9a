"""Samples as a person asks for them: the way a method draws, or of its energy where it has none.

With every set of them comes how it was drawn, and what makes it no sample of the model.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.energies import NO_LABEL
from backend.energies.discrete import DiscreteEnergy, one_hot
from backend.energy import Energy
from backend.errors import BadInput
from backend.method import Method, SampleRequest
from backend.observe.chains import diagnose, run_chains
from backend.observe.draw_reading import MIXED
from backend.requests import cell_sampling, weighted_sampling
from backend.sampler import Sampler
from backend.samplers import Pass, default_sampler
from backend.samplers.gibbs_with_gradients import GibbsWithGradients, GibbsWithGradientsConfig

DEFAULT_STEPS = 1000
"""Of chains, where no number of steps is asked for."""
DIAGNOSED, LEAST_DRAWS = 64, 8
"""Chains, and about as many draws of each, that R-hat is of, and the fewest draws it is given."""
MOVES = 60
"""Hamiltonian moves in which steps are tuned, and as many more, where coordinates are known."""
NO_SAMPLE = "so they are no sample of the model"


class Drawn(NamedTuple):
    """Samples, the way they were drawn and what is wrong with them."""

    position: Tensor
    """(num, *event_shape), standardised"""
    how: str
    """goes on from "drawn" """
    caveat: str = ""
    """a sentence, where they are no sample of the model; "" where nothing speaks against it"""
    figures: Mapping[str, float] = MappingProxyType({})
    """`r_hat` of chains or populations, `weight_ess` the effective share of importance weights,
    `edge_mass` the share at the edge of the box, `drift` of the mean energy in standard errors"""

    @property
    def sentence(self) -> str:
        """Account of how they were drawn, with the caveat."""
        return f"Drawn {self.how}" + (f"; {self.caveat}." if self.caveat else ".")


def joined(position: Tensor, parts: Sequence[Drawn]) -> Drawn:
    """Several draws as one: figures are those of the worst, caveats the first that there is."""
    names = {name for part in parts for name in part.figures}
    figures = {}
    for name in sorted(names):
        values = [part.figures[name] for part in parts if name in part.figures]
        figures[name] = min(values) if name == "weight_ess" else max(values, key=abs)
    caveat = next((part.caveat for part in parts if part.caveat), "")
    return Drawn(position, parts[0].how, caveat, figures)


class OfFree(Energy):
    """The energy as a function of the free coordinates (num, coordinates) alone."""

    def __init__(self, free: cell_sampling.Free, laws: Tensor) -> None:
        super().__init__()
        self.free, self.laws = free, laws

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.free.energy(self.free.events(self.laws, x))


class Pinned(Energy):
    """E(x) with the coordinates under the mask held at what is known.

    As a function of the others it is the energy of p(others | known), up to its normaliser.
    """

    def __init__(self, energy: Energy, known: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.energy, self.known, self.mask = energy, known, mask

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(torch.where(self.mask, self.known, x), condition)


class PinnedValues(DiscreteEnergy):
    """The same of whole numbers, differentiable between them: sites under the mask may take any
    value, as none of them counts."""

    def __init__(self, energy: DiscreteEnergy, known: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.event_shape, self.num_values = energy.event_shape, energy.num_values
        self.energy, self.mask = energy, mask.unsqueeze(-1)
        self.known = one_hot(known, energy.num_values)

    def value(self, one_hot: Tensor) -> Tensor:
        return self.energy.relaxed(torch.where(self.mask, self.known.to(one_hot), one_hot))


class Sum(Energy):
    """Σ weight E(x)."""

    def __init__(self, parts: Sequence[Energy], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts, self.weights = nn.ModuleList(parts), tuple(weights)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        values = (weight * part(x) for weight, part in zip(self.weights, self.parts, strict=True))
        total: Tensor = functools.reduce(torch.add, values)
        return total


def refusal(method: Method, request: SampleRequest) -> tuple[str, str] | None:
    """(field of the request, sentence) about what the method cannot draw; None when it can."""
    if not method.draws:
        return "", method.no_energy()
    if problem := given_refusal(method, request):
        return problem
    labelled = request.labels is not None and bool((request.labels != NO_LABEL).any())
    if method.num_labels == 0:
        for field, asked in (
            ("label", labelled),
            ("guidance", request.guidance != 0),
            ("mixture", bool(request.mixture)),
        ):
            if asked:
                return field, f"{method.title} was trained without classes, so it knows none."
    if request.time is not None and not method.has_time:
        return "time", f"{method.title} has no time of its own; give `num_steps`."
    return method.refusal(request)


def given_refusal(method: Method, request: SampleRequest) -> tuple[str, str] | None:
    """(field, sentence) where what is given of the samples is not what the method needs."""
    for name in method.needs:
        if name not in request.given:
            return (
                f"given.{name}",
                f"is needed: {method.title} draws where the {name} of each sample is known, and "
                "none is given here. Ask for a prediction.",
            )
    for name, value in request.given.items():
        if name not in method.needs:
            return f"given.{name}", f"has no effect: {method.title} was trained without any."
        expected = (request.num, *method.task.data.given[name].shape[1:])
        if value.shape != expected:
            return f"given.{name}", f"must have shape {expected}, got {tuple(value.shape)}."
    return None


def draw(method: Method, request: SampleRequest, generator: torch.Generator) -> Drawn:
    """Samples of a trained method: its own way, or of exp(−E/T) where it has none.

    Raises BadInput for what `refusal` names.
    """
    if problem := refusal(method, request):
        raise BadInput.at(*problem)
    own = method.draw(request, generator)
    return of_energy(method, request, generator) if own is None else Drawn(own, "as the run does")


def of_energy(method: Method, request: SampleRequest, generator: torch.Generator) -> Drawn:
    """`num` samples of the method's energy.

    Of a class of its conditional energy, class after class, with guidance of
    (1 + w) E(x | label) − w E(x). Known coordinates are held: the samples then follow
    p(others | known).
    """
    if request.mixture:
        return on_energy(method, mixed(method, request.mixture), request, generator)
    if request.labels is None:
        if method.task.data.is_image and request.mask is None and _asks_no_chains(method, request):
            as_trained = method.train_time_samples(request.num, generator)
            if as_trained is not None:
                return Drawn(as_trained.detach(), "as training draws its own, mixed or not")
        return on_energy(method, method.energy(), request, generator)
    data = method.task.data
    z = data.train.new_empty((request.num, *data.event_shape))
    parts = []
    for label in request.labels.unique().tolist():
        of = request.labels == label
        part = request.rows(of)
        energy = method.energy()
        if label != NO_LABEL:
            energy = mixed(method, ((label, 1 + request.guidance),))
        parts.append(on_energy(method, energy, part, generator))
        z[of] = parts[-1].position
    return joined(z, parts)


def mixed(method: Method, mixture: Sequence[tuple[int, float]]) -> Energy:
    """E(x) + Σ weight (E(x | label) − E(x)), of (label, weight)."""
    weights = [weight for _, weight in mixture]
    parts = [method.conditional_energy(label) for label, _ in mixture]
    if (rest := 1 - sum(weights)) != 0:
        return Sum([*parts, method.energy()], [*weights, rest])
    return Sum(parts, weights)


def on_energy(
    method: Method, energy: Energy, request: SampleRequest, generator: torch.Generator
) -> Drawn:
    """The same of another energy of standardised positions; labels and guidance have no effect.

    Where neither a sampler nor steps nor a start are asked for: exactly, where at most two real
    coordinates or few enough states are to be drawn; beyond, of points, by importance sampling
    with a check; of images as training draws them. Else, and for whatever else there is, by
    chains. Raises BadInput where an annealed sampler has too few steps for a pass.
    """
    data = method.task.data
    known = request.known if request.mask is not None else None
    if not _asks_no_chains(method, request):
        return _by_chains(method, energy, request, generator)
    sampler = method.sampler()
    if sampler is not None and sampler.temperature != 1:
        energy = Sum([energy], [1 / sampler.temperature])
    free = cell_sampling.Free(energy, data, known, request.mask if known is not None else None)
    if cell_sampling.takes(free):
        return _exactly(free, request.num, generator)
    is_point = data.num_values is None and len(data.event_shape) == 1
    if is_point and data.event_shape.numel() <= weighted_sampling.MAX_COORDINATES:
        if known is None:
            return _weighted(energy, data, request.num, generator)
        return _from_neighbours(free, generator)
    return _by_chains(method, energy, request, generator)


def _asks_no_chains(method: Method, request: SampleRequest) -> bool:
    """True where the way is left open, by a method that is trained: others are chains by nature."""
    asked = (request.sampler, request.num_steps, request.start)
    return method.trains and all(value is None for value in asked)


def _exactly(free: cell_sampling.Free, num: int, generator: torch.Generator) -> Drawn:
    drawn = cell_sampling.drawn(free, num, generator)
    if free.data.num_values is not None:
        return Drawn(drawn.position, "exactly, from all states")
    caveat = ""
    if drawn.edge_mass >= cell_sampling.EDGE:
        caveat = (
            f"{drawn.edge_mass:.1%} of the mass lies at the very edge of the box around the data: "
            f"the energy does not fall off, so exp(−E) has no normaliser, {NO_SAMPLE}"
        )
    elif not drawn.weight_ess >= cell_sampling.ENOUGH:
        caveat = (
            f"the energy changes within the finest cells (only {drawn.weight_ess:.0%} of the "
            f"weights count), {NO_SAMPLE}"
        )
    figures = {"weight_ess": drawn.weight_ess, "edge_mass": drawn.edge_mass}
    return Drawn(drawn.position, "exactly, by cells refined where the mass is", caveat, figures)


def _weighted(energy: Energy, data: Data, num: int, generator: torch.Generator) -> Drawn:
    drawn = weighted_sampling.drawn(energy, data, num, generator)
    figures = {"weight_ess": drawn.weight_ess, "drift": drawn.drift}
    how = "by importance sampling from a mixture fitted to the data"
    caveat = ""
    if drawn.r_hat is not None:
        how = "by populations tempered from a mixture fitted to the data"
        figures["r_hat"] = drawn.r_hat
    if not drawn.falls_off:
        caveat = (
            "the energy falls on and on away from the data, so exp(−E) has no normaliser, "
            f"{NO_SAMPLE}"
        )
    elif drawn.missed:
        caveat = f"the energy has mass elsewhere that these draws do not reach, {NO_SAMPLE}"
    elif not drawn.weight_ess >= weighted_sampling.BELIEVED:
        caveat = f"only {drawn.weight_ess:.1%} of the weights count, {NO_SAMPLE}"
    elif drawn.r_hat is not None and not drawn.r_hat <= MIXED:
        caveat = f"populations apart disagree (R-hat {drawn.r_hat:.2f}), {NO_SAMPLE}"
    elif not abs(drawn.drift) <= weighted_sampling.DRIFT:
        caveat = (
            f"their mean energy moves on by {abs(drawn.drift):.0f} standard errors, {NO_SAMPLE}"
        )
    return Drawn(drawn.position, how, caveat, figures)


def _from_neighbours(free: cell_sampling.Free, generator: torch.Generator) -> Drawn:
    """Hamiltonian moves of what is free, from the training event nearest in what is known."""
    assert free.known is not None
    known, train = free.known.flatten(1), free.data.train.flatten(1)
    held = torch.ones(known.shape[1], dtype=torch.bool, device=known.device)
    held[free.places] = False
    nearest = torch.cat(
        [torch.cdist(part, train[:, held]).argmin(1) for part in known[:, held].split(1000)]
    )
    laws = torch.arange(len(known), device=known.device)
    start = train[nearest][:, free.places]
    energy = OfFree(free, laws)
    values, log_step, _ = weighted_sampling.moved(energy, start, generator, MOVES, math.log(0.3))
    values, _, _ = weighted_sampling.moved(energy, values, generator, MOVES, log_step)
    how = f"by {2 * MOVES} Hamiltonian moves from the nearest training events, mixed or not"
    return Drawn(free.events(laws, values), how)


def _by_chains(
    method: Method, energy: Energy, request: SampleRequest, generator: torch.Generator
) -> Drawn:
    """`num` chains of the sampler asked for, else of training's, else the default one; from noise
    unless a start is given."""
    held = request.mask is not None and request.known is not None
    kernel = request.sampler or method.sampler() or default_sampler(method.task.data)
    if request.mask is not None and request.known is not None:
        if isinstance(energy, DiscreteEnergy):
            energy = PinnedValues(energy, request.known, request.mask)
            if kernel.fits(energy):  # blocks are not known of what is left
                kernel = GibbsWithGradients(GibbsWithGradientsConfig())
        else:
            energy = Pinned(energy, request.known, request.mask)
    position, begun = request.start, "a given start"
    if position is None:
        position, begun = method.task.data.noise(request.num, generator), "noise"
    num_steps = DEFAULT_STEPS if request.num_steps is None else request.num_steps
    how = f"by {num_steps:,} steps of {type(kernel.config).title} from {begun}"
    if kernel.anneals:
        return Drawn(_passed(kernel, energy, position, num_steps, request, generator), how)
    half = num_steps // 2
    chains = run_chains(
        kernel,
        energy,
        position,
        num_steps,
        generator,
        keep_last=half,
        keep_every=max(1, half // DIAGNOSED),
        keep_chains=DIAGNOSED,
    )
    z = chains.position.detach()
    if request.mask is not None and request.known is not None:
        z = torch.where(request.mask, request.known, z)
    # where each chain has a law of its own, or hardly moved, nothing can be compared
    if held or len(chains.path) < LEAST_DRAWS or len(z) < 2:
        return Drawn(z, how)
    hat = diagnose(chains).r_hat
    caveat = "" if hat <= MIXED else f"the chains have not mixed (R-hat {hat:.3g}), {NO_SAMPLE}"
    return Drawn(z, how, caveat, {"r_hat": hat})


def _passed(
    kernel: Sampler,
    energy: Energy,
    position: Tensor,
    num_steps: int,
    request: SampleRequest,
    generator: torch.Generator,
) -> Tensor:
    """Draws of the last pass of a sampler that anneals. Raises BadInput where none ends."""
    state = kernel.init(position, energy, generator)
    passed = Pass(position)
    for _ in range(num_steps):
        state, info = kernel.step(state, energy, generator)
        passed.take(state.position, info)
    if not bool(passed.ended):
        raise BadInput.at(
            "num_steps",
            f"must be larger: a pass of {type(kernel.config).title} from a wide "
            f"law to the target takes more than {num_steps} steps.",
        )
    z = passed.drawn(request.num, generator)
    if request.mask is not None and request.known is not None:
        z = torch.where(request.mask, request.known, z)
    return z
