"""Speed of Basin's samplers, eager and compiled, beside torchebm, ebmkit and blackjax.

    python -m benchmarks.samplers [--quick] [--only ula hmc nuts mala] [--rounds 5] [--json]

The same energies with the same weights, the same starts, the same steps, float32 unless said
otherwise. Every subject is a process of its own that stays, on one core with one thread, and is
asked for its share in turn, round after round; what counts is that process's CPU time, less the
compiling. A core-second is a second of that. Short runs start from chains that stand already: their
first gradient is left out, as in a long run. Gradients are over the whole batch, those of chains
that wait for others included. The peers come from `.venv-peers` (`make peers`) and are left out,
with a word, where it is missing; on a GPU Basin runs alone, and its time is the clock's.

Beside each speed is the variance of the draws over the true one: a fast sampler that is wrong
shows. MLP and convolutional energies have no known variance; theirs is over that of eager Basin.
Under HMC the MLP has none to compare: its energy does not confine, so that two trajectories from
unit variance come to 1 + Σ t² in their lengths t, which Basin draws anew and the others fix.
The Gaussian has variances from 0.001 to 1 along axes that are no coordinates.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from backend.energies.closed_form import Ring
from backend.energies.closed_form_shapes import DoubleWell
from backend.metrics.convergence import bulk_ess
from backend.randomness import generator_of
from benchmarks import samplers_work as work
from benchmarks.report import Report
from benchmarks.samplers_work import Case, Outcome

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
EAGER, COMPILED = "basin eager", "basin compiled"
BASIN = (EAGER, COMPILED)
IN_BFLOAT16 = ("basin eager bf16", "basin compiled bf16")
OTHERS = ("torchebm", "ebmkit", "blackjax")
SINGLE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
ON_A_GPU = {
    "JAX_PLATFORMS": "cuda",
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",  # else it rounds float32 to 10 bits, unlike torch
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Settings of workers there, where a peer runs in this environment."""
PATIENCE = 1.1
"""The variance of Basin's draws may be this many times the true one, or that many times less."""

Rounds = dict[tuple[Case, str], list[dict[str, float]]]
"""figures by name, round after round"""


