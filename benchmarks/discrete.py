"""Speed of discrete samplers and of RBM training beside numpy, scipy and scikit-learn.

    python -m benchmarks.discrete [--quick] [--rounds 7] [--json]

Spins: an Ising lattice with wrapped sides, the same chains, starts and number of updates for Basin
and for references that are written with whole arrays of numpy, as one would by hand; clusters of
Swendsen-Wang are those of scipy's `connected_components`. A spin is one site of one chain, drawn
anew or, by Gibbs with gradients, proposed. Basin's chains carry their energy and its gradient
along, which the references do not have to. RBMs: bits of the handwritten digits, persistent chains
of as many as the batch, one Gibbs step an update, beside scikit-learn's BernoulliRBM, in float32
both. It is `fit` that is measured: `partial_fit` makes float64 of what it is given, and takes two
to three times as long a batch.

All run in one process on one thread, in turn, round after round; what counts is its CPU time.
Basin runs operation by operation, not compiled.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.neural_network import BernoulliRBM
from threadpoolctl import threadpool_limits

from backend import samplers
from backend.config import KindConfig
from backend.energies.lattices import Ising
from backend.method import Method
from backend.randomness import generator_of
from backend.samplers.block_gibbs import BlockGibbsConfig
from backend.samplers.cluster import ClusterConfig
from backend.samplers.gibbs import GibbsConfig
from backend.samplers.gibbs_with_gradients import GibbsWithGradientsConfig
from backend.spec import RunSpec
from benchmarks.report import Report
from jobs.models.method_setup import prepare

BASIN = "basin"
COUPLING, FIELD = 0.3, 0.1
CPU = torch.device("cpu")

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spins:
    """One sampler's updates of chains on a square lattice."""

    kind: str
    title: str
    num_chains: int
    side: int
    num_steps: int

    @property
    def spins_a_step(self) -> int:
        """Spins that a step updates: one of each chain, or all."""
        one = self.kind == "gibbs_with_gradients"
        return self.num_chains * (1 if one else self.side**2)


KERNELS: dict[str, KindConfig] = {
    "gibbs": GibbsConfig(sites=0),
    "block_gibbs": BlockGibbsConfig(),
    "gibbs_with_gradients": GibbsWithGradientsConfig(),
    "cluster": ClusterConfig(),
}


@dataclass(frozen=True)
class Training:
    """Updates of an RBM."""

    num_hidden: int
    batch_size: int
    num_updates: int


def spin_cases(quick: bool = False) -> list[Spins]:
    """All samplers; the quick ones take fewer steps."""
    many = 1 if quick else 4
    return [
        Spins("gibbs", "Gibbs, site by site", 1000, 16, many),
        Spins("block_gibbs", "Gibbs, by colours", 200, 32, 10 * many),
        Spins("gibbs_with_gradients", "Gibbs with gradients", 200, 16, 25 * many),
        Spins("cluster", "Swendsen-Wang", 100, 32, 2 * many),
    ]


def training_cases(quick: bool = False) -> list[Training]:
    """Batches of scikit-learn's default, of the preset and of a thousand."""
    many = 1 if quick else 4
    return [
        Training(64, 10, 100 * many),
        Training(64, 100, 100 * many),
        Training(64, 1000, 25 * many),
        Training(256, 1000, 10 * many),
    ]


# ---------------------------------------------------------------------- references


