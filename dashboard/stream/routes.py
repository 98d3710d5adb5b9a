"""Live routes beside Streamlit's own: the WebSocket, downloads, and the panels' own files.

/live/ws?token=                       the stream of a page, see `dashboard/stream/hub.py`
/live/poll?token=                     the same for a page that cannot have a WebSocket
/live/machines?seconds=&token=        machines, their workers and what they did in so many seconds
/live/head?token=                     workers, running, queued, as the head of every page says them;
                                      with `blind` no run is named
/live/file?run=&name=&token=          one file of a run
/live/sample_set?id=&part=&token=    a sample set: its `fields` as JSON, its `pictures`, frames, or
                                        its `samples`, an .npz
/live/grid?id=&after=&token=            a grid of sample sets, with the cells that changed since
/live/curves.csv?run=&path=&name=&token=    curves at full resolution; several runs and paths may be
                                            named, no path is all of them, `name` is the file's
/live/static/NAME  /live/plotly.js    code of the panels; the same for everybody, no token;
/live/static/vVERSION/NAME            the same, to be kept by the browser
/live/health                          "ok" once the server answers
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import get_option

from backend.errors import BadInput, NotAvailable
from dashboard import static_files
from dashboard.faults import sentence
from dashboard.security import access, viewers
from dashboard.settings import REPORTED
from dashboard.stream import grid_cells, machine_list
from dashboard.stream.history import History
from dashboard.stream.hub import Hub
from dashboard.stream.questions import MOST_MESSAGE_BYTES, MOST_PATHS, MOST_RUNS, parsed
from jobs.grids import records
from jobs.records import run_store, sample_sets
from jobs.records.run_directory import RunDirectory

_NAME = re.compile(r"(v[0-9a-f]{12}/)?((?:[a-z]+/){0,2}[a-z0-9_]+\.(?:js|css|json))")
_PAGE = re.compile(r"[0-9a-f]{32}")
_PRIVATE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_COLUMNS = ("step", "gradients", "seconds", "joules", "value")
_CSV_ROWS = 5000
_REFUSED = 4403


def routes(hub: Hub) -> list[BaseRoute]:
    """Build every route, on one hub."""

    async def websocket(socket: WebSocket) -> None:
        """Send what runs say, as frames, and hear which runs and figures a page looks at."""
        reason = access.refusal(socket.headers, socket.query_params.get("token", ""))
        if reason:
            # refused before it is accepted: the browser gets 403
            await socket.close(_REFUSED, reason)
            return
        await socket.accept()
        await hub.serve(socket)

    async def poll(request: Request) -> Response:
        """Answer as the WebSocket does, by frames, where a proxy lets none through."""
        try:
            name, texts = _parse_poll(await _body(request))
            data = await hub.poll(name, texts, viewers.viewer_of(request.cookies))
        except BadInput as error:
            return PlainTextResponse(str(error), 400)
        except NotAvailable as error:
            return PlainTextResponse(str(error), 503)
        return Response(data, media_type="application/octet-stream", headers=_PRIVATE)

    async def head(request: Request) -> Response:
        """Serve what the head of every page shows, as JSON: runs that go on, and alarms."""
        try:
            words = await hub.head()
            if "blind" in request.query_params:  # a page that must name nobody
                words["look"] = [{"id": "", "name": ""} for _ in words["look"]]
            return JSONResponse(words, headers=_PRIVATE)
        except (NotAvailable, OSError) as error:
            return PlainTextResponse(sentence(error), 503)

    return [
        WebSocketRoute("/live/ws", websocket),
        Route("/live/poll", access.admitted(poll), methods=["POST"]),
        Route("/live/head", access.admitted(head)),
        Route("/live/machines", access.admitted(machines)),
        Route("/live/curves.csv", access.admitted(curves_csv)),
        Route("/live/file", access.admitted(file)),
        Route("/live/sample_set", access.admitted(sample_set)),
        Route("/live/grid", access.admitted(grid)),
        Route("/live/static/{name:path}", static),
        Route("/live/plotly.js", plotly_js),
        Route("/live/health", health),
    ]


async def machines(request: Request) -> Response:
    """Serve the machines as JSON, see `dashboard/stream/machine_list.py`."""
    seconds = request.query_params.get("seconds", "")
    try:
        content = await run_in_threadpool(machine_list.listed, seconds)
    except BadInput as error:
        return PlainTextResponse(str(error), 400)
    except (NotAvailable, OSError) as error:
        return PlainTextResponse(sentence(error), 503)
    return JSONResponse(content, headers=_PRIVATE)


async def _body(request: Request) -> bytes:
    """Read what was posted, no more of it in memory than is taken. Raises BadInput."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_MESSAGE_BYTES:
            raise BadInput.at("", f"a message of more than {MOST_MESSAGE_BYTES:,} bytes.")
    return body


def _parse_poll(body: bytes) -> tuple[str, list[str]]:
    """Parse the page's own name and its questions. Raises BadInput."""
    content = parsed(body)
    if not isinstance(content, dict) or not isinstance(content.get("say"), list):
        raise BadInput.at("", "must be a JSON object with `page` and `say`.")
    name = content.get("page")
    if not isinstance(name, str) or not _PAGE.fullmatch(name):
        raise BadInput.at("page", "must be 32 hexadecimal digits.")
    try:
        return name, [json.dumps(item) for item in content["say"]]
    except RecursionError as error:
        raise BadInput.at("say", "is nested too deeply.") from error


