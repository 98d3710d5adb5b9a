"""The hub: what a page asks for and gets; no page can hurt another."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from backend.errors import BadInput
from backend.events import Cost, Frame, encode_block, split, unpack
from dashboard.security import access
from dashboard.stream import client as pages
from dashboard.stream import hub, run_list
from dashboard.stream.client import Client
from dashboard.stream.frames import say
from dashboard.stream.hub import Hub
from dashboard.stream.routes import _body, routes
from jobs.records import run_store
from tests.dashboard.feeding import Viewer, Writer, assert_whole

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


def frames_of(data: bytes) -> list[Frame]:
    return [unpack(data[offset : offset + size]) for offset, size in split(data)]


def said(socket: Any, op: str) -> list[Frame]:
    """The next message with a frame of an op, from that frame on; others are passed over."""
    while True:
        frames = frames_of(socket.receive_bytes())
        for place, frame in enumerate(frames):
            if frame.header.get("op") == op:
                return frames[place:]


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
        status, history, curve, keyframes, picture = frames_of(socket.receive_bytes())
        assert (status.header["op"], status.header["run"]) == ("status", writer.directory.id)
        assert status.header["status"] == "finished"
        assert history.header == {
            "op": "history",
            "run": writer.directory.id,
            "whole": True,
            "bucketed": False,
            "count": 1,
            "log": curve.header["seq"],
        }
        assert curve.header["run"] == writer.directory.id
        assert len(curve.arrays["value"]) == 300
        assert keyframes.header["steps"] == {"landscape/model": [300]}
        assert picture.header["path"] == "landscape/model"


def test_a_page_that_comes_back_is_given_what_it_missed(client: TestClient) -> None:
    writer = finished()
    run = writer.directory.id
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "watch", "runs": [{"run": run, "after": [0, -1]}]})
        history = frames_of(socket.receive_bytes())[1]
        assert not history.header["whole"] and history.header["count"] == 0
        # on one connection the server knows best what it has sent
        socket.send_json({"op": "watch", "runs": [{"run": run}]})
        socket.send_json({"op": "runs"})
        assert frames_of(socket.receive_bytes())[0].header["op"] == "runs"


def test_seek_gives_the_pictures_that_stood_at_a_step(client: TestClient) -> None:
    writer = Writer(publish=False)
    for _ in range(3):
        writer.say(100)
        writer.picture()
    writer.end()
    run = writer.directory.id
    with client.websocket_connect(address()) as socket:
        for number, (asked, stood) in enumerate(((250, 200), (200, 200), (10_000, 300), (1, 100))):
            socket.send_json({"op": "seek", "id": number, "run": run, "step": asked})
            answer, picture = said(socket, "seek")
            assert (answer.header["count"], answer.header["id"]) == (1, number)
            assert picture.header["last"][0] == stood
        socket.send_json({"op": "seek", "run": run, "step": 100, "paths": ["samples/data"]})
        assert said(socket, "seek")[0].header["count"] == 0


def test_range_is_answered_at_full_resolution(client: TestClient) -> None:
    writer = finished()
    with client.websocket_connect(address()) as socket:
        socket.send_json(
            {
                "op": "range",
                "run": writer.directory.id,
                "paths": ["loss/total"],
                "from": 10,
                "to": 19,
            }
        )
        answer, curve = said(socket, "range")
        assert answer.header["count"] == 1
        assert curve.arrays["step"].tolist() == list(range(10, 20))


def test_the_list_of_runs_ticks_with_what_changed(client: TestClient) -> None:
    first = finished().directory.id
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "runs"})
        assert [run["id"] for run in said(socket, "runs")[0].header["changed"]] == [first]
        writer = finished()
        while not (changed := said(socket, "runs")[0].header["changed"]):
            pass
        assert [run["id"] for run in changed] == [writer.directory.id]
        writer.directory.delete()
        while not (gone := said(socket, "runs")[0].header["gone"]):
            pass
        assert gone == [writer.directory.id]


def test_the_head_of_every_page_counts_what_runs_and_needs_a_look(client: TestClient) -> None:
    assert client.get("/live/head?token=").status_code == 403
    writer = Writer(publish=False)
    writer.directory.write_status(alarms=[{"path": "a", "message": "Look.", "step": 1}])
    finished()
    run_store.create_run(writer.directory.spec()).close()
    head = client.get(f"/live/head?token={access.issue()}").json()
    assert (head["running"], head["queued"]) == (1, 1)
    assert [run["id"] for run in head["look"]] == [writer.directory.id]
    writer.end()


def test_a_list_tells_names_but_nothing_of_processes(client: TestClient) -> None:
    run = finished().directory
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "runs"})
        (told,) = said(socket, "runs")[0].header["changed"]
    assert told["title"] and told["dataset"] == run.status().data
    assert not {"pid", "host", "process"} & told.keys()


def test_alarms_of_running_runs_reach_every_page(client: TestClient) -> None:
    writer = Writer(publish=False)
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "alarms"})
        assert said(socket, "alarms")[0].header["runs"] == []
        alarm = {"path": "energy/gap", "message": "The gap runs away.", "step": 7}
        writer.directory.write_status(alarms=[alarm])
        (found,) = said(socket, "alarms")[0].header["runs"]
        assert (found["id"], found["alarms"]) == (writer.directory.id, ["The gap runs away."])
        writer.end()
        assert said(socket, "alarms")[0].header["runs"] == []


# ---------------------------------------------------------------------- without a WebSocket


def poll(client: TestClient, page: str, *texts: dict[str, Any]) -> list[Frame]:
    answer = client.post(
        f"/live/poll?token={access.issue()}", json={"page": page, "say": list(texts)}
    )
    assert answer.status_code == 200, answer.text
    return frames_of(answer.content)


def test_a_page_that_asks_over_http_gets_the_same_frames(client: TestClient) -> None:
    writer = Writer(publish=False)
    writer.say(30)
    writer.emitter.flush()
    page, run = "0" * 32, writer.directory.id
    frames = poll(client, page, {"op": "watch", "runs": [{"run": run}]})
    assert [frame.header.get("op") for frame in frames] == ["status", "history", None, "keyframes"]
    steps = frames[2].arrays["step"].tolist()
    writer.say(30)
    writer.say(30)
    deadline = time.monotonic() + 10
    while len(steps) < 90 and time.monotonic() < deadline:
        time.sleep(0.05)
        for frame in poll(client, page):
            if frame.header.get("kind") == "scalar":
                first, last = (int(frame.header[end][0]) for end in ("first", "last"))
                steps += range(first, last + 1)
    assert steps == list(range(90))
    assert poll(client, page, {"op": "range", "run": run, "paths": [], "from": 0, "to": 1})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"page": "x", "say": []}',
        '{"page": "' + "0" * 32 + '", "say": 7}',
        '{"page": "' + "0" * 32 + '", "say": [' + "[" * 30_000 + "]" * 30_000 + "]}",
        b"\xff\xfe\xff",
        '{"page": ' + "1" * 5000 + ', "say": []}',
        "x" * 70_000,
        "NaN",
        "true",
    ],
    ids=range(11),
)
def test_a_poll_that_makes_no_sense_is_refused(client: TestClient, body: str | bytes) -> None:
    answer = client.post(f"/live/poll?token={access.issue()}", content=body)
    assert answer.status_code == 400 and answer.text


def test_a_long_body_is_refused_while_it_comes(client: TestClient) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 100_000
            yield b"x" * 100_000

    class Asked:
        async def stream(self) -> AsyncIterator[bytes]:
            for part in endless():
                yield part

    with pytest.raises(BadInput, match="64,000 bytes"):
        asyncio.run(_body(Asked()))  # type: ignore[arg-type]
    assert taken == 100_000


def test_a_poll_needs_a_good_token(client: TestClient) -> None:
    answer = client.post("/live/poll?token=forged", json={"page": "0" * 32, "say": []})
    assert answer.status_code == 403


def test_a_polling_page_that_went_silent_is_let_go(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.0)
    central = client.app.state.hub  # type: ignore[attr-defined]
    poll(client, "1" * 32, {"op": "watch", "runs": [{"run": finished().directory.id}]})
    deadline = time.monotonic() + 10
    while central._clients and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not central._clients and not central._polled


def test_only_so_many_pages_are_let_in(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_CLIENTS", 1)
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "runs"})
        said(socket, "runs")
        answer = client.post(
            f"/live/poll?token={access.issue()}", json={"page": "2" * 32, "say": []}
        )
        assert answer.status_code == 503 and "open already" in answer.text


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"op": "fly"}',
        '{"op": "watch"}',
        '{"op": "watch", "runs": [7]}',
        '{"op": "watch", "runs": [{"run": "../../etc"}]}',
        '{"op": "watch", "runs": [{"run": "20000101-000000-0000"}]}',
        '{"op": "seek", "run": "latest", "step": "x"}',
        '{"op": "seek", "step": 1}',
        '{"op": "seek", "run": "20000101-000000-0000", "step": 1}',
        '{"op": "range", "run": "latest", "paths": 7, "from": 0, "to": 1}',
        '{"op": "range", "run": "latest", "paths": ["a"], "from": NaN, "to": 1}',
        '{"op": "watch", "runs": ' + json.dumps([{"run": "x"}] * 65) + "}",
        '{"op": "' + "x" * 70_000 + '"}',
        "[" * 30_000 + "]" * 30_000,
        '{"op": "seek", "id": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"op": ["watch"]}',
        '{"op": true}',
        '{"op": "watch", "runs": [{"run": true}]}',
        '{"op": "watch", "runs": [{"run": "latest", "after": [true, 1.5]}]}',
        '{"op": "watch", "runs": [{"run": "latest", "after": [1e999, -1]}]}',
        '{"op": "seek", "run": "latest", "step": 1e999}',
        '{"op": "seek", "run": "latest", "step": true}',
        '{"op": "seek", "run": "latest", "step": ' + "9" * 5000 + "}",
        '{"op": "range", "run": "latest", "paths": [{}], "from": 0, "to": 1}',
        '{"op": "range", "run": "\\ud800", "paths": [], "from": 0, "to": 1}',
    ],
    ids=range(29),
)
def test_what_makes_no_sense_is_answered_and_the_page_lives_on(
    client: TestClient, message: str
) -> None:
    with client.websocket_connect(address()) as socket:
        socket.send_text(message)
        assert said(socket, "error")[0].header["message"]
        socket.send_json({"op": "runs"})
        assert said(socket, "runs")[0].header["changed"] == []


@pytest.mark.parametrize("number", [10**300, -(10**300), 1e308, -5, 2**53 + 1])
def test_numbers_out_of_all_bounds_are_answered(client: TestClient, number: float) -> None:
    run = finished().directory.id
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "seek", "id": 1, "run": run, "step": number})
        assert said(socket, "seek")[0].header["id"] == 1
        socket.send_json({"op": "range", "id": 2, "run": run, "paths": [], "from": number, "to": 1})
        assert said(socket, "range")[0].header["id"] == 2
        socket.send_json({"op": "seek", "id": True, "run": run, "step": 1})
        assert "id" not in said(socket, "seek")[0].header, "an id is a number"


def test_bytes_are_no_message_and_the_page_lives_on(client: TestClient) -> None:
    with client.websocket_connect(address()) as socket:
        socket.send_bytes(b'{"op": "runs"}')
        assert "text" in said(socket, "error")[0].header["message"]
        socket.send_json({"op": "runs"})
        assert said(socket, "runs")


def test_a_deleted_run_is_let_go_and_can_be_asked_for_in_vain(client: TestClient) -> None:
    central = client.app.state.hub  # type: ignore[attr-defined]
    writer = finished()
    run = writer.directory.id
    with client.websocket_connect(address()) as socket:
        socket.send_json({"op": "watch", "runs": [{"run": run}]})
        said(socket, "keyframes")
        writer.directory.delete()
        assert said(socket, "gone")[0].header["run"] == run
        deadline = time.monotonic() + 10
        while central.num_feeds and time.monotonic() < deadline:
            time.sleep(0.05)
        assert central.num_feeds == 0
        socket.send_json({"op": "watch", "runs": [{"run": run}]})
        assert "no run" in said(socket, "error")[0].header["message"]


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


def test_a_slow_page_is_given_what_it_missed_and_slows_nobody(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page does not take anything for a while; its queue overflows; the other never waits."""
    monkeypatch.setattr(pages, "MOST_WAITING_BYTES", 3000)
    writer = Writer()
    central = Hub()

    async def take(client: Client, viewer: Viewer, until_step: int) -> None:
        while len(viewer.steps) < until_step:
            await asyncio.wait_for(client.wait(), 10)
            data = await client.take(central.sync)
            for offset, size in split(data):
                viewer.take_frame(data[offset : offset + size])

    async def go() -> None:
        async with central.running():
            pages = [(central._arrive(), Viewer()) for _ in range(2)]
            (slow, late), (quick, early) = pages
            watch = json.dumps({"op": "watch", "runs": [{"run": writer.directory.id}]})
            for client, viewer in pages:
                await central.hear(client, watch)
                writer.say(5)
                await take(client, viewer, writer.step)
            for _ in range(100):
                writer.say(5)
                writer.emitter.flush()
                await take(quick, early, writer.step)
            assert slow._bytes <= 3000 and slow.to_sync, "what waits for a slow page is bounded"
            await take(slow, late, writer.step)
            assert_whole(early, writer.step)
            assert_whole(late, writer.step)
            whole = [m["whole"] for m in late.said if m["op"] == "history"]
            assert whole[0] and len(whole) > 1 and not any(whole[1:])

    asyncio.run(go())


