"""The meter: joules from counters that overflow, from sampled power, from a CPU's load where a
person gives its watts, and a stopwatch that runs in training alone."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from backend.errors import BadInput
from jobs.system import joule_meter
from jobs.system.joule_meter import Meter, SampledPower, Stopwatch, absence, meter, rapl


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
    measure = rapl(tmp_path)
    assert measure is not None
    read = measure.read
    start = read()
    first.write_text("300100")
    second.write_text("500005")
    part.write_text("999999")
    assert read() - start == pytest.approx(0.8)
    assert (measure.source, measure.of) == ("counter", "RAPL counter of 2 CPU packages")


def test_a_counter_that_starts_over_is_followed(tmp_path: Path) -> None:
    file = package(tmp_path, "intel-rapl:0", 900_000)
    measure = rapl(tmp_path)
    assert measure is not None
    read = measure.read
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
    assert watch.joules is None and watch.source is None and watch.of == ""


def counted(read: Callable[[], float], source: str = "counter") -> Meter:
    return Meter(read, source, "a lamp")


def test_the_stopwatch_counts_while_it_runs_and_goes_on_from_earlier() -> None:
    spent = [100.0]
    watch = Stopwatch(counted(lambda: spent[0]), seconds=5.0, joules=7.0)
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
    watch = Stopwatch(counted(lambda: 1.0), seconds=5.0, joules=None)
    watch.start()
    assert watch.joules is None and watch.source is None


def test_joules_of_two_sources_are_as_sure_as_the_less_sure_one() -> None:
    for earlier, now, source in (
        ("estimate", "counter", "estimate"),
        ("counter", "sampled", "sampled"),
        (None, "counter", "counter"),
    ):
        watch = Stopwatch(counted(lambda: 1.0, now), joules=3.0, source=earlier)
        assert watch.source == source


def test_a_cpu_without_a_counter_is_estimated_only_where_a_person_gives_its_watts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joule_meter, "RAPL", tmp_path)
    monkeypatch.delenv(joule_meter.WATTS, raising=False)
    cpu = torch.device("cpu")
    assert meter(cpu) is None and joule_meter.WATTS in absence()
    monkeypatch.setenv(joule_meter.WATTS, "80")
    measure = meter(cpu)
    assert measure is not None and measure.source == "estimate" and "80 W" in measure.of
    start, began = measure.read(), time.process_time()
    while time.process_time() - began < 0.1:
        pass
    expected = 80 * (time.process_time() - began) / (os.cpu_count() or 1)
    assert measure.read() - start == pytest.approx(expected, rel=0.25)
    assert meter(cpu, cpu) is None, "other processes' load is not seen"
    package(tmp_path, "intel-rapl:0", 5)
    counter = meter(cpu)
    assert counter is not None and counter.source == "counter" and absence() == ""


@pytest.mark.parametrize("watts", ["many", "0", "-5", "nan", "1e9"])
def test_watts_that_are_none_are_refused(
    watts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joule_meter, "RAPL", tmp_path)
    monkeypatch.setenv(joule_meter.WATTS, watts)
    with pytest.raises(BadInput, match=r"BASIN_CPU_WATTS.*watts of the CPU"):
        meter(torch.device("cpu"))


def test_a_power_is_summed_over_the_time_between_its_samples() -> None:
    began = time.perf_counter()
    power = SampledPower(lambda: 100 * (time.perf_counter() - began), every=0.01)
    time.sleep(0.2)
    joules, elapsed = power.read(), time.perf_counter() - began
    assert joules == pytest.approx(100 * elapsed**2 / 2, rel=0.05)


def test_a_power_that_cannot_be_read_any_more_leaves_the_joules_unknown() -> None:
    powers = iter([5.0, 5.0])
    sampled = SampledPower(lambda: next(powers), every=60)
    watch = Stopwatch(Meter(sampled.read, "sampled", "a lamp"))
    watch.start()
    assert math.isnan(sampled.read()) and watch.joules is None
    watch.stop()
    assert watch.joules is None


class Nvml(ModuleType):
    """A driver of two devices; `counts` and `powers` say what each of them can tell."""

    def __init__(self, counts: set[str], powers: set[str]) -> None:
        super().__init__("pynvml")
        self.counts, self.powers = counts, powers
        self.millijoules = {"GPU-a": 1_000, "GPU-b": 5_000}

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if handle not in self.counts:
            raise RuntimeError("Not Supported")
        return self.millijoules[handle]

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        if handle not in self.powers:
            raise RuntimeError("Not Supported")
        return 250_000


def on_two_devices(monkeypatch: pytest.MonkeyPatch, driver: Nvml) -> Meter | None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(joule_meter, "_uuid", lambda device: "GPU-" + "ab"[device.index])
    joule_meter._sampled_nvml.cache_clear()
    return meter(torch.device("cuda", 0), torch.device("cuda", 1))


def test_nvidia_devices_are_added_by_their_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Nvml({"GPU-a", "GPU-b"}, set())
    measure = on_two_devices(monkeypatch, driver)
    assert measure is not None and measure.source == "counter"
    assert "GPU-a" in measure.of and "GPU-b" in measure.of
    start = measure.read()
    driver.millijoules = {"GPU-a": 3_500, "GPU-b": 5_500}
    assert measure.read() - start == pytest.approx(3.0)


def test_one_device_that_only_says_its_power_makes_the_sum_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measure = on_two_devices(monkeypatch, Nvml({"GPU-a"}, {"GPU-b"}))
    assert measure is not None and measure.source == "sampled"
    start, began = measure.read(), time.perf_counter()
    time.sleep(0.1)
    elapsed = time.perf_counter() - began
    assert measure.read() - start == pytest.approx(250 * elapsed, rel=0.1)


def test_one_device_that_tells_nothing_leaves_the_sum_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert on_two_devices(monkeypatch, Nvml({"GPU-a"}, set())) is None


@pytest.mark.gpu
def test_an_nvidia_device_counts_its_energy() -> None:
    measure = meter(torch.device("cuda", 0))
    assert measure is not None
    start, began = measure.read(), time.monotonic()
    x = torch.rand(4096, 4096, device="cuda")
    while time.monotonic() - began < 2:
        x = (x @ x).clamp(0, 1)
        torch.cuda.synchronize()
    watts = (measure.read() - start) / (time.monotonic() - began)
    assert 10 < watts < 2000
