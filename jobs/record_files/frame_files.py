"""Frames of a file, found by their headers: bodies are not read."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from backend.events import MAGIC

_PREFIX = struct.Struct("<4sII")
_HEAD_BYTES = 1024
_LOOK_BYTES = 1_000_000


class FoundFrame(NamedTuple):
    """Whole frame in a file: its header, its offset, its body's and its end."""

    header: dict[str, Any]
    offset: int
    body: int
    end: int


def walk(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[FoundFrame]:
    """Find every whole frame of an open file from `start` up to `end` (the file's).

    Where none starts the next one is looked for, so that damage costs what it lies in.
    """
    size = os.fstat(descriptor).st_size
    size = size if end is None else min(size, end)
    offset = start
    while offset >= 0 and offset + _PREFIX.size <= size:
        frame = _at(descriptor, offset, size)
        if frame is None:
            offset = _next_magic(descriptor, offset + 1, size)
        else:
            yield frame
            offset = frame.end


def extents(descriptor: int) -> list[tuple[int, int]]:
    """List the stretches (from, up to) of whole frames end to end; damage lies between."""
    stretches: list[tuple[int, int]] = []
    for frame in walk(descriptor):
        add_extent(stretches, frame.offset, frame.end)
    return stretches


def add_extent(stretches: list[tuple[int, int]], start: int, end: int) -> None:
    """Append a stretch (start, end), joined to the last one where they touch."""
    if stretches and stretches[-1][1] == start:
        stretches[-1] = (stretches[-1][0], end)
    else:
        stretches.append((start, end))


def _at(descriptor: int, offset: int, size: int) -> FoundFrame | None:
    head = os.pread(descriptor, _HEAD_BYTES, offset)
    magic, header_size, body_size = _PREFIX.unpack_from(head)
    body = offset + _PREFIX.size + header_size
    if magic != MAGIC or body + body_size > size:
        return None
    if len(head) < _PREFIX.size + header_size:
        head = os.pread(descriptor, _PREFIX.size + header_size, offset)
    try:
        header = json.loads(head[_PREFIX.size : _PREFIX.size + header_size])
        is_whole = (
            isinstance(header["seq"], int)
            and isinstance(header["path"], str)
            and isinstance(header["kind"], str)
            and int(header["last"][0]) >= 0
            and body_size == sum(map(_num_bytes, header["arrays"]))
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return FoundFrame(header, offset, body, body + body_size) if is_whole else None


def _num_bytes(array: list[Any]) -> int:
    """Size of an array in the body, padded to a multiple of 8."""
    _, code, shape, _ = array
    return -(-math.prod(shape) * int(code[1:]) // 8) * 8


def _next_magic(descriptor: int, offset: int, size: int) -> int:
    """Offset at which the next frame may start, -1 for none."""
    while offset < size:
        content = os.pread(descriptor, min(_LOOK_BYTES, size - offset), offset)
        if (at := content.find(MAGIC)) >= 0:
            return offset + at
        if len(content) <= len(MAGIC):
            return -1
        offset += len(content) - len(MAGIC) + 1
    return -1
