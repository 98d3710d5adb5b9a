"""`basin disk`: what runs take of the disk; their checkpoints are deleted."""

from __future__ import annotations

import shutil

import click

from backend.errors import BadInput
from jobs.cli.common import json_command, show, table
from jobs.records import run_store
from jobs.services import disk_use
from jobs.services.disk_use import ALL, EARLIER


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option(
    "--drop",
    type=click.Choice((EARLIER, ALL)),
    help="Delete the checkpoints of these runs: all but the last of each, or that too.",
)
@json_command
def disk(runs: tuple[str, ...], drop: str | None, as_json: bool) -> None:
    """List what runs take of the disk, the largest first, or delete their checkpoints for good.

    RUN is an id, the start of one, or `latest`. A run without its last checkpoint keeps its curves,
    pictures and samples; it can be asked and resumed no more.
    """
    names = [run_store.open_run(run).id for run in runs]
    if drop is not None:
        if not names:
            raise BadInput.at("run", "name the runs whose checkpoints are deleted.")
        freed = disk_use.drop_checkpoints(names, drop)
        show({"runs": names, "freed": freed}, as_json, f"{freed / 1e6:.1f} MB freed.")
        return
    uses = [use for use in disk_use.by_run() if not names or use.status.id in names]
    value = [
        {"id": use.status.id, "bytes": use.num_bytes, "checkpoints": use.checkpoints}
        for use in uses
    ]
    rows = [
        (
            use.status.id,
            use.status.status,
            use.status.name or use.status.data,
            f"{use.num_bytes / 1e6:.1f} MB",
            f"{sum(use.checkpoints) / 1e6:.1f} MB",
            len(use.checkpoints),
        )
        for use in uses
    ]
    free = shutil.disk_usage(run_store.home()).free
    total = sum(use.num_bytes for use in uses)
    words = f"{total / 1e9:.2f} GB in all; {free / 1e9:.1f} GB are free."
    columns = ("run", "status", "name", "size", "checkpoints", "number")
    text = f"{table(columns, rows)}\n{words}" if rows else "There are no runs."
    show(value, as_json, text)
