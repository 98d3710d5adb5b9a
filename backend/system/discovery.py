"""Discovery: the classes that the files of a folder define, and the files that fail to import.

A broken file is kept by name and with its error, and the rest serve on. Importing this module is
light; `discover` imports what it discovers.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Broken:
    """A file that could not be imported."""

    module: str
    error: str
    trace: str


@dataclass(frozen=True)
class Discovered:
    """The classes one folder holds, by id, and the files that failed."""

    classes: dict[str, Any]
    broken: list[Broken] = field(default_factory=list)


@cache
def discover(package: str, base: str) -> Discovered:
    """Concrete subclasses of `base` ("module:Class") defined in the modules of `package`."""
    module_name, _, class_name = base.partition(":")
    parent = getattr(importlib.import_module(module_name), class_name)
    classes: dict[str, Any] = {}
    broken = []
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        name = f"{package}.{entry.name}"
        try:
            module = importlib.import_module(name)
        except Exception as error:
            broken.append(Broken(name, f"{type(error).__name__}: {error}", traceback.format_exc()))
            continue
        for value in vars(module).values():
            if (
                inspect.isclass(value)
                and issubclass(value, parent)
                and value.__module__ == name
                and not inspect.isabstract(value)
            ):
                classes[_id_of(value)] = value
    return Discovered(dict(sorted(classes.items())), broken)


def _id_of(cls: Any) -> str:
    return cls.id if hasattr(cls, "id") else cls.Config.model_fields["kind"].default


def samplers() -> dict[str, Any]:
    """Subclasses of Sampler, by the `kind` of their Config."""
    return discover("backend.samplers", "backend.sampler:Sampler").classes


def networks() -> dict[str, Any]:
    """Trainable energies: subclasses of NetworkEnergy, by the `kind` of their Config."""
    return discover("backend.energies", "backend.energies:NetworkEnergy").classes


def distributions() -> dict[str, Any]:
    """Distributions fitted to data: subclasses of Distribution, by the `kind` of their Config."""
    return discover("backend.distributions", "backend.distributions:Distribution").classes


def observers() -> dict[str, Any]:
    """Things to observe about a run: subclasses of Observer, by id."""
    return discover("backend.observers", "backend.observe.observer:Observer").classes
