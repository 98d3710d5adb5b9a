"""A home that moves takes along what its runs name."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.spec import RunSpec
from jobs.records import run_store
from jobs.records.moved_files import with_moved_paths


def spec(path: Path | str) -> RunSpec:
    data = {"name": "file", "path": str(path)}
    return RunSpec(method="x", data=data, config={"energy": {"path": str(path)}, "steps": 3})


def test_a_file_is_found_again_where_its_home_went(
    basin_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run_store.data_folder() / "uploads" / "points.npy"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    before = spec(file)
    assert with_moved_paths(before) == before
    basin_home.rename(tmp_path / "moved")
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "moved"))
    after = with_moved_paths(before)
    found = str(tmp_path / "moved" / "data" / "uploads" / "points.npy")
    assert after.data["path"] == found
    assert after.config == {"energy": {"path": found}, "steps": 3}


@pytest.mark.parametrize(
    "path", ["/gone/data/other.npy", "/gone/points.npy", "points.npy", "/gone/data/../../x", "\0"]
)
def test_nothing_else_is_taken_for_it(basin_home: Path, path: str) -> None:
    (basin_home / "data").mkdir()
    (basin_home / "data" / "points.npy").write_bytes(b"x")
    (basin_home.parent / "x").write_bytes(b"x")
    assert with_moved_paths(spec(path)) == spec(path)
