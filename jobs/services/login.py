"""Login: if people must log in, and who may, by BASIN_HOME/secrets.toml and BASIN_ALLOWED_USERS.

The pages log in with OpenID Connect through Streamlit, which reads `[auth]` from that one file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from backend.errors import BadInput, Problem
from jobs.records import run_store

FILE = "secrets.toml"
USERS = "BASIN_ALLOWED_USERS"
ISSUERS = "BASIN_TRUSTED_ISSUERS"
HOSTS = "BASIN_ALLOWED_HOSTS"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
UNVERIFIED = "sub:"
"""begins the identity of somebody for whose e-mail address the provider does not vouch"""
_CALLBACK = "/oauth2callback"
_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_LEAST_SECRET = 32
_PERSON = re.compile(r"[^@\s]*@[^@\s]+")


def secrets_file() -> Path:
    """Return the one file that the dashboard takes secrets from. It need not be there."""
    return run_store.home() / FILE


def required() -> bool:
    """Return True when people must log in. Decided once a process.

    A file that is saved anew, and not there for a moment, must not open the pages.
    """
    return _required(secrets_file())


@cache
def _required(path: Path) -> bool:
    try:
        return "auth" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True  # `check` says what is wrong; until it is mended nobody is let in


def vouched(claims: Mapping[str, object]) -> bool:
    """Return True when the provider vouches for the e-mail address among a person's claims.

    It says so by `email_verified`. Many that leave it out let people enter any address, so without
    it the answer is no, unless BASIN_TRUSTED_ISSUERS names the provider.
    """
    verified = claims.get("email_verified")
    if verified is None:
        return str(claims.get("iss")) in _named(ISSUERS)
    return str(verified).lower() == "true"


def admits(identity: str) -> bool:
    """Return True when BASIN_ALLOWED_USERS lets this identity in; unset, it lets in everybody.

    identity: an e-mail address, or what begins with `UNVERIFIED`, which no list can name.
    """
    allowed = _allowed_users()
    if not allowed or not identity:
        return bool(identity)
    domain = "@" + identity.rpartition("@")[2]
    return not identity.startswith(UNVERIFIED) and bool(allowed & {identity, domain})


def check() -> None:
    """Raise BadInput with everything that makes a login unsafe or impossible."""
    problems = _file_problems(secrets_file())
    for entry in _allowed_users():
        if not _PERSON.fullmatch(entry):
            rule = "must list e-mail addresses or @domains, separated by commas"
            problems.append(Problem(USERS, f"{rule}; {entry!r} is neither."))
    if _allowed_users() and not problems and not required():
        rule = f"names people, but nobody is asked who they are: add [auth] to {secrets_file()}"
        problems.append(Problem(USERS, f"{rule} (see docs/proxy.md), or unset it."))
    for issuer in _named(ISSUERS):
        if not issuer.startswith(("https://", "http://")):
            rule = "must list providers as their `iss` claim has them, like https://id.example"
            problems.append(Problem(ISSUERS, f"{rule}; got {issuer!r}."))
    if problems:
        raise BadInput(*problems)


def hosts() -> frozenset[str]:
    """Return the names that Basin answers to: this machine's own, and those of
    BASIN_ALLOWED_HOSTS."""
    return LOOPBACK | {name.lower() for name in _named(HOSTS)}


def _allowed_users() -> frozenset[str]:
    return frozenset(name.lower() for name in _named(USERS))


def _named(variable: str) -> frozenset[str]:
    """Split the list that a variable holds, separated by commas."""
    named = os.environ.get(variable, "").split(",")
    return frozenset(name.strip() for name in named if name.strip())


def _file_problems(path: Path) -> list[Problem]:
    try:
        mode = path.stat().st_mode & 0o777
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        return [Problem(FILE, f"{path} must be readable TOML: {error}. Correct or remove it.")]
    problems = []
    if mode & 0o077:
        rule = f"{path} must be open to its owner alone (0600), but is 0{mode:o}"
        problems.append(Problem(FILE, f"{rule}: chmod 600 {path}, and change what it held."))
    auth = content.get("auth")
    if auth is None:
        return problems
    fields = {name: auth.get(name) if isinstance(auth, dict) else None for name in _NEEDED}
    for name, value in fields.items():
        if not isinstance(value, str) or not value:
            problems.append(Problem(f"auth.{name}", f"must be a text in {path}; see docs/proxy.md"))
    address, secret = fields["redirect_uri"], fields["cookie_secret"]
    if isinstance(address, str) and address and not address.endswith(_CALLBACK):
        rule = f"must be Basin's own address and {_CALLBACK}, got {address!r}"
        problems.append(Problem("auth.redirect_uri", f"{rule}. Correct it in {path}."))
    if isinstance(secret, str) and 0 < len(secret) < _LEAST_SECRET:
        rule = f"must be {_LEAST_SECRET} random characters or more, got {len(secret)}"
        problems.append(Problem("auth.cookie_secret", f"{rule}: openssl rand -hex 32 makes one."))
    return problems
