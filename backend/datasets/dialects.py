"""Dialects of text tables: encoding, separator, decimal sign, names, units and row numbers, all of
them read off the first lines of a file."""

from __future__ import annotations

import csv
import itertools
import re
from dataclasses import dataclass
from io import FileIO

from backend.datasets.reading import MAX_COLUMNS, bad
from backend.datasets.text_lines import encoding_of, head_of, without_preamble

BLANKS = " "
"""The separator that stands for any number of blanks and tabs."""
MISSING = frozenset(
    (
        *("na", "n/a", "#n/a", "#na", "<na>", "null", "none", "nil", "nat", "missing", "n.a."),
        *("?", "-", "--", ".", "..", "\\n", "nd", "#value!", "#div/0!", "#ref!"),
    )
)
"""Words that stand for no value, in lower case."""
TRUTHS = {"true": 1.0, "false": 0.0}
LABEL_NAMES = ("label", "labels", "class")
"""Columns of whole numbers that are classes of the rows."""
_SEPARATORS = (",", ";", "\t", "|", BLANKS)
_UNNAMED = re.compile(r"(Unnamed: 0(\.\d+)?|__index_level_\d+__|)")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_WITH_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+([eE][+-]?\d+)?")

Rows = list[list[str]]


@dataclass(frozen=True)
class Layout:
    """Dialect of a text table, and the cells of its rows."""

    encoding: str
    separator: str
    decimal: str
    width: int
    """cells of a row, of which the last may stand empty behind a separator"""
    names: tuple[str, ...]
    """of all cells but such a last one; their places where the file gives none"""
    has_names: bool
    num_before: int
    """lines before the first row of values"""
    index: int | None
    """place of the row numbers or row names that a program wrote in front"""
    words: tuple[int, ...]
    """places of the columns of words"""
    whole: tuple[int, ...]
    """places of the columns of whole numbers, as far as they were looked at"""
    notes: tuple[str, ...] = ()

    def split(self, line: str) -> list[str]:
        return split(line, self.separator)

    def number(self, cell: str) -> float:
        """Raises ValueError."""
        return number(cell, self.decimal)


def layout(name: str, file: FileIO) -> Layout:
    """Dialect of the table in a file. Raises BadInput."""
    encoding = encoding_of(name, file)
    comments, head, separator = without_preamble(head_of(name, file, encoding))
    if not head:
        raise bad(f"{name} is empty.")
    lines = [line for _, line in head]
    _check_first(name, lines[0])
    separator, decimal = _dialect(name, lines, separator)
    try:
        rows = [split(line, separator) for line in lines]
    except csv.Error as error:
        raise bad(f"{name} cannot be read as a table: {error}.") from error
    places = [at for at, _ in head]
    quoted = lines[0].count('"') >= 2 * len(rows[0]) and '"' not in "".join(lines[1:2] or '"')
    return _layout_of(name, encoding, (separator, decimal), rows, places, comments, quoted)


def number(cell: str, decimal: str) -> float:
    """The number in a cell, NaN included. Raises ValueError."""
    text = cell.strip()
    if decimal == "," and "," in text:
        if not _WITH_COMMA.fullmatch(text):
            raise ValueError(text)
        text = text.replace(".", "").replace(",", ".")
    elif text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    return float(text.replace("\u2212", "-"))


def is_number(cell: str, decimal: str = ".") -> bool:
    try:
        number(cell, decimal)
    except ValueError:
        return False
    return True


def is_missing(cell: str) -> bool:
    return not cell.strip() or cell.strip().lower() in MISSING


def split(line: str, separator: str) -> list[str]:
    """Cells of a line. Raises csv.Error."""
    if separator == BLANKS and '"' not in line:
        return line.split()
    blanks = separator == BLANKS
    text = " ".join(line.split()) if blanks else line
    return next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])


def _check_first(name: str, line: str) -> None:
    if line.lstrip()[:1] in ("{", "["):
        raise bad(f"{name} is JSON by its content, no table. Save one value a cell, as .csv.")
    if max(map(line.count, _SEPARATORS[:-1])) >= MAX_COLUMNS:
        width = max(map(line.count, _SEPARATORS[:-1])) + 1
        raise bad(f"{name} has {width:,} columns; 1 to {MAX_COLUMNS:,} are read.")


# ---------------------------------------------------------------------- separators and signs


