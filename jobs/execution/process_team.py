"""Process team: one run on several processes. The loop runs in the first, the others follow it.

The run's own process is process 0 and starts the rest, `python -m jobs.execution.process_team RUN
...`. Each sets up the same spec on its device, takes up the same checkpoint and follows commands
that process 0 sends before everything that changes the method. They meet in a folder of their own,
not on a port.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from backend.config import Turned
from backend.errors import BadInput, BasinError
from backend.method import Method
from backend.networks import row_sharing
from backend.spec import RunSpec
from jobs.execution import outcome
from jobs.models import fingerprints, method_state
from jobs.models.method_setup import Prepared, check_checkpoint, find_device, prepare, use_products
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system import processes
from jobs.system.threads import guarded

BEGIN, STEP, TURN, END = range(4)
"""Commands, each with a number: step of the checkpoint, progress, bytes that follow, nothing."""
PATIENCE = timedelta(days=1)
"""A follower waits while process 0 looks, however long; it dies with it in any case."""
END_SECONDS = 5.0
_POLL_SECONDS = 0.05
_BLAME_SECONDS = 2.0
LAST_RESORT_SECONDS = 20.0
"""How long process 0 may take to notice that another is gone before it is ended from beside."""


class FollowerLost(BasinError):
    """Error: a process of the run is gone, and with it the run."""


class Team(Protocol):
    """Processes that take a run's steps together."""

    def begin(self, prepared: Prepared, step: int) -> None: ...
    def step(self, method: Method, progress: float) -> dict[str, torch.Tensor]: ...
    def turn(self, method: Method, settings: dict[str, float]) -> Turned: ...
    def end(self) -> None: ...


class Alone:
    """Team of one process."""

    def begin(self, prepared: Prepared, step: int) -> None:
        pass

    def step(self, method: Method, progress: float) -> dict[str, torch.Tensor]:
        return method.advance(progress)

    def turn(self, method: Method, settings: dict[str, float]) -> Turned:
        return method.turn(settings)

    def end(self) -> None:
        pass


def team_of(directory: RunDirectory, spec: RunSpec, device: torch.device) -> Team:
    """Start the followers of a run; a run of one process has none.

    Raises BadInput where there are fewer devices than processes.
    """
    if spec.processes == 1:
        return Alone()
    devices_of(device, spec.processes)
    leader = Leader(directory, spec.processes)
    if device.type == "cuda":
        # a device waits for ever for one that is gone, and its process with it
        guarded("followers", leader.watch, lambda error: os._exit(1)).start()
    return leader


def device_of(device: torch.device, rank: int) -> torch.device:
    """Return the device of process `rank`, process 0 being on `device`. Raises BadInput."""
    if device.type == "cpu":
        return device
    index, visible = (device.index or 0) + rank, torch.cuda.device_count()
    if index >= visible:
        raise BadInput.at(
            "processes",
            f"must be at most {visible - (device.index or 0)}, a device each: {visible} NVIDIA "
            f"device(s) can be used here from {device} on.",
        )
    return torch.device("cuda", index)


def devices_of(device: torch.device, num: int) -> list[torch.device]:
    """Return the devices of `num` processes, process 0 being on `device`. Raises BadInput."""
    return [device_of(device, rank) for rank in range(num)]


