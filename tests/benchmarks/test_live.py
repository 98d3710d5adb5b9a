"""The live benchmark: what it reports, and the part of it that does not hang on speed."""

from __future__ import annotations

import numpy as np
import pytest

from backend.events import unpack
from benchmarks import live, live_work
from benchmarks.report import Report


def test_a_run_made_for_it_has_the_points_and_the_spike() -> None:
    run = live_work.make_run(1050, finished=True)
    scalars = run.scalars()
    assert set(scalars) == set(live_work.NAMES)
    first = scalars[live_work.NAMES[0]]
    assert first.step.tolist() == list(range(1, 1051))
    assert (first.value == live_work.SPIKE).sum() == 1
    assert run.status().status == "finished"


def test_it_speaks_five_times_a_second(redis_url: str) -> None:
    run = live_work.make_run(100)
    live_work.speak(run, hz=20, seconds=1.0, everything=True)
    steps = run.scalars()[live_work.NAMES[0]].step
    assert 100 + 15 <= len(steps) <= 100 + 21
    assert run.status().status == "finished"
    paths = {key.path for key in run.keyframe_index()}
    assert paths == {
        "samples/train_time",
        "landscape/model",
        "chains/walk",
        "energy/histogram",
    }


def test_its_client_holds_what_a_page_would() -> None:
    run = live_work.make_run(250)
    frames = run.read_log_frames()
    viewer = live_work.Viewer("http://127.0.0.1:1", run.id)
    viewer.take(b"".join(frames[:2]))
    assert viewer.steps == list(range(1, 201)) and viewer.position == [1, -1]
    viewer.take(frames[2])
    assert viewer.position == [unpack(frames[2]).header["seq"], -1]
    assert len(viewer.steps) == 250 and viewer.num_bytes == sum(map(len, frames))


def claims_of(report: Report) -> dict[str, str]:
    assert all(np.isfinite(result.median) for result in report.results)
    return {claim.text: claim.holds for claim in report.claims}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_cuts_lose_nothing() -> None:
    """A client cut off, a server killed: `--only cuts`, as it is run in full."""
    report = live.run(["cuts"], quick=True, soak=1.0)
    assert claims_of(report) == {"points missing or doubled after cuts": "holds"}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_memory_stays_flat() -> None:
    """A short soak, `--only soak`."""
    report = live.run(["soak"], quick=True, soak=10.0)
    assert claims_of(report) == {
        "growth of the server in the second half": "holds",
        "growth of the page in the second half": "holds",
    }
