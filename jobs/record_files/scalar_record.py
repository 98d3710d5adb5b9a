"""Record: the scalars of a run that were merged out of its log, read by path and stretch.

They lie in `scalars.parquet` and, while the run goes on, in `scalars.bin`. Nothing is read before
it is asked for, and little of it at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jobs.record_files.merged_scalars import MergedRows, Part
from jobs.record_files.scalar_blocks import Series, series_of
from jobs.record_files.scalar_table import (
    Damaged,
    ScalarTable,
    joined,
    marks_of,
    select_rows,
    unvoided,
)


class ScalarRecord:
    """Snapshot of a run's merged scalars: what is written later leaves it as it is.

    texts: headers of the run's sentences; some say that the run went on from an earlier step.
    What cannot be read, here and later, is said in `damage` and passed over, or raises Damaged
    where that is not given.
    """

    def __init__(
        self, folder: Path, texts: Iterable[dict[str, Any]], damage: list[str] | None = None
    ) -> None:
        self._marks, self._damage = marks_of(texts), damage
        # In this order: what is merged becomes a part of the table before it is removed.
        self._merged = MergedRows(folder / "scalars.bin")
        self._table: ScalarTable | None = None
        with contextlib.suppress(FileNotFoundError), self._reporting_damage():
            self._table = ScalarTable(folder / "scalars.parquet")
        reached = self._table.last_seq if self._table else -1
        self.last_seq = max(reached, self._merged.last_seq)
        self._parts: dict[str, list[tuple[Part, int]]] = {}
        for path, parts in self._merged.by_path.items():
            if later := [entry for entry in parts if entry[0].last_seq > reached]:
                self._parts[path] = later

    @contextlib.contextmanager
    def _reporting_damage(self) -> Iterator[None]:
        """Add a Damaged error to the caller's list, or raise it where there is none."""
        try:
            yield
        except Damaged as error:
            if self._damage is None:
                raise
            if str(error) not in self._damage:
                self._damage.append(str(error))

    @property
    def is_empty(self) -> bool:
        """Return True where nothing was merged yet."""
        return self.last_seq < 0

    @property
    def is_compact(self) -> bool:
        """Return True when all of it is in the table."""
        return not self._parts

    @property
    def paths(self) -> list[str]:
        """List the paths, in the order in which they were first written."""
        return list(dict.fromkeys([*(self._table.paths if self._table else ()), *self._parts]))

    def count(self, path: str) -> int:
        """Count the rows of a path, those that a resumed run wrote anew included."""
        table = self._table.count(path) if self._table else 0
        return table + sum(part.num_rows for part, _ in self._parts.get(path, ()))

    def pieces(
        self, path: str, first: float = -np.inf, last: float = np.inf, after: int = -1
    ) -> Iterator[Series]:
        """Iterate over the rows of a path between two steps, some thousands at a time, as written.

        Some that came with sequence numbers up to `after` are left out. Raises Damaged.
        """
        if self._table is not None:
            for read in self._table.readers(path, first, last, after):
                with self._reporting_damage():
                    yield unvoided(read(), self._marks)
        for part, column in self._parts.get(path, ()):
            if part.last_step >= first and part.first_step <= last and part.last_seq > after:
                piece = unvoided(self._rows(part, column), self._marks)
                if part.first_step < first or part.last_step > last:
                    piece = select_rows(piece, (piece.step >= first) & (piece.step <= last))
                yield piece

    def series(self, path: str) -> Series:
        """Read all rows of a path that is there. Raises Damaged."""
        return joined(list(self.pieces(path)))

    def latest(self, path: str) -> float | None:
        """Return the last value of a path; None where a resumed run has not written it anew."""
        for part, column in reversed(self._parts.get(path, ())):
            if len((piece := unvoided(self._rows(part, column), self._marks)).step):
                return float(joined([piece]).value[-1])
        if self._table is None or path not in self._table.paths:
            return None
        if not self._marks:
            return self._table.latest(path)
        whole = joined(list(self.pieces(path)))
        return float(whole.value[-1]) if len(whole.step) else None

    def _rows(self, part: Part, column: int) -> Series:
        costs, seq = self._merged.costs(part)
        return series_of(costs, seq, self._merged.values(part, column))
