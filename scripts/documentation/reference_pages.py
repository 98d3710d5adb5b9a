"""Pages of the command line, of Python and of HTTP, from the code that serves them."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from starlette.routing import BaseRoute, Route, WebSocketRoute

from scripts.documentation.markdown import code, docstring, prose, table

ADAPTERS = Path(__file__).resolve().parents[2] / "basin" / "adapters"
PYTHON = (
    ("basin", "Beside your own code", ("track", "open", "load")),
    ("basin.tracking", "A run of your own loop", ("Run",)),
    ("basin.reading", "Any run, to read", ("OpenRun",)),
    ("basin.loading", "A trained energy", ("LoadedEnergy",)),
    ("jobs.models.answering", "Questions to a run", ("answer",)),
    ("jobs.models.trained_run", "A run set up again", ("load_trained",)),
    ("backend.method", "For a method", ("Method", "Preset", "Task", "SampleRequest")),
    ("backend.config", "For a Config", ("Config", "KindConfig", "option")),
    ("backend.energy", "For an energy", ("Energy",)),
    ("backend.sampler", "For a sampler", ("Sampler", "State", "Info")),
    ("backend.data", "For data", ("Data", "Dataset")),
    ("backend.ability", "For an ability", ("Ability",)),
    ("backend.observe.observer", "For an observer", ("Observer",)),
    ("backend.spec", "What a run is made of", ("RunSpec", "Budget", "Question")),
    ("backend.errors", "Errors", ("BadInput", "NotAvailable", "Problem")),
)
"""module, title, names: the public functions and classes."""


def pages() -> dict[str, str]:
    """Every page by its path in the site."""
    return {
        "reference/command-line.md": _command_line(),
        "reference/python.md": _python(),
        "reference/http.md": _http(),
    }


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, those of groups included."""
    from jobs.cli import main

    def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            for key in sorted(command.commands):
                yield from walk(command.commands[key], f"{name} {key}")

    for key in sorted(main.commands):
        yield from walk(main.commands[key], f"basin {key}")


def _command_line() -> str:
    parts = [
        "# Command line",
        "Every command takes `--json`. Exit status 0 is done, 1 failed or diverged, 2 bad input. "
        "`latest`, or the first characters of an id, name a run.",
    ]
    for name, command in commands():
        parts.append(f"## {name}")
        context = click.Context(command, info_name=name)
        usage = " ".join(command.collect_usage_pieces(context))
        parts.append(f"```text\n{name} {usage}\n```")
        parts.append(prose(inspect.cleandoc(command.help or "")))
        options = [each for each in command.params if isinstance(each, click.Option)]
        rows = (_option(each) for each in options if not each.hidden and each.name != "help")
        parts.append(table(("option", "what it does"), rows))
    return "\n\n".join(part for part in parts if part)


def _option(option: click.Option) -> tuple[str, str]:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    names = ", ".join([*option.opts, *option.secondary_opts])
    return code(f"{names}{value}"), prose(option.help or "")


def _python() -> str:
    parts = [
        "# Python",
        "`import basin` is the front door; what stands below it is for parts of your own. "
        "Positions are in the user's units unless they are called standardised.",
    ]
    for module, title, names in PYTHON:
        parts.append(f"## {title}")
        parts += [_documented(f"{module}.{name}", _got(module, name)) for name in names]
    return "\n\n".join([*parts, "## Loops of libraries", *_adapters()])


def _adapters() -> Iterator[str]:
    """Sections of `basin.adapters`, read without importing the libraries that they adapt."""
    for file in sorted(ADAPTERS.glob("*.py")):
        tree = ast.parse(file.read_text())
        about = docstring(ast.get_docstring(tree) or "")[0]
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                head, rest = docstring(ast.get_docstring(node) or "")
                yield f"### `basin.adapters.{file.stem}.{node.name}`"
                yield from (text for text in (prose(about), prose(head), prose(rest)) if text)


def _got(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _documented(path: str, thing: Any) -> str:
    head, rest = docstring(inspect.getdoc(thing) or "")
    lines = [f"### `{path}`", _signature(path.rpartition(".")[2], thing), prose(head), prose(rest)]
    if inspect.isclass(thing):
        rows = ((code(_call(name, each)), prose(_first(each))) for name, each in _members(thing))
        lines.append(table(("member", "what it is"), rows))
    return "\n\n".join(line for line in lines if line)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public functions and properties that a class defines itself and documents."""
    for name, value in vars(cls).items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        is_member = inspect.isfunction(plain) or isinstance(plain, property)
        if is_member and not name.startswith("_") and inspect.getdoc(plain):
            yield name, plain


def _call(name: str, member: Any) -> str:
    return name if isinstance(member, property) else name + _plain(inspect.signature(member))


def _first(member: Any) -> str:
    return " ".join((inspect.getdoc(member) or "").split())


def _signature(name: str, thing: Any) -> str:
    if inspect.isclass(thing) and thing.__init__ is object.__init__:
        return ""
    try:
        return f"```python\n{name}{_plain(inspect.signature(thing))}\n```"
    except ValueError:
        return ""


class _Written:
    """Annotation that is shown as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _as_written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


def _plain(signature: inspect.Signature) -> str:
    """Signature without `self`, its types as they are written."""
    given = [
        each.replace(annotation=_as_written(each.annotation))
        for each in signature.parameters.values()
        if each.name not in ("self", "cls")
    ]
    returns = _as_written(signature.return_annotation)
    return str(signature.replace(parameters=given, return_annotation=returns))


def routes() -> list[BaseRoute]:
    """Every route of Basin's own."""
    from dashboard import shell
    from dashboard.stream import arena
    from dashboard.stream.hub import Hub
    from dashboard.stream.routes import routes as live

    return [*shell.routes(), *live(Hub()), *arena.routes()]


def _http() -> str:
    paths: dict[tuple[str, str, str], list[str]] = {}
    for route in routes():
        assert isinstance(route, Route | WebSocketRoute)
        methods = sorted((getattr(route, "methods", None) or {"WebSocket"}) - {"HEAD"})
        about = " ".join((inspect.getdoc(inspect.unwrap(route.endpoint)) or "").split())
        is_admitted = isinstance(route, WebSocketRoute) or hasattr(route.endpoint, "__wrapped__")
        row = (", ".join(methods), "token" if is_admitted else "", prose(about))
        paths.setdefault(row, []).append(code(route.path))
    rows = ((row[0], ", ".join(named), *row[1:]) for row, named in paths.items())
    return "\n\n".join(
        [
            "# HTTP",
            "These routes serve Basin's own pages; they are not kept from one version to the next. "
            "For programs there are `basin ... --json` and `import basin`. Where a token is "
            "needed, a request without the page's `token` in its query, which is good for 12 to "
            "13 hours, is refused with 403: see [security](../security.md).",
            table(("method", "path", "needs", "what it answers"), rows),
        ]
    )
