"""The feed: every frame once, whoever joins when, whatever dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from backend.events import Cost, Field, unpack
from backend.spec import RunSpec
from dashboard.feed import MOST_POINTS, Feed, Message, bucketed_rows
from jobs import artifacts, store
from jobs.emitter import Emitter
from jobs.run_directory import RunDirectory
from tests.conftest import RedisServer

PATH = "loss/total"


class Viewer:
    """Holds what a page would: history replaces, blocks append, a resume cuts."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []
        self.seqs: list[int] = []
        self.keyframes: list[int] = []
        self.said: list[dict] = []
        self.bucketed = False

    def __call__(self, message: Message) -> None:
        if isinstance(message, dict):
            self.said.append(message)
            if message["op"] == "history":
                self.steps, self.values, self.seqs = [], [], []
            return
        assert isinstance(message, bytes)
        frame = unpack(message)
        header = frame.header
        if header["kind"] == "field":
            self.keyframes.append(header["seq"])
        if header["path"] == "run/resumed":
            keep = [i for i, step in enumerate(self.steps) if step <= header["last"][0]]
            self.steps = [self.steps[i] for i in keep]
            self.values = [self.values[i] for i in keep]
        if header["kind"] != "scalar":
            return
        if header["meta"].get("history"):
            if header["path"] == PATH:
                self.steps += [int(step) for step in frame.arrays["step"]]
                self.values += frame.arrays["value"].tolist()
                self.bucketed = header["meta"]["bucketed"]
            return
        if PATH in header["meta"]["paths"]:
            assert header["seq"] not in self.seqs, "a frame came twice"
            self.seqs.append(header["seq"])
            rows = frame.arrays["values"][:, header["meta"]["paths"].index(PATH)]
            self.steps += list(range(int(header["first"][0]), int(header["last"][0]) + 1))
            self.values += rows.tolist()


class Writer:
    """A run that says `step` at every step."""

    def __init__(self, publish: bool = True) -> None:
        self.directory = artifacts.create_run(RunSpec(method="m", data={"name": "none"}))
        self.publish = publish
        self.step = 0
        self.open()

    def open(self) -> None:
        self.directory.write_status(status="running", pid=None)
        publisher = store.Publisher(self.directory.id) if self.publish else None
        self.emitter = Emitter(self.directory, publisher, flush_seconds=0.01)

    def say(self, rows: int = 5) -> None:
        values = np.arange(self.step, self.step + rows, dtype=np.float32)[:, None]
        first = Cost(self.step, self.step, float(self.step), None)
        last = Cost(self.step + rows - 1, self.step + rows - 1, float(self.step + rows - 1), None)
        self.emitter.scalars([PATH], values, first, last)
        self.step += rows

    def picture(self) -> None:
        field = Field("landscape/model", np.zeros((4, 4), np.float32), (0.0, 1.0), (0.0, 1.0))
        self.emitter.event(field, Cost(self.step, self.step, 0.0, None))

    def end(self, status: str = "finished") -> None:
        self.emitter.close()
        self.directory.compact()
        self.directory.write_status(status=status)

    @contextmanager
    def saying(self) -> Iterator[None]:
        """In a thread of its own, until the block is left."""
        done = threading.Event()

        def go() -> None:
            while not done.is_set():
                self.say()
                if self.step % 100 == 0:
                    self.picture()
                time.sleep(0.004)

        thread = threading.Thread(target=go)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextmanager
def feeding(directory: RunDirectory) -> Iterator[Feed]:
    feed = Feed(directory)
    feed.start()
    try:
        yield feed
    finally:
        feed.close()


def until(condition: Callable[[], bool], timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def assert_whole(viewer: Viewer, num: int) -> None:
    assert viewer.steps == list(range(num))
    assert viewer.values == [float(step) for step in range(num)]


def test_whoever_joins_when_gets_every_point_once(redis_url: str) -> None:
    writer = Writer()
    viewers = [Viewer() for _ in range(6)]
    with feeding(writer.directory) as feed:
        with writer.saying():
            for viewer in viewers:
                feed.listen(viewer)
                time.sleep(0.15)
        until(lambda: all(len(viewer.steps) == writer.step for viewer in viewers))
        for viewer in viewers:
            assert_whole(viewer, writer.step)
        writer.end()
        until(lambda: any(m.get("status") == "finished" for m in viewers[0].said))
        for viewer in viewers:
            assert_whole(viewer, writer.step)


def test_redis_killed_and_started_again_leaves_no_gap(
    redis_url: str, redis_server: RedisServer
) -> None:
    writer = Writer()
    early, late = Viewer(), Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(early)
        with writer.saying():
            time.sleep(0.3)
            redis_server.kill()
            said = writer.step
            until(lambda: bool(early.steps) and early.steps[-1] > said + 20)  # from the log
            redis_server.start()
            time.sleep(1.5)
            feed.listen(late)
        until(lambda: len(early.steps) >= writer.step and len(late.steps) >= writer.step)
        assert_whole(early, writer.step)
        assert_whole(late, writer.step)


def test_without_any_redis_the_log_is_followed() -> None:
    writer = Writer(publish=False)
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        with writer.saying():
            time.sleep(0.6)
        until(lambda: len(viewer.steps) == writer.step)
        assert_whole(viewer, writer.step)
        assert viewer.keyframes


def test_a_finished_run_comes_from_its_record() -> None:
    writer = Writer(publish=False)
    writer.say(500)
    writer.picture()
    writer.emitter.text("run/started", "begun", Cost(0, 0, 0.0, None))
    writer.end()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert_whole(viewer, 500)
        assert len(viewer.keyframes) == 1
        ops = [message["op"] for message in viewer.said]
        assert ops[:3] == ["status", "history", "keyframes"]
        assert viewer.said[2]["index"][0][1:] == ["landscape/model", "field", 500]


def test_what_was_said_beyond_a_resume_is_replaced(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(100)
        until(lambda: len(viewer.steps) == 100)
        writer.emitter.close()
        writer.open()
        writer.emitter.text("run/resumed", "goes on", Cost(59, 59, 59.0, None))
        writer.step = 60
        writer.say(70)
        until(lambda: len(viewer.steps) == 130)
        assert_whole(viewer, 130)
        late = Viewer()
        feed.listen(late)
        assert_whole(late, 130)


def test_a_spike_of_one_point_survives_bucketing() -> None:
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    values[123_456], values[77] = 50, -np.inf
    rows = bucketed_rows(values, MOST_POINTS)
    assert rows is not None and len(rows) <= MOST_POINTS
    assert {0, 77, 123_456, 199_999} <= set(rows.tolist())
    assert (np.diff(rows) > 0).all()
    assert bucketed_rows(values[:MOST_POINTS], MOST_POINTS) is None


def test_a_long_history_is_bucketed_and_a_range_is_whole() -> None:
    writer = Writer(publish=False)
    for _ in range(20):
        writer.say(1000)
    writer.end()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert viewer.bucketed and len(viewer.steps) <= MOST_POINTS
        (data,) = feed.range([PATH], 5000, 5999)
        frame = unpack(data)
        assert frame.arrays["step"].tolist() == list(range(5000, 6000))
        assert frame.header["meta"] == {"range": True, "paths": [PATH], "bucketed": False}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_but_gaps_can_be_bucketed(value: float) -> None:
    rows = bucketed_rows(np.full(10_000, value, np.float32), 100)
    assert rows is not None and len(rows) <= 100
