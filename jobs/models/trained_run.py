"""Trained runs: load one from its directory and ask it for energies and samples. Imports torch.

`jobs/models/answering.py` asks one everything else it can be asked."""

from __future__ import annotations

import functools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError

from backend import catalogue
from backend.ability import Asked
from backend.data import Data
from backend.energy import Energy
from backend.errors import BadInput, NotAvailable
from backend.method import Method
from backend.randomness import generator_of
from backend.sampler import Sampler
from backend.samplers import Pass
from backend.spec import RunSpec, problems_of
from jobs.models import fingerprints, method_state
from jobs.models.method_setup import check_checkpoint, prepare
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system import atomic_files

_BATCH = 8192
_SAMPLE = 3
"""Tells the draws of `sample` from all others of the same seed."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """A run as its newest checkpoint left it, ready to be asked."""

    id: str
    spec: RunSpec
    method: Method
    data: Data
    step: int
    device: torch.device = _CPU
    warnings: tuple[str, ...] = ()
    """sentences on what is not as it was when the run was trained"""

    def energy(self) -> Energy:
        """The energy of standardised positions; its weights are fixed."""
        energy = self.method.energy().eval()
        return energy.requires_grad_(False)

    def energy_in_units(self) -> Energy:
        """The energy of positions in the user's units."""
        return self.data.in_units(self.energy())


@dataclass(frozen=True)
class Drawn:
    """A set of samples and how they were drawn."""

    x: npt.NDArray[np.float32]
    """(num, *event_shape), the user's units"""
    energy: npt.NDArray[np.float32]
    """(num,) nats"""
    settings: dict[str, Any]


def load_trained(run_id: str, device: torch.device = _CPU) -> Trained:
    """A run with the weights of its newest checkpoint, on a device.

    Raises BadInput for an unknown run or another method's checkpoint, NotAvailable when there is
    no checkpoint.
    """
    directory = run_store.open_run(run_id)
    spec = directory.spec()
    made = fingerprints.read(directory)
    warnings = tuple(fingerprints.changes_in_words(made))
    prepared = prepare(spec, device, load_energy, standardised=made.get("standardised"))
    if not prepared.method.trains:
        return Trained(directory.id, spec, prepared.method, prepared.data, 0, device, warnings)
    try:
        found = directory.load_checkpoint()
    except NotAvailable as error:
        raise NotAvailable(f"`{directory.id}` has no trained weights. {error}") from error
    check_checkpoint(found.meta, spec.method)
    method_state.restore(prepared.method, found.tensors, found.meta["state"], device)
    return Trained(directory.id, spec, prepared.method, prepared.data, found.step, device, warnings)


def asked(run_id: str, device: torch.device = _CPU) -> Asked:
    """A run as abilities are asked about it. Raises BadInput, NotAvailable."""
    return asked_of(load_trained(run_id, device))


def asked_of(run: Trained) -> Asked:
    """The same of a run that is loaded; other runs that it asks for come to its device."""
    return Asked(run.method, run.data, run.spec.seed, functools.partial(asked, device=run.device))


def load_energy(run_id: str) -> Energy:
    """A run's energy, of positions in the user's units: other data are standardised otherwise."""
    return load_trained(run_id).energy_in_units()


