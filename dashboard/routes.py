"""The live routes beside Streamlit's own: the WebSocket, downloads, and the panels' own files.

/live/ws?token=                       the stream of a page, see `dashboard/hub.py`
/live/file?run=&name=&token=          one file of a run
/live/static/NAME  /live/plotly.js    code of the panels; the same for everybody, no token
/live/health                          "ok" once the server answers
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import plotly
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import get_option

from backend.errors import BadInput, NotAvailable
from dashboard import access
from dashboard.hub import Hub
from jobs import artifacts

LIVE = Path(__file__).resolve().parent / "live"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
_NAME = re.compile(r"[a-z0-9_]+\.(?:js|css|json)")
_REFUSED = 4403
FIXED = (
    "server.address", "server.headless", "server.maxUploadSize", "server.fileWatcherType",
    "browser.gatherUsageStats", "runner.postScriptGC", "runner.magicEnabled", "client.toolbarMode",
    "server.enableCORS", "server.enableXsrfProtection", "server.trustedUserHeaders",
)  # fmt: skip
"""Settings that `basin dashboard` fixes; a test reads them back from the running server."""


def routes(hub: Hub) -> list[BaseRoute]:
    """Every route, on one hub."""

    async def websocket(socket: WebSocket) -> None:
        reason = access.refusal(socket.headers, socket.query_params.get("token", ""))
        if reason:
            # refused before it is accepted: the browser gets 403
            await socket.close(_REFUSED, reason)
            return
        await socket.accept()
        await hub.serve(socket)

    return [
        WebSocketRoute("/live/ws", websocket),
        Route("/live/file", file),
        Route("/live/static/{name}", static),
        Route("/live/plotly.js", plotly_js),
        Route("/live/health", health),
    ]


async def health(request: Request) -> Response:
    """That the server answers, and the settings in force that keep it safe and quick."""
    return JSONResponse({"status": "ok", "settings": {name: get_option(name) for name in FIXED}})


async def static(request: Request) -> Response:
    """A file of `dashboard/live/`; the browser asks each time whether it changed."""
    name = request.path_params["name"]
    path = LIVE / name
    if not _NAME.fullmatch(name) or not path.is_file():
        return PlainTextResponse("There is no such file.", 404)
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=headers)


async def plotly_js(request: Request) -> Response:
    """Plotly as its own wheel ships it, so that pages need no internet."""
    headers = {"Cache-Control": "max-age=86400", "X-Content-Type-Options": "nosniff"}
    return FileResponse(_plotly_path(), media_type=_TYPES[".js"], headers=headers)


@cache
def _plotly_path() -> Path:
    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


async def file(request: Request) -> Response:
    """One file of a run, as a download."""
    query = request.query_params
    reason = access.refusal(request.headers, query.get("token", ""))
    if reason:
        return PlainTextResponse(reason, 403)
    try:
        path = await run_in_threadpool(_path_of, query.get("run", ""), query.get("name", ""))
    except (BadInput, NotAvailable) as error:
        return PlainTextResponse(str(error), 404)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"{query['run']}-{path.name}",
        headers=headers,
    )


def _path_of(run_id: str, name: str) -> Path:
    directory = artifacts.open_run(run_id)
    path = directory.path_of(name)
    if name not in dict(directory.files()):
        raise NotAvailable(f"`{directory.id}` has no file {name!r}.")
    return path
