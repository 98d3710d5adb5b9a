"""The streaming benchmark: its format, and that what it measures is really logged."""

from __future__ import annotations

import json

import pytest
import redis

from benchmarks import streaming
from benchmarks.report import Report
from benchmarks.streaming_work import NUM_SCALARS, compare
from jobs.records import run_store


def test_a_report_has_the_shared_format(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("x")
    report.add("case", "basin", "time", "s", [3.0, 1.0, 2.0])
    report.claim_at_most("fast", 2.0, 1.0, "s")
    report.claim_at_most("small", 2.0, 2.0, "MB")
    report.show(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {"name", "machine", "version", "results", "claims"} <= set(found)
    assert found["results"] == [
        {
            "case": "case",
            "subject": "basin",
            "metric": "time",
            "unit": "s",
            "median": 2.0,
            "min": 1.0,
            "max": 3.0,
            "n": 3,
        }
    ]
    assert [claim["holds"] for claim in found["claims"]] == ["fails", "holds"]
    assert found["claims"][0]["kind"] == "acceptance"


def test_what_is_measured_is_on_disk_and_in_redis(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    rows = compare(lambda: streaming.open_basin(redis_url, client, 120), 120, 1, 1)
    (row,) = rows
    (run,) = run_store.list_runs()
    scalars = run_store.open_run(run.id).scalars()
    logged = [len(series.step) for series in scalars.values()]
    # The last rows, of under 100 ms, were still in the block.
    assert len(logged) == NUM_SCALARS and 0 < logged[0] <= 120
    assert set(row) == set(streaming.METRICS) and row["redis_mb"] > 0
    assert 0 < row["call_median_us"] < 1000
    client.close()
