"""Code of the pages as it is sent: each file compressed once, and kept by browsers while it lasts.

Streamlit sends its own code as it lies there, 3 MB for a first page, and leaves compressing to a
proxy, which Basin seldom has.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import file_util

LIVE = Path(__file__).resolve().parent / "live"
TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
FOR_GOOD = "public, immutable, max-age=31536000"
"""Cache-Control of a file whose address changes with its content."""
_IMPORT = re.compile(r"""^(?:import|export)\b[^"'`;]*["'](\.[^"']+\.js)["']""", re.MULTILINE)
_STREAMLITS = re.compile(r"/(static/(?:js|css)/[\w.-]+\.(?:js|css))")
_MOST_FILES = 512
"""Compressed files kept in memory; Streamlit has some 200, most of a few kB."""


async def respond(headers: Headers, path: Path, cache: str) -> Response:
    """Build the answer with a file of code; compressed for who takes that."""
    takes_gzip = "gzip" in headers.get("accept-encoding", "")
    content = await run_in_threadpool(_read, path, path.stat().st_mtime_ns, takes_gzip)
    more = {"Cache-Control": cache, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if takes_gzip:
        more["Content-Encoding"] = "gzip"
    return Response(content, media_type=TYPES[path.suffix], headers=more)


@lru_cache(_MOST_FILES)
def _read(path: Path, changed: int, compressed: bool) -> bytes:
    """Read a file, as it was when last changed."""
    content = path.read_bytes()
    return gzip.compress(content, 9, mtime=0) if compressed else content


class StreamlitsCode:
    """ASGI middleware that answers for the code of Streamlit's pages; all else goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.folder = Path(file_util.get_static_dir())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = scope["type"] == "http" and _STREAMLITS.fullmatch(scope["path"])
        headers = Headers(scope=scope) if named else Headers()
        if named and scope["method"] == "GET" and "gzip" in headers.get("accept-encoding", ""):
            path = self.folder / named[1]
            if path.is_file():
                await (await respond(headers, path, FOR_GOOD))(scope, receive, send)
                return
        await self.app(scope, receive, send)


# ---------------------------------------------------------------------- the panels' own


def version() -> str:
    """Name the panels' code as it is now: part of its address, so that browsers may keep it."""
    files = ((path, path.stat()) for path in sorted(LIVE.rglob("*.*")))
    lines = [
        f"{path.relative_to(LIVE)} {about.st_size} {about.st_mtime_ns}" for path, about in files
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


@lru_cache(64)
def needed(modules: tuple[str, ...], at: str) -> list[str]:
    """List the files of modules of the panels and of all that they import; `at` is the version."""
    listed: dict[str, None] = {}
    waiting = [f"{name}.js" for name in modules]
    while waiting:
        name = waiting.pop(0)
        if name not in listed:
            listed[name] = None
            waiting += _imports(LIVE / name)
    return list(listed)


def _imports(path: Path) -> Iterator[str]:
    for match in _IMPORT.finditer(path.read_text(encoding="utf-8")):
        yield (path.parent / match[1]).resolve().relative_to(LIVE).as_posix()
