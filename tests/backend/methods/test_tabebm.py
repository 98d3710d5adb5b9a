"""TabEBM: kernels beside a Parzen density, chains that stay of their class, and its rows judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from backend import catalogue
from backend.abilities.augment import AugmentAbility, AugmentConfig, refitted
from backend.ability import Asked
from backend.data import Data
from backend.datasets.splits import resplit, stratified
from backend.energies import Condition
from backend.energies.class_surrogates import corners
from backend.errors import NotAvailable
from backend.method import SampleRequest, Task
from backend.methods.tabebm import TabEBM
from backend.randomness import generator_of
from backend.requests import fitting


def data_of(name: str = "iris", num: int = 30) -> Data:
    return catalogue.resolve_data({"name": name, "num": num}).load()


def made(data: Data, **config: Any) -> TabEBM:
    settings = TabEBM.Config.model_validate(config)
    return TabEBM(settings, Task(data, torch.device("cpu"), generator_of("tabebm", 0)))


NETWORKS: dict[str, Any] = {
    "surrogate": {
        "kind": "network",
        "energy": {"kind": "mlp", "width": 16},
        "train": {"learning_rate": 0.01, "beta1": 0.9},
    },
    "num_chains": 8,
}


def test_the_energy_of_a_class_is_the_kernel_density_of_its_rows() -> None:
    data = data_of()
    energy = made(data).energy()
    x = data.held_out[:10]
    for label in range(3):
        rows = data.train[data.labels == label].double().numpy()
        apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        width = float(torch.from_numpy(apart.min(1)).median())
        law = [multivariate_normal(row, width**2).pdf(x.numpy()) for row in rows]
        expected = -np.log(np.mean(law, 0) * len(rows) / len(data.train))
        got = energy(x, Condition(label=torch.tensor(label)))
        near = expected < 20  # far off the corners, which the law above has not, count too
        assert near.any()
        assert got.numpy()[near] == pytest.approx(expected[near], rel=1e-3)


def test_corners_are_all_of_a_square_and_mirror_images_beyond() -> None:
    square = corners(2, generator_of("corners", 0))
    assert sorted(map(tuple, square.tolist())) == [(-5, -5), (-5, 5), (5, -5), (5, 5)]
    beyond = corners(7, generator_of("corners", 0))
    assert beyond.shape == (4, 7) and (beyond.abs() == 5).all()
    assert torch.equal(beyond[:2], -beyond[2:])


STAND_IN = {
    "__init__.py": """
import pathlib, torch
class TabPFNClassifier:
    def __init__(self, *, n_estimators, model_path, device, random_state, differentiable_input):
        assert n_estimators == 1 and differentiable_input
        self.width = float(pathlib.Path(model_path).read_text())
    def fit_with_differentiable_input(self, x, y):
        self.x, self.y = x, y
    def forward(self, x, *, use_inference_mode, return_logits):
        assert use_inference_mode and return_logits
        far = -torch.cdist(x, self.x).square() / self.width
        logits = [far[:, self.y == k].logsumexp(1) for k in (0, 1)]
        return torch.stack(logits, 1)
