"""Logs of bytes that nobody thought of: what can be read is read, and nothing is raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.spec import RunSpec
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.backend.test_properties import FRAMES, SIZES, examples, mutated

pytestmark = pytest.mark.bad_input


@SIZES
@pytest.mark.parametrize("name", ["log.bin", "scalars.bin", "frames.bin", "text.jsonl"])
def test_a_record_of_any_bytes_is_read_as_far_as_it_goes(name: str, num: int) -> None:
    run = run_store.create_run(RunSpec(method="m", data={"name": "ring"}))

    @examples(num // 5)
    @given(mutated(FRAMES) | st.binary(max_size=60))
    def check(data: bytes) -> None:
        (run.path / name).write_bytes(data)
        found = RunDirectory(run.path)
        assert all(len(series.step) for series in found.scalars().values())
        assert all(isinstance(text.header["meta"]["message"], str) for text in found.texts())
        assert set(found.latest()) == set(found.scalars())
        found.keyframe_index()
        found.last_seq()

    check()
