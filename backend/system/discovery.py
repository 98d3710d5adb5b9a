"""Discovery: the classes that the package and plug-ins define, and the files that fail to import.

A broken file is kept by name and with its error, and the rest serve on. Importing this module is
light; `discover` imports what it discovers.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

from backend.system import plugins
from backend.system.plugins import Broken

KINDS = {
    "method": ("backend.methods", "backend.method:Method"),
    "dataset": ("backend.datasets", "backend.data:Dataset"),
    "sampler": ("backend.samplers", "backend.sampler:Sampler"),
    "energy": ("backend.energies", "backend.energies:NetworkEnergy"),
    "distribution": ("backend.distributions", "backend.distributions:Distribution"),
    "ability": ("backend.abilities", "backend.ability:Ability"),
    "observer": ("backend.observers", "backend.observe.observer:Observer"),
}
"""What a file may define: the package's own folder and the base class of each."""


@dataclass(frozen=True)
class Discovered:
    """The classes of one kind, by id, and the files that failed."""

    classes: dict[str, Any]
    broken: list[Broken] = field(default_factory=list)


def discover(package: str, base: str) -> Discovered:
    """Concrete subclasses of `base` ("module:Class") defined in the modules of `package` and in
    plug-ins; of two with one id the first serves, and the other is broken."""
    return _discover(package, base, plugins.loaded())


def of_kind(kind: str) -> Discovered:
    """Discover one of `KINDS`."""
    return discover(*KINDS[kind])


def forget() -> None:
    """Forget what was discovered: files are looked for anew when next asked for."""
    plugins.forget()
    _discover.cache_clear()
    _own.cache_clear()


@lru_cache(maxsize=128)
def _discover(
    package: str, base: str, outside: tuple[tuple[ModuleType, plugins.Origin], ...]
) -> Discovered:
    own = _own(package)
    module_name, _, class_name = base.partition(":")
    parent = getattr(importlib.import_module(module_name), class_name)
    classes: dict[str, Any] = {}
    broken = list(own[1])
    for module in (*own[0], *(module for module, _ in outside)):
        for value in _defined(module, parent):
            name = _id_of(value)
            if name in classes:
                sentence = (
                    f"`{name}` is defined twice: in {_place(classes[name])}, which serves, and in "
                    f"{_place(value)}. Give one of them another id."
                )
                broken.append(Broken(_place(value), sentence, ""))
            classes.setdefault(name, value)
    return Discovered(dict(sorted(classes.items())), broken)


_being_imported: set[str] = set()


@lru_cache(maxsize=32)
def _own(package: str) -> tuple[list[ModuleType], list[Broken]]:
    """Modules of a folder of the package, and those that fail to import.

    Raises RuntimeError when one of them asks for the classes of its own folder while it is
    imported: it would be left out itself.
    """
    if package in _being_imported:
        raise RuntimeError(f"{package} is being imported: a file of it asked what it defines.")
    _being_imported.add(package)
    try:
        return _imported(package)
    finally:
        _being_imported.remove(package)


def _imported(package: str) -> tuple[list[ModuleType], list[Broken]]:
    modules, broken = [], []
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        name = f"{package}.{entry.name}"
        try:
            modules.append(importlib.import_module(name))
        except Exception as error:
            broken.append(Broken(name, f"{type(error).__name__}: {error}", traceback.format_exc()))
    return modules, broken


def _defined(module: ModuleType, parent: type) -> Iterator[Any]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and issubclass(value, parent)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ):
            yield value


def _place(cls: Any) -> str:
    origin = plugins.origin_of(cls.__module__)
    return origin.path if origin else str(cls.__module__)


def _id_of(cls: Any) -> str:
    return cls.id if hasattr(cls, "id") else cls.Config.model_fields["kind"].default


def samplers() -> dict[str, Any]:
    """Subclasses of Sampler, by the `kind` of their Config."""
    return of_kind("sampler").classes


def networks() -> dict[str, Any]:
    """Trainable energies: subclasses of NetworkEnergy, by the `kind` of their Config."""
    return of_kind("energy").classes


def distributions() -> dict[str, Any]:
    """Distributions fitted to data: subclasses of Distribution, by the `kind` of their Config."""
    return of_kind("distribution").classes


def observers() -> dict[str, Any]:
    """Things to observe about a run: subclasses of Observer, by id."""
    return of_kind("observer").classes
