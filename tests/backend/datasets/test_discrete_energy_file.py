"""The user's own energy of whole numbers: its law, what is built of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.energies.discrete import enumerate_states
from backend.errors import BadInput
from backend.methods.gflownet import GFlowNet
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

GOOD = """
import torch
event_shape, num_values = (4,), 3
weights = torch.tensor([0.5, -1.0, 0.3, 0.8])

def energy(x):
    return x @ weights - 0.7 * ((x[:, 1:] - x[:, :-1]).abs() < 0.5).sum(1)
"""


def load(folder: Path, text: str, **fields: object) -> Data:
    file = folder / "mine.py"
    file.write_text(text)
    return resolve_data({"name": "discrete_energy_file", "path": str(file), **fields}).load()


def test_a_small_one_is_enumerated(tmp_path: Path) -> None:
    data = load(tmp_path, GOOD)
    assert data.num_values == 3 and data.event_shape == (4,)
    assert data.density is not None and data.truth is not None
    assert data.truth.source == "enumeration"
    states = enumerate_states((4,), 3)
    weights = torch.tensor([0.5, -1.0, 0.3, 0.8])
    energy = states @ weights - 0.7 * (states[:, 1:] == states[:, :-1]).sum(1)
    torch.testing.assert_close((-data.density(states)).exp(), torch.softmax(-energy, 0))


@pytest.mark.parametrize("building", ["left_to_right", "any_order"])
def test_strings_of_it_are_built_and_near_its_law(tmp_path: Path, building: str) -> None:
    load(tmp_path, GOOD)
    data = {"name": "discrete_energy_file", "path": str(tmp_path / "mine.py"), "num": 100}
    train = {"batch_size": 64, "learning_rate": 1e-2}
    config = {"building": building, "forward_looking": True, "width": 64, "train": train}
    run = prepare(
        RunSpec(method="gflownet", data=data, config={"log_z_rate": 30, **config}),
        torch.device("cpu"),
        None,
    )
    for step in range(120):
        run.method.step(step / 120)
    assert isinstance(run.method, GFlowNet)
    graph = run.method.graph()
    assert graph is not None and len(graph.events) == 81
    assert float((run.method.learned(graph) - graph.probabilities).abs().sum()) < 0.2
    assert float(run.method.log_z()) == pytest.approx(graph.log_z, abs=0.1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("num_values = (4,), 3", "states = (4,), 3"), "`num_values` must be a whole"),
        (GOOD.replace("(4,), 3", "(4,), 1"), "from 2 to 64, got 1"),
        (GOOD.replace("(4,), 3", "(2000,), 3"), "at most 1,024 values, got 2,000"),
        (GOOD.replace("x @ weights", "x @ weights.double()"), "failed in `energy` in line 7"),
        (GOOD.replace("x @ weights", "x @ weights / 0"), "not finite"),
    ],
)
def test_what_is_wrong_is_said_at_the_path(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(tmp_path, text)
    (problem,) = refused.value.problems
    assert problem.field == "data.path" and says in problem.message
