"""Common parts of all commands: `--json`, errors with exit codes, tables."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import redis

from backend.errors import BadInput, NotAvailable, Problem
from jobs.queueing import redis_store

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit codes: done; failed or diverged; bad input, or something needed is missing."""


class BasinGroup(click.Group):
    """Command group whose own usage errors obey `--json` too."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        arguments = list(sys.argv[1:] if args is None else args)
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


def json_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, passed as `as_json`, and turn Basin's errors into a message and exit code 2."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, **options: Any) -> Any:
        try:
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
        sys.exit(BAD_INPUT)

    return wrapped


def show_problems(problems: Sequence[Problem], as_json: bool) -> None:
    """Print every problem: as JSON on standard output, else one line each on standard error."""
    if as_json:
        listed = [{"field": problem.field, "message": problem.message} for problem in problems]
        click.echo(json.dumps({"error": {"problems": listed}}, ensure_ascii=False))
        return
    for problem in problems:
        click.echo(f"error: {problem}", err=True)


def show(value: Any, as_json: bool, text: str | Callable[[], str]) -> None:
    """Print a value as JSON, or the text for a person."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, default=str))
    else:
        click.echo(text() if callable(text) else text)


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
