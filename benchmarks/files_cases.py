"""Small files as people have them, and what is right to make of each.

A case holds the values that are in the file, or the words that a refusal needs to have.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
from pyarrow import parquet

from benchmarks.files_images import IMAGES
from benchmarks.hostile_files import PAGE, POINTER, npy, npz

NUM = 60
X = np.random.default_rng(0).normal([5.0, -2.0, 40.0], [1.0, 0.5, 12.0], (NUM, 3)).round(4)
COUNTS = np.random.default_rng(1).integers(0, 50, (NUM, 3))
CLASS = np.arange(NUM) % 3
WORDS = np.array(["setosa", "versicolor", "virginica"])[CLASS]
NAMES = ("a", "b", "c")


class Case(NamedTuple):
    """A file by name and content, or what makes it in a folder."""

    name: str
    content: bytes | Callable[[Path], None]
    values: Any = None
    """that have to be read; None where the file has to be refused"""
    says: str = ""
    """words of the refusal, or of what was made of the file"""
    columns: tuple[str, ...] | None = None
    classes: Any = None
    """names of the classes of the rows"""
    settings: dict[str, Any] = {}


def text(rows: Any, separator: str = ",", decimal: str = ".", form: str = "{:.4f}") -> list[str]:
    """Lines of numbers."""
    return [
        separator.join(form.format(value).replace(".", decimal) for value in row) for row in rows
    ]


def joined(*lines: str, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return (end.join(lines) + end).encode(encoding)


def table(columns: dict[str, Any], **settings: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, **settings)
    return buffer.getvalue()


def saved(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


ROWS = text(X)
INDEXED = [f"{at},{row}" for at, row in enumerate(ROWS)]
RARE = np.column_stack([X[:, :2], np.eye(1, NUM, 3)[0]])


def headers() -> Iterator[Case]:
    """Lines of names, and row numbers in front."""
    wide = np.random.default_rng(2).normal(size=(NUM, 16)).round(4)
    yield Case("plain.csv", joined(*ROWS), X, columns=())
    yield Case("names.csv", joined("a,b,c", *ROWS), X, columns=NAMES)
    yield Case("numbers.csv", joined("0,1,2", *ROWS), X, columns=("0", "1", "2"))
    yield Case("numbers1.csv", joined("0", *text(X[:, :1])), X[:, :1], columns=("0",))
    yield Case("numbers2.csv", joined("0,1", *text(X[:, :2])), X[:, :2], columns=("0", "1"))
    sixteen = ",".join(map(str, range(16)))
    yield Case("numbers16.csv", joined(sixteen, *text(wide)), wide)
    yield Case("years.csv", joined("2001,2002,2003,2004", *text(wide[:, :4])), wide[:, :4])
    counts = text(COUNTS, form="{}")
    yield Case("counts.csv", joined("0,1,2", *counts), COUNTS, columns=("0", "1", "2"))
    small = text(COUNTS % 3, form="{}")
    yield Case("ambiguous.csv", joined("0,1,2", *small), says="names of the columns, or a row")
    yield Case("counts_plain.csv", joined(*counts), COUNTS, columns=())
    yield Case("quoted_numbers.csv", joined('"10","20","70"', *ROWS), X, columns=("10", "20", "70"))
    yield Case("quoted.csv", joined('"a; x","b, y","c"', *ROWS), X, columns=("a; x", "b, y", "c"))
    note = "holds row numbers"
    yield Case("index.csv", joined(",a,b,c", *INDEXED), X, note, NAMES)
    yield Case("index_numbers.csv", joined(",0,1,2", *INDEXED), X, note, ("0", "1", "2"))
    yield Case("unnamed.csv", joined("Unnamed: 0,a,b,c", *INDEXED), X, note, NAMES)
    filtered = [f"{7 * at % 61},{row}" for at, row in enumerate(ROWS)]
    yield Case("filtered.csv", joined(",a,b,c", *filtered), X, note, NAMES)
    named = [f"car {at},{row}" for at, row in enumerate(ROWS)]
    yield Case("row_names.csv", joined('"",a,b,c', *named), X, "holds row names", NAMES)
    r_table = [f'"{at + 1}" {row.replace(",", " ")}' for at, row in enumerate(ROWS)]
    yield Case("r_table.txt", joined('"a" "b" "c"', *r_table), X, note, NAMES)
    real = [f"{at / 7:.3f},{row}" for at, row in enumerate(ROWS[::-1])]
    yield Case("no_name.csv", joined(",a,b,c", *real), says="has no name. Name it, or remove it")
    yield Case("counted.csv", joined(*INDEXED), np.c_[range(NUM), X], "column 1 counts the rows")
    yield Case("twice.csv", joined("a,a,b", *ROWS), X, "more than one column", ("a", "a (2)", "b"))
    yield Case("blank_name.csv", joined("a,,c", *ROWS), X, columns=("a", "2", "c"))
    yield Case("spaces.csv", joined(" a , b , c ", *ROWS), X, columns=NAMES)
    yield Case("names_only.csv", joined("a,b,c"), says="names and no rows|has 0 rows")


def dialects() -> Iterator[Case]:
    """Separators, decimal signs, encodings, and what stands above and below a table."""
    semicolons, commas = text(X, ";"), text(X, ";", ",")
    yield Case("semicolon.csv", joined("a;b;c", *semicolons), X, columns=NAMES)
    yield Case("tab.tsv", joined("a\tb\tc", *text(X, "\t")), X, columns=NAMES)
    yield Case("tab.csv", joined(*text(X, "\t")), X)
    yield Case("pipe.csv", joined("a|b|c", *text(X, "|")), X, columns=NAMES)
    yield Case("blank.txt", joined(*text(X, " ")), X)
    yield Case("blank_names.dat", joined("a b c", *text(X, " ")), X, columns=NAMES)
    yield Case("aligned.txt", joined(*text(X, "", form="{:12.4f}")), X)
    yield Case("tabs_and_blanks.txt", joined(*text(X, " \t ")), X)
    yield Case("comma_blank.csv", joined("a, b, c", *text(X, ", ")), X, columns=NAMES)
    yield Case("savetxt.csv", joined(*text(X, " ", form="{:.18e}")), X)
    yield Case("savetxt_header.csv", joined("# a b c", *text(X, " ")), X, columns=NAMES)
    yield Case("hash.csv", joined("# a,b,c", *ROWS), X, columns=NAMES)
    yield Case("matlab.csv", joined("% a,b,c", *ROWS), X, columns=NAMES)
    yield Case("remarks.csv", joined("# made 2024", "# x, y", "a,b,c", *ROWS), X, columns=NAMES)
    between = [*ROWS[:20], "# the probe was cleaned", *ROWS[20:]]
    yield Case("remark_between.csv", joined("a,b,c", *between), X, columns=NAMES)
    yield Case("decimal.csv", joined(*commas), X, columns=())
    yield Case("decimal_names.csv", joined("a;b;c", *commas), X, columns=NAMES)
    yield Case("decimal_tab.tsv", joined("a\tb\tc", *text(X, "\t", ",")), X, columns=NAMES)
    yield Case("decimal_blank.txt", joined(*text(X, " ", ",")), X)
    one = text(X[:, :1] * 0.01, decimal=",")
    yield Case(
        "decimal_one.csv", joined(*one), np.array([[float(line.replace(",", "."))] for line in one])
    )
    yield Case("decimal_one_name.csv", joined("a", *text(X[:, :1], decimal=",")), X[:, :1])
    whole = [f"{at},{at * 7 % 900 + 100}" for at in range(NUM)]
    yield Case("comma_or_point.csv", joined(*whole), says="one column of numbers with decimal")
    quoted = [",".join(f'"{cell}"' for cell in row.split(";")) for row in commas]
    yield Case("decimal_quoted.csv", joined("a,b,c", *quoted), X, columns=NAMES)
    unquoted = text(X, ",", ",")
    yield Case(
        "decimal_unquoted.csv", joined("a,b,c", *unquoted), says="Decimal commas|values, the"
    )
    thousands = [f"{row.replace(',', '.')};{at}" for at, row in enumerate(one)]
    grouped = [f"1.{at + 100}.{at + 200},5;{at}" for at in range(NUM)]
    truth = np.array([[1e6 + (at + 100) * 1e3 + at + 200.5, at] for at in range(NUM)])
    yield Case("thousands_de.csv", joined("a;b", *grouped), truth, columns=("a", "b"))
    yield Case(
        "semicolon_points.csv",
        joined("a;b", *thousands),
        says="",
        values=np.array([[float(line.split(";")[0]), at] for at, line in enumerate(thousands)]),
    )
    english = [f'"{at + 1},{at + 100}.5",{at}' for at in range(NUM)]
    yield Case("thousands_en.csv", joined("a,b", *english), says="separators of thousands|words")
    yield Case("sep.csv", joined("sep=;", "a;b;c", *semicolons), X, columns=NAMES)
    yield Case("sep_decimal.csv", joined('"sep=;"', "a;b;c", *commas), X, columns=NAMES)
    yield Case("units.csv", joined("a,b,c", "m,s,kg", *ROWS), X, "is passed over as units", NAMES)
    yield Case("trailing.csv", joined(*[row + "," for row in ROWS]), X)
    yield Case("trailing_names.csv", joined("a,b,c,", *[row + "," for row in ROWS]), X)
    yield Case("trailing_rows.csv", joined("a,b,c", *[row + "," for row in ROWS]), X, columns=NAMES)
    yield Case("crlf.csv", joined("a,b,c", *ROWS, end="\r\n"), X, columns=NAMES)
    yield Case("cr.csv", joined("a,b,c", *ROWS, end="\r"), X, columns=NAMES)
    yield Case("no_end.csv", joined("a,b,c", *ROWS)[:-1], X, columns=NAMES)
    yield Case("empty_lines.csv", joined("", "", "a,b,c", "", *ROWS, "", ""), X, columns=NAMES)
    yield Case("bom.csv", joined("\ufeffa,b,c", *ROWS), X, columns=NAMES)
    for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield Case(f"{code}.csv", joined("a,b,c", *ROWS, encoding=code), X, columns=NAMES)
    latin = joined("Höhe,b,c", *ROWS, encoding="latin-1")
    yield Case("latin.csv", latin, X, columns=("Höhe", "b", "c"))
    yield Case("minus.csv", joined(*[row.replace("-", "\u2212") for row in ROWS]), X)
    yield Case("exponents.csv", joined(*text(X, form="{:.6E}")), X)
    yield Case(
        "truths.csv",
        joined("a,b", *[f"{x:.4f},{x > 5}" for x in X[:, 0]]),
        np.c_[X[:, 0], X[:, 0] > 5],
    )
    yield Case("title.csv", joined("Experiment 7", "a,b,c", *ROWS), says="values, the first line")
    yield Case("total.csv", joined("a,b,c", *ROWS, "total"), says="It is “total”: remove it")
    yield Case("json.csv", b'{"a": [1, 2]}\n' * 30, says="is JSON by its content")


def missing() -> Iterator[Case]:
    """Values that are none, and columns that cannot be learned."""

    def with_cell(cell: str) -> bytes:
        return joined("a,b,c", *ROWS[:9], f"1.5,{cell},3", *ROWS[10:])

    rest = np.delete(X, 9, 0)
    for name, cell in (("no_word", ""), ("na", "NA"), ("question", "?"), ("null", "null")):
        word = "is empty" if not cell else f"is missing (“{cell}”)"
        yield Case(f"{name}.csv", with_cell(cell), says=f"row 10, column “b” {word}")
        drop = {"missing": "drop"}
        note = "1 of 60 rows have a value missing"
        yield Case(f"{name}_dropped.csv", with_cell(cell), rest, note, settings=drop)
    yield Case("nan.csv", with_cell("nan"), says="row 10, column “b” is NaN")
    yield Case("infinite.csv", with_cell("inf"), says="row 10, column “b” is inf")
    yield Case("word.csv", with_cell("high"), says="row 10, column “b” is “high”, not a number")
    yield Case(
        "short.csv", with_cell("2").replace(b"1.5,2,3", b"1.5,2"), says="row 10 has 2 values"
    )
    for number in (-999, -9999.0, 99999):
        values = X.copy()
        values[[3, 8], 1] = number
        says = f"column “b” is {number:g} in 2 of 60 rows"
        content = joined("a,b,c", *text(values))
        yield Case(f"placeholder{number:g}.csv", content, says=says)
        yield Case(f"taken{number:g}.csv", content, values, settings={"missing": "take"})
        without = np.delete(values, [3, 8], 0)
        drop = {"missing": "drop"}
        yield Case(f"left_out{number:g}.csv", content, without, "2 of 60", settings=drop)
    values = X.copy()
    values[5, 0] = -999
    yield Case("placeholder.npy", npy(values), says="column 1 is -999 in 1 of 60 rows")
    flat = np.c_[X, np.zeros((NUM, 2))]
    yield Case("constant.npy", npy(flat), says="2 of 5 columns are constant")
    yield Case("constant.csv", joined("a,b,c", *text(X * [1, 0, 1])), says="column “b” is constant")
    yield Case("rare.csv", joined("a,b,flag", *text(RARE)), RARE, columns=("a", "b", "flag"))
    yield Case("copies.npy", npy(np.r_[X[:30], X[:30]]), np.r_[X[:30], X[:30]], "are copies of oth")
    yield Case("equal.npy", npy(X[:, [0, 1, 0]]), X[:, [0, 1, 0]], "hold the same values")
    shares = np.random.default_rng(3).dirichlet([2, 3, 4], NUM)
    yield Case("shares.npy", npy(shares), shares, "linear in 2 of them")
    bounded = np.random.default_rng(4).uniform(size=(500, 2))
    yield Case("bounded.npy", npy(bounded), bounded, "values end sharply in column 1")


def scales() -> Iterator[Case]:
    """Offsets and scales that 32-bit numbers do not hold."""
    for name, offset, scale in (
        ("offset", 1e9, 1.0),
        ("tiny", 0.0, 1e-9),
        ("both", 1e9, 1e-3),
        ("large", 0.0, 1e30),
        ("small", 0.0, 1e-30),
        ("year", 1.7e9, 10.0),
    ):
        values = offset + scale * X
        yield Case(f"{name}.npy", npy(values), values)
        lines = text(values.tolist(), form="{!r}")
        yield Case(f"{name}.csv", joined("a,b,c", *lines), values, columns=NAMES)
    far = npy(1e9 + X)
    yield Case("not_shifted.npy", far, says="do not tell apart", settings={"standardise": False})
    yield Case("huge.npy", npy(X * 1e39), says="too large for a 32-bit number")


def classes() -> Iterator[Case]:
    """Classes of rows, whichever way they are written."""
    numbered: dict[str, Any] = {"values": X, "classes": tuple(map(str, CLASS))}
    in_words: dict[str, Any] = {"values": X, "classes": tuple(WORDS)}
    for name, y in {
        "whole": CLASS,
        "real": CLASS.astype(float),
        "column": CLASS[:, None],
        "one_hot": np.eye(3)[CLASS],
        "truth": None,
        "small": CLASS.astype("u1"),
    }.items():
        if y is not None:
            yield Case(f"y_{name}.npz", saved(x=X, y=y), **numbered)
    yield Case("y_words.npz", saved(x=X, y=WORDS), **in_words)
    yield Case("y_bytes.npz", saved(x=X, y=WORDS.astype("S")), **in_words)
    yield Case("target.npz", saved(data=X, target=CLASS), **numbered)
    yield Case("train.npz", saved(x_train=X, y_train=CLASS), **numbered)
    yield Case("upper.npz", saved(X=X, Y=CLASS), **numbered)
    objects = npz(x=npy(X), y=npy(WORDS.astype(object)))
    yield Case("y_objects.npz", objects, says="“y” holds pickled Python objects")
    measured = saved(x=X, y=X[:, 0])
    yield Case("y_measured.npz", measured, X, "“y” holds float64 and is not used as classes")
    yield Case("several.npz", saved(a=X, b=X), says="holds a, b; say which one to read")
    lines = [f"{row},{word}" for row, word in zip(ROWS, WORDS, strict=True)]
    note = "holds the classes of the rows"
    yield Case("iris.csv", joined("a,b,c,species", *lines), says=note, columns=NAMES, **in_words)
    yield Case("iris.data.csv", joined(*lines), says=note, **in_words)
    front = [f"{label},{row}" for label, row in zip(CLASS, ROWS, strict=True)]
    yield Case("label.csv", joined("label,a,b,c", *front), says=note, columns=NAMES, **numbered)
    chosen: dict[str, Any] = {"columns": ["a", "c"], "label": "group"}
    two = [f"{line},x{at}" for at, line in enumerate(lines)]
    pair: dict[str, Any] = {"values": X[:, [0, 2]], "classes": tuple(WORDS), "columns": ("a", "c")}
    yield Case("chosen.csv", joined("a,b,c,group,id", *two), settings=chosen, **pair)
    yield Case("words.csv", joined("a,b,c,group,id", *two), says="data.columns (a, b, c)")
    yield Case(
        "no_column.csv",
        joined("a,b,c", *ROWS),
        says="has no column “d”; it has a, b, c",
        settings={"columns": ["d"]},
    )
    unlike = [f"{row},id{at}" for at, row in enumerate(ROWS)]
    yield Case("ids.csv", joined("a,b,c,id", *unlike), says="and no classes")
    parts = {name: X[:, at] for at, name in enumerate(NAMES)}
    yield Case(
        "iris.parquet", table({**parts, "species": WORDS}), says=note, columns=NAMES, **in_words
    )


def other_arrays() -> Iterator[Case]:
    """Arrays and columnar tables of every kind."""
    for kind in (">f8", "f2", "<f4", ">i4"):
        values = X.astype(kind)
        yield Case(f"kind{kind.strip('<>')}.npy", npy(values), values)
    yield Case("fortran.npy", npy(np.asfortranarray(X)), X)
    yield Case("complex.npy", npy(X + 1j), says="Save real and imaginary parts as columns")
    records = np.zeros(NUM, [("a", "f8"), ("b", "f8")])
    yield Case("records.npy", npy(records), says="records of “a”, “b”")
    yield Case("flat.npy", npy(X[:, 0]), says="Reshape it to (n, 1)")
    first = np.random.default_rng(5).integers(0, 256, (NUM, 3, 8, 8)).astype("u1")
    yield Case("channels_first.npy", npy(first), says="transpose it to (n, h, w, c)")
    yield Case("few.npy", npy(X[:19]), says="19 rows; at least 20")
    yield Case("objects.npy", npy(X.astype(object)), says="pickled Python objects")
    parts: dict[str, Any] = {name: X[:, at] for at, name in enumerate(NAMES)}
    yield Case("plain.parquet", table(parts), X, columns=NAMES)
    level = {**parts, "__index_level_0__": np.arange(NUM)}
    yield Case("index.parquet", table(level), X, "pandas' index", NAMES)
    yield Case("truths.parquet", table({**parts, "d": X[:, 0] > 5}), np.c_[X, X[:, 0] > 5])
    decimals = pyarrow.array(np.round(X[:, 0] * 100).astype(int)).cast(pyarrow.decimal128(21, 2))
    yield Case("decimal.parquet", table({"a": decimals}), np.round(X[:, :1] * 100))
    gap = [None, *X[1:, 0]]
    yield Case("gap.parquet", table({"a": gap, "b": X[:, 1]}), says="row 1, column “a” is missing")
    yield Case(
        "gap_dropped.parquet",
        table({"a": gap, "b": X[:, 1]}),
        X[1:, :2],
        "1 of 60 rows",
        settings={"missing": "drop"},
    )
    yield Case(
        "times.parquet",
        table({"a": np.arange(NUM).astype("M8[s]"), "b": X[:, 0]}),
        says="column “a” holds timestamp",
    )
    yield Case("lists.parquet", table({"a": [[1.0]] * NUM}), says="holds list")


def no_data() -> Iterator[Case]:
    """Files that are not what their name says."""
    for suffix in (".npy", ".npz", ".csv", ".parquet"):
        yield Case(f"pointer{suffix}", POINTER, says="pointer of Git LFS")
        yield Case(f"page{suffix}", PAGE, says="is a web page")
    yield Case("empty.csv", b"", says="is empty")
    yield Case("zeros.npy", bytes(4000), says="holds zeros alone")
    yield Case("cut.npy", npy(X)[:-80], says="damaged or cut short")
    yield Case("cut.npz", saved(x=X)[:-80], says="cut short")
    yield Case("cut.parquet", table({"a": X[:, 0]})[:-40], says="damaged or no Parquet")
    yield Case("renamed.csv", npy(X), says="is .npy by its content")
    yield Case("packed.csv", b"\x1f\x8b\x08\0" + bytes(90), says="packed by gzip. Unpack it")
    yield Case(
        "book.csv",
        b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + bytes(99),
        says="is an Excel workbook",
    )
    yield Case("book.xlsx", b"PK\x03\x04" + bytes(99), says="Save the sheet as .csv")
    yield Case("array.mat", b"MATLAB 5.0" + bytes(99), says="scipy.io.loadmat")
    yield Case("tensor.pt", b"PK\x03\x04" + bytes(99), says="numpy.save(path, x.numpy())")
    yield Case("picture.npy", b"\x89PNG\r\n\x1a\n" + bytes(99), says="into a folder and name that")


def cases() -> list[Case]:
    """Every case, each name once."""
    parts = (headers, dialects, missing, scales, classes, other_arrays, no_data)
    every = [case for part in parts for case in part()]
    return [*every, *(Case(*case) for case in IMAGES)]
