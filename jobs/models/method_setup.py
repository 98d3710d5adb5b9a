"""Method set-up: from a RunSpec to a method on its device, with its data. Imports torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from backend import catalogue
from backend.config import Config
from backend.data import Data
from backend.energy import Energy
from backend.errors import BadInput, Problem
from backend.method import Method, Task
from backend.networks import products
from backend.randomness import generator_of
from backend.requests import fitting
from backend.spec import RunSpec
from backend.system.home import cache
from jobs.records.moved_files import with_moved_paths
from jobs.records.run_directory import RunDirectory

LoadEnergy = Callable[[str], Energy]
"""A trained run's energy by run id, on the CPU."""


@dataclass(frozen=True)
class Prepared:
    """Method ready for its first step."""

    spec: RunSpec
    """with the preset's budget where it has none"""
    config: Config
    method: Method
    data: Data
    """on the device"""
    device: torch.device
    runs: list[str]
    """ids of the trained runs it is built on"""
    settings: dict[str, Any]
    """`config` of the method and `data`, each with every field that preset and defaults gave"""
    missing: str = ""
    """why `data` are a stand-in of the right shape; "" where they are the data themselves"""


def prepare(
    spec: RunSpec,
    device: torch.device,
    load_energy: LoadEnergy | None,
    *,
    fetch: bool = True,
    standardised: Mapping[str, Any] | None = None,
    stand_in: Data | None = None,
) -> Prepared:
    """Find, check and set up everything a RunSpec names. Raises BadInput with all that is wrong.

    fetch: download data that are not here; else a stand-in takes their place. standardised: how
    the data were at an earlier attempt (`Data.rescaled`), whatever is in their file now. stand_in:
    data of the same shape, where those that the spec names are not to be read.
    """
    resolved = catalogue.resolve(with_moved_paths(spec))
    missing = "" if fetch else resolved.dataset.missing()
    if stand_in is not None:
        data = stand_in
    else:
        data = resolved.dataset.stand_in() if missing else resolved.dataset.load()
    if standardised:
        data = data.rescaled(standardised)
    field_problems = fitting.problems(resolved.method, resolved.config, data)
    if spec.processes > 1 and not resolved.method.trains:
        field_problems.append(
            ("processes", f"must be 1 where nothing is trained, got {spec.processes}.")
        )
    if problems := [Problem(spec_field(name), sentence) for name, sentence in field_problems]:
        raise BadInput(*problems)
    data = data.to(device)
    runs: list[str] = []

    def load(run_id: str) -> Energy:
        assert load_energy is not None
        runs.append(run_id)
        return load_energy(run_id).to(device)

    task = Task(
        data=data,
        device=device,
        generator=generator_of(spec.seed, device=device),
        precision=getattr(torch, spec.precision),
        load_energy=None if load_energy is None else load,
    )
    method = resolved.method(resolved.config, task)
    settings = {
        "config": resolved.config.model_dump(mode="json"),
        "data": {"name": spec.data.get("name"), **resolved.dataset.config.model_dump(mode="json")},
    }
    return Prepared(resolved.spec, resolved.config, method, data, device, runs, settings, missing)


def spec_field(name: str) -> str:
    """Name a field as a RunSpec has it: a method names its own ones without the leading
    `config`."""
    return name if name.split(".")[0] in RunSpec.model_fields else f"config.{name}"


def check_checkpoint(meta: dict[str, Any], method: str) -> None:
    """Raise BadInput when a checkpoint was written by another method."""
    if meta.get("method") != method:
        raise BadInput.at(
            "run", f"its checkpoint is of the method `{meta.get('method')}`, not `{method}`."
        )


def find_device(name: str) -> torch.device:
    """Find the device a RunSpec asks for. Raises BadInput for one that is not here.

    A worker shows its process one device alone, whichever number the spec gave it. Also sets what
    torch goes by here: on a CPU BASIN_THREADS threads (1, since workers share the cores), matrix
    products in BASIN_MATMUL_PRECISION, and compiled code kept in BASIN_HOME/cache.
    """
    _set_matmul_precision(os.environ.get("BASIN_MATMUL_PRECISION", "highest"))
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache() / "inductor"))
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if visible else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        torch.set_num_threads(int(os.environ.get("BASIN_THREADS", "1")))
        return device
    index = device.index or 0
    if visible and "BASIN_WORKER" in os.environ:
        index = 0
    if index >= visible:
        here = ", ".join(f"cuda:{number}" for number in range(visible)) or "no NVIDIA device"
        raise BadInput.at("device", f"`{name}` is not here; found {here}. Use `auto` or `cpu`.")
    return torch.device("cuda", index)


def use_products(directory: RunDirectory) -> str:
    """Take a run's products of matrices for its linear layers, and return their name.

    A run goes on with those it began with, and one of before they were chosen with torch's own; a
    new one takes what BASIN_PRODUCTS says, by default the quicker ones on this processor. Raises
    BadInput.
    """
    earlier = directory.written_status().products
    if not earlier:
        earlier = "torch" if directory.checkpoints() else products.chosen()
    products.use(earlier)
    return products.in_use()


def _set_matmul_precision(name: str) -> None:
    """Set the precision of float32 products and convolutions: `highest` keeps all 24 bits.

    `high` and `medium` round factors to 10 and to 7 bits on recent GPUs; on CPUs they may pick
    other kernels. Raises BadInput.
    """
    if name not in ("highest", "high", "medium"):
        raise BadInput.at(
            "BASIN_MATMUL_PRECISION", f"must be highest, high or medium, got {name!r}."
        )
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = name != "highest"  # by itself cuDNN rounds to 10 bits
