"""Samples as a person asks for them, for every method that has no way of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.energies import NO_LABEL
from backend.energy import Energy
from backend.errors import BadInput
from backend.method import Method, Wish
from backend.samplers import Pass

DEFAULT_STEPS = 1000


class Pinned(Energy):
    """E(x) with the coordinates under the mask held at what is known.

    As a function of the others it is the energy of p(others | known), up to its normaliser.
    """

    def __init__(self, energy: Energy, known: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.energy, self.known, self.mask = energy, known, mask

    def forward(self, x: Tensor, condition: object = None) -> Tensor:
        return self.energy(torch.where(self.mask, self.known, x), condition)


def refusal(method: Method, wish: Wish) -> tuple[str, str] | None:
    """(field, sentence) about what the method cannot draw; None when it can."""
    labelled = wish.labels is not None and bool((wish.labels != NO_LABEL).any())
    if method.num_labels == 0:
        for field, asked in (("label", labelled), ("guidance", wish.guidance != 0),
                             ("mixture", bool(wish.mixture))):  # fmt: skip
            if asked:
                return field, f"{method.title} was trained without classes, so it knows none."
    if wish.time is not None:
        return "time", f"{method.title} has no time of its own; give `num_steps`."
    return None


def draw(method: Method, wish: Wish, generator: torch.Generator) -> Tensor:
    """`num` chains on the method's energy, from noise unless a start is given.

    Known coordinates are held: the chains then follow p(others | known).
    """
    from backend.observation import default_sampler

    if said := method.refusal(wish):
        raise BadInput.at(*said)
    energy = method.energy()
    if wish.mask is not None and wish.known is not None:
        energy = Pinned(energy, wish.known, wish.mask)
    kernel = wish.sampler or method.sampler() or default_sampler()
    position = wish.start
    if position is None:
        position = method.task.data.noise(wish.num, generator)
    num_steps = DEFAULT_STEPS if wish.num_steps is None else wish.num_steps
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
                "num_steps", f"must be larger: a pass of {type(kernel.config).title} from a wide "
                f"law to the target takes more than {num_steps} steps.",
            )  # fmt: skip
        z = passed.drawn(wish.num, generator)
    if wish.mask is not None and wish.known is not None:
        z = torch.where(wish.mask, wish.known, z)
    return z
