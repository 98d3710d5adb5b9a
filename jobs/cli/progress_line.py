"""Progress line of several runs, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from jobs.claims.reproduction import Progress
from jobs.formatting import duration

PRINT_SECONDS = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class ProgressLine:
    """Line that is told in place on a terminal, else anew now and then."""

    def __init__(self, progress: Callable[[], Progress], quiet: bool) -> None:
        self.progress, self.quiet = progress, quiet
        self.terminal = sys.stderr.isatty()
        self.next_time = time.monotonic() + (0.0 if self.terminal else PRINT_SECONDS)
        self.printed = ""

    def tell(self) -> None:
        """Print the line when it is due and has changed."""
        if time.monotonic() < self.next_time or (self.quiet and not self.terminal):
            return
        self.next_time = time.monotonic() + (0.5 if self.terminal else PRINT_SECONDS)
        progress = self.progress()
        line = f"{progress.done} of {progress.total} runs, {100 * progress.fraction:.0f} %"
        if progress.seconds_left:
            line += f", about {duration(progress.seconds_left)} left"
        if line != self.printed:
            click.echo(f"\r\x1b[K{line}" if self.terminal else line, err=True, nl=not self.terminal)
            self.printed = line

    def end(self) -> None:
        """Leave the line on the terminal."""
        if self.terminal and self.printed:
            click.echo("", err=True)
