"""`basin delete`, `restore`, `trash` and `disk`: runs deleted, and brought back within a day; what
runs take of the disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict

import click

from backend.errors import BadInput
from jobs.claims import reproduction
from jobs.cli.common import json_command, show, table
from jobs.formatting import duration
from jobs.records import run_store
from jobs.records import trash as run_trash
from jobs.records.trash import KEPT_SECONDS
from jobs.services import disk_use
from jobs.services.disk_use import ALL, EARLIER


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_command
def delete(runs: tuple[str, ...], as_json: bool) -> None:
    """Delete runs; `basin restore` brings them back within a day.

    RUN is an id, the start of one, or `latest`.
    """
    names = [run_store.open_run(run).id for run in runs]
    reproduction.delete_runs(names)
    after = f"deleted; `basin restore {names[0]}` brings it back within a day"
    text = "\n".join([f"{names[0]}: {after}", *(f"{name}: deleted" for name in names[1:])])
    show([{"id": name} for name in names], as_json, text)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_command
def restore(runs: tuple[str, ...], as_json: bool) -> None:
    """Bring deleted runs back. RUN is an id, or the start of one."""
    directories = [run_trash.restore(run) for run in runs]
    value = [{"id": d.id, "status": d.status().status} for d in directories]
    show(value, as_json, "\n".join(f"{d.id}: restored" for d in directories))


@click.command()
@click.option("--empty", is_flag=True, help="Remove them for good, now.")
@json_command
def trash(empty: bool, as_json: bool) -> None:
    """List deleted runs; after a day they are removed for good."""
    if empty:
        num = run_trash.empty()
        show({"removed": num}, as_json, f"{num} {'run' if num == 1 else 'runs'} removed for good.")
        return
    deleted = run_trash.deleted()
    value = [{**asdict(d.status), "deleted": d.when, "bytes": d.num_bytes} for d in deleted]
    now = time.time()
    rows = [
        (
            d.status.id,
            d.status.status,
            d.status.method,
            d.status.data,
            d.status.name,
            f"{d.num_bytes / 1e6:.1f} MB",
            duration(max(KEPT_SECONDS - (now - d.when), 0)),
        )
        for d in deleted
    ]
    columns = ("run", "status", "method", "data", "name", "size", "kept for")
    show(value, as_json, table(columns, rows) if rows else "The trash is empty.")


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option(
    "--drop",
    type=click.Choice((EARLIER, ALL)),
    help="Delete the checkpoints of these runs: all but the last of each, or that too.",
)
@click.option("--restore", is_flag=True, help="Bring back those deleted within a day.")
@click.option("--empty", is_flag=True, help="Free what all deleted checkpoints take, now.")
@json_command
def disk(
    runs: tuple[str, ...], drop: str | None, restore: bool, empty: bool, as_json: bool
) -> None:
    """List what runs take of the disk, the largest first, or delete their checkpoints.

    RUN is an id, the start of one, or `latest`. A run without its last checkpoint keeps its curves,
    pictures and samples; it can be asked and resumed no more. What is deleted can be restored
    within a day.
    """
    if empty:
        freed = run_trash.empty_checkpoints()
        show({"freed": freed}, as_json, f"{freed / 1e6:.1f} MB freed.")
        return
    names = [run_store.open_run(run).id for run in runs]
    if drop is not None:
        if not names:
            raise BadInput.at("run", "name the runs whose checkpoints are deleted.")
        num_bytes = disk_use.drop_checkpoints(names, drop)
        text = f"{num_bytes / 1e6:.1f} MB are freed in a day, or now by `basin disk --empty`."
        show({"runs": names, "deleted": num_bytes}, as_json, f"{text} Until then: --restore.")
        return
    if restore:
        if not names:
            raise BadInput.at("run", "name the runs whose deleted checkpoints are restored.")
        back = {name: run_trash.restore_checkpoints(run_store.open_run(name)) for name in names}
        lines = [f"{name}: {len(steps)} checkpoints restored" for name, steps in back.items()]
        show(
            [{"id": name, "steps": steps} for name, steps in back.items()],
            as_json,
            "\n".join(lines),
        )
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
