"""Alarms of a run: conditions a person should look at, as its status repeats them."""

from __future__ import annotations

import threading
from typing import Any

_MOST = 20


class Alarms:
    """Alarms by path, the newest last. Calls are safe from any thread."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def add(self, path: str, message: str, step: int) -> bool:
        """Add an alarm; returns True for the first one under its path."""
        with self._lock:
            is_new = self._by_path.pop(path, None) is None
            self._by_path[path] = {"path": path, "message": message, "step": step}
        return is_new

    def drop(self, path: str) -> None:
        """Remove an alarm that no longer holds."""
        with self._lock:
            self._by_path.pop(path, None)

    def listed(self) -> list[dict[str, Any]]:
        """List path, message and step of the newest ones, the newest last."""
        with self._lock:
            return list(self._by_path.values())[-_MOST:]
