"""Keyframes of a run in `frames.bin`: indexed by their headers, thinned, rewritten when stale.

Which keyframes count follows from those in the file alone, so that writer and readers agree: of
each path the first in every cell of a grid of steps, the cells doubled until at most `LIMIT`
keyframes are left, and always the last one. Doubling cells only ever drops keyframes, and
dropping those that do not count changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from backend.errors import NotAvailable
from jobs.record_files.frame_files import extents, walk
from jobs.system.atomic_files import append, damage_of, open_for_append, written_aside

LIMIT = 300
"""Most keyframes kept of a path."""
KEPT_BYTES = 60_000_000
"""Most bytes of keyframes that count; what is over thins every path further."""
FILE_BYTES = 96_000_000
"""Bytes of the file, stale keyframes included, at which it is rewritten."""
_SMALL_FILE = 4_000_000
"""Files this small are not worth rewriting for their stale half."""


class Key(NamedTuple):
    """Index entry of a keyframe: its identity and where it lies in the file."""

    seq: int
    path: str
    kind: str
    step: int
    offset: int
    size: int


def scan(file: BinaryIO, start: int = 0, end: int | None = None) -> tuple[list[Key], int]:
    """List the whole frames from `start` up to `end` (the file's), and where the last one ends."""
    keys = []
    for header, offset, _, after in walk(file.fileno(), start, end):
        step = int(header["last"][0])
        keys.append(
            Key(header["seq"], header["path"], header["kind"], step, offset, after - offset)
        )
    return keys, keys[-1].offset + keys[-1].size if keys else start


def thinned(keys: Iterable[Key]) -> list[Key]:
    """Select the keyframes that count, in the order they were written."""
    by_path: dict[str, list[Key]] = {}
    for key in keys:
        by_path.setdefault(key.path, []).append(key)
    limit = LIMIT
    while True:
        counting = [key for entries in by_path.values() for key in _thinned(entries, limit)]
        if limit <= 2 or sum(key.size for key in counting) <= KEPT_BYTES:
            return sorted(counting, key=lambda key: key.seq)
        limit //= 2


def _thinned(entries: list[Key], limit: int) -> list[Key]:
    if len(entries) <= limit:
        return entries
    steps = np.array([key.step for key in entries])
    width = 1
    while True:
        cells = steps // width
        firsts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1))
        last = len(entries) - 1
        if firsts[-1] != last:
            firsts = np.append(firsts, last)
        if len(firsts) <= max(limit, 2):
            return [entries[index] for index in firsts]
        width *= 2


class Keyframes:
    """Keyframe file of one run. Reading extends an index held in memory; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._end = 0
        self._keys: list[Key] = []
        self._writer: BinaryIO | None = None
        self._next_look = _SMALL_FILE
        self.damage: list[str] = []
        """damage that the writer put aside, in sentences"""

    def index(self) -> list[Key]:
        """List the keyframes that count, oldest first."""
        with self._lock, self._opened():
            return thinned(self._keys)

    def last_seq(self) -> int:
        """Return the highest sequence number in the file, -1 for none."""
        with self._lock, self._opened():
            return max((key.seq for key in self._keys), default=-1)

    def read(self, seq: int) -> bytes:
        """Read the bytes of one keyframe. Raises NotAvailable when it was thinned out."""
        return self.read_many([seq])[0]

    def read_many(self, seqs: Iterable[int]) -> list[bytes]:
        """Read several keyframes from one state of the file. Raises NotAvailable."""
        wanted = list(seqs)
        with self._lock, self._opened() as file:
            by_seq = {key.seq: key for key in self._keys}
            missing = [seq for seq in wanted if seq not in by_seq]
            if missing:
                raise NotAvailable(f"Keyframe {missing[0]} is not kept.")
            return [os.pread(file.fileno(), by_seq[seq].size, by_seq[seq].offset) for seq in wanted]

    def append(self, frames: bytes) -> None:
        """Write whole frames at the end; rewrite the file when stale ones weigh too much.

        Raises OSError.
        """
        with self._lock:
            if self._writer is None:
                self._writer = self._opened_for_append()
            append(self._writer, frames)
            with self._opened():
                pass
            if self._end >= self._next_look:
                counting = thinned(self._keys)
                size = sum(key.size for key in counting)
                if self._end > 2 * size or self._end > FILE_BYTES:
                    self._rewrite(counting)
                # Looking costs milliseconds, so it waits until much was added.
                grown = self._end + max(1_000_000, self._end // 8)
                self._next_look = max(_SMALL_FILE, min(grown, FILE_BYTES))

    def cut_after(self, step: int) -> None:
        """Drop the keyframes after `step`: a resumed run writes them anew. Raises OSError."""
        with self._lock:
            with self._opened():
                earlier = [key for key in self._keys if key.step <= step]
            if len(earlier) < len(self._keys):
                self._rewrite(earlier)

    def close(self) -> None:
        """Close the file opened for appending."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _opened_for_append(self) -> BinaryIO:
        file, aside = open_for_append(self.path, extents)
        if aside:
            self.damage.append(damage_of(self.path, aside))
        return file

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file as it is now, empty where there is none, and bring the index up to it."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            file = open(os.devnull, "rb")  # noqa: SIM115 - closed below
        with file:
            if not self._continues(file):
                self._end, self._keys = 0, []
            keys, self._end = scan(file, self._end)
            self._keys += keys
            yield file

    def _continues(self, file: BinaryIO) -> bool:
        """Return True when the file was only appended to since the last scan.

        Rewriting only drops keyframes, so if the last one known lies where it lay, all do. (The
        inode does not tell: systems give the number of a removed file to the next one.)
        """
        if not self._keys:
            return self._end == 0
        last = self._keys[-1]
        keys, _ = scan(file, last.offset, last.offset + last.size)
        return keys == [last]

    def _rewrite(self, keys: list[Key]) -> None:
        with self.path.open("rb") as source, written_aside(self.path) as target:
            for key in keys:
                target.write(os.pread(source.fileno(), key.size, key.offset))
        if self._writer is not None:
            self._writer.close()
            self._writer = self._opened_for_append()
        with self._opened():
            pass
