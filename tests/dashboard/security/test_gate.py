"""The gate before every route: who is let in, and what every answer says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.errors import BadInput
from dashboard.security import access, gate, uploads
from dashboard.security.gate import Gate
from jobs.services import entry_link, framing, login, peer_user
from tests.dashboard.conftest import Basin
from tests.dashboard.test_server import UPGRADE, status
from tests.jobs.services.test_peer_user import AS_NOBODY

HOST = "http://127.0.0.1:8501"
PAGE = {"Accept": "text/html,*/*"}


async def reached(request: Request) -> Response:
    return PlainTextResponse("reached")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


INNER = Starlette(
    routes=[
        WebSocketRoute("/_stcore/stream", socket),
        WebSocketRoute("/live/ws", socket),
        Route("/{rest:path}", reached, methods=["GET", "POST", "PUT", "DELETE"]),
    ],
    middleware=[Middleware(Gate)],
)


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Somebody of whom nothing is known."""
    with TestClient(INNER, HOST, follow_redirects=False) as client:
        yield client


@pytest.fixture
def owner(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who is the user that runs Basin."""
    monkeypatch.setattr(peer_user, "is_own", lambda *_: True)
    return client


def opens(client: TestClient, path: str, **headers: str) -> bool:
    """Whether a WebSocket is accepted."""
    try:
        with client.websocket_connect(f"ws://127.0.0.1:8501{path}", headers=headers):
            return True
    except WebSocketDisconnect:
        return False


# ------------------------------------------------------------------- whose page asks

STRANGE = [
    {"Host": "evil.example"},
    {"Host": "["},
    {"Host": "127.0.0.1:8501", "Origin": "http://evil.example"},
    {"Host": "127.0.0.1:8501", "Origin": "http://127.0.0.1:8888"},
    {"Host": "127.0.0.1:8501", "Origin": "http://localhost:8501"},
    {"Host": "127.0.0.1:8501", "Origin": "null"},
    {"Host": "127.0.0.1:8501", "Origin": "http://["},
    {"Host": "evil.example:8501", "Origin": "http://evil.example:8501"},
]


@pytest.mark.parametrize("headers", STRANGE, ids=str)
@pytest.mark.parametrize("path", ["/", "/_stcore/upload_file/a/b", "/live/poll", "/media/x"])
def test_another_site_gets_nowhere(owner: TestClient, path: str, headers: dict[str, str]) -> None:
    good = {"Host": "127.0.0.1:8501", "Origin": HOST}
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert owner.request(method, path, headers=headers).status_code == 403
    if "upload" not in path:
        assert owner.post(path, headers=good).text == "reached"


@pytest.mark.parametrize("headers", STRANGE, ids=str)
@pytest.mark.parametrize("path", ["/_stcore/stream", "/live/ws"])
def test_another_site_gets_no_socket(owner: TestClient, path: str, headers: dict[str, str]) -> None:
    assert opens(owner, path, Origin=HOST, Host="127.0.0.1:8501")
    assert not opens(owner, path, **headers)


def test_a_foreign_origin_has_no_host_looked_up(
    owner: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlit import net_util

    asked: list[str] = []
    for name in ("get_internal_ip", "get_external_ip"):
        monkeypatch.setattr(net_util, name, lambda: asked.append("asked"))
    assert not opens(owner, "/_stcore/stream", Origin="http://evil.example")
    assert not asked


def test_a_named_host_is_answered(owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(login.HOSTS, "lab.example")
    assert owner.get("/", headers={"Host": "lab.example"}).text == "reached"
    assert owner.get("/", headers={"Host": "sub.lab.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/_stcore/agent/mcp", "/_stcore/metrics"])
def test_what_basin_does_not_offer_is_not_there(owner: TestClient, path: str) -> None:
    assert owner.get(path).status_code == 404


# -------------------------------------------------------------------------- who asks


@pytest.mark.parametrize(
    "path", ["/", "/run?id=x", "/live/poll", "/live/static/run.js", "/media/x"]
)
def test_a_stranger_on_this_machine_gets_nothing(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 403
    assert "<code>basin link</code>" in answer.text
    assert client.get(path).headers["content-type"].startswith("text/plain")
    assert not opens(client, "/_stcore/stream") and not opens(client, "/live/ws?token=x")


@pytest.mark.parametrize("path", ["/live/health", "/_stcore/health"])
def test_whoever_asks_is_told_that_it_is_up(client: TestClient, path: str) -> None:
    assert client.get(path).text == "reached"


def test_who_runs_it_needs_no_link(owner: TestClient) -> None:
    assert owner.get("/").text == "reached"
    assert opens(owner, "/_stcore/stream")


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_proxy_of_who_runs_it_speaks_for_others(owner: TestClient, name: str) -> None:
    assert owner.get("/", headers={name: "127.0.0.1"}).status_code == 403
    assert not opens(owner, "/_stcore/stream", **{name: "127.0.0.1"})


def test_a_page_token_opens_the_live_routes_alone(client: TestClient) -> None:
    token = access.issue()
    assert client.get(f"/live/file?token={token}").text == "reached"
    assert opens(client, f"/live/ws?token={token}")
    assert client.get(f"/?token={token}").status_code == 403
    assert not opens(client, f"/_stcore/stream?token={token}")


def test_the_link_is_changed_for_a_cookie_that_opens_all(client: TestClient) -> None:
    link = entry_link.link(HOST)
    assert not opens(client, f"/_stcore/stream?{link.partition('?')[2]}"), "but for a page alone"
    answer = client.get(link.replace("/?", "/run?id=a%26b&"), headers=PAGE)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=./run?id=a%26b">' in answer.text
    assert "token" not in answer.text, "the key stays neither in the address nor in the page"
    said = answer.headers["set-cookie"]
    assert all(
        word in said for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000")
    )
    assert client.get("/").text == "reached"
    assert opens(client, "/_stcore/stream") and opens(client, "/live/ws")
    client.cookies.set(entry_link.cookie_name(), "forged", domain="127.0.0.1")
    assert (
        client.get("/", headers={"Cookie": f"{entry_link.cookie_name()}=forged"}).status_code == 403
    )


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", '/"><script>'])
def test_the_link_leads_to_basin_alone(client: TestClient, path: str) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "path": path,
        "query_string": b"token=x",
        "scheme": "http",
    }
    body = bytes(gate._again(scope).body).decode()
    address = body.partition("0;url=")[2].partition('">')[0]
    assert address.startswith("./") and "/" not in address[2:] and "\\" not in address
    assert "<script>" not in body


def test_a_link_elsewhere_is_followed_once_more_for_the_cookie(client: TestClient) -> None:
    elsewhere = {**PAGE, "Sec-Fetch-Site": "cross-site"}
    assert "0;url=./run?id=x" in client.get("/run?id=x", headers=elsewhere).text
    own = {**PAGE, "Sec-Fetch-Site": "same-origin"}
    assert client.get("/run?id=x", headers=own).status_code == 403


def test_where_people_log_in_no_link_is_asked_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "required", lambda: True)
    assert client.get("/").text == "reached"
    assert opens(client, "/_stcore/stream")


def test_a_key_that_cannot_be_read_is_said_and_lets_nobody_in(
    client: TestClient, basin_home: Any
) -> None:
    (basin_home / "live.key").mkdir()
    answer = client.get("/")
    assert answer.status_code == 503 and "remove it" in answer.text
    assert not opens(client, "/_stcore/stream")


# --------------------------------------------------------------------------- uploads


@pytest.fixture
def session(owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session that the page script has let in."""
    context = SimpleNamespace(session_id="a")
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: context)
    monkeypatch.setattr(uploads, "_let_in", set())
    uploads.let_in()
    return "a"


