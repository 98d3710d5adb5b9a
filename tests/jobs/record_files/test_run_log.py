"""The log: merged while it grows, at every moment whole, and its damage costs what it lies in."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.events import Cost, Field, Text, encode, encode_block, unpack
from backend.spec import RunSpec
from dashboard.stream.history import History
from jobs.execution.emitter import DAMAGED, Emitter
from jobs.record_files import run_log, scalar_blocks, scalar_table
from jobs.record_files.run_log import START
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system import atomic_files

WEEK = 7 * 24 * 3600
PATHS = [f"quality/some_figure_{number:02d}/long_run" for number in range(30)]


@pytest.fixture
def run() -> Iterator[RunDirectory]:
    made = run_store.create_run(RunSpec(method="tiny", data={"name": "ring"}))
    yield made
    made.close()


def block(seq: int, paths: list[str] | None = None, rows: int = 1) -> bytes:
    """Steps `rows` times `seq` and on, every value the step; its sequence number is even."""
    paths = paths or ["a", "b"]
    steps = np.arange(seq * rows, (seq + 1) * rows, dtype=np.float32)
    values = np.repeat(steps[:, None], len(paths), 1)
    first, last = (Cost(int(steps[i]), 20 * int(steps[i]), 0.1 * float(steps[i])) for i in (0, -1))
    return encode_block(paths, values, run="r", seq=2 * seq, time=0.0, first=first, last=last)


def text(seq: int, path: str = "note", step: int = 0) -> bytes:
    """One sentence, after block `seq`."""
    message = Text(path, f"said {seq}")
    return encode(message, run="r", seq=2 * seq + 1, time=0.0, cost=Cost(step))


def assert_whole(run: RunDirectory, num: int) -> None:
    """Steps 0 to num, each once, however one asks."""
    found = run.scalars()
    assert found["a"].step.tolist() == list(range(num))
    np.testing.assert_array_equal(found["b"].value, np.arange(num, dtype=np.float32))
    np.testing.assert_array_equal(found["a"].gradients, 20 * np.arange(num))
    assert run.latest() == {"a": num - 1, "b": num - 1}
    history = History(run)
    assert history.stretch("a", 0, np.inf).step.tolist() == list(range(num))
    assert history.damage == []


@pytest.mark.parametrize("rows", [1, 7])
def test_a_log_that_grows_is_merged_and_says_the_same(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(run_log, "MERGE_BYTES", 5_000)
    largest = 0
    for seq in range(200):
        run.append(block(seq, rows=rows), False)
        largest = max(largest, (run.path / "log.bin").stat().st_size)
        if seq % 50 == 20:
            run.append(text(seq), False)
    run.close()
    assert largest < 6_500 and (run.path / "scalars.bin").exists()
    assert_whole(run, 200 * rows)
    assert [t.header["meta"]["message"] for t in run.texts()] == [
        f"said {seq}" for seq in (20, 70, 120, 170)
    ]
    before = run.scalars()
    run.compact()
    assert not (run.path / "scalars.bin").exists() and run.read_log_frames() == []
    assert_whole(run, 200 * rows)
    for path, columns in run.scalars().items():
        np.testing.assert_allclose(columns.seconds, before[path].seconds, rtol=4e-9)
        for name in ("step", "gradients", "joules", "value", "seq"):
            np.testing.assert_array_equal(getattr(columns, name), getattr(before[path], name))


def test_a_week_of_thirty_curves_fits_into_100_megabytes(run: RunDirectory) -> None:
    """A step a second in the midst of the week, its seconds and values as noisy as real ones."""
    generator = np.random.default_rng(0)
    seconds = WEEK / 2 + np.cumsum(1.0 + 0.01 * generator.normal(size=5000))
    values = generator.normal(size=(5000, 1, 30)).astype(np.float32)
    for step in range(5000):
        cost = Cost(step, 20 * step, float(seconds[step]))
        run.append(
            encode_block(PATHS, values[step], run="r", seq=step, time=0.0, first=cost, last=cost),
            False,
        )
    run.close()
    assert (run.path / "log.bin").stat().st_size < 1.1 * run_log.MERGE_BYTES
    record = run.record()
    assert record is not None
    merged = (run.path / "scalars.bin").stat().st_size / record.count(PATHS[0])
    assert merged * WEEK < 95e6
    found = run.scalars()
    np.testing.assert_array_equal(found[PATHS[7]].value, values[:, 0, 7])
    np.testing.assert_array_equal(found[PATHS[7]].seconds, seconds)
    run.compact()
    compacted = (run.path / "scalars.parquet").stat().st_size / len(seconds)
    assert compacted * WEEK < 95e6
    found = run.scalars()
    np.testing.assert_array_equal(found[PATHS[7]].value, values[:, 0, 7])
    np.testing.assert_allclose(found[PATHS[7]].seconds, seconds, rtol=4e-9)


class Cut(Exception):
    """Stands for a SIGKILL."""


def test_a_merge_cut_short_anywhere_loses_and_doubles_nothing(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes a file is once the last one."""
    steps: list[int] = []

    def cut_at(limit: int) -> None:
        steps.clear()

        def once(original: Any) -> Any:
            def act(*arguments: Any, **more: Any) -> Any:
                steps.append(1)
                if len(steps) > limit:
                    raise Cut
                return original(*arguments, **more)

            return act

        for name in ("append", "write", "open_for_append", "written_aside"):
            monkeypatch.setattr(atomic_files, name, once(getattr(atomic_files, name)))
        monkeypatch.setattr(run_log.os, "fsync", once(run_log.os.fsync))
        monkeypatch.setattr(Path, "unlink", once(Path.unlink))

    said = 0
    for limit in range(40):
        fresh = run_store.open_run(run.id)
        fresh.append(b"".join(block(seq) for seq in range(said, said + 20)), False)
        fresh.append(text(said + 19), False)
        said += 20
        fresh.close()
        with monkeypatch.context() as patch:
            monkeypatch = patch
            cut_at(limit)
            try:
                fresh.compact()
                is_over = True
            except Cut:
                is_over = False
        assert_whole(run_store.open_run(run.id), said)
        assert len(run.texts()) == said // 20
        if is_over:
            break
    assert is_over and limit > 8


