"""Shell: the HTML that every page begins with, Streamlit's own with what Basin's pages need.

Streamlit looks for its server below the page's address first, and not finding it there logs two
errors; `shell.js` names the one place where it is, and says in Basin's words when it is gone.
The code of the panels is named here too: else it is asked for module by module, once Streamlit has
run its script.
"""

from __future__ import annotations

from functools import cache

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from streamlit import file_util

from dashboard import static_files

PAGES = {
    "launch": ("tiles", "previews"),
    "runs": ("runs",),
    "run": ("run", "charts/plotly"),
    "compare": ("compare", "charts/plotly"),
    "lab": ("previews",),
    "studio": ("studio/answer", "studio/picker"),
    "arena": ("pictures/arena/page",),
    "grid": ("comparing/grid/page",),
    "gallery": ("claim", "compare"),
    "system": ("charts/machines",),
}
"""Addresses of the pages, as `app.py` names them, and the modules of `live/` on each."""
_EVERYWHERE = ("list/head", "parts/field_keys")
_CHARTS = ("run", "compare")
"""Pages that draw with Plotly at once."""
_HEAD, _END = "<head>", "</head>"


def routes() -> list[BaseRoute]:
    """Build the routes of the pages; whatever else there may be is Streamlit's."""
    return [Route(f"/{name}", shell, methods=["GET"]) for name in ("", *PAGES)]


async def shell(request: Request) -> Response:
    """Serve the page's HTML; the browser asks each time, as for Streamlit's own."""
    page = request.url.path.rpartition("/")[2] or next(iter(PAGES))
    has_charts = page in _CHARTS or (page == "lab" and "runs" in request.query_params)
    html = await run_in_threadpool(_html, page, has_charts)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


def _html(page: str, has_charts: bool = False) -> str:
    version = static_files.version()
    modules = [*_EVERYWHERE, *PAGES[page]]
    if page == "lab" and has_charts:
        modules += ["lab", "charts/plotly"]
    names = static_files.needed(tuple(modules), version)
    links = [f'<link rel="modulepreload" href="{_address(version, name)}">' for name in names]
    if has_charts:
        links.append('<link rel="preload" as="script" href="./live/plotly.js">')
    style = _address(version, "live.css")
    links.append(f'<link rel="stylesheet" id="basin-live-css" href="{style}">')
    script = f'<script src="{_address(version, "parts/shell.js")}"></script>'
    return with_ours(_streamlits(), script, "\n".join(links))


def _address(version: str, name: str) -> str:
    return f"./live/static/v{version}/{name}"


@cache
def _streamlits() -> str:
    with open(f"{file_util.get_static_dir()}/index.html", encoding="utf-8") as file:
        return file.read()


def with_ours(html: str, first: str, last: str) -> str:
    """Put what is Basin's first and last in the head, and its name in place of Streamlit's.

    Raises ValueError for HTML without a head.
    """
    before, head, after = html.partition(_HEAD)
    inside, end, rest = after.partition(_END)
    if not head or not end:
        raise ValueError("Streamlit's index.html has no <head>.")
    return f"{before}{head}{first}{inside}{last}{end}{rest}".replace(
        "<title>Streamlit</title>", "<title>Basin</title>", 1
    )
