"""Feed: the frames of one run so far, and those it writes now, for all who watch it.

One thread a watched run. Older frames are read from the run's directory; present ones come from
Redis, where they are soonest. Redis' last ids are taken first, then the directory is read, then the
streams are followed from those ids: no gap; frames that were read already are known by their
sequence number: no duplicate. Where sequence numbers are missing, where the log has grown and the
streams have not, and while Redis is away, the directory is read on: it is the record.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from backend.errors import BasinError, NotAvailable
from backend.events import unpack
from dashboard.faults import passed_over, say_once, sentence
from dashboard.stream.frames import history_after, history_between, say
from dashboard.stream.history import History
from dashboard.stream.questions import Position
from dashboard.stream.streams import Entry, Streams
from jobs.queueing.control import INLINE
from jobs.record_files.keyframes import Key
from jobs.record_files.run_log import START
from jobs.records.run_directory import RunDirectory
from jobs.records.status import OWN_SCRIPT, Status

_TAIL_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_BEHIND_SECONDS = 5.0
"""After so long without anything from the streams they are opened anew."""
_WITHOUT_REDIS = (INLINE, OWN_SCRIPT)
"""Workers whose runs may have begun without Redis: their log is all that they promise."""
_VERSIONS = itertools.count()
"""over all feeds: one that is started again for the same run is newer"""


class Message(NamedTuple):
    """Frames of one run, end to end, and the position of whoever has taken them."""

    run: str
    data: bytes
    position: Position
    version: int
    """counts up with everything feeds tell: what is not newer than a page's own is old news"""


