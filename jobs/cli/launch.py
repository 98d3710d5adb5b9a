"""`basin run`: one run from a file, here or in the queue."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec, from_dict
from backend.system import yaml_reader
from jobs.cli.common import DONE, FAILED, json_command, number, show, user
from jobs.queueing import control, enqueue, redis_store, spec_paths
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from jobs.records.status import Status, this_process
from jobs.system.processes import on_signals

_TEXT_FIELDS = ("name", "notes")
"""Fields taken as text as they are written, numbers too."""
_QUOTES = ("'", '"')


@click.command()
@click.argument("spec", type=str)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="A.B=C",
    help="Change one field; C: a value, or YAML in [] or {}.",
)
@click.option("--inline", is_flag=True, help="Run it in this process, without Redis.")
@click.option("--wait", is_flag=True, help="Queue it and return when it has ended.")
@json_command
def run(spec: str, changes: tuple[str, ...], inline: bool, wait: bool, as_json: bool) -> None:
    """Launch the run a YAML or JSON file describes; `-` reads standard input."""
    if inline and wait:
        raise BadInput.at("", "give one of --inline and --wait, not both.")
    checked = read_spec(spec, changes)
    if not inline:
        redis_store.connect()  # before the seconds that importing torch takes
    _examine(checked, inline)
    if inline:
        run_id = run_here(checked, quiet=as_json)
    else:
        run_id = enqueue.launch(checked, origin="cli", by=user())
        if wait:
            wait_for(run_id, quiet=as_json)
    directory = run_store.open_run(run_id)
    status = directory.status()
    show(summary(directory, status), as_json, lambda: _in_words(directory, status))
    if (inline or wait) and status.status != "finished":
        sys.exit(FAILED)
    sys.exit(DONE)


def _examine(spec: RunSpec, inline: bool) -> None:
    """Find all that a worker would find wrong, before anything is made. Imports torch."""
    from jobs import tasks
    from jobs.models import method_setup

    if missing := tasks.examine(spec).missing:
        click.echo(missing, err=True)
    if inline:
        method_setup.find_device(spec.device)


def read_spec(source: str, changes: tuple[str, ...] = ()) -> RunSpec:
    """Read the RunSpec of a file (or `-`) with `--set` changes, paths made absolute.

    Raises BadInput.
    """
    raw = yaml_reader.load(_read(source))
    if not isinstance(raw, dict):
        raise BadInput.at("", "a run specification is a mapping with `method` and `data`.")
    for change in changes:
        apply(raw, change)
    if "data" not in raw:
        raw = _with_data(raw)
    return spec_paths.absolute_paths(from_dict(raw), "cli")


def _with_data(raw: dict[str, Any]) -> dict[str, Any]:
    """The same with the data that its preset is made for. Imports torch."""
    from backend import catalogue

    return catalogue.with_data(raw)


def _read(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read(yaml_reader.MAX_CHARACTERS + 1)
        if Path(source).is_fifo() and not source.startswith("/dev/"):
            raise BadInput.at("", f"{source} is a named pipe; give a file, or `-` and pipe it in.")
        with open(source, encoding="utf-8") as file:
            return file.read(yaml_reader.MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise BadInput.at("", f"cannot read {source}: {reason}.") from error


def apply(raw: dict[str, Any], change: str) -> None:
    """Apply one `a.b=c` to the specification. Raises BadInput."""
    field, equals, text = change.partition("=")
    if not equals or not all(field.split(".")):
        raise BadInput.at("", f"--set takes field=value, such as seed=1, got {change!r}.")
    value = text if field in _TEXT_FIELDS and text[:1] not in _QUOTES else value_of(field, text)
    *above, last = field.split(".")
    place: Any = raw
    for name in above:
        place = place.setdefault(name, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise BadInput.at(field, f"`{'.'.join(above)}` holds a value, not fields.")
    place[last] = value


def value_of(field: str, text: str) -> Any:
    """Parse the value of `field=TEXT`. Raises BadInput at the field."""
    try:
        return yaml_reader.load_value(text)
    except BadInput as error:
        raise BadInput.at(field, f"{error}") from error


def run_here(spec: RunSpec, quiet: bool) -> str:
    """Train a new run in this process. Ctrl-C or SIGTERM stops it with a checkpoint."""
    directory = run_store.create_run(spec, by=user())
    train_new(directory, quiet)
    return directory.id


def train_new(directory: RunDirectory, quiet: bool) -> None:
    """Train a run that was just created in this process, before anybody takes it for lost."""
    directory.write_status(worker=control.INLINE, **this_process())
    train_here(directory, quiet)


def train_here(directory: RunDirectory, quiet: bool) -> None:
    """Train a run that waits for nobody else in this process, from its last checkpoint if any."""
    from jobs.execution import loop
    from jobs.models import trained_run

    publisher = None
    with contextlib.suppress(NotAvailable):  # with a dashboard about, it shows live there
        redis_store.connect()
        publisher = redis_store.Publisher(directory.id)
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(directory, ended, quiet), daemon=True)
    follower.start()
    try:
        with on_signals(lambda: directory.request("stop"), signal.SIGINT, signal.SIGTERM):
            loop.run(directory, load_energy=trained_run.load_energy, publisher=publisher)
    finally:
        ended.set()
        follower.join()


def wait_for(run_id: str, quiet: bool) -> None:
    """Wait until the run has ended; Ctrl-C leaves it running."""
    if not any(map(redis_store.takes_runs, redis_store.workers())):
        click.echo("No train worker is running yet (`basin up`); the run waits.", err=True)
    directory = run_store.open_run(run_id)
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(directory, ended, quiet), daemon=True)
    follower.start()
    try:
        next_settle = 0.0
        while not directory.status().is_over:
            if time.monotonic() >= next_settle:
                control.settle()
                next_settle = time.monotonic() + 1.0
            time.sleep(0.2)
    finally:
        ended.set()
        follower.join()


def _follow(directory: RunDirectory, ended: threading.Event, quiet: bool) -> None:
    """Print a progress line on standard error: in place on a terminal, else now and then."""
    terminal = sys.stderr.isatty()
    printed = ""
    while not ended.wait(0.5 if terminal else 5.0):
        with contextlib.suppress(OSError, ValueError):
            line = progress_line(directory.status())
            if line != printed and (terminal or not quiet):
                click.echo(f"\r\x1b[K{line}" if terminal else line, err=True, nl=not terminal)
                printed = line
    if terminal and printed:
        click.echo("", err=True)


def progress_line(status: Status) -> str:
    """Format status, progress and the one figure that matters, in one line."""
    parts = [status.id, status.status, f"{100 * status.fraction:.0f} %", f"step {status.step:,}"]
    if status.ahead:
        parts.append(status.ahead)
    if status.headline:
        parts.append(f"{status.headline['path']} {status.headline['value']:.3g}")
    return "  ".join(parts)


def summary(directory: RunDirectory, status: Status) -> dict[str, Any]:
    """Return the object that `basin run --json` prints."""
    return {
        "id": directory.id,
        "status": status.status,
        "metrics": directory.metrics(),
        "directory": str(directory.path),
        "reason": status.reason,
    }


def _in_words(directory: RunDirectory, status: Status) -> str:
    lines = [f"{directory.id}: {status.status}", f"  {directory.path}"]
    if status.reason:
        lines.insert(1, f"  {status.reason}")
    lines += [f"  {path} = {number(value)}" for path, value in directory.metrics().items()]
    if status.status == "queued":
        lines.append(f"  Follow it with `basin show {directory.id}` or on its page.")
    return "\n".join(lines)