def energies(run_id: str, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Energies (num,) of positions x (num, *event_shape) in the user's units. Raises BadInput."""
    run = load_trained(run_id)
    expected = tuple(run.data.event_shape)
    if x.shape[1:] != expected:
        wanted = ", ".join(["n", *map(str, expected)])
        raise BadInput.at("points", f"must have shape ({wanted}), got {x.shape}.")
    return _energies(run.energy_in_units(), torch.from_numpy(np.ascontiguousarray(x)))


def _energies(energy: Energy, x: torch.Tensor) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        parts = [energy(part).float() for part in x.split(_BATCH)]
    return torch.cat(parts).numpy() if parts else np.zeros(0, np.float32)


def sample(
    run_id: str,
    *,
    num: int = 4000,
    sampler: dict[str, Any] | None = None,
    num_steps: int = 1000,
    seed: int = 0,
) -> Drawn:
    """`num` chains of `num_steps` from the noise box; the same arguments give the same samples.

    sampler: its `kind` and fields; without a kind the fields change the run's own sampler.
    Raises BadInput, NotAvailable.
    """
    for name, value, least in (("num", num, 1), ("num_steps", num_steps, 0), ("seed", seed, 0)):
        if value < least:
            raise BadInput.at(name, f"must be ≥ {least}, got {value}.")
    run = load_trained(run_id)
    kernel = _sampler(run.method, sampler)
    energy = run.energy()
    generator = generator_of(seed, _SAMPLE)
    ends = []
    rates = []
    # In batches that depend on `num` alone, so that memory is bounded and draws are repeatable.
    for start in range(0, num, _BATCH):
        position = run.data.noise(min(_BATCH, num - start), generator)
        chains = kernel.init(position, energy, generator)
        passed = Pass(position) if kernel.anneals else None
        for _ in range(num_steps):
            chains, info = kernel.step(chains, energy, generator)
            rates.append(info.acceptance_rate.mean())
            if passed is not None:
                passed.take(chains.position, info)
        if passed is None:
            ends.append(chains.position.detach())
        elif bool(passed.ended):
            ends.append(passed.drawn(len(position), generator))
        else:
            raise BadInput.at(
                "num_steps",
                f"must be larger: a pass of {type(kernel.config).title} from a wide "
                f"law to the target takes more than {num_steps} steps.",
            )
    z = torch.cat(ends)
    settings = {
        "run": run.id,
        "step": run.step,
        "sampler": kernel.config.model_dump(mode="json"),
        "exact": kernel.exact,
        "num_steps": num_steps,
        "seed": seed,
        "acceptance_rate": float(torch.stack(rates).mean()) if rates else None,
    }
    x = run.data.restore(z).numpy().astype(np.float32)
    return Drawn(x, _energies(energy, z), settings)


def _sampler(method: Method, fields: dict[str, Any] | None) -> Sampler:
    """The sampler asked for, the method's own, or the default one. Raises BadInput at `sampler`."""
    from backend.observe.observation import default_sampler

    own = method.sampler() or default_sampler(method.task.data)
    if not fields:
        return own
    known = catalogue.samplers()
    kind = fields.get("kind", own.config.kind)
    if kind not in known:
        raise BadInput.at("sampler", f"there is no sampler {kind!r}. Known: {', '.join(known)}.")
    settings = {**fields, "kind": kind}
    if kind == own.config.kind:
        settings = catalogue.merge(own.config.model_dump(mode="json"), settings)
    try:
        return known[kind](known[kind].Config.model_validate(settings))
    except ValidationError as error:
        raise BadInput(*problems_of(error, "sampler")) from error


def save_samples(directory: RunDirectory, drawn: Drawn, out: Path | None = None) -> Path:
    """Write `x`, `energy` and `settings` (JSON) to `out`, else into the run's `samples` folder.

    Raises BadInput when the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "x": drawn.x,
        "energy": drawn.energy,
        "settings": np.array(json.dumps(drawn.settings)),
    }
    try:
        if out is None:
            stamp = time.strftime("%H%M%S", time.gmtime())
            name = f"{drawn.settings['sampler']['kind']}-{stamp}-{os.urandom(2).hex()}"
            return directory.save_samples(name, arrays)
        with atomic_files.written_aside(out, mode=0o644) as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise BadInput.at("out", f"cannot be written: {error.strerror or error}.") from error
    return out


def sample_to_run(run_id: str, **settings: Any) -> dict[str, Any]:
    """`sample`, kept in the run's own folder; its name there, the number and the settings."""
    directory = run_store.open_run(run_id)
    try:
        drawn = sample(directory.id, **settings)
    except TypeError as error:
        raise BadInput.at("", f"samples cannot be drawn so: {error}.") from error
    path = save_samples(directory, drawn)
    name = path.relative_to(directory.path).as_posix()
    return {"file": name, "num": len(drawn.x), "settings": drawn.settings}
