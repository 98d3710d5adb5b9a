"""NVIDIA devices as the driver's tool lists them; a script stands in for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import BadInput
from jobs.system import devices

LISTED = """\
GPU 0: NVIDIA H200 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
  MIG 1g.10gb     Device  0: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000000)
  MIG 2g.20gb     Device  1: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000000)
GPU 2: NVIDIA L4 (UUID: GPU-55555555-aaaa-bbbb-cccc-000000000000)
"""
SLICES = [
    "MIG-33333333-aaaa-bbbb-cccc-000000000000",
    "MIG-44444444-aaaa-bbbb-cccc-000000000000",
]


@pytest.fixture(autouse=True)
def _driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices.nvidia_devices.cache_clear()
    yield
    devices.nvidia_devices.cache_clear()


def found() -> list[tuple[str, str, str]]:
    return [(d.name, d.model, d.selector) for d in devices.nvidia_devices()]


def test_every_device_and_every_slice_gets_a_worker() -> None:
    assert found() == [
        ("cuda:0", "NVIDIA H200", "0"),
        ("cuda:1", "NVIDIA A100-SXM4-80GB, MIG 1g.10gb", SLICES[0]),
        ("cuda:2", "NVIDIA A100-SXM4-80GB, MIG 2g.20gb", SLICES[1]),
        ("cuda:3", "NVIDIA L4", "2"),
    ]
    assert devices.training_devices() == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert devices.model_of("cuda:3") == "NVIDIA L4"
    assert devices.selectors_of("cuda:0") == ["0", "2"]
    assert devices.selectors_of("cuda:3") == ["2", "0"]
    assert devices.selectors_of("cuda:2") == [SLICES[1]], "CUDA shows a slice alone"


def test_devices_and_slices_are_chosen_by_their_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_DEVICES", f"{SLICES[1]}, GPU-5555,MIG-3333")
    assert devices.training_devices() == ["cuda:2", "cuda:3", "cuda:1"]
    for name, words in (
        ("MIG-9", "`MIG-9` is not here; UUIDs found: GPU-1111"),
        ("GPU-2222", "is not here"),  # cut into slices
        ("MIG-", "fits several devices"),
        ("MIG", "must be auto, cpu, cuda:N or a UUID, got 'MIG'"),
    ):
        monkeypatch.setenv("BASIN_DEVICES", name)
        with pytest.raises(BadInput) as caught:
            devices.training_devices()
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("visible", "models"),
    [
        ("1", ["NVIDIA A100-SXM4-80GB"]),
        ("1,0", ["NVIDIA A100-SXM4-80GB", "NVIDIA H200"]),
        ("GPU-2222", ["NVIDIA A100-SXM4-80GB"]),
        ("MIG-33333333-aaaa-bbbb-cccc-000000000000", ["NVIDIA A100-SXM4-80GB, MIG 1g.10gb"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["NVIDIA H200"]),  # CUDA, too, stops at the first it does not know
    ],
)
def test_hidden_devices_stay_hidden(
    visible: str, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [d.model for d in devices.nvidia_devices()] == models
    expected = [f"cuda:{i}" for i in range(len(models))] or ["cpu"]
    assert devices.training_devices() == expected
    if models:
        assert devices.selectors_of("cuda:0")[0] == visible.split(",")[0]


def test_chosen_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_DEVICES", "cuda:1, cpu")
    assert devices.training_devices() == ["cuda:1", "cpu"]
    monkeypatch.setenv("BASIN_DEVICES", "cuda:4")
    with pytest.raises(BadInput, match="cuda:0, cuda:1, cuda:2, cuda:3"):
        devices.training_devices()


def test_auto_is_the_first_one() -> None:
    assert devices.definite("auto") == "cuda:0" == devices.definite("cuda")
    with pytest.raises(BadInput, match="'tpu'"):
        devices.definite("tpu")


def test_without_a_driver_there_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'no driver' >&2\nexit 9\n")
    assert devices.training_devices() == ["cpu"] and devices.definite("auto") == "cpu"
    devices.nvidia_devices.cache_clear()
    (tmp_path / "nvidia-smi").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.training_devices() == ["cpu"]
    assert "CPU cores" in devices.model_of("cpu") and devices.selectors_of("cpu") == []
