"""Files that are not what they say, by name and content, and what must be said of them."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from backend.datasets.reading import SUFFIXES

X = np.random.default_rng(0).normal(size=(60, 2))


def header(shape: object, descr: object = "<f8", version: int = 1) -> bytes:
    """The beginning of an .npy file, whatever follows it."""
    buffer = io.BytesIO()
    given: Any = {"descr": descr, "fortran_order": False, "shape": shape}
    if version == 1:
        np.lib.format.write_array_header_1_0(buffer, given)
    else:
        np.lib.format.write_array_header_2_0(buffer, given)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    """An .npy file; objects are pickled into it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz(**members: bytes) -> bytes:
    """An .npz file of arrays that are given as .npy files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def parquet(table: dict[str, Any], **settings: Any) -> bytes:
    """A .parquet file of columns."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(table), buffer, **settings)
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1600128\n"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
RECORDS = np.array([(1.0, 2.0)] * 30, dtype=[("a", "<f8"), ("b", "<f8")])


def unnamed_member() -> bytes:
    """An .npz file whose one array has an empty name."""
    data = bytearray(npz(x=npy(X)))
    at = data.rfind(b"PK\x01\x02")
    length = data[at + 28]
    data[at + 28], data[at + 32] = 0, length  # the name is a comment now
    return bytes(data)


FILES: list[tuple[str, bytes, str]] = [
    ("renamed.npz", npy(X), "is .npy by its content. Rename it to end in .npy"),
    ("renamed.npy", npz(x=npy(X)), "is .npz by its content. Rename it to end in .npz"),
    ("renamed.csv", npy(X), "is .npy by its content"),
    ("renamed.parquet", npz(x=npy(X)), "is .npz by its content"),
    ("table.npy", parquet({"a": X[:, 0]}), "is .parquet by its content"),
    *[(f"pointer{s}", POINTER, "pointer of Git LFS") for s in SUFFIXES],
    *[(f"page{s}", PAGE, "is a web page") for s in SUFFIXES],
    ("huge.npy", header((10**12, 1)) + bytes(64), "at most 5,000,000 rows"),
    ("huge.npz", npz(x=header((10**12, 1)) + bytes(64)), "8,000,000,000,000 bytes; 64 are there"),
    ("overflow.npy", header((2**32, 2**32)) + bytes(64), "columns; 1 to 4,096"),
    ("overflow2.npy", header((2**62, 4)) + bytes(64), "at most 5,000,000 rows"),
    ("short.npy", header((4_000_000, 2)) + bytes(64), "damaged or cut short"),
    ("short.npz", npz(x=header((4_000_000, 2)) + bytes(64)), "damaged or cut short"),
    ("minus.npy", header((-1, 2)) + bytes(64), "its header says the shape (-1, 2)"),
    ("cut.npy", npy(X)[:-8], "damaged or cut short"),
    ("cut.npz", npz(x=npy(X))[:-30], "damaged, cut short or no .npz"),
    ("head.npy", npy(X)[:20], "its header is damaged"),
    ("brackets.npy", b"\x93NUMPY\x01\x00\xe0\x07" + b"(" * 2016, "its header is damaged"),
    ("begun.npy", b"\x93NUMPY", "damaged or no NumPy file"),
    ("future.npy", b"\x93NUMPY\x09\x00" + npy(X)[8:], "version 9.0"),
    ("objects.npy", npy(np.array([{}] * 30, object)), "pickled Python objects"),
    ("objects.npz", npz(x=npy(np.array([{}] * 30, object))), "pickled Python objects"),
    ("complex.npy", npy(X.astype(complex)), "holds complex128 values; numbers are needed"),
    ("words.npz", npz(x=npy(X.astype(str))), "numbers are needed"),
    ("dates.npy", npy(X.astype("datetime64[s]")), "holds datetime64[s] values"),
    ("records.npy", npy(RECORDS), "has shape (30,)"),
    ("records2.npy", npy(RECORDS.reshape(15, 2).repeat(2, 0)), "numbers are needed"),
    ("norows.npy", npy(X[:0]), "0 rows; at least 20"),
    ("norows.parquet", parquet({"a": X[:0, 0]}), "0 rows; at least 20"),
    ("scalar.npy", npy(np.float64(3)), "has shape ()"),
    ("unnamed.npz", unnamed_member(), "it is damaged"),
    ("nothing.npz", npz(), "holds no array"),
    ("text.npz", npz(x=b"not an array"), "damaged or no NumPy file"),
    ("labels.npz", npz(x=npy(X), labels=npy(X)), "“labels” has shape (60, 2)"),
    ("members.npz", npz(**{f"a{i}": b"" for i in range(20_000)}), "more arrays than are read"),
    ("line.csv", b"1.5," * 400_000 + b"1\n", "line 1 of line.csv has more than 1,048,576"),
    ("wide.csv", b",".join([b"1"] * 5000) + b"\n", "has 5,000 columns; 1 to 4,096"),
    ("long.csv", b"1,2\n" * 30 + b"1," * 600_000, "line 31 of long.csv has more than"),
    ("ragged.csv", b"1,2\n" * 30 + b"1," * 300_000, "row 31 has 300,001 values"),
    ("quote.csv", b'1,2\n"' + b"1" * 300_000, "cannot be read as a table"),
    ("blank.csv", b"\n" * 5000 + b"1,2\n" * 30, "more than 1,000 empty lines"),
    ("zeros.csv", bytes(1000), "holds zeros alone"),
    ("latin.csv", "é,b\n1,2\n".encode("latin-1") * 30, "“é” is “é”, not a number"),
    ("utf16.csv", ("1,2\n" * 30).encode("utf-16"), "2 of 2 columns are constant"),
    ("halves.csv", b"1,2\n\0\xff" * 30, "is no text in UTF-8 or UTF-16"),
    ("lists.parquet", parquet({"a": [[1.0]] * 30}), "holds list"),
    ("structs.parquet", parquet({"a": [{"b": 1}] * 30}), "holds struct"),
    ("cut.parquet", parquet({"a": X[:, 0]})[:-40], "damaged or no Parquet file"),
    ("columns.parquet", parquet({f"c{i}": [1.0] * 20 for i in range(4097)}), "4,097 columns"),
]
"""Name, content, and what the refusal says: one of the parts between bars."""
