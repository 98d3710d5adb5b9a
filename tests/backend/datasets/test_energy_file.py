"""The user's own energy: what is read from the file, and how everything wrong in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.errors import BadInput

GOOD = """
import torch
event_shape = (3,)

def energy(x):
    return 0.5 * ((x - 1) / 2).square().sum(1)
"""
DRAWS = """
def draw(num, generator):
    return 1 + 2 * torch.randn((num, 3), generator=generator)

mean, variance, log_z = 1.0, [4.0, 4.0, 4.0], 4.836
"""


def load(folder: Path, text: str, **fields: object) -> Data:
    file = folder / "mine.py"
    file.write_text(text)
    return resolve_data({"name": "energy_file", "path": str(file), **fields}).load()


def test_an_energy_alone_is_started_from_a_gaussian(tmp_path: Path) -> None:
    data = load(tmp_path, GOOD, scale=5.0, num=1000)
    assert data.train.shape == (1000, 3) and data.held_out.shape == (3000, 3)
    assert data.target is not None and data.density is None and data.draw is None
    x = data.restore(data.train)
    assert float(x.std()) == pytest.approx(5, rel=0.1)
    assert torch.allclose(data.target(x), 0.125 * (x - 1).square().sum(1))
    assert data.truth is not None and "not draws of the energy" in data.truth.draws
    assert data.truth.mean is None and data.truth.log_z is None
    assert not list(tmp_path.glob("__pycache__"))


def test_a_file_that_draws_and_knows(tmp_path: Path) -> None:
    data = load(tmp_path, GOOD + DRAWS)
    assert data.draw is not None and data.truth is not None
    assert torch.allclose(data.train.std(0), torch.ones(3), atol=1e-4)
    assert torch.allclose(data.restore(data.held_out).mean(0), torch.ones(3), atol=0.2)
    assert data.truth.mean is not None and data.truth.mean.tolist() == [1, 1, 1]
    assert data.truth.variance is not None and data.truth.variance.tolist() == [4, 4, 4]
    assert data.truth.log_z == 4.836
    again = load(tmp_path, GOOD + DRAWS)
    assert torch.equal(again.train, data.train)
    assert not torch.equal(load(tmp_path, GOOD + DRAWS, seed=1).train, data.train)


def test_events_of_any_shape(tmp_path: Path) -> None:
    text = "event_shape = (2, 3)\n\ndef energy(x):\n    return x.square().sum((1, 2))\n"
    data = load(tmp_path, text)
    assert data.event_shape == data.noise_low.shape == (2, 3)
    assert load(tmp_path, text.replace("(2, 3)", "4").replace("(1, 2)", "1")).event_shape == (4,)


BAD = {
    "no function": ("event_shape = (2,)", "no function `energy`"),
    "no shape": ("def energy(x): return x.sum(1)", "`event_shape` must be a tuple"),
    "a shape of nothing": ("event_shape = (0,)\ndef energy(x): return x.sum(1)", "event_shape"),
    "does not parse": ("event_shape = (2,", "line 1: SyntaxError"),
    "raises": ("event_shape = (2,)\n1 / 0", "when it was run in line 2: ZeroDivisionError"),
    "exits": ("raise SystemExit", "SystemExit"),
    "raises in energy": (
        "event_shape = (2,)\ndef energy(x):\n    return x.no_such_thing",
        "in `energy` in line 3: AttributeError",
    ),
    "wrong shape": ("event_shape = (2,)\ndef energy(x): return x", "shape (batch,)"),
    "one number": ("event_shape = (2,)\ndef energy(x): return x.sum()", "shape (batch,)"),
    "no tensor": ("event_shape = (2,)\ndef energy(x): return 1.0", "got float"),
    "no gradient": (
        "event_shape = (2,)\ndef energy(x): return x.detach().sum(1)",
        "torch operations",
    ),
    "not finite": (
        "event_shape = (2,)\ndef energy(x): return x.sum(1) / 0",
        "not finite",
    ),
    "infinite gradient": (
        "event_shape = (2,)\ndef energy(x): return (x - x).abs().sqrt().sum(1)",
        "gradient of `energy` is not finite",
    ),
    "mixes the batch": (
        "event_shape = (2,)\ndef energy(x): return (x - x.mean(0)).square().sum(1)",
        "changes with the others",
    ),
    "wrong mean": (GOOD + "mean = [1.0, 2.0]", "`mean` has the shape (2,)"),
    "mean of words": (GOOD + "mean = 'one'", "to give `mean` as numbers"),
    "endless log Z": (GOOD + "log_z = float('inf')", "`log_z` must be finite"),
    "draws of a wrong shape": (
        GOOD + "def draw(num, generator): return torch.zeros(num)",
        "must return a tensor (10000, 3)",
    ),
    "draws that stand still": (
        GOOD + "def draw(num, generator): return torch.zeros(num, 3)",
        "always the same",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_at_the_path(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.field == "data.path" and says in problem.message
    assert problem.message.startswith("mine.py: ")


@pytest.mark.bad_input
def test_files_that_are_no_python(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.py", tmp_path / "x.txt"):
        with pytest.raises(BadInput) as caught:
            resolve_data({"name": "energy_file", "path": str(path)}).load()
        assert caught.value.problems[0].field == "data.path"
    with pytest.raises(BadInput):
        resolve_data({"name": "energy_file"})
