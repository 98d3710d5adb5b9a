"""Ability: something a trained run can be asked. One file in `backend/abilities/` adds one.

Its Config is the form of the Studio page, the options of `basin ask` and the check of both; a
RunSpec may name it among its `questions`, which are answered when the training is done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy.typing as npt
import torch

from backend.config import Config
from backend.data import Data
from backend.events import Event
from backend.method import Method

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Asked:
    """A trained run that is asked, its modules in evaluation mode."""

    method: Method
    data: Data
    """standardised, on the method's device"""
    seed: int
    """the run's; questions draw from generators of their own"""
    load: Callable[[str], Asked] | None = None
    """another run by its id, for questions about several; raises BadInput or NotAvailable"""


@dataclass(frozen=True)
class Answer:
    """Result of an ability. Positions and images are in the user's units."""

    summary: str
    """one or two sentences with the figures that matter, for a person"""
    figures: dict[str, float] = field(default_factory=dict)
    """by short name; `<name>/floor` and `<name>/<baseline>` stand beside a figure"""
    arrays: dict[str, Array] = field(default_factory=dict)
    """kept as .npz: `x`, `energy`, `label`, ..."""
    events: tuple[Event, ...] = ()
    """pictures and tables, as a run says them"""
    caveat: str = ""
    """why its samples are none of the law they are of; "" where nothing speaks against it"""


class Ability(ABC):
    """Base of every ability: stateless, asked through classmethods."""

    id: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    """one sentence: what is asked and what comes back"""
    order: ClassVar[int] = 9
    """place among what a run can be asked: what models that can be asked it are for comes first"""
    references: ClassVar[str] = ""
    needs_energy: ClassVar[bool] = False
    """True where nothing can be said of a method that has no energy of positions"""
    needs_density: ClassVar[bool] = False
    """True where the answer means what it says of an energy alone that is a density's; of others it
    ends with `Method.not_a_density`"""
    to_choose: ClassVar[tuple[str, ...]] = ()
    """fields whose default need not fit: what is wrong with it speaks against no question"""
    Config: ClassVar[type[Config]]

    @classmethod
    def samples(cls, config: Any) -> tuple[str, ...]:
        """Name the arrays of its answer that hold samples (..., *event_shape), in the user's units:
        each can be kept as a sample set."""
        return ()

    @classmethod
    @abstractmethod
    def problems(cls, asked: Asked, config: Any) -> Iterable[tuple[str, str]]:
        """(field, sentence) for everything that makes no sense to ask of this run, and why."""

    @classmethod
    @abstractmethod
    def answer(cls, asked: Asked, config: Any, generator: torch.Generator) -> Answer:
        """The answer, from `generator` alone. Called only where `problems` finds none."""
