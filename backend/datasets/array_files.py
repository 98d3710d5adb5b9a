"""NumPy's own files: .npy, and .npz with classes beside the values. Never unpickled, and never
unpacked further than their headers allow."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from backend.data import CONCEPTS
from backend.datasets import class_labels, concept_columns, reading
from backend.datasets.concept_columns import Concepts
from backend.datasets.reading import (
    MAX_LABELS,
    MIN_OF_LABEL,
    PIECE,
    Array,
    Choice,
    Piece,
    Source,
    bad,
    check_shape,
    opened,
)
from backend.errors import BadInput

MAX_LABEL_BYTES = 128 * 2**20
MAX_MEMBERS_BYTES = 2**20
"""Of the list of an archive's members."""
_TROUBLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
_END = struct.Struct("<4s4H2LH")
_PICKLE = b"\x80"


class Header(NamedTuple):
    """Header of an array, before its values."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def npy(name: str, file: FileIO) -> Source:
    """An .npy file. Raises BadInput."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = read_header(name, file)
    start = file.tell()
    check_kind(name, header)
    check_shape(name, header.shape)
    _check_length(name, header, size - start)

    def again() -> IO[bytes]:
        file.seek(start)
        return file

    return Source(header.dtype, header.shape, lambda: _pieces(name, again(), header))


def read_header(name: str, file: IO[bytes], advice: str = "") -> Header:
    """The header at the start of an array, the file left behind it.

    Raises BadInput, with `advice` for an array of objects.
    """
    beginning = file.read(8)
    if beginning[:6] != b"\x93NUMPY" or len(beginning) < 8:
        reason = "cannot be read: it is damaged or no NumPy file."
        raise bad(f"{name} {_PICKLED if beginning[:1] == _PICKLE else reason}")
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get((beginning[6], beginning[7]))
    if read is None:
        raise bad(
            f"{name} is of version {beginning[6]}.{beginning[7]} of NumPy's format; arrays "
            "of plain numbers are saved as 1.0 or 2.0."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(file)
    except Exception as error:  # a header is Python's text: its parser has many ways to fail
        raise bad(f"{name} cannot be read: its header is damaged.") from error
    if dtype.hasobject:
        raise bad(f"{name} {f'{_OBJECTS} {advice}' if advice else _PICKLED}")
    if any(size < 0 for size in shape):
        raise bad(f"{name} cannot be read: its header says the shape {shape}.")
    return Header(dtype, tuple(int(size) for size in shape), bool(fortran))


_OBJECTS = "holds pickled Python objects, which are never opened: they could run code."
_PICKLED = f"{_OBJECTS} Rows of different lengths are saved so too. Save one array of numbers."


def _check_length(name: str, header: Header, size: int) -> None:
    """Raises BadInput where there are fewer bytes than the values take."""
    if size < header.num_bytes:
        raise bad(
            f"{name} is damaged or cut short: its header says the shape {header.shape}, "
            f"{header.num_bytes:,} bytes; {max(size, 0):,} are there."
        )


def _pieces(name: str, file: IO[bytes], header: Header) -> Iterator[Piece]:
    """The values from where the file stands, by rows, or by the last axis in Fortran's order."""
    shape, axis = header.shape, len(header.shape) - 1 if header.fortran else 0
    rest = shape[:-1] if header.fortran else shape[1:]
    step = max(1, PIECE // max(1, math.prod(rest)))
    for start in range(0, shape[axis], step):
        num = min(step, shape[axis] - start)
        wanted = num * math.prod(rest) * header.dtype.itemsize
        data = file.read(wanted)
        if len(data) < wanted:
            raise bad(f"{name} is damaged or cut short: values are missing.")
        flat = np.frombuffer(data, header.dtype)
        if header.fortran:
            yield Piece(start, flat.reshape((*rest, num), order="F"), axis)
        else:
            yield Piece(start, flat.reshape((num, *rest)))


def npz(name: str, file: FileIO, choice: Choice) -> Source:
    """One array of an .npz file, with its classes and concepts where there are any. Raises
    BadInput."""
    key = choice.key
    archive = _Archive(name, file)
    keys = archive.keys
    if not keys:
        raise bad(f"{name} holds no array.")
    names = ", ".join(each[:40] for each in keys[:10])
    of_concepts = _concepts_key(choice.concepts, keys)
    likely = [each for each in keys if not class_labels.is_one(each, keys) and each != of_concepts]
    likely = likely or keys
    if not key and len(likely) > 1:
        raise BadInput.at("data.key", f"{name} holds {names}; say which one to read.")
    if key and key not in keys:
        raise BadInput.at("data.key", f"{name} holds no array “{key[:40]}”; it holds {names}.")
    chosen = key or likely[0]
    header = archive.header(chosen)
    title = f"{name}: “{chosen[:40]}”"
    check_kind(title, header)
    check_shape(title, header.shape)

    def labels(num: int) -> class_labels.Labels | str:
        notes = []
        for each in class_labels.beside(chosen, keys):
            values = _labels(archive, each, num)
            if not isinstance(values, str):
                return values
            notes.append(values)
        return "; ".join(notes)

    def concepts() -> Concepts:
        archive.header(of_concepts, "Save it as words, by c.astype(str), or as 0 and 1.")
        return concept_columns.of_array(archive.whole(of_concepts), of_concepts)

    return Source(
        header.dtype,
        header.shape,
        lambda: archive.pieces(chosen),
        labels=labels,
        concepts=concepts if of_concepts not in ("", chosen) else None,
    )


def _concepts_key(wanted: Sequence[str], keys: Sequence[str]) -> str:
    """The array that holds concepts: the one that is named, else one called so; "" for none."""
    if len(wanted) == 1 and wanted[0] in keys:
        return wanted[0]
    return CONCEPTS if not wanted and CONCEPTS in keys else ""


def check_kind(title: str, header: Header) -> None:
    """Raises BadInput for records and other values that are no numbers."""
    if header.dtype.names:
        fields = ", ".join(f"“{each[:40]}”" for each in header.dtype.names[:10])
        raise bad(
            f"{title} has shape {header.shape} and holds records of {fields}; numbers are needed. "
            "Save numpy.lib.recfunctions.structured_to_unstructured(x)."
        )
    if header.dtype.kind == "c":
        raise bad(
            f"{title} holds {header.dtype} values; numbers are needed. Save real and imaginary "
            "parts as columns."
        )
    if header.dtype.kind not in "fiub":
        raise bad(f"{title} holds {header.dtype} values; numbers are needed.")


class _Archive:
    """A zip file of arrays. Everything wrong with it is a BadInput."""

    def __init__(self, name: str, file: FileIO) -> None:
        self.name = name
        self._check_list(file)
        try:
            self.zip = zipfile.ZipFile(file)
        except _TROUBLE as error:
            raise self._damaged() from error
        self.members = {
            info.filename.removesuffix(".npy"): info
            for info in self.zip.infolist()
            if not info.is_dir()
        }

    @property
    def keys(self) -> list[str]:
        return list(self.members)

    def _damaged(self) -> BadInput:
        return bad(f"{self.name} cannot be read: it is damaged or no .npz file.")

    def _check_list(self, file: FileIO) -> None:
        """Raises BadInput where the list of members, which is read whole, is a long one."""
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2**16 - _END.size - 20))
        tail = file.read()
        file.seek(0)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + _END.size > len(tail):
            raise bad(f"{self.name} cannot be read: it is damaged, cut short or no .npz file.")
        list_bytes = _END.unpack_from(tail, at)[5]
        if list_bytes > MAX_MEMBERS_BYTES or tail[max(0, at - 20) : at][:4] == b"PK\x06\x07":
            raise bad(f"{self.name} holds more arrays than are read. Save the one that is meant.")

    def _opened(self, key: str) -> IO[bytes]:
        info = self.members[key]
        title = f"{self.name}: “{key[:40]}”"
        if info.file_size > reading.MAX_BYTES:
            raise bad(f"{title} unpacks to more than {reading.MAX_BYTES // 2**20} MB.")
        if info.flag_bits & 1:
            raise bad(f"{title} is encrypted. Save it without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise bad(
                f"{title} is packed in a way that NumPy does not use. Save it by numpy.savez."
            )
        return self.zip.open(info)

    def header(self, key: str, advice: str = "") -> Header:
        """Header of a member, held against the bytes it has; `advice` as in `read_header`."""
        title = f"{self.name}: “{key[:40]}”"
        try:
            with self._opened(key) as member:
                header = read_header(title, member, advice)
                _check_length(title, header, self.members[key].file_size - member.tell())
        except _TROUBLE as error:
            raise self._damaged() from error
        return header

    def pieces(self, key: str) -> Iterator[Piece]:
        title = f"{self.name}: “{key[:40]}”"
        try:
            with self._opened(key) as member:
                yield from _pieces(title, member, read_header(title, member))
                member.read(1)  # at the end the checksum is looked at
        except _TROUBLE as error:
            raise self._damaged() from error

    def whole(self, key: str) -> Array:
        """All of a member whose header was looked at."""
        return _whole(self.header(key), self.pieces(key))


