"""Associative memories: patterns are stored in one step, then recalled from damaged cues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies.associative import AssociativeEnergy, ModernHopfieldEnergy
from backend.energy import Energy
from backend.events import Event, Scalar, Table
from backend.method import Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.observe import pictures
from backend.requests.retrieval import (
    MOST_SWEEPS,
    RETRIEVED,
    Memory,
    RetrievingMethod,
    Storage,
    Update,
)
from backend.spec import Budget

NUM_SHOWN = 16
NUM_BINS = 41
MOST_STORED = 200_000_000
"""Numbers that a memory stores at most."""


class AssociativeMemoryConfig(Config):
    memory: Literal["power", "exponential", "modern"] = option(
        "power",
        "How overlaps with what is stored count: to a power (2 is Hopfield's), exponentially, or "
        "as the modern memory of real numbers.",
        main=True,
        group="Memory",
    )
    power: int = option(3, "n, the power of the overlaps.", ge=2, le=16, main=True, group="Memory")
    sharpness: float = option(
        1.0,
        "β of the modern memory: the larger, the more one pattern alone is recalled.",
        gt=0,
        le=1000,
        log=True,
        group="Memory",
    )
    num_patterns: int | None = option(
        None,
        "Patterns stored, drawn at random from the data; empty takes all.",
        ge=1,
        le=1_000_000,
        main=True,
        group="Storage",
    )
    storage: Storage = option(
        "patterns",
        "What is stored: patterns themselves, or by Hebb's rule noisy examples of each, averaged "
        "(supervised) or one by one (unsupervised).",
        main=True,
        group="Storage",
    )
    num_examples: int = option(
        20, "M, noisy examples of each pattern.", ge=1, le=10_000, main=True, group="Storage"
    )
    quality: float = option(
        0.5,
        "r: a bit of an example is right with probability (1 + r) / 2.",
        gt=0,
        le=1,
        main=True,
        group="Storage",
    )
    threshold: float = option(
        0.5,
        "Share of the range of the data's values above which a pixel is a bit that is on.",
        gt=0,
        lt=1,
        group="Storage",
    )
    update: Update = option(
        "asynchronous",
        "One bit after the other, by the exact energy; or all at once by mean fields.",
        group="Retrieval",
    )
    temperature: float = option(
        0.0,
        "T of the updates; 0 always goes down.",
        ge=0,
        le=100,
        turnable=True,
        main=True,
        group="Retrieval",
    )
    turned: float = option(
        0.25,
        "Chance of each bit of a cue to be turned; of the modern memory the standard deviation of "
        "the noise, in data sd.",
        ge=0,
        le=1,
        main=True,
        group="Retrieval",
    )
    num_cues: int = option(64, "Cues recalled side by side.", ge=1, le=4096, group="Retrieval")

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.memory != "modern":
            notes["sharpness"] = "No effect: only the modern memory has one."
        else:
            idle = ("storage", "num_examples", "quality", "threshold", "update", "temperature")
            words = "No effect: the modern memory stores real numbers as they are."
            notes |= dict.fromkeys(idle, words)
        if self.memory != "power":
            notes["power"] = "No effect: overlaps count exponentially."
        if self.storage == "patterns":
            words = "No effect: patterns are stored as they are."
            notes |= dict.fromkeys(("num_examples", "quality"), words)
        return notes


class OfPixels(Energy):
    """An energy of spins read as one of pixels from `low` to `high`, and of what is between."""

    def __init__(self, energy: AssociativeEnergy, low: float, high: float) -> None:
        super().__init__()
        self.energy, self.low, self.high = energy, low, high

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        spins = 2 * (x.flatten(1) - self.low) / (self.high - self.low) - 1
        return self.energy.of_spins(spins)


class AssociativeMemory(RetrievingMethod):
    """Patterns are minima of E(s) = −(N/n) Σ_a (v_a · s / N)^n, and retrieval goes down to one.

    Hopfield 1982 (n = 2), Krotov & Hopfield 2016 (n), Demircigil et al. 2017 (exponential),
    Ramsauer et al. 2021 (modern), Agliari et al. 2022 (noisy examples).
    """

    id = "associative_memory"
    title = "Associative memory"
    summary = (
        "Stores patterns in one step and recalls them from damaged cues, sweep by sweep: Hopfield, "
        "dense, exponential and modern memories, from patterns or noisy examples of them."
    )
    references = "Hopfield 1982; Krotov & Hopfield 2016; Ramsauer et al. 2021; Agliari et al. 2022"
    url = "https://arxiv.org/abs/1606.01164"
    Config = AssociativeMemoryConfig
    follows_gradient = False
    takes_discrete = True
    trains = False
    purpose = "learn"
    not_a_density = (
        "An associative memory's energy is low at what it stores; it says nothing of how likely "
        "other data are."
    )
    headline: ClassVar[tuple[str, ...]] = (
        "memory/overlap",
        "memory/retrieved",
        "energy/model",
        "memory/changed",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "memory/overlap": Figure(
            "Overlap with the pattern", better="higher", help="1 is the pattern, 0 is chance."
        ),
        "memory/retrieved": Figure(
            "Patterns retrieved",
            "share",
            better="higher",
            help="Those whose overlap is above 0.95.",
        ),
        "memory/changed": Figure("Bits changed in a sweep", "share"),
        "memory/load": Figure("Load: patterns over bits"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Power 3: 40 random patterns of 64 bits.",
            {},
            Budget(steps=12),
            data={"name": "random_patterns"},
        ),
        "hopfield": Preset(
            "Hopfield's memory, which holds one pattern for every eight bits or so.",
            {"power": 2, "num_patterns": 6, "turned": 0.1},
            Budget(steps=12),
            data={"name": "random_patterns"},
        ),
        "exponential": Preset(
            "Overlaps count exponentially: thousands of patterns in 64 bits.",
            {"memory": "exponential"},
            Budget(steps=12),
            data={"name": "random_patterns", "num_patterns": 5000},
        ),
        "hebbian": Preset(
            "80 noisy examples of each of 30 patterns, averaged, fourth power.",
            {"power": 4, "storage": "supervised", "num_examples": 80, "quality": 0.3},
            Budget(steps=12),
            data={"name": "random_patterns", "rows": 14, "columns": 14, "num_patterns": 30},
        ),
        "digits": Preset(
            "60 handwritten digits in black and white.",
            {"memory": "exponential", "num_patterns": 60},
            Budget(steps=12),
            data={"name": "digits"},
        ),
        "modern": Preset(
            "Real pixels, recalled in one step of attention.",
            {"memory": "modern", "num_patterns": 200, "turned": 0.5, "sharpness": 4.0},
            Budget(steps=4),
            data={"name": "digits"},
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "own_events")
    config: AssociativeMemoryConfig

    def __init__(self, config: AssociativeMemoryConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        order = torch.randperm(len(data.train), generator=self.generator, device=task.device)
        x = data.train[order[: config.num_patterns]]
        self.patterns = self.states_of(x)
        if (kind := self.kind) is None:
            self.law = ModernHopfieldEnergy(self.patterns, config.sharpness)
        else:
            vectors = kind.vectors(self.patterns, self.generator)
            self.law = AssociativeEnergy(vectors, kind.power, data.event_shape)
        self.which = torch.arange(config.num_cues, device=task.device) % len(self.patterns)
        """(num_cues,) the pattern that each is a cue of"""
        self.cues = self.damaged(self.patterns[self.which], config.turned, self.generator)
        self.states = self.cues.clone()

    @classmethod
    def problems(cls, config: AssociativeMemoryConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.memory == "modern":
            if data.num_values is not None:
                yield "memory", "must be another: the modern memory is for real numbers."
        elif data.num_values not in (None, 2):
            yield "data.name", f"must hold bits, and {data.title!r} has more values than two."
        elif data.num_values is None and not data.is_image:
            yield (
                "memory",
                "must be `modern` for real numbers that are no pixels; only images are made black "
                "and white.",
            )
        elif data.num_values == 2 and config.threshold != 0.5:
            yield "threshold", "must be 0.5 where the data are bits, which need none."
        num = len(data.train)
        if config.num_patterns is not None and config.num_patterns > num:
            yield "num_patterns", f"must be ≤ {num:,}, the data's rows, got {config.num_patterns}."
        stored = min(num, config.num_patterns or num) * data.event_shape.numel()
        if config.storage != "patterns" and stored * config.num_examples > MOST_STORED:
            yield (
                "num_examples",
                f"makes {stored * config.num_examples:,} bits of examples; {MOST_STORED:,} can be "
                "had. Take fewer, or fewer patterns.",
            )

    @property
    def kind(self) -> Memory | None:
        config = self.config
        if config.memory == "modern":
            return None
        power = config.power if config.memory == "power" else None
        return Memory(power, config.storage, config.num_examples, config.quality)

    # ------------------------------------------------------------------ states

    def states_of(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        if self.config.memory == "modern":
            return flat
        low, high = self._range
        return torch.where(flat > low + self.config.threshold * (high - low), 1.0, -1.0)

    def positions_of(self, states: Tensor) -> Tensor:
        shape = (len(states), *self.task.data.event_shape)
        if self.config.memory == "modern":
            return states.reshape(shape)
        low, high = self._range
        return (low + (high - low) * (states + 1) / 2).reshape(shape)

    @property
    def _range(self) -> tuple[float, float]:
        """The least and the greatest value of bits or pixels, standardised."""
        data = self.task.data
        if data.num_values is not None or data.image_range is None:
            return 0.0, 1.0
        low, high = data.standardise(torch.tensor(data.image_range)).tolist()
        return low, high

    # ------------------------------------------------------------------ a step

    @torch.no_grad()
    def step(self, progress: float) -> dict[str, Tensor]:
        before = self.states
        self.states = self.swept(before, self.generator)
        overlap = self.similar(self.states, self.patterns[self.which])
        return {
            "memory/overlap": overlap.mean(),
            "memory/retrieved": (overlap > RETRIEVED).float().mean(),
            "memory/changed": (self.states != before).float().mean(),
            "energy/model": self.energies(self.states).mean(),
            "energy/data": self.energies(self.patterns[: len(self.which)]).mean(),
        }

    def energy(self) -> Energy:
        if isinstance(self.law, ModernHopfieldEnergy) or self.task.data.num_values is not None:
            return self.law
        return OfPixels(self.law, *self._range)

    @torch.no_grad()
    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """States at rest that retrieval reaches from noise, or from `start`; None where a part is
        known, or another sampler is asked for."""
        if request.sampler is not None or request.mask is not None:
            return None
        start = request.start
        x = self.task.data.noise(request.num, generator) if start is None else start
        states = self.states_of(x)
        most = MOST_SWEEPS if request.num_steps is None else request.num_steps
        for _ in range(most):
            states = self.swept(states, generator)
        return self.positions_of(states)

    # ------------------------------------------------------------------ looks

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        pattern = self.patterns[self.which]
        before, now = self.similar(self.cues, pattern), self.similar(self.states, pattern)
        return {
            "memory/overlap": float(now.mean()),
            "memory/overlap/cue": float(before.mean()),
            "memory/retrieved": float((now > RETRIEVED).float().mean()),
        }

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Overlaps of cues before and now, and the first of them as pictures and in figures."""
        pattern = self.patterns[self.which]
        before, now = self.similar(self.cues, pattern), self.similar(self.states, pattern)
        yield Scalar("memory/load", len(self.patterns) / self.patterns.shape[1])
        sets = {"noise": before, "train_time": now}
        yield pictures.histogram("memory/overlaps", sets, NUM_BINS, "overlap")
        rows = {"stored": pattern, "cue": self.cues, "state": self.states}
        for name, states in rows.items():
            x = self.positions_of(states[:NUM_SHOWN])
            picture = pictures.cloud(
                f"memory/{name}",
                self.task.data,
                x,
                "data" if name == "stored" else "train_time",
                num_dots=NUM_SHOWN,
                num_cells=NUM_SHOWN,
            )
            if picture is not None:
                yield picture
        energies = [self.energies(states[:NUM_SHOWN]).tolist() for states in rows.values()]
        figures = zip(
            self.which[:NUM_SHOWN].tolist(),
            before[:NUM_SHOWN].tolist(),
            now[:NUM_SHOWN].tolist(),
            *energies,
            strict=True,
        )
        yield Table(
            "memory/cues",
            ["pattern", "cue", "now", "E of pattern", "E of cue", "E now"],
            [list(each) for each in figures],
        )
