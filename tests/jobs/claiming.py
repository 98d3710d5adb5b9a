"""A recipe of tiny runs, and its runs played through here."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.claims import recipe
from jobs.claims.reproduction import Reproduction
from jobs.execution import loop
from jobs.models.method_setup import Prepared
from jobs.records import run_store
from tests.jobs import tiny

TEXT = """
title: Wide beats narrow
claim: More units fit better.
paper: {title: On width, authors: Nobody, year: 2026}
data: {name: ring, num: 200, num_held_out: 100}
budget: {steps: 4}
seeds: 2
variants:
  wide: {title: Wide, role: method, spec: {method: tiny, preset: wide}}
  narrow: {title: Narrow, role: baseline, spec: {method: tiny}}
scales: {cpu: {}, gpu: {budget: {steps: 8}}}
figures:
  distance:
    title: Energy distance
    path: quality/energy_distance/long_run
    floor: quality/energy_distance/floor
claims:
  - text: Samples are near the data
    kind: acceptance
    value: {variant: wide, figure: distance}
    relation: "<="
    target: 1
  - text: Wide comes nearer than narrow
    kind: paper
    value: {variant: wide, figure: distance}
    over: {variant: narrow, figure: distance}
    relation: "<="
    target: 0.5
    deciding: true
"""


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str = TEXT) -> None:
    """Make `tiny` the one method and `width` the one recipe there is."""
    tiny.install(monkeypatch)
    folder.mkdir(exist_ok=True)
    (folder / "width.yaml").write_text(text)
    monkeypatch.setattr(recipe, "FOLDER", folder)


def eyes(distance: float) -> loop.Observe:
    """An observer whose final energy distance is the one given, its floor 0.01."""

    class Seeing(tiny.Eyes):
        def evaluate(self, step: int):  # type: ignore[no-untyped-def]
            figures, events, samples = super().evaluate(step)
            figures["quality/energy_distance/long_run"] = distance
            return {**figures, "quality/energy_distance/floor": 0.01}, events, samples

    def observe(prepared: Prepared) -> tiny.Eyes:
        return Seeing(prepared)

    return observe


def play(made: Reproduction, distances: dict[str, list[float]]) -> None:
    """Run every run to its end with these final energy distances, by variant and seed."""
    for variant, values in distances.items():
        for seed, value in zip(made.seeds, values, strict=True):
            directory = run_store.open_run(made.runs[variant][seed])
            tiny.run(directory, observe=eyes(value))
