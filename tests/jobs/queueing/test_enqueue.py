"""Launching: all or nothing, paths confined, one job a run; asking: clear when nobody answers."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec
from jobs.queueing import enqueue, redis_store, sample_jobs, spec_paths
from jobs.records import run_store, sample_sets
from tests.conftest import RedisServer

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})


def job_of(run_id: str) -> Job:
    return Job.fetch(run_id, connection=redis_store.connect(), serializer=JSONSerializer)


def test_launch_makes_a_directory_and_a_job(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    assert run_store.open_run(run_id).status().status == "queued"
    assert run_store.open_run(run_id).spec() == SPEC
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]
    job = job_of(run_id)
    assert (job.func_name, job.args, job.timeout) == ("jobs.tasks.train", [run_id], -1)


def test_launch_keeps_order(redis_url: str) -> None:
    runs = enqueue.launch_many([SPEC.model_copy(update={"seed": seed}) for seed in range(3)])
    assert redis_store.queue(redis_store.TRAIN).job_ids == runs
    assert [run_store.open_run(run).spec().seed for run in runs] == [0, 1, 2]


def test_without_redis_nothing_is_left_behind() -> None:
    with pytest.raises(NotAvailable):
        enqueue.launch(SPEC)
    assert run_store.list_runs() == []


def test_redis_lost_in_the_middle_leaves_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = enqueue.put, []

    def fails_at_the_second(*arguments: Any, **named: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise redis.ConnectionError("gone")
        put(*arguments, **named)

    monkeypatch.setattr(enqueue, "put", fails_at_the_second)
    with pytest.raises(NotAvailable, match="Nothing was launched"):
        enqueue.launch_many([SPEC, SPEC, SPEC])
    assert run_store.list_runs() == []
    assert list(run_store.runs_folder().iterdir()) == []
    assert redis_store.queue(redis_store.TRAIN).job_ids == []


def test_putting_twice_queues_once(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    enqueue.put(run_id, redis_store.connect())
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]


def file_spec(path: str) -> RunSpec:
    return RunSpec(method="contrastive_divergence", data={"name": "file", "path": path})


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.npy", "a/../../b.npy", "link/x.npy"])
def test_browser_stays_inside_the_data_folder(path: str, tmp_path: Path) -> None:
    folder = run_store.data_folder()
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput) as caught:
        spec_paths.absolute_paths(file_spec(path), "browser")
    assert [problem.field for problem in caught.value.problems] == ["data.path"]
    assert str(folder) in str(caught.value)


def test_browser_paths_are_taken_from_the_data_folder() -> None:
    settled = spec_paths.absolute_paths(file_spec("uploads/x.npy"), "browser")
    assert settled.data["path"] == str(run_store.data_folder().resolve() / "uploads/x.npy")


def test_nested_paths_count_too() -> None:
    spec = SPEC.model_copy(update={"config": {"energy": {"kind": "table", "path": "/etc/hosts"}}})
    with pytest.raises(BadInput, match=r"config\.energy\.path"):
        spec_paths.absolute_paths(spec, "browser")


def test_paths_within_lists_count_too() -> None:
    parts = [
        {"kind": "table", "path": "/etc/hosts"},
        [{"kind": "energy_file", "path": "/x.py"}],
        [{"name": "discrete_energy_file", "path": "/x.py"}],
    ]
    spec = SPEC.model_copy(update={"config": {"parts": parts}})
    with pytest.raises(BadInput) as caught:
        spec_paths.absolute_paths(spec, "browser")
    fields = [problem.field for problem in caught.value.problems]
    assert fields == [f"config.parts.{place}.path" for place in ("0", "1.0", "2.0")]


@pytest.mark.bad_input
@pytest.mark.parametrize("path", ["~nosuch/x.npy", "~$data.csv"])
def test_a_tilde_of_nobody_names_no_file(path: str) -> None:
    with pytest.raises(BadInput, match="names no file"):
        spec_paths.absolute_paths(file_spec(path), "cli")


@pytest.mark.bad_input
def test_a_link_to_itself_names_no_file() -> None:
    for folder, spec in (
        (run_store.data_folder(), file_spec("loop")),
        (run_store.energies_folder(), energy_spec("loop")),
    ):
        folder.mkdir()
        (folder / "loop").symlink_to(folder / "loop")
        with pytest.raises(BadInput, match=r"names no file"):
            spec_paths.absolute_paths(spec, "browser")


def test_command_line_paths_become_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert spec_paths.absolute_paths(file_spec("x.npy"), "cli").data["path"] == str(
        tmp_path / "x.npy"
    )


def energy_spec(path: str) -> RunSpec:
    return RunSpec(method="sampling", data={"name": "energy_file", "path": path})


@pytest.fixture
def trusted() -> Path:
    """A file in the folder of trusted energies, which the test may then spoil."""
    folder = run_store.energies_folder()
    folder.mkdir(mode=0o700)
    file = folder / "mine.py"
    file.write_text("event_shape = (2,)\n")
    file.chmod(0o600)
    return file


def test_the_browser_names_an_energy_file_by_its_bare_name(trusted: Path) -> None:
    settled = spec_paths.absolute_paths(energy_spec("mine.py"), "browser")
    assert settled.data["path"] == str(trusted.resolve())
    # a run that is cloned names it whole
    assert spec_paths.absolute_paths(settled, "browser") == settled


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../evil.py", "sub/evil.py", "sub/../mine.py", "./mine.py", "link.py", "."],
)
def test_the_browser_runs_no_code_from_elsewhere(path: str, trusted: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit\n")
    (trusted.parent / "sub").mkdir()
    (trusted.parent / "sub" / "evil.py").write_text("")
    (trusted.parent / "link.py").symlink_to(tmp_path / "evil.py")
    with pytest.raises(BadInput, match="bare name") as caught:
        spec_paths.absolute_paths(energy_spec(path), "browser")
    assert [problem.field for problem in caught.value.problems] == ["data.path"]


def test_an_upload_is_never_run(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = run_store.data_folder() / "uploads"
    uploads.mkdir(parents=True)
    (uploads / "evil.py").write_text("")
    for path in ("evil.py", "uploads/evil.py", str(uploads / "evil.py")):
        with pytest.raises(BadInput):
            spec_paths.absolute_paths(energy_spec(path), "browser")
    monkeypatch.setenv("BASIN_DATA", str(trusted.parent.parent))
    with pytest.raises(BadInput, match="inside the data folder"):
        spec_paths.absolute_paths(energy_spec("mine.py"), "browser")


@pytest.mark.parametrize("shared", ["file", "folder"])
def test_code_that_others_may_write_is_not_run(shared: str, trusted: Path) -> None:
    (trusted if shared == "file" else trusted.parent).chmod(0o777)
    with pytest.raises(BadInput, match="chmod go-w"):
        spec_paths.absolute_paths(energy_spec("mine.py"), "browser")


def test_code_of_another_user_is_not_run(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_paths.os, "getuid", lambda: trusted.stat().st_uid + 1)
    with pytest.raises(BadInput, match="another user"):
        spec_paths.absolute_paths(energy_spec("mine.py"), "browser")


def test_an_energy_file_that_is_not_there(trusted: Path) -> None:
    with pytest.raises(BadInput, match="names no file"):
        spec_paths.absolute_paths(energy_spec("other.py"), "browser")


def test_the_command_line_may_run_any_energy_file(tmp_path: Path) -> None:
    path = str(tmp_path / "mine.py")
    assert spec_paths.absolute_paths(energy_spec(path), "cli").data["path"] == path


def test_a_nul_in_a_path_is_refused() -> None:
    with pytest.raises(BadInput, match="NUL"):
        spec_paths.absolute_paths(file_spec("x\0y"), "browser")
    with pytest.raises(BadInput, match="NUL"):
        spec_paths.absolute_paths(energy_spec("x\0y"), "browser")


def test_a_run_names_who_launched_it(redis_url: str) -> None:
    ids = enqueue.launch_many([SPEC, SPEC], by="ada@lab.example")
    assert [run_store.open_run(run).status().by for run in ids] == ["ada@lab.example"] * 2
    assert run_store.open_run(enqueue.launch(SPEC)).status().by == ""


def test_browser_launch_outside_leaves_nothing(redis_url: str) -> None:
    with pytest.raises(BadInput):
        enqueue.launch_many([SPEC, file_spec("/etc/passwd")], origin="browser")
    assert run_store.list_runs() == []


def test_check_tells_the_shape_of_a_spec_without_any_worker() -> None:
    check = enqueue.check({"method": "x", "data": {"name": "ring"}, "sede": 3, "seed": -1})
    assert not check.ok
    assert {problem["field"] for problem in check.problems} == {"sede", "seed"}


def test_a_check_gives_back_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are made absolute before the queue; the worker and the launch take them as they are."""
    asked: list[Any] = []

    def worker(task: str, *arguments: Any, timeout: float, **_: Any) -> dict[str, Any]:
        asked.extend([task, *arguments])
        return {"ok": True}

    monkeypatch.setattr(enqueue, "call", worker)
    spec = enqueue.check(file_spec("x.npy").as_dict(), "browser").spec
    assert spec is not None
    path = str(run_store.data_folder().resolve() / "x.npy")
    assert spec.data["path"] == path
    assert asked == ["check", spec.as_dict()]


