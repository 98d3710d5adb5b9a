"""Small runs: every method and preset on data that it fits, with steps that take milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from backend import catalogue
from backend.energies.images import ImageConfig
from backend.method import Method
from backend.observe.sizes import Sizes
from backend.requests import fitting
from backend.spec import RunSpec
from jobs.contracts import Unkept
from jobs.models import method_state
from jobs.models.method_setup import Prepared, prepare

CPU = torch.device("cpu")
POINTS = {"name": "ring", "num": 400, "num_held_out": 200}
IMAGES = {"name": "digits"}
SPINS = {"name": "ising", "rows": 3, "columns": 3, "num": 400, "num_held_out": 200}
SMALL = Sizes(
    field=16,
    num_walkers=8,
    num_trails=4,
    trail=3,
    num_dots=20,
    num_cells=4,
    num_energies=32,
    num_bins=8,
    num_measured=32,
    num_evaluated=32,
    long_run_steps=8,
    image_num_measured=8,
    image_num_evaluated=8,
    image_measured_steps=8,
    image_long_run_steps=8,
    image_num_annealed=320,
    image_num_annealed_evaluated=320,
    num_levels=8,
    num_levels_evaluated=8,
    num_diagnosed=8,
    num_draws=4,
)
ELSEWHERE = (
    "file",
    "energy_file",
    "discrete_energy_file",
    "mnist",
    "fashion_mnist",
    "cifar_10",
)
"""Data sets that need a path, or a download: tested where they are."""
PROGRESS = (0.0, 0.35, 0.7, 0.95)


def fitting_spec(method: str, preset: str = "default", **fields: Any) -> RunSpec | None:
    """A preset on data that it fits, its batches small so that a step is quick; None without."""
    config = catalogue.merge(_small(preset_config(method, preset)), fields)
    for data in (*_own_data(method, preset), POINTS, IMAGES, SPINS):
        spec = RunSpec(method=method, preset=preset, data=data, config=config, seed=1)
        resolved = catalogue.resolve(spec)
        if not fitting.problems(resolved.method, resolved.config, resolved.dataset.load()):
            return spec
    return None


def prepared(method: str, preset: str = "default", **fields: Any) -> Prepared:
    """The same set up."""
    spec = fitting_spec(method, preset, **fields)
    if spec is None:
        raise Unkept(
            f"{method}, preset {preset}, fits none of the data tried: points, images, spins."
        )
    return prepare(spec, CPU, None)


def _own_data(method: str, preset: str) -> list[dict[str, Any]]:
    """The data that a preset is made for, few of them."""
    data = catalogue.methods()[method].presets[preset].data
    if data is None or data["name"] in ELSEWHERE:
        return []
    config = catalogue.datasets()[data["name"]].Config
    few = {"num": 400, "num_held_out": 200, "num_characters": 40_000, "length": 32, "side": 12}
    fields = config.model_fields
    return [{**data, **{k: min(v, fields[k].default) for k, v in few.items() if k in fields}}]


def preset_config(method: str, preset: str) -> BaseModel:
    return catalogue.resolve(RunSpec(method=method, preset=preset, data=POINTS)).config


def _small(config: BaseModel) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "batch_size": 32,
        "num_chains": 32,
        "buffer_size": 100,
        "num_steps": 3,
        "num_warm_up": 6,
        "width": 32,
        "window": 1,
        "first_steps": 2,
        "walk_steps": 3,
        "num_episodes": 8,
    }
    if getattr(config, "depth", 0) > 4:
        sizes["depth"] = 2
    if isinstance(config, ImageConfig):
        sizes = {"features": 4, "multipliers": "1", "num_blocks": 1}
    small: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name in sizes:
            small[name] = sizes[name]
        elif (
            isinstance(value, ImageConfig)
            or getattr(value, "depth", 0) > 4
            or (isinstance(field.annotation, type) and isinstance(value, BaseModel))
        ):
            small[name] = _small(value)
    return small


def weights(method: Method) -> dict[str, Tensor]:
    return method_state.collect(method)[0]


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )
