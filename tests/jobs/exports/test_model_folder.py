"""Model folders: weights, settings and card leave Basin and come back as the same energy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

import basin
from backend.errors import BadInput, NotAvailable
from backend.spec import from_dict
from jobs.execution import loop
from jobs.exports import model_folder
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.jobs import tiny


def export(directory: RunDirectory, to: Path, license: str = "mit") -> list[str]:
    sentences: list[str] = []
    model_folder.write(directory, to, sentences.append, license, None)
    return sentences


def trained(raw: dict[str, Any]) -> RunDirectory:
    directory = run_store.create_run(from_dict({"budget": {"steps": 5}, **raw}))
    assert loop.run(directory, observe=lambda prepared: None).status == "finished"
    return directory


@pytest.fixture
def tiny_run(monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    tiny.install(monkeypatch)
    directory = tiny.make(5)
    tiny.run(directory, observe=tiny.Eyes)
    return directory


def test_a_folder_gives_the_energy_and_the_samples_of_its_run(
    tiny_run: RunDirectory, tmp_path: Path
) -> None:
    sentences = export(tiny_run, tmp_path / "model")
    assert sentences[-1] == "energies of 100 held-out points are the same"
    ours, theirs = basin.load(tiny_run.id), basin.load(tmp_path / "model")
    x = torch.linspace(-3, 3, 20).reshape(10, 2)
    assert torch.equal(ours(x), theirs(x)) and torch.equal(ours.score(x), theirs.score(x))
    assert torch.equal(ours.sample(6, seed=2), basin.load(str(tmp_path / "model")).sample(6, 2))
    with safe_open(tmp_path / "model" / "model.safetensors", "np") as file:
        assert file.metadata()["format"] == "pt"
        names = set(file.keys())
    assert "average.body.0.weight" in names
    assert not [name for name in names if "optimiser" in name or "generator" in name]


def test_the_card_says_what_it_is_and_how_good(tiny_run: RunDirectory, tmp_path: Path) -> None:
    tiny_run.set_labels(name="a: *ring*\n---")
    export(tiny_run, tmp_path / "model", "apache-2.0")
    _, head, body = (tmp_path / "model" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "apache-2.0",
        "library_name": "basin",
        "tags": ["energy-based-model", "basin", "tiny"],
    }
    assert "(`quality/energy_distance/long_run`) | 0.5 | 0.01 | – |" in body
    assert "# a: *ring* ---\n" in body and "basin.load(" in body and "num_held_out: 100" in body


def test_data_in_a_file_are_not_needed_to_load(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(50.0, 3.0, (400, 2))
    np.save(tmp_path / "rows.npy", rows)
    raw = {"method": "exact_likelihood", "preset": "grid"}
    directory = trained({**raw, "data": {"name": "file", "path": str(tmp_path / "rows.npy")}})
    ours = basin.load(directory.id)
    x = torch.from_numpy(rows[:20])
    before, log_prob = ours(x), ours.log_prob(x)
    export(directory, tmp_path / "model")
    (tmp_path / "rows.npy").unlink()
    theirs = basin.load(tmp_path / "model")
    assert torch.equal(theirs(x), before) and torch.equal(theirs.log_prob(x), log_prob)
    assert str(rows[0, 0])[:8] not in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "preset", "data"),
    [
        ("contrastive_divergence", "rbm", "binary_digits"),
        ("joint_energy", "tables", "iris"),
    ],
)
def test_methods_come_back(method: str, preset: str, data: str, tmp_path: Path) -> None:
    directory = trained({"method": method, "preset": preset, "data": {"name": data}})
    export(directory, tmp_path / "model")
    ours, theirs = basin.load(directory.id), basin.load(tmp_path / "model")
    assert torch.equal(ours.sample(4, seed=1), theirs.sample(4, seed=1))


def test_weights_of_ones_own_loop_leave_too(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 1)
    with basin.track(name="mine") as run:
        run.log({"loss": 1.0})
        run.checkpoint(module)
    export(run.directory, tmp_path / "model")
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("weight"), module.weight)
    with pytest.raises(NotAvailable, match="knows the architecture"):
        basin.load(tmp_path / "model")


@pytest.mark.bad_input
def test_what_cannot_leave_is_said_and_leaves_nothing(
    tiny_run: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="`license`: must be a licence's identifier"):
        export(tiny_run, tmp_path / "model", "MIT License")
    with pytest.raises(BadInput, match="`to`: there is no folder"):
        export(tiny_run, tmp_path / "not" / "there")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(BadInput, match="holds files already"):
        export(tiny_run, tmp_path / "full")
    with pytest.raises(NotAvailable, match="no trained weights"):
        export(tiny.make(5), tmp_path / "model")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["full", "home"]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[" * 200_000, "config.json cannot be read"),
        ("config.json", '{"model_type": "bert"}', "of no model that Basin wrote"),
        ("config.json", '{"model_type": "basin"}', "mapping"),
        ("model.safetensors", "no tensors", "model.safetensors cannot be read"),
    ],
)
def test_a_damaged_folder_is_told(
    name: str, content: str, sentence: str, tiny_run: RunDirectory, tmp_path: Path
) -> None:
    export(tiny_run, tmp_path / "model")
    (tmp_path / "model" / name).write_text(content)
    with pytest.raises(BadInput, match=sentence):
        basin.load(tmp_path / "model")


@pytest.mark.bad_input
def test_a_folder_names_no_files_of_the_reader(tiny_run: RunDirectory, tmp_path: Path) -> None:
    export(tiny_run, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["spec"]["config"] = {"energy": {"kind": "file", "path": "/etc/passwd"}}
    path.write_text(json.dumps(config))
    with pytest.raises(BadInput, match="which is not read"):
        basin.load(tmp_path / "model")
    config["spec"]["config"] = {}
    config["spec"]["data"] = {"name": "energy_file", "path": str(tmp_path / "not.py")}
    path.write_text(json.dumps(config))
    assert len(basin.load(tmp_path / "model")(torch.zeros(3, 2))) == 3  # data in a file: not read


@pytest.mark.bad_input
def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"must hold model.safetensors and config.json"):
        basin.load(tmp_path)
    with pytest.raises(BadInput, match="must hold"):
        basin.load("./nowhere")
