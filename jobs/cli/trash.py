"""`basin delete`, `restore` and `trash`: runs that are deleted, and brought back within a day."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from jobs.claims import reproduction
from jobs.cli.common import json_command, show, table
from jobs.formatting import duration
from jobs.records import run_store
from jobs.records import trash as run_trash
from jobs.records.trash import KEPT_SECONDS


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
