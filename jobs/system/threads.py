"""Threads that never end in silence: what ends one is logged, and its owner is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


def guarded(
    name: str, work: Callable[[], None], told: Callable[[BaseException], None]
) -> threading.Thread:
    """A daemon thread, not yet started, that calls `work` once; `told` is called with whatever
    ended it, in the thread, after the traceback was logged."""

    def guard() -> None:
        try:
            work()
        except BaseException as error:
            _log.exception("the thread `%s` ended", name)
            told(error)

    return threading.Thread(target=guard, name=name, daemon=True)
