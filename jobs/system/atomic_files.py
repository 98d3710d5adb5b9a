"""Atomic files: written so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import logging
import os
import re
import secrets
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from backend.events import MAGIC

_PREFIX = struct.Struct("<4sII")
_ASIDE = re.compile(r"\..+\.\d+-[0-9a-f]{6}")
_COPY_BYTES = 4_000_000
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_here = threading.RLock()
"""Taken where the system has no locks: then threads alone are kept apart."""


@contextlib.contextmanager
def written_aside(path: Path, *, sync: bool = False, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a file beside `path` that is renamed to it at the end; `sync`: on the disk by then.

    Nothing changes when the block raises. Raises OSError.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    try:
        with open(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "w+b") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def sweep_asides(folder: Path, older_than: float) -> int:
    """Remove what killed writers left in a folder and those in it; returns the number.

    older_than: seconds since they were last written; younger ones may be somebody's yet.
    """
    num_removed = 0
    for path in folder.rglob(".*"):
        with contextlib.suppress(OSError):
            if _ASIDE.fullmatch(path.name) and time.time() - path.lstat().st_mtime > older_than:
                path.unlink()
                num_removed += 1
    return num_removed


def write(path: Path, content: str | bytes, *, sync: bool = False) -> None:
    """Replace the content of `path` in one stroke. Raises OSError."""
    with written_aside(path, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)


class Odd(OSError):
    """Error: something else lies where a file should: a folder, a socket, or far too much."""


def read(path: Path, most: int = 16_000_000) -> bytes:
    """Read a file of at most `most` bytes.

    Raises Odd for a larger one and for what is no regular file, which a read might wait for for
    ever; OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP, errno.ELOOP):  # a socket, a knot
            raise Odd(error.errno, "not a regular file", str(path)) from error
        raise
    try:
        entry = os.fstat(descriptor)
        if not stat.S_ISREG(entry.st_mode):
            raise Odd(errno.EINVAL, "not a regular file", str(path))
        if entry.st_size > most:
            raise Odd(errno.EFBIG, f"larger than {most:,} bytes", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises OSError as `read` does, ValueError for what is no JSON."""
    content = read(path)
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sync_folder(path: Path) -> None:
    """Bring a folder's entries (a rename, a new file) to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, for a read-change-write of a file in it: one process and thread at a
    time.

    Where the folder's system has no locks, only one thread of this process.
    """
    # A file, and open for writing: over NFS a folder's lock would be of this machine alone.
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if _flock(descriptor, fcntl.LOCK_EX, folder):
            yield
        else:
            with _here:
                yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, folder: Path) -> bool:
    """Take the lock of an open file, to be held until it is closed; False when another has it.

    Where the system has no locks it counts as taken, which is said once.
    """
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)
    except BlockingIOError:
        return False
    return True


def _flock(descriptor: int, how: int, folder: Path) -> bool:
    """Take a lock; False where there are no locks. Raises BlockingIOError, OSError."""
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _say_no_locks(folder.parent, error.strerror)
        return False
    return True


@functools.cache
def _say_no_locks(folder: Path, why: str) -> None:
    logging.getLogger(__name__).warning(
        "%s is on a file system without locks (%s). Basin goes on without: let only one machine, "
        "and one `basin up`, use it.",
        folder,
        why,
    )


def open_for_append(
    path: Path, extents: Callable[[int], list[tuple[int, int]]]
) -> tuple[BinaryIO, int]:
    """Open `path` for appending, unbuffered, damage put aside and a torn tail cut.

    extents: finds from and up to where the open file is whole. Returns the file and how many
    damaged bytes were put into `<name>.bad`. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        good = extents(descriptor) if size else []
        end = good[-1][1] if good else 0
        is_torn = _is_torn(os.pread(descriptor, _PREFIX.size, end), size - end)
        starts = [0, *(after for _, after in good)]
        bad = [(a, b) for a, b in zip(starts, [*(first for first, _ in good), size], strict=True)]
        if is_torn:
            bad.pop()
        bad = [(first, after) for first, after in bad if first < after]
        if bad:
            _put_aside(descriptor, path, good, bad)
            os.close(descriptor)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        elif end < size:
            os.ftruncate(descriptor, end)
    except BaseException:
        os.close(descriptor)
        raise
    file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115 - the caller closes it
    return file, sum(after - first for first, after in bad)


def _is_torn(head: bytes, num: int) -> bool:
    """Return True when the last `num` bytes of a file are a frame whose writing was cut short."""
    if len(head) < _PREFIX.size:
        return head.startswith(MAGIC[: len(head)])
    magic, header_size, body_size = _PREFIX.unpack(head)
    return bool(magic == MAGIC and _PREFIX.size + header_size + body_size > num)


def _put_aside(
    descriptor: int, path: Path, good: list[tuple[int, int]], bad: list[tuple[int, int]]
) -> None:
    with path.with_name(f"{path.name}.bad").open("ab") as aside:
        for first, after in bad:
            aside.write(os.pread(descriptor, after - first, first))
    with written_aside(path, sync=True) as file:
        for first, after in good:
            for at in range(first, after, _COPY_BYTES):
                file.write(os.pread(descriptor, min(_COPY_BYTES, after - at), at))


def damage_of(path: Path, aside: int) -> str:
    """Describe what `open_for_append` put aside, in a sentence."""
    return (
        f"{path.name} was damaged: {aside:,} bytes of it cannot be read and are kept in "
        f"{path.name}.bad. All the rest is there."
    )


def append(file: BinaryIO, content: bytes) -> None:
    """Write all of `content` at the end, or leave the file as it was and raise OSError."""
    size = os.fstat(file.fileno()).st_size
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(file.fileno(), view) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), size)
        raise
