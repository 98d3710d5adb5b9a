"""`basin workers`: who works here, and to drain, resume or restart them."""

from __future__ import annotations

import click

from backend.errors import BadInput
from jobs.cli.common import BasinGroup, json_command, show, table
from jobs.formatting import duration
from jobs.queueing import redis_store, worker_requests


@click.group("workers", cls=BasinGroup, invoke_without_command=True)
@click.pass_context
@json_command
def workers(context: click.Context, as_json: bool) -> None:
    """List workers; drain, resume or restart them."""
    if context.invoked_subcommand is None:
        listed = redis_store.workers()
        rows = [
            (
                worker["name"],
                worker["queue"],
                worker["device"],
                in_words(worker),
                worker.get("run") or "",
                worker.get("host", ""),
                f"{duration(worker['silent'])} ago",
            )
            for worker in listed
        ]
        columns = ("worker", "queue", "device", "state", "run", "machine", "last word")
        text = table(columns, rows) if rows else "No worker is running. Start them with `basin up`."
        show(listed, as_json, text)


def in_words(worker: dict[str, object]) -> str:
    """Say what a worker does, as `redis_store.workers` lists it."""
    if not worker["alive"]:
        return "dead" if worker["dead"] else "silent"
    asked = worker.get("asked")
    if asked == worker_requests.DRAIN:
        return "draining" if worker.get("run") else "drained"
    if asked == worker_requests.RESTART:
        return "restarting"
    return "working" if worker.get("run") else "waiting"


def _ask(request: str, names: tuple[str, ...], as_json: bool) -> None:
    if not names:
        raise BadInput.at("worker", "name one or more, or the start of a name: `train`.")
    chosen = [worker["name"] for worker in worker_requests.chosen(names)]
    for name in chosen:
        worker_requests.ask(name, request)
    words = worker_requests.WORDS[request]
    text = "\n".join(f"{name} {words}" for name in chosen)
    show([{"name": name, "asked": request} for name in chosen], as_json, text)


@workers.command()
@click.argument("names", nargs=-1, metavar="WORKER...")
@json_command
def drain(names: tuple[str, ...], as_json: bool) -> None:
    """Let workers finish the run they have and take no other, until they resume or Basin starts
    anew. WORKER is a name, or the start of one: `train` is all that train."""
    _ask(worker_requests.DRAIN, names, as_json)


@workers.command()
@click.argument("names", nargs=-1, metavar="WORKER...")
@json_command
def resume(names: tuple[str, ...], as_json: bool) -> None:
    """Let drained workers take runs again."""
    _ask(worker_requests.RESUME, names, as_json)


@workers.command()
@click.argument("names", nargs=-1, metavar="WORKER...")
@json_command
def restart(names: tuple[str, ...], as_json: bool) -> None:
    """Let workers finish the run they have, then start anew with the code as it is by then."""
    _ask(worker_requests.RESTART, names, as_json)
