"""Model folder: a trained model as `model.safetensors`, `config.json` and `README.md`, the layout
that model hubs expect, and back. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from backend.energy import Energy
from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec, from_dict
from backend.system.about import version
from jobs.exports import data_shape
from jobs.exports.model_card import check_license, model_card
from jobs.exports.places import new_folder
from jobs.models import fingerprints, method_state
from jobs.models.method_setup import check_checkpoint, prepare
from jobs.models.trained_run import Trained, load_trained
from jobs.records.run_directory import RunDirectory
from jobs.system import atomic_files

Say = Callable[[str], None]
WEIGHTS, CONFIG, CARD = NAMES = ("model.safetensors", "config.json", "README.md")
_CPU = torch.device("cpu")
_NUM_POINTS = 256
"""Held-out points at which what was written is read back and compared."""
_LEFT = {"is": "left"}


def is_folder(path: Path) -> bool:
    """Return True for a folder that holds a model."""
    return (path / WEIGHTS).is_file() and (path / CONFIG).is_file()


def write(directory: RunDirectory, to: Path, say: Say, license: str, step: int | None) -> list[str]:
    """Write a run's model into a new folder, read it back and compare; returns the names.

    Raises BadInput at `to`, `license` or `run`, NotAvailable where there are no weights.
    """
    check_license(license)
    if directory.written_status().is_tracked:
        return _write_tracked(directory, to, license, step)
    run = load_trained(directory.id, step=step)
    if not run.method.trains:
        raise BadInput.at("run", f"`{run.id}` only samples: there are no weights to take along.")
    _check_parts(run.spec, directory)
    tensors, tree = method_state.collect(run.method)
    tree = without_optimisers(tree)
    weights = {name: tensors[name] for name in _names(tree, "")}
    num_left = len(tensors) - len(weights)
    say(f"{len(weights):,} tensors; {num_left:,} of optimisers and generators are left out")
    config = {
        "architectures": [run.spec.method],
        "model_type": "basin",
        "basin_version": version(),
        "step": run.step,
        "spec": run.spec.as_dict(),
        "standardised": fingerprints.read(directory).get("standardised"),
        "data": data_shape.describe(run.data),
    }
    meta = {"method": run.spec.method, "state": tree}
    with new_folder(to) as folder:
        _write_files(folder, weights, meta, config, model_card(directory, run.step, license))
        say("reading it back")
        say(_compare(run, weights, load(folder)))
    return list(NAMES)


def _write_tracked(directory: RunDirectory, to: Path, license: str, step: int | None) -> list[str]:
    checkpoint = directory.load_checkpoint(step)
    config = {
        "model_type": "basin-tracked",
        "basin_version": version(),
        "step": checkpoint.step,
        "spec": directory.spec().as_dict(),
    }
    with new_folder(to) as folder:
        card = model_card(directory, checkpoint.step, license)
        _write_files(folder, checkpoint.tensors, {"method": "tracked"}, config, card)
    return list(NAMES)


def _write_files(
    folder: Path, tensors: dict[str, Any], meta: dict[str, Any], config: dict[str, Any], card: str
) -> None:
    save_file(tensors, folder / WEIGHTS, {"format": "pt", "basin": json.dumps(meta)})
    (folder / WEIGHTS).chmod(0o644)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")


def _check_parts(spec: RunSpec, directory: RunDirectory) -> None:
    """Raise BadInput for a model that stands on files or runs which it cannot take along."""
    for field, path in fingerprints.paths(spec):
        if field.startswith("config"):
            raise BadInput.at(
                field, f"names {path}, which the folder cannot hold. Export it as onnx or pt2."
            )
    if others := [part["run"] for part in fingerprints.read(directory).get("runs", [])]:
        raise BadInput.at(
            "run",
            f"`{directory.id}` is built on the run `{others[0]}`, which the folder cannot hold. "
            "Export it as onnx or pt2.",
        )


def without_optimisers(tree: dict[str, Any]) -> dict[str, Any]:
    """Drop optimisers and generators from a method's state: a loaded model is not trained on."""
    if tree["is"] in ("stateful", "generator"):
        return _LEFT
    items = tree.get("items")
    if isinstance(items, dict):
        return {**tree, "items": {key: without_optimisers(node) for key, node in items.items()}}
    if tree["is"] == "dict":
        return {**tree, "items": [[key, without_optimisers(node)] for key, node in items or ()]}
    if isinstance(items, list):
        return {**tree, "items": [without_optimisers(node) for node in items]}
    return tree