""",
    "model_loading.py": "def get_cache_dir():\n    return {folder!r}\n",
}


def test_tabpfn_is_refused_without_package_or_weights_and_read_where_both_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for its package: kernels whose width stands in the file of weights."""
    data, surrogate = data_of(), {"kind": "tabpfn", "weights": "own.ckpt"}
    config = TabEBM.Config.model_validate({"surrogate": surrogate})

    def objection() -> tuple[str, str]:
        (problem,) = fitting.problems(TabEBM, config, data)
        return problem

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tabpfn", None)
        field, sentence = objection()
        assert field == "surrogate.kind" and "pip install tabpfn" in sentence
        with pytest.raises(NotAvailable, match="not installed"):
            made(data, surrogate=surrogate)
    package, folder = tmp_path / "code" / "tabpfn", tmp_path / "weights"
    package.mkdir(parents=True), folder.mkdir()
    for name, text in STAND_IN.items():
        (package / name).write_text(text.replace("{folder!r}", repr(str(folder))))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    for name in ("tabpfn", "tabpfn.model_loading"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert "'own.ckpt'" in objection()[1] and str(folder) in objection()[1]
    (folder / "own.ckpt").write_text("0.5")
    assert list(fitting.problems(TabEBM, config, data)) == []
    method = made(data, surrogate=surrogate, num_chains=6)
    assert not method.trains
    x, negatives = data.held_out[:5], corners(4, generator_of("tabebm", 0))
    for label in range(3):
        rows = torch.cat([data.train[data.labels == label], negatives])
        expected = -(-torch.cdist(x, rows).square() / 0.5).logsumexp(1)
        assert torch.allclose(method.conditional_energy(label)(x), expected, atol=1e-3)
    labels = torch.arange(6) % 3
    start = x[:1].expand(6, -1).contiguous()
    z = method.draw(SampleRequest(6, labels=labels, start=start), generator_of("draw", 0))
    assert z is not None
    condition = Condition(label=labels)
    assert (method.energy()(z, condition) < method.energy()(start, condition)).all()
    for name in ("tabpfn", "tabpfn.model_loading"):
        monkeypatch.delitem(sys.modules, name)


def test_a_row_moves_down_the_energy_of_its_own_class_and_stays_near_it() -> None:
    data = data_of()
    method = made(data)
    labels = torch.arange(300) % 3
    start = method._rows(labels, generator_of("start", 0))
    request = SampleRequest(300, labels=labels, start=start)
    z = method.draw(request, generator_of("draw", 0))
    assert z is not None
    condition = Condition(label=labels)
    fallen = method.energy()(start, condition) - method.energy()(z, condition)
    assert fallen.mean() > 0.15 and (fallen > -0.05).all()
    centres = torch.stack([data.train[data.labels == label].mean(0) for label in range(3)])
    assert (torch.cdist(z, centres).argmin(1) == labels).float().mean() > 0.85


def test_chains_in_a_batch_do_not_answer_for_each_other() -> None:
    """Steps do not shrink with the number of rows drawn."""
    method = made(data_of(), sampler={"kind": "langevin", "step_size": 0.1, "noise_scale": 1e-6})
    start = method._rows(torch.arange(6) % 3, generator_of("start", 0))
    request = SampleRequest(6, labels=torch.arange(6) % 3, start=start)
    together = method.draw(request, generator_of("draw", 0))
    alone = method.draw(request.rows(torch.tensor([4])), generator_of("draw", 0))
    assert together is not None and alone is not None
    assert torch.allclose(together[4], alone[0], atol=1e-3)


def test_networks_learn_to_tell_rows_from_corners_and_one_shared_network_classes() -> None:
    data = data_of()
    method = made(data, **NETWORKS)
    first = method.step(0.0)["loss/total"]
    last = [method.step(index / 60)["loss/total"] for index in range(60)][-1]
    assert method.trains and last < 0.5 * first
    shared = made(data, surrogate={**NETWORKS["surrogate"], "shared": True}, num_chains=8)
    for index in range(60):
        shared.step(index / 60)
    energies = torch.stack(
        [shared.conditional_energy(label)(data.held_out) for label in range(3)], 1
    )
    assert (energies.argmin(1) == data.held_out_labels).float().mean() > 0.8


def test_images_and_data_without_classes_are_refused() -> None:
    for name, words in (("digits", "holds images"), ("ring", "has no classes")):
        data = catalogue.resolve_data({"name": name}).load()
        ((field, sentence),) = fitting.problems(TabEBM, TabEBM.Config(), data)
        assert field == "data.name" and sentence.startswith(words)


# ---------------------------------------------------------------------- splits and rows judged


def test_a_split_anew_keeps_every_row_once_and_is_standardised_by_its_own_rows() -> None:
    data = data_of("wine", 20)
    again = resplit(data, 20, np.random.default_rng(3))
    assert len(again.train) == 20 and len(again.held_out) == len(data.held_out)
    assert again.train.mean(0).abs().max() < 1e-5
    both = [
        torch.cat([part.restore(part.train), part.restore(part.held_out)]) for part in (data, again)
    ]
    left, right = (part[part[:, 12].argsort(stable=True)].sum(0) for part in both)
    assert torch.allclose(left, right)
    assert again.columns == data.columns and set(again.labels.tolist()) == {0, 1, 2}


def test_a_class_has_its_share_of_a_split_and_two_rows_at_least() -> None:
    labels = np.repeat([0, 1, 2], [80, 17, 3])
    rows = stratified(labels, np.arange(100), 10, np.random.default_rng(0))
    assert len(set(rows)) == 10 and np.bincount(labels[rows]).tolist() == [6, 2, 2]
    with pytest.raises(ValueError, match="less than two"):
        stratified(labels, np.arange(100), 5, np.random.default_rng(0))


def test_a_method_fitted_anew_knows_nothing_of_the_rows_before() -> None:
    data = data_of()
    method = made(data)
    other = replace(data, train=data.held_out, labels=data.held_out_labels)
    again = refitted(method, other, 5, generator_of("anew", 0))
    assert isinstance(again, TabEBM)
    fresh = made(other)
    x = data.train[:5]
    assert torch.allclose(again.energy()(x), fresh.energy()(x))
    assert not torch.allclose(again.energy()(x), method.energy()(x))


def test_rows_come_with_their_classes_and_their_worth_with_its_error() -> None:
    data = data_of()
    asked = Asked(made(data), data, 0)
    config = AugmentConfig(num=30, num_splits=2)
    answer = AugmentAbility.answer(asked, config, generator_of("augment", 0))
    assert answer.arrays["x"].shape == (30, 4)
    assert np.bincount(answer.arrays["label"]).tolist() == [10, 10, 10]
    points = next(event for event in answer.events if event.kind == "points")
    assert points.axes == data.columns and points.labels is not None
    figures = answer.figures
    both = figures["balanced_accuracy"] - figures["balanced_accuracy/real"]
    assert figures["gain"] == pytest.approx(both)
    assert {"gain/smote", "gain/jitter", "gain/start_rows", "gain_error"} <= set(figures)
    assert figures["nearest_real"] < figures["nearest_real/floor"]


def test_what_makes_no_rows_is_refused_at_its_field() -> None:
    data = data_of()
    asked = Asked(made(data), data, 0)
    said = dict(AugmentAbility.problems(asked, AugmentConfig(label="tulip")))
    assert "one of setosa" in said["label"]
    said = dict(AugmentAbility.problems(asked, AugmentConfig(label="setosa", num_splits=2)))
    assert "must be `each`" in said["label"]
    ring = catalogue.resolve_data({"name": "ring"}).load()
    said = dict(AugmentAbility.problems(replace(asked, data=ring), AugmentConfig()))
    assert "have none" in said["label"]
