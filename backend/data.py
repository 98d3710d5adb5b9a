"""Data: what a method fits, standardised for it, and the way back to the user's units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.config import KindConfig
from backend.energy import Energy, InUnits
from backend.errors import BadInput
from backend.truth import Future, Truth

Draw = Callable[[int, torch.Generator], Tensor]

CONCEPTS = "concepts"
"""Name in `Data.given` of what is known of each row as 0 or 1."""
MARGIN = 0.25
"""Reach of the noise box of points beyond the data on each side, in ranges of the data."""


def noise_box(z: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high corner (dim,) of the range of standardised z (num, dim), widened by MARGIN."""
    low, high = z.amin(0), z.amax(0)
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


class Rows(NamedTuple):
    """Some rows of the data and what is known of each."""

    x: Tensor
    """(num, *event_shape), standardised"""
    label: Tensor | None
    """(num,) int64; None where the data have no labels"""
    given: Mapping[str, Tensor]
    """(num, ...) by name, as `Data.given`"""


@dataclass(frozen=True)
class Data:
    """Training and held-out positions in standardised units, and what is known of their law.

    z = (x - mean) / scale, elementwise over the event; `restore` undoes it. Methods see z alone;
    everything shown to a person or written to a file is in the user's units x.
    """

    name: str
    title: str
    train: Tensor
    """(num, *event_shape) float32, standardised"""
    held_out: Tensor
    """(num, *event_shape) float32, standardised; never trained on"""
    mean: Tensor
    """broadcasts over the event; float64, as `scale` is, of points from files"""
    scale: Tensor
    """broadcasts over the event, > 0"""
    noise_low: Tensor
    """(*event_shape), standardised: the box that chains started from noise are drawn from"""
    noise_high: Tensor
    density: Energy | None = None
    """-log p(x), normalised, of x in the user's units; None where it is not known"""
    target: Energy | None = None
    """an energy to sample whose normaliser is not known, of x in the user's units; for data that
    are a target and have no `density`"""
    truth: Truth | None = None
    """what is known of `density` or `target`; None where nothing is"""
    num_values: int | None = None
    """events hold 0, 1, ... num_values - 1, with mean 0 and scale 1; None: real numbers"""
    draw: Draw | None = None
    """fresh exact draws (num, *event_shape) in the user's units; None where there are none"""
    uniform: Draw | None = None
    """uniform draws of what is possible at all, where whole numbers are bound to one another; None
    where any value may go with any"""
    modes: Tensor | None = None
    """(num_modes, dim) in the user's units"""
    mode_sd: float | None = None
    image_range: tuple[float, float] | None = None
    """(black, white) in the user's units when events are images, else None"""
    labels: Tensor | None = None
    """(num,) int64 of `train`, 0, 1, ... num_labels - 1"""
    held_out_labels: Tensor | None = None
    """(num,) int64 of `held_out`"""
    label_names: tuple[str, ...] = ()
    """one name a label; empty where their numbers say it all"""
    feature_space: str = ""
    """a classifier shipped for these data, in whose features images are compared; "" for none"""
    alphabet: tuple[str, ...] = ()
    """the character that each value stands for, where events are text"""
    entropy_rate: float | None = None
    """bits of a value of a sequence, all before it known; None where nobody knows"""
    columns: tuple[str, ...] = ()
    """names of the coordinates, where the file gives them"""
    notes: tuple[str, ...] = ()
    """what was made of the file, and what of it cannot be learned: sentences without a full stop"""
    given: Mapping[str, Tensor] = field(default_factory=dict)
    """(num, ...) by name: what is known of each row of `train` beside x, such as `context`,
    `concepts`, `environment` or `mask`. Real numbers of the event's shape are an event too,
    standardised as x is; all else is in units of the data set's own"""
    held_out_given: Mapping[str, Tensor] = field(default_factory=dict)
    """the same of `held_out`, under the same names"""
    future: Future | None = None
    """what is known of what follows a `context`; None where nothing is"""
    concept_names: tuple[str, ...] = ()
    """one name for each of the `concepts` (num, num_concepts) that are given, each 0 or 1"""

    @property
    def event_shape(self) -> torch.Size:
        return self.train.shape[1:]

    @property
    def num_labels(self) -> int:
        """Classes that the data come in; 0 where they have no labels."""
        if self.label_names or self.labels is None:
            return len(self.label_names)
        return int(self.labels.max()) + 1

    @property
    def is_image(self) -> bool:
        return self.image_range is not None

    def standardise(self, x: Tensor) -> Tensor:
        if self.mean.dtype == torch.float64:
            return ((x - self.mean.to(x.device)) / self.scale.to(x.device)).to(x.dtype)
        return (x - self.mean.to(x)) / self.scale.to(x)

    def restore(self, z: Tensor) -> Tensor:
        """Positions in the user's units: float64 where `mean` is, as an offset may need it."""
        if self.mean.dtype == torch.float64:
            return z * self.scale.to(z.device) + self.mean.to(z.device)
        return z * self.scale.to(z) + self.mean.to(z)

    def in_units(self, energy: Energy) -> Energy:
        """An energy of standardised positions read as one of positions in the user's units."""
        if self.num_values is not None:  # the same positions, and samplers read the values off it
            return energy
        return InUnits(energy, self.mean, self.scale)

    def rescaled(self, standards: Mapping[str, Any]) -> Data:
        """The same positions standardised as they were before: by `mean` and `scale`, and with
        `noise_low` and `noise_high` where they are given, as plain numbers.

        Raises BadInput where those were of another shape.
        """
        new = {
            name: torch.tensor(value, dtype=getattr(self, name).dtype)
            for name, value in standards.items()
        }
        if any(value.dim() and value.shape != self.event_shape for value in new.values()):
            now, then = tuple(self.event_shape), tuple(new["mean"].shape)
            sentence = f"has events of shape {now} now; the run was trained on such of {then}."
            raise BadInput.at("data", sentence)
        if all(torch.equal(value, getattr(self, name).to(value)) for name, value in new.items()):
            return self
        mean, scale = new["mean"], new["scale"]

        def again(z: Tensor) -> Tensor:
            return ((self.restore(z) - mean) / scale).to(z.dtype)

        events = ("train", "held_out", "noise_low", "noise_high")
        fields: dict[str, Any] = {name: again(getattr(self, name)) for name in events}
        for name in ("given", "held_out_given"):
            fields[name] = {
                key: again(value) if key != CONCEPTS and self.is_event(value) else value
                for key, value in getattr(self, name).items()
            }
        return replace(self, **{**fields, **new})

    def is_event(self, value: Tensor) -> bool:
        """True for rows (num, ...) of `given` that are events themselves, such as noisy images."""
        return value.is_floating_point() and value.shape[1:] == self.event_shape

    def rows(self, index: Tensor | slice) -> Rows:
        """The training rows at `index` ((num,) int64 or a slice) with all that is known of each."""
        return _rows(self.train, self.labels, self.given, index)

    def held_out_rows(self, index: Tensor | slice) -> Rows:
        """The held-out rows at `index` with all that is known of each."""
        return _rows(self.held_out, self.held_out_labels, self.held_out_given, index)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """`size` training positions drawn with replacement, (size, *event_shape)."""
        return self.train.index_select(0, self.indices(size, generator))

    def indices(self, size: int, generator: torch.Generator) -> Tensor:
        """`size` places in `train` (and `labels`), drawn with replacement."""
        device = self.train.device
        return torch.randint(len(self.train), (size,), generator=generator, device=device)

    def noise(self, num: int, generator: torch.Generator) -> Tensor:
        """`num` uniform draws from the noise box, (num, *event_shape), standardised; uniform over
        the values, or over the events that are possible, where they are discrete."""
        if self.uniform is not None:
            return self.uniform(num, generator)
        uniform = torch.rand(
            (num, *self.event_shape), generator=generator, device=self.train.device
        )
        if self.num_values is not None:
            return (uniform * self.num_values).floor()
        return self.noise_low + uniform * (self.noise_high - self.noise_low)

    def noised(self, x: Tensor, noise_sd: float, generator: torch.Generator) -> Tensor:
        """Positions x (batch, *event_shape) with Gaussian noise; pixels are reflected back into
        their range, where the samples of models live."""
        if not noise_sd:
            return x
        x = x + noise_sd * torch.randn(x.shape, generator=generator, device=x.device)
        if self.is_image:
            low, high = self.noise_low, self.noise_high
            width = high - low
            x = high - ((x - low).remainder(2 * width) - width).abs()
        return x

    def to(self, device: torch.device) -> Data:
        moved: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, (Tensor, Energy)):
                moved[name] = value.to(device)
            elif isinstance(value, Mapping):
                moved[name] = {key: part.to(device) for key, part in value.items()}
        return replace(self, **moved)


