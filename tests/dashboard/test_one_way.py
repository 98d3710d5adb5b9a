"""One way to ask a run for samples: Compare, the Studio and the command line show the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dashboard.comparing import drawn as compared_sets
from dashboard.comparing.drawn import Question
from jobs import tasks
from jobs.cli import main
from jobs.models import sample_drawing
from jobs.queueing import enqueue, sample_jobs
from jobs.records.run_directory import RunDirectory
from jobs.records.sample_sets import Request, SampleSet
from tests.jobs import tiny


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A finished run; what is asked of the quick worker is answered here."""
    tiny.install(monkeypatch)

    def worker(task: str, *arguments: Any, timeout: float, **_: Any) -> Any:
        return getattr(tasks, f"{task}_job")(*arguments)["value"]

    def drawn_here(requests: Iterable[Request]) -> list[SampleSet]:
        return [sample_drawing.draw(each) for each in requests]

    monkeypatch.setattr(enqueue, "call", worker)
    monkeypatch.setattr(sample_jobs, "draw", drawn_here)
    directory = tiny.make(20)
    assert tiny.run(directory).status == "finished"
    return directory


def drawn(run: RunDirectory, folder: Path) -> list[np.ndarray[Any, Any]]:
    """Samples with seed 6 by Compare, the Studio and the command line."""
    compared = compared_sets.samples(run.id, Question(6, None, False, ())).samples()["x"]
    answer_of = enqueue.ask_run(run.id, "sample", {"num": 500}, seed=6)
    with np.load(run.path_of(answer_of["file"])) as file:
        studio = file["x"]
    out = folder / "x.npz"
    command = ["sample", run.id, "--n", "500", "--seed", "6", "--out", str(out)]
    assert CliRunner().invoke(main, command).exit_code == 0
    with np.load(out) as file:
        return [compared, studio, file["x"]]


def test_three_pages_show_one_set_of_samples(trained: RunDirectory, tmp_path: Path) -> None:
    compared, studio, commanded = drawn(trained, tmp_path)
    assert compared.shape == (500, 2) and np.isfinite(compared).all()
    np.testing.assert_array_equal(compared, studio)
    np.testing.assert_array_equal(compared, commanded)


def test_a_method_draws_its_own_way_on_all_of_them(
    trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(self: tiny.Tiny, request: Any, generator: torch.Generator) -> Tensor:
        return 100 + torch.rand(request.num, 2, generator=generator)

    monkeypatch.setattr(tiny.Tiny, "draw", draw)
    for x in drawn(trained, tmp_path):
        assert x.min() > 50


def test_energies_of_a_file_are_those_of_the_ability(trained: RunDirectory, tmp_path: Path) -> None:
    points, out = tmp_path / "x.npy", tmp_path / "e.npy"
    np.save(points, np.random.default_rng(0).normal(size=(30, 2)))
    command = ["energy", trained.id, "--points", str(points), "--out", str(out)]
    assert CliRunner().invoke(main, command).exit_code == 0
    answer = enqueue.ask_run(trained.id, "energy", {"path": str(points)}, origin="cli")
    with np.load(trained.path_of(answer["file"])) as file:
        np.testing.assert_array_equal(np.load(out), file["energy"])
