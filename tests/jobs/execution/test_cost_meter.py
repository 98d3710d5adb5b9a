"""The meter: joules from counters that overflow, and a stopwatch that runs in training alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from jobs.execution.cost_meter import Stopwatch, joule_counter, rapl


def package(folder: Path, name: str, microjoules: int, full: int = 1_000_000) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{full}\n")
    return path / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", 100)
    second = package(tmp_path, "intel-rapl:1", 5)
    part = package(tmp_path, "intel-rapl:0:0", 7)
    read = rapl(tmp_path)
    assert read is not None
    start = read()
    first.write_text("300100")
    second.write_text("500005")
    part.write_text("999999")
    assert read() - start == pytest.approx(0.8)


def test_a_counter_that_starts_over_is_followed(tmp_path: Path) -> None:
    file = package(tmp_path, "intel-rapl:0", 900_000)
    read = rapl(tmp_path)
    assert read is not None
    start = read()
    file.write_text("99999")
    assert read() - start == pytest.approx(0.2)
    file.write_text("199999")
    assert read() - start == pytest.approx(0.3)


def test_without_counters_joules_are_unknown(tmp_path: Path) -> None:
    assert rapl(tmp_path / "none") is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert rapl(tmp_path) is None
    watch = Stopwatch(None, joules=0.0)
    watch.start()
    assert watch.joules is None and watch.source is None


def test_the_stopwatch_counts_while_it_runs_and_goes_on_from_earlier() -> None:
    spent = [100.0]
    watch = Stopwatch(lambda: spent[0], seconds=5.0, joules=7.0)
    assert (watch.seconds, watch.joules, watch.source) == (5.0, 7.0, "counter")
    watch.start()
    spent[0] += 2
    time.sleep(0.02)
    watch.stop()
    stopped = watch.seconds
    assert 5.02 <= stopped < 5.2 and watch.joules == 9.0
    spent[0] += 50  # not training's
    time.sleep(0.02)
    assert watch.seconds == stopped and watch.joules == 9.0
    watch.start()
    watch.start()
    spent[0] += 1
    assert watch.joules == 10.0 and watch.seconds < stopped + 0.1


def test_joules_that_an_earlier_attempt_did_not_measure_stay_unknown() -> None:
    watch = Stopwatch(lambda: 1.0, seconds=5.0, joules=None)
    watch.start()
    assert watch.joules is None and watch.source is None


@pytest.mark.gpu
def test_an_nvidia_device_counts_its_energy() -> None:
    read = joule_counter(torch.device("cuda", 0))
    assert read is not None
    start, began = read(), time.monotonic()
    x = torch.rand(4096, 4096, device="cuda")
    while time.monotonic() - began < 2:
        x = (x @ x).clamp(0, 1)
        torch.cuda.synchronize()
    watts = (read() - start) / (time.monotonic() - began)
    assert 10 < watts < 2000
