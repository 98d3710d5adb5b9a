"""Who may use the live routes: the page's own token, from the page's own address.

Streamlit puts no login before an app's own routes and takes any Origin, so these look themselves.
The page script hands its component a token that is good for twelve hours; Host and Origin are
checked because a token in an address may end in a log, and other pages of the browser may ask.
Where people log in, the token carries who asked for the page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import streamlit as st

from jobs import artifacts, login

VALID_SECONDS = 12 * 3600
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY = "live.key"
_TOKEN = re.compile(r"(([0-9]{1,12})\.([A-Za-z0-9_=-]*))\.([0-9a-f]{64})")


def identity() -> str:
    """Who is logged in to this page, as `login.admits` takes it; "" for nobody."""
    if not login.required() or not st.user.get("is_logged_in"):
        return ""
    email, verified = st.user.get("email"), st.user.get("email_verified")
    if isinstance(email, str) and email and str(verified).lower() != "false":
        return email.lower()
    return f"{login.UNVERIFIED}{st.user.get('sub') or ''}"


def issue(now: float | None = None) -> str:
    """A token for a page, good for `VALID_SECONDS` and up to an hour more.

    It is the same for an hour: a page that is drawn anew hands its elements the same data.
    """
    since = time.time() if now is None else now
    expires = (int(since + VALID_SECONDS) // 3600 + 1) * 3600
    claims = f"{expires}.{base64.urlsafe_b64encode(identity().encode()).decode()}"
    return f"{claims}.{_signed(claims)}"


def verify(token: str, now: float | None = None) -> bool:
    """Whether a token is one of ours, still good, and where people log in, of one let in."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return False
    claims, expires, who, signature = parts.groups()
    if not hmac.compare_digest(signature, _signed(claims)):
        return False
    if int(expires) < (time.time() if now is None else now):
        return False
    return not login.required() or login.admits(base64.urlsafe_b64decode(who).decode())


def refusal(headers: Mapping[str, str], token: str) -> str:
    """Why a request is refused, in one sentence; "" when it is let in."""
    host = headers.get("host", "")
    if reason := host_refusal(host):
        return reason
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "Asked by a page of another site."
    if not verify(token):
        return "The page's token is missing, has run out or may not come in: load the page again."
    return ""


def host_refusal(host: str) -> str:
    """Why a host is not answered to; "" when it is this machine, or one of BASIN_ALLOWED_HOSTS.

    That names hosts, separated by commas, for those who publish Basin on purpose. Any other name
    may be one that a page elsewhere had point here, to ask in a browser's name.
    """
    if _name(host) in LOOPBACK | _allowed():
        return ""
    return "This address is not one that Basin answers to; see BASIN_ALLOWED_HOSTS."


def _name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _allowed() -> frozenset[str]:
    named = os.environ.get("BASIN_ALLOWED_HOSTS", "").split(",")
    return frozenset(name.strip().lower() for name in named if name.strip())


def _signed(claims: str) -> str:
    return hmac.new(_key(), claims.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    """The key of this BASIN_HOME, made at the first call; its owner alone may read it."""
    home = artifacts.home()
    path = home / _KEY
    try:
        return path.read_bytes()
    except FileNotFoundError:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = secrets.token_bytes(32)
    aside = home / f".{_KEY}-{secrets.token_hex(4)}"
    aside.write_bytes(b"")
    aside.chmod(0o600)
    aside.write_bytes(fresh)
    try:
        os.link(aside, path)  # the first one wins
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    return path.read_bytes()