async def health(request: Request) -> Response:
    """Answer with the settings in force that keep the server safe and quick."""
    return JSONResponse({"status": "ok", "settings": {name: get_option(name) for name in REPORTED}})


async def static(request: Request) -> Response:
    """Serve a file of `dashboard/live/`; without a version the browser asks each time."""
    named = _NAME.fullmatch(request.path_params["name"])
    path = static_files.LIVE / (named[2] if named else "")
    if not path.is_file():
        return PlainTextResponse("There is no such file.", 404)
    cache = static_files.FOR_GOOD if named and named[1] else "no-cache"
    return await static_files.respond(request.headers, path, cache)


async def plotly_js(request: Request) -> Response:
    """Serve Plotly as its own wheel ships it, so that pages need no internet."""
    return await static_files.respond(request.headers, _plotly_path(), "max-age=86400")


@cache
def _plotly_path() -> Path:
    # found, not imported: only its script is used here, and its Python weighs 20 MB
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


async def file(request: Request) -> Response:
    """Serve one file of a run, as a download."""
    query = request.query_params

    def find() -> Path:
        directory = run_store.open_run(query.get("run", ""))
        _note_seen(request, [directory.id])
        return _path_of(directory, query.get("name", ""))

    try:
        path = await run_in_threadpool(find)
    except (BadInput, NotAvailable) as error:
        return PlainTextResponse(str(error), 404)
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"{query['run']}-{path.name}",
        headers=_PRIVATE,
    )


def _note_seen(request: Request, runs: Iterable[str]) -> None:
    """Note that these runs are seen by name: votes on them that the viewer has open are void."""
    viewers.sightings.note(viewers.viewer_of(request.cookies), runs)


async def sample_set(request: Request) -> Response:
    """Serve how far a sample set is, or the pictures of one that is done."""
    query = request.query_params

    def read() -> Response:
        known = sample_sets.open_set(query.get("id", ""))
        _note_seen(request, [known.run])
        if query.get("part") == "pictures":
            content = known.pictures()
            return Response(content, media_type="application/octet-stream", headers=_PRIVATE)
        if query.get("part") == "samples":
            path = known.path / "samples.npz"
            if not path.is_file():
                raise NotAvailable(f"There are no samples of `{known.id}` yet.")
            return FileResponse(path, filename=f"{known.id}.npz", headers=_PRIVATE)
        fields = known.model_dump(mode="json", exclude={"host", "pid", "process"})
        return JSONResponse({**fields, "title": known.title}, headers=_PRIVATE)

    try:
        return await run_in_threadpool(read)
    except (BadInput, NotAvailable) as error:
        return PlainTextResponse(str(error), 404)


async def grid(request: Request) -> Response:
    """Serve a grid as JSON, see `dashboard/stream/grid_cells.py`."""
    query = request.query_params

    def read() -> Response:
        known = records.open_grid(query.get("id", ""))
        _note_seen(request, known.runs)
        return JSONResponse(grid_cells.told(known, query.get("after", "")), headers=_PRIVATE)

    try:
        return await run_in_threadpool(read)
    except (BadInput, NotAvailable) as error:
        return PlainTextResponse(str(error), 404)


async def curves_csv(request: Request) -> Response:
    """Serve curves of runs as text: run, path, the four costs, the value; every point. All curves
    where no path is named."""
    query = request.query_params
    runs, paths = query.getlist("run"), query.getlist("path")
    try:
        if not 0 < len(runs) <= MOST_RUNS or len(paths) > MOST_PATHS:
            raise BadInput.at("run", f"1 to {MOST_RUNS} runs and at most {MOST_PATHS} paths.")
        directories = await run_in_threadpool(lambda: [run_store.open_run(run) for run in runs])
    except (BadInput, NotAvailable) as error:
        return PlainTextResponse(str(error), 404)
    await run_in_threadpool(_note_seen, request, [each.id for each in directories])
    title = query.get("name") or (paths[0] if paths else "curves")
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{directories[0].id}-{title}")
    headers = {**_PRIVATE, "Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(_csv(directories, paths), media_type="text/csv", headers=headers)


def _csv(directories: list[RunDirectory], paths: list[str]) -> Iterator[str]:
    yield f"run,path,{','.join(_COLUMNS)}\n"
    for directory in directories:
        history = History(directory)
        for path in paths or history.paths:
            series = history.stretch(path, 0, np.inf)
            columns = [getattr(series, column) for column in _COLUMNS]
            head = [directory.id, _word(path)]
            for start in range(0, len(series.step), _CSV_ROWS):
                part = zip(*(c[start : start + _CSV_ROWS].tolist() for c in columns), strict=True)
                text = io.StringIO()
                rows = ([*head, *map(_cell, row)] for row in part)
                csv.writer(text, lineterminator="\n").writerows(rows)
                yield text.getvalue()


def _word(text: str) -> str:
    """Quote a word that a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _cell(value: float) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else f"{value:.9g}"


def _path_of(directory: RunDirectory, name: str) -> Path:
    path = directory.path_of(name)
    if name not in dict(directory.files()):
        raise NotAvailable(f"`{directory.id}` has no file {name!r}.")
    return path
