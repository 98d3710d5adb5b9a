"""Places of a campaign: a small disk, a clock that jumps, a cable that is cut."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.faults_acts import command
from benchmarks.faults_stage import BASIN, WHOLE_SECONDS, Stage, environment_of, wait_for
from benchmarks.live_work import ROOT
from benchmarks.stepped_clock.sitecustomize import FILE as CLOCK
from jobs.services.redis_server import RedisServer
from jobs.system.atomic_files import write

STEPPED_CLOCK = ROOT / "benchmarks" / "stepped_clock"
DISK_BYTES = 256_000_000
HERE, THERE = "10.77.31.1", "10.77.31.2"
"""Addresses of the two ends of the cable."""
NAMESPACE = "basin-faults"
_INSIDE = "BASIN_FAULTS_INSIDE"


def enter_namespace() -> None:
    """Begin again where mounts are seen by this process and its children alone, if that can be."""
    if os.geteuid() == 0 and _INSIDE not in os.environ and _works("unshare", "--mount", "true"):
        os.environ[_INSIDE] = "1"
        again = [sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *again])


def _works(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        return False


def missing(kind: str) -> str:
    """Say why cells of a kind cannot be played here; "" when they can."""
    if kind == "disk" and _INSIDE not in os.environ:
        return "mounting needs root"
    if kind == "network" and not _can_lay_cable():
        return "a network namespace needs root and `ip` (Debian: iproute2)"
    return ""


@cache
def _can_lay_cable() -> bool:
    made = os.geteuid() == 0 and _works("ip", "netns", "add", f"{NAMESPACE}-probe")
    return made and _works("ip", "netns", "delete", f"{NAMESPACE}-probe")


@contextlib.contextmanager
def on_a_small_disk(folder: Path) -> Iterator[Stage]:
    """`basin up` with a home on a disk of its own, where that can be mounted."""
    home = folder / "home"
    home.mkdir(parents=True)
    mounts = not missing("disk")
    if mounts:
        command("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(home))
    try:
        with environment_of(home), _playing(Stage(home)) as stage:
            yield stage
    finally:
        if mounts:
            command("umount", "--lazy", str(home))


@contextlib.contextmanager
def under_a_clock(folder: Path) -> Iterator[Stage]:
    """`basin up`, each of its processes asking a clock that can be put on and back."""
    home, clock = folder / "home", folder / "clock"
    home.mkdir(parents=True)
    write(clock, "0")
    settings = {CLOCK: str(clock), "PYTHONPATH": str(STEPPED_CLOCK)}
    with environment_of(home), _playing(Stage(home, settings=settings)) as stage:
        yield stage


@contextlib.contextmanager
def over_a_cable(folder: Path) -> Iterator[Stage]:
    """A Redis and a dashboard here, the train worker in a network of its own."""
    home = folder / "home"
    home.mkdir(parents=True)
    link = f"basin{os.getpid() % 100_000}"
    server = _Reachable(folder / "redis", folder / "redis.log")
    with environment_of(home), contextlib.ExitStack() as on:
        command("ip", "netns", "add", NAMESPACE)
        on.callback(command, "ip", "netns", "delete", NAMESPACE)
        command("ip", "link", "add", link, "type", "veth", "peer", "name", "away")
        on.callback(_works, "ip", "link", "delete", link)
        command("ip", "link", "set", "away", "netns", NAMESPACE)
        command("ip", "address", "add", f"{HERE}/30", "dev", link)
        command("ip", "link", "set", link, "up")
        for setting in (
            ("address", "add", f"{THERE}/30", "dev", "away"),
            ("link", "set", "away", "up"),
            ("link", "set", "lo", "up"),
        ):
            command("ip", "-n", NAMESPACE, *setting)
        server.start()
        on.callback(server.stop)
        server.wait_until_ready()
        os.environ["BASIN_REDIS_URL"] = server.url
        yield on.enter_context(_playing(Cabled(home, link=link)))


class _Reachable(RedisServer):
    def settings(self) -> str:
        return super().settings().replace("bind 127.0.0.1\n", f"bind 127.0.0.1 {HERE}\n")


@dataclass
class Cabled(Stage):
    """Parts started one by one, as on several machines; the train worker is beyond the cable."""

    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def make_whole(self) -> None:
        here, url = self.environment(), os.environ["BASIN_REDIS_URL"]
        there = ["ip", "netns", "exec", NAMESPACE, *BASIN]
        commands = {
            "dashboard": [*BASIN, "dashboard", "--port", str(self.port)],
            "quick": [*BASIN, "worker", "--queue", "quick", "--device", "cpu"],
            "train": [*there, "worker", "--queue", "train", "--device", "cpu"],
        }
        for name, words in commands.items():
            if name not in self.parts or self.parts[name].poll() is not None:
                address = url.replace("127.0.0.1", HERE) if name == "train" else url
                with self.said.open("ab") as file:
                    self.parts[name] = subprocess.Popen(
                        words,
                        cwd=ROOT,
                        env={**here, "BASIN_REDIS_URL": address},
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
        wait_for(self.is_whole, "all of Basin", WHOLE_SECONDS)

    def roots(self) -> list[int]:
        return [part.pid for part in self.parts.values() if part.poll() is None]


@contextlib.contextmanager
def _playing(stage: Stage) -> Iterator[Stage]:
    try:
        yield stage
    finally:
        stage.end()


PLACES: dict[str, Callable[[Path], AbstractContextManager[Stage]]] = {
    "plain": on_a_small_disk,
    "disk": on_a_small_disk,
    "clock": under_a_clock,
    "network": over_a_cable,
}
"""Where the cells of each kind are played."""
