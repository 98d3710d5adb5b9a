"""Redis names: keys and queues, each with the home's id.

Several homes may share one Redis and never see each other's queues, runs, workers or catalogues.

    rq:...                             RQ's own, of the queues `basin-<home>-train` and so on
    basin:<home>:run:<id>:scalars      stream; field `f` is a frame (scalar blocks and texts)
    basin:<home>:run:<id>:frames       stream; field `f` is a frame (all other kinds)
    basin:<home>:workers               hash: worker name -> JSON, rewritten every second
    basin:<home>:worker:<name>:request  what a person asks of a worker; gone within a minute
    basin:<home>:machine:<host>        stream; field `r` is a reading of the machine, JSON
    basin:<home>:parts                 hash: worker name -> JSON list of the parts it has
    basin:<home>:catalogue             JSON of `backend.catalogue.publish`

The id is kept in BASIN_HOME/home.id and goes with a home that is moved. A copy has the same id:
who uses one beside its original, on one Redis, deletes `home.id` in the copy first.
"""

from __future__ import annotations

import os
import re
import secrets
from functools import cache
from pathlib import Path

from backend.errors import NotAvailable
from backend.system.home import home, make_private
from jobs.system import atomic_files

_ID = re.compile(r"[0-9a-f]{8}")
_KEY = re.compile(r"[0-9a-f]{64}")


def home_id() -> str:
    """Return the id of BASIN_HOME, made on first need. Raises NotAvailable where none can be
    written."""
    return _stored(home() / "home.id", _ID, 4)


def home_key() -> bytes:
    """Return the key that signs this home's jobs; only its owner can read it. Raises
    NotAvailable."""
    return bytes.fromhex(_stored(home() / "jobs.key", _KEY, 32))


@cache
def _stored(path: Path, pattern: re.Pattern[str], num_bytes: int) -> str:
    try:
        return _read(path, pattern) or _make(path, pattern, num_bytes)
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read or made: {error.strerror}.") from error


def _read(path: Path, pattern: re.Pattern[str]) -> str:
    """Read a file; "" where there is none, or a damaged one."""
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    return text if pattern.fullmatch(text) else ""


def _make(path: Path, pattern: re.Pattern[str], num_bytes: int) -> str:
    make_private(path.parent)
    text = secrets.token_hex(num_bytes)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    atomic_files.write(aside, text + "\n", sync=True)
    try:
        os.link(aside, path)  # of two processes that start at once one is first
    except OSError:  # there is one by now, or a damaged one, or no hard links here
        if not _read(path, pattern):
            atomic_files.write(path, text + "\n", sync=True)
    finally:
        aside.unlink(missing_ok=True)
    return _read(path, pattern)


def queue_name(kind: str) -> str:
    """Return the full name of the queue `train`, `quick` or `check`."""
    return f"basin-{home_id()}-{kind}"


def worker_name(kind: str, device: str) -> str:
    """Make a name for a new worker, that no other has."""
    return f"{kind}-{device.replace(':', '')}-{home_id()}-{secrets.token_hex(2)}"


def workers_key() -> str:
    """Return the key of the workers' hash."""
    return f"basin:{home_id()}:workers"


def request_key(worker: str) -> str:
    """Return the key of what is asked of a worker."""
    return f"basin:{home_id()}:worker:{worker}:request"


def machine_key(host: str) -> str:
    """Return the key of a machine's readings."""
    return f"basin:{home_id()}:machine:{host}"


def parts_key() -> str:
    """Return the key of what workers have."""
    return f"basin:{home_id()}:parts"


def catalogue_key() -> str:
    """Return the key of the catalogue."""
    return f"basin:{home_id()}:catalogue"


def stream_key(run_id: str, stream: str) -> str:
    """Return the key of a run's stream, `scalars` or `frames`."""
    return f"basin:{home_id()}:run:{run_id}:{stream}"


def probe_key() -> str:
    """Return the key written to see if Redis takes writes; gone within a second."""
    return f"basin:{home_id()}:probe"
