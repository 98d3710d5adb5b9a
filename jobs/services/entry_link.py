"""Entry without a login: the key of this BASIN_HOME, the link made of it, and the cookie.

Where nobody logs in, whoever runs Basin comes in by being its user (`jobs/services/peer_user.py`);
any other browser by the link that `basin link` prints, which is changed for a cookie at the first
visit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from itsdangerous import BadSignature, TimestampSigner

from backend.errors import NotAvailable
from backend.system.home import make_private
from jobs.records import run_store
from jobs.system import atomic_files

COOKIE_SECONDS = 30 * 24 * 3600
_FILE = "live.key"
_KEY_BYTES = 32
_VISITOR = "visitor"


def key() -> bytes:
    """Return the secret of this BASIN_HOME, 32 bytes only its owner may read; made when missing.

    One that is too short (a full disk, power lost in the first seconds) or open to others is no
    secret: it is made anew. Raises NotAvailable when it can neither be read nor made.
    """
    path = run_store.home() / _FILE
    try:
        make_private(path.parent)
        secret, is_private = _read(path)
        if len(secret) < _KEY_BYTES or not is_private:
            with atomic_files.locked(path.parent):  # of several that start together, one makes it
                secret, is_private = _read(path)
                if len(secret) < _KEY_BYTES or not (is_private or _knows_no_modes(path)):
                    secret = secrets.token_bytes(_KEY_BYTES)
                    atomic_files.write(path, secret, sync=True)
    except OSError as error:
        raise NotAvailable(
            f"The key {path} can neither be read nor made ({error.strerror}): remove it, or make "
            "it and its folder writable for the user who runs Basin."
        ) from error
    return secret


def _read(path: Path) -> tuple[bytes, bool]:
    """Read the file, and if its owner alone may read it; nothing where it is missing."""
    try:
        return path.read_bytes(), not path.stat().st_mode & 0o077
    except FileNotFoundError:
        return b"", True


def _knows_no_modes(path: Path) -> bool:
    """Return True on a disk that shows files as open to all whatever is asked of it."""
    with suppress(OSError):
        path.chmod(0o600)
    return bool(path.stat().st_mode & 0o077)


def link(address: str) -> str:
    """Build the address that lets a browser in, until the key is made anew."""
    return f"{address}/?token={_ticket()}"


def opens(token: str) -> bool:
    """Return True for the token of the link."""
    return hmac.compare_digest(token.encode(), _ticket().encode())


def cookie_name() -> str:
    """Return a name for each BASIN_HOME: a browser has one jar for all ports of a host."""
    return f"basin_{hashlib.sha256(b'cookie' + key()).hexdigest()[:8]}"


def cookie() -> str:
    """Sign a cookie for a browser that came by the link, good for `COOKIE_SECONDS`."""
    return _signer().sign(_VISITOR).decode()


def knows(cookies: str) -> bool:
    """Return True when a request's `Cookie` header has a good cookie."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(cookies)
        morsel = jar.get(cookie_name())
        return morsel is not None and bool(_signer().unsign(morsel.value, COOKIE_SECONDS))
    except (CookieError, BadSignature):
        return False


def _signer() -> TimestampSigner:
    return TimestampSigner(key(), salt="basin.visitor", digest_method=hashlib.sha256)


def _ticket() -> str:
    return hmac.new(key(), b"link", hashlib.sha256).hexdigest()[:40]
