"""Shell: the HTML that every page begins with, Streamlit's own with a script of Basin's.

Streamlit looks for its server below the page's address first, and not finding it there logs two
errors; `shell.js` names the one place where it is, and says in Basin's words when it is gone.
"""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from streamlit import file_util

PAGES = ("launch", "runs", "compare", "lab", "studio", "gallery", "system", "run")
"""Addresses of the pages, as `app.py` names them."""
_SCRIPT = '<script src="./live/static/parts/shell.js"></script>'
_HEAD = "<head>"


def routes() -> list[BaseRoute]:
    """Build the routes of the pages; whatever else there may be is Streamlit's."""
    return [Route(f"/{name}", shell, methods=["GET"]) for name in ("", *PAGES)]


async def shell(request: Request) -> Response:
    """Serve the page's HTML; the browser asks each time, as for Streamlit's own."""
    return HTMLResponse(_html(), headers={"Cache-Control": "no-cache"})


@cache
def _html() -> str:
    with open(f"{file_util.get_static_dir()}/index.html", encoding="utf-8") as file:
        text = file.read()
    return with_script(text)


def with_script(html: str) -> str:
    """Put Basin's script first in the head, and its name in place of Streamlit's.

    Raises ValueError for HTML without a head.
    """
    before, head, after = html.partition(_HEAD)
    if not head:
        raise ValueError("Streamlit's index.html has no <head>.")
    return f"{before}{head}{_SCRIPT}{after}".replace(
        "<title>Streamlit</title>", "<title>Basin</title>", 1
    )
