"""Faults: handling of unforeseen errors in a task or thread that serves all pages.

None of them may end by it, nor in silence: the error is logged, once a kind, and the rest goes on.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import BasinError

_log = logging.getLogger(__name__)
_said: set[tuple[str, type[BaseException], str]] = set()


@contextmanager
def passed_over(doing: str) -> Iterator[None]:
    """Log whatever is raised in the block and go on behind it; `doing` names its work."""
    try:
        yield
    except Exception as error:
        say_once(doing, error)


def say_once(doing: str, error: Exception) -> None:
    """Log an error with its traceback, the first time it is raised at this place."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    kind = (doing, type(error), str(place))
    if kind not in _said:
        _said.add(kind)
        _log.error("%s failed; the rest goes on, and this is said once.", doing, exc_info=error)


def sentence(error: Exception) -> str:
    """Describe an error to a person.

    >>> sentence(OSError(5, "Input/output error"))
    'The disk: Input/output error.'
    """
    if isinstance(error, BasinError):
        return str(error)
    if isinstance(error, OSError):
        return f"The disk: {error.strerror or error}."
    return f"{type(error).__name__}: {error}. The dashboard's log has more."