def cases(quick: bool = False) -> list[Case]:
    """All the work; the quick one is shorter where draws are many."""
    short = [
        Case("ula", "mixture", 10_000, 20, 0.01),
        Case("ula", "double_well", 10_000, 20, 0.01),
        Case("ula", "mlp", 10_000, 5, 0.01),
        Case("ula", "conv", 64, 20, 0.0005),
        Case("hmc", "mixture", 10_000, 5, 0.1),
        Case("hmc", "mlp", 10_000, 2, 0.1),
    ]
    draws, steps = (100, 4000) if quick else (400, 20_000)
    for num_chains in (4, 64):
        short.append(Case("nuts", "gaussian", num_chains, draws, 0.03, draws, keep_every=1))
        short.append(Case("mala", "gaussian", num_chains, steps, 5e-4, steps // 4, keep_every=10))
    return short


def subjects_of(case: Case) -> tuple[str, ...]:
    """Subjects that are asked; who cannot says so."""
    network = case.energy in ("mlp", "conv")
    return BASIN + (IN_BFLOAT16 if network else ()) + OTHERS


class Worker:
    """A process that answers for one library."""

    def __init__(self, subject: str, folder: Path, core: int | None) -> None:
        basin = subject.startswith("basin")
        on_gpu = torch.cuda.is_available()
        python = sys.executable if basin or on_gpu else str(PEERS)
        module = "benchmarks.samplers_basin" if basin else "benchmarks.samplers_peers"
        words = [] if basin else [subject]
        words += [] if core is None else [str(core)]
        self.folder, self.errors = folder, folder / f"{module}-{subject}.txt"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [python, "-m", module, *words],
                cwd=ROOT,
                env=os.environ | (ON_A_GPU if on_gpu else SINGLE),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def ask(self, subject: str, case: Case, seed: int) -> Outcome:
        """Measure once. Raises RuntimeError with what the worker says."""
        assert self.process.stdin is not None and self.process.stdout is not None
        question = {
            "subject": subject,
            "case": asdict(case),
            "folder": str(self.folder),
            "seed": seed,
        }
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            errors = self.errors.read_text().strip().splitlines()
            raise RuntimeError(f"its process ended: {errors[-1] if errors else 'without a word'}")
        reply = json.loads(answer)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return Outcome(**reply)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def _workers(folder: Path, core: int | None) -> Iterator[dict[str, Worker]]:
    """Workers by library, started when first asked for."""

    class Started(dict[str, Worker]):
        def __missing__(self, subject: str) -> Worker:
            self[subject] = Worker(subject, folder, core)
            return self[subject]

    started = Started()
    try:
        yield started
    finally:
        for worker in started.values():
            worker.close()


def prepare(chosen: list[Case], folder: Path) -> None:
    """Write the networks' weights and every case's start, for all subjects alike."""
    from benchmarks.samplers_basin import networks

    weights = {
        f"{name}.{key}": value.numpy()
        for name, network in networks().items()
        for key, value in network.net.state_dict().items()
    }
    np.savez(folder / "nets.npz", allow_pickle=False, **weights)
    for case in chosen:
        generator, num = generator_of("start", case.num_chains), case.num_chains
        if case.energy in ("mixture", "double_well"):
            law = Ring() if case.energy == "mixture" else DoubleWell()
            start = law.draw(num, generator)
        elif case.energy == "conv":
            start = 1.8 * torch.rand((num, 8, 8), generator=generator) - 0.9
        else:
            start = torch.randn(
                (num, 2 if case.energy == "mlp" else work.DIMENSION), generator=generator
            )
        np.save(folder / f"{case.energy}-{num}.npy", start.numpy())


def figures(case: Case, outcome: Outcome) -> dict[str, float]:
    """Figures of one round."""
    draws = torch.from_numpy(np.fromfile(outcome.file, np.float32).reshape(outcome.shape)).double()
    values = {"seconds": outcome.seconds}
    if case.sampler == "hmc":
        # Basin draws its lengths anew: what is compared is the time of ten leapfrog steps
        values["seconds"] *= case.num_steps * work.NUM_LEAPFROG / outcome.gradients
    if case.energy == "gaussian":
        along = draws @ torch.from_numpy(work.axes())
        ess = float(bulk_ess(along.transpose(0, 1)).min())
        both = outcome.seconds + outcome.warm_up_seconds
        values |= {
            "ess": ess,
            "rate": ess / outcome.seconds,
            "rate_with_warm_up": ess / both,
            "per_gradient": 1000 * ess / (outcome.gradients * case.num_chains),
        }
    values["variance"] = _variance_ratio(case, draws)
    return values


def _variance_ratio(case: Case, draws: Tensor) -> float:
    """Variance over the true one, a mean over coordinates or axes; plain where none is known."""
    flat = draws.flatten(0, 1).flatten(1)
    if case.energy == "gaussian":
        true = torch.from_numpy(work.spectrum())
        return float(((flat @ torch.from_numpy(work.axes())).square().mean(0) / true).mean())
    variance = flat.var(0)
    if case.energy == "mixture":
        variance /= Ring().moments()[1].diagonal()
    elif case.energy == "double_well":
        variance /= _double_well_variance()
    return float(variance.mean())


def _double_well_variance() -> Tensor:
    """(2,), along the wells by the density's own table."""
    density = DoubleWell()
    middle = 0.5 * (density.grid[1:] + density.grid[:-1])
    return torch.stack(
        [(middle.square() * density.cumulative.diff()).sum(), torch.tensor(density.sd**2)]
    )


def measure(
    chosen: list[Case],
    rounds: int,
    report: Report,
    subjects: tuple[str, ...] | None = None,
    after: Callable[[Case, Rounds], None] = lambda case, measured: None,
) -> Rounds:
    """Every subject's figures of every case, interleaved; who cannot is noted and left out.

    `after` is called when a case is done, with all that was measured so far.
    """
    on_gpu = torch.cuda.is_available()
    without: dict[str, str] = {}
    if on_gpu and subjects is None:
        without = dict.fromkeys(OTHERS, "measured on a GPU by benchmarks.gpu alone")
    elif not on_gpu and not PEERS.exists():
        without = dict.fromkeys(OTHERS, "not installed; run `make peers`")
    if subjects is None:
        report.notes += [f"{peer}: {reason}." for peer, reason in without.items()]
    core = None if on_gpu else _last_core()
    measured: Rounds = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, _workers(Path(name), core) as workers:
        prepare(chosen, Path(name))
        for case in chosen:
            asked = [s for s in subjects or subjects_of(case) if s not in without]
            for seed in range(rounds):
                for subject in list(asked):
                    # Basin's subjects share a process, as its code is shared
                    worker = workers["basin" if subject.startswith("basin") else subject]
                    try:
                        outcome = worker.ask(subject, case, seed)
                    except RuntimeError as error:
                        asked.remove(subject)
                        report.notes.append(f"{case.name}: {subject} left out, {error}")
                        continue
                    measured[case, subject].append(figures(case, outcome))
                    Path(outcome.file).unlink()
            print(f"{case.name}: done", file=sys.stderr)
            after(case, measured)
    return measured


def _last_core() -> int | None:
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


METRICS = {
    "ess": ("smallest bulk ESS", ""),
    "rate": ("smallest ESS a core-second", "1/s"),
    "rate_with_warm_up": ("the same, warm-up included", "1/s"),
    "per_gradient": ("smallest ESS a 1,000 gradients", ""),
}


def show(report: Report, measured: Rounds) -> None:
    """Add all figures."""
    for (case, subject), rounds in measured.items():
        title = "CPU time" if not torch.cuda.is_available() else "time"
        if case.sampler == "hmc":
            title += f", {work.NUM_LEAPFROG} leapfrogs a step"
        report.add(case.name, subject, title, "ms", [1000 * r["seconds"] for r in rounds])
        for key, (words, unit) in METRICS.items():
            if key in rounds[0]:
                report.add(case.name, subject, words, unit, [r[key] for r in rounds])
        eager = measured.get((case, EAGER))
        known = case.energy not in ("mlp", "conv")
        words = "variance over the true one" if known else "variance over eager Basin's"
        if not known and case.sampler == "hmc":
            continue
        scale = 1.0 if known or not eager else median(r["variance"] for r in eager)
        report.add(case.name, subject, words, "", [r["variance"] / scale for r in rounds])


def claim(report: Report, measured: Rounds) -> None:
    """Add the claims that the cases measured can decide."""
    by_name = {(c.sampler, c.energy, c.num_chains): c for c, _ in measured}
    table = {
        ("ula", "mixture", 10_000): {"blackjax": 1.0, "torchebm": 2.5},
        ("ula", "double_well", 10_000): {"blackjax": 1.0, "torchebm": 2.5},
        ("ula", "mlp", 10_000): {"blackjax": 0.85, "torchebm": 1.4},
        ("ula", "conv", 64): {"torchebm": 1.15},
        ("hmc", "mixture", 10_000): {"blackjax": 0.8, "torchebm": 4.0},
        ("hmc", "mlp", 10_000): {"blackjax": 0.75, "torchebm": 2.2},
    }
    for key, targets in table.items():
        for peer, target in targets.items():
            _claim(report, measured, by_name.get(key), peer, "seconds", target, "as fast as")
    for num_chains in (4, 64):
        case = by_name.get(("nuts", "gaussian", num_chains))
        _claim(report, measured, case, "ebmkit", "rate", 50, "ESS a core-second of")
        _claim(report, measured, case, "blackjax", "per_gradient", 0.9, "ESS a gradient of")
        if num_chains == 64:
            _claim(report, measured, case, "blackjax", "rate", 0.5, "ESS a core-second of")
    for (case, subject), rounds in measured.items():
        if subject in BASIN and case.energy not in ("mlp", "conv"):
            off = abs(math.log(median(r["variance"] for r in rounds)))
            text = f"{case.name}: variance of {subject} away from the true one, factor"
            report.claim_at_most(text, math.exp(off), PATIENCE)


def _claim(
    report: Report,
    measured: Rounds,
    case: Case | None,
    peer: str,
    key: str,
    target: float,
    words: str,
) -> None:
    """Claim that compiled Basin (eager where it is better) is so many times a peer, in a case."""
    ours = [measured[case, name] for name in BASIN if case is not None and (case, name) in measured]
    if case is None or not ours or (case, peer) not in measured:
        return
    theirs = median(r[key] for r in measured[case, peer])
    own = [median(r[key] for r in rounds) for rounds in ours]
    value = theirs / min(own) if key == "seconds" else max(own) / theirs
    report.claim_at_least(f"{case.name}: Basin against {peer}, times {words} it", value, target)


def run(
    quick: bool,
    only: set[str] | None = None,
    rounds: int = 5,
    subjects: tuple[str, ...] | None = None,
    at_most: int | None = None,
) -> Report:
    """The whole benchmark; `at_most` chains and steps make it a trial of itself."""
    report = Report("samplers")
    chosen = [case for case in cases(quick) if only is None or case.sampler in only]
    if at_most is not None:
        chosen = [
            replace(c, num_chains=min(c.num_chains, at_most), num_steps=min(c.num_steps, at_most))
            for c in chosen
        ]
    measured = measure(chosen, rounds, report, subjects)
    show(report, measured)
    claim(report, measured)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds, shorter chains")
    parts = sorted({case.sampler for case in cases()})
    parser.add_argument("--only", nargs="+", choices=parts, help="these samplers alone")
    parser.add_argument("--rounds", type=int, help="of every subject (default 5, quick 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = options.rounds or (3 if options.quick else 5)
    report = run(options.quick, set(options.only) if options.only else None, rounds)
    report.show(options.json)
    return 0 if all(each.holds == "holds" for each in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
