"""Data: rows with all that is known of them, standardised again as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.catalogue import given_problems, resolve_data
from backend.data import Data
from backend.methods.denoising_score_matching import DenoisingScoreMatching


def pairs() -> Data:
    """Three labelled rows and one held out, each with a context that is an event and a mask."""
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    known = {"context": x + 1, "mask": torch.tensor([[True, False]] * 3)}
    return Data(
        name="pairs",
        title="Pairs",
        train=x,
        held_out=x[:1],
        mean=torch.zeros(2),
        scale=torch.ones(2),
        noise_low=torch.zeros(2),
        noise_high=torch.ones(2),
        labels=torch.tensor([0, 1, 1]),
        held_out_labels=torch.tensor([0]),
        given=known,
        held_out_given={name: value[:1] for name, value in known.items()},
    )


def test_rows_come_with_their_label_and_what_is_given() -> None:
    rows = pairs().rows(torch.tensor([2, 0]))
    assert rows.x.tolist() == [[4, 5], [0, 1]] and rows.label is not None
    assert rows.label.tolist() == [1, 0]
    assert torch.equal(rows.given["context"], rows.x + 1)
    assert rows.given["mask"].shape == (2, 2)
    held_out = pairs().held_out_rows(slice(0, 5))
    assert held_out.x.shape == (1, 2) and held_out.given["context"].tolist() == [[1, 2]]
    assert replace(pairs(), labels=None).rows(slice(0, 2)).label is None


def test_events_that_are_given_are_standardised_again_with_the_data_and_masks_are_not() -> None:
    data = pairs().rescaled({"mean": [1.0, 1.0], "scale": [2.0, 4.0]})
    assert torch.allclose(data.restore(data.train), pairs().train)
    assert torch.allclose(data.restore(data.given["context"]), pairs().train + 1)
    assert torch.allclose(data.restore(data.held_out_given["context"]), pairs().held_out + 1)
    assert torch.equal(data.given["mask"], pairs().given["mask"])


def test_what_is_given_moves_with_the_data() -> None:
    data = pairs().to(torch.device("meta"))
    moved = [data.train, *data.given.values(), *data.held_out_given.values()]
    assert {value.device.type for value in moved} == {"meta"}


def test_fewer_digits_are_of_all_classes_and_the_held_out_ones_stay() -> None:
    few, whole = (
        resolve_data({"name": "digits", **fields}).load() for fields in ({"num_train": 100}, {})
    )
    assert few.labels is not None and whole.labels is not None
    assert len(few.train) == 100 and few.labels.bincount().tolist() == pytest.approx(
        [10] * 10, abs=1
    )
    assert torch.equal(few.held_out, whole.held_out)
    among = (few.train[:, None] == whole.train[None]).flatten(2).all(2).any(1)
    assert among.all() and len(whole.train) == 1257


def test_digits_in_bits_are_those_of_the_grey_ones_above_the_threshold() -> None:
    grey = resolve_data({"name": "digits"}).load()
    for threshold in (8, 12):
        bits = resolve_data({"name": "binary_digits", "threshold": threshold}).load()
        assert bits.num_values == 2 and bits.is_image and bits.held_out_labels is not None
        for part in ("train", "held_out"):
            levels = 8 * (getattr(grey, part) + 1)
            assert torch.equal(getattr(bits, part), (levels >= threshold).float())
        assert torch.equal(bits.held_out_labels, grey.held_out_labels)


def test_noisy_digits_are_as_far_from_the_clean_ones_as_their_noise() -> None:
    data = resolve_data({"name": "digits_denoising", "noise": 0.5, "num_copies": 3}).load()
    clean = resolve_data({"name": "digits"}).load()
    assert torch.equal(data.held_out, clean.held_out) and len(data.train) == 3 * len(clean.train)
    for context, x in (
        (data.given["context"], data.train),
        (data.held_out_given["context"], data.held_out),
    ):
        assert float((context - x).std()) == pytest.approx(0.5, rel=0.01)


def test_a_method_that_needs_what_data_do_not_give_is_told_which_do() -> None:
    class Predictor(DenoisingScoreMatching):
        title = "Predictor"
        needs = ("context",)

    [(field, sentence)] = given_problems(Predictor, resolve_data({"name": "ring"}).load())
    assert field == "data.name"
    assert "gives no `context`" in sentence and "`digits_denoising`" in sentence
    assert given_problems(Predictor, resolve_data({"name": "digits_denoising"}).load()) == []
    assert given_problems(DenoisingScoreMatching, resolve_data({"name": "ring"}).load()) == []
