"""`basin data`: data sets that lie elsewhere."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path

import click

from jobs.cli.common import BasinGroup, json_command, show


@click.group(cls=BasinGroup)
def data() -> None:
    """Data sets that are downloaded before their first use."""


@data.command()
@click.argument("name")
@json_command
def fetch(name: str, as_json: bool) -> None:
    """Download a data set now, so that its first run need not."""
    from backend import catalogue
    from backend.datasets import openml

    dataset = catalogue.resolve_data({"name": name})
    missing = dataset.missing()
    if missing:
        ended = threading.Event()
        follower = threading.Thread(
            target=_follow, args=(openml.downloads(name), ended), daemon=True
        )
        follower.start()
        try:
            dataset.load()
        finally:
            ended.set()
            follower.join()
    value = {"name": name, "downloaded": bool(missing)}
    show(value, as_json, f"{dataset.title} is here.")


def _follow(folder: Path, ended: threading.Event) -> None:
    """Print the megabytes downloaded, on standard error while that is a terminal."""
    terminal = sys.stderr.isatty()
    while terminal and not ended.wait(0.5):
        megabytes = _size(folder) / 1e6
        click.echo(f"\r\x1b[K{megabytes:,.0f} MB downloaded", err=True, nl=False)
    if terminal:
        click.echo("", err=True)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