def test_a_torn_end_of_the_merged_rows_is_cut(run: RunDirectory) -> None:
    run.append(b"".join(block(seq) for seq in range(50)), False)
    run.log.merge()
    whole = (run.path / "scalars.bin").read_bytes()
    kept = (run.path / "log.bin").read_bytes()
    run.append(b"".join(block(seq) for seq in range(50, 90)), False)
    lying = (run.path / "log.bin").read_bytes()
    run.log.merge()
    grown = (run.path / "scalars.bin").read_bytes()
    # killed while the second frame was written: the log still holds all of it
    (run.path / "scalars.bin").write_bytes(grown[: (len(whole) + len(grown)) // 2])
    (run.path / "log.bin").write_bytes(kept + lying)
    assert_whole(run_store.open_run(run.id), 90)
    run_store.open_run(run.id).compact()
    assert_whole(run_store.open_run(run.id), 90)
    assert not (run.path / "scalars.bin.bad").exists()


def test_who_reads_while_it_is_merged_misses_and_doubles_nothing(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "MERGE_BYTES", 3_000)
    emitter = Emitter(run, flush_seconds=0.001)
    done = threading.Event()

    def write() -> None:
        step = 0
        while not done.is_set():
            emitter.scalars(["a"], np.full((1, 1), step, np.float32), Cost(step), Cost(step))
            step += 1
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reader = run_store.open_run(run.id)
        most = 0
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            for steps in (
                reader.scalars()["a"].step if most else reader.scalars().get("a", ((),))[0],
                History(reader).stretch("a", 0, np.inf).step,
            ):
                assert list(steps) == list(range(len(steps))) and len(steps) >= most
                most = len(steps)
    finally:
        done.set()
        writer.join()
        emitter.close()
    assert (run.path / "scalars.bin").exists() and most > 100


def test_a_run_killed_while_it_merges_is_whole(run: RunDirectory) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from backend.events import Cost
from jobs import log
from jobs.execution.emitter import Emitter
from jobs.records.run_directory import RunDirectory
log.MERGE_BYTES = 2_000
emitter = Emitter(RunDirectory(Path(sys.argv[1])), flush_seconds=0.0)
step = int(sys.argv[2])
while True:
    cost = Cost(step, 20 * step, 0.1 * step)
    emitter.scalars(["a", "b"], np.full((1, 2), step, np.float32), cost, cost)
    emitter.flush()
    step += 1
"""
    said = 0
    for _ in range(3):
        arguments = [sys.executable, "-c", code, str(run.path), str(said)]
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while run.latest().get("a", -1) < said + 100:
            assert process.poll() is None and time.monotonic() < deadline
        process.kill()
        process.wait()
        said = int(run_store.open_run(run.id).latest()["a"]) + 1
        assert_whole(run_store.open_run(run.id), said)


def test_what_a_resumed_run_says_anew_counts_through_every_merge(run: RunDirectory) -> None:
    run.append(b"".join(block(seq) for seq in range(50)), False)
    run.log.merge()
    run.append(text(50, scalar_table.RESUMED, 30), False)  # after block 50, which is not there
    run.append(b"".join(block(seq) for seq in range(51, 60)), False)  # steps 51 to 59
    again = [
        encode_block(
            ["a", "b"],
            np.full((1, 2), step, np.float32),
            run="r",
            seq=200 + step,
            time=0.0,
            first=Cost(step, 20 * step),
            last=Cost(step, 20 * step),
        )
        for step in range(31, 51)
    ]
    run.append(again[0], False)
    for act in (lambda: None, run.log.merge, run.compact, run.compact):
        act()
        found = run_store.open_run(run.id).scalars()["a"]
        assert found.step.tolist() == [*range(32), *range(51, 60)]
        assert History(run).stretch("a", 0, 1e9).step.tolist() == found.step.tolist()


def test_a_log_that_cannot_be_merged_grows_on(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_log, "MERGE_BYTES", 2_000)

    def no_room(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(run_log.merged_scalars, "packed", no_room)
        for seq in range(40):
            run.append(block(seq), False)
    assert "not merged yet" in caplog.text
    assert_whole(run, 40)
    for seq in range(40, 80):
        run.append(block(seq), False)
    assert (run.path / "scalars.bin").stat().st_size > 0
    assert_whole(run, 80)


def test_a_place_in_a_log_that_was_merged_since_is_its_start(run: RunDirectory) -> None:
    run.append(b"".join(block(seq) for seq in range(10)), False)
    _, place = run.tail_log(START)
    run.log.merge()
    assert run.tail_log(place) == ([], place)
    run.append(b"".join(block(seq) for seq in range(10, 30)), False)  # longer than it was
    frames, place = run.tail_log(place)
    assert [unpack(frame).header["seq"] for frame in frames] == list(range(20, 60, 2))
    assert run.tail_log(place) == ([], place)
    assert run.skim_log(START) == (58, place)


# ---------------------------------------------------------------------- damage


def frames_of(name: str, num: int) -> list[bytes]:
    if name == "log.bin":
        return [block(seq) for seq in range(num)]
    event = Field("look/field", np.zeros((8, 8), np.float32), (0.0, 1.0), (0.0, 1.0))
    return [encode(event, run="r", seq=seq, time=0.0, cost=Cost(seq)) for seq in range(num)]


def seqs(run: RunDirectory, name: str) -> list[int]:
    if name == "log.bin":
        return [unpack(frame).header["seq"] // 2 for frame in run.read_log_frames()]
    return [key.seq for key in run.keyframe_index()]


@pytest.mark.parametrize("name", ["log.bin", "frames.bin"])
@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 4), (4, 4), (4, 8), (14, 20), (0, 500), (-1, 40)],
    ids=["magic", "header size", "sizes", "header", "several", "end"],
)
def test_damage_costs_the_frames_it_lies_in_and_is_put_aside_and_said(
    run: RunDirectory, name: str, offset: int, size: int
) -> None:
    frames = frames_of(name, 10)
    is_keyframe = name == "frames.bin"
    run.append(b"".join(frames), is_keyframe)
    run.close()
    path = run.path / name
    content = bytearray(path.read_bytes())
    start = sum(map(len, frames[:4])) + offset
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    fresh = run_store.open_run(run.id)
    kept = seqs(fresh, name)
    assert {0, 1, 2, 7, 8, 9} <= set(kept) and 4 not in kept
    later = frames_of(name, 11)[10]
    emitter = Emitter(fresh)
    fresh.append(later, is_keyframe)
    assert seqs(fresh, name) == [*kept, 10]
    assert (run.path / f"{name}.bad").stat().st_size >= size
    whole = path.read_bytes()
    assert sum(size for _, size in scalar_blocks.split(whole)) == len(whole)
    emitter.text("note", "goes on", Cost(1))
    emitter.flush()
    emitter.close()
    (alarm,) = emitter.alarms.listed()
    assert alarm["path"] == DAMAGED and name in alarm["message"]


def test_a_log_that_begins_with_rubbish_is_read_from_its_first_frame(run: RunDirectory) -> None:
    (run.path / "log.bin").write_bytes(b"\0" * 100 + block(0) + b"BSN1" + block(1) + b"\0" * 9)
    assert seqs(run, "log.bin") == [0, 1]
    assert any("log.bin" in words for words in History(run).damage)
    run.compact()
    assert run.scalars()["a"].step.tolist() == [0, 1]
    assert (run.path / "log.bin.bad").read_bytes() == b"\0" * 100 + b"BSN1" + b"\0" * 9


def test_damaged_blocks_cost_themselves_alone() -> None:
    good, bad = block(0), bytearray(block(1))
    place = bad.find(b'"first":[')
    bad[place + 9 : place + 12] = b"[[["
    data = good + bytes(bad) + block(2)
    said = scalar_blocks.read(data)
    (found,) = said.blocks
    assert found.seq.tolist() == [0, 4] and said.damaged > 0


@pytest.mark.parametrize("damage", ["cut", "overwritten", "emptied"])
def test_a_damaged_table_is_kept_aside_and_the_rest_goes_on(run: RunDirectory, damage: str) -> None:
    run.append(b"".join(block(seq, rows=100) for seq in range(20)), False)
    run.compact()
    run.append(b"".join(block(seq, rows=100) for seq in range(20, 30)), False)
    path = run.path / "scalars.parquet"
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        {"cut": content[:half], "emptied": b""}.get(
            damage, content[:100] + b"\xff" * 40 + content[140:]
        )
    )
    with pytest.raises(scalar_table.Damaged, match=r"scalars\.parquet"):
        run_store.open_run(run.id).scalars()
    assert any("scalars.parquet" in words for words in whole_damage(run))
    fresh = run_store.open_run(run.id)
    fresh.compact()
    assert fresh.scalars()["b"].step[-1] == 2999
    assert (run.path / "scalars.parquet.bad").stat().st_size == path_size(content, damage, half)
    (sentence,) = fresh.take_damage()
    assert "scalars.parquet.bad" in sentence


def whole_damage(run: RunDirectory) -> list[str]:
    history = History(run)
    assert history.stretch("b", 0, np.inf).step[-1] == 2999
    for path in history.paths:
        history.stretch(path, 0, np.inf)
    return history.damage


def path_size(content: bytes, damage: str, half: int) -> int:
    return {"cut": half, "emptied": 0}.get(damage, len(content))


def test_sentences_that_cannot_be_read_are_passed_over_and_kept_aside(run: RunDirectory) -> None:
    run.append(text(0) + text(1) + text(2), False)
    run.compact()
    path = run.path / "text.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b"\xff" + lines[1][5:], lines[2]]) + b"\n")
    said = [found.header["meta"]["message"] for found in run.texts()]
    assert said == ["said 0", "said 2"]
    assert any("text.jsonl" in words for words in History(run).damage)
    run.append(text(3), False)
    run.compact()
    assert len(run.texts()) == 3 and (run.path / "text.jsonl.bad").exists()
    assert any("text.jsonl" in words for words in run.take_damage())


def test_a_table_of_an_earlier_version_is_read(run: RunDirectory) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.DictionaryArray.from_arrays(pa.array([0] * 3, pa.int32()), pa.array(["a"]))
    whole = pa.array([0, 1, 2], pa.int64())
    seconds = pa.array([0.0, 0.1, 0.2], pa.float64())
    table = pa.table(
        [names, whole, whole, seconds, seconds, pa.array([0, 1, 2], pa.float32()), whole],
        names=["path", *scalar_blocks.Series._fields],
    ).replace_schema_metadata({"basin.seq": "2"})
    pq.write_table(table, run.path / "scalars.parquet")
    run.append(b"".join(block(seq, ["a"]) for seq in range(6)), False)
    for act in (lambda: None, run.compact):
        act()
        assert run.scalars()["a"].step.tolist() == list(range(6))


@pytest.mark.parametrize("name", ["log.bin", "text.jsonl", "scalars.parquet"])
def test_a_folder_in_the_place_of_a_file_is_said_and_the_rest_is_read(
    run: RunDirectory, name: str
) -> None:
    run.append(block(0, rows=10) + text(0), False)
    run.compact()
    run.append(block(1, rows=10), False)
    run.close()
    (run.path / name).unlink()
    (run.path / name).mkdir()
    history = History(run)
    assert any(name in words for words in history.damage)
    steps = history.stretch("a", 0, np.inf).step.tolist()
    expected = {"log.bin": range(10), "scalars.parquet": range(10, 20)}
    assert steps == list(expected.get(name, range(20)))