def _dialect(name: str, lines: list[str], separator: str) -> tuple[str, str]:
    """Separator and decimal sign: those with which most cells are numbers, in rows of one width.

    Raises BadInput where two readings are as good.
    """
    below = lines[1:21] or lines
    candidates = [
        (each, decimal)
        for decimal in (".", ",")
        for each in ((separator,) if separator else _SEPARATORS)
        if each != decimal or any('"' in line for line in below)
    ]
    best = max(candidates, key=lambda one: _score(below, one, lines[0]))
    if not separator and _score(below, best, lines[0])[0] == 0:
        counted = max(_SEPARATORS[:-1], key=lines[0].count)
        return counted, "."
    if best == (",", ".") and all(_WITH_COMMA.fullmatch(line.strip()) for line in below):
        return _one_column_or_two(name, lines[0], below)
    return best


def _score(lines: list[str], dialect: tuple[str, str], first: str) -> tuple[float, bool, int]:
    """Share of the cells that are numbers, in rows of the commonest width; True where the first
    line is of that width; and the width."""
    separator, decimal = dialect
    try:
        rows = [split(line, separator) for line in lines]
        num_names = len(split(first, separator))
    except csv.Error:
        return 0.0, False, 0
    width = _width(rows)
    cells = [cell for row in rows if len(row) == width for cell in row if cell.strip()]
    numbers = sum(is_number(cell, decimal) or is_missing(cell) for cell in cells)
    share = numbers / max(1, len(cells)) * sum(len(row) == width for row in rows) / len(rows)
    return round(share, 6), num_names in (width, width - 1), width


def _one_column_or_two(name: str, first: str, lines: list[str]) -> tuple[str, str]:
    """One column of decimal commas, or two of whole numbers: told by names or by zeros in front."""
    if not _WITH_COMMA.fullmatch(first.strip()):
        return (",", ".") if "," in first else (";", ",")
    second = [line.strip().partition(",")[2] for line in (first, *lines)]
    if any(len(digits) > 1 and digits[0] == "0" for digits in second):
        return ";", ","
    if min(map(len, second)) > 2 and len({len(digits) for digits in second}) == 1:
        raise bad(
            f"{name} has lines like “{first.strip()[:40]}”: one column of numbers with decimal "
            "commas, or two of whole numbers. Give the columns names in a first line, or write "
            "decimal points."
        )
    return ",", "."


def _width(rows: Rows) -> int:
    widths = [len(row) for row in rows]
    return max(set(widths), key=lambda width: (widths.count(width), width))


# ---------------------------------------------------------------------- names


def _layout_of(
    name: str,
    encoding: str,
    dialect: tuple[str, str],
    rows: Rows,
    places: list[int],
    comments: list[str],
    quoted: bool,
) -> Layout:
    separator, decimal = dialect
    notes: list[str] = []
    width = _width(rows[1:] or rows)
    below = [row for row in rows[1:] if len(row) == width]
    first = rows[0]
    names_row = len(first) in (width, width - 1) and (
        quoted or _is_names(first, below, width, decimal)
    )
    trails = separator != BLANKS and _trails(first, below, width, names_row)
    num = width - trails
    if num > MAX_COLUMNS:
        raise bad(f"{name} has {num:,} columns; 1 to {MAX_COLUMNS:,} are read.")
    names: list[str] = []
    num_before = places[0] - 1
    if names_row:
        names = [cell.strip() for cell in first][:num]
        names = ["", *names] if len(names) < num else names
        num_before = places[0]
        if len(rows) > 2 and _is_units(rows[1], rows[2:], decimal):
            units = ", ".join(cell.strip() for cell in rows[1][:num] if cell.strip())
            notes.append(f"the line below the names, {units[:80]}, is passed over as units")
            below, num_before = below[1:], places[1]
    elif named := _names_in_comment(comments, num):
        names = named
    values = below if names_row else [row for row in rows if len(row) == width]
    kinds = [_kind([row[at] for row in values], decimal) for at in range(num)]
    for at, kind in enumerate(kinds):
        if kind == "words" and all(_THOUSANDS.fullmatch(row[at].strip()) for row in values):
            raise bad(
                f"numbers of {name}, such as “{values[0][at].strip()[:40]}”, are written with "
                "separators of thousands. Write them without, and with a decimal point."
            )
    index = _index(name, names, values, kinds) if names else None
    if index is not None:
        title = f"“{names[index]}”" if names[index] else "without a name"
        what = "row names" if kinds[index] == "words" else "row numbers"
        notes.append(f"column 1, {title}, holds {what} and is left out")
    titles, renamed = _distinct(names)
    notes += renamed
    return Layout(
        encoding,
        separator,
        decimal,
        width,
        tuple(titles or (str(at + 1) for at in range(num))),
        bool(names),
        num_before,
        index,
        tuple(at for at, kind in enumerate(kinds) if kind == "words" and at != index),
        tuple(at for at, kind in enumerate(kinds) if kind == "whole" and at != index),
        tuple(notes),
    )


