"""Trained runs: load one from its directory. Imports torch.

`jobs/models/answering.py` asks one everything it can be asked."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from backend.ability import Asked
from backend.data import Data
from backend.energy import Energy
from backend.errors import NotAvailable
from backend.method import Method
from backend.spec import RunSpec
from jobs.models import fingerprints, method_state
from jobs.models.method_setup import check_checkpoint, prepare
from jobs.records import run_store

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """Run as a checkpoint left it, ready to be asked."""

    id: str
    spec: RunSpec
    method: Method
    data: Data
    step: int
    device: torch.device = _CPU
    warnings: tuple[str, ...] = ()
    """sentences on what is not as it was when the run was trained"""

    def energy(self) -> Energy:
        """Return the energy of standardised positions; its weights are fixed."""
        energy = self.method.energy().eval()
        return energy.requires_grad_(False)

    def energy_in_units(self) -> Energy:
        """Return the energy of positions in the user's units."""
        return self.data.in_units(self.energy())


def load_trained(run_id: str, device: torch.device = _CPU, step: int | None = None) -> Trained:
    """Load a run with the weights of the checkpoint of a step, or of its newest, on a device.

    Raises BadInput for an unknown run or another method's checkpoint, NotAvailable when there is
    no checkpoint.
    """
    directory = run_store.open_run(run_id)
    spec = directory.spec()
    made_of = fingerprints.read(directory)
    warnings = tuple(fingerprints.changes_in_words(made_of))
    prepared = prepare(spec, device, load_energy, standardised=made_of.get("standardised"))
    if not prepared.method.trains:
        return Trained(directory.id, spec, prepared.method, prepared.data, 0, device, warnings)
    try:
        checkpoint = directory.load_checkpoint(step)
    except NotAvailable as error:
        raise NotAvailable(f"`{directory.id}` has no trained weights. {error}") from error
    check_checkpoint(checkpoint.meta, spec.method)
    method_state.restore(prepared.method, checkpoint.tensors, checkpoint.meta["state"], device)
    return Trained(
        directory.id, spec, prepared.method, prepared.data, checkpoint.step, device, warnings
    )


def asked(run_id: str, device: torch.device = _CPU) -> Asked:
    """Load a run as abilities are asked about it. Raises BadInput, NotAvailable."""
    return asked_of(load_trained(run_id, device))


def asked_of(run: Trained) -> Asked:
    """Wrap a loaded run as abilities are asked about it; other runs it asks for come to its
    device."""
    return Asked(run.method, run.data, run.spec.seed, functools.partial(asked, device=run.device))


def load_energy(run_id: str) -> Energy:
    """Load a run's energy, of positions in the user's units: other data are standardised
    otherwise."""
    return load_trained(run_id).energy_in_units()
