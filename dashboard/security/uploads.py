"""Uploads through Streamlit: only from sessions that were let in, and bounded.

Streamlit takes a file from whoever knows a session that is open, the page that asks for a login
included, and holds it in memory until that session ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Scope
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

SESSION_BYTES = 420_000_000
"""What the files of one session may take: one of the largest, and the one that replaces it."""
_MOST_SESSIONS = 1000
"""Kept before those that have ended are forgotten."""
_PATH = "/_stcore/upload_file/"
_let_in: set[str] = set()
_coming: dict[str, int] = {}
"""bytes a session is sending at this moment"""


def let_in() -> None:
    """Take uploads of the session that draws this page. For the page script."""
    context = get_script_run_ctx()
    if context is not None:
        if len(_let_in) > _MOST_SESSIONS:
            _let_in.difference_update({each for each in _let_in if not _is_open(each)})
        _let_in.add(context.session_id)


def shut_out() -> None:
    """Take no more uploads of the session that draws this page. For the page script."""
    context = get_script_run_ctx()
    if context is not None:
        _let_in.discard(context.session_id)


def is_upload(scope: Scope) -> bool:
    """Return True for a request that sends a file, or removes one."""
    return bool(scope["type"] == "http" and scope["path"].startswith(_PATH))


@contextmanager
def reserved(scope: Scope) -> Iterator[tuple[int, str]]:
    """Reserve room for an upload while it comes; yields a status and a reason where it may not."""
    session = scope["path"].removeprefix(_PATH).partition("/")[0]
    length = Headers(scope=scope).get("content-length", "")
    if session not in _let_in:
        yield HTTPStatus.FORBIDDEN, "Files are taken from open pages alone: load the page again."
    elif scope["method"] != "PUT":
        yield HTTPStatus.OK, ""
    elif not length.isascii() or not length.isdigit():
        yield HTTPStatus.LENGTH_REQUIRED, "An upload must say how long it is."
    elif _held(session) + _coming.get(session, 0) + int(length) > SESSION_BYTES:
        message = (
            f"The files of one page may take {SESSION_BYTES // 1_000_000} MB: remove one first."
        )
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message
    else:
        _coming[session] = _coming.get(session, 0) + int(length)
        try:
            yield HTTPStatus.OK, ""
        finally:
            _coming[session] -= int(length)
            if not _coming[session]:
                del _coming[session]


def _is_open(session: str) -> bool:
    return runtime.exists() and runtime.get_instance().is_active_session(session)


def _held(session: str) -> int:
    if not runtime.exists():
        return 0
    manager = runtime.get_instance().uploaded_file_mgr
    assert isinstance(manager, MemoryUploadedFileManager)
    return sum(len(file.data) for file in manager.file_storage.get(session, {}).values())
