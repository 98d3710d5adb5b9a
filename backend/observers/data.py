"""The data that are fitted, as points or images."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event
from backend.observe.context import Context
from backend.observe.observer import Observer


class DataObserver(Observer):
    """`samples/data`."""

    id = "data"

    def begin(self, context: Context) -> Iterable[Event]:
        return self.subject.cloud("samples/data", self.subject.data.train, "data")
