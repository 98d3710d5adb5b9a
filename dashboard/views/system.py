"""System page: workers, queue, Redis, disk, logs, uploaded data, and the report of `basin
doctor`."""

from __future__ import annotations

import html
import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError, NotAvailable
from dashboard.elements import as_typed, code, head, name_of, plural, size
from dashboard.forms import draft
from dashboard.live_view import live_element
from jobs.formatting import duration
from jobs.models import run_parts
from jobs.queueing import control, redis_store, turns, worker_requests
from jobs.records import run_store, trash
from jobs.records.run_directory import RunDirectory
from jobs.services import disk_use
from jobs.services.disk_use import RunUse

LOG_BYTES = 20_000
WITHOUT = (
    "Runs that are training go on into their logs; nothing new can be launched, checked or asked, "
    "and workers cannot be seen."
)
DOCTOR_SECONDS = 60
LARGEST = 8
"""Runs whose use of the disk has a row of its own."""
MOST_LISTED = 20
"""Waiting runs listed."""
WHICH = {
    disk_use.EARLIER: "All but the last of each: the run is asked and resumed as before",
    disk_use.ALL: "The last too: curves, pictures and samples stay, but nothing can be asked of it",
}
VERSIONS = ("basin", "torch", "streamlit", "rq", "redis", "plotly", "numpy")


def main() -> None:
    """Draw the page."""
    head("System", facts=[f"{name} {_version(name)}" for name in VERSIONS])
    _machines()
    _present()
    _lacking()
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


def _machines() -> None:
    """Draw machines and workers; they tick by themselves."""
    event = live_element("charts/machines", key="machines", height=240, on_act_change=lambda: None)
    if not event.act:
        return
    name, request = str(event.act["name"]), str(event.act["act"])
    try:
        worker_requests.ask(name, request)
    except BasinError as error:
        st.toast(str(error), icon=":material/warning:")
    else:
        st.toast(f"{name} {worker_requests.WORDS[request]}.")


@st.fragment(run_every=5)
def _present() -> None:
    """Draw what changes by itself: queue and Redis."""
    try:
        with redis_store.reaching():
            connection = redis_store.connect()
            refused = redis_store.refusal(connection)
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
    st.header("Queue", anchor=False)
    questions = waiting["quick"] + waiting["check"]
    st.caption(f"{plural(waiting['train'], 'run')} waiting, {plural(questions, 'quick question')}.")
    statuses = {status.id: status for status in run_store.list_runs()} if order else {}
    rows = []
    for place, run_id in enumerate(order[:MOST_LISTED], 1):
        known = statuses.get(run_id)
        name = name_of(known) if known else run_id
        rows.append((str(place), f"[{as_typed(name)}](run?id={run_id})", run_id))
    if rows:
        _table(("next", "run", "id"), rows)
    if len(order) > MOST_LISTED:
        st.caption(f"and {len(order) - MOST_LISTED} more, all of them under Runs")
    memory, clients = info["used_memory"], info["connected_clients"]
    st.header("Redis", anchor=False)
    address = redis_store.without_password(redis_store.redis_url())
    st.markdown(
        f"`{address}` · version {info['redis_version']} · "
        f"{size(memory)} of memory · {plural(int(clients), 'connection')} · "
        f"up {duration(info['uptime_in_seconds'])}"
    )


def _lacking() -> None:
    """Draw which workers lack what others have."""
    try:
        with redis_store.reaching():
            connection = redis_store.connect()
            alive = [worker for worker in redis_store.workers(connection) if worker["alive"]]
            gaps = run_parts.lacking(turns.parts_of(connection, alive))
    except NotAvailable:
        return
    for name, gap in gaps.items():
        st.warning(
            f"{name} lacks {', '.join(gap)}. Runs that need it go to workers that have it.",
            icon=":material/extension_off:",
        )


def _broken() -> None:
    """Draw the parts that cannot be used: not imported, or two of one id."""
    try:
        broken = redis_store.catalogue().get("broken", [])
    except NotAvailable:
        return
    for item in broken:
        st.error(f"**{item['module']} cannot be used:** {item['error']}")
        with st.expander("Traceback"):
            code(item["trace"])


