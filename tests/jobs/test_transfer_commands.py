"""`basin export`: what it prints, its JSON and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.records.run_directory import RunDirectory
from tests.jobs import tiny
from tests.jobs.test_cli import basin, basin_json


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    tiny.install(monkeypatch)
    directory = tiny.make(5)
    tiny.run(directory, observe=tiny.Eyes)
    return directory


def test_a_run_leaves_in_a_form_that_others_read(trained: RunDirectory, tmp_path: Path) -> None:
    to = tmp_path / "tables"
    answer = basin_json("export", trained.id, "--as", "csv", "--to", str(to))
    assert answer["files"] == ["scalars.csv", "samples-final.csv"] and (to / "scalars.csv").exists()
    model = tmp_path / "model"
    said = basin("export", trained.id, "--as", "safetensors", "--to", str(model))
    assert "README.md" in said.output and "held-out points are the same" in said.stderr


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("RUN", "--as", "csv", "--to", "no/where"), "to"),
        (("RUN", "RUN", "--as", "csv", "--to", "out"), "run"),
        (("RUN", "--as", "safetensors", "--to", "out", "--license", "My own"), "license"),
        (("!", "--as", "csv", "--to", "out"), "run"),
    ],
)
def test_a_bad_export_is_told_at_its_field(
    arguments: tuple[str, ...], field: str, trained: RunDirectory, tmp_path: Path
) -> None:
    words = [str(tmp_path / word) if word in ("out", "no/where") else word for word in arguments]
    words = [trained.id if word == "RUN" else word for word in words]
    problems = basin_json("export", *words, code=2)["error"]["problems"]
    assert [each["field"] for each in problems] == [field]
    assert not (tmp_path / "out").exists()
