"""The hub: what a page asks for and gets; no page can hurt another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from backend.events import unpack
from dashboard import access, hub
from dashboard.hub import Client, Hub
from dashboard.routes import routes
from tests.dashboard.test_feed import Writer

HOST = "http://127.0.0.1:8501"


@pytest.fixture
def client() -> Iterator[TestClient]:
    central = Hub()

    def lifespan(app: Starlette) -> Any:
        return central.running()

    app = Starlette(routes=routes(central), lifespan=lifespan)
    app.state.hub = central
    with TestClient(app, base_url=HOST) as opened:
        yield opened


def address(token: str | None = None) -> str:
    return f"ws://127.0.0.1:8501/live/ws?token={access.issue() if token is None else token}"


def said(socket: Any, op: str) -> dict[str, Any]:
    """The next message of an op; frames before it are passed over."""
    while True:
        message = socket.receive()
        if message.get("text") is not None:
            found = json.loads(message["text"])
            if found["op"] == op:
                return dict(found)


def finished() -> Writer:
    writer = Writer(publish=False)
    writer.say(300)
    writer.picture()
    writer.end()
    return writer


def test_a_watched_run_comes_in_the_promised_order(client: TestClient) -> None:
    writer = finished()
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "watch", "runs": [{"run": writer.directory.id}]})
        status = socket.receive_json()
        assert (status["op"], status["run"]) == ("status", writer.directory.id)
        assert status["status"] == "finished"
        history = socket.receive_json()
        assert history == {
            "op": "history", "run": writer.directory.id, "bucketed": False, "count": 1,
        }  # fmt: skip
        frame = unpack(socket.receive_bytes())
        assert frame.header["run"] == writer.directory.id
        assert len(frame.arrays["value"]) == 300
        assert socket.receive_json()["op"] == "keyframes"
        assert unpack(socket.receive_bytes()).header["path"] == "landscape/model"


def test_seek_gives_the_pictures_that_stood_at_a_step(client: TestClient) -> None:
    writer = Writer(publish=False)
    for _ in range(3):
        writer.say(100)
        writer.picture()
    writer.end()
    run = writer.directory.id
    with client.websocket_connect(address()) as socket:
        for asked, stood in ((250, 200), (200, 200), (10_000, 300), (1, 100)):
            socket.send_json({"op": "seek", "run": run, "step": asked})
            assert said(socket, "seek")["count"] == 1
            assert unpack(socket.receive_bytes()).header["last"][0] == stood
        socket.send_json({"op": "seek", "run": run, "step": 100, "paths": ["samples/data"]})
        assert said(socket, "seek")["count"] == 0


def test_range_is_answered_at_full_resolution(client: TestClient) -> None:
    writer = finished()
    with client.websocket_connect(address()) as socket:
        socket.send_json(
            {"op": "range", "run": writer.directory.id, "paths": ["loss/total"], "from": 10,
             "to": 19}
        )  # fmt: skip
        assert said(socket, "range")["count"] == 1
        frame = unpack(socket.receive_bytes())
        assert frame.arrays["step"].tolist() == list(range(10, 20))


def test_the_list_of_runs_ticks(client: TestClient) -> None:
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "runs"})
        assert said(socket, "runs")["runs"] == []
        writer = finished()
        assert [run["id"] for run in said(socket, "runs")["runs"]] == [writer.directory.id]


@pytest.mark.parametrize(
    "message",
    [
        "", "{", "[]", "7", "null", '{"op": "fly"}', '{"op": "watch"}',
        '{"op": "watch", "runs": [7]}', '{"op": "watch", "runs": [{"run": "../../etc"}]}',
        '{"op": "watch", "runs": [{"run": "20000101-000000-0000"}]}',
        '{"op": "seek", "run": "latest", "step": "x"}', '{"op": "seek", "step": 1}',
        '{"op": "seek", "run": "20000101-000000-0000", "step": 1}',
        '{"op": "range", "run": "latest", "paths": 7, "from": 0, "to": 1}',
        '{"op": "range", "run": "latest", "paths": ["a"], "from": NaN, "to": 1}',
        '{"op": "watch", "runs": ' + json.dumps([{"run": "x"}] * 65) + "}",
        '{"op": "' + "x" * 70_000 + '"}',
    ],
    ids=range(17),
)  # fmt: skip
def test_what_makes_no_sense_is_answered_and_the_page_lives_on(
    client: TestClient, message: str
) -> None:
    with client.websocket_connect(address()) as socket:
        socket.send_text(message)
        assert said(socket, "error")["message"]
        socket.send_json({"op": "runs"})
        assert said(socket, "runs")["runs"] == []


def test_a_run_nobody_watches_is_let_go(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LINGER_SECONDS", 0.0)
    central = client.app.state.hub  # type: ignore[attr-defined]
    writer = finished()
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "watch", "runs": [{"run": writer.directory.id}]})
        said(socket, "keyframes")
        assert central.num_feeds == 1
        socket.send_json({"op": "watch", "runs": []})
        socket.send_json({"op": "runs"})
        said(socket, "runs")
        finished()
        said(socket, "runs")  # a tick later
        finished()
        said(socket, "runs")
        assert central.num_feeds == 0


def test_a_slow_page_loses_its_queue_and_is_sent_everything_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "MOST_WAITING_BYTES", 1000)
    sent: list[str | bytes] = []
    resynced: list[int] = []

    class Socket:
        async def send_text(self, text: str) -> None:
            sent.append(text)

        async def send_bytes(self, data: bytes) -> None:
            sent.append(data)

    async def go() -> None:
        page = Client(Socket())  # type: ignore[arg-type]

        async def resync() -> None:
            resynced.append(len(sent))
            page.offer({"op": "history"})

        for _ in range(300):
            page.offer(b"x" * 10)
        assert page.behind
        task = asyncio.create_task(page.send_all(resync))
        await asyncio.sleep(0.05)
        task.cancel()

    asyncio.run(go())
    assert resynced == [0], "nothing of the lost queue may be sent before the history"
    assert sent == ['{"op":"history"}']


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert hub._text({"a": float("nan"), "b": [float("inf"), 1.5]}) == '{"a":null,"b":[null,1.5]}'


# ---------------------------------------------------------------------- who may


@pytest.mark.parametrize("token", ["", "forged", "1.2"])
def test_a_socket_without_a_good_token_is_refused(client: TestClient, token: str) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(address(token)):
        pass


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"origin": "null"}]
)
def test_a_socket_of_a_foreign_page_or_host_is_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(address(), headers=headers),
    ):
        pass


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("forged", {}),
        (None, {"origin": "http://evil.example"}),
        (None, {"host": "evil.example"}),
    ],
)
def test_files_are_refused_too(
    client: TestClient, token: str | None, headers: dict[str, str]
) -> None:
    writer = finished()
    token = access.issue() if token is None else token
    answer = client.get(
        f"/live/file?run={writer.directory.id}&name=spec.yaml&token={token}", headers=headers
    )
    assert answer.status_code == 403
    assert "method" not in answer.text


def test_a_file_of_a_run_is_a_download(client: TestClient) -> None:
    run = finished().directory.id
    answer = client.get(f"/live/file?run={run}&name=spec.yaml&token={access.issue()}")
    assert answer.status_code == 200 and answer.text.startswith("name:")
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "name", ["../../live.key", "/etc/passwd", "control", "nothing.txt", "checkpoints", "", "%2e%2e"]
)
def test_no_other_file_can_be_had(client: TestClient, basin_home: Path, name: str) -> None:
    run = finished().directory.id
    answer = client.get("/live/file", params={"run": run, "name": name, "token": access.issue()})
    assert answer.status_code == 404


def test_the_panels_own_code_is_served_and_nothing_beside_it(client: TestClient) -> None:
    answer = client.get("/live/static/run.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    for name in ("../server.py", "..%2fserver.py", "server.py", "run.py", "none.js"):
        assert client.get(f"/live/static/{name}").status_code == 404
    assert client.get("/live/health").json()["status"] == "ok"
    assert len(client.get("/live/plotly.js").content) > 1_000_000
