"""Observer: one thing that is seen of a run while it trains, such as its landscape or its quality.

A file in `backend/observers/` with one subclass adds one; a method names those that observe it in
`Method.observers`, in the order in which they are asked. One that is to be drawn from nothing but
what others draw too needs no more than `measure`:

    class Temperature(Observer):
        id = "temperature"

        def measure(self, context: Context) -> Iterable[Event]:
            yield Scalar("sampler/temperature", self.subject.temperature)

Observing changes no number of the training: all randomness comes from the context's generators,
modules are in evaluation mode, no graph is built, and what ∇E costs here is not counted.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy.typing as npt

from backend.events import Event, Scalar
from backend.observe.context import Context, Subject


@dataclass(frozen=True)
class Evaluation:
    """The final word of an observer on a run."""

    figures: Mapping[str, float] = field(default_factory=dict)
    """by path; they stand in the run's metrics"""
    events: Sequence[Event] = ()
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """by name; they go into the file of final samples, in the user's units"""


class Observer(ABC):
    """Base of every observer. All four methods are optional; each says the events it sees.

    One object observes one run from begin to end: what it must remember is kept as attributes,
    and lost when the run is resumed.
    """

    id: ClassVar[str]
    needs_energy: ClassVar[bool] = False
    """True where nothing is seen of a method without an energy: it is then left out"""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def begin(self, context: Context) -> Iterable[Event]:
        """Events that never change, before the first step and each time a run is resumed; said
        only the first time."""
        return ()

    def watch(self, context: Context) -> Iterable[Event]:
        """Events of the moving picture, about every 0.2 s: some milliseconds at most."""
        return ()

    def measure(self, context: Context) -> Iterable[Event]:
        """Figures, as Scalars, and what is dear to draw, about every 3 s; the loop stretches that
        where all observers together would take more than their share of the run."""
        return ()

    def evaluate(self, context: Context) -> Evaluation:
        """The final word, once when training is done.

        By default that of `measure`, whose context then has more samples: its Scalars are figures.
        """
        events = list(self.measure(context))
        return Evaluation(
            {event.path: event.value for event in events if isinstance(event, Scalar)},
            [event for event in events if not isinstance(event, Scalar)],
        )
