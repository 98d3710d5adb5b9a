"""`basin up`, `worker`, `dashboard` and `link`: commands of the processes that stay."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from backend.errors import BadInput, NotAvailable
from backend.system.home import make_private
from jobs.cli.common import json_command
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.services import entry_link, login

DEFAULT_PORT = 8501
UPLOAD_MEGABYTES = 200
MESSAGE_MEGABYTES = 20
"""Size of a WebSocket message, either way: beyond it the line is closed while it comes in."""
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
@json_command
def up(port: int | None, as_json: bool) -> None:
    """Start Redis, workers and the dashboard; Ctrl-C stops all."""
    from jobs.services import supervision as supervisor

    login.check()

    def say(line: str) -> None:
        click.echo(json.dumps({"message": line}) if as_json else line)
        sys.stdout.flush()

    supervisor.up(port, say)


@click.command()
@click.option("--queue", type=click.Choice(redis_store.QUEUES), required=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
@json_command
def worker(queue: str, device: str, as_json: bool) -> None:
    """Work on one queue until told to stop."""
    from jobs.queueing import worker as work

    work.serve(queue, device)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option(
    "--without-login",
    is_flag=True,
    envvar="BASIN_WITHOUT_LOGIN",
    help="Listen beyond this machine though nobody logs in; browsers need the link.",
)
@json_command
def dashboard(host: str, port: int, without_login: bool, as_json: bool) -> None:
    """Serve the pages."""
    server = Path(__file__).resolve().parents[2] / "dashboard" / "server.py"
    if not server.exists():
        raise NotAvailable(f"The dashboard is not installed: {server} is missing.")
    login.check()
    if not login.required():
        entry_link.key()
        if not _is_loopback(host) and not without_login:
            raise BadInput.at(
                "--host",
                f"{host} is open to other machines, and nobody is asked to log in: set "
                "up a login (docs/proxy.md), use a tunnel to 127.0.0.1, or say --without-login, "
                "which lets in whoever has the link of `basin link`.",
            )
        click.echo("Another user's browser, or one beyond a proxy, comes in by: basin link")
    command = dashboard_command(server, host, port)
    environment = server_environment()
    sys.stdout.flush()
    os.chdir(environment["HOME"])
    os.execvpe(command[0], command, environment)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_environment() -> dict[str, str]:
    """Return the server's environment, without Streamlit settings that could open what is shut.

    It looks for them in the environment, in HOME and in the working folder; BASIN_HOME is both.
    """
    home = str(make_private(run_store.home()))
    others = {
        name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")
    }
    folders = {"HOME": home, "BASIN_HOME": home, "BASIN_DATA": str(run_store.data_folder())}
    return {**others, **SERVER_ENVIRONMENT, **folders}


@click.command()
@click.option("--address", default="", help="Basin's own, where `basin up` does not run here.")
@json_command
def link(address: str, as_json: bool) -> None:
    """Print the address that lets a browser in where nobody logs in. It is a secret."""
    address = (
        address
        or redis_store.connection_info().get("dashboard")
        or f"http://127.0.0.1:{DEFAULT_PORT}"
    )
    address = address.rstrip("/")
    address = address if login.required() else entry_link.link(address)
    click.echo(json.dumps({"link": address}) if as_json else address)


def dashboard_command(server: Path, host: str, port: int) -> list[str]:
    """Build `streamlit run` with everything fixed that must not depend on a user's settings."""
    options: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": UPLOAD_MEGABYTES,
        "server.maxMessageSize": MESSAGE_MEGABYTES,
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        "secrets.files": login.secrets_file(),
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "server.trustedUserHeaders": "{}",  # who somebody is comes from the provider alone
        "server.enableAgentApi": "false",
        "server.enableStaticServing": "false",
        "server.baseUrlPath": "",
        "server.allowedHosts": sorted(login.hosts()),
        "client.showErrorDetails": "type",  # the rest is in the log
        "global.developmentMode": "false",
    }
    theme = server.parent / "theme.toml"
    if theme.exists():
        options["theme.base"] = theme
    arguments = [
        f"--{name}={each}"
        for name, value in options.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return [sys.executable, "-m", "streamlit", "run", str(server), *arguments]
