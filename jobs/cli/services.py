"""`basin up`, `worker` and `dashboard`: the processes that stay."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from backend.errors import NotAvailable
from jobs import login, store
from jobs.cli.common import answers

UPLOAD_MEGABYTES = 200
SERVER_ENVIRONMENT = {
    "STREAMLIT_RUNNER_POST_SCRIPT_GC": "false",  # else every script run ends with a full collection
    # What was read from a long history goes back to the system: 194 MB instead of 226 with one of
    # a million points. The server computes nothing that would miss a thread's own arena.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "100000",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OPENBLAS_NUM_THREADS": "1",
}


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of PORT, or 8501.")
@answers
def up(port: int | None, as_json: bool) -> None:
    """Start Redis, workers and the dashboard; Ctrl-C stops all."""
    from jobs import up as supervisor

    login.check()

    def say(line: str) -> None:
        click.echo(json.dumps({"message": line}) if as_json else line)
        sys.stdout.flush()

    supervisor.up(port, say)


@click.command()
@click.option("--queue", type=click.Choice(store.QUEUES), required=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
@answers
def worker(queue: str, device: str, as_json: bool) -> None:
    """Work on one queue until told to stop."""
    from jobs import worker as work

    work.serve(queue, device)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@answers
def dashboard(host: str, port: int, as_json: bool) -> None:
    """Serve the pages."""
    server = Path(__file__).resolve().parents[2] / "dashboard" / "server.py"
    if not server.exists():
        raise NotAvailable(f"The dashboard is not installed: {server} is missing.")
    login.check()
    command = dashboard_command(server, host, port)
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, **SERVER_ENVIRONMENT})


def dashboard_command(server: Path, host: str, port: int) -> list[str]:
    """`streamlit run` with everything fixed that must not depend on a user's own settings."""
    options: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": UPLOAD_MEGABYTES,
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        "secrets.files": login.secrets_file(),
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "server.trustedUserHeaders": "{}",  # who somebody is comes from the provider alone
    }
    theme = server.parent / "theme.toml"
    if theme.exists():
        options["theme.base"] = theme
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(server), *arguments]