def put(client: TestClient, session: str, content: Any = b"x") -> int:
    return client.put(f"/_stcore/upload_file/{session}/file", content=content).status_code


def test_files_are_taken_from_sessions_that_were_let_in(owner: TestClient, session: str) -> None:
    assert put(owner, session) == 200 and put(owner, "b") == 403
    assert owner.delete("/_stcore/upload_file/b/file").status_code == 403
    uploads.shut_out()
    assert put(owner, session) == 403


def test_a_session_sends_no_more_than_its_share(
    owner: TestClient, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SESSION_BYTES", 100)
    held = {"bytes": 0}
    monkeypatch.setattr(uploads, "_held", lambda _: held["bytes"])
    assert put(owner, session, b"x" * 100) == 200
    assert put(owner, session, b"x" * 101) == 413
    held["bytes"] = 60
    assert put(owner, session, b"x" * 41) == 413
    assert put(owner, session, b"x" * 40) == 200
    assert put(owner, session, iter([b"x"])) == 411, "a stream of no length"
    assert uploads._coming == {}


def test_what_is_still_coming_counts(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SESSION_BYTES", 100)
    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/_stcore/upload_file/{session}/f",
        "headers": [(b"content-length", b"60")],
    }
    with uploads.reserved(scope) as first, uploads.reserved(scope) as second:
        assert first == (200, "")
        assert second[0] == 413
    with uploads.reserved(scope) as again:
        assert again == (200, "")


# --------------------------------------------------------------- who may frame a page

RUN = "20261129-095340-cb59"


def framed_by(owner: TestClient, address: str) -> tuple[str, str | None]:
    answer = owner.get(address.removeprefix(HOST), headers=PAGE)
    policy = answer.headers["content-security-policy"]
    return policy.partition("frame-ancestors ")[2], answer.headers.get("x-frame-options")


def test_a_notebook_here_frames_a_run_by_its_address_and_nothing_else(
    owner: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = framing.address_of(RUN, HOST)
    here = "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*"
    assert framed_by(owner, address) == (here, None)
    forged = [
        address.replace(RUN, RUN[:-1] + "8"),
        address.replace("/run?", "/runs?"),
        address.replace("/run?", "/?"),
        address.rpartition("&frame=")[0],
        address[:-1],
        address.replace("frame=", "frame=ü"),
        f"/run?id={RUN}&frame=",
    ]
    for other in forged:
        assert framed_by(owner, other) == ("'self'", "SAMEORIGIN"), other
    monkeypatch.setenv("BASIN_NOTEBOOK_ORIGINS", "https://hub.example, http://hub.example:8000")
    more = f"{here} https://hub.example http://hub.example:8000"
    assert framed_by(owner, address) == (more, None)
    assert framed_by(owner, forged[0]) == ("'self'", "SAMEORIGIN")


def test_an_address_to_frame_lets_nobody_in(client: TestClient) -> None:
    assert client.get(framing.address_of(RUN, HOST), headers=PAGE).status_code == 403


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "origin", ["*", "https:", "https://*", "https://*.example", "hub.example", "https://h; x 'a'"]
)
def test_what_is_no_origin_of_a_notebook_is_refused(
    origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASIN_NOTEBOOK_ORIGINS", origin)
    with pytest.raises(BadInput, match="must list origins of notebooks"):
        framing.check()


# --------------------------------------------------------------- the server as it runs


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/live/health", "/live/file", "/_stcore/host-config"]
)
def test_every_answer_says_what_a_browser_may_do_with_it(basin: Basin, path: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(basin.address.removeprefix("http://"), timeout=5)
    connection.request("GET", path)
    said = {name.lower(): value for name, value in connection.getresponse().getheaders()}
    connection.close()
    assert "frame-ancestors 'self'" in said["content-security-policy"]
    assert said["x-frame-options"] == "SAMEORIGIN"
    assert said["x-content-type-options"] == "nosniff"
    assert said["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:1"}, {"Origin": "http://127.0.0.1:9"}, {"Host": "evil.example"}],
    ids=str,
)
def test_streamlits_own_socket_refuses_strangers(basin: Basin, headers: dict[str, str]) -> None:
    host = basin.address.removeprefix("http://")
    own = {**UPGRADE, "Origin": basin.address}
    assert status(host, "/_stcore/stream", own) == 101
    assert status(host, "/_stcore/stream", {**own, **headers}) == 403


