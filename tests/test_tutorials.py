"""Tutorials: their files are written, and their commands run, as they stand on the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FENCE = re.compile(r'(?ms)^```(\w+)(?: title="([\w.]+)")?\n(.*?)^```$')
PAGES = [*sorted((ROOT / "docs/tutorials").glob("*.md")), ROOT / "docs/first-run.md"]
RUN = [page for page in PAGES if "\n```sh\n" in page.read_text()]


def steps(page: Path) -> Iterator[tuple[str, str, str]]:
    """(language, name of the file, content) of each fenced block."""
    yield from FENCE.findall(page.read_text())


def test_every_tutorial_has_something_to_run() -> None:
    assert {page.stem for page in PAGES} - {page.stem for page in RUN} == {"index"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_is_a_file_or_commands(page: Path) -> None:
    for language, name, _ in steps(page):
        assert bool(name) != (language == "sh"), (language, name)
    assert page.read_text().count("\n```") == 2 * len(list(steps(page)))


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page: Path, tmp_path: Path, redis_url: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        **os.environ,
        "BASIN_HOME": str(tmp_path / "home"),
        "BASIN_REDIS_URL": redis_url,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    commands = ["set -euo pipefail"]
    for index, (_, name, content) in enumerate(steps(page)):
        source = folder / (name or f".step-{index}.sh")
        source.write_text(content)
        if not name:  # one shell for all of them: what one begins, a later one may end
            commands.append(f"source ./{source.name}")
    done = subprocess.run(
        ["bash", "-c", "\n".join(commands)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
