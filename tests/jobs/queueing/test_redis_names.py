"""Names in Redis: every home has its own, however many share one Redis."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import NotAvailable
from backend.spec import RunSpec
from jobs.queueing import control, enqueue, redis_names, redis_store
from jobs.records.status import hostname
from tests.conftest import ROOT

SPEC = RunSpec(method="sampling", data={"name": "ring"})


@pytest.fixture
def other_home(tmp_path: Path) -> Path:
    home = tmp_path / "other"
    home.mkdir(mode=0o700)
    return home


def test_the_id_is_made_once_and_private(basin_home: Path) -> None:
    made = redis_names.home_id()
    file = basin_home / "home.id"
    assert file.read_text().strip() == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    redis_names._stored.cache_clear()
    assert redis_names.home_id() == made
    assert [path.name for path in basin_home.iterdir()] == ["home.id"]


@pytest.mark.parametrize("damaged", ["", "not an id", "abc"])
def test_a_damaged_id_is_made_anew(basin_home: Path, damaged: str) -> None:
    (basin_home / "home.id").write_text(damaged)
    assert redis_names.home_id() == (basin_home / "home.id").read_text().strip() != damaged


def test_processes_that_start_at_once_agree(basin_home: Path) -> None:
    code = "from jobs import names; print(names.home_id())"
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_a_moved_home_keeps_its_id(
    basin_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = redis_names.home_id()
    basin_home.rename(tmp_path / "moved")
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "moved"))
    assert redis_names.home_id() == before


def test_two_homes_on_one_redis_see_nothing_of_each_other(
    redis_url: str, other_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = redis_store.connect()
    run_id = enqueue.launch(SPEC)
    redis_store.beat(connection, {"name": "train-here", "queue": "train"})
    redis_store.publish_catalogue(connection)
    before = set(connection.keys("basin:*")) | set(connection.smembers("rq:queues"))
    monkeypatch.setenv("BASIN_HOME", str(other_home))
    assert control.queued() == [] and redis_store.workers() == []
    assert redis_store.queue(redis_store.TRAIN).name != ""
    assert not connection.exists(redis_names.catalogue_key())
    redis_store.beat(connection, {"name": "train-there", "queue": "train"})
    enqueue.launch(SPEC)
    assert redis_names.stream_key(run_id, "scalars").encode() not in before
    after = set(connection.keys("basin:*")) | set(connection.smembers("rq:queues"))
    assert all(redis_names.home_id().encode() in name for name in after - before)
    assert not any(redis_names.home_id().encode() in name for name in before)


def test_a_copy_beside_its_original_is_told_to_get_an_id_of_its_own(
    redis_url: str, basin_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = redis_store.connect()
    redis_store.beat(
        connection,
        {
            "name": "w",
            "queue": "train",
            "host": hostname(),
            "pid": os.getpid(),
            "home": str(basin_home),
        },
    )
    enqueue.launch(SPEC)
    (tmp_path / "linked").symlink_to(basin_home)
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "linked"))
    enqueue.launch(SPEC)  # another way to the same one
    copy = tmp_path / "copy"
    shutil.copytree(basin_home, copy)
    monkeypatch.setenv("BASIN_HOME", str(copy))
    with pytest.raises(NotAvailable, match=r"is a copy of .*Delete .*copy/home\.id"):
        enqueue.launch(SPEC)
    (copy / "home.id").unlink()
    redis_names._stored.cache_clear()  # as in a new process
    enqueue.launch(SPEC)
    assert len(control.queued()) == 1
