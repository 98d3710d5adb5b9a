"""The load benchmark: what it makes, and that it can be run at all."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import load
from jobs.queueing import redis_store
from jobs.records import run_store


def test_growth_is_read_off_the_line_through_all_looks() -> None:
    assert load._growth([100.0, 101.0, 102.0, 103.0, 104.0]) == pytest.approx(4)
    assert load._growth([100.0, 130.0, 100.0, 70.0, 100.0]) < 0
    assert load._growth([200.0] * 5) == pytest.approx(0)


def test_the_home_is_full_of_runs_that_pages_can_list() -> None:
    load._fill_home(30)
    runs = run_store.list_runs()
    assert len(runs) == 30 and all(run.status == "finished" for run in runs)
    assert run_store.open_run(runs[0].id).spec().method == "contrastive_divergence"


def test_a_run_with_a_past_fills_its_streams(redis_url: str) -> None:
    run = load._with_past()
    connection = redis_store.connect()
    for stream, limit in redis_store.STREAM_BYTES.items():
        entries = connection.xrange(redis_store.stream_key(run.id, stream))
        held = sum(len(entry[b"f"]) for _, entry in entries)  # type: ignore[union-attr]
        assert 0.8 * limit < held <= limit


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs() -> None:
    report = load.run(1.0, quick=True)
    assert all(np.isfinite(result.median) for result in report.results)
    held = {claim.text.split(" in ")[0]: claim.holds for claim in report.claims}
    assert held["growth of dashboard"] == "holds", report.claims
