"""Capacity of a memory by its size: patterns held, beside the estimate from crosstalk."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from backend.abilities import Cells, Numbers, Problems
from backend.abilities.retrieve import kind_of, memory_of, random_memory_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Curve, Table
from backend.randomness import generator_of
from backend.requests.retrieval import capacity, crosstalk_load, recalled

MOST_SIZE = 1024


class CapacityConfig(Config):
    sizes: Numbers = option(
        [32, 64],
        "Bits of the memories that are looked at, with commas between.",
        min_length=1,
        max_length=8,
        main=True,
    )
    turned: float = option(
        0.1, "Chance of each bit of a cue to be turned.", ge=0, le=0.5, unit="share", main=True
    )
    share: float = option(
        0.9, "Share of the patterns that have to be retrieved.", gt=0, le=1, unit="share"
    )
    num: int = option(
        1000,
        "Patterns recalled at each load, of as many memories as it takes.",
        ge=10,
        le=1_000_000,
        main=True,
        log=True,
    )


class CapacityAbility(Ability):
    """The largest load of which `share` are retrieved, to 2 %, by halving; patterns are random.

    Retrieved is an overlap above 0.95. growth: slope of log capacity over log size by least
    squares. crosstalk: the load at which signal against Gaussian crosstalk leaves no bit wrong.
    """

    id = "capacity"
    title = "Capacity by size"
    summary = "How many random patterns such a memory holds, at several sizes, and how that grows."
    references = "Krotov & Hopfield 2016"
    Config: ClassVar[type[Config]] = CapacityConfig

    @classmethod
    def problems(cls, asked: Asked, config: CapacityConfig) -> Problems:
        if objections := [*random_memory_problems(asked, "sizes")]:
            yield from objections
            return
        if kind_of(asked).power is None:
            yield "sizes", "is a search without end: an exponential memory holds too many."
        wrong = [each for each in config.sizes if not 8 <= each <= MOST_SIZE or each % 1]
        if wrong:
            yield "sizes", f"must be whole numbers from 8 to {MOST_SIZE:,}, got {wrong[0]:g}."
        elif len(set(config.sizes)) < len(config.sizes):
            yield "sizes", "must differ."

    @classmethod
    @torch.no_grad()
    def answer(cls, asked: Asked, config: CapacityConfig, generator: torch.Generator) -> Answer:
        method = memory_of(asked)
        memory, settings, device = kind_of(asked), method.config, asked.data.train.device
        assert memory.power is not None
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        held, theory, shares = [], [], []
        for size in map(int, config.sizes):

            def retrieved(load: int, size: int = size) -> float:
                cell = recalled(
                    memory,
                    size,
                    load,
                    config.turned,
                    settings.temperature,
                    config.num,
                    generator_of("capacity", seed, size, load, device=device),
                    settings.update,
                )
                shares.append((size, load, cell.retrieved))
                return cell.retrieved

            held.append(capacity(retrieved, max(size // 16, 1), config.share))
            theory.append(crosstalk_load(size, memory.power))
        names = [f"{size:g}" for size in config.sizes]
        figures = {f"patterns/{name}": float(num) for name, num in zip(names, held, strict=True)}
        figures |= {f"crosstalk/{name}": load for name, load in zip(names, theory, strict=True)}
        logs = np.log10(np.array([config.sizes, np.maximum(held, 1), theory], np.float64))
        words = ""
        if len(held) > 1:
            figures["growth"] = float(np.polyfit(logs[0], logs[1], 1)[0])
            words = f" It grows as the {figures['growth']:.2f}th power of the bits."
        each = (f"{num:,} patterns of {name} bits" for name, num in zip(names, held, strict=True))
        summary = (
            f"With {100 * config.turned:g} % of the bits turned, {100 * config.share:g} % are "
            f"retrieved up to {', '.join(each)}.{words}"
        )
        order = np.argsort(logs[0])
        curve = Curve(
            "capacity",
            logs[0][order].astype(np.float32),
            logs[1:, order].astype(np.float32),
            ["held", "crosstalk"],
            "bits, log10",
            "patterns, log10",
        )
        rows: list[Cells] = [[size, load, share] for size, load, share in sorted(shares)]
        return Answer(
            summary,
            figures,
            {"loads": np.array(rows, np.float64)},
            (curve, Table("loads", ["bits", "patterns", "retrieved"], rows)),
        )
