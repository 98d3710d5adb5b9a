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


class Found(NamedTuple):
    """A whole frame: its header, with its arrays, and where it, its body and what follows lie."""

    header: dict[str, Any]
    offset: int
    body: int
    end: int


def walk(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[Found]:
    """Every whole frame of an open file from `start` up to `end` (the file's).

    Where none starts the next one is looked for, so that damage costs what it lies in.
    """
    size = os.fstat(descriptor).st_size
    size = size if end is None else min(size, end)
    offset = start
    while offset >= 0 and offset + _PREFIX.size <= size:
        found = _at(descriptor, offset, size)
        if found is None:
            offset = _next_magic(descriptor, offset + 1, size)
        else:
            yield found
            offset = found.end


def extents(descriptor: int) -> list[tuple[int, int]]:
    """Where whole frames lie end to end, from and up to; damage lies between."""
    found: list[tuple[int, int]] = []
    for frame in walk(descriptor):
        add_extent(found, frame.offset, frame.end)
    return found


def add_extent(found: list[tuple[int, int]], start: int, end: int) -> None:
    """Lay one more at the end."""
    if found and found[-1][1] == start:
        found[-1] = (found[-1][0], end)
    else:
        found.append((start, end))


def _at(descriptor: int, offset: int, size: int) -> Found | None:
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
    return Found(header, offset, body, body + body_size) if is_whole else None


def _num_bytes(array: list[Any]) -> int:
    """In the body, with what fills it up to a multiple of 8."""
    _, code, shape, _ = array
    return -(-math.prod(shape) * int(code[1:]) // 8) * 8


def _next_magic(descriptor: int, offset: int, size: int) -> int:
    """Where the next frame may start, -1 for nowhere."""
    while offset < size:
        found = os.pread(descriptor, min(_LOOK_BYTES, size - offset), offset)
        if (place := found.find(MAGIC)) >= 0:
            return offset + place
        if len(found) <= len(MAGIC):
            return -1
        offset += len(found) - len(MAGIC) + 1
    return -1