def _kind(cells: list[str], decimal: str) -> str:
    """ "words", "whole" or "real", by most of the cells that are not missing."""
    given = [cell for cell in cells if not is_missing(cell)]
    numbers = [number(cell, decimal) for cell in given if is_number(cell, decimal)]
    if 2 * len(numbers) < len(given):
        return "words"
    return "whole" if numbers and all(value == value // 1 for value in numbers) else "real"


def _is_names(first: list[str], below: Rows, width: int, decimal: str) -> bool:
    """True for a first line of names: words over numbers, numbers in quotes over plain ones, or
    numbers that count, as pandas names columns."""
    if not below:
        return any(not (is_number(cell, decimal) or is_missing(cell)) for cell in first)
    shift = width - len(first)
    columns = [[row[at + shift] for row in below] for at in range(len(first))]
    kinds = [_kind(column, decimal) for column in columns]
    over_numbers = [cell for cell, kind in zip(first, kinds, strict=True) if kind != "words"]
    if any(not (is_number(cell, decimal) or is_missing(cell)) for cell in over_numbers):
        return True
    if not over_numbers:
        return all(cell not in column for cell, column in zip(first, columns, strict=True))
    if shift and not all(cell.strip() for cell in first):
        return False
    cells = over_numbers[1:] if not first[0].strip() else over_numbers
    if not cells or not all(re.fullmatch(r"\d+", cell.strip()) for cell in cells):
        return False
    counts = [int(cell) for cell in cells]
    return _count_columns(counts, below, kinds)


def _count_columns(counts: list[int], below: Rows, kinds: list[str]) -> bool:
    """True for 0, 1, 2, ... or a longer even scale, such as years, over other values."""
    steps = {after - before for before, after in itertools.pairwise(counts)}
    from_zero = counts == list(range(len(counts)))
    if "real" in kinds:
        return from_zero or (len(counts) > 3 and len(steps) == 1 and min(steps) > 0)
    if not from_zero or len(counts) < 3:
        return False
    values = [int(cell) for row in below for cell in row[-len(counts) :] if cell.strip().isdigit()]
    if values and max(values) < len(counts):
        raise bad(
            f"the first line is {', '.join(map(str, counts[:4]))}, …: names of the columns, or a "
            "row of values like the others. Give the columns names that begin with a letter."
        )
    return True


def _is_units(row: list[str], below: Rows, decimal: str) -> bool:
    """True for words over columns of numbers, such as m, s and kg."""
    columns = [[line[at] for line in below if len(line) == len(row)] for at in range(len(row))]
    given = [
        cell
        for cell, column in zip(row, columns, strict=True)
        if column and _kind(column, decimal) != "words" and cell.strip()
    ]
    return bool(given) and not any(is_number(cell, decimal) or is_missing(cell) for cell in given)


def _trails(first: list[str], below: Rows, width: int, names_row: bool) -> int:
    """1 for rows that all end with a separator."""
    rows = below if names_row else [first, *below]
    unnamed = not names_row or len(first) < width or not first[-1].strip()
    return int(width > 1 and unnamed and all(not row[-1].strip() for row in rows) and bool(rows))


def _names_in_comment(comments: list[str], num: int) -> list[str]:
    """Names in the last comment above the values, as numpy.savetxt writes them."""
    if not comments:
        return []
    text = comments[-1].strip().strip('"').lstrip("#%!/ ")
    for separator in _SEPARATORS:
        cells = split(text, separator)
        names = [cell.strip() for cell in cells]
        if len(names) == num and all(names) and not all(map(is_number, names)):
            return names
    return []


def _index(name: str, names: list[str], values: Rows, kinds: list[str]) -> int | None:
    """0 where the first column is a program's row numbers or names: it has no name of its own."""
    if len(names) < 2 or not _UNNAMED.fullmatch(names[0]):
        return None
    cells = [row[0] for row in values]
    if kinds[0] == "words" or (kinds[0] == "whole" and len(set(cells)) == len(cells)):
        return 0
    raise bad(f"the first column of {name} has no name. Name it, or remove it.")


def _distinct(names: list[str]) -> tuple[list[str], list[str]]:
    """Names of which none stands twice, and a sentence on those that did."""
    titles: list[str] = []
    for at, each in enumerate(names):
        title, times = each or str(at + 1), 2
        while title in titles or (not each and title in names):
            title, times = f"{each or at + 1} ({times})", times + 1
        titles.append(title)
    twice = sorted({each for each in names if each and names.count(each) > 1})
    if not twice:
        return titles, []
    shared = ", ".join(f"“{each}”" for each in twice[:5])
    return titles, [f"more than one column is named {shared}; the later ones carry a number"]
