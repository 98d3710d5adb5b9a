"""Contracts that every method, sampler, energy and data set keeps, one function each.

`tests/test_contracts.py` walks them over all that the package defines, `basin check` over what one
file does. A function takes the id of a part, and for a method a preset and fields over it, and
raises `Unkept` with a sentence. Imports torch.
"""

from __future__ import annotations


class Unkept(AssertionError):
    """A contract that a part does not keep, in a sentence."""


def need(holds: object, sentence: str) -> None:
    """Raise `Unkept` with the sentence where something does not hold."""
    if not holds:
        raise Unkept(sentence)
