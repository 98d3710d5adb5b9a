"""`python -m dashboard`: the web server; `basin dashboard` checks who may come in first."""

from __future__ import annotations

import os
import sys

import click

from dashboard import settings


@click.command()
@click.option("--host", required=True, help="Address to listen on.")
@click.option("--port", type=int, required=True)
def main(host: str, port: int) -> None:
    """Become Streamlit's server on Basin's pages, its settings fixed."""
    command, environment = settings.command(host, port), settings.environment()
    os.chdir(environment["HOME"])
    os.execvpe(sys.executable, command, environment)


if __name__ == "__main__":
    main()
