"""Machines: one worker of each reads it, and a course is made of what was read."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
import redis

from jobs.queueing import machines, redis_names, redis_store
from jobs.system import joule_meter, machine

READING = {"cpu": 0.5, "memory": 2e9, "gpus": {"cuda:0": {"busy": 0.25, "power": 100.0}}}


@pytest.fixture
def connection(redis_url: str) -> redis.Redis:
    return redis_store.connect()


def put(connection: redis.Redis, seconds_ago: float, **changed: object) -> None:
    content = json.dumps({**READING, **changed, "about": {"cores": 4}})
    moment = round(1000 * (time.time() - seconds_ago))
    connection.xadd(redis_names.machine_key("here"), {"r": content}, id=f"{moment}-*")


def test_one_worker_of_a_machine_reads_it_until_it_falls_silent(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = redis_names.machine_key(socket.gethostname())
    first, second = machines.Reader("first"), machines.Reader("second")
    for reader in (first, second, first):
        reader.look(connection)
    assert connection.xlen(key) == 0  # a load is a mean over some time
    monkeypatch.setattr(first, "_due", 0.0)
    for reader in (second, first, first):
        reader.look(connection)
    assert connection.xlen(key) == 1 and 0 < connection.ttl(key) <= machines.KEPT_SECONDS
    course = machines.course(connection, socket.gethostname(), 1800)
    assert course["about"]["cores"] >= 1
    assert 0 <= course["now"]["cpu"] <= 1
    assert 0 < course["now"]["memory"] < course["about"]["memory_total"]
    connection.delete(f"{key}:turn")  # as it is 25 s after the first fell silent
    second.look(connection)
    assert connection.get(f"{key}:turn") == b"second"


def test_a_course_has_means_of_stretches_and_gaps_where_nobody_read(
    connection: redis.Redis,
) -> None:
    for seconds_ago, cpu in ((1500, 0.2), (300, 0.4), (65, 0.1), (61, 0.3)):
        put(connection, seconds_ago, cpu=cpu)
    course = machines.course(connection, "here", 1800)
    values = course["curves"]["cpu"]
    assert len(values) == machines.MOST_POINTS
    read = {place: value for place, value in enumerate(values) if value is not None}
    assert list(read.values())[:2] == [0.2, 0.4]
    assert sum(read.values()) in (pytest.approx(0.8), pytest.approx(1.0))  # one stretch or two
    assert course["curves"]["cuda:0/busy"][max(read)] == 0.25
    whole_day = machines.course(connection, "here", machines.KEPT_SECONDS)["curves"]["cpu"]
    assert len(whole_day) == machines.MOST_POINTS
    assert machines.course(connection, "here", 30) == {}


def test_the_cpus_watts_are_read_where_it_has_a_counter(
    connection: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "power" not in machine.read() or (joule_meter.RAPL / "intel-rapl:0").exists()
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "max_energy_range_uj").write_text("1000000000")
    counter = package / "energy_uj"
    counter.write_text("5000000")
    monkeypatch.setattr(joule_meter, "RAPL", tmp_path)
    now = [10.0]
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    power = machine._CpuPower()
    assert power.watts() is None
    now[0] = 12.0
    counter.write_text("95000000")
    assert power.watts() == pytest.approx(45.0)
    counter.unlink()
    assert power.watts() is None
    put(connection, 20, power=45.0)
    course = machines.course(connection, "here", 1800)
    assert course["now"]["power"] == 45.0
    assert [value for value in course["curves"]["power"] if value is not None] == [45.0]


def test_what_is_no_reading_costs_nothing_else(connection: redis.Redis) -> None:
    put(connection, 20)
    connection.xadd(redis_names.machine_key("here"), {"r": "no JSON"})
    connection.xadd(redis_names.machine_key("here"), {"other": "field"})
    assert machines.course(connection, "here", 1800)["now"]["cpu"] == 0.5
    assert machines.course(connection, "elsewhere", 1800) == {}


def test_machines_are_those_of_workers(connection: redis.Redis) -> None:
    put(connection, 20)
    for name, host in (("a", "here"), ("b", "there"), ("c", "here")):
        redis_store.beat(connection, {"name": name, "queue": "train", "host": host})
    here, there = machines.listed(1800)
    assert [worker["name"] for worker in here["workers"]] == ["a", "c"]
    assert here["now"]["gpus"]["cuda:0"]["power"] == 100 and "curves" not in there


def test_devices_are_read_as_the_driver_tells_them() -> None:
    output = "GPU-b, 7, 100, 24576, 21.07\nGPU-a, [N/A], 1, 2, [N/A]\nno line of a device\n"
    read = machine.parsed(output, {"GPU-a": "cuda:1", "GPU-b": "cuda:0"})
    assert read["cuda:0"]["power"] == 21.07 and read["cuda:0"]["busy"] == pytest.approx(0.07)
    assert set(read["cuda:1"]) == {"memory", "memory_total"}
