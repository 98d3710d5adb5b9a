"""Formats that a run leaves in, by name. What a format needs is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput
from jobs.records.run_directory import RunDirectory


@dataclass(frozen=True)
class Asked:
    """Export that is asked for."""

    runs: tuple[RunDirectory, ...]
    to: Path
    say: Callable[[str], None]
    """takes sentences on how far it is"""
    license: str
    step: int | None
    """of the checkpoint; None for the newest"""

    @property
    def run(self) -> RunDirectory:
        """The run, of a format that takes one alone."""
        return self.runs[0]


@dataclass(frozen=True)
class Format:
    """Form that a run leaves in."""

    summary: str
    write: Callable[[Asked], list[str]]
    """writes the files and returns their names"""
    takes_several: bool = False


def write(name: str, asked: Asked) -> list[str]:
    """Write runs in a format; returns the names of the files. Raises BadInput, NotAvailable."""
    form = FORMATS[name]
    if len(asked.runs) > 1 and not form.takes_several:
        raise BadInput.at(
            "run", f"must be one as {name}, got {len(asked.runs)}; html takes several."
        )
    return form.write(asked)


def _safetensors(asked: Asked) -> list[str]:
    from jobs.exports import model_folder

    return model_folder.write(asked.run, asked.to, asked.say, asked.license, asked.step)


def _pt2(asked: Asked) -> list[str]:
    from jobs.exports import programs

    return programs.write_torch(asked.run, asked.to, asked.say, asked.step)


def _onnx(asked: Asked) -> list[str]:
    from jobs.exports import programs

    return programs.write_onnx(asked.run, asked.to, asked.say, asked.step)


def _csv(asked: Asked) -> list[str]:
    from jobs.exports import tables

    return tables.write_csv(asked.run, asked.to, asked.say)


def _parquet(asked: Asked) -> list[str]:
    from jobs.exports import tables

    return tables.write_parquet(asked.run, asked.to, asked.say)


def _tensorboard(asked: Asked) -> list[str]:
    from jobs.exports import tensorboard

    return tensorboard.write(asked.run, asked.to, asked.say)


def _html(asked: Asked) -> list[str]:
    from jobs.exports import page

    return page.write(asked.runs, asked.to, asked.say)


FORMATS = {
    "safetensors": Format("weights with a model card, as hubs lay them out", _safetensors),
    "pt2": Format("E(x) and its gradient as programs of torch.export", _pt2),
    "onnx": Format("E(x) and its gradient as ONNX models", _onnx),
    "csv": Format("scalars and samples as text", _csv),
    "parquet": Format("scalars and samples as typed columns", _parquet),
    "tensorboard": Format("scalars as an event file", _tensorboard),
    "html": Format("a run, or a comparison, as one page without a network", _html, True),
}
