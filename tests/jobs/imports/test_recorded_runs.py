"""Runs of TensorBoard and Trackio, written by the real libraries where these are installed."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import basin
from basin.reading import OpenRun
from jobs.cli import main
from jobs.exports import tensorboard as exports
from jobs.record_files import event_files
from jobs.records import run_store

pytestmark = pytest.mark.filterwarnings("default")


def call(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result


def imported(path: Path) -> list[OpenRun]:
    answer = json.loads(call("import", str(path), "--json").stdout)
    return [basin.open(each["id"]) for each in answer]


def trackio_file(path: Path, rows: list[tuple[Any, ...]], config: str = '{"lr": 0.1}') -> None:
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, "
            "run_name TEXT, step INTEGER, metrics TEXT)"
        )
        base.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT, config TEXT)")
        base.executemany(
            "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?,?,?,?,?)",
            rows,
        )
        base.execute("INSERT INTO configs (run_id, config) VALUES ('a', ?)", (config,))
    base.close()


def test_a_run_goes_out_as_events_and_comes_back(tmp_path: Path) -> None:
    with basin.track(name="mine") as run:
        for step in range(40):
            run.log({"loss": 1.0 / (step + 1), "gap": float(step)}, 3 * step)
    exports.write(run.directory, tmp_path / "logs", lambda sentence: None)
    (back,) = imported(tmp_path / "logs")
    ours, theirs = (
        each.scalars().sort_values(["path", "step"], ignore_index=True)
        for each in (basin.open(run.id), back)
    )
    assert theirs["path"].tolist() == ours["path"].tolist()
    assert np.array_equal(theirs[["step", "value"]], ours[["step", "value"]])
    assert np.allclose(theirs["seconds"].diff(), ours["seconds"].diff(), atol=1e-5, equal_nan=True)
    status = back.status
    assert status.status == "finished" and status.is_tracked and status.tags == ["imported"]
    assert status.step == 117 and status.headline is not None
    assert status.headline["value"] == pytest.approx(1 / 40)
    assert str(tmp_path / "logs") in status.note and run_store.open_run(back.id).damages() == []


def test_the_real_reader_reads_our_events(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with basin.track() as run:
        run.log({"loss": 0.5}, 7)
    exports.write(run.directory, tmp_path / "logs", lambda sentence: None)
    events = loader.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    (event,) = events.Scalars("loss/total")
    assert (event.step, event.value) == (7, 0.5)


@pytest.mark.slow
def test_events_of_the_real_writer_are_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "one")) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1.0 / (step + 1), step, new_style=step % 2 == 0)
        writer.add_histogram("weights", np.arange(9.0), 1)
        writer.add_hparams({"lr": 0.5, "wide": True, "kind": "mlp"}, {"score": 2.0}, run_name="hp")
    second, first = sorted(imported(tmp_path / "one"), key=lambda run: run.status.name)
    assert second.status.name == "one/hp"
    assert first.scalars("loss")["value"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert "1 pictures and histograms were left out" in first.status.note
    assert second.directory.spec().config == {"lr": 0.5, "wide": True, "kind": "mlp"}


def test_runs_of_the_real_trackio_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = pytest.importorskip("trackio.sqlite_storage")
    monkeypatch.setattr(storage, "TRACKIO_DIR", tmp_path)
    storage.SQLiteStorage.bulk_log("p", "one", [{"loss": 0.5}, {"loss": math.nan}], steps=[1, 2])
    (run,) = imported(tmp_path / "p.db")
    assert run.scalars("loss")["step"].tolist() == [1, 2]


def test_trackio_runs_bring_scalars_and_settings(tmp_path: Path) -> None:
    rows = [
        ("a", "2026-01-01T00:00:00+00:00", "one", 1, '{"loss": 0.5, "word": "x"}'),
        ("a", "2026-01-01T00:00:10+00:00", "one", 2, '{"loss": "NaN", "acc": 1}'),
        ("b", "2026-01-01T00:00:00", "two", 1, '{"loss": 2}'),
    ]
    trackio_file(tmp_path / "p.db", rows)
    one, two = imported(tmp_path / "p.db")
    assert (one.status.name, two.status.name) == ("p/one", "p/two")
    curve = one.scalars("loss")
    assert curve["seconds"].tolist() == [0.0, 10.0] and math.isnan(curve["value"][1])
    assert one.directory.spec().config == {"lr": 0.1} and two.directory.spec().config == {}


def test_a_torn_tail_costs_the_last_record_alone(tmp_path: Path) -> None:
    whole = event_files.header(1.0) + event_files.scalar_record(2.0, 3, "loss", 0.5)
    torn = event_files.scalar_record(3.0, 4, "loss", 0.25)[:-7]
    (tmp_path / "events.out.tfevents.1").write_bytes(whole + torn)
    (run,) = imported(tmp_path)
    assert run.scalars()["step"].tolist() == [3]


def record(body: bytes) -> bytes:
    return event_files._record(body)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.tfevents", b"no events at all, but text", "no record of an event file"),
        ("a.tfevents", struct.pack("<Q", 2**60) + b"\0\0\0\0", "no record of an event file"),
        ("a.tfevents", record(b"\x2a\xff"), "a damaged number"),
        ("a.tfevents", record(b"\x2a\x7f\x00"), "a damaged message"),
        ("a.tfevents", event_files.header(1.0), "holds no scalars"),
        ("a.db", b"SQLite format 3\0" + b"\0" * 90, "cannot be read as Trackio's"),
        ("a.txt", b"words", "holds no event file"),
        ("missing", None, "there is no file or folder"),
    ],
)
def test_what_is_no_record_is_told_and_leaves_nothing(
    name: str, content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert sentence in call("import", str(path), code=2).stderr
    assert run_store.list_runs() == []


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "row",
    [
        ("a", "yesterday", "one", 1, '{"loss": 1}'),
        ("a", "2026-01-01T00:00:00", "one", "many", '{"loss": 1}'),
        ("a", "2026-01-01T00:00:00", "one", 1, "[1]"),
        ("a", "2026-01-01T00:00:00", "one", 1, "{"),
    ],
)
def test_a_damaged_row_of_trackio_is_told(row: tuple[Any, ...], tmp_path: Path) -> None:
    trackio_file(tmp_path / "p.db", [row])
    assert "cannot be read as Trackio's" in call("import", str(tmp_path / "p.db"), code=2).stderr
    assert run_store.list_runs() == []
