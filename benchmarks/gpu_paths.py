"""Code paths that a device must take without a word, for `benchmarks.gpu`: every method's and every
sampler's steps without waits, whole runs, and resuming to the bit."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch

from backend import catalogue, samplers
from backend.energies.closed_form import Ring
from backend.energies.lattices import Ising
from backend.energies.rbm import RBM
from backend.method import Method
from backend.randomness import generator_of
from backend.spec import Budget, RunSpec
from benchmarks.gpu_parts import Bench
from benchmarks.gpu_training import set_up
from jobs.models import method_state

MAY_WAIT = ("nuts",)
"""Samplers that ask the device whether to go on, as they say themselves."""
REHEARSED = 3
"""Methods and samplers of a rehearsal."""


def presets(bench: Bench, wanted: tuple[str, ...] = ("default",)) -> list[tuple[str, str]]:
    """Presets of all methods by name, those that want a GPU left out."""
    every = [
        (name, preset)
        for name, cls in catalogue.methods().items()
        for preset, settings in cls.presets.items()
        if preset in wanted and not settings.wants_gpu
    ]
    return every[:REHEARSED] if bench.quick else every


@contextlib.contextmanager
def no_waits(bench: Bench) -> Iterator[None]:
    """Inside, whatever makes the host wait for the device raises RuntimeError."""
    if not bench.on_gpu:
        yield
        return
    bench.synchronise()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def waits(bench: Bench) -> None:
    """A step of every method, and of every sampler, with waits forbidden after warm-up."""
    report = bench.report
    for name, preset in presets(bench, ("default", "persistent", "discrete", "images")):
        with report.attempt(f"{name} {preset}: a step without waits"):
            method = set_up(bench, name, preset)
            for progress in (0.0, 0.1):
                method.step(progress)
            with no_waits(bench):
                method.step(0.2)
            report.add(f"{name} {preset}", "step", "waits", "", [0])
    for kind in list(catalogue.samplers())[: REHEARSED if bench.quick else None]:
        with report.attempt(f"sampler {kind}: a step without waits"):
            _walk(bench, kind)
            report.add(f"sampler {kind}", "step", "waits", "", [0])


def _walk(bench: Bench, kind: str) -> None:
    cls, device = catalogue.samplers()[kind], bench.device
    generator = generator_of("gpu", device=device)
    rbm = RBM(torch.randn(16, 8, generator=generator_of("rbm")), torch.zeros(16), torch.zeros(8))
    targets = ((Ring(), (2,)), (Ising(4, 4, 0.3), (4, 4)), (rbm, (16,)))
    energy, shape = next(pair for pair in targets if not cls.fits(pair[0]))
    energy = energy.to(device).requires_grad_(False)
    start = torch.rand((16, *shape), generator=generator, device=device)
    sampler = samplers.build(cls.Config.model_validate({"kind": kind}))
    state = sampler.init(start.round() if cls.discrete else start, energy, generator)
    for index in range(3):
        state, info = sampler.step(state, energy, generator)
        state = sampler.tune(state, info, index, 4)
    with contextlib.nullcontext() if kind in MAY_WAIT else no_waits(bench):
        sampler.step(state, energy, generator)


def runs(bench: Bench) -> None:
    """Every method's default preset as a run: trained, watched, judged and saved."""
    from jobs.execution import loop
    from jobs.models import trained_run
    from jobs.records import run_store

    report = bench.report
    wanted = presets(bench)[:1] if bench.quick else presets(bench)
    for name, preset in wanted:
        data = catalogue.methods()[name].presets[preset].data or {"name": "ring"}
        with report.attempt(f"{name} {preset}: a run"):
            spec = RunSpec(
                method=name,
                preset=preset,
                data=data,
                budget=Budget(steps=3 if bench.quick else 30),
                device=bench.device.type,
            )
            directory = run_store.create_run(spec)
            watch = (lambda prepared: None) if bench.quick else loop.observe_all
            status = loop.run(directory, load_energy=trained_run.load_energy, observe=watch)
            case = f"{name} {preset}"
            if status.status != "finished":
                raise RuntimeError(f"{status.status}, {status.reason}")
            report.add(case, "run", "training", "s", [status.seconds])
            report.add(case, "run", "watching", "s", [status.observe_seconds])
            if status.joules is not None:
                report.add(case, "run", "energy", "J", [status.joules])


def resume(bench: Bench) -> None:
    """Every method trained through, and trained, saved, restored elsewhere and trained on."""
    report = bench.report
    for name, preset in presets(bench, ("default", "persistent", "images")):
        case = f"{name} {preset}"
        with report.attempt(f"{case}: resumed"):
            whole, again, resumed = (set_up(bench, name, preset) for _ in range(3))
            _step(whole, 0, 3)
            tensors, tree = method_state.collect(whole)
            method_state.restore(resumed, tensors, copy.deepcopy(tree), bench.device)
            for method, first in ((whole, 3), (resumed, 3), (again, 0)):
                _step(method, first, 6)
            repeats = _apart(whole, again)
            report.add(case, "same seed twice", "largest difference", "", [repeats])
            if repeats:
                report.note(f"{case}: kernels here do not repeat to the bit, by {repeats:.2g}.")
            text = f"{case}: weights of the resumed run apart from those of the whole one"
            # what does not repeat cannot resume to the bit; it must not do worse
            report.claim_at_most(text, _apart(whole, resumed), 10 * repeats)


def _step(method: Method, first: int, end: int) -> None:
    for index in range(first, end):
        method.step(index / 6)


def _apart(one: Any, other: Any) -> float:
    """Largest difference of two methods' saved states; infinite where they hold other things."""
    left, right = (method_state.collect(method)[0] for method in (one, other))
    if left.keys() != right.keys():
        return float("inf")
    differences = [
        float((left[name].double() - right[name].double()).abs().max())
        for name in left
        if left[name].numel() and not torch.equal(left[name], right[name])
    ]
    return max(differences, default=0.0)
