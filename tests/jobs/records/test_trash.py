"""Deleted runs: kept for a day, restored as they were, removed for good after that."""

from __future__ import annotations

import json
import os
import time

import pytest
from click.testing import CliRunner

from backend.errors import NotAvailable
from backend.spec import RunSpec
from jobs.cli import main
from jobs.queueing import control
from jobs.records import run_store, trash
from jobs.records.run_directory import RunDirectory


def finished(name: str = "gone") -> RunDirectory:
    run = run_store.create_run(RunSpec(name=name, method="tiny", data={"name": "ring"}))
    run.write_status(status="finished", step=7)
    run.close()
    return run


def test_a_deleted_run_comes_back_as_it_was() -> None:
    run = finished()
    before = {name: (run.path / name).read_bytes() for name in ("spec.yaml", "status.json")}
    control.delete([run.id])
    assert run_store.list_runs() == [] and not run.path.exists()
    (entry,) = trash.deleted()
    assert entry.status.name == "gone" and entry.num_bytes > 0
    restored = trash.restore(run.id)
    assert restored.status().step == 7
    assert {name: (run.path / name).read_bytes() for name in before} == before
    assert trash.ids() == []


def test_only_what_was_deleted_a_day_ago_is_removed_by_itself() -> None:
    old, new = finished(), finished()
    control.delete([old.id, new.id])
    yesterday = time.time() - trash.KEPT_SECONDS - 1
    os.utime(trash.folder() / old.id, (yesterday, yesterday))
    control.settle()
    assert trash.ids() == [new.id]
    run_store.sweep()
    assert trash.ids() == [new.id]


def test_the_command_line_deletes_restores_and_empties() -> None:
    run, other = finished(), finished()
    call = CliRunner().invoke
    assert call(main, ["delete", run.id, other.id]).exit_code == 0
    listed = json.loads(call(main, ["trash", "--json"]).output)
    assert {entry["id"] for entry in listed} == {run.id, other.id}
    assert call(main, ["restore", run.id]).output == f"{run.id}: restored\n"
    assert call(main, ["trash", "--empty"]).output == "1 run removed for good.\n"
    refused = call(main, ["restore", other.id])
    assert refused.exit_code == 2 and "no deleted run" in refused.output
    assert [status.id for status in run_store.list_runs()] == [run.id]


@pytest.mark.parametrize("name", ["", "../runs", "x"])
def test_what_was_never_deleted_cannot_be_restored(name: str) -> None:
    with pytest.raises(NotAvailable, match="no deleted run"):
        trash.restore(name)
