"""Formulas of several laws, such as `(a and b) or c`: read, checked, written and made an energy.

And is a product, exp(−Σ w E); or is a mixture, Σ share exp(−E) / Z; not, within an `and`, divides:
its energy is taken away, by no more weight than stands beside it. Hinton 2002; Du, Li & Mordatch
2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase as LETTERS
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.energy import Energy
from backend.requests.conditional_sampling import Sum

JOINS = ("and", "or")


@dataclass(frozen=True)
class Formula:
    """A part, by its number, or formulas that are joined."""

    join: str
    """part, and, or, not"""
    of: tuple[Formula, ...] = ()
    part: int = 0

    @property
    def parts(self) -> set[int]:
        """Numbers of the parts that it names."""
        return {self.part} if self.join == "part" else set().union(*(f.parts for f in self.of))

    def has(self, join: str) -> bool:
        return self.join == join or any(inner.has(join) for inner in self.of)


class Law(NamedTuple):
    """One of the laws that a formula speaks of."""

    name: str
    energy: Energy
    """of standardised positions"""
    data: Tensor
    """(num, *event_shape), positions of its own law, standardised alike"""
    label: int | None = None
    """the class of the run that it is, if it is one"""


class Mixture(Energy):
    """−log Σ share exp(−E(z) − log Z), a mixture of normalised laws."""

    def __init__(self, parts: Sequence[Energy], log_weights: Tensor) -> None:
        super().__init__()
        self.parts, self.log_weights = nn.ModuleList(parts), log_weights
        """log share − log Z"""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        values = torch.stack([part(x) for part in self.parts], 1)
        return -(self.log_weights.to(values) - values).logsumexp(1)


# ---------------------------------------------------------------------- reading and writing


def read(text: str, num: int) -> Formula:
    """The formula of a text about `num` parts, a the first; a bare `and` or `or` joins all of them.

    Not binds closest, then and. Raises ValueError with a sentence that goes on from the field.

    >>> in_words(read("a and (b or not c)", 3), [1, 0.5, 2])
    'a and (0.5 b or not 2 c)'
    """
    if (word := text.strip().lower()) in JOINS:
        return Formula(word, tuple(Formula("part", part=index) for index in range(num)))
    words = re.findall(r"[()]|[^\s()]+", text.lower())
    formula, rest = _read_join(words, num, "or")
    if rest:
        raise ValueError(f"cannot be read from `{' '.join(rest)}` on; {_grammar(num)}")
    return formula


def _read_join(words: list[str], num: int, join: str) -> tuple[Formula, list[str]]:
    """The formula that `join` joins at the start of the words, and the words after it."""
    joined: list[Formula] = []
    while True:
        inner, words = _read_join(words, num, "and") if join == "or" else _read_one(words, num)
        # brackets within an `and` change nothing; within an `or` they change the shares
        joined += inner.of if join == inner.join == "and" else (inner,)
        if words[:1] != [join]:
            return (joined[0] if len(joined) == 1 else Formula(join, tuple(joined))), words
        words = words[1:]


def _read_one(words: list[str], num: int) -> tuple[Formula, list[str]]:
    if not words:
        raise ValueError(f"ends where a part is missing; {_grammar(num)}")
    word, rest = words[0], words[1:]
    if word == "not":
        inner, rest = _read_one(rest, num)
        return Formula("not", (inner,)), rest
    if word == "(":
        inner, rest = _read_join(rest, num, "or")
        if rest[:1] != [")"]:
            raise ValueError(f"has a bracket that is not closed; {_grammar(num)}")
        return inner, rest[1:]
    if word not in LETTERS[:num]:
        raise ValueError(f"knows no part `{word}`; {_grammar(num)}")
    return Formula("part", part=LETTERS.index(word)), rest


def _grammar(num: int) -> str:
    last = LETTERS[min(num, len(LETTERS)) - 1]
    return (
        f"it takes the parts a to {last}, `and`, `or`, `not` and brackets, and their weights stand "
        "in `weights`."
    )


def in_words(formula: Formula, weights: Sequence[float]) -> str:
    """The formula with every weight that is not 1 before its part."""
    if formula.join == "part":
        weight = weights[formula.part]
        name = LETTERS[formula.part] if formula.part < len(LETTERS) else f"#{formula.part + 1}"
        return name if weight == 1 else f"{weight:g} {name}"
    texts = [in_words(inner, weights) for inner in formula.of]
    texts = [
        f"({text})" if inner.join in JOINS else text
        for text, inner in zip(texts, formula.of, strict=True)
    ]
    return f"not {texts[0]}" if formula.join == "not" else f" {formula.join} ".join(texts)


# ---------------------------------------------------------------------- what makes a law


def problems(
    formula: Formula, weights: Sequence[float], classes: Sequence[bool]
) -> Iterator[tuple[str, str]]:
    """(`how` or `weights`, sentence) about a formula that is no law; classes: which parts are
    classes of one run, whose whole law stands beside them in an `and`."""
    if unnamed := sorted(set(range(len(weights))) - formula.parts):
        yield "how", f"names no {LETTERS[unnamed[0]]}: say where it stands, or leave that part out."
    yield from _no_laws(formula, weights, classes)


def _no_laws(
    formula: Formula, weights: Sequence[float], classes: Sequence[bool]
) -> Iterator[tuple[str, str]]:
    if formula.join == "part":
        return
    for inner in formula.of:
        if inner.join == "not" and formula.join != "and":
            yield (
                "how",
                f"has `{in_words(inner, weights)}` alone, which is no law: exp(+E) grows without "
                "end. Say what is left: `a and not b`.",
            )
        else:
            yield from _no_laws(inner, weights, classes)
    if formula.join == "not":
        return
    terms = _terms(formula, weights)
    stays = sum(weight for _, weight in terms if weight > 0)
    taken = -sum(weight for _, weight in terms if weight < 0)
    if any(_is_conditional(inner, classes) for inner, _ in terms):
        stays += formula.join == "and"
    words = in_words(formula, weights)
    if stays <= 0 and taken <= 0:
        yield "weights", f"are all 0 in `{words}`; one at least must be more."
    elif stays <= 0:
        yield (
            "how",
            f"has `{words}`, which leaves nothing beside what it takes away: `a and not b`.",
        )
    elif taken > stays:
        yield (
            "weights",
            f"take {taken:g} away from {stays:g} in `{words}`. What `not` takes away may weigh at "
            "most what stands beside it: else the energy does not fall off.",
        )


def _terms(formula: Formula, weights: Sequence[float]) -> list[tuple[Formula, float]]:
    """Formulas that are joined and their weights, below 0 where taken away; a bracket weighs 1."""
    terms = []
    for outer in formula.of:
        inner = outer.of[0] if outer.join == "not" else outer
        weight = weights[inner.part] if inner.join == "part" else 1.0
        terms.append((inner, -weight if outer.join == "not" else weight))
    return terms


def _is_conditional(formula: Formula, classes: Sequence[bool]) -> bool:
    return all(classes[part] for part in formula.parts)


def flat(formula: Formula, weights: Sequence[float]) -> list[tuple[int, float]] | None:
    """(part, weight) of an `and` of parts alone, below 0 where one is negated; None of others."""
    if formula.join != "and":
        return None
    terms = _terms(formula, weights)
    if any(inner.join != "part" for inner, _ in terms):
        return None
    return [(inner.part, weight) for inner, weight in terms]


# ---------------------------------------------------------------------- its energy

LogZ = Callable[[Energy, Tensor, str], float]
"""log Z of an energy, given positions of its laws (num, *event_shape), and its name in words."""


def energy_of(
    formula: Formula, weights: Sequence[float], laws: Sequence[Law], whole: Energy, log_z: LogZ
) -> Energy:
    """The energy of a formula without problems, of standardised positions.

    whole: E of the run that classes are of: in an `and` they say E + Σ w (E(· | label) − E).
    log_z: asked of every member of an `or`, and of nothing else.
    """
    if formula.join == "part":
        return laws[formula.part].energy
    terms = [(inner, weight) for inner, weight in _terms(formula, weights) if weight != 0]
    each = [energy_of(inner, weights, laws, whole, log_z) for inner, _ in terms]
    shares = [weight for _, weight in terms]
    if formula.join == "or":
        logs = [
            log_z(
                energy,
                torch.cat([laws[part].data for part in sorted(inner.parts)]),
                in_words(inner, [1.0] * len(laws) if inner.join == "part" else weights),
            )
            for energy, (inner, _) in zip(each, terms, strict=True)
        ]
        return Mixture(each, (torch.tensor(shares) / sum(shares)).log() - torch.tensor(logs))
    classes = [law.label is not None for law in laws]
    conditional = [weight for inner, weight in terms if _is_conditional(inner, classes)]
    rest = 1 - sum(conditional)
    if conditional and rest != 0:
        return Sum([*each, whole], [*shares, rest])
    return Sum(each, shares)
