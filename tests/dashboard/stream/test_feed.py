"""The feed: every frame once, whoever joins when, whatever dies meanwhile."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from backend.events import Cost, unpack
from dashboard.stream import feed as feeds
from dashboard.stream import frames
from dashboard.stream.frames import MOST_POINTS
from dashboard.stream.history import History, bucketed_rows
from dashboard.stream.questions import Position
from jobs.queueing import redis_store
from jobs.record_files import scalar_table
from tests.conftest import RedisServer
from tests.dashboard.feeding import PATH, Viewer, Writer, assert_whole, feeding, until


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


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the log and the status five times a second."""
    monkeypatch.setattr(feeds, "_LOOK_SECONDS", 0.2)


def sources(viewer: Viewer) -> list[str]:
    """What was said of where the run is read from."""
    return [said["message"] for said in viewer.said if said["op"] == "source"]


@pytest.mark.usefixtures("quick_looks")
def test_what_redis_does_not_take_is_read_from_disk_and_that_is_said(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Redis answers and refuses writes, as one that is full: the log grows, the streams do not."""
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed, redis_server.client() as client:
        feed.listen(viewer)
        writer.say(20)
        until(lambda: len(viewer.steps) == 20)
        client.config_set("maxmemory", 1)
        try:
            with writer.saying():
                until(lambda: any("misses Redis" in words for words in sources(viewer)))
                said = writer.step
                until(lambda: len(viewer.steps) > said)
        finally:
            client.config_set("maxmemory", 0)
        with writer.saying():
            until(lambda: sources(viewer)[-1] == "")
        until(lambda: len(viewer.steps) == writer.step)
    assert_whole(viewer, writer.step)


@pytest.mark.usefixtures("quick_looks")
def test_that_redis_is_away_is_said_until_it_is_back(
    redis_url: str, redis_server: RedisServer
) -> None:
    writer = Writer()
    viewer, late = Viewer(), Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        redis_server.kill()
        try:
            until(lambda: any("Redis is away" in words for words in sources(viewer)))
            feed.listen(late)
            assert "Redis is away" in sources(late)[0], "who comes later is told too"
            writer.say(10)
            until(lambda: len(viewer.steps) == 10)
        finally:
            redis_server.start()
        until(lambda: sources(viewer)[-1] == "")
    assert_whole(viewer, 10)


@pytest.mark.usefixtures("quick_looks")
def test_a_run_that_says_nothing_to_redis_is_read_from_disk_beside_a_good_redis(
    redis_url: str,
) -> None:
    """As one that was started by the command line: no trouble, and nothing said of any."""
    writer = Writer(publish=False)
    writer.directory.write_status(worker="command line")
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        with writer.saying():
            time.sleep(1.2)
        until(lambda: len(viewer.steps) == writer.step)
    assert_whole(viewer, writer.step)
    assert not any(sources(viewer))


def test_what_was_trimmed_while_nobody_read_comes_from_the_record(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard's machine sleeps; meanwhile the streams are cut to their newest entries."""
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed, redis_server.client() as client:
        feed.listen(viewer)
        writer.say(20)
        until(lambda: len(viewer.steps) == 20)
        with monkeypatch.context() as asleep:
            asleep.setattr(feed.feed._streams, "read", lambda: time.sleep(0.05) or [])
            asleep.setattr(feed.feed, "_look_at_log", lambda: None)
            time.sleep(0.6)  # until the reading that waits is over
            for _ in range(30):
                writer.say(5)
                writer.picture()
                writer.emitter.flush()
            for stream in redis_store.STREAM_BYTES:
                client.xtrim(redis_store.stream_key(writer.directory.id, stream), maxlen=2)
            assert len(viewer.steps) == 20
        writer.say(5)
        until(lambda: len(viewer.steps) == writer.step)
        until(lambda: len(viewer.keyframes) > 0)
    assert_whole(viewer, writer.step)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_redis_loses_doubles_or_delays_each_point_comes_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Through resumes, with and without the log compacted before them."""
    rng = random.Random(seed)
    monkeypatch.setattr(frames, "MOST_POINTS", 1_000_000)  # a quick machine says thousands
    publish = redis_store.Publisher.publish

    def lossy(self: redis_store.Publisher, entries: list[tuple[str, bytes]]) -> bool:
        fate = rng.random()
        if fate < 0.15:
            return True
        if fate < 0.25:
            entries = [entry for entry in entries if rng.random() < 0.5]
        if fate > 0.9:
            publish(self, entries)
        return publish(self, entries)

    monkeypatch.setattr(redis_store.Publisher, "publish", lossy)
    writer = Writer()
    early, late = Viewer(), Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(early)
        for part in range(6):
            with writer.saying():
                time.sleep(rng.random())
                if part == 3:
                    feed.listen(late)
            if part % 2:
                step = max(writer.step - rng.randrange(1, 40), 0)
                writer.emitter.close()
                if rng.random() < 0.5:
                    writer.directory.compact()
                writer.resume(step)
        writer.end()
        until(lambda: any(said.get("status") == "finished" for said in early.said))
        for viewer in (early, late):
            until(lambda viewer=viewer: len(viewer.steps) == writer.step)  # type: ignore[misc]
            assert_whole(viewer, writer.step)


@pytest.mark.usefixtures("quick_looks")
def test_a_picture_too_large_for_redis_comes_from_disk(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(10)
        until(lambda: len(viewer.steps) == 10)
        size = int((redis_store.STREAM_BYTES[redis_store.FRAMES] / 4) ** 0.5) + 100
        writer.picture(size)
        until(lambda: len(viewer.keyframes) == 1)
        writer.say(10)
        until(lambda: len(viewer.steps) == 20)
    assert_whole(viewer, 20)


def test_what_is_no_frame_in_a_stream_is_passed_over(
    redis_url: str, redis_server: RedisServer
) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed, redis_server.client() as client:
        feed.listen(viewer)
        writer.say(10)
        until(lambda: len(viewer.steps) == 10)
        key = redis_store.stream_key(writer.directory.id, redis_store.SCALARS)
        client.xadd(key, {"f": b"no frame"})
        client.xadd(key, {"g": b"another word"})
        writer.say(10)
        until(lambda: len(viewer.steps) == 20)
    assert_whole(viewer, 20)


def test_who_watches_a_run_is_told_that_it_was_deleted() -> None:
    writer = Writer(publish=False)
    writer.say(10)
    writer.end()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.directory.delete()
        until(lambda: viewer.said[-1]["op"] == "gone")
        assert viewer.said[-1]["run"] == writer.directory.id
        feed.feed._thread.join(3)
        assert not feed.feed._thread.is_alive()


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
        assert viewer.said[2]["steps"] == {"landscape/model": [500]}


def test_what_was_said_beyond_a_resume_is_replaced(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(100)
        until(lambda: len(viewer.steps) == 100)
        writer.resume(59)
        writer.say(70)
        until(lambda: len(viewer.steps) == 130)
        assert_whole(viewer, 130)
        late = Viewer()
        feed.listen(late)
        assert_whole(late, 130)


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("publish", [True, False])
def test_a_run_that_resumes_and_ends_before_its_first_step_loses_what_no_longer_counts(
    redis_url: str, publish: bool
) -> None:
    """The word of the resume is the last that is said, and no row follows it."""
    writer = Writer(publish)
    writer.say(100)
    writer.end("stopped")
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert_whole(viewer, 100)
        writer.resume(59)
        writer.end()
        until(lambda: len(viewer.steps) == 60)
        late = Viewer()
        feed.listen(late)
    for each in (viewer, late):
        assert_whole(each, 60)


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
        (data,) = feed.feed.range([PATH], 5000, 5999)
        frame = unpack(data)
        assert frame.arrays["step"].tolist() == list(range(5000, 6000))
        assert frame.header["meta"] == {"range": True, "paths": [PATH], "bucketed": False}


def test_who_was_away_gets_what_came_meanwhile_and_nothing_twice(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        with writer.saying():
            for _ in range(3):
                time.sleep(0.2)
                feed.leave(viewer)
                time.sleep(0.2)
                held = len(viewer.steps)
                feed.listen(viewer)
                assert len(viewer.steps) > held
        until(lambda: len(viewer.steps) == writer.step)
    assert_whole(viewer, writer.step)
    whole = [said["whole"] for said in viewer.said if said["op"] == "history"]
    assert whole[0] and not any(whole[1:]), "the history came once, then only what was missed"


def test_a_hub_started_anew_goes_on_where_the_viewer_stood(redis_url: str) -> None:
    """A feed of another process knows the position; compacted meanwhile or not."""
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(100)
        writer.picture()
        until(lambda: len(viewer.steps) == 100 and bool(viewer.keyframes))
    writer.say(50)
    writer.emitter.flush()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert_whole(viewer, 150)
        writer.say(20)
        until(lambda: len(viewer.steps) == 170)
    writer.say(30)
    writer.end()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert_whole(viewer, 200)
    assert len(viewer.keyframes) == 1, "a picture that was held came again"
    whole = [said["whole"] for said in viewer.said if said["op"] == "history"]
    assert whole[0] and not any(whole[1:])


def test_who_was_away_during_a_resume_holds_what_counts(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(100)
        until(lambda: len(viewer.steps) == 100)
    writer.emitter.close()
    writer.directory.compact()  # as a worker does before it goes on
    writer.resume(59)
    writer.say(70)
    writer.emitter.flush()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        assert_whole(viewer, 130)
        late = Viewer()
        feed.listen(late)
        assert_whole(late, 130)
        (data,) = feed.feed.range([PATH], 50, 69)
        assert unpack(data).arrays["value"].tolist() == [float(step) for step in range(50, 70)]


def test_a_position_from_another_life_of_a_run_is_given_everything() -> None:
    writer = Writer(publish=False)
    writer.say(20)
    writer.end()
    viewer = Viewer()
    viewer.position = Position(10_000, 10_000)
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
    assert_whole(viewer, 20)


def test_the_end_of_a_run_sends_nothing_again(redis_url: str) -> None:
    writer = Writer()
    viewer = Viewer()
    with feeding(writer.directory) as feed:
        feed.listen(viewer)
        writer.say(300)
        until(lambda: len(viewer.steps) == 300)
        writer.say(5)
        writer.end()
        until(lambda: any(said.get("status") == "finished" for said in viewer.said))
        assert_whole(viewer, 305)
    whole = [said["whole"] for said in viewer.said if said["op"] == "history"]
    assert whole.count(True) == 1


def test_a_record_is_read_by_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stretch of a finished run costs the row groups it lies in, whatever the run's length."""
    writer = Writer(publish=False)
    for _ in range(20):
        writer.say(10_000)
    writer.end()
    read: list[int] = []
    original = scalar_table.ScalarTable._read
    monkeypatch.setattr(
        scalar_table.ScalarTable,
        "_read",
        lambda self, place: read.append(place) or original(self, place),
    )
    history = History(writer.directory)
    assert read == []
    stretch = history.stretch(PATH, 100_000, 100_499)
    assert stretch.value.tolist() == [float(step) for step in range(100_000, 100_500)]
    assert len(read) == 1 and history.record is not None
    groups = -(-200_000 // scalar_table._ROWS_PER_GROUP)
    found, is_bucketed = history.overview(PATH, MOST_POINTS)
    assert found is not None and is_bucketed and len(read) == 1 + groups
    assert found.step[0] == 0 and found.step[-1] == 199_999 and len(found.step) <= 2 * MOST_POINTS
    history.overview(PATH, MOST_POINTS)
    assert len(read) == 1 + groups, "the next viewer's overview is there already"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_but_gaps_can_be_bucketed(value: float) -> None:
    rows = bucketed_rows(np.full(10_000, value, np.float32), 100)
    assert rows is not None and len(rows) <= 100
