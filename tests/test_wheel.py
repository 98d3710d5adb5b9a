"""The wheel: built, installed into a bare environment, it runs with nothing of the repository."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from jobs.system.processes import descendants, end_all
from tests.conftest import ROOT, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PACKAGES = ("backend", "basin", "jobs", "dashboard", "benchmarks")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")
SPEC = """
name: from a wheel
method: mine
data: {name: moons, num: 400, num_held_out: 200}
budget: {steps: 40}
"""
TRACKED = """
import basin, numpy
run = basin.track(name="own", data=numpy.random.default_rng(0).normal(size=(200, 2)))
run.log({"loss": 1.0}, step=1)
run.finish()
print(basin.__file__, basin.open(run.id).status.status)
"""


def run(*words: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    words = tuple(map(str, words))
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def build(folder: Path) -> Path:
    """Build the wheel from a copy of what it is made of, so that the repository stays as it is."""
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(
        *(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--wheel-dir", folder, source),
        cwd=folder,
    )
    return next(folder.glob("basin-*.whl"))


def bare_environment(folder: Path, wheel: Path) -> Path:
    """Make an environment with the wheel alone, which borrows torch and the rest from this one."""
    place = folder / "env"
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    python = place / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    torch = importlib.util.find_spec("torch")
    assert torch is not None and torch.origin is not None
    # .pth files of a folder that is named in one are not read: an editable Basin stays away
    site = next(place.glob("lib/python*/site-packages"))
    (site / "borrowed.pth").write_text(f"{Path(torch.origin).parents[1]}\n")
    return place / "bin"


def test_a_wheel_runs_with_nothing_of_the_repository(tmp_path: Path, browser: Browser) -> None:
    wheel = build(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    listed = run("git", "ls-files", *PACKAGES, cwd=ROOT).split()
    assert set(listed) - packed == set(), "files that the wheel leaves out"

    programs = bare_environment(tmp_path, wheel)
    folder = tmp_path / "work"
    folder.mkdir()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "BASIN_HOME": str(tmp_path / "home"),
        "BASIN_DEVICES": "cpu",
        "BASIN_PLUGINS": str(folder / "mine.py"),
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
    }
    basin = programs / "basin"
    where = run(programs / "python", "-c", TRACKED, cwd=folder, env=env).split()
    assert Path(where[0]).is_relative_to(tmp_path / "env") and where[1] == "finished"
    run(basin, "new", "method", "mine", cwd=folder, env=env)
    (folder / "mine.yaml").write_text(SPEC)

    port, output = free_port(), folder / "up.log"
    with output.open("wb") as log:
        up = subprocess.Popen(
            [basin, "up", "--port", str(port)], cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 120
        while "is ready" not in output.read_text():
            assert up.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        launched = json.loads(
            run(basin, "run", "mine.yaml", "--wait", "--json", cwd=folder, env=env)
        )
        runs = json.loads(run(basin, "ls", "--json", cwd=folder, env=env))
        assert {each["name"]: each["status"] for each in runs} == {
            "from a wheel": "finished",
            "own": "finished",
        }
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/run?id={launched['id']}")
        page.locator(".bl-hero canvas").first.wait_for(timeout=60_000)
        page.close()
    finally:
        left = descendants([up.pid])
        up.send_signal(signal.SIGTERM)
        up.wait(60)
        end_all(left)
