"""Preloading: the package's own parts imported once, before the processes that use them are forked.

Three hundred small files cost each check and each run a second to import. A process that was forked
after one of them was edited forgets them all, and imports them anew; so does every one where there
are plug-ins, since what the parts offer depends on them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys

from backend.system import discovery, plugins

_stamps: dict[str, tuple[str, tuple[int, int]]] = {}
"""by module that was imported for a part's sake: its file, and when that was written, its size"""


def preload() -> None:
    """Import every part of the package; one that fails is left to whoever discovers it.

    Nothing is imported where there are plug-ins: the parts would bring those with them.
    """
    if plugins.are_there():
        return
    before = set(sys.modules)
    for package, _ in discovery.KINDS.values():
        for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
            with contextlib.suppress(Exception):
                importlib.import_module(f"{package}.{entry.name}")
    for name in sys.modules.keys() - before:
        path = getattr(sys.modules[name], "__file__", None)
        if name.startswith("backend.") and path is not None:
            _stamps[name] = (path, _stamp(path))


def forget_edited() -> bool:
    """Forget what was preloaded when a file of it has changed since, or a plug-in was put there;
    returns whether it was."""
    if not plugins.are_there() and all(_stamp(path) == stamp for path, stamp in _stamps.values()):
        return False
    for name in _stamps:
        module = sys.modules.pop(name, None)
        package, _, own = name.rpartition(".")
        parent = sys.modules.get(package)  # None where it is forgotten itself
        if parent is not None and vars(parent).get(own) is module:
            delattr(parent, own)
    importlib.invalidate_caches()
    discovery.forget()
    return True


def _stamp(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return (0, 0)
    return (about.st_mtime_ns, about.st_size)
