"""Phase diagram of a memory: overlaps over load and noise, under the line of theory."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch

from backend.abilities import Cells, Problems
from backend.abilities.retrieve import kind_of, memory_of, random_memory_problems
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config, option
from backend.events import Field, Table
from backend.randomness import generator_of
from backend.requests.retrieval import (
    Cell,
    Memory,
    RetrievingMethod,
    critical_load,
    crosstalk_load,
    recalled,
)

Side = Literal["turned", "temperature", "quality", "examples"]
TITLES = {
    "turned": "bits turned",
    "temperature": "temperature",
    "quality": "quality of examples",
    "examples": "examples of each",
}
BORDER = 0.5
"""Overlap on either side of which a cell remembers or does not, where theory is judged."""
MOST_WORK = 2e10
"""Products of bits and patterns, over all cells, that are waited for."""


class PhaseConfig(Config):
    side: Side = option("turned", "What differs upwards; the load differs to the right.", main=True)
    most: float | None = option(
        None,
        "Where that ends: a share of bits, T, r or M; empty takes 0.45 of the bits, T = 1, r = 1 "
        "or M = 80.",
        gt=0,
        le=10_000,
        main=True,
    )
    most_patterns: int | None = option(
        None,
        "Where the load ends, in patterns; empty takes twice what crosstalk allows.",
        ge=2,
        le=1_000_000,
        main=True,
    )
    size: int | None = option(None, "Bits of the memories; empty takes the run's.", ge=8, le=1024)
    columns: int = option(10, "Cells to the right.", ge=2, le=40)
    rows: int = option(8, "Cells upwards.", ge=2, le=40)
    num: int = option(
        64, "Patterns recalled in each cell, of as many memories as it takes.", ge=4, le=10_000
    )


class PhaseAbility(Ability):
    """Mean overlap of random patterns with what is at rest, cell by cell.

    Theory: over temperature, of Hopfield's memory, the critical load of Amit, Gutfreund &
    Sompolinsky 1985 by its mean-field equations; over turned bits, where patterns themselves are
    stored, the load at which crosstalk leaves no bit wrong in one update. Where none is known there
    is no line. remembered: share of the cells with overlap 0.9 or more. agreement: share of those
    that have an overlap of half or more just where theory says so.
    """

    id = "phase"
    title = "Where it remembers"
    summary = "Overlaps after retrieval over the load and a noise, with theory where there is one."
    references = "Amit et al. 1985; Krotov & Hopfield 2016"
    to_choose = ("most_patterns",)
    Config: ClassVar[type[Config]] = PhaseConfig

    @classmethod
    def problems(cls, asked: Asked, config: PhaseConfig) -> Problems:
        if objections := [*random_memory_problems(asked, "side")]:
            yield from objections
            return
        memory = kind_of(asked)
        if config.side in ("quality", "examples") and memory.storage == "patterns":
            yield "side", "must be another: this run stores patterns, and no examples of them."
        limit = {"turned": 0.5, "quality": 1.0}.get(config.side)
        if limit is not None and config.most is not None and config.most > limit:
            yield "most", f"must be ≤ {limit:g} for `{config.side}`, got {config.most:g}."
        if config.most_patterns is None and memory.power is None:
            yield "most_patterns", "is needed: nothing bounds what an exponential memory holds."
            return
        work = config.num * sum(_loads(asked, config)) * _size(asked, config) * config.rows
        if memory.storage == "unsupervised":
            work *= memory.num_examples
        if work > MOST_WORK:
            yield (
                "num",
                f"takes {work:.1g} products of bits and patterns, of {MOST_WORK:.0g} at most. "
                "Take fewer cells, patterns or bits.",
            )

    @classmethod
    @torch.no_grad()
    def answer(cls, asked: Asked, config: PhaseConfig, generator: torch.Generator) -> Answer:
        method, memory, size = memory_of(asked), kind_of(asked), _size(asked, config)
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        loads, heights = _loads(asked, config), _heights(config)
        cells = [
            [
                _cell(method, memory, config, size, load, height, seed, (row, column))
                for column, load in enumerate(loads)
            ]
            for row, height in enumerate(heights)
        ]
        overlap = np.array([[cell.overlap for cell in row] for row in cells], np.float32)
        line = _theory(memory, config, size, heights)
        half_load = (loads[1] - loads[0]) / 2
        half_side = (heights[1] - heights[0]) / 2
        x_range = (loads[0] - half_load, loads[-1] + half_load)
        y_range = (heights[0] - half_side, heights[-1] + half_side)
        field = Field(
            "phase",
            overlap,
            x_range,
            y_range,
            quantity="overlap",
            axes=("patterns", TITLES[config.side]),
            line=line,
        )
        columns = [TITLES[config.side], *(f"{load:,} patterns" for load in loads)]
        rows: list[Cells] = [
            [height, *map(float, row)] for height, row in zip(heights, overlap, strict=True)
        ]
        remembered = float((overlap >= 0.9).mean())
        figures = {"remembered": remembered, "overlap": float(overlap.mean())}
        words = ""
        if line is not None:
            figures["theory"] = float(line[0, 0])
            border = np.interp(heights, line[:, 1], line[:, 0])
            below = np.array(loads)[None] <= border[:, None]
            figures["agreement"] = float(((overlap >= BORDER) == below).mean())
            words = (
                f" Theory puts the border at {line[0, 0]:.3g} patterns where it is "
                f"{line[0, 1]:.2g}."
            )
        summary = (
            f"{100 * remembered:.0f} % of the cells remember, up to {loads[-1]:,} patterns of "
            f"{size} bits and {heights[-1]:.3g} ({TITLES[config.side]}).{words}"
        )
        arrays: dict[str, Array] = {
            "overlap": overlap,
            "retrieved": np.array([[cell.retrieved for cell in row] for row in cells], np.float32),
            "loads": np.array(loads, np.int64),
            "heights": np.array(heights, np.float64),
        }
        return Answer(summary, figures, arrays, (field, Table("overlaps", columns, rows)))


def _size(asked: Asked, config: PhaseConfig) -> int:
    return asked.data.event_shape.numel() if config.size is None else config.size


def _loads(asked: Asked, config: PhaseConfig) -> list[int]:
    most = config.most_patterns
    if most is None:
        power = kind_of(asked).power
        assert power is not None
        most = math.ceil(2 * crosstalk_load(_size(asked, config), power))
    most = max(most, config.columns)
    return [round(most * (column + 1) / config.columns) for column in range(config.columns)]


def _heights(config: PhaseConfig) -> list[float]:
    usual = {"turned": 0.45, "temperature": 1.0, "quality": 1.0, "examples": 80.0}
    most = usual[config.side] if config.most is None else config.most
    if config.side in ("turned", "temperature"):  # both begin at none
        return [most * row / (config.rows - 1) for row in range(config.rows)]
    heights = [most * (row + 1) / config.rows for row in range(config.rows)]
    if config.side == "examples":
        return [float(max(round(each), 1)) for each in heights]
    return heights


def _cell(
    method: RetrievingMethod,
    memory: Memory,
    config: PhaseConfig,
    size: int,
    load: int,
    height: float,
    seed: int,
    place: tuple[int, int],
) -> Cell:
    settings = method.config
    if config.side == "quality":
        memory = memory._replace(quality=height)
    elif config.side == "examples":
        memory = memory._replace(num_examples=int(height))
    return recalled(
        memory,
        size,
        load,
        height if config.side == "turned" else settings.turned,
        height if config.side == "temperature" else settings.temperature,
        config.num,
        generator_of("phase", seed, *place, device=method.patterns.device),
        settings.update,
    )


def _theory(
    memory: Memory, config: PhaseConfig, size: int, heights: list[float]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """(num, 2) float32: load and height along the border, from below; None where none is known."""
    if memory.storage != "patterns" or memory.power is None:
        return None
    steps = np.linspace(heights[0], heights[-1], 21)
    if config.side == "turned":
        loads = [crosstalk_load(size, memory.power, min(float(each), 0.5)) for each in steps]
    elif config.side == "temperature" and memory.power == 2:
        loads = [size * critical_load(float(each)) for each in steps]
    else:
        return None
    return np.stack([loads, steps], 1).astype(np.float32)