def test_asking_without_a_quick_worker(redis_url: str) -> None:
    with pytest.raises(NotAvailable, match="No check worker"):
        enqueue.check(SPEC.model_dump())
    with pytest.raises(NotAvailable, match="No quick worker"):
        enqueue.ask_run("20260101-000000-0000", "energy", {})


def test_asking_a_worker_that_does_not_answer(redis_url: str) -> None:
    connection = redis_store.connect()
    redis_store.beat(connection, {"name": "deaf", "queue": "quick", "device": "cpu"})
    begin = time.monotonic()
    with pytest.raises(NotAvailable, match="No worker answered within 1 s"):
        enqueue.call("check", {}, timeout=1.0)
    assert time.monotonic() - begin < 3
    assert redis_store.queue(redis_store.QUICK).job_ids == []


def test_forms_have_a_worker_of_their_own(redis_url: str) -> None:
    connection = redis_store.connect()
    redis_store.beat(connection, {"name": "quick", "queue": "quick"})
    assert enqueue._queue_of("check", connection) == redis_store.QUICK  # better than none
    redis_store.beat(connection, {"name": "check", "queue": "check"})
    asked = {task: enqueue._queue_of(task, connection) for task in ("check", "previews", "ask")}
    assert asked == {
        "check": redis_store.CHECK,
        "previews": redis_store.CHECK,
        "ask": redis_store.QUICK,
    }
    assert enqueue._queue_of("check", connection, is_long=True) == redis_store.QUICK


