"""`basin doctor`: report of what is installed and found here, what is wrong and how to mend it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from backend.errors import BadInput, NotAvailable
from jobs.claims import reproduction
from jobs.notifications.settings import settings
from jobs.queueing import redis_store, turns
from jobs.records import run_store
from jobs.services import login
from jobs.services.redis_server import MISSING, find_server_binary
from jobs.system import devices, joule_meter

_PACKAGES = ("torch", "streamlit", "redis", "rq", "plotly", "numpy", "pyarrow", "pydantic")
_LEAST_FREE = 1_000_000_000
_MOST_LISTED = 10


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    name: str
    ok: bool
    result: str
    mend: str = ""
    """what to do; "" where nothing is wrong"""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, the result as `found`."""
        return {"name": self.name, "ok": self.ok, "found": self.result, "mend": self.mend}


def examine() -> list[Finding]:
    """Check everything Basin needs, once. Imports torch; starts nothing."""
    return [
        _python(),
        *_packages(),
        _torch(),
        _products(),
        _devices(),
        _joules(),
        _folder("BASIN_HOME", run_store.home()),
        _folder("BASIN_DATA", run_store.data_folder()),
        _login(),
        _notifications(),
        _disk(),
        _server_binary(),
        _redis(),
        _workers(),
        *_waiting(),
        _records(),
        *_plug_ins(),
    ]


def _python() -> Finding:
    return Finding(
        "Python",
        sys.version_info >= (3, 11),
        f"{platform.python_version()} on {platform.platform()}",
        "" if sys.version_info >= (3, 11) else "Basin needs Python 3.11 or newer.",
    )


def _packages() -> list[Finding]:
    findings = []
    for name in ("basin", *_PACKAGES):
        try:
            findings.append(Finding(name, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, False, "not installed", "Run `make install`."))
    return findings


def _torch() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken build fails in many ways; all are to be told
        return Finding("torch works", False, f"{type(error).__name__}: {error}", "`make install`")
    wanted = bool(devices.nvidia_devices())
    built = torch.version.cuda is not None
    if wanted and not built:
        mend = "An NVIDIA device is here but this torch is the CPU build: remove .venv, then "
        return Finding("torch works", False, "CPU build", mend + "`make install`.")
    return Finding("torch works", True, f"CUDA {torch.version.cuda}" if built else "CPU build")


def _products() -> Finding:
    try:
        from backend.networks import products

        return Finding("linear layers", True, f"by {products.chosen()}")
    except BadInput as error:
        return Finding("linear layers", False, str(error), "Correct BASIN_PRODUCTS.")
    except Exception as error:  # what torch itself is about was said above
        return Finding("linear layers", False, f"{type(error).__name__}: {error}", "`make install`")


def _devices() -> Finding:
    try:
        names = devices.training_devices()
    except BadInput as error:
        return Finding("devices", False, str(error), "Correct BASIN_DEVICES.")
    return Finding("devices", True, "; ".join(f"{n} ({devices.model_of(n)})" for n in names))


def _joules() -> Finding:
    if devices.nvidia_devices():
        return Finding("joules", True, "by NVML, where a device has a counter or says its power")
    try:
        measure = joule_meter.of_cpu()
    except BadInput as error:
        return Finding("joules", False, str(error), f"Correct {joule_meter.WATTS}.")
    if measure is None:
        return Finding("joules", True, f"not measured: {joule_meter.absence()}")
    return Finding("joules", True, f"{measure.source}: {measure.of}")


def _folder(name: str, path: Path) -> Finding:
    above = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        return Finding(name, False, f"{path} cannot be written", f"Set {name} to another folder.")
    if path.exists() and name == "BASIN_HOME" and path.stat().st_mode & 0o077:
        mode = oct(path.stat().st_mode & 0o777)
        return Finding(name, False, f"{path} is open to others ({mode})", f"chmod 700 {path}")
    return Finding(name, True, str(path) if path.exists() else f"{path} (made when needed)")


def _login() -> Finding:
    try:
        login.check()
    except BadInput as error:
        return Finding("login", False, "; ".join(map(str, error.problems)), "See docs/proxy.md.")
    return Finding("login", True, "OpenID Connect" if login.required() else "none")


