"""Framing: a run's page inside a notebook's, and inside no other site's.

A page that another site shows inside its own could have people press what they do not see there.
So nothing of Basin is framed elsewhere but by an address that holds a ticket: of one run, signed
with this BASIN_HOME's key, made by `basin.show` alone. It lets nobody in who is not let in already,
and frames only below a notebook's page on this machine, or at an origin that BASIN_NOTEBOOK_ORIGINS
names.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from backend.errors import BadInput
from jobs.services import entry_link

ORIGINS = "BASIN_NOTEBOOK_ORIGINS"
HERE = tuple(
    f"{scheme}://{host}:*" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1")
)
"""Notebooks on this machine, at any port, as a browser's policy names them."""
_PAGE = "run"
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")


def address_of(run_id: str, basin: str) -> str:
    """Build the address of a run's page that a notebook may frame; basin: Basin's own address."""
    query = {"id": run_id, "embed": "true", "frame": _ticket(run_id)}
    return f"{basin.rstrip('/')}/{_PAGE}?{urlencode(query)}"


def ancestors(path: str, query: Mapping[str, str]) -> tuple[str, ...]:
    """Return the origins beside Basin's own whose pages may frame the answer to a request."""
    ticket, run_id = query.get("frame", ""), query.get("id", "")
    if not ticket or path.rpartition("/")[2] != _PAGE:
        return ()
    if not hmac.compare_digest(ticket.encode(), _ticket(run_id).encode()):
        return ()
    return (*HERE, *_named())


def check() -> None:
    """Raise BadInput where BASIN_NOTEBOOK_ORIGINS names what is no origin."""
    for origin in _named():
        if not _ORIGIN.fullmatch(origin):
            rule = "must list origins of notebooks, separated by commas, like https://hub.example"
            raise BadInput.at(ORIGINS, f"{rule}; got {origin!r}.")


def _named() -> tuple[str, ...]:
    named = os.environ.get(ORIGINS, "").split(",")
    return tuple(name.strip().lower() for name in named if name.strip())


def _ticket(run_id: str) -> str:
    return hmac.new(entry_link.key(), f"frame {run_id}".encode(), hashlib.sha256).hexdigest()[:40]
