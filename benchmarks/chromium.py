"""The Chromium that benchmarks and browser tests drive: found and started in one way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    # Only what this machine serves: a page that asks elsewhere gets an error at once.
    "--host-resolver-rules=MAP * ~NOTFOUND, "
    "EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str:
    """The path of the system's Chromium; raises RuntimeError where there is none."""
    names = (os.environ.get("BASIN_CHROMIUM", ""), *NAMES)
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise RuntimeError("no Chromium: `make test` installs one, or set BASIN_CHROMIUM to it")
    return path


def launch(chromium: BrowserType, path: Path | None = None) -> Browser:
    """Start it without a window; `path` names another executable than the one found."""
    return chromium.launch(executable_path=path or find(), args=FLAGS)
