"""Events of a run: a closed set of event kinds and their one binary form.

The same bytes lie in the run log, travel in the Redis stream and over the WebSocket:

    b"BSN1" | uint32 header length | uint32 body length | header (JSON, UTF-8) | body

little-endian; the header is padded with spaces so that the body starts at a multiple of 8 bytes
from the start of the frame, and so does every array in it. The header holds

    {"run": id, "seq": n, "kind": ..., "path": ..., "time": unix seconds,
     "first": [step, gradients, seconds, joules|null], "last": [...],
     "meta": {...}, "arrays": [[name, dtype, shape, byte offset in the body], ...]}

A `scalar` frame is a block: `values` (rows, paths) float32 with `meta.paths`; row i lies at the
costs interpolated linearly between `first` and `last` (a single row: at `last`). `seq` counts up
over the whole life of a run, through every resume.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MAGIC = b"BSN1"
_PREFIX = struct.Struct("<4sII")
_BRACE = ord("{")
_DTYPES = {"f4", "f8", "i4", "i8", "u1"}


class Cost(NamedTuple):
    """The four costs of training so far; watching is not in them."""

    step: int = 0
    """optimiser steps"""
    gradients: int = 0
    """evaluations of the energy's gradient in x, each over a whole batch of chains"""
    seconds: float = 0.0
    """wall seconds of training alone"""
    joules: float | None = None
    """joules, or None where nothing measures them"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a run says, filed under a path such as `energy/gap`."""

    kind: ClassVar[str] = ""
    path: str


@dataclass(frozen=True, slots=True)
class Scalar(Event):
    """One number at the present step."""

    kind: ClassVar[str] = "scalar"
    value: float


@dataclass(frozen=True, slots=True)
class Histogram(Event):
    """Several histograms on one axis and one set of bins."""

    kind: ClassVar[str] = "histogram"
    edges: Array
    """(bins + 1,) float32"""
    counts: Array
    """(series, bins) float32, each row summing to its share inside the edges"""
    names: list[str]
    """one role a row: data, train_time, long_run or noise"""
    clipped: Array
    """(series, 2) int32: how many fell below and above the edges"""
    unit: str = "nats"
    marks: list[tuple[float, str]] = field(default_factory=list)
    """places on the axis that are named"""


@dataclass(frozen=True, slots=True)
class Points(Event):
    """A cloud of positions."""

    kind: ClassVar[str] = "points"
    positions: Array
    """(num, dim) float32, the user's units"""
    role: str
    """data, noise, train_time or long_run"""
    energies: Array | None = None
    """(num,) float32"""
    labels: Array | None = None
    """(num,) int32: the class of each, 0 and up"""
    axes: tuple[str, ...] = ()
    """what the coordinates are, with their units; none for an unnamed plane"""
    arrows: Array | None = None
    """(num, dim) float32: a direction at each, such as the score"""


@dataclass(frozen=True, slots=True)
class Images(Event):
    """A grid of images; cell i is the same chain for ever."""

    kind: ClassVar[str] = "images"
    pixels: Array
    """(num, height, width) or (num, height, width, channels) uint8: 0 is `low`, 255 is `high`"""
    role: str
    low: float
    high: float
    energies: Array | None = None
    hidden: Array | None = None
    """(height, width) uint8: 1 where it was hidden and is filled in"""
    columns: list[str] = field(default_factory=list)
    """names of the places in a row, where the images are rows of one way from left to right"""
    rows: list[str] = field(default_factory=list)
    """names of these rows"""


@dataclass(frozen=True, slots=True)
class Trajectory(Event):
    """The true path of some chains over their last sampler steps."""

    kind: ClassVar[str] = "trajectory"
    positions: Array
    """(steps, chains, dim) float32, the user's units; the first row is the start"""
    role: str
    energies: Array | None = None
    """(steps, chains) float32"""
    accepted: Array | None = None
    """(steps - 1, chains) uint8, for samplers that reject"""
    view: list[list[float]] = field(default_factory=list)
    """[[low, high], [low, high]] of the plane it lies in; empty: what its positions take"""
    obstacles: list[list[float]] = field(default_factory=list)
    """[x, y, radius] of discs in that plane that its ways must not touch"""


