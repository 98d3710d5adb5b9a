"""Gate before every route, Streamlit's own included: access checks, and headers of every answer.

In this order a request is refused: for its Host and Origin (another site), for a path that Basin
does not offer, for who asks (where nobody logs in: `jobs/services/entry_link.py`), and as an
upload.
"""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import NotAvailable
from dashboard.security import access, uploads
from jobs.services import entry_link, framing, login, peer_user

_REFUSED = 4403
_PAGE = (Path(__file__).resolve().parent / "refusal.html").read_text(encoding="utf-8")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""What every answer says, beside who may frame it."""
# Pictures from elsewhere would tell others who reads a note, and when.
_POLICY = (
    "base-uri 'self'; object-src 'none'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; frame-ancestors 'self'"
)
_OPEN = ("/live/health", "/_stcore/health")
_NOT_OFFERED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check")
_ASK = (
    "This Basin lets in the person who runs it, and whoever has its link. The command "
    "`basin link`, run by that person on that machine, prints it: open it once in this browser."
)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Sent by a proxy, which speaks for others: whose process it is says nothing."""


class Gate:
    """ASGI middleware of the gate: it sees WebSockets, and hands bodies on unread."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            refusal, cookie = await _judge(scope)
        except NotAvailable as error:
            refusal, cookie = PlainTextResponse(str(error), 503), ""
        if scope["type"] == "websocket" and refusal is not None:
            # before it is accepted: the browser gets 403
            await send({"type": "websocket.close", "code": _REFUSED, "reason": ""})
            return
        with contextlib.ExitStack() as stack:
            if refusal is None and uploads.is_upload(scope):
                status, reason = stack.enter_context(uploads.reserved(scope))
                refusal = PlainTextResponse(reason, status) if reason else None
            await (refusal or self.app)(scope, receive, _with_headers(send, cookie, scope))


async def _judge(scope: Scope) -> tuple[Response | None, str]:
    """Build the answer to a request that is not let in, else None; and a cookie to give, or ""."""
    headers = Headers(scope=scope)
    if reason := access.site_refusal(headers):
        return _refused(headers, reason), ""
    path = scope["path"]
    if path.startswith(_NOT_OFFERED):
        return PlainTextResponse("There is no such page.", 404), ""
    if path in _OPEN or login.required():
        return None, ""
    is_live = path.startswith("/live/")
    token = QueryParams(scope["query_string"]).get("token", "")
    if token and not is_live and entry_link.opens(token):
        return _again(scope), _cookie(scope)
    if entry_link.knows(headers.get("cookie", "")) or (is_live and access.verify(token)):
        return None, ""
    wants_page = scope["type"] == "http" and "text/html" in headers.get("accept", "")
    if not any(name in headers for name in _FORWARDED):
        client, server = scope.get("client"), scope.get("server")
        if client and server and await run_in_threadpool(peer_user.is_own, client, server):
            return None, _cookie(scope) if wants_page else ""
    if wants_page and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return _again(scope), ""  # a link elsewhere: the browser kept its cookie to itself
    return _refused(headers, _ASK), ""


def _refused(headers: Headers, reason: str) -> Response:
    """Build a 403 with the reason: as a page for who wants one, else as a line."""
    if "text/html" not in headers.get("accept", ""):
        return PlainTextResponse(reason, HTTPStatus.FORBIDDEN)
    text = re.sub("`(.+?)`", r"<code>\1</code>", html.escape(reason))
    return HTMLResponse(_PAGE.format(head="", reason=text), HTTPStatus.FORBIDDEN)


def _again(scope: Scope) -> Response:
    """Build a page that asks for the same address without its token.

    No redirect: after one from another site a browser would keep the cookie to itself.
    """
    query = [
        pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"
    ]
    # from where it stands, whatever path a proxy puts before; ./ begins neither host nor scheme
    name = quote(scope["path"].rpartition("/")[2])
    address = f"./{name}" + (f"?{urlencode(query)}" if query else "")
    head = f'<meta http-equiv="refresh" content="0;url={html.escape(address)}">'
    return HTMLResponse(_PAGE.format(head=head, reason="One moment."))


def _cookie(scope: Scope) -> str:
    secure = "; Secure" if scope["scheme"] == "https" else ""
    pair = f"{entry_link.cookie_name()}={entry_link.cookie()}"
    age = entry_link.COOKIE_SECONDS
    return f"{pair}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"


def _with_headers(send: Send, cookie: str, scope: Scope) -> Send:
    """Wrap `send` to add the headers of every answer, and a cookie where one is given."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in (*_HEADERS.items(), *_framing(scope)):
                headers[name] = value
            if cookie:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return send_with_headers


def _framing(scope: Scope) -> Iterator[tuple[str, str]]:
    """Build the headers that say which pages may have an answer inside of theirs."""
    others: tuple[str, ...] = ()
    with contextlib.suppress(NotAvailable):
        others = framing.ancestors(scope["path"], QueryParams(scope["query_string"]))
    yield "Content-Security-Policy", " ".join((_POLICY, *others))
    if not others:  # it knows no list
        yield "X-Frame-Options", "SAMEORIGIN"
