"""Text as windows of characters, each beside those before it: a grammar's, or a file's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.errors import BadInput
from backend.randomness import generator_of

ADJECTIVES = ("big", "old", "red")
NOUNS = ("bird", "cat", "dog", "fox")
VERBS = ("run", "sing", "jump")
DESCRIBED, RELATED, JOINED = 0.4, 0.5, 0.3
"""Chances of an adjective, of a clause about the noun and of a second verb."""
HELD_OUT = 1 / 7
"""Share of the text, its end, that is held out."""
STRIDE = 8
"""Characters from one training window to the next; held-out windows do not overlap."""
MOST_CHARACTERS = 256
"""Different characters; rarer ones are read as OTHER."""
OTHER = "\N{REPLACEMENT CHARACTER}"
MAX_BYTES = 2**25


def phrases() -> Iterator[tuple[str, bool, float]]:
    """(text, plural, probability) of "the [adjective] noun[s]"."""
    plain = [("", 1 - DESCRIBED)]
    described = [(f"{word} ", DESCRIBED / len(ADJECTIVES)) for word in ADJECTIVES]
    for before, chance in plain + described:
        for noun in NOUNS:
            for plural in (False, True):
                share = chance / len(NOUNS) / 2
                yield f"the {before}{noun}{'s' if plural else ''}", plural, share


def sentences() -> tuple[list[str], np.ndarray]:
    """All sentences of the grammar and their probabilities (num,), in a fixed order.

    "the [adjective] noun[s] [that the [adjective] noun[s] see[s]] verb[s] [and verb[s]]. ": verbs
    agree with the first noun, across the clause, and "see" with the second.
    """
    clauses = [("", 1 - RELATED)]
    clauses += [
        (f" that {text} {'see' if plural else 'sees'}", RELATED * chance)
        for text, plural, chance in phrases()
    ]
    texts, chances = [], []
    for subject, plural, of_subject in phrases():
        verbs = [verb if plural else f"{verb}s" for verb in VERBS]
        ends = [(verb, (1 - JOINED) / len(verbs)) for verb in verbs]
        ends += [
            (f"{one} and {other}", JOINED / len(verbs) ** 2) for one in verbs for other in verbs
        ]
        for clause, of_clause in clauses:
            for end, of_end in ends:
                texts.append(f"{subject}{clause} {end}. ")
                chances.append(of_subject * of_clause * of_end)
    return texts, np.array(chances)


def entropy_rate() -> float:
    """Bits a character of the grammar's text, with all that came before known: exactly, the
    entropy of a sentence over its mean length.

    >>> round(entropy_rate(), 3)
    0.372
    """
    texts, chances = sentences()
    lengths = np.array([len(text) for text in texts])
    return float(-(chances * np.log2(chances)).sum() / (chances * lengths).sum())


class TextConfig(KindConfig):
    kind: Literal["text"] = "text"
    path: str = option(
        "",
        "A text file; empty takes sentences of a small grammar whose entropy is known.",
        main=True,
    )
    length: int = option(32, "Characters of a window.", ge=8, le=512, unit="characters", main=True)
    num_characters: int = option(
        140_000,
        "Characters of text, from its start; a seventh, at the end, is held out.",
        ge=2000,
        le=5_000_000,
        log=True,
    )
    train_share: float = option(
        1.0,
        "Share of the training text, from its start, that is trained on; what is held out stays "
        "the same.",
        gt=0,
        le=1,
        log=True,
    )
    seed: int = option(0, "Seeds the grammar's text; the run has its own.", ge=0, le=2**31 - 1)

    def derived(self) -> dict[str, str]:
        return {"seed": "No effect on a file."} if self.path else {}


class Text(Dataset):
    """Windows x of characters, each with a `context`: the character before each of them.

    So x_i is to be told from context_0 … context_i. Values are places in the alphabet, characters
    sorted by their code; Data.notes give the grammar's entropy.
    """

    Config: ClassVar[type[KindConfig]] = TextConfig
    title: ClassVar[str] = "Text, character by character"
    summary: ClassVar[str] = "Sentences of a small grammar, or a text file of your own."
    gives: ClassVar[tuple[str, ...]] = ("context",)
    discrete: ClassVar[bool] = True
    config: TextConfig

    def load(self) -> Data:
        config = self.config
        text = self._read() if config.path else self._spoken()
        text = text[: config.num_characters]
        alphabet = _alphabet(text)
        places = {character: place for place, character in enumerate(alphabet)}
        other = places.get(OTHER, 0)
        values = torch.tensor([places.get(character, other) for character in text])
        first = len(values) - int(HELD_OUT * len(values))
        used = max(config.length + 1, int(config.train_share * first))
        train = _windows(values[:used], config.length, STRIDE)
        held_out = _windows(values[first:], config.length, config.length)
        if len(held_out) < 2:
            raise BadInput.at(
                "data.path",
                f"has {len(text):,} characters, too few for windows of {config.length}; give at "
                f"least {math.ceil(2 * (config.length + 1) / HELD_OUT):,}.",
            )
        notes: tuple[str, ...] = ()
        entropy = None
        if not config.path:
            entropy = entropy_rate()
            notes = (f"its entropy is {entropy:.3f} bits a character, all before it known",)
        shape = (config.length,)
        return Data(
            name="text",
            title=Path(config.path).name if config.path else self.title,
            train=train[:, 1:].float(),
            held_out=held_out[:, 1:].float(),
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.zeros(shape),
            noise_high=torch.full(shape, len(alphabet) - 1.0),
            num_values=len(alphabet),
            alphabet=alphabet,
            entropy_rate=entropy,
            notes=notes,
            given={"context": train[:, :-1]},
            held_out_given={"context": held_out[:, :-1]},
        )

    def _spoken(self) -> str:
        """Sentences drawn one after the other."""
        texts, chances = sentences()
        generator = generator_of("text", self.config.seed)
        num = self.config.num_characters // min(len(text) for text in texts) + 1
        weights = torch.from_numpy(chances)
        drawn = torch.multinomial(weights, num, replacement=True, generator=generator)
        return "".join(texts[place] for place in drawn.tolist())

    def _read(self) -> str:
        path = Path(self.config.path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise BadInput.at("data.path", f"{path.name} is larger than {MAX_BYTES:,} bytes.")
            return path.read_text(encoding="utf-8-sig")
        except OSError as error:
            reason = f"{path.name} cannot be read: {error.strerror}."
            raise BadInput.at("data.path", reason) from error
        except UnicodeDecodeError as error:
            raise BadInput.at("data.path", f"{path.name} is no text in UTF-8.") from error


def _alphabet(text: str) -> tuple[str, ...]:
    """The characters of a text, sorted; the rarest together as OTHER where there are too many."""
    counts = Counter(text)
    if len(counts) <= MOST_CHARACTERS:
        return tuple(sorted(counts)) if len(counts) > 1 else (*sorted(counts), OTHER)
    common = [character for character, _ in counts.most_common(MOST_CHARACTERS - 1)]
    return tuple(sorted({*common, OTHER}))


def _windows(values: Tensor, length: int, stride: int) -> Tensor:
    """(num, length + 1) int64 windows of values (num_characters,)."""
    if len(values) <= length:
        return values.new_zeros(0, length + 1)
    return values.unfold(0, length + 1, stride).contiguous()
