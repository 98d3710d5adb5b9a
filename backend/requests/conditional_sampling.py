"""Samples as a person asks for them: the way a method draws, or by chains where it has none."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backend.energies import NO_LABEL
from backend.energy import Energy
from backend.errors import BadInput
from backend.method import Method, SampleRequest
from backend.samplers import Pass, default_sampler

DEFAULT_STEPS = 1000


class Pinned(Energy):
    """E(x) with the coordinates under the mask held at what is known.

    As a function of the others it is the energy of p(others | known), up to its normaliser.
    """

    def __init__(self, energy: Energy, known: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.energy, self.known, self.mask = energy, known, mask

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(torch.where(self.mask, self.known, x), condition)


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


def draw(method: Method, request: SampleRequest, generator: torch.Generator) -> Tensor:
    """Samples (num, *event_shape), standardised: the method's own way, or by chains.

    Raises BadInput for what `refusal` names.
    """
    if problem := refusal(method, request):
        raise BadInput.at(*problem)
    drawn = method.draw(request, generator)
    return by_chains(method, request, generator) if drawn is None else drawn


def by_chains(method: Method, request: SampleRequest, generator: torch.Generator) -> Tensor:
    """`num` chains on the method's energy, from noise unless a start is given.

    Of a class on its conditional energy, class after class, with guidance on
    (1 + w) E(x | label) − w E(x). Known coordinates are held: the chains then follow
    p(others | known).
    """
    if request.mixture:
        return on_energy(method, mixed(method, request.mixture), request, generator)
    if request.labels is None:
        return on_energy(method, method.energy(), request, generator)
    data = method.task.data
    z = data.train.new_empty((request.num, *data.event_shape))
    for label in request.labels.unique().tolist():
        of = request.labels == label
        part = request.rows(of)
        energy = method.energy()
        if label != NO_LABEL:
            energy = mixed(method, ((label, 1 + request.guidance),))
        z[of] = on_energy(method, energy, part, generator)
    return z


def mixed(method: Method, mixture: Sequence[tuple[int, float]]) -> Energy:
    """E(x) + Σ weight (E(x | label) − E(x)), of (label, weight)."""
    weights = [weight for _, weight in mixture]
    parts = [method.conditional_energy(label) for label, _ in mixture]
    if (rest := 1 - sum(weights)) != 0:
        return Sum([*parts, method.energy()], [*weights, rest])
    return Sum(parts, weights)


def on_energy(
    method: Method, energy: Energy, request: SampleRequest, generator: torch.Generator
) -> Tensor:
    """The same on another energy of standardised positions; labels and guidance have no effect.

    Raises BadInput where an annealed sampler has too few steps for a pass.
    """
    if request.mask is not None and request.known is not None:
        energy = Pinned(energy, request.known, request.mask)
    kernel = request.sampler or method.sampler() or default_sampler(method.task.data)
    position = request.start
    if position is None:
        position = method.task.data.noise(request.num, generator)
    num_steps = DEFAULT_STEPS if request.num_steps is None else request.num_steps
    state = kernel.init(position, energy, generator)
    passed = Pass(position) if kernel.anneals else None
    for _ in range(num_steps):
        state, info = kernel.step(state, energy, generator)
        if passed is not None:
            passed.take(state.position, info)
    z = state.position.detach()
    if passed is not None:
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
