"""TensorBoard: folders of event files as recorded runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.errors import BadInput
from jobs.imports.recorded import MOST_POINTS, RecordedRun, named_folder
from jobs.record_files import event_files

PATTERN = "*tfevents*"


def holds_events(path: Path) -> bool:
    """Return True for an event file, or a folder with one anywhere in it."""
    if path.is_file():
        return "tfevents" in path.name
    return any(path.rglob(PATTERN))


def read(path: Path, say: Callable[[str], None]) -> list[RecordedRun]:
    """Read the runs of a folder: one for each folder in it that holds event files.

    Raises BadInput at `path` for a file that is none.
    """
    files = [path] if path.is_file() else sorted(path.rglob(PATTERN))
    runs: dict[Path, RecordedRun] = {}
    for file in files:
        if file.is_symlink() or not file.is_file():
            continue
        folder = file.parent
        origin = f"Imported from the TensorBoard events in {folder.absolute()}."
        run = runs.setdefault(folder, RecordedRun(named_folder(folder), origin))
        say(f"reading {file}")
        num = 0
        try:
            with file.open("rb") as opened:
                for record in event_files.read_records(opened):
                    run.settings |= record.settings
                    run.others += record.others
                    num += len(record.scalars)
                    if num > MOST_POINTS:
                        raise BadInput.at(
                            "path", f"{file} holds more than {MOST_POINTS:,} scalars."
                        )
                    for tag, value in record.scalars.items():
                        run.add(tag, record.step, record.wall_time, value)
        except (OSError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput.at("path", f"{file} cannot be read: {error}.") from error
    return [run for run in runs.values() if run.curves]
