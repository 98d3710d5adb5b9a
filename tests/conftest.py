"""Fixtures that many tests share. Nothing here touches a Redis or a folder of the user's."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from benchmarks import chromium
from jobs.services.redis_server import find_server_binary

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Point every default away from the user's runs and server, for subprocesses too."""
    # One thread each, read when torch is first imported: the suite must do with two cores.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    for name in [name for name in os.environ if name.startswith("BASIN_")]:
        if name not in ("BASIN_CHROMIUM", "BASIN_NGINX", "BASIN_NODE"):
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="basin-tests-")
    os.environ["BASIN_HOME"] = home
    os.environ["BASIN_PRODUCTS"] = "torch"  # nothing is measured, and all machines round alike
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


LONG = (
    "test_kill.py",
    "test_contracts.py",
    "services/test_supervision.py",
    "dashboard",
    "benchmarks",
)
"""Files that take a minute or so. A file is run whole in one of two processes: what is long goes
first, so that neither waits for the other at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; skip what is marked `gpu` where torch sees no device."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT / "tests").as_posix()
        return next((at for at, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no NVIDIA device"))


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Put back what a page that ran in this process left as `__main__`: processes that a later test
    spawns would run it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def basin_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty BASIN_HOME of the test's own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("BASIN_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Two processes test side by side: one thread each, whatever the test before has set."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RedisServer:
    """A server of the tests' own: real, on its own port, with a password."""

    directory: Path
    port: int
    password: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def start(self, timeout: float = 10.0) -> None:
        """Start it, or start it again after `kill`: what the AOF held is there again."""
        binary = find_server_binary()
        if binary is None:
            pytest.fail("no redis-server or valkey-server found: see `basin doctor`")
        settings = self.directory / "redis.conf"
        settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {self.directory}\nrequirepass {self.password}\n"
            'appendonly yes\nappendfsync everysec\nsave ""\nlogfile server.log\n'
        )
        self.process = subprocess.Popen([binary, str(settings)], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{binary} did not start: {error}")
                time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, as when a machine loses it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the session. A test that kills it starts it again (`start`)."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), free_port(), secrets.token_hex(16))
    server.start()
    with server.client() as client:
        assert client.dbsize() == 0, "this database is not the tests' own"
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, its database empty, BASIN_REDIS_URL pointing at it."""
    with redis_server.client() as client:
        client.flushall()
    monkeypatch.setenv("BASIN_REDIS_URL", redis_server.url)
    return redis_server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium driven by Playwright; take a page with `browser.new_page()` and close it.

    One a module (2 s), not one a session: while Playwright is open its event loop runs in this
    thread, and `asyncio.run` raises in every test of other modules.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = chromium.launch(playwright.chromium)
        yield opened
        opened.close()
