"""TensorBoard: scalars of a run as an event file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.errors import NotAvailable
from jobs.exports.places import new_folder
from jobs.record_files import event_files
from jobs.records.run_directory import RunDirectory


def write(directory: RunDirectory, to: Path, say: Callable[[str], None]) -> list[str]:
    """Write every scalar, at the time of its step, into a folder that TensorBoard shows.

    Returns the names. Raises BadInput at `to`, NotAvailable where there are no scalars.
    """
    status, series = directory.status(), directory.scalars()
    if not series:
        raise NotAvailable(f"`{directory.id}` has recorded no scalars yet.")
    began = status.started or status.created
    name = f"events.out.tfevents.{int(began)}.basin"
    with new_folder(to) as folder, (folder / name).open("wb") as file:
        file.write(event_files.header(began))
        for place, (path, curve) in enumerate(series.items(), 1):
            rows = zip(
                curve.step.tolist(), curve.seconds.tolist(), curve.value.tolist(), strict=True
            )
            for step, seconds, value in rows:
                file.write(event_files.scalar_record(began + seconds, step, path, value))
            if place % 20 == 0 or place == len(series):
                say(f"{place} of {len(series)} curves")
    return [name]