def _notifications() -> Finding:
    try:
        return Finding("notifications", True, f"to {settings().in_words()}")
    except BadInput as error:
        return Finding("notifications", False, str(error), "Correct it; `basin notify` tries it.")


def _disk() -> Finding:
    home = run_store.home()
    above = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(above).free
    mend = "" if free > _LEAST_FREE else "Free some space; a run may write 100 MB and more."
    return Finding("disk", free > _LEAST_FREE, f"{free / 1e9:.1f} GB free", mend)


def _server_binary() -> Finding:
    if os.environ.get("BASIN_REDIS_URL"):
        return Finding("Redis server", True, "BASIN_REDIS_URL names one; none is started")
    binary = find_server_binary()
    return Finding("Redis server", binary is not None, binary or "none", "" if binary else MISSING)


def _redis() -> Finding:
    is_external = bool(os.environ.get("BASIN_REDIS_URL"))
    try:
        with redis_store.reaching():
            connection = redis_store.connect()
            info: Any = connection.info("server")
    except NotAvailable as error:
        if is_external:
            return Finding("Redis", False, str(error), "Start it, or correct BASIN_REDIS_URL.")
        return Finding("Redis", True, "not running; `basin up` starts it")
    if refused := redis_store.refusal(connection):
        return Finding("Redis", False, refused, "Until then runs go on into their logs alone.")
    version = info.get("valkey_version") or info.get("redis_version")
    return Finding(
        "Redis", True, f"{version} at {redis_store.without_password(redis_store.redis_url())}"
    )


def _workers() -> Finding:
    with contextlib.suppress(NotAvailable, redis.RedisError):
        alive = [w for w in redis_store.workers() if w["alive"]]
        kinds = {w["queue"] for w in alive}
        listed = ", ".join(f"{w['name']} ({w['device']})" for w in alive) or "none"
        missing = set(redis_store.QUEUES) - kinds
        mend = f"No {' and no '.join(sorted(missing))} worker: start one with `basin up`."
        return Finding("workers", not missing, listed, mend if missing else "")
    return Finding("workers", True, "none; `basin up` starts them")


def _waiting() -> list[Finding]:
    """List the runs that no worker can take."""
    stuck: dict[str, str] = {}
    with contextlib.suppress(NotAvailable, redis.RedisError):
        connection = redis_store.connect()
        queue = redis_store.queue(redis_store.TRAIN, connection)
        stuck = turns.stuck(connection, queue, redis_store.workers(connection))
    return [
        Finding(f"run {run_id}", False, reason, "Start a worker that can, or stop the run.")
        for run_id, reason in stuck.items()
    ]


def _records() -> Finding:
    """Report runs and reproductions whose files cannot all be read."""
    try:
        folder = run_store.runs_folder()
        runs = [run_store.RunDirectory(folder / name) for name in run_store.run_names()]
        damaged = {run.id: run.damages() for run in runs}
        damaged |= {name: [problem] for name, problem in reproduction.damaged().items()}
    except (NotAvailable, OSError) as error:
        return Finding("runs", False, str(error), "Look at the folder and its disk.")
    problems = [f"{name}: {' '.join(each)}" for name, each in damaged.items() if each]
    if not problems:
        return Finding("runs", True, f"{len(runs)}, all of whose files can be read")
    more = f" And {len(problems) - _MOST_LISTED} more." if len(problems) > _MOST_LISTED else ""
    mend = f"Mend or remove these files in {run_store.home()}; all other runs are as they were."
    return Finding("runs", False, " ".join(problems[:_MOST_LISTED]) + more, mend)


def _plug_ins() -> list[Finding]:
    from backend import catalogue

    findings = [
        Finding(
            "plug-ins",
            True,
            f"{len(catalogue.methods())} methods, {len(catalogue.datasets())} data sets, "
            f"{len(catalogue.samplers())} samplers, {len(catalogue.networks())} networks",
        )
    ]
    for broken in catalogue.broken():
        file = broken.module.replace(".", "/") + ".py"
        findings.append(Finding(broken.module, False, broken.error, f"Mend or remove {file}."))
    return findings
