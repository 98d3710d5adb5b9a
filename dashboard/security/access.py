"""Access checks: a browser at an address that is Basin's, and the page's own token.

`dashboard/security/gate.py` stands before every route with what is said here of Host and Origin.
The live routes ask for a token as well, which the page script hands to its component: it is good
for twelve hours and, where people log in, carries who asked for the page.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import streamlit as st
from itsdangerous import BadSignature, TimestampSigner
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from jobs.services import entry_link, login

VALID_SECONDS = 12 * 3600
_HOUR = 3600
Endpoint = Callable[[Request], Awaitable[Response]]


def identity() -> str:
    """Return who is logged in to this page, as `login.admits` takes it; "" for nobody."""
    if not login.required() or not st.user.get("is_logged_in"):
        return ""
    email = st.user.get("email")
    if isinstance(email, str) and email and login.vouched(st.user):
        return email.lower()
    return f"{login.UNVERIFIED}{st.user.get('sub') or ''}"


def issue(now: float | None = None) -> str:
    """Issue a token for a page, good for `VALID_SECONDS` and up to an hour more.

    It is the same for an hour: a page that is drawn anew hands its elements the same data.
    """
    hour = _now(now) // _HOUR * _HOUR
    return _Signer(hour).sign(base64.urlsafe_b64encode(identity().encode())).decode()


def verify(token: str, now: float | None = None) -> bool:
    """Return True for a token of ours that is still good, of a person let in where people log
    in."""
    try:
        who = _Signer(_now(now)).unsign(token, max_age=VALID_SECONDS + _HOUR)
    except BadSignature:
        return False
    return not login.required() or login.admits(base64.urlsafe_b64decode(who).decode())


def refusal(headers: Mapping[str, str], token: str) -> str:
    """Explain why a request is refused, in one sentence; "" when it is let in."""
    if reason := site_refusal(headers):
        return reason
    if not verify(token):
        return "The page's token is missing, has run out or may not come in: load the page again."
    return ""


def admitted(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint so that it answers requests with a good token alone, others with 403."""

    @functools.wraps(endpoint)
    async def checked(request: Request) -> Response:
        if reason := refusal(request.headers, request.query_params.get("token", "")):
            return PlainTextResponse(reason, 403)
        return await endpoint(request)

    return checked


def site_refusal(headers: Mapping[str, str]) -> str:
    """Explain a refusal by a request's Host and Origin alone; "" when they are Basin's own.

    No Origin is good: programs send none, and browsers always do with what could do harm.
    """
    host = headers.get("host", "")
    if reason := host_refusal(host):
        return reason
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "Asked by a page of another site."
    return ""


def host_refusal(host: str) -> str:
    """Explain why a host is not answered to; "" for this machine, or one of BASIN_ALLOWED_HOSTS.

    That names hosts, separated by commas, for those who publish Basin on purpose. Any other name
    may be one that a page elsewhere had point here, to ask in a browser's name.
    """
    if _name(host) in login.hosts():
        return ""
    return "This address is not one that Basin answers to; see BASIN_ALLOWED_HOSTS."


def _name(host: str) -> str:
    with contextlib.suppress(ValueError):  # brackets or a port that are none
        parts = urlsplit(f"//{host}")
        if parts.netloc == host and parts.username is None and parts.port != 0:
            return parts.hostname or ""
    return ""


def _now(now: float | None) -> int:
    return int(time.time() if now is None else now)


class _Signer(TimestampSigner):
    """Signs and reads tokens at a given time, with this home's key."""

    def __init__(self, now: int) -> None:
        super().__init__(entry_link.key(), salt="basin.page", digest_method=hashlib.sha256)
        self._now = now

    def get_timestamp(self) -> int:
        return self._now
