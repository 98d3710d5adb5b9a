"""`basin bakeoff`: tries methods on some data for equal seconds and proposes one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from backend.spec import parse
from jobs.cli import main
from jobs.records import run_store

SMALL = ("--set", "data.num=500", "--set", "data.num_held_out=300")


def basin(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bakeoff", *arguments])


@pytest.mark.slow
def test_it_proposes_the_method_whose_held_out_nats_are_highest(basin_home: Path) -> None:
    methods = ("--method", "exact_likelihood", "--method", "contrastive_divergence/short_run")
    done = basin("ring", *SMALL, *methods, "--seconds", "4", "--inline", "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    ids, standings = value["runs"], value["standings"]
    assert {run_store.open_run(run_id).spec().budget.seconds for run_id in ids} == {4.0}
    nats = [item["mean"] for item in standings if item["mean"] is not None]
    assert nats and nats == sorted(nats, reverse=True)
    assert set(value["baselines"]) == {"gaussian", "mixture", "kernel", "truth"}
    assert value["proposed"] == {"method": "exact_likelihood", "preset": "default"}
    # the command is that of the proposed run, at the preset's own budget
    spec = parse(shlex.split(value["command"])[1])
    assert (spec.method, spec.data) == ("exact_likelihood", value["data"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("digits",), "held-out nats are measured of points of real numbers alone"),
        (("nowhere",), "there is no data set 'nowhere'"),
        (("ring", "--method", "exact_likelihood"), "needs two methods at least"),
        (("ring", "--set", "seed=1"), "changes a field of the data"),
        (("/nowhere/points.npy",), "there is no file or folder"),
    ],
)
def test_what_cannot_be_tried_is_said_before_anything_runs(
    arguments: tuple[str, ...], sentence: str, basin_home: Path
) -> None:
    done = basin(*arguments, "--inline")
    assert done.exit_code == 2
    assert sentence in done.output
    assert run_store.list_runs() == []


def test_methods_that_cannot_take_the_data_are_left_out_by_name(
    basin_home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32))
    names = ("--method", "exact_likelihood", "--method", "noise_contrastive")
    done = basin(str(path), *names, "--inline")
    assert done.exit_code == 2
    assert "exact_likelihood is left out" in done.output