def test_who_asks_much_and_takes_nothing_is_not_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers wait in bounded room; once taken, the page is heard and its list is whole."""
    monkeypatch.setattr(pages, "MOST_ANSWER_BYTES", 20_000)
    run = finished().directory.id
    central = Hub()
    question = {"op": "range", "run": run, "paths": ["loss/total"], "from": 0, "to": 299}

    async def go() -> None:
        async with central.running():
            name, text = "3" * 32, json.dumps(question)
            await central.hear(page := central._arrive(), json.dumps({"op": "runs"}))
            central._polled[name] = page
            answers = await central.poll(name, [text] * 10)
            assert len(frames_of(answers)) < 10 and page.questions
            while not page.is_full:
                await central.hear(page, text)
            waiting = page._answer_bytes
            other = finished().directory.id
            central._tell_runs(*run_list.listed())
            assert page._answer_bytes == waiting, "there is no room for news either"
            room = asyncio.create_task(page.room())
            await asyncio.sleep(0)
            assert not room.done()
            while page._answers:
                await page.take(central.sync)
            await asyncio.wait_for(room, 5)
            central._tell_runs(*run_list.listed())
            (news,) = frames_of(await page.take(central.sync))
            assert news.header["whole"]
            assert {each["id"] for each in news.header["changed"]} == {run, other}

    asyncio.run(go())


def test_only_so_many_questions_wait(client: TestClient) -> None:
    answer = client.post(
        f"/live/poll?token={access.issue()}", json={"page": "4" * 32, "say": [{"op": "x"}] * 501}
    )
    assert answer.status_code == 400 and "500 questions" in answer.text


def test_numbers_that_json_does_not_know_become_null() -> None:
    said = unpack(say(op="x", a=float("nan"), b=[float("inf"), 1.5])).header
    assert said == {"op": "x", "a": None, "b": [None, 1.5]}


# ---------------------------------------------------------------------- curves as text


def test_curves_are_a_table_at_full_resolution(client: TestClient) -> None:
    run = finished().directory.id
    query = f"run={run}&path=loss/total&path=none&token={access.issue()}"
    lines = client.get(f"/live/curves.csv?{query}").text.splitlines()
    assert lines[0] == "run,path,step,gradients,seconds,joules,value"
    assert lines[8] == f"{run},loss/total,7,7,7,,7"
    assert len(lines) == 301
    directory = run_store.open_run(run)
    row = np.ones((1, 1), np.float32)
    names = ["=1+1", 'a,"b"']
    for seq, name in enumerate(names, 400):
        directory.append(
            encode_block([name], row, run=run, seq=seq, time=0.0, first=Cost(1), last=Cost(1)),
            keyframe=False,
        )
    directory.close()
    token = access.issue()
    text = client.get("/live/curves.csv", params={"run": run, "path": names, "token": token}).text
    assert [row[1] for row in csv.reader(text.splitlines())] == ["path", "'=1+1", 'a,"b"']
    every = client.get(f"/live/curves.csv?run={run}&name=all+curves&token={token}")
    assert {row[1] for row in csv.reader(every.text.splitlines())} >= {"loss/total", "'=1+1"}
    assert every.headers["content-disposition"].endswith(f'"{run}-all-curves.csv"')
    odd = client.get(f"/live/curves.csv?run={run}&path=%22%0d%0aX:y&token={access.issue()}")
    assert odd.headers["content-disposition"].endswith('----X-y.csv"') and "x" not in odd.headers
    assert client.get(f"/live/curves.csv?{query}x").status_code == 403
    assert client.get(f"/live/curves.csv?run=x&token={access.issue()}").status_code == 404


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