def test_a_large_file_holds_up_no_other_form_until_it_is_read(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def worker(task: str, raw: dict[str, Any], *, is_long: bool = False, **more: Any) -> Any:
        asked.append(is_long)
        return {"ok": True}

    monkeypatch.setattr(enqueue, "call", worker)
    run_store.data_folder().mkdir()
    large = run_store.data_folder() / "large.csv"
    with large.open("wb") as file:
        file.truncate(40_000_000)
    for _ in range(2):
        assert enqueue.check(file_spec("large.csv").as_dict(), "browser").ok
    os.utime(large, (0, 0))  # another one
    enqueue.check(file_spec("large.csv").as_dict(), "browser")
    enqueue.check(SPEC.as_dict())
    assert asked == [True, False, True, False]


def test_redis_dying_while_asking_is_one_sentence(
    redis_server: RedisServer, redis_url: str
) -> None:
    redis_store.beat(redis_store.connect(), {"name": "deaf", "queue": "quick", "device": "cpu"})
    killer = threading.Timer(0.5, redis_server.kill)
    killer.start()
    try:
        with pytest.raises(NotAvailable):
            enqueue.call("check", {}, timeout=4.0)
    finally:
        killer.join()
        redis_server.start()


def test_sample_sets_are_queued_once_and_waited_for_by_nobody(redis_url: str) -> None:
    run_id = run_store.create_run(SPEC).id
    wanted = [sample_jobs.request(run_id, {"num": 8}, seed=seed) for seed in (0, 1)]
    with pytest.raises(NotAvailable, match="No quick worker"):
        sample_jobs.draw(wanted)
    redis_store.beat(redis_store.connect(), {"name": "deaf", "queue": "quick", "device": "cpu"})
    sets = sample_jobs.draw(wanted)
    assert [each.state for each in sets] == ["waiting", "waiting"]
    assert [each.id for each in sample_jobs.draw(wanted)] == [each.id for each in sets]
    queue = redis_store.queue(redis_store.QUICK)
    assert queue.job_ids == [f"set-{each.id}" for each in sets]
    fields = job_of(f"set-{sets[1].id}").args[0]
    assert sample_sets.Request(**fields).id == sets[1].id