@dataclass(frozen=True, slots=True)
class Field(Event):
    """A scalar over a 2-D grid: row 0 is the lowest y, column 0 the lowest x."""

    kind: ClassVar[str] = "field"
    values: Array
    """(height, width) float32"""
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    quantity: str = "energy"
    """energy (in nats above the lowest, drawn as exp(−E/T)), probability (drawn from 0 to 1), or
    another, drawn from its lowest value to its highest"""
    temperature: float = 1.0
    axes: tuple[str, ...] = ()
    """what x and y are, with their units; none for an unnamed plane"""
    colour_range: tuple[float, ...] = ()
    """lowest and highest value of the colours, where several maps share them; none: its own"""
    line: Array | None = None
    """(num, 2) float32: places (x, y) along a line drawn over it, such as what theory says"""


@dataclass(frozen=True, slots=True)
class Curve(Event):
    """y over x, drawn whole each time (a chain's energy trace, an autocorrelation)."""

    kind: ClassVar[str] = "curve"
    x: Array
    """(num,) float32"""
    y: Array
    """(series, num) float32"""
    names: list[str]
    x_name: str = ""
    unit: str = ""
    marks: list[tuple[float, str]] = field(default_factory=list)
    """places on the x axis that are named, such as the steps of training"""


@dataclass(frozen=True, slots=True)
class Table(Event):
    """Rows of words and numbers."""

    kind: ClassVar[str] = "table"
    columns: list[str]
    rows: list[list[str | float | int | None]]
    text: str = ""
    """the column of text whose every space counts; "" where no column is"""
    shares: list[list[float]] = field(default_factory=list)
    """0 to 1, of each character of each row's text: how likely it was called; none is shaded"""


@dataclass(frozen=True, slots=True)
class Text(Event):
    """A sentence for a person. Level: info, warning or alarm."""

    kind: ClassVar[str] = "text"
    message: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Standing(Event):
    """An alarm that was said before and still holds, with the figures of the latest look.

    It reaches the status of a run and is no frame: the log has it once.
    """

    message: str
    level: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a run now: an alarm, once it has lasted."""

    name: str
    level: str
    message: str


EVENTS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (Scalar, Histogram, Points, Images, Trajectory, Field, Curve, Table, Text)
}
KINDS = tuple(EVENTS)


class Frame(NamedTuple):
    """One decoded frame: its header and its arrays by name."""

    header: dict[str, Any]
    arrays: dict[str, Array]


def pack(header: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    """The bytes of one frame; numbers of the header that are not finite become null.

    Raises TypeError for a dtype outside f4, f8, i4, i8 and u1, and for what JSON cannot hold.
    """
    parts: list[bytes] = []
    entries: list[list[Any]] = []
    offset = 0
    for name, given in arrays.items():
        array = np.ascontiguousarray(given)
        code = array.dtype.str[1:]
        if code not in _DTYPES:
            raise TypeError(f"array `{name}` has dtype {array.dtype}; use f4, f8, i4, i8 or u1")
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        entries.append([name, code, list(array.shape), offset])
        padding = -len(data) % 8
        parts += [data, b" " * padding]
        offset += len(data) + padding
    text = _as_json({**header, "arrays": entries})
    text += b" " * (-(_PREFIX.size + len(text)) % 8)
    return b"".join([_PREFIX.pack(MAGIC, len(text), offset), text, *parts])


def _as_json(header: dict[str, Any]) -> bytes:
    try:
        return json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:  # a browser cannot read NaN or Infinity, nor anything else beside it
        return json.dumps(finite(header), separators=(",", ":"), allow_nan=False).encode()


def finite(value: Any) -> Any:
    """The same, numbers that JSON has no word for replaced by None.

    >>> finite({"rows": [[1.5, float("nan")]]})
    {'rows': [[1.5, None]]}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def unpack(data: bytes | memoryview) -> Frame:
    """The frame at the start of `data`. Raises ValueError if it is torn, foreign or damaged."""
    size = frame_size(data)
    if size is None:
        raise ValueError("not a whole frame")
    _, header_size, _ = _PREFIX.unpack_from(data)
    body = _PREFIX.size + header_size
    try:
        header = json.loads(bytes(data[_PREFIX.size : body]))
        arrays = {}
        for name, code, shape, offset in header.pop("arrays"):
            if code not in _DTYPES or offset < 0 or not isinstance(name, str):
                raise ValueError("no array of a frame")
            count, view = math.prod(shape), memoryview(data)[:size]
            arrays[name] = np.frombuffer(view, f"<{code}", count, body + offset).reshape(shape)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError) as error:
        raise ValueError("a damaged frame") from error
    return Frame(header, arrays)