class Leader:
    """Process 0 of a run, and the followers it has started."""

    def __init__(self, directory: RunDirectory, num: int) -> None:
        self.directory, self.num = directory, num
        prefix = f"basin-{directory.id}-"
        for leftover in Path(tempfile.gettempdir()).glob(f"{prefix}*"):  # by a killed attempt
            shutil.rmtree(leftover, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        self.ending = threading.Event()
        self.followers: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(1, num):
                self.followers.append(self._started(rank))
        except OSError:
            self.end()
            raise

    def _started(self, rank: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "jobs.execution.process_team",
            self.directory.id,
            str(rank),
            str(self.num),
            str(self.folder),
            str(os.getpid()),
        ]
        with self._log(rank).open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def begin(self, prepared: Prepared, step: int) -> None:
        """Wait until all are set up, and have them take up the checkpoint of `step`.

        Raises FollowerLost.
        """
        while len(list(self.folder.glob("*.ready"))) < self.num - 1:
            self._check()
            time.sleep(_POLL_SECONDS)
        self._guarded(lambda: join(self.folder, 0, self.num, prepared.device))
        self._guarded(lambda: send(BEGIN, step))

    def step(self, method: Method, progress: float) -> dict[str, torch.Tensor]:
        """Take a step with all followers. Raises FollowerLost."""
        return self._guarded(lambda: self._step(method, progress))

    @staticmethod
    def _step(method: Method, progress: float) -> dict[str, torch.Tensor]:
        send(STEP, progress)
        with row_sharing.together():
            return method.advance(progress)

    def turn(self, method: Method, settings: dict[str, float]) -> Turned:
        """Turn settings in all processes; the values before and after. Raises FollowerLost,
        BadInput."""
        content = json.dumps(settings).encode()
        self._guarded(lambda: send(TURN, len(content), content))
        return method.turn(settings)

    def watch(self) -> None:
        """End the run's process, `failed`, where a follower is gone and it has not noticed."""
        while self._ended_early() is None:
            if self.ending.wait(_POLL_SECONDS):
                return
        if self.ending.wait(LAST_RESORT_SECONDS):
            return
        try:
            self._check()
        except FollowerLost as error:
            status = self.directory.status()
            ended = outcome.failed(error, status.step, status.checkpoint_step)
            self.directory.write_status(
                status=ended.status, reason=ended.reason, problem=ended.problem, ended=time.time()
            )
        os._exit(1)

    def end(self) -> None:
        """End all followers; those that have not ended within END_SECONDS are killed."""
        self.ending.set()
        if dist.is_initialized():
            if self._ended_early() is None:
                with contextlib.suppress(RuntimeError):
                    send(END)
            else:
                self._terminate()
            self._wait()
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()
        self._terminate()
        self._wait()
        for follower in self.followers:
            if follower.poll() is None:
                follower.kill()
                follower.wait()
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _wait(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while any(f.poll() is None for f in self.followers) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _terminate(self) -> None:
        for follower in self.followers:
            if follower.poll() is None:
                follower.terminate()

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """Call `act`. Raises FollowerLost where it fails since a process is gone."""
        try:
            return act()
        except RuntimeError as error:
            deadline = time.monotonic() + _BLAME_SECONDS
            while self._ended_early() is None and _is_communication_error(error):
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL_SECONDS)
            if _is_communication_error(error):
                self._check(error)
            raise

    def _ended_early(self) -> int | None:
        """Find the first process that has ended before it was told to."""
        return next((r for r, f in enumerate(self.followers, 1) if f.poll() is not None), None)

    def _check(self, cause: Exception | None = None) -> None:
        """Raise FollowerLost when a follower is gone, naming it."""
        rank = self._ended_early()
        if rank is None:
            return
        follower = self.followers[rank - 1]
        code = int(follower.returncode)
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            lines = self._log(rank).read_text(errors="replace").strip().splitlines()
            how = f"ended: {lines[-1]}" if lines else f"ended with the exit code {code}"
        raise FollowerLost(
            f"Process {rank} (pid {follower.pid}) of the run's {self.num} {how}"
        ) from cause

    def _log(self, rank: int) -> Path:
        return self.folder / f"{rank}.log"


def _is_communication_error(error: Exception) -> bool:
    """Return True for an error in talking to the other processes."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in text or "nccl" in text


def join(folder: Path, rank: int, num: int, device: torch.device) -> None:
    """Join the process group: tensors of the CPU go by gloo, those of NVIDIA devices by NCCL."""
    for library in ("GLOO", "NCCL"):  # else they listen on every address of the machine
        name = "lo" if sys.platform == "linux" else "lo0"
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", name)
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend,
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=num,
        timeout=PATIENCE,
    )


def send(command: int, number: float = 0.0, content: bytes = b"") -> None:
    dist.broadcast(torch.tensor([command, number], dtype=torch.float64), 0)
    if content:
        dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), 0)


def _receive() -> tuple[int, float]:
    message = torch.empty(2, dtype=torch.float64)
    dist.broadcast(message, 0)
    command, number = message.tolist()
    return int(command), number


def _receive_settings(size: int) -> dict[str, float]:
    content = torch.empty(size, dtype=torch.uint8)
    dist.broadcast(content, 0)
    return dict(json.loads(content.numpy().tobytes()))


# ---------------------------------------------------------------------- a follower's side


def follow(run_id: str, rank: int, num: int, folder: Path) -> None:
    """Set up the run's method and obey the commands of process 0 until END."""
    from jobs.models import trained_run

    directory = run_store.open_run(run_id)
    spec = directory.spec()
    device = device_of(find_device(spec.device), rank)
    use_products(directory)
    standardised = (
        fingerprints.read(directory).get("standardised") if directory.checkpoints() else None
    )
    prepared = prepare(spec, device, trained_run.load_energy, standardised=standardised)
    (folder / f"{rank}.ready").touch()
    join(folder, rank, num, device)
    method = prepared.method
    while True:
        command, number = _receive()
        if command == END:
            dist.destroy_process_group()
            return
        if command == BEGIN and number:
            _restore(directory, prepared, int(number))
        elif command == STEP:
            with row_sharing.together():
                method.advance(number)
        elif command == TURN:
            with contextlib.suppress(BadInput):  # process 0 says so
                method.turn(_receive_settings(int(number)))


def _restore(directory: RunDirectory, prepared: Prepared, step: int) -> None:
    checkpoint = directory.load_checkpoint()
    check_checkpoint(checkpoint.meta, prepared.spec.method)
    if checkpoint.step != step:
        raise RuntimeError(f"the newest checkpoint is of step {checkpoint.step}, not of {step}")
    method_state.restore(
        prepared.method, checkpoint.tensors, checkpoint.meta["state"], prepared.device
    )


def main(arguments: list[str]) -> None:
    """Run a follower: run id, rank, number of processes, folder, pid of process 0."""
    run_id, rank, num, folder, parent = arguments
    processes.end_with_parent(int(parent))
    try:
        follow(run_id, int(rank), int(num), Path(folder))
    except RuntimeError as error:
        # process 0 has gone: there is nobody left to tell
        if not _is_communication_error(error):
            raise
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
