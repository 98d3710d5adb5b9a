"""Paths of a spec: made absolute before it is queued, refused where a browser may not name them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from backend.errors import BadInput, Problem
from backend.spec import RunSpec
from jobs.records import run_store

Origin = Literal["cli", "browser"]

ENERGY_FILES = ("energy_file", "discrete_energy_file")
"""Data sets whose `path` is code."""


def absolute_paths(spec: RunSpec, origin: Origin) -> RunSpec:
    """Make every path of a spec absolute.

    From the browser a path is taken under BASIN_DATA and must stay inside it, links followed;
    the command line may name any path. A file that is run (of `ENERGY_FILES`) the browser may only
    name by its bare name, in the folder of trusted energies. Raises BadInput.
    """
    problems: list[Problem] = []
    data = _absolute(spec.data, "data", origin, problems)
    config = _absolute(spec.config, "config", origin, problems)
    questions = [
        question.model_copy(
            update={
                "config": _absolute(
                    question.config, f"questions.{question.name}.config", origin, problems
                )
            }
        )
        for question in spec.questions
    ]
    if problems:
        raise BadInput(*problems)
    return spec.model_copy(update={"data": data, "config": config, "questions": questions})


def absolute_config(config: dict[str, Any], origin: Origin, where: str = "") -> dict[str, Any]:
    """Make every path among fields absolute, as in a RunSpec; `where`: what they are fields of.

    Raises BadInput.
    """
    problems: list[Problem] = []
    fields: dict[str, Any] = _absolute(config, where, origin, problems)
    if problems:
        raise BadInput(*problems)
    return fields


def _absolute(value: Any, where: str, origin: Origin, problems: list[Problem]) -> Any:
    if isinstance(value, list):
        return [
            _absolute(item, f"{where}.{number}", origin, problems)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    parts = {}
    is_code = any(value.get(key) in ENERGY_FILES for key in ("name", "kind"))
    absolute = _absolute_energy_file if is_code else _absolute_path
    for key, item in value.items():
        field_name = f"{where}.{key}" if where else key
        if (key == "path" or key.endswith("_path")) and isinstance(item, str) and item:
            parts[key] = absolute(item, field_name, origin, problems)
        else:
            parts[key] = _absolute(item, field_name, origin, problems)
    return parts


def _absolute_path(text: str, field_name: str, origin: Origin, problems: list[Problem]) -> str:
    if "\0" in text:
        problems.append(Problem(field_name, "a path cannot hold a NUL character."))
        return text
    folder = run_store.data_folder().resolve()
    try:
        if origin == "cli":
            return str(Path(text).expanduser().absolute())
        path = (folder / text).resolve()
    except (RuntimeError, OSError) as error:  # a user that there is not, a link to itself
        problems.append(Problem(field_name, f"{text!r} names no file: {str(error).rstrip('.')}."))
        return text
    if not path.is_relative_to(folder):
        problems.append(
            Problem(
                field_name,
                f"must lie inside the data folder {folder} when it comes from the browser, got "
                f"{text!r}. Upload the file, move it there, or use `basin run`.",
            )
        )
    return str(path)


def _absolute_energy_file(
    text: str, field_name: str, origin: Origin, problems: list[Problem]
) -> str:
    """Make a path absolute, as `_absolute_path`, of a file whose code will be run."""
    if origin == "cli" or "\0" in text:
        return _absolute_path(text, field_name, origin, problems)
    folder = run_store.energies_folder().resolve()
    try:
        path = (folder / text).resolve()
    except (RuntimeError, OSError) as error:
        problems.append(Problem(field_name, f"{text!r} names no file: {str(error).rstrip('.')}."))
        return text
    # the whole path is what a spec holds that was launched before, and is cloned
    if path.parent != folder or text not in (path.name, str(path)):
        problem = (
            f"must be the bare name of a file in {folder} when it comes from the browser, as its "
            f"code is run; got {text!r}. Put the file there, or use `basin run`."
        )
    else:
        problem = _why_untrusted(path)
    if problem:
        problems.append(Problem(field_name, problem))
    return str(path)


def _why_untrusted(path: Path) -> str:
    """Explain why the code of an energy file is not run for the browser; "" if it is."""
    if path.is_relative_to(run_store.data_folder().resolve()):
        return (
            f"cannot be used from the browser: {path.parent} lies inside the data folder, where "
            "uploads go. Move BASIN_DATA elsewhere."
        )
    for item in (path.parent, path):
        try:
            entry = item.stat()
        except OSError:
            return f"names no file: there is no {item}."
        if entry.st_uid != os.getuid():
            return f"cannot be used from the browser: {item} belongs to another user."
        if entry.st_mode & 0o022:
            return (
                f"cannot be used from the browser: others may write to {item}. Run "
                f"`chmod go-w {item}`."
            )
    return ""
