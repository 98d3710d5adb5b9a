"""Whose a loopback connection is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.services import peer_user

pytestmark = pytest.mark.skipif(not peer_user.is_told(), reason="only Linux tells")
AS_NOBODY = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]


@contextmanager
def connected(host: str, client_host: str = "") -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's and the server's end of a connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        address = (client_host or host, listener.getsockname()[1])
        with socket.create_connection(address) as client:
            served, _ = listener.accept()
            with served:
                yield client, served


def is_own(served: socket.socket) -> bool:
    return peer_user.is_own(served.getpeername()[:2], served.getsockname()[:2])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.0.0.2"])
def test_a_connection_of_this_user_is(host: str) -> None:
    with connected(host) as (_, served):
        assert is_own(served)


def test_one_written_in_version_6_is_the_same() -> None:
    server, client = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET6)
    with server, client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        served, _ = server.accept()
        with served:
            assert is_own(served)


def test_one_that_has_ended_is_nobodys() -> None:
    with connected("127.0.0.1") as (client, served):
        ends = served.getpeername(), served.getsockname()
        assert peer_user.is_own(*ends)
        client.close()
        assert not peer_user.is_own(*ends), "the table calls such a one root's"


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (("127.0.0.1", 1), ("127.0.0.1", 2)),
        (("10.0.0.1", 1), ("127.0.0.1", 2)),
        (("testclient", 50000), ("testserver", 80)),
        (("", 0), ("127.0.0.1", 2)),
    ],
)
def test_one_that_there_is_not_is_nobodys(client: tuple[str, int], server: tuple[str, int]) -> None:
    assert not peer_user.is_own(client, server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_one_of_another_user_is_not() -> None:
    code = "import socket, sys; socket.create_connection(('127.0.0.1', sys.argv[1])).recv(1)"
    for prefix, own in (([], True), (AS_NOBODY, False)):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(20)
            port = str(listener.getsockname()[1])
            process = subprocess.Popen([*prefix, sys.executable, "-c", code, port])
            served, _ = listener.accept()
            with served:
                assert is_own(served) == own
            process.wait(10)
