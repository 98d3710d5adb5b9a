"""`basin export`: a run leaves in a form that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.cli.common import json_command, show
from jobs.exports import formats
from jobs.records import run_store

_FORMATS = "\n".join(f"  {name:<12} {form.summary}" for name, form in formats.FORMATS.items())


@click.command(epilog=f"\b\nFormats:\n{_FORMATS}")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--as", "form", required=True, type=click.Choice(list(formats.FORMATS)), help="The format."
)
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="A new folder, or a file."
)
@click.option(
    "--license",
    default="unknown",
    show_default=True,
    help="Of the weights, for the model card: mit, apache-2.0, cc-by-4.0, …",
)
@click.option("--step", type=click.IntRange(0), help="Of the checkpoint; without it the newest.")
@json_command
def export(
    runs: tuple[str, ...], form: str, to: Path, license: str, step: int | None, as_json: bool
) -> None:
    """Write a run in a form that other programs read.

    What it says about how far it is goes to standard error.
    """
    directories = tuple(run_store.open_run(run) for run in runs)

    def say(sentence: str) -> None:
        click.echo(sentence, err=True)

    names = formats.write(form, formats.Asked(directories, to, say, license, step))
    value = {"runs": [each.id for each in directories], "as": form, "to": str(to), "files": names}
    show(value, as_json, "\n".join([f"Wrote {to}", *(f"  {name}" for name in names)]))
