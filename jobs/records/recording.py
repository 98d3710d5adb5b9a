"""Recording of a run: its scalars, texts and keyframes, read while the run still writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.errors import NotAvailable
from backend.events import Frame, pack, unpack
from jobs.record_files import scalar_blocks, scalar_table
from jobs.record_files.keyframes import Key, Keyframes
from jobs.record_files.run_log import START, Log, Place
from jobs.record_files.scalar_blocks import LogContent, Series
from jobs.record_files.scalar_record import ScalarRecord
from jobs.records.run_files import RunFiles
from jobs.system import atomic_files


class Recording(RunFiles):
    """Log, merged scalars, texts and keyframes of one run, as one. One process writes at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.keyframes = Keyframes(path / "frames.bin")
        self.log = Log(path)

    # ------------------------------------------------------------------ for the one who writes

    def append(self, frames: bytes, keyframe: bool) -> None:
        """Add one or more whole frames to the log, or to the keyframes. Raises OSError."""
        self.check_attempt()
        if keyframe:
            self.keyframes.append(frames)
        else:
            self.log.append(frames)

    def sync(self) -> None:
        """Bring the log to the disk, against a loss of power. Raises OSError."""
        self.log.sync()

    def close(self) -> None:
        """Close the files opened for appending."""
        self.keyframes.close()
        self.log.close()

    def compact(self) -> None:
        """Turn the log into scalars.parquet and text.jsonl. Cut short, nothing is lost or doubled.

        A table that is damaged is kept as scalars.parquet.bad; what of it can be read goes on.
        Only for a run that nothing writes to. Raises OSError.
        """
        self.check_attempt()
        self.close()
        self.log.merge()
        self.log.tabulate()

    def void_after(self, step: int) -> None:
        """Drop the keyframes after `step`, from where the run goes on. Raises OSError."""
        self.check_attempt()
        self.keyframes.cut_after(step)

    def copy_until(self, step: int, folder: Path, run_id: str) -> None:
        """Write what the run said until a step into the folder of another, as that one's words.

        Sentences of the step itself are about what came after it. What cannot be read is left
        out. Raises OSError.
        """
        record, recent = self._record_and_log([])
        marks = scalar_table.marks_of(recent.texts)
        later = recent.series()

        def pieces(path: str) -> Iterator[Series]:
            some = [*record.pieces(path, last=step), *later.get(path, [])]
            whole = scalar_table.joined(some, marks) if some else None
            if whole is not None:
                yield scalar_table.select_rows(whole, whole.step <= step)

        with atomic_files.written_aside(folder / "scalars.parquet", sync=True) as file:
            paths = dict.fromkeys([*record.paths, *later])
            scalar_table.write_parquet(file, paths, pieces, self.last_seq())
        headers = [{**frame.header, "run": run_id} for frame in self.texts()]
        lines = [f"{json.dumps(header)}\n" for header in headers if header["last"][0] < step]
        atomic_files.write(folder / "text.jsonl", "".join(lines), sync=True)
        with atomic_files.written_aside(folder / "frames.bin") as file:
            for key in self.keyframe_index():
                with suppress(NotAvailable, ValueError):  # thinned out since, or damaged
                    if key.step <= step:
                        header, arrays = unpack(self.read_keyframe(key.seq))
                        file.write(pack({**header, "run": run_id}, arrays))

    def take_damage(self) -> list[str]:
        """Return the damage that writing met since the last call, a sentence each."""
        sentences = [*self.log.damage, *self.keyframes.damage]
        self.log.damage.clear()
        self.keyframes.damage.clear()
        return sentences

    # ------------------------------------------------------------------ scalars and texts

    def last_seq(self) -> int:
        """Return the highest sequence number of any frame, -1 for none. Raises Damaged."""
        in_log, _ = self.skim_log()
        texts = [header["seq"] for header in self._read_texts()]
        compacted = scalar_table.read_last_seq(self.log.table_path)
        merged = self.log.merged().last_seq
        return max([in_log, *texts, compacted, merged, self.keyframes.last_seq()])

    def scalars(self) -> dict[str, Series]:
        """Read all scalars by path, those that a resumed run wrote anew in place of the old.

        Raises Damaged.
        """
        record, recent = self._record_and_log()
        marks = scalar_table.marks_of(recent.texts)
        pieces = {path: list(record.pieces(path)) for path in record.paths}
        for path, later in recent.series().items():
            pieces.setdefault(path, []).extend(later)
        whole = {path: scalar_table.joined(some, marks) for path, some in pieces.items() if some}
        return {path: series for path, series in whole.items() if len(series.step)}

    def latest(self, prefixes: tuple[str, ...] = ("",)) -> dict[str, float]:
        """Return the last value of every path with one of the prefixes. Raises Damaged."""
        record, recent = self._record_and_log()
        if scalar_table.marks_of(recent.texts):
            values = {path: float(series.value[-1]) for path, series in self.scalars().items()}
            return {path: value for path, value in values.items() if path.startswith(prefixes)}
        in_log = {
            path: float(scalar_table.joined(pieces).value[-1])
            for path, pieces in recent.series().items()
        }
        result = {}
        for path in dict.fromkeys([*record.paths, *in_log]):
            value = in_log[path] if path in in_log else record.latest(path)
            if value is not None and path.startswith(prefixes):
                result[path] = value
        return result

    def record(self, damage: list[str] | None = None) -> ScalarRecord | None:
        """Open the scalars that were merged out of the log; None before there are any.

        What cannot be read is reported in `damage` and passed over, or else raises Damaged.
        """
        record = ScalarRecord(self.path, self._read_texts(), damage)
        return None if record.is_empty else record

    def texts(self) -> list[Frame]:
        """Read every text, oldest first; `header["meta"]` holds `message` and `level`."""
        with self.log.opened() as stretches:
            recent = [
                header
                for stretch in stretches
                for header in scalar_blocks.read(stretch.data, stretch.frames).texts
            ]
        merged = self._read_texts()
        last = max((header["seq"] for header in merged), default=-1)
        new = [header for header in recent if header["seq"] > last]
        return [Frame(header, {}) for header in [*merged, *new]]

    def _record_and_log(self, damage: list[str] | None = None) -> tuple[ScalarRecord, LogContent]:
        with self.log.opened() as stretches:  # first: what is merged meanwhile stays in it
            contents = [scalar_blocks.read(stretch.data, stretch.frames) for stretch in stretches]
        record = ScalarRecord(self.path, self._read_texts(), damage)
        return record, scalar_blocks.merged_content(contents, record.last_seq)

    def _read_texts(self) -> list[dict[str, Any]]:
        return scalar_table.read_texts(self.log.texts_path, [])

    # ------------------------------------------------------------------ the log, frame by frame

    def read_log_frames(self) -> list[bytes]:
        """Read the whole frames of the log that were not merged yet: scalar blocks and texts."""
        with self.log.opened() as stretches:
            frames = [frame for stretch in stretches for frame in stretch.cut()]
        return [frame for frame in frames if not scalar_blocks.read(frame).damaged]

    def tail_log(self, place: Place = START) -> tuple[list[bytes], Place]:
        """Read whole frames after a place, some megabytes, and the place to read on from.

        Starts over when the log was merged since: what that left out is in the record.
        """
        with self.log.opened(place) as stretches:
            for stretch in stretches:
                return stretch.cut(), stretch.place
        return [], place

    def skim_log(self, place: Place = START) -> tuple[int, Place]:
        """Return the highest sequence number in the log after a place, -1 for none, and its end."""
        last = -1
        with self.log.opened(place) as stretches:
            for stretch in stretches:
                last = max(last, scalar_blocks.read(stretch.data, stretch.frames).last_seq)
                place = stretch.place
        return last, place

    # ------------------------------------------------------------------ keyframes

    def keyframe_index(self) -> list[Key]:
        """List (seq, path, kind, step, offset, size) of the keyframes kept, oldest first."""
        return self.keyframes.index()

    def read_keyframe(self, seq: int) -> bytes:
        """Read one keyframe. Raises NotAvailable when it was thinned out since."""
        return self.keyframes.read(seq)

    def keyframes_at(self, step: int, paths: Sequence[str] | None = None) -> list[bytes]:
        """Read the last keyframe at or before `step`, else the first, of each path.

        paths: those wanted, all by default.
        """
        keys: dict[str, Key] = {}
        for key in self.keyframes.index():
            if paths is not None and key.path not in paths:
                continue
            if key.path not in keys or key.step <= step:
                keys[key.path] = key
        return self.keyframes.read_many(key.seq for key in keys.values())
