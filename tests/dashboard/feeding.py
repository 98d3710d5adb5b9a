"""A run that speaks, a feed of it, and viewers that hold what a page would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from backend.events import Cost, Field, split, unpack
from backend.spec import RunSpec
from dashboard.stream.feed import Feed, Message
from dashboard.stream.questions import Position
from jobs.execution.emitter import Emitter
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory

PATH = "loss/total"


class Viewer:
    """Holds what a page would: a whole history replaces, blocks append, a resume cuts."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []
        self.seqs: list[int] = []
        self.keyframes: list[int] = []
        self.said: list[dict] = []
        self.bucketed = False
        self.position: Position | None = None
        self.version = -1

    def take(self, message: Message) -> None:
        if message.version <= self.version:
            return
        self.version, self.position = message.version, message.position
        self.take_all(message.data)

    def take_all(self, data: bytes) -> None:
        for offset, size in split(data):
            self.take_frame(data[offset : offset + size])

    def take_frame(self, data: bytes) -> None:
        frame = unpack(data)
        header = frame.header
        if "op" in header:
            self.said.append(header)
            if header["op"] == "history" and header["whole"]:
                self.steps, self.values, self.seqs = [], [], []
            return
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
        self.directory = run_store.create_run(RunSpec(method="m", data={"name": "none"}))
        self.publish = publish
        self.step = 0
        self.open()

    def open(self) -> None:
        self.directory.write_status(status="running", pid=None)
        publisher = redis_store.Publisher(self.directory.id) if self.publish else None
        self.emitter = Emitter(self.directory, publisher, flush_seconds=0.01)

    def resume(self, step: int) -> None:
        """As a worker does: go on from a checkpoint before what was said."""
        self.emitter.close()
        self.open()
        self.emitter.text("run/resumed", "goes on", Cost(step, step, float(step), None))
        self.step = step + 1

    def say(self, rows: int = 5) -> None:
        values = np.arange(self.step, self.step + rows, dtype=np.float32)[:, None]
        first = Cost(self.step, self.step, float(self.step), None)
        last = Cost(self.step + rows - 1, self.step + rows - 1, float(self.step + rows - 1), None)
        self.emitter.scalars([PATH], values, first, last)
        self.step += rows

    def cost(self) -> Cost:
        return Cost(self.step, self.step, float(self.step), None)

    def picture(self, size: int = 4) -> None:
        values = np.zeros((size, size), np.float32)
        field = Field("landscape/model", values, (0.0, 1.0), (0.0, 1.0))
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


class Feeding:
    """A feed with viewers, as the hub keeps them: those that hear it also sync with it."""

    def __init__(self, directory: RunDirectory) -> None:
        self.viewers: list[Viewer] = []
        self.lock = threading.Lock()
        self.feed = Feed(directory, self.tell)

    def tell(self, message: Message) -> None:
        with self.lock:
            for viewer in self.viewers:
                viewer.take(message)

    def listen(self, viewer: Viewer) -> None:
        """From where the viewer stands: all, or what came since."""
        message = self.feed.sync(viewer.position)
        with self.lock:
            viewer.version = -1  # of another feed, if any
            viewer.take(message)
        # what was told between the two is caught up by asking again
        with self.lock:
            self.viewers.append(viewer)
        message = self.feed.sync(viewer.position)
        with self.lock:
            viewer.take(message)

    def leave(self, viewer: Viewer) -> None:
        with self.lock:
            self.viewers.remove(viewer)


@contextmanager
def feeding(directory: RunDirectory) -> Iterator[Feeding]:
    feeding = Feeding(directory)
    feeding.feed.start()
    try:
        yield feeding
    finally:
        feeding.feed.close()


def until(condition: Callable[[], bool], timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def assert_whole(viewer: Viewer, num: int) -> None:
    assert viewer.steps == list(range(num))
    assert viewer.values == [float(step) for step in range(num)]
