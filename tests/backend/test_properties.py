"""Inputs that nobody thought of: whatever comes, the declared error or nothing is raised."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.datasets import reading
from backend.errors import BadInput, Problem
from backend.events import Cost, Curve, Frame, Points, Text, encode, encode_block, split, unpack
from backend.spec import RunSpec, from_dict, parse
from backend.system import yaml_reader
from benchmarks.hostile_files import FILES, X, npy, npz, parquet

pytestmark = pytest.mark.bad_input

FEW, MANY = 150, 5000
SIZES = pytest.mark.parametrize(
    "num", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)


def examples(num: int) -> settings:
    """The same examples each time: a failure can be repeated."""
    return settings(
        max_examples=num,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)
FIELDS = st.sampled_from([*RunSpec.model_fields, "budget.steps", "other"])
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
SETTINGS = st.dictionaries(
    WORDS,
    NUMBERS | WORDS | st.booleans() | st.none() | st.lists(NUMBERS | WORDS, max_size=3),
    max_size=5,
)
SPECS = st.builds(
    RunSpec,
    name=WORDS,
    method=WORDS,
    preset=WORDS,
    data=SETTINGS,
    config=SETTINGS,
    seed=st.integers(0, 2**31 - 1),
    tags=st.lists(WORDS, max_size=3),
    notes=WORDS,
)


@SIZES
def test_a_specification_of_any_plain_data_is_read_or_refused(num: int) -> None:
    @examples(num)
    @given(JSON | st.dictionaries(FIELDS, JSON, max_size=6))
    def check(raw: Any) -> None:
        try:
            spec = from_dict(raw)
        except BadInput as refused:
            told = refused.problems
        else:
            told = [Problem("", "read")]
            assert parse(spec.to_yaml()) == spec
        assert told and all(0 < len(item.message) < 1000 for item in told)

    check()


@SIZES
def test_any_text_is_read_or_refused(num: int) -> None:
    alphabet = "ab01:-{}[],&*!#|>'\"%@`\\~. \n\t?<\u00e9\x00\ud800"

    @examples(num)
    @given(st.text(alphabet, max_size=60) | st.text(max_size=60))
    def check(text: str) -> None:
        for read in (yaml_reader.load, yaml_reader.load_value, parse):
            with contextlib.suppress(BadInput):
                read(text)

    check()


@SIZES
def test_a_specification_comes_back_as_it_was(num: int) -> None:
    @examples(num)
    @given(SPECS)
    def check(spec: RunSpec) -> None:
        assert parse(spec.to_yaml()) == spec
        assert from_dict(json.loads(spec.model_dump_json())) == spec

    check()


WHOLE = {
    ".npy": npy(X),
    ".npz": npz(x=npy(X), labels=npy(np.arange(60) % 3)),
    **dict.fromkeys(reading.TEXT_SUFFIXES, b"a,b\n" + b"1,2.5\n3,-4\n" * 30),
    ".parquet": parquet({"a": X[:, 0], "b": X[:, 1]}),
}


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes of a whole file changed, a part of it cut out, or more put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        change = draw(st.integers(0, 3))
        if change == 0 and data:
            data[at] = draw(st.integers(0, 255))
        elif change == 1:
            del data[at : at + draw(st.integers(1, 200))]
        elif change == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=20))
        else:
            data[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\x7f" + b"\xff" * 3, bytes(4)])
            )
    return bytes(data)


@SIZES
@pytest.mark.parametrize("suffix", reading.SUFFIXES)
def test_a_file_of_any_bytes_is_read_or_refused(suffix: str, num: int, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    others = st.sampled_from([content for _, content, _ in FILES if len(content) < 10_000])

    @examples(num // 2)
    @given(mutated(WHOLE[suffix]) | others | st.binary(max_size=100))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            table = reading.read_file(path, "")
        except BadInput as error:
            (problem,) = error.problems
            assert problem.field in ("data.path", "data.key") and len(problem.message) < 1000
        else:
            assert np.isfinite(table.values.astype(np.float32)).all()

    check()


COST = Cost(3, 5, 1.0, None)
EVENTS = [
    Text("a", "words"),
    Points("p", np.zeros((4, 2), np.float32), "data"),
    Curve("c", np.arange(3, dtype=np.float32), np.zeros((1, 3), np.float32), ["x"]),
]
FRAMES = b"".join(
    [encode(event, run="r", seq=seq, time=0.0, cost=COST) for seq, event in enumerate(EVENTS)]
    + [encode_block(["l"], np.ones((3, 1)), run="r", seq=9, time=0.0, first=COST, last=COST)]
)


@SIZES
def test_frames_of_any_bytes_are_read_or_refused_and_allocate_nothing_they_only_claim(
    num: int,
) -> None:
    @examples(num)
    @given(mutated(FRAMES) | st.binary(max_size=60))
    def check(data: bytes) -> None:
        end = 0
        for offset, size in split(data):
            assert offset >= end and 0 < size <= len(data) - offset
            end = offset + size
            try:
                frame = unpack(data[offset:end])
            except ValueError:
                continue
            assert isinstance(frame, Frame)
            assert sum(array.nbytes for array in frame.arrays.values()) <= 8 * len(data)

    tracemalloc.start()
    check()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
