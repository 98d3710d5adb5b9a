"""Threads that never end silently: an error that ends one is logged, and its owner is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


def guarded(
    name: str, work: Callable[[], None], on_error: Callable[[BaseException], None]
) -> threading.Thread:
    """Create a daemon thread, not yet started, that calls `work` once.

    on_error: called with what ended it, in the thread, after the traceback was logged.
    """

    def guard() -> None:
        try:
            work()
        except BaseException as error:
            _log.exception("the thread `%s` ended", name)
            on_error(error)

    return threading.Thread(target=guard, name=name, daemon=True)
