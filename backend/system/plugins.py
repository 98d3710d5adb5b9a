"""Plug-ins: files and packages outside the package that may define parts, and their import.

They lie in BASIN_HOME/plugins, in what BASIN_PLUGINS names, or belong to an installed distribution
that names them in the entry-point group `basin.plugins`. Looking for them imports none of them, and
no torch; `loaded` imports all of them once. A plug-in imports `backend`: files that do not are left
alone, so that a folder may hold other scripts too.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module, metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from backend.errors import BadInput
from backend.system.home import home

GROUP = "basin.plugins"
"""Entry-point group of distributions that bring parts."""
_IMPORTS_BACKEND = re.compile(r"^\s*(?:from|import)\s+backend\b", re.MULTILINE)
_IS_RECIPE = re.compile(r"^(?:variants|claims):", re.MULTILINE)
_OTHER_FILE = re.compile(r"_.*|\..*|test_.*|.*_test\.py|conftest\.py|setup\.py")


@dataclass(frozen=True)
class Broken:
    """A file that could not be imported."""

    module: str
    error: str
    trace: str


@dataclass(frozen=True)
class Origin:
    """Place a part comes from; as a run remembers it."""

    path: str
    """of the file, or of the folder of the package"""
    sha256: str = ""
    """of its source, the first 16 digits; "" before it is imported"""
    distribution: str = ""
    """installed one that names it, "" for a file"""
    version: str = ""
    """of the distribution"""

    def in_words(self) -> str:
        """Name the place, with what tells it from what it was before an edit.

        >>> Origin("/lab/ring.py", "4be1").in_words()
        '/lab/ring.py (4be1…)'
        >>> Origin("/env/mylab", "4be1", "mylab", "1.2").in_words()
        'mylab 1.2 (4be1…)'
        """
        named = f"{self.distribution} {self.version}" if self.distribution else self.path
        return f"{named} ({self.sha256[:8]}…)"


def change_of(then: Origin) -> str:
    """Say what became of a part's source since: "" when it is the same, `changed` or `gone`."""
    path = Path(then.path)
    with contextlib.suppress(OSError):
        if _digest(path) == then.sha256:
            return ""
    return "changed" if path.exists() else "gone"


def folders() -> list[Path]:
    """List the folders and files that plug-ins are looked for in, whether they are there or not."""
    with contextlib.suppress(BadInput):  # this user has no folder: nothing lies in it
        return [home() / "plugins", *_named()]
    return _named()


def _named() -> list[Path]:
    named = os.environ.get("BASIN_PLUGINS", "").split(os.pathsep)
    return [Path(name).expanduser().absolute() for name in named if name.strip()]


def are_there() -> bool:
    """True where anything may be a plug-in; nothing is imported."""
    return bool(_installed() or stamp())


def stamp() -> tuple[Any, ...]:
    """Tell the files that may be plug-ins from what they were before an edit, without a read."""
    files = [
        path
        for top in folders()
        for inside in (top, *(top.iterdir() if top.is_dir() else ()))
        for path in (*_sources(inside), *([inside] if inside.suffix == ".yaml" else []))
    ]
    return tuple(
        (str(path), status.st_mtime_ns, status.st_size)
        for path in sorted(set(files))
        if (status := _status(path)) is not None
    )


def recipes() -> list[Path]:
    """List the YAML files that mean to be recipes, of plug-in folders or named themselves, first
    the home's."""
    installed = [Path(place.path) for place, _ in _installed()]
    return [
        path
        for top in (*folders(), *installed)
        for path in (sorted(top.glob("*.yaml")) if top.is_dir() else [top])
        if path.suffix == ".yaml" and _matches(_IS_RECIPE, path)
    ]


# ---------------------------------------------------------------------- where they are


def _in_folders() -> list[Origin]:
    """Plug-ins of `folders`, in their order; of a folder by name."""
    places: dict[str, Origin] = {}
    for top in folders():
        is_part = top.is_file() or (top / "__init__.py").is_file()
        inside = [top] if is_part else sorted(top.iterdir()) if top.is_dir() else []
        for path in inside:
            named = is_part or not _OTHER_FILE.fullmatch(path.name)
            if named and any(_matches(_IMPORTS_BACKEND, each) for each in _sources(path)):
                places.setdefault(str(path), Origin(str(path)))
    return list(places.values())


@cache
def _installed() -> list[tuple[Origin, metadata.EntryPoint]]:
    """Plug-ins of installed distributions; where one cannot be found its path is empty."""
    entries = []
    for point in metadata.entry_points(group=GROUP):
        top, *inner = point.module.split(".")
        path = ""
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(top)  # of the top alone: nothing is imported
            where = spec and (list(spec.submodule_search_locations or ()) or [spec.origin or ""])[0]
            below = Path(where or "").joinpath(*inner)
            path = str(below if below.is_dir() or not inner else below.with_suffix(".py"))
        about = point.dist
        name, version = (about.name, about.version) if about else (point.name, "")
        entries.append((Origin(path, "", name, version), point))
    return entries


