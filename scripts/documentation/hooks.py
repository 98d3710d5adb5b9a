"""Hooks of MkDocs: pages made from the code, and files that lie elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from scripts.documentation import catalogue_pages, reference_pages

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site that lie at the root of the repository."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of each kind where `mkdocs.yml` names the kind alone."""
    config.nav = _with_entries(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made here."""
    made = {**catalogue_pages.pages(), **reference_pages.pages()}
    made |= {path: _at_home((ROOT / source).read_text()) for path, source in PROJECT.items()}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    icon = str(ROOT / "dashboard" / "icon.png")
    files.append(File.generated(config, "icon.png", abs_src_path=icon))
    return files


def _with_entries(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_with_entries(item) for item in nav]
    if not isinstance(nav, dict):
        return nav
    return {title: _entry(value) for title, value in nav.items()}


def _entry(value: Any) -> Any:
    if not isinstance(value, str) or value.endswith(".md"):
        return _with_entries(value)
    pages = catalogue_pages.entries(value.rpartition("/")[2])
    whole = f"{value}.md"
    return [{"All": whole}, *({title: path} for title, path in pages)] if pages else whole


def _at_home(text: str) -> str:
    """Links of a page at the root of the repository, as they are from `docs/`."""
    return re.sub(r"\]\(docs/", "](", text)
