"""User at the other end of a loopback connection, by Linux's own table of sockets."""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ESTABLISHED = "01"
_NOBODY = 65534
"""also stands for every user that a container does not know"""


@cache
def is_told() -> bool:
    """Return True when this system tells whose a connection is; tried with one to this process."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ends = server.getsockname()
            with socket.create_connection(ends, timeout=2) as client:
                return is_own(client.getsockname(), ends)
    except OSError:
        return False


def is_own(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return True when a process of this user, or of root, holds the client's end of a connection.

    client, server: address and port of its two ends, as the server sees them. False for whatever
    does not come over loopback, has ended, or cannot be told.
    """
    uid = _uid(client, server)
    return uid is not None and uid in {0, os.geteuid()} - {_NOBODY}


def _uid(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    with suppress(ValueError, OSError):
        ends = [(ipaddress.ip_address(address), port) for address, port in (client, server)]
        if not all(address.is_loopback for address, _ in ends):
            return None
        for table in _TABLES:
            for both in _written(ends):
                for line in Path(table).read_text().splitlines():
                    if both in line and (uid := _owner(line)) is not None:
                        return uid
    return None


_Ends = list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]


def _written(ends: _Ends) -> list[str]:
    """Format two ends as the tables do; one of version 4 may be written in version 6."""
    plain = " ".join(_hexadecimal(address.packed, port) for address, port in ends)
    if ends[0][0].version == 6:
        return [plain]
    mapped = bytes(10) + b"\xff\xff"
    return [plain, " ".join(_hexadecimal(mapped + a.packed, port) for a, port in ends)]


def _hexadecimal(packed: bytes, port: int) -> str:
    groups = [packed[start : start + 4][::-1].hex() for start in range(0, len(packed), 4)]
    return f"{''.join(groups)}:{port:04x}".upper()


def _owner(line: str) -> int | None:
    """Parse the user of a line of the table; None for a socket that no process holds any more.

    Such a one is said to be of user 0, whosever it was.
    """
    columns = line.split()
    state, uid, inode = columns[3], columns[7], columns[9]
    return int(uid) if state == _ESTABLISHED and inode != "0" else None
