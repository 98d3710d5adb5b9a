"""Odd files in runs: one run is shown damaged or passed over, and all else goes on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec
from jobs.claims import reproduction
from jobs.cli import main
from jobs.queueing import control, redis_store
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from jobs.records.status import WORDS
from jobs.services import doctor
from jobs.system import atomic_files

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})
DEEP = "[" * 100_000


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)  # a plain read waits for ever


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20_000_000_000)


def holding(content: str | bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


NO_FILES = {f.__name__: f for f in (folder, pipe, unix_socket, dangling, loop, huge)}
NO_JSON = {
    name: holding(text)
    for name, text in {
        "empty": "",
        "null": "null",
        "a list": "[1, 2]",
        "a word": '"running"',
        "a number": "7",
        "cut short": '{"id": "x',
        "not UTF-8": b"\xff\xfe\x00{",
        "deep": DEEP,
        "zeros": b"\0" * 4096,
        "deep inside": '{"id": ' + DEEP,
    }.items()
}
ODD = NO_FILES | NO_JSON
SMALL = [
    "status.json",
    "labels.json",
    "spec.yaml",
    "control",
    "metrics.json",
    "trace.txt",
    "answers/a.json",
    "changes/1.json",
    "lock",
    "answers",
    "turns",
    "turned.json",
    "checkpoints",
    "attempts",
]


def put(directory: RunDirectory, name: str, make: Callable[[Path], None]) -> None:
    path = directory.path / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)


def read_everything(directory: RunDirectory) -> None:
    """All that pages and commands read of a run; what cannot be read may only be BadInput."""
    for read in (directory.spec, directory.status, directory.labels):
        with contextlib.suppress(BadInput):
            read()
    directory.metrics()
    directory.answers()
    directory.trace()
    directory.files()
    directory.requested()
    directory.turn_requests()
    directory.turns()
    directory.turnable()
    directory.checkpoints()
    directory.damages()


@pytest.mark.bad_input
@pytest.mark.parametrize("odd", ODD)
def test_one_odd_file_keeps_nothing_from_the_others(odd: str, redis_url: str) -> None:
    whole = run_store.create_run(SPEC)
    for name in SMALL:
        directory = run_store.create_run(SPEC)
        directory.write_status(status="finished", ended=1.0)
        put(directory, name, ODD[odd])
        read_everything(run_store.open_run(directory.id))
        assert whole.id in {run.id for run in run_store.list_runs()}, (odd, name)
    assert not [line for line in control.settle() if whole.id in line]
    assert len(run_store.list_runs()) == 1 + len(SMALL)


@pytest.mark.bad_input
@pytest.mark.parametrize("odd", ODD)
def test_a_run_without_a_readable_status_is_lost_and_stays_as_it_is(
    odd: str, redis_url: str
) -> None:
    directory = run_store.create_run(SPEC)
    put(directory, "status.json", ODD[odd])
    before = os.lstat(directory.path / "status.json")
    (run,) = run_store.list_runs()
    assert (run.id, run.status, run.method) == (directory.id, "lost", SPEC.method)
    assert "status.json" in run.damage
    assert control.settle() == []
    assert os.lstat(directory.path / "status.json").st_ino == before.st_ino


WRONG: dict[str, list[Any]] = {
    "id": [7, None, "../../etc"],
    "status": [None, 7, "archived", ["running"]],
    "created": [None, "soon", -1, 1e300, float("nan"), [1]],
    "updated": [None, "now", float("inf"), {}],
    "ended": ["x", -5],
    "step": [None, -1, "many", 1.5, 10**30, float("inf")],
    "fraction": [None, 17, "half"],
    "pid": [0, -1, "x", 2**40, [1]],
    "attempt": [None, -3],
    "checkpoint_step": ["x", -1],
    "name": [None, 7, ["a"]],
    "tags": [None, "a", [1], {"a": 1}],
    "alarms": [None, "x", [None], [{}], [{"path": 1}], {"a": 1}],
    "headline": [7, "x", {}, {"path": "a", "value": "b"}, []],
    "budget": [None, 3, []],
    "worker": [None, 9],
    "host": [None, 9],
    "seconds": [None, "x", -1],
}


@pytest.mark.bad_input
@pytest.mark.parametrize("field", WRONG)
def test_a_field_of_another_kind_is_left_out_and_the_rest_is_read(
    field: str, redis_url: str
) -> None:
    for value in WRONG[field]:
        directory = run_store.create_run(SPEC)
        directory.write_status(status="finished", step=5, reason="done", ended=9.0, pid=7)
        path = directory.path / "status.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
        (run,) = [run for run in run_store.list_runs() if run.id == directory.id]
        assert run.status in WORDS
        if field == "id":
            assert run.damage == ""
        else:
            assert f"`{field}` in status.json" in run.damage, (field, value)
        if field != "status":
            assert (run.status, run.reason) == ("finished", "done")
        else:
            assert run.status == "lost" and control.settle() == []
    for command in (["ls"], ["ls", "--json"], ["show", directory.id]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    # The next that is written heals it.
    directory.write_status(status="stopped")
    assert directory.status().damage == ""


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "labels",
    [
        {"colour": "red", "name": "kept"},
        {"name": "kept", "tags": "a"},
        {"name": "kept", "note": 7, "tags": [None]},
        {"id": "x", "name": "kept"},
    ],
)
def test_labels_of_another_version_are_read_as_far_as_they_can(labels: dict[str, Any]) -> None:
    directory = run_store.create_run(SPEC)
    (directory.path / "labels.json").write_text(json.dumps(labels))
    (run,) = run_store.list_runs()
    assert (run.id, run.name, run.tags) == (directory.id, "kept", [])
    assert bool(run.damage) == ("tags" in labels)
    directory.set_labels(note="added")
    kept = json.loads((directory.path / "labels.json").read_text())
    assert kept == labels | {"note": "added"}


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "spec", ["method: new\nflux: 7\n", "- a\n- b\n", "method: [", b"\xff\xfe", "a: " + DEEP, ""]
)
def test_a_spec_of_another_version_leaves_its_run_on_the_list(spec: str | bytes) -> None:
    directory = run_store.create_run(SPEC)
    put(directory, "spec.yaml", holding(spec))
    (run,) = run_store.list_runs()
    assert (run.id, run.status) == (directory.id, "queued")
    with pytest.raises(BadInput):
        directory.spec()
    put(directory, "status.json", holding("{"))
    (run,) = run_store.list_runs()
    assert run.status == "lost" and "status.json and spec.yaml" in run.damage
    assert CliRunner().invoke(main, ["ls"]).exit_code == 0
    assert control.delete([directory.id]) == 1


def test_a_disk_that_fails_for_a_moment_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = run_store.create_run(SPEC)
    directory.write_status(status="finished", step=7, ended=9.0)
    run_store.list_runs()
    directory.set_labels(name="new")

    def fail(path: Path, most: int = 0) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "read", fail)
        assert "damaged" in run_store.list_runs()[0].damage
        with pytest.raises(OSError, match="Input/output"):
            directory.write_status(step=8)
    (run,) = run_store.list_runs()
    assert (run.status, run.step, run.name) == ("finished", 7, "new")


@pytest.mark.bad_input
def test_a_file_in_place_of_a_run_is_no_run() -> None:
    directory = run_store.create_run(SPEC)
    odd = directory.path.with_name("20260101-000000-abcd")
    odd.write_text("x")
    assert [run.id for run in run_store.list_runs()] == [directory.id]
    with pytest.raises(NotAvailable):
        run_store.open_run(odd.name)
    assert odd.name in doctor._records().result


@pytest.mark.bad_input
def test_the_doctor_names_what_is_damaged() -> None:
    assert doctor._records().ok
    whole, damaged = run_store.create_run(SPEC), run_store.create_run(SPEC)
    (damaged.path / "labels.json").write_text('{"tags": 7}')
    put(damaged, "spec.yaml", folder)
    (reproduction.folder() / "20260101-000000-abcd.json").write_text('{"id": 7}')
    found = doctor._records()
    assert not found.ok and whole.id not in found.result
    for words in (damaged.id, "`tags` in labels.json", "spec.yaml", "20260101-000000-abcd"):
        assert words in found.result
    assert "Mend or remove" in found.mend


@pytest.mark.bad_input
@pytest.mark.parametrize("odd", ODD)
def test_odd_records_of_a_home_are_as_none(odd: str, basin_home: Path) -> None:
    record = reproduction.folder() / "20260101-000000-abcd.json"
    for path in (basin_home / "connection.json", basin_home / "catalogue.json", record):
        ODD[odd](path)
    assert redis_store.connection_info().get("redis") is None
    for look in (redis_store.redis_url, redis_store.catalogue):
        with pytest.raises(NotAvailable):
            look()
    assert reproduction.list_reproductions() == []


@pytest.mark.bad_input
def test_a_connection_of_another_shape_is_read_as_far_as_it_can(basin_home: Path) -> None:
    odd = {"redis": 5, "pid": "x", "host": ["a"], "children": [1, [2], ["a", 3], [4, "who"]]}
    (basin_home / "connection.json").write_text(json.dumps(odd))
    assert redis_store.connection_info() == {"children": [[4, "who"]]}


@pytest.mark.bad_input
def test_a_reproduction_that_lacks_runs_is_passed_over() -> None:
    record = {
        "id": "20260101-000000-abcd",
        "recipe": "x",
        "text": "",
        "scale": "cpu",
        "seeds": [0, 1],
        "runs": {"a": {"0": "r"}},
        "created": 0,
        "version": "1",
    }
    (reproduction.folder() / f"{record['id']}.json").write_text(json.dumps(record))
    assert reproduction.list_reproductions() == []


@pytest.mark.parametrize("name", ["metrics.json", "made_of.json"])
def test_figures_and_fingerprints_that_cannot_be_read_are_named(name: str) -> None:
    directory = run_store.create_run(RunSpec(method="m", data={"name": "ring"}))
    assert directory.damages() == []
    (directory.path / name).write_text('{"quality/')
    (said,) = directory.damages()
    assert said.startswith(f"{name} cannot be read: ")
