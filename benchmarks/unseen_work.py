"""One run of the unseen benchmark: train it as `basin run --inline` does, and judge it apart."""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.unseen_sets import Array, sets
from benchmarks.unseen_truth import Function, kl_to, of_torch

if TYPE_CHECKING:
    from backend.data import Data
    from jobs.records.run_directory import RunDirectory

TOYS = ("ring", "moons", "checkerboard", "pinwheel", "spirals")
GENERATORS = ("recovery_likelihood", "energy_matching")
"""methods whose energy is not that of what they draw: judged by samples alone"""
NUM_DRAWS = 2000
LEAST_SHARE = 0.002
"""effective share of the importance draws below which a KL beyond the plane is not known"""


@dataclass(frozen=True)
class Case:
    """One run."""

    data: str
    method: str
    preset: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.data} {self.method} {self.preset} {self.seed}"


@dataclass
class Row:
    """Figures of one run; nats a point, in the units of the data. None: not known."""

    data: str
    method: str
    preset: str
    seed: int
    dim: int
    status: str = ""
    reason: str = ""
    seconds: float = 0.0
    """of training"""
    cpu: float = 0.0
    """of the run and its judgement, processor seconds"""
    kl: float | None = None
    kl_at_least: float | None = None
    """as far as mass was seen, where the KL is not known"""
    effective: float = 0.0
    held_out: float | None = None
    """by the benchmark's own normaliser"""
    reported: float | None = None
    """held-out log-likelihood as the run itself gives it"""
    reported_error: float | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    """held-out nats of `gaussian`, `mixture`, `kernel` and `truth`"""
    kl_baselines: dict[str, float] = field(default_factory=dict)
    """KL of `gaussian` and `mixture`"""
    alarms: list[str] = field(default_factory=list)
    distance: float | None = None
    """energy distance of default draws to held-out data"""
    floor: float | None = None
    draw_seconds: float = 0.0
    draw_summary: str = ""

    @property
    def key(self) -> str:
        return Case(self.data, self.method, self.preset, self.seed).key

    def line(self) -> str:
        """The figures worth a glance while the others run."""
        kl = "not known" if self.kl is None else f"{self.kl:.3f}"
        alarms = f" [{' '.join(self.alarms)}]" if self.alarms else ""
        return f"{self.key} {self.status} KL {kl} in {self.seconds:.0f} s{alarms} {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }


@dataclass(frozen=True)
class ToyTruth:
    """A toy's closed form as the sets of `benchmarks.unseen_sets` are asked."""

    data: Data

    @property
    def dim(self) -> int:
        return self.data.event_shape.numel()

    def sample(self, num: int, seed: int) -> Array:
        assert self.data.draw is not None
        drawn = self.data.draw(num, torch.Generator().manual_seed(seed))
        return drawn.double().numpy()

    def log_density(self, x: Array) -> Array:
        assert self.data.density is not None
        log_p = -of_torch(self.data.density)(x)
        return np.where(log_p <= -1e29, -np.inf, log_p)


def train(case: Case, home: str) -> dict[str, Any]:
    """Train one run in its own folder of `home` and judge it; returns its row."""
    started = time.process_time()
    os.environ["BASIN_HOME"] = home
    os.environ["BASIN_THREADS"] = "1"
    torch.set_num_threads(1)
    from backend.spec import RunSpec
    from jobs.execution import loop
    from jobs.models import trained_run
    from jobs.records import run_store

    toy = case.data in TOYS
    data = {"name": case.data} if toy else sets()[case.data].data(Path(home))
    spec = RunSpec(method=case.method, preset=case.preset, data=data, seed=case.seed)
    directory = run_store.create_run(spec)
    status = loop.run(directory, load_energy=trained_run.load_energy)
    dim = 2 if toy else sets()[case.data].dim
    row = Row(case.data, case.method, case.preset, case.seed, dim, status.status, status.reason)
    row.seconds = status.seconds
    row.alarms = [item["path"].removeprefix("alarm/") for item in directory.status().alarms]
    if status.status == "finished":
        try:
            _judge(row, directory)
        except Exception as error:  # one run that cannot be judged must not lose the others
            row.reason = f"not judged: {type(error).__name__}: {error}"
    row.cpu = time.process_time() - started
    return row.as_dict()


def _judge(row: Row, directory: RunDirectory) -> None:
    from jobs.models import answering, trained_run

    metrics = directory.metrics()
    row.reported = metrics.get("density/log_likelihood")
    row.reported_error = metrics.get("density/log_likelihood_error")
    trained = trained_run.load_trained(directory.id)
    data = trained.data
    truth = ToyTruth(data) if row.data in TOYS else sets()[row.data]
    train_x, held_out = (data.restore(z).double().numpy() for z in (data.train, data.held_out))
    fitted = _fitted(row.data, train_x.tobytes(), train_x.shape)
    for name, energy in fitted.items():
        row.baselines[name] = float(-energy(held_out).mean())
        if name != "kernel":
            row.kl_baselines[name] = kl_to(truth, energy)[0]
    row.baselines["truth"] = float(truth.log_density(held_out).mean())
    if row.method not in GENERATORS:
        energy = of_torch(trained.energy_in_units())
        kl, log_z, row.effective = kl_to(truth, energy)
        if row.effective >= LEAST_SHARE and math.isfinite(kl):
            row.kl, row.held_out = kl, float(-energy(held_out).mean()) - log_z
        else:
            row.kl_at_least = kl
    started = time.monotonic()
    answer = answering.answer(directory.id, "sample", {"num": NUM_DRAWS}, seed=row.seed)
    row.draw_seconds = time.monotonic() - started
    row.draw_summary = answer.summary
    row.distance = answer.figures.get("energy_distance")
    row.floor = answer.figures.get("energy_distance/floor")


@cache
def _fitted(name: str, content: bytes, shape: tuple[int, int]) -> dict[str, Function]:
    """Energies of one Gaussian, 20 Gaussians and a kernel estimate of the training points."""
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import KernelDensity

    x = np.frombuffer(content).reshape(shape)
    spread = x.std(0)
    gaussian = GaussianMixture(1).fit(x)
    mixture = GaussianMixture(20, random_state=0, n_init=2).fit(x)
    part = x[np.random.default_rng(0).permutation(len(x))]
    fit, check = part[: len(x) * 4 // 5] / spread, part[len(x) * 4 // 5 :][:1000] / spread
    widths = np.geomspace(0.02, 0.8, 9)
    scores = [KernelDensity(bandwidth=width, rtol=1e-4).fit(fit).score(check) for width in widths]
    kernel = KernelDensity(bandwidth=widths[int(np.argmax(scores))], rtol=1e-4).fit(x / spread)
    log_scale = float(np.log(spread).sum())
    return {
        "gaussian": lambda y: -gaussian.score_samples(y),
        "mixture": lambda y: -mixture.score_samples(y),
        "kernel": lambda y: log_scale - kernel.score_samples(y / spread),
    }
