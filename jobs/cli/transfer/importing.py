"""`basin import`: runs that other programs recorded become runs of this home."""

from __future__ import annotations

from pathlib import Path

import click

from backend.errors import BadInput
from jobs.cli.common import json_command, show
from jobs.imports import recorded, tensorboard, trackio


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@json_command
def import_runs(path: Path, as_json: bool) -> None:
    """Take in runs that TensorBoard or Trackio recorded, to compare with.

    PATH is a folder of event files, one run for each folder in it, or the .db file of a Trackio
    project. Scalars and settings come along. How far it is goes to standard error.
    """
    path = path.expanduser()
    if not path.exists():
        raise BadInput.at("path", f"there is no file or folder {path}.")

    def say(sentence: str) -> None:
        click.echo(sentence, err=True)

    if path.is_file() and trackio.is_database(path):
        runs = trackio.read(path, say)
    elif tensorboard.holds_events(path):
        runs = tensorboard.read(path, say)
    else:
        raise BadInput.at(
            "path",
            f"{path} holds no event file of TensorBoard's (…tfevents…) and is no database of "
            "Trackio's (PROJECT.db).",
        )
    if not runs:
        raise BadInput.at("path", f"{path} holds no scalars.")
    made = [recorded.create(run) for run in runs]
    value = [{"id": each.id, "name": each.written_status().name} for each in made]
    show(value, as_json, "\n".join(f"{each['id']}  {each['name']}" for each in value))
