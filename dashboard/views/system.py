"""System page: workers, queue, Redis, disk, logs, uploaded data, and the report of `basin
doctor`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError, NotAvailable
from dashboard.elements import as_typed, code, head, name_of, plural, size
from dashboard.forms import draft
from jobs.formatting import duration
from jobs.queueing import control, redis_store
from jobs.records import run_store

LOG_BYTES = 20_000
WITHOUT = (
    "Runs that are training go on into their logs; nothing new can be launched, checked or asked, "
    "and workers cannot be seen."
)
DOCTOR_SECONDS = 60
VERSIONS = ("basin", "torch", "streamlit", "rq", "redis", "plotly", "numpy")


def main() -> None:
    """Draw the page."""
    head("System", facts=[f"{name} {_version(name)}" for name in VERSIONS])
    _present()
    _broken()
    _disk()
    _uploads()
    _logs()
    _doctor()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@st.fragment(run_every=2)
def _present() -> None:
    """Draw what changes by itself: workers, queue, Redis."""
    try:
        with redis_store.reaching():
            connection = redis_store.connect()
            refused = redis_store.refusal(connection)
            workers = redis_store.workers(connection)
            waiting = {
                name: redis_store.queue(name, connection).count for name in redis_store.QUEUES
            }
            order = control.queued()
            info: Any = connection.info()
    except NotAvailable as error:
        st.error(f"{error} {WITHOUT}")
        return
    if refused:
        st.error(f"{refused} {WITHOUT}")
    st.header("Workers", anchor=False)
    if not any(worker["alive"] for worker in workers):
        st.warning("No worker is running. `basin up` starts them; `basin worker` starts one more.")
    _table(
        ("worker", "queue", "device", "state", "run", "last word"),
        [_worker(worker) for worker in workers],
    )
    st.header("Queue", anchor=False)
    st.caption(f"{plural(waiting['train'], 'run')} waiting, {waiting['quick']} quick questions.")
    statuses = {status.id: status for status in run_store.list_runs()}
    rows = []
    for place, run_id in enumerate(order, 1):
        known = statuses.get(run_id)
        name = name_of(known) if known else run_id
        rows.append((str(place), f"[{as_typed(name)}](run?id={run_id})", run_id))
    if rows:
        _table(("next", "run", "id"), rows)
    memory, clients = info["used_memory"], info["connected_clients"]
    st.header("Redis", anchor=False)
    address = redis_store.without_password(redis_store.redis_url())
    st.markdown(
        f"`{address}` · version {info['redis_version']} · "
        f"{size(memory)} of memory · {plural(int(clients), 'connection')} · "
        f"up {duration(info['uptime_in_seconds'])}"
    )


def _worker(worker: dict[str, Any]) -> tuple[str, ...]:
    run = worker.get("run")
    return (
        as_typed(str(worker["name"])),
        str(worker["queue"]),
        str(worker.get("device", "")),
        _state(worker),
        f"[{run}](run?id={run})" if run else "",
        f"{duration(worker['silent'])} ago",
    )


def _state(worker: dict[str, Any]) -> str:
    """Say what a worker does; a process that has ended is dead, one of another machine silent."""
    if worker["alive"]:
        return f":green[✓ {'working' if worker.get('run') else 'waiting'}]"
    if worker["dead"]:
        return ":red[✕ dead] its process has ended; `basin up` starts another by itself"
    return ":red[⚯ silent] nobody knows; look at its machine"


def _broken() -> None:
    """Draw the files of methods, samplers, networks or data that could not be imported."""
    try:
        broken = redis_store.catalogue().get("broken", [])
    except NotAvailable:
        return
    for item in broken:
        st.error(f"**{item['module']} cannot be imported:** {item['error']}")
        with st.expander("Traceback"):
            code(item["trace"])


def _disk() -> None:
    st.header("Disk", anchor=False)
    home = run_store.home()
    statuses = run_store.list_runs()
    used = _bytes_under(str(run_store.runs_folder()), len(statuses))
    free = shutil.disk_usage(home).free
    st.markdown(
        f"{plural(len(statuses), 'run')} in `{home / 'runs'}`: {size(used)}; {size(free)} are free."
    )
    if free < 1e9:
        st.warning("Less than 1 GB is free: delete runs under Runs.")


@st.cache_data(ttl=30, show_spinner=False)
def _bytes_under(folder: str, number: int) -> int:
    """Sum the bytes of all files in a folder; `number` of runs makes a changed list count anew."""
    total = 0
    for where, _, names in os.walk(folder):  # leaves out what is removed meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def _uploads() -> None:
    st.header("Your data", anchor=False)
    files = draft.known_files()
    st.caption(
        f"In `{run_store.data_folder()}`; runs from the browser may name what lies here. What was "
        "uploaded can be deleted here, all else where it came from."
    )
    if not files:
        st.markdown("Nothing yet. Upload a file under **Launch**, *Your own file*.")
        return
    for path in files:
        try:
            what = "folder" if path.is_dir() else size(path.stat().st_size)
        except OSError:
            continue  # removed since
        name, act = st.columns([6, 1], vertical_alignment="center")
        name.markdown(f"`{path.relative_to(run_store.data_folder())}` · {what}")
        if path.parent == draft.uploads() and act.button(
            "Delete", key=f"delete:{path}", icon=":material/delete:"
        ):
            _delete(path)


@st.dialog("Delete this file?")
def _delete(path: Path) -> None:
    users = [status for status in run_store.list_runs() if _names(status.id, path)]
    st.write(f"Delete **{path.name}**? This cannot be undone.")
    if users:
        st.caption(f"{plural(len(users), 'run')} used it and could not be resumed or sampled.")
    if st.button("Delete it", type="primary"):
        try:
            draft.delete_upload(path)
        except BadInput as error:
            st.error(str(error))
            return
        except OSError as error:
            st.error(f"Nothing was deleted: {error.strerror}.")
            return
        st.rerun()


def _names(run_id: str, path: Path) -> bool:
    try:
        return run_store.open_run(run_id).spec().data.get("path") == str(path)
    except BasinError:
        return False


def _logs() -> None:
    st.header("Logs", anchor=False)
    folder = run_store.home() / "logs"
    files = sorted(folder.glob("*.log")) if folder.is_dir() else []
    if not files:
        st.caption("No logs: these pages were not started by `basin up`.")
        return
    name = st.segmented_control(
        "Log",
        files,
        default=files[0],
        required=True,
        format_func=lambda path: path.stem,
        label_visibility="collapsed",
    )
    try:
        with name.open("rb") as file:
            file.seek(max(0, name.stat().st_size - LOG_BYTES))
            text = file.read().decode(errors="replace") or "Empty."
    except OSError as error:
        text = f"It cannot be read: {error.strerror}."
    code(text, height=260)


def _doctor() -> None:
    st.header("What is wrong", anchor=False)
    st.caption("What `basin doctor` says: everything that is needed, looked at once.")
    if st.button("Look", icon=":material/stethoscope:"):
        with st.spinner("Looking…"):
            st.session_state["doctor"] = _examine()
    for finding in st.session_state.get("doctor", ()):
        sign = ":green[✓]" if finding["ok"] else ":red[✕]"
        mend = f" **{finding['mend']}**" if finding.get("mend") else ""
        st.markdown(f"{sign} {finding['name']}: {finding['found']}{mend}")


def _examine() -> list[dict[str, Any]]:
    """Run `basin doctor`: it imports torch, which these pages do not."""
    command = [sys.executable, "-m", "jobs.cli", "doctor", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOCTOR_SECONDS)
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return [{"name": "doctor", "ok": False, "found": f"gave no answer: {error}", "mend": ""}]
    return list(report["findings"] if isinstance(report, dict) else report)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    st.markdown("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]))


main()
