"""Log of a run: new frames in `log.bin`, merged ones in `scalars.bin` and `text.jsonl`.

While the run goes on the log is merged whenever it has grown by a megabyte. First the sentences go
into text.jsonl, then the scalars into scalars.bin, then an empty file takes the log's place; at any
moment everything is in at least one of them, and what is in two counts once, by its sequence
number. Who reads opens the log first and what it goes into afterwards: nothing is missed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from backend.events import split
from jobs.record_files import frame_files, merged_scalars, scalar_blocks, scalar_table
from jobs.record_files.merged_scalars import MergedRows
from jobs.record_files.scalar_blocks import Blocks, LogContent
from jobs.record_files.scalar_record import ScalarRecord
from jobs.system import atomic_files

MERGE_BYTES = 1_000_000
"""A log that has grown to this is merged."""
READ_BYTES = 4_000_000
"""Bytes read of a log at once."""
_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Position of a reader in one life of the log: between two merges."""

    first: int
    """sequence number of the first frame of that log"""
    offset: int


START = Place(-1, 0)


class Stretch(NamedTuple):
    """Bytes of a log, the whole frames in them (offset, size), and the place to read on from."""

    data: bytes
    frames: list[tuple[int, int]]
    place: Place

    def cut(self) -> list[bytes]:
        """Cut the bytes into frames."""
        return [self.data[offset : offset + size] for offset, size in self.frames]