def _names(tree: dict[str, Any], prefix: str) -> Iterator[str]:
    """Find the names of the tensors that a state holds."""
    if tree["is"] == "tensor":
        yield prefix
    if tree["is"] == "module":
        yield from (f"{prefix}.{name}" if prefix else name for name in tree["names"])
    items = tree.get("items") or ()
    pairs: Any = items
    if isinstance(items, dict):
        pairs = items.items()
    elif tree["is"] == "list":
        pairs = enumerate(items)
    for key, node in pairs:
        yield from _names(node, f"{prefix}.{key}" if prefix else str(key))


def load(folder: Path) -> Trained:
    """Load a model folder, set up with data made anew, or noise in their shape where they are in
    files or elsewhere.

    Reads no file but the folder's own. Raises BadInput for a folder that does not hold a model of
    a method that is here.
    """
    config = _config(folder)
    spec = from_dict(config.get("spec"))
    for field, path in fingerprints.paths(spec):
        if field.startswith("config"):
            raise BadInput.at("folder", f"{folder / CONFIG} names {path}, which is not read.")
    stand_in = None if _is_at_hand(spec) else data_shape.stand_in(config.get("data") or {})
    standardised = None if stand_in is not None else config.get("standardised")
    try:
        prepared = prepare(spec, _CPU, None, standardised=standardised, stand_in=stand_in)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput.at("folder", f"{folder / CONFIG} sets nothing up: {error}.") from error
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            meta = json.loads((file.metadata() or {})["basin"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise BadInput.at("folder", f"{folder / WEIGHTS} cannot be read: {error}.") from error
    check_checkpoint(meta, spec.method)
    method_state.restore(prepared.method, tensors, meta.get("state", {}), _CPU)
    step = config.get("step")
    return Trained(
        folder.name, spec, prepared.method, prepared.data, step if isinstance(step, int) else 0
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = atomic_files.read_json(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise BadInput.at("folder", f"{folder / CONFIG} cannot be read: {error}.") from error
    if not isinstance(config, dict) or config.get("model_type") not in ("basin", "basin-tracked"):
        raise BadInput.at("folder", f"{folder / CONFIG} is of no model that Basin wrote.")
    if config["model_type"] == "basin-tracked":
        raise NotAvailable(
            f"{folder} holds the weights of a script of its owner's, which knows the "
            f"architecture: `load_file` of safetensors.torch reads {folder / WEIGHTS}."
        )
    return config


def _is_at_hand(spec: RunSpec) -> bool:
    """Return True for data that are made anew without a file or a download."""
    from backend import catalogue

    if any(field.startswith("data") for field, _ in fingerprints.paths(spec)):
        return False
    return not catalogue.resolve_data(spec.data).missing()


def _compare(run: Trained, weights: dict[str, Any], again: Trained) -> str:
    """Compare a model with what was read back of it; raises NotAvailable where they differ."""
    read, _ = method_state.collect(again.method)
    differing = [
        name for name in weights if name not in read or not _is_same(weights[name], read[name])
    ]
    if differing:
        raise NotAvailable(f"The folder gives other tensors than `{run.id}`: {differing[0]}.")
    if not run.method.has_energy:
        return f"{len(weights):,} tensors are the same; it has no energy to compare"
    x = run.data.restore(run.data.held_out[:_NUM_POINTS])
    before, after = (_energies(each.energy_in_units(), x) for each in (run, again))
    if not torch.equal(before, after):
        raise NotAvailable(
            f"The folder gives other energies than `{run.id}`: its energy is made of the data "
            "themselves, which a folder does not hold. Export it as onnx or pt2."
        )
    return f"energies of {len(x):,} held-out points are the same"


def _energies(energy: Energy, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return energy(x)


def _is_same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
