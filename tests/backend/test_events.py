"""Events: their bytes say everything, of every kind; a torn tail is never taken for a frame."""

from __future__ import annotations

import json
import struct
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from backend.events import (
    EVENTS,
    KINDS,
    MAGIC,
    Cost,
    Curve,
    Event,
    Field,
    Histogram,
    Images,
    Points,
    Scalar,
    Table,
    Text,
    Trajectory,
    decode,
    encode,
    encode_block,
    frame_size,
    pack,
    split,
    unpack,
)

COST = Cost(7, 140, 1.25, 30.5)
GENERATOR = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return GENERATOR.normal(size=shape).astype(np.float32)


EXAMPLES: list[Event] = [
    Scalar("loss/total", 0.5),
    Histogram(
        "energy/histogram",
        normal(5),
        normal(2, 4),
        ["data", "noise"],
        np.array([[0, 1], [2, 3]], np.int32),
    ),
    Points("samples/data", normal(6, 2), "data"),
    Points("samples/long_run", normal(6, 2), "long_run", normal(6)),
    Images("samples/x", GENERATOR.integers(0, 255, (3, 8, 8), np.uint8), "data", -1.0, 1.0),
    Images(
        "samples/c", GENERATOR.integers(0, 255, (3, 8, 8, 3), np.uint8), "data", 0.0, 1.0, normal(3)
    ),
    Trajectory(
        "chains/walk", normal(4, 3, 2), "train_time", normal(4, 3), np.ones((3, 3), np.uint8)
    ),
    Field("landscape/model", normal(4, 5), (-2.0, 2.0), (-1.0, 1.0), temperature=0.5),
    Curve("sampler/trace", normal(5), normal(2, 5), ["a", "b"], "step", "nats"),
    Table("quality/table", ["metric", "value"], [["KL", 0.5], ["modes", 8], ["none", None]]),
    Text("alarm/flattery", "Train-time samples flatter: E(x) ≪ 0.", "alarm"),
]


def frame_of(event: Event, seq: int = 3) -> bytes:
    return encode(event, run="20261120-221503-4f2a", seq=seq, time=1.5, cost=COST)


def test_every_kind_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == set(EVENTS.values())
    assert len(KINDS) == 9 and len(set(KINDS)) == 9


@pytest.mark.parametrize("event", EXAMPLES[1:], ids=lambda event: event.kind)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    frame = unpack(frame_of(event))
    assert frame.header["kind"] == event.kind and frame.header["seq"] == 3
    assert Cost(*frame.header["first"]) == Cost(*frame.header["last"]) == COST
    found = decode(frame)
    assert type(found) is type(event)
    for field in fields(event):
        mine, theirs = getattr(event, field.name), getattr(found, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        else:
            assert mine == theirs


def test_a_scalar_is_a_block_of_one_row() -> None:
    frame = unpack(frame_of(EXAMPLES[0]))
    assert frame.header["meta"]["paths"] == ["loss/total"]
    np.testing.assert_array_equal(frame.arrays["values"], [[0.5]])


def test_a_block_keeps_its_rows_and_the_costs_of_its_ends() -> None:
    values = normal(3, 2)
    last = Cost(9, 180, 2.0, None)
    frame = unpack(
        encode_block(["a", "b"], values, run="r", seq=0, time=0.0, first=COST, last=last)
    )
    np.testing.assert_array_equal(frame.arrays["values"], values)
    assert Cost(*frame.header["first"]) == COST and Cost(*frame.header["last"]) == last


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_header_body_and_arrays_start_at_multiples_of_eight(event: Event) -> None:
    data = frame_of(event)
    magic, header_size, body_size = struct.unpack_from("<4sII", data)
    assert magic == MAGIC and len(data) == 12 + header_size + body_size == frame_size(data)
    assert (12 + header_size) % 8 == 0 and body_size % 8 == 0
    header = json.loads(data[12 : 12 + header_size])
    assert all(offset % 8 == 0 for *_, offset in header["arrays"])


def test_arrays_are_little_endian_whatever_they_were() -> None:
    big = np.arange(4, dtype=">f4")
    data = pack({}, {"x": big})
    np.testing.assert_array_equal(unpack(data).arrays["x"], [0, 1, 2, 3])
    assert np.arange(4, dtype="<f4").tobytes() in data


def test_slices_and_transposes_are_stored_as_they_look() -> None:
    array = normal(6, 4)[::2].T
    np.testing.assert_array_equal(unpack(pack({}, {"x": array})).arrays["x"], array)


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.bool_, np.complex64, object])
def test_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="dtype"):
        pack({}, {"x": np.zeros(2, dtype)})


def test_a_stream_splits_into_its_frames() -> None:
    frames = [frame_of(event, seq) for seq, event in enumerate(EXAMPLES)]
    data = b"".join(frames)
    pieces = [data[offset : offset + size] for offset, size in split(data)]
    assert pieces == frames


def test_a_torn_tail_is_left_out_wherever_it_is_torn() -> None:
    first, second = frame_of(EXAMPLES[0]), frame_of(EXAMPLES[7])
    for end in range(len(second)):
        assert list(split(first + second[:end])) == [(0, len(first))]
        if end:
            with pytest.raises(ValueError):
                unpack(second[:end])
    assert len(list(split(first + second))) == 2


def test_foreign_bytes_end_a_stream_and_are_no_frame() -> None:
    frame = frame_of(EXAMPLES[0])
    foreign = b"PAR1" + bytes(60)
    assert list(split(frame + foreign)) == [(0, len(frame))]
    with pytest.raises(ValueError, match="no frame starts here"):
        frame_size(foreign)
    with pytest.raises(ValueError):
        unpack(foreign)


def test_a_kind_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        decode(unpack(pack({"kind": "hologram", "path": "x", "meta": {}}, {})))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_header_holds_nothing_that_a_browser_cannot_read(value: float) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    field = Field("look/field", normal(2, 2), (value, 1.0), (0.0, 1.0), temperature=value)
    for event in (Table("own/table", ["a", "b"], [[value, 1.5]]), field):
        data = frame_of(event)
        size = int.from_bytes(data[4:8], "little")
        header = json.loads(data[12 : 12 + size], parse_constant=refuse)
        assert header["kind"] == event.kind
    assert unpack(frame_of(Table("t", ["a"], [[value, 1.5]]))).header["meta"]["rows"] == [
        [None, 1.5]
    ]
