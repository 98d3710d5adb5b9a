"""Whose turn it is: runs go to workers that can take them, and devices to one run at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.spec import RunSpec
from jobs.models import run_parts
from jobs.queueing import control, enqueue, redis_names, redis_store, turns
from jobs.queueing.turns import Turns
from jobs.records import run_store
from jobs.system import devices


def spec(**changes: object) -> RunSpec:
    return RunSpec.model_validate({"method": "sampling", "data": {"name": "ring"}, **changes})


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four devices."""
    here = tuple(devices.Device(f"cuda:{n}", "a GPU", f"{n}") for n in range(4))
    monkeypatch.setattr(devices, "nvidia_devices", lambda: here)


def launch(**changes: object) -> str:
    return enqueue.launch(spec(**changes))


def take(turn: Turns) -> str | None:
    return turn.take(redis_store.queue(redis_store.TRAIN))


def test_a_run_that_asks_for_cuda_waits_for_it(redis_url: str, four: None) -> None:
    asks, any_device = launch(device="cuda"), launch()
    cpu, gpu = Turns("cpu"), Turns("cuda:1")
    assert take(cpu) == any_device and take(cpu) is None
    assert control.queued() == [asks]
    assert redis_store.queue(redis_store.TRAIN).intermediate_queue.get_job_ids() == [any_device]
    assert take(gpu) == asks and gpu.selectors() == "1"


def test_what_asks_for_nothing_goes_anywhere_in_order(redis_url: str, four: None) -> None:
    runs = [launch(device="cpu"), launch(device="auto"), launch(device="cuda:3")]
    gpu = Turns("cuda:0")
    for run in runs:
        assert take(gpu) == run
        gpu.release()


def test_processes_get_a_device_each_that_nobody_else_uses(redis_url: str, four: None) -> None:
    single, double, after = launch(device="cuda"), launch(processes=3), launch(device="cuda")
    first, second, third = Turns("cuda:0"), Turns("cuda:2"), Turns("cuda:3")
    assert take(first) == single
    assert take(second) == double and second.selectors() == "2,3,1"
    assert take(third) is None, "its device is in use by the run on three"
    second.release()
    assert take(third) == after and third.selectors() == "3"


def test_while_one_gathers_devices_the_others_begin_nothing(redis_url: str, four: None) -> None:
    single, all_four, after = launch(device="cuda"), launch(processes=4), launch(device="cuda")
    first, second, third = Turns("cuda:0"), Turns("cuda:1"), Turns("cuda:2")
    assert take(first) == single
    assert take(second) is None and take(third) is None
    assert control.queued() == [all_four, after]
    first.release()  # its run has ended
    assert take(third) is None, "it gathered nothing and must not go before"
    assert take(first) is None
    assert take(second) == all_four and second.selectors() == "1,2,3,0"
    second.release()
    assert take(first) == after


def test_who_gathers_lets_go_when_the_run_is_taken_off(redis_url: str, four: None) -> None:
    launch(device="cuda")
    large = launch(processes=4)
    first, second = Turns("cuda:0"), Turns("cuda:1")
    take(first)
    assert take(second) is None
    control.stop(large)
    assert take(second) is None
    after = launch(device="cuda")
    assert take(Turns("cuda:3")) == after


def test_why_a_run_waits_that_nobody_can_take(redis_url: str, basin_home: Path) -> None:
    asks, large, any_device = launch(device="cuda"), launch(device="cuda", processes=8), launch()
    connection, queue = redis_store.connect(), redis_store.queue(redis_store.TRAIN)
    assert turns.stuck(connection, queue, redis_store.workers()) == {}  # nobody is there at all
    redis_store.beat(
        connection, {"name": "cpu", "queue": "train", "device": "cpu", "num_devices": 0}
    )
    said = turns.stuck(connection, queue, redis_store.workers())
    assert set(said) == {asks, large}
    assert "No worker here has an NVIDIA device" in said[asks]
    redis_store.beat(
        connection, {"name": "gpu", "queue": "train", "device": "cuda:0", "num_devices": 2}
    )
    said = turns.stuck(connection, queue, redis_store.workers())
    assert list(said) == [large] and "8 NVIDIA devices" in said[large]
    control.settle()
    assert run_store.open_run(large).written_status().reason == said[large]
    assert run_store.open_run(any_device).written_status().reason == ""
    redis_store.beat(
        connection, {"name": "big", "queue": "train", "device": "cuda:0", "num_devices": 8}
    )
    control.settle()
    assert run_store.open_run(large).written_status().reason == ""


def announce(worker: str, *known: str) -> None:
    redis_store.connect().hset(redis_names.parts_key(), worker, json.dumps(known))


def test_a_run_goes_to_a_worker_that_has_its_parts(redis_url: str) -> None:
    sampler = {"sampler": {"kind": "wild"}}
    wild, plain = launch(config=sampler), launch()
    announce("poor", "method sampling", "data set ring")
    announce("rich", "method sampling", "data set ring", "kind wild")
    poor, rich, silent = Turns("cpu", "poor"), Turns("cpu", "rich"), Turns("cpu", "silent")
    assert take(poor) == plain and take(poor) is None
    assert take(rich) == wild
    again = launch(config=sampler)
    assert take(silent) == again, "one that has not said what it has takes what comes"


def test_why_a_run_waits_whose_parts_no_worker_has(redis_url: str) -> None:
    run = launch(config={"sampler": {"kind": "wild"}})
    connection, queue = redis_store.connect(), redis_store.queue(redis_store.TRAIN)
    for name in ("one", "two"):
        redis_store.beat(connection, {"name": name, "queue": "train", "device": "cpu"})
        announce(name, "method sampling", "data set ring")
    reason = turns.stuck(connection, queue, redis_store.workers())[run]
    assert "one lacks kind wild; two lacks kind wild" in reason
    assert "BASIN_PLUGINS" in reason
    announce("two", "method sampling", "data set ring", "kind wild")
    assert turns.stuck(connection, queue, redis_store.workers()) == {}
    known = turns.parts_of(connection, redis_store.workers())
    assert run_parts.lacking(known) == {"one": ["kind wild"]}
    redis_store.forget_worker(connection, "two")
    assert turns.parts_of(connection, [{"name": "two"}]) == {"two": None}


@pytest.mark.slow
def test_every_default_of_every_method_is_among_the_parts_of_a_catalogue() -> None:
    from backend import catalogue

    known = run_parts.of_catalogue(catalogue.publish())
    for name, method in catalogue.methods().items():
        for preset in method.presets:
            config = catalogue.configured(method, preset).model_dump(mode="json")
            data = method.presets[preset].data or {"name": "ring"}
            needed = run_parts.of_spec(spec(method=name, preset=preset, config=config, data=data))
            assert set(needed) <= set(known), (name, preset)


def test_a_run_that_waits_for_drained_workers_says_so(redis_url: str) -> None:
    waiting, worker = launch(), {"name": "cpu", "queue": "train", "device": "cpu"}
    connection = redis_store.connect()
    redis_store.beat(connection, {**worker, "asked": "drain", "run": "the last"})
    control.settle()
    assert run_store.open_run(waiting).written_status().reason == ""
    redis_store.beat(connection, {**worker, "asked": "drain", "run": None})
    control.settle()
    assert "basin workers resume" in run_store.open_run(waiting).written_status().reason
    redis_store.beat(connection, worker)
    control.settle()
    assert run_store.open_run(waiting).written_status().reason == ""
