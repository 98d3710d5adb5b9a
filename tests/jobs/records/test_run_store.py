"""Run directories: whole at every moment, and the numbers in them the ones that were said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.errors import BadInput, NotAvailable
from backend.events import Cost, Field, Text, encode, encode_block, unpack
from backend.spec import Budget, RunSpec
from jobs.record_files import keyframes, scalar_table
from jobs.record_files.run_log import START
from jobs.record_files.scalar_blocks import Series
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.silence import Watch
from jobs.system import atomic_files


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


_made: list[RunDirectory] = []


def make_run(**fields: object) -> RunDirectory:
    spec = RunSpec.model_validate({"method": "tiny", "data": {"name": "ring"}, **fields})
    _made.append(run_store.create_run(spec))
    return _made[-1]


def block(seq: int, paths: list[str], values: np.ndarray, first: Cost, last: Cost) -> bytes:
    return encode_block(paths, values, run="r", seq=seq, time=0.0, first=first, last=last)


def mark(seq: int, step: int) -> bytes:
    text = Text(scalar_table.RESUMED, f"Resumed from step {step}.")
    return encode(text, run="r", seq=seq, time=0.0, cost=Cost(step))


def field_frame(seq: int, step: int, path: str = "look/field", side: int = 8) -> bytes:
    event = Field(path, np.full((side, side), step, np.float32), (0.0, 1.0), (0.0, 1.0))
    return encode(event, run="r", seq=seq, time=0.0, cost=Cost(step))


def test_a_new_run_is_queued_and_says_what_it_is() -> None:
    run = make_run(name="first", tags=["demo"], budget=Budget(steps=10).model_dump(), seed=3)
    status = run_store.open_run(run.id).status()
    assert (status.status, status.name, status.method, status.data) == (
        "queued",
        "first",
        "tiny",
        "ring",
    )
    assert status.budget == {"steps": 10} and status.seed == 3 and status.tags == ["demo"]
    assert run.spec().seed == 3


def test_nothing_but_whole_runs_lies_in_the_folder() -> None:
    run = make_run()
    assert [path.name for path in run_store.runs_folder().iterdir()] == [run.id]


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["../x", "/etc", "20261120-221503-4f2a/../x", "a b", "", "x" * 50])
def test_an_id_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(BadInput):
        run_store.open_run(name)


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["../status.json", "samples/../../x", "/etc/passwd", ".hidden"])
def test_a_file_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(BadInput):
        make_run().path_of(name)


def test_a_prefix_or_latest_names_a_run_and_an_unknown_one_is_not_available() -> None:
    first, _ = make_run(), make_run()
    assert run_store.open_run("latest").id == run_store.list_runs()[0].id
    assert run_store.open_run(first.id).id == first.id
    with pytest.raises(BadInput, match="fits 2 runs"):
        run_store.open_run(first.id[:6])
    with pytest.raises(NotAvailable):
        run_store.open_run("19990101-000000-0000")


def test_lists_show_the_newest_first_and_every_change() -> None:
    ids = [make_run(name=str(i)).id for i in range(3)]
    assert [item.id for item in run_store.list_runs()] == ids[::-1]
    run_store.open_run(ids[0]).write_status(status="paused", step=7)
    assert {item.id: item.step for item in run_store.list_runs()}[ids[0]] == 7
    run_store.open_run(ids[1]).set_labels(name="renamed")
    assert {item.id: item.name for item in run_store.list_runs()}[ids[1]] == "renamed"
    run_store.open_run(ids[2]).delete()
    assert [item.id for item in run_store.list_runs()] == ids[1::-1]


def test_a_silent_or_dead_run_is_lost_and_says_where_it_can_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run()
    now = [0.0]
    monkeypatch.setattr(run_store.status, "_watch", Watch(lambda: now[0]))
    run.write_status(status="running", host="elsewhere", pid=1, checkpoint_step=1500)
    for _ in range(9):
        assert run.status().status == "running"
        now[0] += 1.0
    lost = run.status()
    assert lost.status == "lost" and "step 1,500" in lost.reason
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.write_status(host=run_store.status.hostname(), pid=gone.pid)
    assert run.status().status == "lost"
    assert run.written_status().status == "running"


def test_labels_lie_over_the_spec_and_leave_it_alone() -> None:
    run = make_run(name="old", tags=["a"])
    run.set_labels(name="new", note="seen")
    assert run.labels() == {"name": "new", "tags": ["a"], "note": "seen"}
    assert run.spec().name == "old"
    with pytest.raises(BadInput):
        run.set_labels(tags=["x"] * 21)


def test_an_alarm_is_dismissed_with_a_word_that_stays_in_the_record() -> None:
    run = make_run()
    alarms = [
        {"path": f"alarm/{name}", "message": f"It is {name}.", "step": 7}
        for name in ("mixing", "sign")
    ]
    run.write_status(status="running", alarms=alarms, **run_store.status.this_process())
    run.dismiss("alarm/mixing", " Modes are known to be apart. ", "ada@example.org")
    # the run goes on to say what it sees; the word stands
    run.write_status(alarms=[{**alarms[0], "step": 9}, alarms[1]])
    for status in (run.status(), run_store.list_runs()[0]):
        assert [alarm["path"] for alarm in status.alarms] == ["alarm/sign"]
        (looked_at,) = status.dismissed
        assert (looked_at["step"], looked_at["by"]) == (9, "ada@example.org")
        assert looked_at["why"] == "Modes are known to be apart."
        assert abs(looked_at["when"] - time.time()) < 60
        assert status.needs_a_look
    run.dismiss("alarm/sign", "It is a repulsive one.")
    assert not run.status().needs_a_look
    run.raise_again("alarm/mixing")
    assert [alarm["path"] for alarm in run.status().alarms] == ["alarm/mixing"]


@pytest.mark.bad_input
@pytest.mark.parametrize(("path", "why"), [("alarm/none", "So."), ("alarm/sign", "  ")])
def test_no_alarm_is_dismissed_that_is_not_there_or_without_a_word(path: str, why: str) -> None:
    run = make_run()
    run.write_status(alarms=[{"path": "alarm/sign", "message": "Upside down.", "step": 7}])
    with pytest.raises(BadInput):
        run.dismiss(path, why)
    assert len(run.status().alarms) == 1


def test_a_stop_is_not_weakened_into_a_pause() -> None:
    run = make_run()
    assert run.requested() is None and run.request_age() is None
    run.request("stop")
    run.request("pause")
    age = run.request_age()
    assert run.requested() == "stop" and age is not None and age < 5
    run.clear_request()
    assert run.requested() is None
    with pytest.raises(BadInput):
        run.request("explode")


def test_rows_lie_evenly_between_the_costs_of_their_block() -> None:
    run = make_run()
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    run.append(block(0, ["a", "b"], values, Cost(1, 20, 0.5), Cost(3, 60, 1.5)), False)
    run.append(
        block(1, ["a"], np.array([[9.0]]), Cost(4, 80, 2.0, 7.0), Cost(4, 80, 2.0, 7.0)), False
    )
    found = run.scalars()
    np.testing.assert_array_equal(found["a"].step, [1, 2, 3, 4])
    np.testing.assert_array_equal(found["a"].gradients, [20, 40, 60, 80])
    np.testing.assert_allclose(found["a"].seconds, [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_array_equal(found["a"].joules, [np.nan, np.nan, np.nan, 7.0])
    np.testing.assert_array_equal(found["a"].value, [0, 2, 4, 9])
    np.testing.assert_array_equal(found["b"].value, [1, 3, 5])


def test_a_torn_tail_is_not_read_and_is_cut_before_more_is_written() -> None:
    run = make_run()
    for keyframe, name in ((False, "log.bin"), (True, "frames.bin")):
        whole = field_frame(0, 0) if keyframe else block(0, ["a"], np.ones((1, 1)), Cost(), Cost(1))
        more = field_frame(1, 9) if keyframe else block(1, ["a"], np.ones((1, 1)), Cost(), Cost(2))
        run.append(whole, keyframe)
        run.close()
        with (run.path / name).open("ab") as file:
            file.write(more[: len(more) // 2])
        fresh = run_store.open_run(run.id)
        assert len(fresh.keyframe_index() if keyframe else fresh.read_log_frames()) == 1
        fresh.append(more, keyframe)
        assert (run.path / name).read_bytes() == whole + more
        fresh.close()


def test_compaction_keeps_every_row_and_text_and_more_may_follow() -> None:
    run = make_run()
    generator = np.random.default_rng(0)
    values = generator.normal(size=(50, 3)).astype(np.float32)
    paths = ["loss/total", "energy/gap", "a"]
    run.append(block(0, paths, values, Cost(1, 20, 0.1), Cost(50, 1000, 5.0)), False)
    run.append(encode(Text("note", "hello"), run="r", seq=1, time=0.0, cost=Cost(50)), False)
    before = run.scalars()
    run.compact()
    assert run.read_log_frames() == [] and run.last_seq() == 1
    after = run.scalars()
    assert list(after) == sorted(paths)
    for path in paths:
        # of seconds the last bits are noise that a table would be a third larger for
        np.testing.assert_allclose(after[path].seconds, before[path].seconds, rtol=4e-9)
        for name, old, new in zip(Series._fields, before[path], after[path], strict=True):
            if name != "seconds":
                np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
            assert np.asarray(old).dtype == np.asarray(new).dtype
    run.append(block(2, paths, values[:1], Cost(51), Cost(51)), False)
    assert len(run.scalars()["a"].step) == 51
    assert [text.header["meta"]["message"] for text in run.texts()] == ["hello"]
    run.compact()
    assert len(run.scalars()["a"].step) == 51 and len(run.texts()) == 1


def test_parquet_holds_the_named_columns_sorted_by_path_then_step() -> None:
    import pyarrow.parquet as pq

    run = make_run()
    run.append(block(0, ["b", "a"], np.ones((3, 2)), Cost(1), Cost(3)), False)
    run.compact()
    table = pq.read_table(run.path / "scalars.parquet")
    assert table.column_names == ["path", "step", "gradients", "seconds", "joules", "value", "seq"]
    assert table["path"].to_pylist() == ["a"] * 3 + ["b"] * 3
    assert table["step"].to_pylist() == [1, 2, 3] * 2


def test_compaction_cut_short_before_the_log_is_emptied_doubles_nothing() -> None:
    run = make_run()
    run.append(block(0, ["a"], np.ones((5, 1)), Cost(1), Cost(5)), False)
    run.append(encode(Text("note", "once"), run="r", seq=1, time=0.0, cost=Cost(5)), False)
    log = (run.path / "log.bin").read_bytes()
    run.compact()
    (run.path / "log.bin").write_bytes(log)
    assert len(run.scalars()["a"].step) == 5 and len(run.texts()) == 1


@pytest.mark.parametrize("compacted", [False, True])
def test_a_resumed_run_replaces_what_lay_after_its_checkpoint(compacted: bool) -> None:
    run = make_run()
    run.append(block(0, ["a"], np.zeros((10, 1)), Cost(1), Cost(10)), False)
    if compacted:
        run.compact()
    run.append(mark(1, 6), False)
    run.append(block(2, ["a"], np.ones((2, 1)), Cost(7), Cost(8)), False)
    for _ in range(2):
        found = run.scalars()["a"]
        np.testing.assert_array_equal(found.step, np.arange(1, 9))
        np.testing.assert_array_equal(found.value, [0] * 6 + [1] * 2)
        run.compact()


def test_what_is_said_twice_at_one_step_counts_once() -> None:
    run = make_run()
    run.append(block(0, ["floor"], np.zeros((1, 1)), Cost(6), Cost(6)), False)
    run.append(mark(1, 6), False)
    run.append(block(2, ["floor"], np.ones((1, 1)), Cost(6), Cost(6)), False)
    found = run.scalars()["floor"]
    assert found.step.tolist() == [6] and found.value.tolist() == [1.0]


def test_a_million_scalars_are_read_fast() -> None:
    run = make_run()
    paths = [f"p/{i}" for i in range(8)]
    rows, step = 100, 0
    frames = []
    values = np.random.default_rng(0).normal(size=(rows, 8)).astype(np.float32)
    for seq in range(1250):
        frames.append(block(seq, paths, values, Cost(step + 1), Cost(step + rows)))
        step += rows
    run.append(b"".join(frames), False)
    started = time.process_time()
    from_log = run.scalars()
    log_seconds = time.process_time() - started
    run.compact()
    started = time.process_time()
    from_parquet = run.scalars()
    parquet_seconds = time.process_time() - started
    assert sum(len(each.step) for each in from_parquet.values()) == 1_000_000
    np.testing.assert_array_equal(from_log["p/3"].value, from_parquet["p/3"].value)
    assert log_seconds < 2.0 and parquet_seconds < 2.0


def test_a_reader_tails_the_log_without_gap_or_double() -> None:
    run = make_run()
    position = START
    assert run.tail_log(position) == ([], START)
    seen = []
    for seq in range(4):
        frame = block(seq, ["a"], np.ones((1, 1)), Cost(seq), Cost(seq))
        run.append(frame, False)
        if seq % 2:
            frames, position = run.tail_log(position)
            seen += [unpack(frame).header["seq"] for frame in frames]
    assert seen == [0, 1, 2, 3]
    run.compact()
    assert run.tail_log(position)[0] == []


def test_keyframes_are_found_by_step() -> None:
    run = make_run()
    for seq, step in enumerate([10, 20, 30]):
        run.append(field_frame(2 * seq, step), True)
        run.append(field_frame(2 * seq + 1, step, "look/other"), True)
    for asked, expected in ((25, 20), (30, 30), (99, 30), (5, 10)):
        found = [unpack(frame).header["last"][0] for frame in run.keyframes_at(asked)]
        assert found == [expected, expected]
    key = run.keyframe_index()[2]
    assert unpack(run.read_keyframe(key.seq)).header["last"][0] == 20
    with pytest.raises(NotAvailable):
        run.read_keyframe(99)


def test_keyframes_are_thinned_evenly_with_first_and_last_kept() -> None:
    run = make_run()
    reader = run_store.open_run(run.id)
    earlier: set[int] = set()
    for batch in range(20):
        first = batch * 100
        run.append(b"".join(field_frame(s, 7 * s) for s in range(first, first + 100)), True)
        steps = [key.step for key in reader.keyframe_index()]
        assert len(steps) <= keyframes.LIMIT
        assert steps[0] == 0 and steps[-1] == 7 * (first + 99)
        # Once dropped, a moment never comes back.
        assert not {step for step in steps if step <= 7 * (first - 1)} - earlier
        earlier = set(steps)
    gaps = np.diff(steps[:-1])
    assert len(steps) > keyframes.LIMIT // 3 and gaps.max() <= 2 * gaps.min()


def test_the_keyframe_file_is_rewritten_and_readers_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyframes, "_SMALL_FILE", 100_000)
    monkeypatch.setattr(keyframes, "KEPT_BYTES", 600_000)
    monkeypatch.setattr(keyframes, "FILE_BYTES", 1_000_000)
    run = make_run()
    reader = run_store.open_run(run.id)
    largest = 0
    for seq in range(0, 3000, 2):
        frames = field_frame(seq, seq), field_frame(seq + 1, seq, "look/large", 16 + seq // 100)
        run.append(b"".join(frames), True)
        largest = max(largest, (run.path / "frames.bin").stat().st_size)
        if seq % 500 == 0:
            index = reader.keyframe_index()
            assert index[-1].seq == seq + 1
            assert unpack(reader.read_keyframe(index[-1].seq)).header["seq"] == seq + 1
    assert largest < 2_200_000  # looked at after at most another megabyte
    assert sum(key.size for key in reader.keyframe_index()) <= 600_000
    for key in reader.keyframe_index():
        assert unpack(reader.read_keyframe(key.seq)).header["seq"] == key.seq


def test_a_resumed_run_says_its_later_keyframes_anew() -> None:
    run = make_run()
    for seq in range(5):
        run.append(field_frame(seq, 10 * seq), True)
    run.void_after(20)
    assert [key.step for key in run.keyframe_index()] == [0, 10, 20]
    run.append(field_frame(5, 25), True)
    assert [key.step for key in run_store.open_run(run.id).keyframe_index()] == [0, 10, 20, 25]


def test_checkpoints_are_kept_and_a_damaged_one_is_passed_over() -> None:
    import torch

    run = make_run()
    with pytest.raises(NotAvailable, match="no checkpoint"):
        run.load_checkpoint()
    for step in (100, 200, 300):
        run.save_checkpoint(step, {"w": torch.full((2,), step)}, {"step": step})
    assert run.checkpoints() == [100, 200, 300]
    assert run.load_checkpoint().meta == {"step": 300}
    (run.path / "checkpoints" / "step-000000300.safetensors").write_bytes(b"torn")
    kept = run.load_checkpoint()
    assert kept.step == 200 and kept.tensors["w"].tolist() == [200, 200]
    with pytest.raises(NotAvailable, match="cannot be read"):
        run.load_checkpoint(300)


def test_files_to_download_are_listed_and_hidden_ones_are_not() -> None:
    run = make_run()
    run.save_samples("final", {"x": np.zeros((3, 2))})
    run.write_metrics({"kl": 0.5, "bad": float("nan")})
    (run.path / ".aside").write_text("x")
    names = [name for name, _ in run.files()]
    assert {"spec.yaml", "status.json", "samples/final.npz", "metrics.json"} == set(names)
    assert run.metrics() == {"kl": 0.5, "bad": None}
    for name in names:
        assert run.path_of(name).exists()


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, jobs.records.run_store; assert not {'torch', 'redis'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BASIN_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run_store.home() == tmp_path / "basin"
    assert run_store.data_folder() == tmp_path / "basin" / "data"
    monkeypatch.setenv("BASIN_DATA", str(tmp_path / "other"))
    assert run_store.data_folder() == tmp_path / "other"


def test_what_killed_writers_left_is_swept_and_the_rest_stays() -> None:
    run = make_run()
    (run.path / "checkpoints").mkdir()
    names = [".status.json.123-0a1b2c", "checkpoints/.step-000000300.safetensors.9-0a1b2c"]
    for name in [*names, ".lock", ".aside", ".log.bin.123-fedcba"]:
        (run.path / name).write_bytes(b"x")
    for name in [*names, ".lock", ".aside"]:
        os.utime(run.path / name, (1.0, 1.0))
    assert atomic_files.sweep_asides(run.path, 60.0) == 2
    left = {path.name for path in run.path.rglob(".*")}
    assert left == {".lock", ".aside", ".log.bin.123-fedcba"}
