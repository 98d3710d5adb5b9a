"""Disk use: runs by size, and checkpoints that are deleted of runs that are over alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from backend.errors import BadInput
from jobs.cli import main
from jobs.records import trash
from jobs.records.run_directory import RunDirectory
from jobs.services import disk_use
from tests.jobs import tiny


def run_with(steps: tuple[int, ...], status: str = "finished") -> RunDirectory:
    directory = tiny.make(40)
    folder = directory.path / disk_use.FOLDER
    folder.mkdir()
    for step in steps:
        (folder / f"step-{step:09d}.safetensors").write_bytes(bytes(1000 * step))
    directory.write_status(status=status, checkpoint_step=steps[-1])
    return directory


def test_the_largest_run_is_first(basin_home: object) -> None:
    small, large = run_with((1,)), run_with((1, 2, 3))
    first, second = disk_use.by_run()
    assert [first.status.id, second.status.id] == [large.id, small.id]
    assert first.checkpoints == [1000, 2000, 3000] and first.num_bytes > 6000
    assert (first.earlier, second.earlier) == (3000, 0)


def test_the_last_checkpoint_stays_unless_all_are_to_go(basin_home: object) -> None:
    directory = run_with((1, 2, 3))
    assert disk_use.drop_checkpoints([directory.id], disk_use.EARLIER) == 3000
    assert directory.checkpoints() == [3] and directory.status().checkpoint_step == 3
    assert disk_use.drop_checkpoints([directory.id], disk_use.EARLIER) == 0
    assert disk_use.drop_checkpoints([directory.id], disk_use.ALL) == 3000
    assert directory.checkpoints() == [] and directory.status().checkpoint_step is None


def test_moments_that_a_person_asked_to_keep_stay_with_the_last(basin_home: object) -> None:
    directory = run_with((1, 2, 3))
    directory.keep_checkpoint(2)
    directory.keep_checkpoint(3)
    (use,) = disk_use.by_run()
    assert use.earlier == disk_use.drop_checkpoints([directory.id], disk_use.EARLIER) == 1000
    assert directory.checkpoints() == [2, 3]


def test_what_was_deleted_is_restored_within_a_day_and_takes_its_place_until_then(
    basin_home: object,
) -> None:
    directory, other = run_with((1, 2, 3)), run_with((4,))
    disk_use.drop_checkpoints([directory.id], disk_use.EARLIER)
    disk_use.drop_checkpoints([directory.id, other.id], disk_use.ALL)
    uses = {use.status.id: use for use in disk_use.by_run()}
    assert uses[directory.id].deleted == 6000 and uses[directory.id].num_bytes > 6000
    assert uses[directory.id].checkpoints == []
    assert trash.restore_checkpoints(directory) == [1, 2, 3]
    assert directory.checkpoints() == [1, 2, 3] and directory.status().checkpoint_step == 3
    assert trash.restore_checkpoints(directory) == []
    assert trash.empty_checkpoints(trash.KEPT_SECONDS) == 0
    assert CliRunner().invoke(main, ["disk", "--empty", "--json"]).stdout == '{"freed": 4000}\n'
    assert trash.restore_checkpoints(other) == [] and other.checkpoints() == []


def test_the_command_line_deletes_and_restores(basin_home: object) -> None:
    def answer(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["disk", *arguments, "--json"])
        return json.loads(result.stdout)

    directory = run_with((1, 2))
    assert answer(directory.id, "--drop", "all") == {"runs": [directory.id], "deleted": 3000}
    assert directory.checkpoints() == []
    assert answer(directory.id, "--restore") == [{"id": directory.id, "steps": [1, 2]}]
    assert "name the runs" in answer("--restore")["error"]["problems"][0]["message"]


@pytest.mark.parametrize(
    ("status", "which"),
    [("running", "earlier"), ("queued", "all"), ("paused", "all"), ("finished", "some")],
)
def test_none_is_deleted_where_one_run_needs_its_own(
    basin_home: object, status: str, which: str
) -> None:
    over, needed = run_with((1, 2)), run_with((1, 2), status)
    with pytest.raises(BadInput, match=r"needs|resume|must be"):
        disk_use.drop_checkpoints([over.id, needed.id], which)
    assert over.checkpoints() == needed.checkpoints() == [1, 2]
