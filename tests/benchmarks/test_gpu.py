"""The measurement of an NVIDIA device, rehearsed on a CPU: every part runs, none takes another."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, gpu_parts, gpu_paths, gpu_training
from benchmarks.gpu_parts import Bench, Streamed
from benchmarks.report import Report


class Heard(Streamed):
    """A report whose lines are kept."""

    def __init__(self) -> None:
        Report.__init__(self, "rehearsal")
        self.lines: list[tuple[str, Any]] = []

    def say(self, kind: str, value: Any) -> None:
        self.lines.append((kind, json.loads(json.dumps(value))))


def rehearsal() -> tuple[Bench, Heard]:
    report = Heard()
    return Bench(report, torch.device("cpu"), True, time.monotonic() + 60), report


@pytest.mark.parametrize(
    "part",
    [
        gpu_parts.facts,
        gpu_training.training,
        gpu_training.precision,
        gpu_paths.waits,
        gpu_paths.runs,
        gpu_paths.resume,
        gpu_parts.joules,
    ],
    ids=lambda part: part.__name__,
)
def test_a_part_runs_through_on_a_cpu_and_its_claims_hold(part: Callable[[Bench], None]) -> None:
    bench, report = rehearsal()
    part(bench)
    assert [claim.text for claim in report.claims if claim.holds != "holds"] == []
    kinds = {kind for kind, _ in report.lines}
    assert "result" in kinds or "note" in kinds


def test_what_fails_within_a_part_is_a_claim_that_fails_and_the_rest_goes_on() -> None:
    bench, report = rehearsal()
    with bench.report.attempt("one preset"):
        raise RuntimeError("out of memory\nwith a trace")
    bench.report.add("another", "preset", "step", "ms", [1.0])
    assert [kind for kind, _ in report.lines] == ["claim", "result"]
    assert "RuntimeError: out of memory" in report.claims[0].text
    assert report.claims[0].holds == "fails"


def test_the_command_gathers_what_parts_say(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    options = ["--device", "cpu", "--quick", "--only", "nccl", "--json", "--out", str(lines)]
    assert gpu.main(options) == 0
    printed = json.loads(capsys.readouterr().out)
    texts = [claim["text"] for claim in printed["claims"]]
    assert "nccl: parts that did not end" in texts
    assert any("shared rows" in text for text in texts)
    assert {row["case"] for row in printed["results"]} == {"group of one", "nccl"}
    assert len(lines.read_text().splitlines()) >= 3


def test_a_part_that_takes_too_long_is_ended_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--device", "cpu", "--quick", "--only", "facts", "--json", "--minutes", "0.01"]
    began = time.monotonic()
    assert gpu.main(options) == 1
    assert time.monotonic() - began < 15
    (claim,) = json.loads(capsys.readouterr().out)["claims"]
    assert "out of time" in claim["text"] and claim["holds"] == "fails"


def test_shares_of_the_time_leave_every_part_its_own() -> None:
    names, left = list(gpu.SECONDS), 480.0
    assert sum(gpu.SECONDS.values()) <= left
    for name in names:
        limit = gpu.allowance(name, names, left)
        assert limit >= gpu.SECONDS[name]
        left -= limit  # each takes all that it may
    assert left >= 0


def test_wheels_bring_what_is_missing_and_nothing_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(gpu.sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    for name in ("basin_missing_part", "torch", "broken_part"):
        with zipfile.ZipFile(tmp_path / f"{name}-9.0-py3-none-any.whl", "w") as wheel:
            about = f"{name}-9.0.dist-info"
            wheel.writestr(f"{name}.py", "VALUE = 9\n")
            if name == "broken_part":
                continue
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 9")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n")
    target = tmp_path / "packages"
    notes = gpu.unpack(tmp_path, target)
    assert (target / "basin_missing_part.py").exists() and not (target / "torch.py").exists()
    assert str(target) in gpu.os.environ["PYTHONPATH"]
    assert gpu.absent({"basin_missing_part": "one", "basin_missing_other": "two"}) == ["two"]
    assert [note.split(":")[0] for note in notes] == ["broken-part"]


@pytest.mark.bad_input
@pytest.mark.parametrize("options", [["--only", "tea"], ["--minutes", "0"], ["--wheels", "gone"]])
def test_bad_options_exit_with_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        gpu.main(options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_whole_command_runs_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--quick", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["case"] for row in printed["results"]} >= set(gpu.SECONDS)
    assert any("ula mlp" in row["case"] for row in printed["results"])
