"""The tracking benchmark: what it measures is really logged, without a server and with one."""

from __future__ import annotations

import os

import pytest
import redis

import basin
from benchmarks import tracking
from jobs.queueing import redis_store
from jobs.records import run_store


@pytest.mark.slow
@pytest.mark.parametrize("is_attached", [False, True])
def test_every_row_that_is_timed_is_in_the_run(
    is_attached: bool, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASIN_REDIS_URL", "")
    (row,) = tracking.measure(120, 1, redis_url if is_attached else "")
    (run,) = run_store.list_runs()
    scalars = basin.open(run.id).scalars()
    counts = scalars[scalars["path"].str.startswith("scalar/")].groupby("path").size()
    assert counts.tolist() == [120] * tracking.NUM_SCALARS
    assert set(tracking.METRICS) <= set(row)
    assert 0 < row["call_median_us"] < 1000 and row["log_cpu_share"] > 0
    with redis.Redis.from_url(redis_url) as client:
        key = redis_store.stream_key(run.id, redis_store.SCALARS)
        assert bool(client.exists(key)) is is_attached
    assert os.environ.get("BASIN_REDIS_URL", "") == (redis_url if is_attached else "")