class Reference:
    """Chains of spins −1 and 1 (chains, side, side) and their updates with whole arrays; an even
    side has two colours."""

    def __init__(
        self, spins: Array, coupling: float, field: float, rng: np.random.Generator
    ) -> None:
        self.spins, self.coupling, self.field, self.rng = spins.copy(), coupling, field, rng
        self.side, self.num = spins.shape[1], len(spins)
        site = np.arange(self.side**2).reshape(self.side, self.side)
        ends = np.stack([site, site]), np.stack([np.roll(site, -1, 0), np.roll(site, -1, 1)])
        self.left, self.right = (end.reshape(-1) for end in ends)
        self.colour = (site // self.side + site) % 2

    def uniform(self, *shape: int) -> Array:
        return self.rng.random(shape, dtype=np.float32)

    def pull(self, spins: Array) -> Array:
        """J Σ neighbours + h, shaped like the spins."""
        near = np.roll(spins, 1, 1) + np.roll(spins, -1, 1)
        near += np.roll(spins, 1, 2)
        near += np.roll(spins, -1, 2)
        return self.coupling * near + np.float32(self.field)

    def gibbs(self) -> None:
        """A sweep's worth of random sites, each chain its own."""
        chain, side, s = np.arange(self.num), self.side, self.spins
        for row, column in self.rng.integers(side, size=(side**2, 2, self.num)):
            near = s[chain, (row + 1) % side, column] + s[chain, row - 1, column]
            near += s[chain, row, (column + 1) % side] + s[chain, row, column - 1]
            up = 1 / (1 + np.exp(-2 * (self.coupling * near + self.field)))
            s[chain, row, column] = np.where(self.uniform(self.num) < up, 1, -1)

    def block_gibbs(self) -> None:
        for colour in (0, 1):
            up = 1 / (1 + np.exp(-2 * self.pull(self.spins)))
            drawn = np.where(self.uniform(*self.spins.shape) < up, 1, -1).astype(np.float32)
            self.spins = np.where(self.colour == colour, drawn, self.spins)

    def gibbs_with_gradients(self) -> None:
        """A flip changes E by 2 s (J Σ neighbours + h); proposals go by half of it."""
        chain, flat = np.arange(self.num), self.spins.reshape(self.num, -1)
        forth = -self.spins.reshape(self.num, -1) * self.pull(self.spins).reshape(self.num, -1)
        noise = -np.log(-np.log(self.uniform(*flat.shape).clip(1e-12, 1 - 1e-7)))
        site = (forth + noise).argmax(1)
        after = flat.copy()
        after[chain, site] *= -1
        moved = after.reshape(self.spins.shape)
        back = -after * self.pull(moved).reshape(self.num, -1)
        rate = 2 * forth[chain, site] + _log_share(back, site) - _log_share(forth, site)
        taken = np.log(self.uniform(self.num)) < rate
        self.spins = np.where(taken[:, None, None], moved, self.spins)

    def cluster(self) -> None:
        flat = self.spins.reshape(self.num, -1)
        joined = flat[:, self.left] == flat[:, self.right]
        joined &= self.uniform(*joined.shape) < -np.expm1(-2 * self.coupling)
        chain, bond = joined.nonzero()
        size = flat.shape[1]
        ends = chain * size + self.left[bond], chain * size + self.right[bond]
        bonds = coo_array((np.ones(len(bond), bool), ends), shape=(flat.size, flat.size))
        num, label = connected_components(bonds, directed=False)
        up = 1 / (1 + np.exp(-2 * self.field * np.bincount(label, minlength=num)))
        drawn = np.where(self.uniform(num) < up, 1, -1).astype(np.float32)
        self.spins = drawn[label].reshape(self.spins.shape)


def _log_share(logits: Array, site: npt.NDArray[np.int64]) -> Array:
    top = logits.max(1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(1))
    share: Array = logits[np.arange(len(site)), site] - total
    return share


# ---------------------------------------------------------------------- subjects


Steps = Callable[[int], None]
"""makes so many steps, or updates"""


def spin_subjects(case: Spins, seed: int = 0) -> tuple[dict[str, Steps], Callable[[str], Array]]:
    """Steps by subject, and the spins (chains, side, side) that a subject's chains have now."""
    shape = (case.num_chains, case.side, case.side)
    generator = generator_of("start", seed)
    x = torch.randint(2, shape, generator=generator).float()
    energy = Ising(case.side, case.side, COUPLING, FIELD)
    kernel = samplers.build(KERNELS[case.kind])
    now = {BASIN: kernel.init(x, energy, generator)}
    reference = Reference((2 * x - 1).numpy(), COUPLING, FIELD, np.random.default_rng(seed))

    def basin(num: int) -> None:
        with torch.no_grad():
            for _ in range(num):
                now[BASIN], _ = kernel.step(now[BASIN], energy, generator)

    def by_hand(num: int) -> None:
        for _ in range(num):
            getattr(reference, case.kind)()

    def spins(subject: str) -> Array:
        return (2 * now[BASIN].position - 1).numpy() if subject == BASIN else reference.spins

    return {BASIN: basin, reference_of(case): by_hand}, spins


def reference_of(case: Spins) -> str:
    """Name of what Basin stands beside."""
    return "numpy, scipy" if case.kind == "cluster" else "numpy"


def trained(case: Training) -> Method:
    """Basin's RBM on the bits of digits, before its first update."""
    config = {
        "energy": {"kind": "rbm", "num_hidden": case.num_hidden},
        "buffer_size": case.batch_size,
        "train": {"batch_size": case.batch_size},
    }
    spec = RunSpec(
        method="contrastive_divergence",
        preset="rbm",
        data={"name": "binary_digits"},
        config=config,
    )
    return prepare(spec, CPU, None).method


def training_subjects(case: Training) -> dict[str, Steps]:
    """Updates by subject."""
    method = trained(case)
    bits = method.task.data.train.flatten(1).numpy().astype(np.float32)
    rng, size = np.random.default_rng(0), case.batch_size
    # chains are as many as `batch_size`, whatever a batch holds
    peer = BernoulliRBM(
        case.num_hidden, learning_rate=0.01, batch_size=size, n_iter=1, random_state=0
    )

    def basin(num: int) -> None:
        for index in range(num):
            method.step(index / num)

    def scikit_learn(num: int) -> None:
        peer.fit(bits[rng.integers(len(bits), size=num * size)])

    return {BASIN: basin, "scikit-learn": scikit_learn}


# ---------------------------------------------------------------------- measurement


def speeds(subjects: dict[str, Steps], num: int, rounds: int) -> dict[str, list[float]]:
    """Steps a CPU second of each subject, in turn, round after round; the first warms up."""
    rates: dict[str, list[float]] = defaultdict(list)
    with threadpool_limits(1):
        for subject in subjects.values():
            subject(max(num // 10, 2))
        for _ in range(rounds):
            for name, subject in subjects.items():
                begin = time.process_time()
                subject(num)
                rates[name].append(num / (time.process_time() - begin))
    return dict(rates)


def fill(report: Report, rounds: int, quick: bool) -> dict[tuple[int, int], float]:
    """Add all figures; how many times as fast RBMs train, by hidden bits and batch."""
    for case in spin_cases(quick):
        title = f"{case.title}, {case.num_chains} of {case.side}²"
        subjects, _ = spin_subjects(case)
        rates = speeds(subjects, case.num_steps, rounds)
        _add(report, title, "spins a CPU second", "1e6/s", rates, 1e-6 * case.spins_a_step)
    times = {}
    for training in training_cases(quick):
        title = f"RBM 64 × {training.num_hidden}, batch {training.batch_size}"
        rates = speeds(training_subjects(training), training.num_updates, rounds)
        ratio = _add(report, title, "updates a CPU second", "1/s", rates, 1.0)
        times[training.num_hidden, training.batch_size] = ratio
    return times


def _add(
    report: Report,
    case: str,
    metric: str,
    unit: str,
    rates: dict[str, list[float]],
    scale: float,
) -> float:
    """Speeds of all subjects, and the median of the rounds' ratios of Basin to the other."""
    for subject, values in rates.items():
        report.add(case, subject, metric, unit, [scale * value for value in values])
    (other,) = (values for subject, values in rates.items() if subject != BASIN)
    ratios = [mine / theirs for mine, theirs in zip(rates[BASIN], other, strict=True)]
    report.add(case, BASIN, "times as fast", "", ratios)
    return median(ratios)


def judge(report: Report, times: dict[tuple[int, int], float]) -> None:
    """The claims on training."""
    for hidden, batch in times:
        target = 3.0 if batch >= 1000 else 1.0
        text = f"RBM 64 × {hidden}, batch {batch}: times the updates of scikit-learn's"
        report.claim_at_least(text, times[hidden, batch], target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a quarter of the steps")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    report = Report("discrete")
    times = fill(report, given.rounds, given.quick)
    judge(report, times)
    report.notes.append("numba and jax: no part of the environment, so no reference is of theirs.")
    report.show(given.json)


if __name__ == "__main__":
    main()
