"""Which settings can be turned, by what rules."""

from __future__ import annotations

import pytest
import torch

from backend.config import check_turn, turnable
from backend.errors import BadInput
from backend.methods.contrastive_divergence import ContrastiveDivergenceConfig
from backend.spec import RunSpec
from backend.training import TrainConfig
from jobs.models.method_setup import Prepared, prepare

CPU = torch.device("cpu")
CONFIG = ContrastiveDivergenceConfig(chains="persistent")


def set_up(**config: object) -> Prepared:
    config = {"buffer_size": 64, "num_steps": 2, "train": {"batch_size": 16}, **config}
    data = {"name": "ring", "num": 100, "num_held_out": 100}
    spec = RunSpec(method="contrastive_divergence", data=data, config=config, seed=2)
    return prepare(spec, CPU, None)


def test_what_can_be_turned_is_what_a_step_reads() -> None:
    names = set(turnable(CONFIG))
    assert {"train.learning_rate", "sampler.step_size", "sampler.noise_scale"} <= names
    assert {"reinit_rate", "data_noise", "energy_l2", "num_steps"} <= names
    assert not names & {"buffer_size", "energy.width", "train.batch_size", "train.ema_decay"}


def test_a_field_without_effect_beside_the_others_cannot_be_turned() -> None:
    assert "reinit_rate" not in turnable(ContrastiveDivergenceConfig(chains="data"))
    assert "gradient_clip" not in turnable(TrainConfig(optimiser="normalised"))


def test_a_field_may_be_named_by_its_last_part_where_that_is_one_fields() -> None:
    known = turnable(CONFIG)
    given = {"config.train.learning_rate": 0.1, "noise_scale": 0.5, "num_steps": 3.0}
    expected = {"train.learning_rate": 0.1, "sampler.noise_scale": 0.5, "num_steps": 3}
    assert check_turn(known, given) == expected
    with pytest.raises(BadInput, match="cannot be turned"):
        check_turn(known, {"gradient_clip": 1.0})  # of the sampler, or of the fitter


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning_rate": -1}, "`train.learning_rate`: must be ≥ 0, got -1"),
        ({"step_size": 1e9}, "`sampler.step_size`: must be ≤ 100, got 1000000000"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"learning_rate": "much"}, "got 'much'"),
        ({"learning_rate": True}, "must be a number, got True"),
        ({"num_steps": 2.5}, "`num_steps`"),
        ({"energy.width": 64}, "`train.learning_rate`, "),
    ],
)
def test_a_value_is_checked_by_the_rule_of_its_field(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInput, match=words.replace("(", r"\(")):
        check_turn(turnable(CONFIG), settings)


def test_a_turn_that_does_not_fit_the_other_fields_changes_nothing() -> None:
    run = set_up(
        sampler={"kind": "sghmc", "step_size": 0.1, "friction": 5.0, "noise_estimate": 0.0}
    )
    with pytest.raises(BadInput, match="at most 1"):
        run.method.turn({"sampler.step_size": 0.9})
    assert run.method.turned == {} and run.method.setting("sampler.step_size") == 0.1
    assert run.method.turn({"sampler.step_size": 0.15}) == {"sampler.step_size": (0.1, 0.15)}


def test_a_learning_rate_of_zero_freezes_the_weights_and_turned_back_they_move() -> None:
    method = set_up().method
    method.step(0.0)
    method.turn({"train.learning_rate": 0.0})
    network = method.modules()
    weights = [each for module in network for each in module.parameters() if each.requires_grad]
    before = [each.detach().clone() for each in weights]
    assert len(before) > 3
    for progress in (0.1, 0.5, 0.95):
        assert float(method.step(progress)["optimiser/learning_rate"]) == 0
    assert all(torch.equal(one, two) for one, two in zip(before, weights, strict=True))
    method.turn({"train.learning_rate": 0.01})
    method.step(0.96)
    assert not all(torch.equal(one, two) for one, two in zip(before, weights, strict=True))


def test_the_rate_of_an_initializer_is_turned_apart_from_that_of_the_energy() -> None:
    data = {"name": "ring", "num": 100, "num_held_out": 100}
    config = {"train": {"batch_size": 16}, "num_steps": 2}
    spec = RunSpec(method="recovery_likelihood", preset="cooperative", data=data, config=config)
    method = prepare(spec, CPU, None).method
    method.turn({"initializer.learning_rate": 0.0, "train.weight_decay": 0.25})
    fitters = method.fitter.config, method.initializer_fitter.config  # type: ignore[attr-defined]
    assert [each.learning_rate > 0 for each in fitters] == [True, False]
    assert [each.weight_decay for each in fitters] == [0.25, 0.25]
