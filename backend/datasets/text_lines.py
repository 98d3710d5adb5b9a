"""Lines of a text table: its encoding, its first lines, and what stands above the table."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Generator
from io import FileIO

from backend.datasets.reading import MAX_COLUMNS, bad

MAX_LINE = 2**20
"""Characters of one line of a text table."""
MAX_BLANK = 1000
"""Empty lines before the first."""
NUM_LINES = 60
"""Lines that the dialect is read off."""
_COMMENTS = ("#", "%", "//", "!")


def encoding_of(name: str, file: FileIO) -> str:
    """Encoding of a text: UTF-8, UTF-16 by its mark or its zeros, else Western European.

    Raises BadInput for bytes that are no text.
    """
    file.seek(0)
    beginning = file.read(4096)
    file.seek(0)
    if beginning[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if beginning[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = beginning.count(0)
    if zeros:
        if zeros < len(beginning) // 3 or beginning[:2].count(0) != 1:
            raise bad(f"{name} is no text in UTF-8 or UTF-16.")
        return "utf-16-le" if beginning[1] == 0 else "utf-16-be"
    try:
        with contextlib.closing(lines_of(name, file, "utf-8-sig")) as lines:
            for _ in itertools.islice(lines, NUM_LINES):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def lines_of(name: str, file: FileIO, encoding: str) -> Generator[str, None, None]:
    """Lines of a text from its start, ends kept. Raises BadInput for one without end, and
    UnicodeDecodeError."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        for at in itertools.count(1):
            line = text.readline(MAX_LINE)
            if not line:
                return
            if len(line) == MAX_LINE and line[-1] not in "\r\n":
                raise bad(
                    f"line {at:,} of {name} has more than {MAX_LINE:,} characters; a table has "
                    f"at most {MAX_COLUMNS:,} columns, and a line for every row."
                )
            yield line
    finally:
        text.detach()


def is_comment(line: str) -> bool:
    return line.lstrip(' "').startswith(_COMMENTS)


def head_of(name: str, file: FileIO, encoding: str) -> list[tuple[int, str]]:
    """The first lines that are not empty, with their places from 1."""
    head: list[tuple[int, str]] = []
    length, num_rows = 0, 0
    try:
        with contextlib.closing(lines_of(name, file, encoding)) as lines:
            for at, line in enumerate(lines, 1):
                text = line.strip("\r\n\0\ufeff\x1a")
                if text.strip():
                    head.append((at, text))
                    length += len(text)
                    num_rows += not is_comment(text)
                elif not head and at > MAX_BLANK:
                    raise bad(
                        f"{name} is empty, or begins with more than {MAX_BLANK:,} empty lines."
                    )
                if num_rows >= NUM_LINES or (length > 4 * MAX_LINE and num_rows > 3):
                    break
                if len(head) > 20 * NUM_LINES:
                    break
    except UnicodeError as error:
        raise bad(f"{name} is no text in UTF-8 or UTF-16.") from error
    return head


def without_preamble(
    head: list[tuple[int, str]],
) -> tuple[list[str], list[tuple[int, str]], str]:
    """Comments, the lines below them, and the separator that a first line `sep=;` names."""
    comments, separator = [], ""
    rest = list(head)
    while rest:
        line = rest[0][1]
        named = re.fullmatch(r'"?sep=(.)"?', line.strip(" "), re.IGNORECASE)
        if named and not separator:
            separator = named[1]
        elif is_comment(line):
            comments.append(line)
        else:
            break
        rest.pop(0)
    return comments, [(at, line) for at, line in rest if not is_comment(line)], separator
