"""Tables that took long to read are read once, until their file changes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from backend.datasets import kept_tables
from backend.datasets.reading import Table

CHOICE = ("", [], "", "refuse")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kept_tables, "SLOW_SECONDS", -1.0)
    return tmp_path / "home"


class Reader:
    """Counts how often it reads."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Table:
        self.times += 1
        labels = np.arange(30) % 2
        return Table(np.arange(60.0).reshape(30, 2), ("a", "b"), labels, ("x", "y"), ("a note",))


def test_a_file_is_read_once_and_anew_when_it_changed(tmp_path: Path) -> None:
    path, read = tmp_path / "x.csv", Reader()
    path.write_text("1")
    first, second = (kept_tables.kept(path, CHOICE, read) for _ in range(2))
    assert read.times == 1
    for name in ("columns", "label_names", "notes"):
        assert getattr(first, name) == getattr(second, name)
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.labels, second.labels)  # type: ignore[arg-type]
    kept_tables.kept(path, ("", ["a"], "", "refuse"), read)
    assert read.times == 2, "another choice is another table"
    os.utime(path, ns=(1, 1))
    kept_tables.kept(path, CHOICE, read)
    assert read.times == 3


def test_a_folder_is_read_anew_when_an_image_changed(tmp_path: Path) -> None:
    folder, read = tmp_path / "images", Reader()
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "1.png").write_bytes(b"1")
    for _ in range(2):
        kept_tables.kept(folder, CHOICE, read)
    assert read.times == 1
    os.utime(folder / "cats" / "1.png", ns=(1, 1))
    kept_tables.kept(folder, CHOICE, read)
    assert read.times == 2


def test_a_damaged_one_is_read_anew_and_few_are_kept(tmp_path: Path, home: Path) -> None:
    read = Reader()
    paths = [tmp_path / f"{at}.csv" for at in range(kept_tables.MOST_KEPT + 2)]
    for path in paths:
        path.write_text("1")
        kept_tables.kept(path, CHOICE, read)
    tables = list((home / "cache" / "tables").iterdir())
    assert len(tables) == kept_tables.MOST_KEPT
    for table in tables:
        (table / "values.npy").write_bytes(b"no array")
    before = read.times
    kept_tables.kept(paths[-1], CHOICE, read)
    assert read.times == before + 1
    kept_tables.kept(paths[-1], CHOICE, read)
    assert read.times == before + 1


def test_what_is_read_at_once_is_not_kept(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "SLOW_SECONDS", 60.0)
    (tmp_path / "x.csv").write_text("1")
    kept_tables.kept(tmp_path / "x.csv", CHOICE, Reader())
    assert not (home / "cache").exists()
