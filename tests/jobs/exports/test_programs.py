"""Programs of torch.export and ONNX, run without the module that they were made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import basin
from backend.errors import BadInput, NotAvailable
from jobs.exports import programs
from jobs.records.run_directory import RunDirectory
from tests.jobs import tiny
from tests.jobs.exports.test_model_folder import trained

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def of_ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """Run whose energy stands on a mixture of Gaussians: ONNX cannot solve by its factors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASIN_HOME", str(tmp_path_factory.mktemp("home")))
        yield trained({"method": "exact_likelihood", "data": {"name": "ring"}})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_programs_give_energy_and_gradient_in_the_users_units(
    of_ring: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASIN_HOME", str(of_ring.path.parent.parent))
    sentences: list[str] = []
    programs.write_torch(of_ring, tmp_path / "pt2", sentences.append, None)
    assert sentences[1].startswith("energy.pt2: differs by 0 at most at 256 held-out points")
    programs.write_onnx(of_ring, tmp_path / "onnx", sentences.append, None)
    energy = basin.load(of_ring.id)
    x = energy.sample(33, seed=4)
    exported = torch.export.load(tmp_path / "pt2" / "energy.pt2").module()
    assert torch.equal(exported(x), energy(x))
    gradient = torch.export.load(tmp_path / "pt2" / "gradient.pt2").module()
    torch.testing.assert_close(gradient(x), -energy.score(x))

    import onnxruntime

    for name, value in (("energy", energy(x)), ("gradient", -energy.score(x))):
        session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / f"{name}.onnx"))
        (given,) = session.run([name], {"x": x.numpy()})
        np.testing.assert_allclose(given, value.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def tiny_run(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    tiny.install(monkeypatch)
    directory = tiny.make(2)
    tiny.run(directory)
    return directory


@pytest.mark.slow
@pytest.mark.bad_input
def test_an_energy_that_looks_at_values_cannot_be_traced(
    tiny_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def branching(self: tiny.TinyEnergy, x: torch.Tensor, condition: object = None) -> torch.Tensor:
        return self.body(x)[:, 0] if x.sum() > 0 else x.sum(1)

    monkeypatch.setattr(tiny.TinyEnergy, "forward", branching)
    with pytest.raises(BadInput, match=r"`as`: the energy of .* cannot be exported"):
        programs.write_torch(tiny_run, tmp_path / "out", lambda sentence: None, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_program_that_differs_is_not_written(
    tiny_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_difference", lambda *_: 0.5)
    with pytest.raises(NotAvailable, match=r"differs by 0.5 from the module"):
        programs.write_torch(tiny_run, tmp_path / "out", lambda sentence: None, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input
def test_what_onnx_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None if "script" in name else sys)
    with basin.track() as run:
        run.log({"loss": 1.0})
    with pytest.raises(NotAvailable, match="ONNX needs onnxscript, not installed here"):
        programs.write_onnx(run.directory, tmp_path / "out", lambda sentence: None, None)
    with pytest.raises(NotAvailable, match="trained by its own script"):
        programs.write_torch(run.directory, tmp_path / "out", lambda sentence: None, None)
