"""Redis as the rest of Basin sees it: where it is, streams capped by bytes, workers, catalogue."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from backend.errors import NotAvailable
from jobs.queueing import redis_names, redis_store
from jobs.records import run_store
from tests.conftest import RedisServer


def entries(url: str, run: str, stream: str) -> list[bytes]:
    with redis.Redis.from_url(url) as client:
        return [entry[b"f"] for _, entry in client.xrange(redis_store.stream_key(run, stream))]


def test_without_redis_one_sentence_says_what_to_do() -> None:
    with pytest.raises(NotAvailable, match=r"basin up") as caught:
        redis_store.connect()
    assert "\n" not in str(caught.value)


def test_a_redis_that_is_gone_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BASIN_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    with pytest.raises(NotAvailable, match=r"127\.0\.0\.1:1/0 does not answer") as caught:
        redis_store.connect()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "redis://:secret#@127.0.0.1:6379/0",
        "redis://:secret/@127.0.0.1:6379/0",
        "redis://127.0.0.1:6379/0?foo=1",
        "redis://127.0.0.1:notaport",
        "http://127.0.0.1:6379",
        "redis://[::1:6379",
    ],
)
def test_what_is_no_address_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("BASIN_REDIS_URL", url)
    with pytest.raises(NotAvailable, match="redis://:PASSWORD@HOST:PORT/0") as caught:
        redis_store.connect()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:1/0?password=hunter2", "127.0.0.1:1/0"),
        ("unix:///nowhere/redis.sock?db=0&password=hunter2", "/nowhere/redis.sock"),
        ("rediss://user:hunter2@[::1]/0", "[::1]:6379/0"),
        (" redis://:hunter2@127.0.0.1:1/0 ", "127.0.0.1:1/0"),
    ],
)
def test_a_password_is_not_shown_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    monkeypatch.setenv("BASIN_REDIS_URL", url)
    assert redis_store.without_password(redis_store.redis_url()) == shown
    with pytest.raises(NotAvailable) as caught:
        redis_store.connect()
    assert "hunter2" not in str(caught.value) and shown in str(caught.value)


def test_a_redis_that_hangs_costs_a_second_once(redis_server: RedisServer, redis_url: str) -> None:
    redis_store.connect()
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    took = []
    try:
        for _ in range(5):
            begin = time.monotonic()
            with pytest.raises(NotAvailable, match="does not answer within 1 s"):
                redis_store.connect()
            took.append(time.monotonic() - begin)
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert took[0] < 1.5 and max(took[1:]) < 0.1
    deadline = time.monotonic() + 5
    while True:  # and it is found again by itself
        try:
            assert redis_store.connect().ping()
            break
        except NotAvailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


REFUSING = {
    "full": (("maxmemory", 1), "raise its `maxmemory`"),
    "without replicas": (("min-replicas-to-write", 1), "NOREPLICAS"),
}


@pytest.mark.parametrize("kind", REFUSING)
def test_a_redis_that_refuses_to_write_is_read_and_said(redis_url: str, kind: str) -> None:
    (setting, value), words = REFUSING[kind]
    connection = redis_store.connect()
    assert redis_store.refusal(connection) == ""
    connection.config_set(setting, value)
    try:
        assert redis_store.workers() == []
        assert words in redis_store.refusal(redis_store.connect())
        with pytest.raises(NotAvailable, match="answers but refuses"), redis_store.reaching():
            redis_store.beat(connection, {"name": "w", "queue": "train"})
    finally:
        connection.config_set(setting, 0)


def test_what_happened_is_told_where_the_address_is_gone_too() -> None:
    said = str(redis_store.unreachable(redis.ConnectionError("gone")))
    assert said == "Redis does not answer. Start it with `basin up`."


def test_a_replica_is_read_and_named(redis_url: str) -> None:
    connection = redis_store.connect()
    connection.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert "point BASIN_REDIS_URL at the primary" in redis_store.refusal(redis_store.connect())
    finally:
        connection.execute_command("REPLICAOF", "NO", "ONE")


def test_connection_file_is_found_and_private(redis_server: RedisServer, basin_home: Path) -> None:
    redis_store.write_private("connection.json", json.dumps({"redis": redis_server.url}))
    assert stat.S_IMODE((basin_home / "connection.json").stat().st_mode) == 0o600
    assert redis_store.connect().ping()


def test_environment_goes_before_the_file(redis_url: str) -> None:
    redis_store.write_private("connection.json", json.dumps({"redis": "redis://127.0.0.1:1/0"}))
    assert redis_store.redis_url() == redis_url
    assert redis_store.connect().ping()


def test_publisher_sends_each_stream_in_order(redis_url: str) -> None:
    publisher = redis_store.Publisher("r")
    assert publisher.publish([("scalars", b"1"), ("frames", b"a"), ("scalars", b"2")])
    assert entries(redis_url, "r", "scalars") == [b"1", b"2"]
    assert entries(redis_url, "r", "frames") == [b"a"]
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.ttl(redis_store.stream_key("r", "frames")) <= redis_store.STREAM_SECONDS


def test_streams_are_capped_by_bytes_over_a_resume_too(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(redis_store.STREAM_BYTES, "frames", 10_000)
    for attempt in range(2):  # the second publisher finds what the first one left
        publisher = redis_store.Publisher("r")
        for number in range(30):
            publisher.publish([("frames", bytes([attempt, number]) + b"x" * 998)])
            held = entries(redis_url, "r", "frames")
            assert sum(map(len, held)) <= 10_000
            assert held[-1][:2] == bytes([attempt, number])
    assert len(entries(redis_url, "r", "frames")) >= 8


def test_one_frame_beyond_the_cap_is_kept_alone(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(redis_store.STREAM_BYTES, "frames", 1_000)
    publisher = redis_store.Publisher("r")
    publisher.publish([("frames", b"a" * 600)])
    publisher.publish([("frames", b"b" * 2_000)])
    assert entries(redis_url, "r", "frames") == [b"b" * 2_000]


def test_publisher_holds_back_what_redis_missed(redis_server: RedisServer, redis_url: str) -> None:
    publisher = redis_store.Publisher("r")
    assert publisher.publish([("scalars", b"before")])
    redis_server.kill()
    try:
        begin = time.monotonic()
        assert not publisher.publish([("scalars", b"during")])
        assert time.monotonic() - begin < 2
        assert publisher.away_seconds > 0
    finally:
        redis_server.start()
    deadline = time.monotonic() + 5
    sent = False
    while not sent and time.monotonic() < deadline:
        sent = publisher.publish([])
        time.sleep(0.05)
    assert sent and publisher.away_seconds == 0
    assert entries(redis_url, "r", "scalars")[-1] == b"during"


def test_publisher_forgets_the_oldest_while_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store.Publisher, "PENDING_BYTES", 3_000)
    publisher = redis_store.Publisher("r", "redis://127.0.0.1:1/0")
    for number in range(10):
        publisher.publish([("scalars", bytes([number]) * 1_000)])
    assert [frame[0] for _, frame in publisher._pending] == [7, 8, 9]


def silent_for(connection: redis.Redis, name: str, seconds: float) -> None:
    """Make the last word of a worker that old, by Redis' clock."""
    said = json.loads(connection.hget(redis_names.workers_key(), name))
    connection.hset(
        redis_names.workers_key(), name, json.dumps({**said, "updated": said["updated"] - seconds})
    )


