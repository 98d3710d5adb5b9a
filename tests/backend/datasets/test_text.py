"""Text: the grammar and its entropy, windows beside the characters before, and a person's file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.datasets.text import OTHER, entropy_rate, sentences
from backend.errors import BadInput


def load(**fields: Any) -> Data:
    return resolve_data({"name": "text", **fields}).load()


def read(data: Data, values: torch.Tensor) -> str:
    return "".join(data.alphabet[int(value)] for value in values)


def binary(share: float) -> float:
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def test_the_entropy_is_that_of_the_choices_a_sentence_makes() -> None:
    """Every sentence can be read in one way, so its choices are its entropy: a chain rule beside
    the sum over all sentences."""
    texts, chances = sentences()
    assert len(set(texts)) == len(texts) and chances.sum() == pytest.approx(1, abs=1e-12)
    phrase = binary(0.4) + 0.4 * math.log2(3) + math.log2(4) + 1
    bits = phrase + binary(0.5) + 0.5 * phrase + math.log2(3) + binary(0.3) + 0.3 * math.log2(3)
    mean_length = float((chances * np.array([len(text) for text in texts])).sum())
    assert entropy_rate() == pytest.approx(bits / mean_length, rel=1e-12)


def test_verbs_agree_with_the_first_noun_across_the_clause() -> None:
    texts = set(sentences()[0])
    assert "the big cat that the old dogs see runs and sings. " in texts
    assert "the big cats that the old dog sees run. " in texts
    assert "the big cat that the old dogs see run. " not in texts
    assert "the cats that the dogs sees run. " not in texts


def test_each_character_stands_beside_the_one_before_it() -> None:
    data = load(num_characters=7000, length=16)
    assert data.num_values == len(data.alphabet) == 22 and data.event_shape == (16,)
    context = data.given["context"]
    assert torch.equal(context[:, 1:], data.train[:, :-1].long())
    text = read(data, torch.cat([context[0, :1], data.train[0]]))
    assert text.startswith("the ") and data.notes[0].startswith("its entropy is 0.372 bits")
    # the held-out end of the text, window after window
    assert len(data.held_out) == (1000 - 17) // 16 + 1
    again, other = load(num_characters=7000, length=16), load(num_characters=7000, seed=1)
    assert torch.equal(again.train, data.train) and read(other, other.train[0]) != text


def test_a_text_file_is_read_with_its_rarest_characters_as_one(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("Ein Haus. " * 300)
    data = load(path=str(path))
    assert data.alphabet == tuple(sorted(set("Ein Haus. "))) and data.entropy_rate is None
    assert data.title == "own.txt" and read(data, data.train[0]) == ("in Haus. E" * 4)[:32]
    strange = "".join(chr(0x4E00 + index) for index in range(400))
    path.write_text(strange + "ab" * 2000)
    many = load(path=str(path))
    assert many.num_values == 256 and OTHER in many.alphabet and "a" in many.alphabet


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\xff\xfe\xfa\xfb" * 900, "no text in UTF-8"), (b"short", "too few for windows of 32")],
)
def test_a_file_that_is_no_such_text_is_refused(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "own.txt"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        load(path=str(path))
    with pytest.raises(BadInput, match="cannot be read"):
        load(path=str(tmp_path / "none.txt"))


def test_a_share_of_the_text_is_its_start_and_what_is_held_out_stays() -> None:
    whole, part = load(num_characters=8000), load(num_characters=8000, train_share=0.25)
    assert torch.equal(whole.held_out, part.held_out) and whole.alphabet == part.alphabet
    assert len(part.train) == pytest.approx(0.25 * len(whole.train), abs=4)
    assert torch.equal(part.train, whole.train[: len(part.train)])
    assert len(load(num_characters=2000, train_share=1e-6).train) == 1
