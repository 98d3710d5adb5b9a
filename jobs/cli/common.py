"""Common parts of all commands: `--json`, errors with exit codes, tables."""

from __future__ import annotations

import contextlib
import functools
import getpass
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import click
import redis

from backend.errors import BadInput, BasinError, NotAvailable, Problem
from backend.system.home import home, make_private
from jobs.queueing import redis_store
from jobs.system import atomic_files

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit codes: done; failed or diverged; bad input, or something needed is missing."""


class BasinGroup(click.Group):
    """Command group whose own usage errors obey `--json` too."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        arguments = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):  # of a locale that cannot write “∇” or “–”
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        if "--json" not in arguments or not extra.get("standalone_mode", True):
            return super().main(args, **extra)
        try:
            result = super().main(arguments, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            show_problems([Problem("", error.format_message())], as_json=True)
            sys.exit(BAD_INPUT)
        except click.Abort:
            sys.exit(FAILED)
        # Without standalone mode click returns the code of an Exit instead of leaving.
        sys.exit(result if isinstance(result, int) else DONE)


_answer: TextIO | None = None
"""Standard output, while it is kept for the one JSON value."""


@contextlib.contextmanager
def _for_json_alone() -> Iterator[None]:
    """Keep standard output for `show`: what else is printed goes to standard error.

    A user's own file prints, and so may a library, in C or in a process of its own.
    """
    global _answer
    out, before = sys.stdout, _answer
    number = os.dup(1) if out is sys.__stdout__ else None
    _answer = out
    if number is not None:
        out.flush()
        _answer = os.fdopen(number, "w", encoding=out.encoding, errors=out.errors)
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
        _answer.flush()
    finally:
        sys.stdout, for_json, _answer = out, _answer, before
        if number is not None:
            os.dup2(number, 1)
            with contextlib.suppress(OSError):  # nobody reads on
                for_json.close()


def json_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, passed as `as_json`, and turn Basin's errors into a message and exit code 2."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, **options: Any) -> Any:
        try:
            with _for_json_alone() if as_json else contextlib.nullcontext():
                return function(*args, as_json=as_json, **options)
        except BadInput as error:
            show_problems(error.problems, as_json)
        except NotAvailable as error:
            show_problems([Problem("", str(error))], as_json)
        except redis.RedisError as error:
            show_problems([Problem("", str(redis_store.unreachable(error)))], as_json)
        except BrokenPipeError:
            raise  # nobody reads on, as of `basin ls | head`
        except OSError as error:  # the disk, or a folder's rights: no input can mend them
            show_problems([Problem("", str(error))], as_json)
            sys.exit(FAILED)
        except Exception as error:  # a fault of Basin's, or of a plug-in
            show_problems([Problem("", _fault(error))], as_json)
            sys.exit(FAILED)
        sys.exit(BAD_INPUT)

    return wrapped


def _fault(error: Exception) -> str:
    """Describe an error that nobody foresaw; its traceback goes into a file."""
    if os.environ.get("BASIN_TRACEBACK"):
        raise error
    first = (str(error).strip().splitlines() or [""])[0]
    words = f"this should not happen. {type(error).__name__}: {first}".rstrip(": ")
    where = "BASIN_TRACEBACK=1 prints where."
    with contextlib.suppress(OSError, BasinError):
        folder = make_private(home() / "logs")
        text = "".join(traceback.format_exception(error))
        atomic_files.write(folder / "fault.txt", f"{' '.join(sys.argv)}\n{text}")
        where = f"Where it happened stands in {folder / 'fault.txt'}."
    return f"{words.rstrip('.')}. {where}"


def user() -> str:
    """Return the name of who runs this command; a number where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container under any number
        return f"user {os.getuid()}"


def show_problems(problems: Sequence[Problem], as_json: bool) -> None:
    """Print every problem: as JSON on standard output, else one line each on standard error."""
    if as_json:
        listed = [{"field": problem.field, "message": problem.message} for problem in problems]
        echo_json({"error": {"problems": listed}})
        return
    for problem in problems:
        click.echo(f"error: {problem}", err=True)


def show(value: Any, as_json: bool, text: str | Callable[[], str]) -> None:
    """Print a value as JSON, or the text for a person."""
    if as_json:
        echo_json(value)
    else:
        click.echo(text() if callable(text) else text)


def echo_json(value: Any) -> None:
    """Print a value as strict JSON: what is not finite becomes null."""
    out = _answer or sys.stdout
    is_utf8 = (out.encoding or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(_strict(value), ensure_ascii=not is_utf8, allow_nan=False, default=str)
    click.echo(text, file=out)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a table: left-aligned columns, two spaces apart."""
    cells = [[str(column) for column in columns]]
    cells += [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float | None) -> str:
    """Format three significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.3g}"