def test_workers_that_fell_silent_are_listed_as_such(redis_url: str) -> None:
    connection = redis_store.connect()
    for name in ("here", "gone"):
        redis_store.beat(connection, {"name": name, "queue": "train", "device": "cpu"})
    silent_for(connection, "gone", 60)
    assert [(w["name"], w["alive"]) for w in redis_store.workers()] == [
        ("here", True),
        ("gone", False),
    ]
    redis_store.forget_worker(connection, "gone")
    assert [w["name"] for w in redis_store.workers()] == ["here"]


def test_the_clock_of_a_worker_and_of_who_looks_do_not_matter(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = redis_store.connect()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3_000)
    redis_store.beat(connection, {"name": "behind", "queue": "train"})
    monkeypatch.setattr(time, "time", lambda: now + 3_000)
    assert [w["alive"] for w in redis_store.workers()] == [True]


def test_a_worker_whose_process_has_ended_here_is_dead_at_once(redis_url: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    connection = redis_store.connect()
    here = {"queue": "train", "host": socket.gethostname()}
    redis_store.beat(connection, {**here, "name": "killed", "pid": ended.pid})
    redis_store.beat(connection, {**here, "name": "working", "pid": os.getpid()})
    listed = {w["name"]: (w["alive"], w["dead"]) for w in redis_store.workers()}
    assert listed == {"killed": (False, True), "working": (True, False)}


def test_killed_workers_are_forgotten_after_an_hour(redis_url: str) -> None:
    connection = redis_store.connect()
    for number in range(50):
        redis_store.beat(connection, {"name": f"killed-{number}", "queue": "train"})
        silent_for(connection, f"killed-{number}", 3_700)
    redis_store.beat(connection, {"name": "here", "queue": "train"})
    assert [w["name"] for w in redis_store.workers()] == ["here"]
    assert connection.hkeys(redis_names.workers_key()) == [b"here"]
    assert 0 < connection.ttl(redis_names.workers_key()) <= 3600


@pytest.mark.parametrize("value", ["{", "[]", "5", "{}", '{"updated": "x"}', '{"updated": null}'])
def test_a_foreign_value_among_the_workers_is_removed(redis_url: str, value: str) -> None:
    connection = redis_store.connect()
    connection.hset(redis_names.workers_key(), "odd", value)
    redis_store.beat(connection, {"name": "here", "queue": "train"})
    assert [w["name"] for w in redis_store.workers()] == ["here"]
    assert not connection.hexists(redis_names.workers_key(), "odd")


def test_catalogue_outlives_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    published = redis_store.publish_catalogue(redis_store.connect())
    assert redis_store.catalogue() == json.loads(json.dumps(published))
    monkeypatch.delenv("BASIN_REDIS_URL")
    assert redis_store.catalogue() == json.loads(json.dumps(published))
    (run_store.home() / "catalogue.json").unlink()
    with pytest.raises(NotAvailable, match="basin up"):
        redis_store.catalogue()


@pytest.mark.parametrize("value", ["{", "5", "[1]", ""])
def test_a_damaged_catalogue_in_redis_gives_way_to_the_file(redis_url: str, value: str) -> None:
    published = redis_store.publish_catalogue(redis_store.connect())
    redis_store.connect().set(redis_names.catalogue_key(), value)
    assert redis_store.catalogue() == json.loads(json.dumps(published))
    (run_store.home() / "catalogue.json").write_text(value)
    with pytest.raises(NotAvailable, match="basin up"):
        redis_store.catalogue()


def test_queues_hold_json_alone(redis_url: str) -> None:
    job = redis_store.queue(redis_store.QUICK).enqueue(
        "jobs.tasks.check_job", {"method": "x"}, "cli"
    )
    with redis.Redis.from_url(redis_url) as client:
        data = client.hget(job.key, "data")
    import zlib

    assert json.loads(zlib.decompress(data))[0] == "jobs.tasks.check_job"
