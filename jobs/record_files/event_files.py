"""Event files of TensorBoard: their records, and the scalars and hyperparameters in these.

A record is a length, its checksum, that many bytes of a protocol buffer, and their checksum. Only
the few fields that hold numbers and settings are read and written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_BYTES = 100_000_000
"""Largest record that is read: a file that names a larger one is none of TensorBoard's."""
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_FLOATS = {1: "f", 2: "d"}
"""Formats of the tensors that hold real numbers, by TensorFlow's number of the type."""
_TABLE: list[int] = []


@dataclass
class EventRecord:
    """Content of one record."""

    wall_time: float = 0.0
    """unix seconds"""
    step: int = 0
    scalars: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    others: int = 0
    """images, histograms and the like in it, which are not read"""


def read_records(file: BinaryIO) -> Iterator[EventRecord]:
    """Read the records of a file, until its end or a record whose writing was cut short.

    Raises ValueError for what is no event file.
    """
    while len(head := file.read(12)) == 12:
        (length,) = _LENGTH.unpack_from(head)
        if _masked_crc(head[:8]) != _CRC.unpack_from(head, 8)[0] or length > MOST_BYTES:
            raise ValueError("no record of an event file stands where one should")
        body = file.read(length + 4)
        if len(body) < length + 4:
            return
        yield _event(body[:length])


def header(wall_time: float) -> bytes:
    """Write the record that a file begins with."""
    return _record(_double(1, wall_time) + _bytes(3, b"brain.Event:2"))


def scalar_record(wall_time: float, step: int, tag: str, value: float) -> bytes:
    """Write the record of one scalar."""
    summary = _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
    return _record(_double(1, wall_time) + b"\x10" + _varint(step) + _bytes(5, summary))


# ---------------------------------------------------------------------- protocol buffers


def _event(data: bytes) -> EventRecord:
    event = EventRecord()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, float):
            event.wall_time = value
        elif number == 2 and isinstance(value, int):
            event.step = value - (1 << 64) if value >= 1 << 63 else value
        elif number == 5 and isinstance(value, bytes):
            for part, summary in _fields(value):
                if part == 1 and isinstance(summary, bytes):
                    _summary(summary, event)
    return event


def _summary(data: bytes, event: EventRecord) -> None:
    values = dict(_fields(data))
    tag = values.get(1, b"")
    name = tag.decode(errors="replace") if isinstance(tag, bytes) else ""
    plugin = dict(_fields(values[9])) if isinstance(values.get(9), bytes) else {}
    about = dict(_fields(plugin[1])) if isinstance(plugin.get(1), bytes) else {}
    scalar = values.get(2)
    if about.get(1) == b"hparams":
        event.settings |= _hyperparameters(about.get(2, b""))
    elif isinstance(scalar, float):
        event.scalars[name] = scalar
    elif isinstance(values.get(8), bytes) and (number := _number(values[8])) is not None:
        event.scalars[name] = number
    else:
        event.others += 1


def _number(data: bytes) -> float | None:
    """Read a tensor that holds one real number; None for any other."""
    tensor = dict(_fields(data))
    code = _FLOATS.get(tensor.get(1, 0))
    if code is None:
        return None
    content = tensor.get(4) or tensor.get(5 if code == "f" else 6)
    if isinstance(content, float):
        return content
    if isinstance(content, bytes) and len(content) == struct.calcsize(code):
        return float(struct.unpack(f"<{code}", content)[0])
    return None


def _hyperparameters(content: Any) -> dict[str, Any]:
    """Read the settings that a session of the plug-in `hparams` began with."""
    settings: dict[str, Any] = {}
    session = dict(_fields(content)).get(3) if isinstance(content, bytes) else None
    for number, entry in _fields(session) if isinstance(session, bytes) else ():
        if number != 1 or not isinstance(entry, bytes):
            continue
        pair = dict(_fields(entry))
        if isinstance(pair.get(1), bytes) and isinstance(pair.get(2), bytes):
            for kind, value in _fields(pair[2]):
                plain = value.decode(errors="replace") if isinstance(value, bytes) else value
                settings[pair[1].decode(errors="replace")] = bool(plain) if kind == 4 else plain
    return settings


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Iterate over the numbers and values of a message's fields: whole numbers, floats or bytes.

    Raises ValueError for what is no message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _read_varint(data, at)
        if size is None or at + size > end:
            raise ValueError("a damaged message")
        part = data[at : at + size]
        at += size
        yield number, part if kind == 2 else struct.unpack("<d" if kind == 1 else "<f", part)[0]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a damaged number")


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _double(number: int, value: float) -> bytes:
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def _bytes(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _record(data: bytes) -> bytes:
    length = _LENGTH.pack(len(data))
    sums = _CRC.pack(_masked_crc(length)), _CRC.pack(_masked_crc(data))
    return b"".join([length, sums[0], data, sums[1]])


def _masked_crc(data: bytes) -> int:
    """Compute the checksum CRC-32C (Castagnoli), turned as records hold it.

    >>> hex(_masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    if not _TABLE:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
            _TABLE.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
