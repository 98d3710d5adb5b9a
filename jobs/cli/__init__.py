"""Command line: `basin`, one module per kind of command.

Exit codes: 0 done, 1 failed or diverged, 2 bad input or something needed is missing.
"""

from __future__ import annotations

import click

from jobs.cli import (
    about,
    bakeoff,
    launch,
    models,
    plug_ins,
    reproduce,
    runs,
    services,
    trash,
    turning,
    workers,
)
from jobs.cli.common import BasinGroup
from jobs.cli.sampling import arena, grid, race, sample_sets
from jobs.cli.transfer import data, exporting, importing


@click.group(cls=BasinGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="basin")
def main() -> None:
    """Train energy-based models and watch them learn."""


for command in (
    services.up,
    services.worker,
    workers.workers,
    services.dashboard,
    services.link,
    services.notify,
    launch.run,
    race.race_command,
    bakeoff.bakeoff_command,
    reproduce.reproduce,
    runs.ls,
    runs.show_run,
    runs.stop,
    runs.pause,
    runs.resume,
    turning.turn,
    turning.fork,
    turning.keep,
    runs.dismiss,
    runs.card,
    trash.delete,
    trash.restore,
    trash.trash,
    trash.disk,
    models.ask,
    models.sample,
    models.energy,
    sample_sets.samples,
    grid.grid_command,
    arena.arena_command,
    about.methods,
    plug_ins.new,
    plug_ins.check,
    models.abilities,
    data.data,
    exporting.export,
    importing.import_runs,
    runs.reindex,
    about.doctor,
):
    main.add_command(command)