def _rows(
    x: Tensor, labels: Tensor | None, given: Mapping[str, Tensor], index: Tensor | slice
) -> Rows:
    return Rows(
        x[index],
        None if labels is None else labels[index],
        {name: value[index] for name, value in given.items()},
    )


class Dataset(ABC):
    """A source of Data. A file in `backend/datasets/` may hold several; all are discovered."""

    is_target: ClassVar[bool] = False
    """True where an energy to sample is known: `density` or `target`"""
    has_gradient: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    is_image: ClassVar[bool] = False
    """True where events are images whatever the fields say"""
    gives: ClassVar[tuple[str, ...]] = ()
    """names of `Data.given`"""
    may_give: ClassVar[tuple[str, ...]] = ()
    """names of `Data.given` that are there where the field of that name is set"""
    for_samplers: ClassVar[bool] = False
    """True of a target that is there to be sampled, not to learn its draws"""

    Config: ClassVar[type[KindConfig]]
    """Its `kind` is the `name` that a RunSpec's `data` gives."""
    title: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def load(self) -> Data:
        """The data, on the CPU. Raises BadInput at a `data.…` field where a person can mend it."""

    def missing(self) -> str:
        """A sentence on what `load` has to download first; "" when all is here."""
        return ""

    def stand_in(self) -> Data:
        """Noise in the data's shape, to try settings on while the data are `missing`."""
        return self.load()
