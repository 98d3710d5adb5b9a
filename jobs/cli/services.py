"""`basin up`, `worker`, `dashboard` and `link`: commands of the processes that stay."""

from __future__ import annotations

import ipaddress
import os
import sys
from importlib.util import find_spec

import click

from backend.errors import BadInput, NotAvailable
from jobs.cli.common import DONE, FAILED, json_command, show
from jobs.queueing import redis_store
from jobs.services import entry_link, framing, login

DEFAULT_PORT = 8501


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of PORT, or 8501.")
@json_command
def up(port: int | None, as_json: bool) -> None:
    """Start Redis, workers and the dashboard; Ctrl-C stops all."""
    from jobs.services import supervision as supervisor

    login.check()
    framing.check()

    def say(line: str) -> None:
        show({"message": line}, as_json, line)
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
    if find_spec("dashboard") is None:
        raise NotAvailable("The dashboard is not installed: there is no package `dashboard`.")
    login.check()
    framing.check()
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
    sys.stdout.flush()
    # -P: a folder that it is started in may hold another `dashboard`
    command = [sys.executable, "-P", "-m", "dashboard", "--host", host, "--port", str(port)]
    os.execv(command[0], command)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@click.command()
@json_command
def notify(as_json: bool) -> None:
    """Send a word to those who are told when runs end, to see that it arrives."""
    from jobs.notifications import sending
    from jobs.notifications.settings import settings

    to = settings()
    if not to.is_wanted:
        raise NotAvailable(
            "Nobody is told: set BASIN_NOTIFY_WEBHOOK, or BASIN_NOTIFY_EMAIL and BASIN_SMTP_URL."
        )
    troubles = sending.send("A word from Basin", "Basin tells here when runs end.", to)
    value = {"to": to.in_words(), "troubles": troubles}
    text = "\n".join(troubles) or f"Sent to {to.in_words()}."
    show(value, as_json, text)
    sys.exit(FAILED if troubles else DONE)


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
    show({"link": address}, as_json, address)