def frame_size(data: bytes | memoryview) -> int | None:
    """Bytes of the frame at the start of `data`; None while it is not whole.

    Raises ValueError where no frame starts.
    """
    if len(data) < _PREFIX.size:
        return None
    magic, header_size, body_size = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise ValueError("no frame starts here")
    size = _PREFIX.size + header_size + body_size
    return size if len(data) >= size else None


def split(data: bytes) -> Iterator[tuple[int, int]]:
    """(offset, size) of every whole frame in `data`; what lies between two of them is damaged.

    Where no whole frame starts the next one is looked for, so that damage costs what it lies in.
    """
    offset, end = 0, len(data)
    while offset + _PREFIX.size <= end:
        size = _whole_size(data, offset, end)
        if size:
            yield offset, size
            offset += size
        elif (offset := data.find(MAGIC, offset + 1)) < 0:
            return


def _whole_size(data: bytes, offset: int, end: int) -> int:
    """Bytes of the whole frame that starts at `offset`; 0 where none does."""
    magic, header_size, body_size = _PREFIX.unpack_from(data, offset)
    size = _PREFIX.size + int(header_size) + int(body_size)
    after = offset + size
    if magic != MAGIC or after > end or data[offset + _PREFIX.size] != _BRACE:
        return 0
    if MAGIC.startswith(data[after : after + len(MAGIC)]):  # or nothing is there yet
        return size
    # Either this frame's sizes are damaged, or what comes after it is.
    try:
        unpack(data[offset:after])
    except (ValueError, KeyError, TypeError):
        return 0
    return size


def encode(event: Event, *, run: str, seq: int, time: float, cost: Cost) -> bytes:
    """The frame of one event at one cost. A `Scalar` becomes a block of one row."""
    header: dict[str, Any] = {
        "run": run,
        "seq": seq,
        "kind": event.kind,
        "path": event.path,
        "time": time,
        "first": list(cost),
        "last": list(cost),
    }
    if isinstance(event, Scalar):
        return encode_block(
            [event.path],
            np.array([[event.value]]),
            run=run,
            seq=seq,
            time=time,
            first=cost,
            last=cost,
        )
    meta: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for part in fields(event):
        value = getattr(event, part.name)
        if isinstance(value, np.ndarray):
            arrays[part.name] = value
        elif part.name != "path":
            meta[part.name] = value
    return pack({**header, "meta": meta}, arrays)


def encode_block(
    paths: list[str], values: Array, *, run: str, seq: int, time: float, first: Cost, last: Cost
) -> bytes:
    """A block of scalars: `values` (rows, paths), its rows spread evenly from first to last."""
    header = {
        "run": run,
        "seq": seq,
        "kind": "scalar",
        "path": "",
        "time": time,
        "first": list(first),
        "last": list(last),
        "meta": {"paths": paths},
    }
    return pack(header, {"values": np.asarray(values, dtype=np.float32)})


def decode(frame: Frame) -> Event:
    """The event of a frame other than a scalar block. Raises KeyError for an unknown kind."""
    cls = EVENTS[frame.header["kind"]]
    values = {**frame.header["meta"], **frame.arrays}
    for each in fields(cls):
        if str(each.type).startswith("tuple") and each.name in values:
            values[each.name] = tuple(values[each.name])
    return cls(path=frame.header["path"], **values)