def _whole(header: Header, pieces: Iterator[Piece]) -> Array:
    values = np.empty(header.shape, header.dtype)
    for piece in pieces:
        places = slice(piece.start, piece.start + piece.values.shape[piece.axis])
        values[(slice(None),) * piece.axis + (places,)] = piece.values
    return values


def _labels(archive: _Archive, key: str, num_rows: int) -> class_labels.Labels | str:
    """Classes of the rows, or a note on why this array is not used as such.

    Raises BadInput for one that can mean nothing else.
    """
    header = archive.header(key, "Save it as words, by y.astype(str), or as whole numbers.")
    if header.num_bytes > MAX_LABEL_BYTES:
        reason = f"has more than {MAX_LABEL_BYTES // 2**20} MB"
    else:
        labels = class_labels.of(archive.whole(key), num_rows)
        if not isinstance(labels, str):
            return labels
        reason = labels
    if not class_labels.is_sure(key):
        return f"“{key[:40]}” {reason} and is not used as classes"
    raise bad(
        f"{archive.name}: “{key}” {reason}; it must be one whole number or word a row "
        f"({num_rows},), of at most {MAX_LABELS:,} classes with at least {MIN_OF_LABEL} rows each."
    )


def read_array(path: Path, field: str, key: str = "x") -> Array:
    """The finite numbers of an .npy file, or of one array of an .npz. Raises BadInput at
    `field`."""
    try:
        with opened(path) as file:
            if file.read(2) == b"PK":
                archive = _Archive(path.name, file)
                if key not in archive.members:
                    names = ", ".join(each[:40] for each in archive.keys[:10])
                    raise bad(f"{path.name} holds no array “{key}”; it holds {names}.")
                header, pieces = archive.header(key), archive.pieces(key)
            else:
                file.seek(0)
                header = read_header(path.name, file)
                _check_length(path.name, header, path.stat().st_size - file.tell())
                pieces = _pieces(path.name, file, header)
            if header.dtype.kind not in "fiub":
                raise bad(f"{path.name} holds {header.dtype} values; numbers are needed.")
            array = _whole(header, pieces)
    except BadInput as error:
        raise BadInput.at(field, error.problems[0].message) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput.at(field, f"{path.name} holds values that are not finite.")
    return array