ASKING = """
import http.client, json, sys
host, upgrade, link, token = json.loads(sys.argv[1])
def ask(path, headers={}):
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Set-Cookie", "").partition(";")[0]
said = {path: ask(path)[0] for path in ("/", "/runs", "/live/static/run.js", "/live/health")}
said["stream"] = ask("/_stcore/stream", upgrade)[0]
said["live"] = ask("/live/ws?token=x", upgrade)[0]
said["with a page's token"] = ask("/live/ws?token=" + token, upgrade)[0]
code, cookie = ask(link)
said["with the cookie"] = ask("/runs", {"Cookie": cookie})[0]
said["stream with the cookie"] = ask("/_stcore/stream", {**upgrade, "Cookie": cookie})[0]
print(json.dumps(said))
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not peer_user.is_told(), reason="only root can be somebody else"
)
def test_another_user_of_this_machine_needs_the_link(basin: Basin) -> None:
    import json

    host = basin.address.removeprefix("http://")
    link = entry_link.link("")
    given = json.dumps([host, {**UPGRADE, "Origin": basin.address}, link, access.issue()])

    def asked(prefix: list[str]) -> dict[str, int]:
        command = [*prefix, sys.executable, "-c", ASKING, given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
        return dict(json.loads(done.stdout))

    with_it = {
        "with a page's token": 101,
        "with the cookie": 200,
        "stream with the cookie": 101,
        "/live/health": 200,
    }
    assert asked(AS_NOBODY) == {
        "/": 403,
        "/runs": 403,
        "/live/static/run.js": 403,
        "stream": 403,
        "live": 403,
        **with_it,
    }
    assert asked([]) == {
        "/": 200,
        "/runs": 200,
        "/live/static/run.js": 200,
        "stream": 101,
        "live": 403,
        **with_it,
    }
