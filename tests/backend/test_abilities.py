"""Abilities: every one over trained runs, and against exact truth where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import Tensor

from backend import catalogue
from backend.ability import Answer, Asked
from backend.asking import ask
from backend.config import Config
from backend.data import Data
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import encode
from backend.method import Cost, Method, Preset, Task, Wish
from backend.metrics.baselines import GaussianMixture, class_gaussian, class_gaussian_energy
from backend.sampler import Sampler
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.spec import RunSpec
from jobs import state
from jobs.prepare import prepare

ABILITIES = sorted(catalogue.abilities())
CPU = torch.device("cpu")


class ClassGaussians(Method):
    """One Gaussian a class, fitted in closed form: its energies are normalised, its draws exact."""

    id: ClassVar[str] = "class_gaussians"
    title: ClassVar[str] = "Class Gaussians"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.law = class_gaussian_energy(task.data)

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError

    def energy(self) -> Energy:
        return self.law

    def sampler(self) -> Sampler:
        return Langevin(LangevinConfig(step_size=0.001))

    def conditional_energy(self, label: int) -> Energy:
        return Part(self.law, label)

    def draw(self, wish: Wish, generator: torch.Generator) -> Tensor:
        if wish.labels is None or wish.known is not None or wish.sampler or wish.guidance:
            return super().draw(wish, generator)
        return class_gaussian(self.task.data, wish.labels, generator)


class Part(Energy):
    def __init__(self, law: GaussianMixture, label: int) -> None:
        super().__init__()
        self.law, self.label = law, label

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return -self.law.log_terms(x)[:, self.label]


class Fixed(ClassGaussians):
    """A method of one energy and no classes."""

    title: ClassVar[str] = "Fixed"

    def __init__(self, config: Any, task: Task, law: Energy) -> None:
        Method.__init__(self, config, task)
        self.law = law

    @property
    def num_labels(self) -> int:
        return 0

    draw = Method.draw


class Quadratic(Energy):
    """½ Σ (z − centre)² / sd² + shift."""

    def __init__(self, centre: Tensor, sd: float, shift: float = 0.0) -> None:
        super().__init__()
        self.centre, self.sd, self.shift = centre, sd, shift

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * ((x - self.centre) / self.sd).square().sum(1) + self.shift


def task_of(data: Data) -> Task:
    return Task(data, CPU, torch.Generator().manual_seed(0))


def fixed(law: Energy, data: Data) -> Asked:
    return Asked(Fixed(Config(), task_of(data), law), data, 0)


@cache
def trained(name: str) -> Asked:
    """A quickly trained run of one kind of data."""
    torch.set_num_threads(1)
    if name == "classes":
        digits = catalogue.resolve_data({"name": "digits"}).load()
        return Asked(ClassGaussians(Config(), task_of(digits)), digits, 0)
    data = {"name": "digits"} if name == "digits" else {"name": "ring", "num": 400,
                                                        "num_held_out": 200}  # fmt: skip
    config = {"train": {"batch_size": 32}, "sampler": {"kind": "langevin"}}
    spec = RunSpec(method="contrastive_divergence", data=data, config=config, seed=1)
    run = prepare(spec, CPU, None)
    for index in range(4):
        run.method.step(index / 4)
    return Asked(run.method, run.data, 1)


@cache
def ring() -> Data:
    return catalogue.resolve_data({"name": "ring", "num": 400, "num_held_out": 200}).load()


SMALL: dict[str, dict[str, Any]] = {
    "energy": {"num": 50},
    "sample": {"num": 20, "num_steps": 2},
    "score": {"num": 50},
    "log_z": {"num": 50, "repeats": 2, "num_steps": 2, "num_components": 2,
              "ais": {"num_temperatures": 3}},
    "interpolate": {"num_points": 5, "num_steps": 2},
    "condition": {"num": 40, "num_steps": 2, "strengths": [0, 1]},
    "compose": {"num": 20, "num_steps": 2},
    "inpaint": {"num": 12, "num_steps": 2},
    "detect": {"num": 30},
}  # fmt: skip


def small(ability: str, run: str) -> dict[str, Any]:
    config = dict(SMALL[ability])
    if ability == "compose":
        config |= {"labels": ["3", "8"]} if run == "classes" else {"runs": ["other"]}
    if ability == "inpaint" and run == "points":
        config["hidden"] = "coordinates"
    return config


def answered(run: str, ability: str, seed: int = 0, **config: Any) -> Answer:
    asked = replace(trained(run), load=lambda _: trained(run))
    generator = torch.Generator().manual_seed(seed)
    return ask(asked, ability, small(ability, run) | config, generator)


def pairs() -> Iterator[tuple[str, str]]:
    for ability in ABILITIES:
        for run in ("points", "digits", "classes"):
            if ability != "condition" or run == "classes":
                yield ability, run


def same(one: Answer, other: Answer) -> bool:
    return (
        one.figures.keys() == other.figures.keys()
        and one.arrays.keys() == other.arrays.keys()
        and np.array_equal(list(one.figures.values()), list(other.figures.values()), equal_nan=True)
        and all(np.array_equal(array, other.arrays[name]) for name, array in one.arrays.items())
    )


# ---------------------------------------------------------------------- every ability


@pytest.mark.parametrize("ability", ABILITIES)
def test_it_says_what_it_is_and_every_field_has_a_sentence_and_bounds(ability: str) -> None:
    cls = catalogue.abilities()[ability]
    assert cls.title and cls.summary.endswith(".") and cls.__doc__
    for name, field in cls.Config.model_fields.items():
        assert field.description and field.description.endswith("."), name
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (
            field.annotation,)  # fmt: skip
        if {int, float} & set(kinds):
            bounds = {type(item).__name__ for item in field.metadata}
            assert bounds & {"Ge", "Gt"} and bounds & {"Le", "Lt"}, name
    main = [f for f in cls.Config.model_fields.values() if (f.json_schema_extra or {}).get("main")]  # type: ignore[union-attr]
    assert 1 <= len(main) <= 8


@pytest.mark.parametrize(("ability", "run"), list(pairs()))
def test_it_answers_by_its_seed_and_leaves_the_run_alone(ability: str, run: str) -> None:
    method = trained(run).method
    before, count = state.collect(method), method.gradient_evaluations
    everywhere = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    one, again = answered(run, ability), answered(run, ability)
    assert one.summary.endswith(".") and one.figures
    assert same(one, again) and one.summary == again.summary
    assert all(isinstance(value, float) for value in one.figures.values())
    for event in one.events:
        encode(event, run="r", seq=0, time=0.0, cost=Cost())
    tensors, tree = state.collect(method)
    assert all(torch.equal(before[0][name], value) for name, value in tensors.items())
    assert tree == before[1] and method.gradient_evaluations == count
    assert torch.equal(torch.random.get_rng_state(), everywhere[0])
    assert np.array_equal(np.random.get_state()[1], everywhere[1])  # type: ignore[arg-type]


SPECIAL: dict[tuple[str, str], Any] = {
    ("sample", "label"): "3",
    ("condition", "strengths"): [0, 2],
    ("condition", "labels"): "1, 2",
    ("compose", "labels"): "3, 5",
    ("compose", "runs"): "other",
    ("compose", "weights"): "2, 1",
    ("inpaint", "label"): "true",
    ("inpaint", "hidden"): "random",
    ("detect", "sets"): "uniform, inverted",
    ("detect", "scores"): "energy",
    ("detect", "data"): "digits",
    ("log_z", "ais"): {"num_temperatures": 5},
}


@pytest.mark.parametrize("ability", ABILITIES)
def test_every_field_changes_something_or_is_said_to_be_idle(ability: str, tmp_path: Path) -> None:
    cls = catalogue.abilities()[ability]
    file = tmp_path / "x.npy"
    digits = trained("classes").data
    np.save(file, digits.train[:20].numpy())
    mask = tmp_path / "mask.npy"
    np.save(mask, np.eye(8))
    masked = {"hidden": "file", "mask_path": str(mask)}
    specials = SPECIAL | {(ability, "path"): str(file), (ability, "mask_path"): masked}
    base = answered("classes", ability)
    for name in cls.Config.model_fields:
        changed = _changed(cls.Config, ability, name, specials)
        config = cls.Config.model_validate(small(ability, "classes") | changed)
        if name == "time":  # chains have none
            with pytest.raises(BadInput, match="time"):
                answered("classes", ability, **changed)
        elif name == "guidance" or config.derived().get(name, "").startswith("No effect"):
            run = "points" if name == "coordinates" else "classes"
            awake = _awake(name)
            before = answered(run, ability, **awake)
            assert not same(before, answered(run, ability, **{**awake, **changed})), name
        else:
            assert not same(base, answered("classes", ability, **changed)), name


def _changed(
    cls: type[BaseModel], ability: str, name: str, specials: dict[tuple[str, str], Any]
) -> dict[str, Any]:
    special = specials.get((ability, name))
    if special is not None:
        return special if isinstance(special, dict) and name in special else {name: special}
    if name == "sampler":
        return {"sampler": {"kind": "mala"}}
    field = cls.model_fields[name]
    value = small(ability, "classes").get(name, field.default)
    if isinstance(value, bool):
        return {name: not value}
    if get_origin(field.annotation) is Literal:
        return {name: next(item for item in get_args(field.annotation) if item != value)}
    if isinstance(value, int):
        return {name: value + 3}
    return {name: 0.25 if value is None or isinstance(value, float) else ["1"]}


def _awake(name: str) -> dict[str, Any]:
    """What makes a field count that is idle by default."""
    if name == "sampler":
        return {"own_sampler": False}
    if name == "guidance":
        return {"label": "3"}
    if name == "mask_path":
        return {}
    return {"hidden": {"share": "random"}.get(name, "coordinates")}