def _disk() -> None:
    st.header("Disk", anchor=False)
    home = run_store.home()
    uses = _uses(str(home), len(run_store.run_names()))
    used, free = sum(use.num_bytes for use in uses), shutil.disk_usage(home).free
    st.markdown(
        f"{plural(len(uses), 'run')} in `{home / 'runs'}`: {size(used)}; {size(free)} are free."
    )
    if free < 1e9:
        st.warning("Less than 1 GB is free: delete checkpoints here, or runs under Runs.")
    if not uses:
        return
    st.html(_disk_rows(uses))
    _deleted_checkpoints(uses)
    if any(use.checkpoints for use in uses) and st.button(
        "Delete checkpoints", icon=":material/delete_sweep:"
    ):
        _delete_checkpoints(uses)


def _deleted_checkpoints(uses: list[RunUse]) -> None:
    """Offer to restore what was deleted within a day, or to free its place now."""
    deleted = [use for use in uses if use.deleted]
    if not deleted:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="disk_deleted"):
        st.markdown(
            f"Deleted checkpoints of {plural(len(deleted), 'run')}, "
            f"{size(sum(use.deleted for use in deleted))}, are kept for a day."
        )
        if st.button("Restore", icon=":material/undo:"):
            _clear(lambda: [trash.restore_checkpoints(_open(use)) for use in deleted])
        if st.button("Free their place now", icon=":material/delete_forever:"):
            _clear(trash.empty_checkpoints)


def _open(use: RunUse) -> RunDirectory:
    return run_store.open_run(use.status.id)


def _clear(act: Callable[[], object]) -> None:
    """Act on the disk and measure it anew, or say why not."""
    try:
        act()
    except (BasinError, OSError) as error:
        st.toast(str(error), icon=":material/warning:")
        return
    _uses.clear()
    st.rerun()


@st.cache_data(ttl=30, show_spinner="Measuring what runs take…")
def _uses(folder: str, number: int) -> list[RunUse]:
    """Measure every run; `number` of runs makes a changed list count anew."""
    return disk_use.by_run()


def _disk_rows(uses: list[RunUse]) -> str:
    """Write the rows as HTML, the largest run first, all others in the last."""
    first, rest = uses[:LARGEST], uses[LARGEST:]
    most = max([use.num_bytes for use in first] + [sum(use.num_bytes for use in rest), 1])
    rows = [
        _row(
            f'<a href="run?id={use.status.id}">{html.escape(name_of(use.status))}</a>',
            f"seed {use.status.seed} · {plural(len(use.checkpoints), 'checkpoint')}",
            use.num_bytes,
            most,
        )
        for use in first
    ]
    if rest:
        number = sum(len(use.checkpoints) for use in rest)
        words = plural(number, "checkpoint")
        rows.append(
            _row(
                f"the other {plural(len(rest), 'run')}",
                words,
                sum(use.num_bytes for use in rest),
                most,
            )
        )
    return f'<div class="basin-disk">{"".join(rows)}</div>'


def _row(name: str, words: str, num_bytes: int, most: int) -> str:
    share = 100 * num_bytes / most
    return (
        f"<div><span>{name}</span><span>{words}</span>"
        f'<i><i style="width: {share:.1f}%"></i></i><b>{size(num_bytes)}</b></div>'
    )


@st.dialog("Delete checkpoints", width="large")
def _delete_checkpoints(uses: list[RunUse]) -> None:
    known = {use.status.id: use for use in uses if use.checkpoints and use.status.is_over}
    if not known:
        st.write("Every run that has checkpoints goes on, and needs them.")
        return
    which = st.radio(
        "Which",
        (disk_use.EARLIER, disk_use.ALL),
        format_func=lambda key: WHICH[key],
        label_visibility="collapsed",
    )
    if which == disk_use.EARLIER:
        known = {run: use for run, use in known.items() if use.earlier}
    chosen = st.multiselect(
        "Of these runs",
        list(known),
        list(known) if which == disk_use.EARLIER else [],
        format_func=lambda run: (
            f"{name_of(known[run].status)} · seed {known[run].status.seed} · "
            f"{size(_bytes_of(known[run], which))}"
        ),
        placeholder="Choose runs that are over",
        key=f"disk_runs:{which}",
    )
    freed = sum(_bytes_of(known[run], which) for run in chosen)
    words = f"Delete them, {size(freed)}" if chosen else "Delete them"
    st.caption("They can be restored for a day; their place is free after it, or once you say so.")
    if st.button(words, type="primary", disabled=not chosen):
        try:
            disk_use.drop_checkpoints(chosen, which)
        except (BasinError, OSError) as error:
            st.error(f"Nothing more was deleted. {error}")
            return
        _uses.clear()
        st.rerun()


def _bytes_of(use: RunUse, which: str) -> int:
    return use.earlier if which == disk_use.EARLIER else sum(use.checkpoints)


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