class Log:
    """Log of one run. One writer at a time; a reader needs no lock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.bin"
        self.merged_path = folder / "scalars.bin"
        self.texts_path = folder / "text.jsonl"
        self.table_path = folder / "scalars.parquet"
        self._folder = folder
        self._file: BinaryIO | None = None
        self._size = 0
        self._put_off = 0
        """bytes it may grow to before it is tried again to merge it"""
        self.damage: list[str] = []
        """damage that the writer put aside, in sentences"""

    # ------------------------------------------------------------------ for the one who writes

    def append(self, content: bytes) -> None:
        """Add whole frames; merge the log when it has grown. Raises OSError."""
        if self._file is None:
            self._file = self._opened(self.path)
            self._size = os.fstat(self._file.fileno()).st_size
        atomic_files.append(self._file, content)
        self._size += len(content)
        if self._size >= max(MERGE_BYTES, self._put_off):
            self._try_to_merge()

    def _try_to_merge(self) -> None:
        """Merge; a log that cannot be merged stays what it is, and grows: the run goes on."""
        try:
            self.merge()
            self._put_off = 0
        except Exception as error:
            self._put_off = 2 * self._size
            _log.warning("%s is not merged yet: %r", self.path, error)

    def merge(self) -> None:
        """Move the log's frames to the merged files. Cut short, nothing is lost or doubled.

        Raises OSError.
        """
        if self._file is None:
            if not self.path.exists():
                return
            self._opened(self.path).close()  # puts damage aside
        self.close()
        texts = self._kept_texts()
        with contextlib.closing(self._opened(self.merged_path)) as target:
            last = max(self.merged().last_seq, self._last_of_table())
            with self.opened() as stretches:
                for stretch in stretches:
                    content = scalar_blocks.read(stretch.data, stretch.frames)
                    self._keep_texts(texts, content)
                    if new := [later for b in content.blocks if len((later := b.after(last)).seq)]:
                        self._keep_rows(target, new, content.last_seq)
            os.fsync(target.fileno())
        atomic_files.write(self.path, b"", sync=True)
        self._size = 0

    def _keep_rows(self, target: BinaryIO, blocks: list[Blocks], last_seq: int) -> None:
        frame = merged_scalars.packed(blocks, run=self._folder.name, seq=last_seq, time=time.time())
        atomic_files.append(target, frame)

    def _last_of_table(self) -> int:
        with contextlib.suppress(scalar_table.Damaged):  # what is in it is not in the log
            return scalar_table.read_last_seq(self.table_path)
        return -1

    def _kept_texts(self) -> list[dict[str, Any]]:
        damage: list[str] = []
        texts = scalar_table.read_texts(self.texts_path, damage)
        bad = self.texts_path.with_name(f"{self.texts_path.name}.bad")
        if damage and not bad.exists():
            bad.write_bytes(self.texts_path.read_bytes())
            self.damage += damage
        return texts

    def _keep_texts(self, texts: list[dict[str, Any]], content: LogContent) -> None:
        last = max((header["seq"] for header in texts), default=-1)
        new = [header for header in content.texts if header["seq"] > last]
        if new:
            texts += new
            lines = "".join(json.dumps(header) + "\n" for header in texts)
            atomic_files.write(self.texts_path, lines, sync=True)

    def tabulate(self) -> None:
        """Make `scalars.parquet` of all that was merged, in little memory.

        A copy is kept of a table that is damaged. Raises OSError.
        """
        damage: list[str] = []
        texts = scalar_table.read_texts(self.texts_path, [])
        record = ScalarRecord(self._folder, texts, damage)
        if not record.is_compact:
            last = max([record.last_seq, *(header["seq"] for header in texts)])
            with atomic_files.written_aside(self.table_path, sync=True) as file:
                scalar_table.write_parquet(file, record.paths, record.pieces, last)
                if damage:
                    self._keep_table(damage)
        self.merged_path.unlink(missing_ok=True)

    def _keep_table(self, damage: list[str]) -> None:
        bad = self.table_path.with_name(f"{self.table_path.name}.bad")
        bad.unlink(missing_ok=True)
        shutil.copyfile(self.table_path, bad)
        self.damage += [f"{each.rstrip('.')}. It is kept as {bad.name}." for each in damage]

    def _opened(self, path: Path) -> BinaryIO:
        extents = _extents if path == self.path else frame_files.extents
        file, aside = atomic_files.open_for_append(path, extents)
        if aside:
            self.damage.append(atomic_files.damage_of(path, aside))
        return file

    def sync(self) -> None:
        """Bring the log to the disk, against a loss of power. Raises OSError."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file opened for appending."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # ------------------------------------------------------------------ for those who read

    @contextlib.contextmanager
    def opened(self, place: Place = START) -> Iterator[Iterator[Stretch]]:
        """Open the log as it lies now and iterate over its stretches from a place on.

        It stays this log though it be merged meanwhile. Where it was merged since the place was
        known, it is read from its start.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            yield iter([])
            return
        with file:
            yield _stretches(file.fileno(), place)

    def merged(self) -> MergedRows:
        """Open the rows that were merged so far; empty where there is no file."""
        return MergedRows(self.merged_path)


def _stretches(descriptor: int, place: Place) -> Iterator[Stretch]:
    first = _first_seq(descriptor)
    offset = place.offset if place.first == first else 0
    room = READ_BYTES
    while data := os.pread(descriptor, room, offset):
        frames = list(split(data))
        if not frames and len(data) == room:
            room *= 2  # a frame larger than all that was read
            continue
        if not frames:
            return
        end = sum(frames[-1])
        yield Stretch(data, frames, Place(first, offset + end))
        offset += end
        room = READ_BYTES


def _first_seq(descriptor: int) -> int:
    frame = next(frame_files.walk(descriptor), None)
    return -1 if frame is None else int(frame.header["seq"])


def _extents(descriptor: int) -> list[tuple[int, int]]:
    """List where whole frames lie end to end, reading the log in stretches: it has many."""
    extents: list[tuple[int, int]] = []
    for stretch in _stretches(descriptor, START):
        start = stretch.place.offset - sum(stretch.frames[-1])
        is_whole = not scalar_blocks.read(stretch.data, stretch.frames).damaged
        for offset, size in stretch.frames:
            if is_whole or not scalar_blocks.read(stretch.data[offset : offset + size]).damaged:
                frame_files.add_extent(extents, start + offset, start + offset + size)
    return extents
