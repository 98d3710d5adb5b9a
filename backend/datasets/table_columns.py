"""Choosing the columns of a table that are learned, and the one that holds the classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from backend.datasets import class_labels, concept_columns
from backend.datasets.concept_columns import Concepts
from backend.datasets.dialects import LABEL_NAMES
from backend.datasets.reading import Array, Choice, Piece, Source, bad, filled
from backend.errors import BadInput

_MOST_NAMED = 12


class Taken(NamedTuple):
    """Places of the columns that are learned, and of the classes."""

    places: tuple[int, ...]
    label: int | None
    notes: tuple[str, ...] = ()
    guessed: bool = False
    """True for classes that nobody asked for"""
    concepts: tuple[int, ...] = ()
    """places of the columns that hold concepts"""


def choose(
    name: str,
    titles: Mapping[int, str],
    words: Collection[int],
    whole: Collection[int],
    choice: Choice,
) -> Taken:
    """Columns to learn out of `titles` (place to name), of which those in `words` hold words and
    those in `whole` whole numbers.

    Without a choice all columns of numbers are learned but concepts; a column named label, labels
    or class, or the only one of words, holds the classes. Raises BadInput.
    """
    concepts = tuple(_at(name, each, titles, "concepts") for each in choice.concepts)
    for at in concepts:
        if concepts.count(at) > 1:
            raise BadInput.at("data.concepts", f"column “{titles[at][:60]}” is named twice.")
    wanted = [_at(name, each, titles, "columns") for each in choice.columns]
    if choice.label:
        wanted.append(_at(name, choice.label, titles, "label"))
    if both := [at for at in concepts if at in wanted]:
        raise BadInput.at(
            "data.concepts",
            f"column “{titles[both[0]][:60]}” is learned, or holds the classes; a column has one "
            "use. Name it once.",
        )
    others = {at: title for at, title in titles.items() if at not in concepts}
    if concepts and not others:
        raise BadInput.at("data.concepts", f"leave no column of {name} to learn.")
    words, whole = ([at for at in places if at in others] for places in (words, whole))
    return _choose(name, others, words, whole, choice)._replace(concepts=concepts)


def _choose(
    name: str,
    titles: Mapping[int, str],
    words: Collection[int],
    whole: Collection[int],
    choice: Choice,
) -> Taken:
    """`choose` among columns that are no concepts."""
    label = _at(name, choice.label, titles, "label") if choice.label else None
    if choice.columns:
        places = tuple(_at(name, each, titles, "columns") for each in choice.columns)
        for at in places:
            if places.count(at) > 1 or at == label:
                reason = "is named twice" if at != label else "holds the classes"
                raise BadInput.at("data.columns", f"column “{titles[at][:60]}” {reason}.")
            if at in words:
                raise BadInput.at(
                    "data.columns", f"column “{titles[at][:60]}” holds words; numbers are needed."
                )
        return Taken(places, label)
    places = tuple(at for at in titles if at not in words and at != label)
    others = [at for at in words if at != label]
    if label is None and others and len(others) == 1:
        label = others[0]
        places = tuple(at for at in titles if at != label)
        return _guessed(name, places, label, titles)
    if label is None and not others:
        named = [at for at in whole if titles[at].lower() in LABEL_NAMES and len(places) > 1]
        if len(named) == 1:
            places = tuple(at for at in places if at != named[0])
            return _guessed(name, places, named[0], titles)
    if others:
        raise words_refused(name, [titles[at] for at in others], [titles[at] for at in places])
    if not places:
        raise bad(f"{name} has no column of numbers.")
    return Taken(places, label)


def of_array(name: str, source: Source, choice: Choice) -> Source:
    """The chosen columns of an array (n, d), named by their places from 1. Raises BadInput."""
    chosen = {"columns": choice.columns, "label": choice.label, "concepts": choice.concepts}
    if source.concepts:  # an array of their own
        del chosen["concepts"]
    if not any(chosen.values()):
        return source
    if len(source.shape) != 2:
        field = next(field for field, names in chosen.items() if names)
        raise BadInput.at(f"data.{field}", f"is for tables; {name} holds images. Clear it.")
    num, width = source.shape
    titles = {at: str(at + 1) for at in range(width)}
    if source.concepts:
        choice = replace(choice, concepts=())
    taken = choose(name, titles, (), (), choice)

    def pieces(places: Sequence[int]) -> Iterator[Piece]:
        for piece in source.pieces():
            if piece.axis == 0:
                yield Piece(piece.start, piece.values[:, list(places)])
            else:
                yield Piece(0, filled(source, source.shape)[:, list(places)])
                return

    def labels(num_rows: int) -> class_labels.Labels | str:
        at = taken.label
        if at is None:
            return source.labels(num_rows) if source.labels else ""
        column = np.concatenate([piece.values[:, 0] for piece in pieces([at])])
        return classes_of(name, list(titles.values()), column, num_rows, taken)

    def concepts() -> Concepts:
        columns = np.concatenate([piece.values for piece in pieces(taken.concepts)])
        return concept_columns.of_cells([*columns.T], [titles[at] for at in taken.concepts])

    columns = tuple(titles[at] for at in taken.places)
    return Source(
        source.dtype,
        (num, len(columns)),
        lambda: pieces(taken.places),
        columns,
        labels,
        concepts=concepts if taken.concepts else source.concepts,
    )


def words_refused(name: str, words: Sequence[str], numbers: Sequence[str]) -> BadInput:
    """The refusal of columns that hold words."""
    named = ", ".join(f"“{each[:40]}”" for each in words[:_MOST_NAMED])
    rest = ", ".join(each[:40] for each in numbers[:_MOST_NAMED])
    columns = "column" if len(words) == 1 else "columns"
    holds = "holds" if len(words) == 1 else "hold"
    more = ", …" if len(numbers) > _MOST_NAMED else ""
    advice = f"Name those to learn in data.columns ({rest}{more})" if rest else "Remove them"
    return bad(
        f"{columns} {named} of {name} {holds} string values or words; numbers are needed. "
        f"{advice}, and the one that holds the classes, if any, in data.label."
    )


def classes_of(
    name: str, titles: Sequence[str], column: Array, num_rows: int, taken: Taken
) -> class_labels.Labels:
    """Classes of the rows by the column that was taken for them. Raises BadInput."""
    assert taken.label is not None
    labels = class_labels.of(column, num_rows)
    if not isinstance(labels, str) and (len(labels[1]) > 1 or not taken.guessed):
        return labels
    reason = labels if isinstance(labels, str) else f"is “{labels[1][0][:40]}” in every row"
    title = titles[taken.label][:60]
    if not taken.guessed:
        raise BadInput.at(
            "data.label", f"column “{title}” of {name} holds no classes: it {reason}."
        )
    rest = ", ".join(titles[place][:40] for place in taken.places[:_MOST_NAMED])
    raise bad(
        f"column “{title}” holds string values and no classes: it {reason}. Name the columns of "
        f"{name} to learn in data.columns ({rest})."
    )


def _guessed(name: str, places: tuple[int, ...], label: int, titles: Mapping[int, str]) -> Taken:
    if not places:
        raise bad(f"{name} has no column of numbers: “{titles[label][:60]}” holds words.")
    note = f"column “{titles[label][:60]}” holds the classes of the rows"
    return Taken(places, label, (note,), guessed=True)


def _at(name: str, wanted: str, titles: Mapping[int, str], field: str) -> int:
    """Place of a column by its name, else by its number from 1. Raises BadInput."""
    for at, title in titles.items():
        if title == wanted:
            return at
    if wanted.isdigit() and int(wanted) - 1 in titles:
        return int(wanted) - 1
    names = ", ".join(title[:40] for title in list(titles.values())[:_MOST_NAMED])
    more = ", …" if len(titles) > _MOST_NAMED else ""
    raise BadInput.at(
        f"data.{field}", f"{name} has no column “{wanted[:60]}”; it has {names}{more}."
    )
