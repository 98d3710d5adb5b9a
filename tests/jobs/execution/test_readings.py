"""What a run's process takes of its machine, as scalars of the run."""

from __future__ import annotations

import time

import pytest

from jobs.system import readings as system_readings
from jobs.system.readings import SystemReadings
from tests.jobs import tiny


def test_a_fresh_reading_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = SystemReadings([], None)
    assert readings.due() == {}
    monkeypatch.setattr(system_readings, "EVERY", 0.0)
    assert {"system/cpu", "system/memory"} <= readings.due().keys()


def test_rates_are_since_the_last_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_readings, "EVERY", 0.0)
    joules = iter((0.0, 5.0))
    readings = SystemReadings([], lambda: next(joules))
    began, used = time.monotonic(), time.process_time()
    while time.process_time() < used + 0.1:
        pass
    elapsed = time.monotonic() - began
    found = readings.due()
    assert 0 < found["system/power"] <= 5.0 / elapsed
    assert 0 < found["system/cpu"] * elapsed < 1.0
    assert found["system/memory"] > 0.01 and "system/gpu" not in found


def test_a_reading_costs_next_to_nothing_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than .5 % of the time between two of them."""
    every = system_readings.EVERY
    monkeypatch.setattr(system_readings, "EVERY", 0.0)
    readings = SystemReadings([], None)
    began = time.process_time()
    for _ in range(100):
        readings.due()
    assert (time.process_time() - began) / 100 < 0.005 * every


def test_a_run_has_them_on_record_and_none_among_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny.install(monkeypatch)
    monkeypatch.setattr(system_readings, "EVERY", 0.0)
    run = tiny.make(40)
    status = tiny.run(run, observe=tiny.Eyes)
    scalars = run.scalars()
    assert scalars["system/memory"].step[-1] == 40
    assert not any(path.startswith("system/") for path in [*status.figures, *run.metrics()])
