"""Logging in: a real provider, a real dashboard, a real browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets import Origin, Subprotocol
from websockets.sync.client import connect

from dashboard.security import access
from jobs.services import login
from tests.conftest import ROOT, free_port
from tests.dashboard.conftest import READY_SECONDS, live_frames, wait_for
from tests.dashboard.test_server import UPGRADE, status

if TYPE_CHECKING:
    from playwright.sync_api import Page

ADA = {"sub": "1", "email": "Ada@lab.example", "email_verified": True, "name": "Ada"}
EVE = {"sub": "2", "email": "eve@elsewhere.example", "email_verified": True, "name": "Eve"}
CLIENT = "basin"


@dataclass
class Provider:
    """OpenID Connect as a provider speaks it, less the asking: it vouches for `person` at once."""

    person: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "only"}))
    nonces: dict[str, str] = field(default_factory=dict)
    address: str = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, Any] | str]:
        """A status, and JSON or the address to go to."""
        if path == "/.well-known/openid-configuration":
            places = {
                "authorization_endpoint": "authorize",
                "token_endpoint": "token",
                "jwks_uri": "keys",
            }
            found = {name: f"{self.address}/{place}" for name, place in places.items()}
            return 200, {
                "issuer": self.address,
                **found,
                "response_types_supported": ["code"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["public"],
                "code_challenge_methods_supported": ["S256"],
            }
        if path == "/authorize":
            code = f"code-{len(self.nonces)}"
            self.nonces[code] = query["nonce"]
            back = urlencode({"code": code, "state": query["state"]})
            return 302, f"{query['redirect_uri']}?{back}"
        if path == "/token":
            now = int(time.time())
            claims = {
                "iss": self.address,
                "aud": CLIENT,
                "iat": now,
                "exp": now + 300,
                "nonce": self.nonces.pop(query["code"]),
                **self.person,
            }
            token = jwt.encode({"alg": "RS256", "kid": "only"}, claims, self.key)
            return 200, {"access_token": "a", "token_type": "Bearer", "id_token": token}
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        return 404, {}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    served = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            self.reply(asked.path, asked.query)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self.reply(self.path, self.rfile.read(length).decode())

        def reply(self, path: str, query: str) -> None:
            first = {name: values[0] for name, values in parse_qs(query).items()}
            code, answer = served.answer(path, first)
            self.send_response(code)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            body = b"" if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Guarded:
    """A dashboard that people log in to."""

    home: Path
    address: str
    said: Path


@pytest.fixture(scope="module")
def guarded(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("login") / "home"
    home.mkdir(mode=0o700)
    port = free_port()
    secrets = home / login.FILE
    secrets.touch(mode=0o600)
    secrets.write_text(
        f"""[auth]
        redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
        cookie_secret = "{"0123456789abcdef" * 4}"
        client_id = "{CLIENT}"
        client_secret = "told to nobody"
        server_metadata_url = "{provider.address}/.well-known/openid-configuration"
        """
    )
    environment = {
        **os.environ,
        "BASIN_HOME": str(home),
        login.USERS: "@lab.example",
        "NO_PROXY": "*",
    }
    said = home.parent / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "dashboard", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urlopen(f"{address}/live/health") as answer:
                return bool(answer.status == 200)
        except URLError:
            assert process.poll() is None, said.read_text()
            return False

    try:
        wait_for(answers, "the dashboard", READY_SECONDS)
        yield Guarded(home, address, said)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def its_home(guarded: Guarded, basin_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of this process are those of the dashboard."""
    monkeypatch.setenv("BASIN_HOME", str(guarded.home))


def log_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize("path", ["", "run?id=latest", "logout"])
def test_a_stranger_gets_the_login_page_and_nothing_else(
    guarded: Guarded, page: Page, path: str
) -> None:
    received = live_frames(page)
    page.goto(f"{guarded.address}/{path}")
    page.get_by_role("button", name="Log in").wait_for()
    page.wait_for_timeout(200)
    main = page.get_by_test_id("stMain")
    words = ["Basin", "Log in to launch runs and watch them learn.", "Log in"]
    wait_for(lambda: main.inner_text().split("\n\n") == words, "the login page")
    assert page.get_by_test_id("stTopNavLink").count() == 0
    assert not received


def test_a_stranger_can_leave_no_file_here(guarded: Guarded) -> None:
    own = {"Origin": guarded.address}
    with connect(
        f"{guarded.address.replace('http', 'ws')}/_stcore/stream",
        origin=Origin(guarded.address),
        subprotocols=[Subprotocol("streamlit")],
        proxy=None,
    ) as socket:
        socket.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(bytes(socket.recv(10)))
            if message.WhichOneof("type") == "new_session":
                break
        session = message.new_session.initialize.session_id
        assert session
        host = guarded.address.removeprefix("http://")
        path = f"/_stcore/upload_file/{session}/file"
        assert status(host, path, {**own, "Content-Length": "0"}, "PUT") == 403
        assert status(host, path, own, "DELETE") == 403


@pytest.mark.parametrize("who", ["", EVE["email"], "sub:ada@lab.example"])
def test_the_live_routes_refuse_who_is_not_let_in(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    host = guarded.address.removeprefix("http://")
    for identity, file, socket in ((who, 403, 403), ("ada@lab.example", 404, 101)):
        monkeypatch.setattr(access, "identity", lambda identity=identity: identity)
        token = access.issue()
        address = f"/live/file?run=latest&name=nothing.txt&token={token}"
        assert status(host, address, {}) == file
        assert status(host, f"/live/ws?token={token}", UPGRADE) == socket


def test_who_logs_in_gets_the_pages_live_and_can_leave(
    guarded: Guarded, provider: Provider, page: Page
) -> None:
    provider.person = ADA
    received = live_frames(page)
    log_in(page, guarded.address)
    page.get_by_role("link", name="Runs").click()
    page.locator(".basin-head").wait_for()
    wait_for(lambda: page.wait_for_timeout(50) or received, "the list of runs, live")
    page.get_by_text("Live updates stopped").wait_for(state="hidden")
    page.get_by_role("link", name="Ada · log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    page.goto(f"{guarded.address}/runs")
    page.get_by_role("button", name="Log in").wait_for()
    assert "token=" not in guarded.said.read_text()


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (EVE, "logged in as eve@elsewhere.example and are not among those"),
        ({**ADA, "email_verified": False}, "an address your provider does not vouch for"),
        (
            {key: ADA[key] for key in ("sub", "email", "name")},
            "an address your provider does not vouch for",
        ),
    ],
    ids=["not on the list", "not verified", "nothing said of it"],
)
def test_somebody_who_is_not_let_in_is_told_so_and_can_leave(
    guarded: Guarded, provider: Provider, page: Page, person: dict[str, Any], told: str
) -> None:
    provider.person = person
    log_in(page, guarded.address)
    page.get_by_text(told).wait_for()
    page.goto(f"{guarded.address}/launch")
    page.get_by_text(told).wait_for()
    assert page.get_by_test_id("stTopNavLink").count() == 0
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
