"""Interruption: a block of the main thread that another thread may end in the middle.

For what has no steps at which to ask, such as a long question or a look. The one who wants the end
sends this process SIGUSR1; the handler, once set, stays, and outside the block does nothing.
"""

from __future__ import annotations

import signal
import threading


class LeftOff(BaseException):
    """Signal that nobody waits any more for what is being done.

    No `except Exception` may swallow it.
    """


class Interruption:
    """Context manager of a block that may be left off; `end` ends it, once, from any thread.

    A block may hold others, which end with it.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._is_open = False
        self._thread: int | None = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._thread = threading.get_ident()
            signal.signal(signal.SIGUSR1, self._on_signal)
        self._depth += 1
        self._is_open = self._is_open or self._depth == 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        self._is_open = self._is_open and self._depth > 0

    def end(self) -> None:
        """Raise LeftOff in the block; nothing happens outside it, or outside the main thread."""
        if self._is_open and self._thread is not None:
            signal.pthread_kill(self._thread, signal.SIGUSR1)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._is_open:
            self._is_open = False
            raise LeftOff
