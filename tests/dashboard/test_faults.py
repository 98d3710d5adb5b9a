"""No error ends a task or a thread of the dashboard, and none passes in silence."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import faults
from dashboard.faults import passed_over
from dashboard.stream import client as pages
from dashboard.stream import feed as feeds
from dashboard.stream import hub
from dashboard.stream.feed import Feed
from dashboard.stream.hub import Hub
from dashboard.stream.questions import Position
from jobs.queueing import control
from jobs.records import run_store
from tests.conftest import ROOT
from tests.dashboard.feeding import PATH, Viewer, Writer, assert_whole, feeding, until

STARTERS = {"Thread", "create_task", "ensure_future", "submit", "run_in_executor"}
GUARDS = {"passed_over", "say_once", "_attempt"}


def started(tree: ast.Module) -> Iterator[str]:
    """Names of the functions that a module runs beside itself."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if called not in STARTERS:
            continue
        targets = [keyword.value for keyword in node.keywords if keyword.arg == "target"]
        for target in targets or node.args[:1]:
            function = target.func if isinstance(target, ast.Call) else target
            if called != "submit" or isinstance(function, ast.Attribute):
                yield function.attr if isinstance(function, ast.Attribute) else ast.dump(function)


def test_every_task_and_thread_goes_on_after_any_error() -> None:
    """Each runs a loop whose body is guarded by a helper that logs what was raised; what is handed
    to a pool by its name ends with its answer, whose reader meets what it raised."""
    found = []
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        tree = ast.parse(path.read_text())
        functions = {
            node.name: node
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        if ".submit(" in (text := path.read_text()):
            assert ".result()" in text, f"{path.name}: nobody meets what its pool raises"
        for name in started(tree):
            found.append(name)
            loop = next(node for node in ast.walk(functions[name]) if isinstance(node, ast.While))
            guards = {
                node.attr if isinstance(node, ast.Attribute) else node.id
                for node in ast.walk(loop)
                if isinstance(node, (ast.Attribute, ast.Name))
            }
            assert guards & GUARDS, f"{path.name}: {name} ends with the first error"
    assert sorted(found) == ["_follow", "_reconcile", "_send", "_tick"]


def test_an_error_is_logged_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        with passed_over("Counting sheep"):
            raise KeyError(number)
    with passed_over("Counting sheep"):
        raise ValueError("another kind")
    assert [record.getMessage()[:14] for record in caplog.records] == ["Counting sheep"] * 2
    assert all(record.exc_info for record in caplog.records)


def test_the_hub_ticks_on_whatever_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RECONCILE_SECONDS", 0.05)
    calls = {"settle": 0, "list": 0}

    def settle() -> list[str]:
        calls["settle"] += 1
        raise ZeroDivisionError

    listed = run_store.list_runs

    def list_runs() -> list[run_store.Status]:
        calls["list"] += 1
        if calls["list"] == 2:
            raise TypeError("an odd file")
        return listed()

    monkeypatch.setattr(control, "settle", settle)
    monkeypatch.setattr(run_store, "list_runs", list_runs)

    async def go() -> None:
        central = Hub()
        async with central.running():
            page = central._arrive()
            await central.hear(page, json.dumps({"op": "runs"}))
            await page.take(central.sync)
            run = Writer(publish=False).directory.id
            while run not in central._runs:
                await asyncio.sleep(0.05)
            assert calls["settle"] > 2 and calls["list"] > 2

    asyncio.run(asyncio.wait_for(go(), 20))


def test_a_feed_goes_on_after_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_LOOK_SECONDS", 0.2)
    writer = Writer(publish=False)
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        tail = feed.feed.directory.tail_log
        failures: list[Exception] = [
            RuntimeError("nobody thought of it"),
            OSError(5, "EIO"),
            MemoryError(),
        ]

        def odd(position: int) -> tuple[list[bytes], int]:
            if failures:
                raise failures.pop()
            return tail(position)

        monkeypatch.setattr(feed.feed.directory, "tail_log", odd)
        writer.say(20)
        until(lambda: len(viewer.steps) == 20)
        sources = [said["message"] for said in viewer.said if said["op"] == "source"]
        assert "cannot be read at present" in sources[0]
        until(lambda: viewer.said[-1].get("message") == "" or viewer.said[-2].get("message") == "")
    assert_whole(viewer, 20)


def test_a_page_is_read_to_again_once_its_run_can_be_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pages, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(faults, "_said", set())
    writer = Writer(publish=False)
    writer.say(10)
    writer.emitter.flush()
    synced = Feed.sync

    def odd(self: Feed, after: Position | None = None) -> object:
        raise RuntimeError("a kind of its own")

    async def go() -> None:
        central = Hub()
        viewer = Viewer()
        async with central.running():
            page = central._arrive()
            monkeypatch.setattr(Feed, "sync", odd)
            watch = {"op": "watch", "runs": [{"run": writer.directory.id}]}
            await central.hear(page, json.dumps(watch))
            viewer.take_frame(await page.take(central.sync))
            assert "a kind of its own" in viewer.said[0]["message"]
            monkeypatch.setattr(Feed, "sync", synced)
            writer.say(10)
            while len(viewer.steps) < 20:
                await page.wait()
                data = await page.take(central.sync)
                viewer.take_all(data)
        assert_whole(viewer, 20)

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(go(), 20))
    assert len([record for record in caplog.records if "for a page" in record.getMessage()]) == 1


# ---------------------------------------------------------------------- damaged records


@pytest.mark.parametrize("name", ["scalars.parquet", "text.jsonl", "frames.bin", "log.bin"])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_what_can_be_read_of_a_damaged_run_is_shown(name: str, damage: str) -> None:
    writer = Writer(publish=False)
    writer.say(200)
    writer.picture()
    writer.emitter.text("run/started", "begun", writer.cost())
    writer.end()
    writer.open()
    writer.say(50)
    writer.end("running")
    writer.open()
    writer.say(50)
    writer.emitter.close()
    path: Path = writer.directory.path / name
    content = path.read_bytes()
    half = len(content) // 2
    kept = content[:half] if damage == "cut" else content[:8] + b"\xff" * half + content[half + 8 :]
    path.write_bytes(kept)
    viewer = Viewer()
    with feeding(run_store.open_run(writer.directory.id)) as feed:
        feed.listen(viewer)
        ops = [said["op"] for said in viewer.said]
        assert ops[:2] == ["status", "history"] and "keyframes" in ops
        if name in ("scalars.parquet", "text.jsonl"):
            assert any(said["op"] == "error" for said in viewer.said), "the damage is said"
        if name != "scalars.parquet":
            assert len(viewer.steps) >= 250
        if name != "log.bin":
            assert 299 in viewer.steps, "what the log holds is there"
        if name != "frames.bin":
            assert viewer.keyframes
        assert feed.feed.range([PATH], 250, 260) or name == "log.bin"
