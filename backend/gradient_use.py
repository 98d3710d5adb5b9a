"""Purpose of a gradient, which a compiled network must know before it is taken through it.

A compiled piece brings its own backward pass, made when the forward pass is compiled: it cannot be
differentiated again, and it computes the gradient of every weight, asked for or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Purpose = Literal["any", "positions", "twice"]
_purpose: ContextVar[Purpose] = ContextVar("purpose", default="any")


def purpose() -> Purpose:
    """Purpose of the gradient of what is computed now."""
    return _purpose.get()


@contextmanager
def differentiated(what: Purpose) -> Iterator[None]:
    """Energies computed inside are differentiated in `positions` alone, or `twice`."""
    token = _purpose.set(what)
    try:
        yield
    finally:
        _purpose.reset(token)