def _sources(path: Path) -> list[Path]:
    """Python files of a plug-in: itself, or all of a package."""
    if path.is_file():
        return [path] if path.suffix == ".py" else []
    return sorted(path.rglob("*.py")) if (path / "__init__.py").is_file() else []


def _matches(pattern: re.Pattern[str], path: Path) -> bool:
    try:
        return bool(pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _digest(path: Path) -> str:
    """First 16 digits of the SHA-256 of a plug-in's source, with the names of several files."""
    total = hashlib.sha256()
    for each in _sources(path):
        if each != path:
            total.update(str(each.relative_to(path)).encode() + b"\0")
        total.update(each.read_bytes())
    return total.hexdigest()[:16]


# ---------------------------------------------------------------------- their import


class _FreshLoader(SourceFileLoader):
    """Loader that compiles what stands in the file: bytecode kept of a file of the same second and
    size would be of before an edit."""

    def path_stats(self, path: str) -> Any:
        raise OSError


@dataclass
class _Imports:
    """Plug-ins imported in this process; each once."""

    modules: dict[str, tuple[ModuleType, Origin]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    waiting: list[tuple[Origin, metadata.EntryPoint | None]] = field(default_factory=list)
    has_looked: bool = False
    in_circle: dict[Origin, Broken] = field(default_factory=dict)
    """those that need a part of the package that is being imported itself: they wait for it"""


_imports = _Imports()


def loaded() -> tuple[tuple[ModuleType, Origin], ...]:
    """Import every plug-in that is not imported yet; the modules and where they come from.

    A plug-in may ask for what others define while it is imported itself: then all others are
    imported first.
    """
    now = _imports
    if not now.has_looked:
        now.has_looked = True
        now.broken += _missing_folders()
        now.waiting = [*((origin, None) for origin in _in_folders()), *_installed()]
    for origin, point in list(now.waiting):
        if (origin, point) in now.waiting:  # else whoever was imported before has asked for it
            now.waiting.remove((origin, point))
            now.in_circle.pop(origin, None)
            if about := _load(origin, point):
                now.in_circle[origin] = about
                now.waiting.append((origin, point))
    return tuple(now.modules.values())


def broken() -> list[Broken]:
    """List the plug-ins that fail to import, and what BASIN_PLUGINS names and is not there."""
    loaded()
    return [*_imports.broken, *_imports.in_circle.values()]


def forget() -> None:
    """Forget what was imported: files are looked for and imported anew when next asked for."""
    global _imports
    for name in _imports.modules:
        sys.modules.pop(name, None)
    _imports = _Imports()
    _installed.cache_clear()


def origin_of(module: str) -> Origin | None:
    """Find where a module comes from by its name; None for one of the package."""
    entry = _imports.modules.get(module)
    return entry[1] if entry else None


def _load(origin: Origin, point: metadata.EntryPoint | None) -> Broken | None:
    """Import the modules of a plug-in; the error of one that stands in a circle."""
    path = Path(origin.path)
    file = None if point else path / "__init__.py" if path.is_dir() else path
    name = point.module if point else f"basin_plugin_{path.stem}_{_short(str(path))}"
    known = replace(origin, sha256=_digest(path))
    for each, at in _modules(name, file):
        try:
            module = import_module(each) if at is None else _import_file(each, at)
            _imports.modules[each] = (module, known)
        except (Exception, SystemExit) as error:
            sentence = f"{type(error).__name__}: {error}"
            about = Broken(str(at or each), sentence, traceback.format_exc())
            if isinstance(error, ImportError) and _is_circle(error):
                return about
            _imports.broken.append(about)
    return None


def _modules(name: str, file: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Names of a plug-in's modules, those of a package once it was imported, and the file of one
    that is not found by its name."""
    yield name, file
    for entry in pkgutil.iter_modules(getattr(sys.modules.get(name), "__path__", ()), f"{name}."):
        if not _OTHER_FILE.fullmatch(entry.name.rpartition(".")[2]):
            yield entry.name, None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _import_file(name: str, path: Path) -> ModuleType:
    """Import a file under a name of its own; helpers beside it can be imported by theirs."""
    is_package = path.name == "__init__.py"
    beside = str(path.parent.parent if is_package else path.parent)
    if beside not in sys.path:
        sys.path.append(beside)
    spec = importlib.util.spec_from_file_location(
        name,
        path,
        loader=_FreshLoader(name, str(path)),
        submodule_search_locations=[str(path.parent)] if is_package else None,
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_circle(error: ImportError) -> bool:
    """True where a module of the package is asked for a name while it is being imported."""
    return (error.name or "").startswith("backend.") and "partially initialized" in str(error)


def _missing_folders() -> Iterator[Broken]:
    for path in _named():
        if not path.exists():
            yield Broken(str(path), "BASIN_PLUGINS names it, and it is not there.", "")