class Feed:
    """Feed of one watched run.

    `tell` takes a message from the feed's thread and must return at once; `sync` and `range` may be
    called from any thread.
    """

    def __init__(self, directory: RunDirectory, tell: Callable[[Message], None]) -> None:
        self.directory = directory
        self.run_id = directory.id
        self.is_gone = False
        """True once the run was deleted while it was watched"""
        self._tell_all = tell
        self._lock = threading.RLock()
        self._version = next(_VERSIONS)
        self._history: History | None = None
        self._key_seq = -1
        self._status: Status | None = None
        self._streams = Streams(directory.id)
        self._behind_since: float | None = None
        """monotonic; since when the log has what the streams lack"""
        self._behind_at = 0.0
        """the same as unix time, for people"""
        self._skimmed, self._logged_seq = START, -1
        """end of the part of the log that was skimmed, and the highest sequence number met"""
        self._record_mark: tuple[int, ...] = ()
        self._next_opening = 0.0
        self._last_keyframe = -1
        self._source: tuple[str, float | None] = ("", None)
        """reason why live frames do not come the usual way, and since when; "" when they do"""
        self._next_look = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"feed {self.run_id}")
        self._thread.daemon = True

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, within half a second; nothing more is sent."""
        with self._lock:
            self._closing.set()

    # ------------------------------------------------------------------ for those who watch

    def sync(self, after: Position | None = None) -> Message:
        """Bring a page to where the feed stands.

        Returns everything, long curves bucketed, or what came after the position it has reached.
        What cannot be read is reported, the rest is there. Raises BadInput.
        """
        with self._lock:
            history = self._loaded()
            if after is not None and (
                after.log > history.last_seq or after.keyframe > self._key_seq
            ):
                after = None  # of another life of this run: deleted and made anew, or a lost disk
            frames = [self._status_frame()]
            if self._source[0]:
                frames.append(self._source_frame())
            frames += history_after(self.run_id, history, after.log if after else None)
            frames += self._keyframe_frames(after.keyframe if after else -1)
            frames += [say(op="error", run=self.run_id, message=words) for words in history.damage]
            return self._message(frames)

    def range(self, paths: list[str], first: float, last: float) -> list[bytes]:
        """Read some paths at full resolution between two steps; bucketed only beyond the limit."""
        with self._lock:
            return history_between(self.run_id, self._loaded(), paths, first, last)

    def _message(self, frames: Iterable[bytes]) -> Message:
        position = Position(self._loaded().last_seq, self._key_seq)
        return Message(self.run_id, b"".join(frames), position, self._version)

    def _tell(self, frames: list[bytes]) -> None:
        if not self._closing.is_set():
            self._version = next(_VERSIONS)
            self._tell_all(self._message(frames))

    def _keyframe_frames(self, after: int) -> list[bytes]:
        """Build the steps that can be sought, and the last keyframe of every path that came
        later."""
        steps: dict[str, list[int]] = {}
        for key in self._keyframe_index():
            steps.setdefault(key.path, []).append(key.step)
        index = say(op="keyframes", run=self.run_id, steps=steps)
        return [index, *self._latest_keyframes(after, self._key_seq)]

    def _latest_keyframes(self, after: int, last: int | None = None) -> list[bytes]:
        """Read the last keyframe of every path, up to `last`, where it came after `after`."""
        for _ in range(3):
            latest = {
                key.path: key.seq
                for key in self._keyframe_index()
                if last is None or key.seq <= last
            }
            try:
                wanted = [seq for seq in latest.values() if seq > after]
                return self.directory.keyframes.read_many(wanted) if wanted else []
            except NotAvailable:
                continue  # thinned out between the two calls
        return []

    def _keyframe_index(self) -> list[Key]:
        """Index the keyframes; empty where the file cannot be read: all the rest is shown all
        the same."""
        try:
            return self.directory.keyframe_index()
        except OSError as error:
            say_once("Reading the keyframes of a run", error)
            return []

    def _status_frame(self) -> bytes:
        if self._status is None:
            self._status = self.directory.status()
        return say(op="status", **{**self._status.with_words(), "run": self.run_id})

    # ------------------------------------------------------------------ what the run says

    def _follow(self) -> None:
        while not self._closing.is_set():
            trouble = self._attempt(self._read_on)
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_SECONDS
                for look in (self._look_at_status, self._look_at_log, self._look_at_keyframes):
                    trouble = self._attempt(look) or trouble
                with passed_over("Telling where a run is read from"):
                    self._report_source(trouble)
            if trouble:
                self._closing.wait(_LOOK_SECONDS)
        self._streams.close()

    def _attempt(self, act: Callable[[], None]) -> str:
        """Call `act`; returns a sentence for people where it failed, for this thread goes on."""
        try:
            act()
        except Exception as error:
            if not isinstance(error, (BasinError, OSError)):
                say_once("Following a run", error)
            return f"This run cannot be read at present. {sentence(error)}"
        return ""

    def _read_on(self) -> None:
        if not self._streams.is_open and self._streams.open():
            self._catch_up()
        if not self._streams.is_open:
            is_over = self._status is not None and self._status.is_over
            self._closing.wait(_LOOK_SECONDS if is_over else _TAIL_SECONDS)
            self._catch_up()
            return
        self._take_entries(self._streams.read())
        if self._behind_since is not None:
            self._catch_up()

    def _take_entries(self, entries: list[Entry]) -> None:
        """Take entries of the streams up to the first gap; what lies beyond is on disk, with the
        gap."""
        with self._lock:
            history = self._loaded()
            last = [history.last_seq, self._key_seq]
            new: tuple[list[bytes], list[bytes]] = ([], [])
            for seq, is_keyframe, data in entries:
                if seq > max(last) + 1 and not self._is_behind_for(_BEHIND_SECONDS):
                    break
                if seq > last[is_keyframe]:
                    last[is_keyframe] = seq
                    new[is_keyframe].append(data)
            log, keyframes = new
            if log or keyframes:
                self._behind_since = None
                self._take(log, keyframes)
            if entries and entries[-1].seq > max(last):
                self._catch_up()
                if entries[-1].seq > max(history.last_seq, self._key_seq):
                    self._fall_behind()  # the disk is another machine's, and later

    def _catch_up(self) -> None:
        """Read what the files hold beyond the history."""
        with self._lock:
            if self._history is None:
                self._loaded()
                return
            # Keyframes first: what is said before one is in the log before it.
            keyframes = self._latest_keyframes(self._key_seq)
            frames, place = self.directory.tail_log(self._history.position)
            if self._marked() != self._record_mark:
                self._take_record()  # a part of the log went into it, perhaps unheard
            else:
                self._history.position = place
            self._take(frames, keyframes)

    def _take(self, log: list[bytes], keyframes: list[bytes]) -> None:
        """Add what is new and send it, in one message however much it is."""
        new = self._loaded().take(log)
        for data in keyframes:
            seq = unpack(data).header["seq"]
            if seq > self._key_seq:
                self._key_seq = seq
                new.append(data)
        if new:
            self._tell(new)

    def _loaded(self) -> History:
        """Return the history; the first call reads everything in the run's directory."""
        if self._history is None:
            self._key_seq = max((key.seq for key in self._keyframe_index()), default=-1)
            self._record_mark = self._marked()
            self._history = History(self.directory)
        return self._history

    # ------------------------------------------------------------------ once a second

    def _look_at_status(self) -> None:
        """Read the status, and find out if the run is still there."""
        if not self.directory.path.exists() and self.directory.path.parent.exists():
            self._report_deletion()
            return
        status = self.directory.status()
        before = self._status
        with self._lock:
            self._status = status
            if self._marked() != self._record_mark:
                self._take_record()
            if before is not None and not before.is_over and status.is_over:
                self._catch_up()
                self._behind_since = None
            if before != status:
                self._tell([self._status_frame()])

    def _report_deletion(self) -> None:
        """Report that the run was deleted, and end."""
        self.is_gone = True
        message = (
            "This run was deleted, and its files with it. What is shown is what this page had."
        )
        self._tell([say(op="gone", run=self.run_id, message=message)])
        self._closing.set()

    def _look_at_log(self) -> None:
        """Read on from disk where the log is a second ahead of the streams.

        Costs one reading of what was added to it.
        """
        history = self._loaded()
        seq, place = self.directory.skim_log(self._skimmed)
        with self._lock:
            if place.first != self._skimmed.first:
                self._logged_seq = -1
            missing = history.last_seq < self._logged_seq
            self._skimmed, self._logged_seq = place, max(self._logged_seq, seq)
        if missing and self._streams.is_open:
            self._fall_behind()
            self._catch_up()

    def _look_at_keyframes(self) -> None:
        """Read on from disk for keyframes too large for Redis."""
        last = self.directory.keyframes.last_seq()
        missing = self._key_seq < self._last_keyframe <= last
        self._last_keyframe = last
        if missing and self._streams.is_open:
            self._catch_up()

    def _fall_behind(self) -> None:
        now = time.monotonic()
        if self._behind_since is None:
            self._behind_since, self._behind_at = now, time.time()
            self._next_opening = now + _BEHIND_SECONDS
        elif now > self._next_opening:
            self._next_opening = now + _BEHIND_SECONDS
            self._streams.close()  # and opened where they end now

    def _is_behind_for(self, seconds: float) -> bool:
        since = self._behind_since
        return since is not None and time.monotonic() - since > seconds

    def _marked(self) -> tuple[int, ...]:
        """Return a mark that tells one state of the record from the next."""
        mark: list[int] = []
        for name in ("scalars.bin", "scalars.parquet", "text.jsonl"):
            try:
                entry = os.stat(self.directory.path / name)
            except FileNotFoundError:
                continue
            mark += [entry.st_ino, entry.st_mtime_ns, entry.st_size]
        return tuple(mark)

    def _take_record(self) -> None:
        """Change over to a newly compacted record, and send what was missed on the way."""
        old, mark = self._loaded(), self._marked()
        self._history = new = History(self.directory)
        self._record_mark = mark
        missed = sum(len(rows.step) for rows in new.since(old.last_seq).values())
        if new.num_rows() != old.num_rows() + missed:
            self._tell(history_after(self.run_id, new, None))
        elif new.last_seq > old.last_seq:
            self._tell(history_after(self.run_id, new, old.last_seq))

    def _report_source(self, trouble: str) -> None:
        """Report where live frames come from, when that has changed."""
        source: tuple[str, float | None] = (trouble, None)
        if not trouble and self._status is not None and not self._status.is_over:
            if (away := self._streams.away_since) is not None:
                source = "Live updates come from disk, five times a second: Redis is away", away
            elif (
                self._is_behind_for(2 * _LOOK_SECONDS) and self._status.worker not in _WITHOUT_REDIS
            ):
                words = (
                    "Live updates come from disk, twice a second: what this run says misses Redis"
                )
                source = words, self._behind_at
        with self._lock:
            if source != self._source and self._history is not None:
                self._source = source
                self._tell([self._source_frame()])

    def _source_frame(self) -> bytes:
        message, since = self._source
        return say(op="source", run=self.run_id, message=message, since=since)
