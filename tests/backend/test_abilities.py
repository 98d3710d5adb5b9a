"""Abilities: every one over trained runs, and against exact truth where there is one."""

from __future__ import annotations

import itertools
import json
import math
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
from backend.config import Config
from backend.data import Data
from backend.energies.discrete import Enumeration
from backend.energies.lattices import Ising
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Table, encode
from backend.method import Cost, Method, Preset, SampleRequest, Task
from backend.metrics import prediction
from backend.metrics.baselines import GaussianMixture, class_gaussian, class_gaussian_energy
from backend.requests import conditional_sampling
from backend.requests.asking import ask, offers
from backend.sampler import Sampler
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.spec import RunSpec
from jobs.models import method_state
from jobs.models.method_setup import prepare

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

    def class_log_probs(self, x: Tensor) -> Tensor | None:
        return self.law.log_terms(x).log_softmax(1) if self.num_labels else None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        if (
            request.labels is None
            or request.known is not None
            or request.sampler
            or request.guidance
        ):
            return None
        return class_gaussian(self.task.data, request.labels, generator)


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
        return 0.5 * ((x - self.centre) / self.sd).square().flatten(1).sum(1) + self.shift


class LeastSquares(Method):
    """x from its context by ridge regression, with a little noise: no energy at all."""

    id: ClassVar[str] = "least_squares"
    title: ClassVar[str] = "Least squares"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}
    needs: ClassVar[tuple[str, ...]] = ("context",)

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        if said := self.refusal(request):
            raise BadInput.at(*said)
        x = prediction.linear(self.task.data, request.given)
        return x + 0.1 / (1 + (request.num_steps or 0)) * torch.randn(x.shape, generator=generator)


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
    if name == "contexts":
        noisy = catalogue.resolve_data({"name": "digits_denoising", "num_copies": 2}).load()
        return Asked(LeastSquares(Config(), task_of(noisy)), noisy, 0)
    if name in ("forks", "swings", "plans"):
        data = {"forks": "forked_future", "swings": "pendulum", "plans": "reach"}[name]
        network = {"kind": "mlp", "width": 16, "depth": 1}
        spec = RunSpec(
            method="energy_world_model",
            data={"name": data, "num": 100, "num_held_out": 40},
            config={"energy": network, "num_steps": 3, "train": {"batch_size": 32}},
            seed=1,
        )
        run = prepare(spec, CPU, None)
        for index in range(4):
            run.method.step(index / 4)
        return Asked(run.method, run.data, 1)
    if name in ("table", "pair"):
        return _of_iris(name)
    if name == "sets":
        sets = {"name": "sets", "num_elements": 8, "size": 4, "num": 400, "num_held_out": 200}
        config = {"forward_looking": True, "loss": "detailed_balance"}
        run = prepare(RunSpec(method="gflownet", data=sets, config=config, seed=1), CPU, None)
        return Asked(run.method, run.data, 1)
    if name == "clusters":
        moons = {"name": "moons", "num": 400, "num_held_out": 200}
        run = prepare(RunSpec(method="gedi", data=moons, seed=1), CPU, None)
        return Asked(run.method, run.data, 1)
    if name == "spins":
        lattice = {"name": "ising", "rows": 3, "columns": 3, "num": 200, "num_held_out": 100}
        spec = RunSpec(method="marginalization", data=lattice, config={"width": 8}, seed=1)
        run = prepare(spec, CPU, None)
        run.method.step(0.0)
        return Asked(run.method, run.data, 1)
    if name == "thoughts":
        return _of_thoughts()
    if name == "text":
        text = {"name": "text", "num_characters": 3000, "length": 8}
        spec = RunSpec(method="energy_text", data=text, config={"width": 8, "num_heads": 2})
        run = prepare(spec, CPU, None)
        run.method.step(0.0)
        return Asked(run.method, run.data, 1)
    if name in ("memory", "pixels", "examples"):
        config = {
            "memory": {},
            "pixels": {"memory": "modern", "num_patterns": 20},
            "examples": {"storage": "supervised", "power": 4, "num_patterns": 5},
        }[name]
        source = {"name": "digits" if name == "pixels" else "random_patterns"}
        spec = RunSpec(method="associative_memory", data=source, config=config, seed=1)
        run = prepare(spec, CPU, None)
        return Asked(run.method, run.data, 1)
    if name == "concepts":
        attributed = {"name": "attributed", "num": 400, "num_held_out": 200}
        spec = RunSpec(method="concept_bottleneck", data=attributed, seed=1)
        run = prepare(spec, CPU, None)
        for index in range(20):
            run.method.step(index / 20)
        return Asked(run.method, run.data, 1)
    data = (
        {"name": "digits"}
        if name == "digits"
        else {"name": "ring", "num": 400, "num_held_out": 200}
    )
    config = {"train": {"batch_size": 32}, "sampler": {"kind": "langevin", "step_size": 0.004}}
    spec = RunSpec(method="contrastive_divergence", data=data, config=config, seed=1)
    run = prepare(spec, CPU, None)
    for index in range(4):
        run.method.step(index / 4)
    return Asked(run.method, run.data, 1)


def _of_thoughts() -> Asked:
    """A run that predicts by going down an energy."""
    config = {"energy": {"kind": "mlp", "width": 16, "depth": 1}, "train": {"batch_size": 16}}
    data = {"name": "digits_denoising", "num_copies": 2}
    spec = RunSpec(method="energy_transformer", data=data, config=config, seed=1)
    run = prepare(spec, CPU, None)
    for index in range(20):
        run.method.step(index / 20)
    return Asked(run.method, run.data, 1)


def _of_iris(name: str) -> Asked:
    """A run that makes rows, or one of two classifiers."""
    surrogate = {"kind": "network", "train": {"learning_rate": 0.5}}
    config: dict[str, Any] = {"surrogate": surrogate, "num_chains": 8, "num_steps": 20}
    spec = RunSpec(method="tabebm", data={"name": "iris", "num": 20}, config=config, seed=1)
    if name == "pair":
        spec = spec.model_copy(update={"method": "energy_routing", "config": {"small_rows": 8}})
    run = prepare(spec, CPU, None)
    for index in range(4):
        run.method.step(index / 4)
    return Asked(run.method, run.data, 1)


@cache
def ring() -> Data:
    return catalogue.resolve_data({"name": "ring", "num": 400, "num_held_out": 200}).load()


SMALL: dict[str, dict[str, Any]] = {
    "build": {"num": 6},
    "correct": {"num": 40},
    "concepts_by_class": {"num": 40},
    "energy": {"num": 50},
    "sample": {"num": 20, "num_steps": 2},
    "score": {"num": 50},
    "log_z": {
        "num": 50,
        "repeats": 2,
        "num_steps": 2,
        "num_components": 2,
        "ais": {"num_temperatures": 3},
    },
    "marginal": {"num": 5},
    "interpolate": {"num_points": 5, "num_steps": 2},
    "condition": {"num": 40, "num_steps": 2, "strengths": [0, 1]},
    "compose": {"num": 20, "num_steps": 2},
    "differ": {"runs": ["other"], "num": 20, "num_steps": 2},
    "inpaint": {"num": 12, "num_steps": 2},
    "detect": {"num": 30},
    "predict": {"num": 30, "num_steps": 2},
    "think": {"num": 30, "num_steps": 2, "num_candidates": 2},
    "verify": {"num": 30},
    "continue_text": {"num_characters": 4, "num_draws": 2, "num_steps": 2},
    "classify": {"num": 30},
    "cluster": {"num": 30},
    "attack": {"num": 30, "num_steps": 2},
    "counterfactual": {"num": 8, "num_steps": 3},
    "trace": {"num_steps": 3},
    "augment": {"num": 6, "baselines": False, "num_updates": 2},
    "route": {},
    "outcomes": {"num": 40, "num_steps": 2, "num_paths": 5},
    "roll_out": {"num": 10, "num_frames": 3, "num_steps": 2},
    "act": {"num": 8, "num_steps": 2, "max_plans": 2},
    "retrieve": {"num_sweeps": 1},
    "capacity": {"sizes": [8, 16], "num": 20},
    "phase": {"columns": 3, "rows": 2, "num": 8, "most_patterns": 30},
}
ONLY = {
    "build": ("sets",),
    "correct": ("concepts",),
    "concepts_by_class": ("concepts",),
    "marginal": ("spins",),
    "augment": ("table",),
    "route": ("pair",),
    "classify": ("classes",),
    "cluster": ("clusters",),
    "attack": ("classes",),
    "counterfactual": ("classes",),
    "condition": ("classes",),
    "predict": ("contexts",),
    "think": ("thoughts",),
    "verify": ("thoughts",),
    "continue_text": ("text",),
    "outcomes": ("forks", "swings", "plans"),
    "roll_out": ("swings", "forks"),
    "act": ("plans",),
    "retrieve": ("memory", "pixels"),
    "capacity": ("memory",),
    "phase": ("memory", "examples"),
}
"""Runs that an ability makes sense of, where the others are refused."""


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
        for run in ONLY.get(ability, ("points", "digits", "classes")):
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
        kinds = (
            get_args(field.annotation)
            if isinstance(field.annotation, UnionType)
            else (field.annotation,)
        )
        if {int, float} & set(kinds):
            bounds = {type(item).__name__ for item in field.metadata}
            assert bounds & {"Ge", "Gt"} and bounds & {"Le", "Lt"}, name
    main = [f for f in cls.Config.model_fields.values() if (f.json_schema_extra or {}).get("main")]  # type: ignore[union-attr]
    assert 1 <= len(main) <= 3


@pytest.mark.parametrize(("ability", "run"), list(pairs()))
def test_it_answers_by_its_seed_and_leaves_the_run_alone(ability: str, run: str) -> None:
    method = trained(run).method
    before, count = method_state.collect(method), method.gradient_evaluations
    everywhere = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    one, again = answered(run, ability), answered(run, ability)
    assert one.summary.endswith(".") and one.figures
    assert same(one, again) and one.summary == again.summary
    assert all(isinstance(value, float) for value in one.figures.values())
    for event in one.events:
        encode(event, run="r", seq=0, time=0.0, cost=Cost())
    tensors, tree = method_state.collect(method)
    assert all(torch.equal(before[0][name], value) for name, value in tensors.items())
    assert tree == before[1] and method.gradient_evaluations == count
    assert torch.equal(torch.random.get_rng_state(), everywhere[0])
    assert np.array_equal(np.random.get_state()[1], everywhere[1])  # type: ignore[arg-type]


SPECIAL: dict[tuple[str, str], Any] = {
    ("correct", "concepts"): "c1=0, 2",
    ("concepts_by_class", "given"): "c1=0",
    ("sample", "label"): "3",
    ("continue_text", "prompt"): "the cat",
    ("attack", "target"): "3",
    ("counterfactual", "target"): "3",
    ("augment", "label"): "setosa",
    ("augment", "num_splits"): 1,
    ("route", "larger_run"): "other",
    ("condition", "strengths"): [0, 2],
    ("condition", "labels"): "1, 2",
    ("compose", "labels"): "3, 5",
    ("compose", "runs"): "other",
    ("compose", "weights"): "2, 1",
    ("compose", "how"): "or",
    ("trace", "place"): "1, 0.5",
    ("marginal", "mask"): {"known": "drawn", "mask": "k4h5"},
    ("marginal", "values"): "1, 0, 1, 0, 1, 0, 1, 0, 0",
    ("inpaint", "label"): "true",
    ("inpaint", "hidden"): "random",
    ("inpaint", "mask"): {"hidden": "drawn", "mask": "k20h8k36"},
    ("inpaint", "row"): 3,
    ("detect", "sets"): "uniform, inverted",
    ("detect", "scores"): "energy",
    ("detect", "data"): "digits",
    ("log_z", "ais"): {"num_temperatures": 5},
    ("outcomes", "row"): 7,
    ("retrieve", "row"): 3,
    ("retrieve", "mask"): "k20h30k14",
    ("capacity", "sizes"): [8, 24],
    ("phase", "most"): 0.2,
    ("phase", "most_patterns"): 60,
    ("phase", "size"): 32,
    ("phase", "side"): "temperature",
}


@pytest.mark.parametrize(
    ("method", "data", "first"),
    [
        ("contrastive_divergence", "ring", "sample"),
        ("concept_bottleneck", "attributed", "classify"),
        ("joint_energy", "moons", "classify"),
        ("gedi", "moons", "cluster"),
        ("tabebm", "iris", "augment"),
        ("energy_text", "text", "continue_text"),
        ("feed_forward", "digits_denoising", "predict"),
    ],
)
def test_what_a_model_is_for_comes_first(method: str, data: str, first: str) -> None:
    made = prepare(RunSpec(method=method, data={"name": data}), CPU, None)
    offered = [
        name for name, each in offers(Asked(made.method, made.data, 0)).items() if not each.refused
    ]
    assert min(offered, key=lambda name: catalogue.abilities()[name].order) == first
    assert (
        sum(
            catalogue.abilities()[name].order == catalogue.abilities()[first].order
            for name in offered
        )
        == 1
    ), "no other place is as early"


@pytest.mark.parametrize("ability", ABILITIES)
def test_every_field_changes_something_or_is_said_to_be_idle(ability: str, tmp_path: Path) -> None:
    cls = catalogue.abilities()[ability]
    file = tmp_path / "x.npy"
    rows = trained("clusters" if ability == "cluster" else "classes").data.train[:20]
    np.save(file, rows.numpy())
    mask = tmp_path / "mask.npy"
    np.save(mask, np.eye(8))
    masked = {"hidden": "file", "mask_path": str(mask)}
    specials = SPECIAL | {(ability, "path"): str(file), (ability, "mask_path"): masked}
    # digits are too few to fit a second Gaussian to, and have no place of two coordinates
    of_points = ability in ("log_z", "trace")
    usual = "points" if of_points else ONLY.get(ability, ("classes",))[0]
    base = answered(usual, ability)
    for name in cls.Config.model_fields:
        if (ability, name) == ("differ", "runs"):
            continue  # here one run is loaded, whatever its name
        changed = _changed(cls.Config, ability, name, specials)
        config = cls.Config.model_validate(small(ability, "classes") | changed)
        if name == "time":  # chains have none
            with pytest.raises(BadInput, match="time"):
                answered("classes", ability, **changed)
        elif name == "guidance" or config.derived().get(name, "").startswith("No effect"):
            run = "points" if name == "coordinates" else usual
            awake = _awake(ability, name)
            if (ability, name) == ("verify", "row"):
                awake = {"path": str(file)}
            before = answered(run, ability, **awake)
            assert not same(before, answered(run, ability, **{**awake, **changed})), name
        else:
            assert not same(base, answered(usual, ability, **changed)), name


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


def _awake(ability: str, name: str) -> dict[str, Any]:
    """What makes a field count that is idle by default."""
    if ability == "trace" and name in ("row", "place"):
        return {"row": {"begin": "held_out"}, "place": {"begin": "place", "place": "0, 0"}}[name]
    if ability == "act":
        return {"x": -1.0}
    if (ability, name) == ("marginal", "share"):
        return {"known": "random"}
    if name == "sampler":
        return {"own_sampler": False}
    if name == "guidance":
        return {"label": "3"}
    if name in ("baselines", "num_updates"):
        return {"num_splits": 1}
    if name in ("mask_path", "mask"):
        return {}
    return {"hidden": {"share": "random"}.get(name, "coordinates")}


def test_the_energy_of_what_there_is_leads_from_nothing_to_the_event() -> None:
    answer, target = answered("sets", "build", num=40), trained("sets").data.density
    assert target is not None
    x, parts = torch.from_numpy(answer.arrays["x"]), answer.arrays["part_energy"]
    assert (x.sum(1) == 4).all() and parts.shape == (40, 5) and not parts[:, 0].any()
    energy = torch.from_numpy(answer.arrays["energy"])
    torch.testing.assert_close(energy, target(x) - target.offset)  # type: ignore[operator]
    assert np.allclose(parts[:, -1], energy, atol=1e-5)
    first, events = (event for event in answer.events if isinstance(event, Table))
    assert [row[0] for row in first.rows] == [0, 1, 2, 3, 4] and first.rows[0][1] == "{}"
    added = [set(str(row[1]).strip("{}").split(", ")) - {""} for row in first.rows]
    assert all(len(more - less) == 1 for less, more in itertools.pairwise(added))
    lowest = [float(row[1]) for row in events.rows]  # type: ignore[arg-type]
    assert lowest == sorted(lowest) and lowest[0] == pytest.approx(answer.figures["energy_lowest"])


def test_draws_of_no_energy_have_that_of_the_target_and_are_listed() -> None:
    answer, target = answered("sets", "sample", num=200, num_steps=None), trained("sets").data
    assert target.density is not None
    x = torch.from_numpy(answer.arrays["x"])
    assert np.allclose(answer.arrays["target_energy"], target.density(x), atol=1e-5)
    assert answer.figures["target_energy"] == pytest.approx(float(target.density(x).mean()), 1e-4)
    assert answer.figures["target_energy/floor"] == pytest.approx(
        float(target.density(target.held_out).mean()), abs=1e-4
    )
    (table,) = [event for event in answer.events if event.path == "likeliest"]
    assert isinstance(table, Table)
    event, count, energy = table.rows[0]
    drawn = "".join(str(int(value)) for value in x[target.density(x).argmin()])
    assert event == drawn and energy == pytest.approx(float(target.density(x).min()), abs=1e-5)
    assert count == int((x == x[target.density(x).argmin()]).all(1).sum())


def test_a_marginal_stands_beside_the_exact_one_and_the_time_of_the_chain() -> None:
    part = {"known": "drawn", "mask": "k2h7", "values": "1, 0"}
    answer = answered("spins", "marginal", **part)
    law = Enumeration(Ising(3, 3, 0.2, 0.2))
    pair = law.probabilities.reshape([2] * 9).sum(list(range(2, 9)))
    assert answer.figures["log_p/exact"] == pytest.approx(float(pair[1, 0].log()), abs=1e-6)
    assert answer.figures["log_p"] == pytest.approx(2 * math.log(0.5), abs=0.2), "untrained"
    assert answer.figures["num_known"] == 2
    rows = next(event.rows for event in answer.events if isinstance(event, Table))
    assert rows[0][0] == "M, one pass"
    assert rows[3][1] == pytest.approx(answer.figures["log_p/exact"])
    assert all(isinstance(row[2], float) and row[2] > 0 for row in rows[:3])
    with pytest.raises(BadInput, match="`values`: must be 2"):
        answered("spins", "marginal", **(part | {"values": "1"}))
    with pytest.raises(BadInput, match="from 0 to 1"):
        answered("spins", "marginal", **(part | {"values": "1, 2"}))
    with pytest.raises(BadInput, match="knows no marginals"):
        answered("points", "marginal")


def test_log_z_of_a_target_is_estimated_by_draws_that_know_their_probability() -> None:
    figures = answered("spins", "log_z", num=4000, repeats=4).figures
    exact = Enumeration(Ising(3, 3, 0.2, 0.2)).log_z
    assert figures["exact"] == pytest.approx(exact, abs=1e-5)
    assert abs(figures["log_z"] - exact) < 4 * figures["importance/spread"] + 1e-3
    assert figures["log_z"] == figures["importance"] and figures["trusted"] == 1
    # untrained, f − M is far from log Z at every event, and its mean falls short of it
    assert figures["mean_gap"] < exact - 0.3


def test_spins_are_completed_beside_places_by_themselves() -> None:
    answer = answered("spins", "inpaint", num=100, num_steps=None)
    assert answer.arrays["filled"].shape == (100, 3, 3, 3)
    known = answer.arrays["hidden"] == 0
    x, filled = answer.arrays["x"], answer.arrays["filled"]
    assert np.array_equal(filled[:, 0][:, known], x[:, known])
    figures = answer.figures
    assert 0.2 < figures["wrong"] < 0.8 and figures["wrong"] == figures["mse"]
    assert {"wrong/nearest", "wrong/independent"} <= set(figures)


def test_predictions_stand_beside_what_costs_no_training() -> None:
    answer = answered("contexts", "predict", num=540)
    figures = answer.figures
    assert figures["psnr/context"] == pytest.approx(7.95, abs=0.1)
    assert figures["psnr/mean_event"] == pytest.approx(11.31, abs=0.05)
    assert figures["psnr/linear"] > figures["psnr_mean"] > figures["psnr"] > 14
    assert "No gain over what costs no training: least squares" in answer.summary
    assert [event.path for event in answer.events] == ["given", "predicted", "true", "table"]
    assert answer.arrays["predicted"].shape == (540, 3, 8, 8)


def test_thinking_is_followed_step_by_step_and_the_least_energy_is_chosen() -> None:
    answer = answered("thoughts", "think", num=200, num_steps=3, num_candidates=4)
    figures, energies = answer.figures, answer.arrays["energy"]
    assert energies.shape == (4, 4, 200) and figures["passes"] == 4 * 3 * 2
    assert figures["psnr_oracle"] >= max(figures["psnr"], figures["psnr_candidates"])
    steps = [figures[f"psnr_{step}"] for step in range(1, 4)]
    assert figures["psnr_best"] == max(steps) and figures["gain"] == max(steps) - steps[0]
    by_step = next(event for event in answer.events if event.path == "energies")
    assert by_step.y[0, -1] == energies[:, -1, 0].min() == by_step.y[:, -1].min()  # type: ignore[attr-defined]
    rested = answered("thoughts", "think", num_steps=3, settled=1e6)
    assert rested.figures["steps_taken"] == 1
    noisier = answered("thoughts", "think", num=540, noise=1.2).figures
    assert noisier["psnr/context"] == pytest.approx(20 * math.log10(2 / 1.2), abs=0.1)
    with pytest.raises(BadInput, match="step by step"):
        ask(trained("contexts"), "think", {"num": 4}, _generator())


def test_the_truth_is_ranked_by_energy_among_wrong_answers(tmp_path: Path) -> None:
    asked = trained("thoughts")
    np.save(tmp_path / "own.npy", asked.data.held_out[5:8].numpy())
    own = answered("thoughts", "verify", path=str(tmp_path / "own.npy"), row=5)
    energies = own.arrays["energy_own"]
    assert len(energies) == 4 and energies[0] == energies[1], "the first answer is the truth"
    assert own.figures["place"] == 1 + (energies[1:] < energies[0]).sum()
    assert 0 <= own.figures["ordered"] <= own.figures["below_noisy"] <= 1
    true, other = own.arrays["energy_true"], own.arrays["energy_other"]
    assert own.figures["below_other"] == pytest.approx((true < other).mean())
    with pytest.raises(BadInput, match="no energy of an answer"):
        ask(trained("contexts"), "verify", {"num": 4}, _generator())


def test_text_is_written_on_by_what_the_run_has_learned() -> None:
    answer = answered("text", "continue_text", prompt="the cat", num_characters=3, num_draws=5)
    alphabet = trained("text").data.alphabet
    assert answer.arrays["text"].shape == answer.arrays["surprise"].shape == (5, 3)
    written = "".join(alphabet[int(value)] for value in answer.arrays["text"][0])
    assert f"“{written}” goes on from “the cat”" in answer.summary
    assert answer.figures["surprise"] == pytest.approx(answer.arrays["surprise"].mean())
    cold = answered("text", "continue_text", temperature=1e-3).figures["surprise"]
    assert cold < 0.1 < answer.figures["surprise"]
    with pytest.raises(BadInput, match="which 'Z' are not"):
        answered("text", "continue_text", prompt="Zoo")
    with pytest.raises(BadInput, match="Ask for `think`"):
        ask(trained("text"), "predict", {"num": 4}, _generator())
    thought = answered("text", "think", num=50, num_steps=2).figures
    assert thought["bits/entropy"] == trained("text").data.entropy_rate
    assert thought["bits/pairs"] < thought["bits/frequencies"] < math.log2(len(alphabet))
    assert answered("text", "verify", num=50, noise=0.5).figures["below_random"] >= 0
    [table] = [event for event in answer.events if isinstance(event, Table)]
    assert [row[0] for row in table.rows] == [
        "".join(alphabet[int(value)] for value in line) for line in answer.arrays["text"]
    ]
    np.testing.assert_allclose(table.shares, 2.0 ** -answer.arrays["surprise"], atol=0.006)


def test_what_is_known_beside_samples_is_asked_for_where_it_counts_and_nowhere_else() -> None:
    with pytest.raises(BadInput, match="not what follows from a context"):
        answered("digits", "predict")
    with pytest.raises(BadInput, match="Ask for a prediction"):
        ask(trained("contexts"), "sample", {"num": 4}, _generator())
    method = trained("contexts").method
    known = SampleRequest(3, given={"context": torch.zeros(3, 8, 8)})
    assert conditional_sampling.refusal(method, known) is None
    for given, sentence in (
        ({}, "is needed"),
        ({"context": torch.zeros(3, 8)}, r"must have shape \(3, 8, 8\), got \(3, 8\)"),
        ({"context": torch.zeros(3, 8, 8), "mask": torch.zeros(3)}, "without any"),
    ):
        with pytest.raises(BadInput, match=sentence):
            conditional_sampling.draw(method, SampleRequest(3, given=given), _generator())


# ---------------------------------------------------------------------- exact truths


def test_the_score_of_a_gaussian_is_the_pull_to_its_centre() -> None:
    data = ring()
    centre = torch.tensor([0.3, -0.2])
    answer = ask(fixed(Quadratic(centre, 0.5), data), "score", {"num": 40}, _generator())
    x = torch.from_numpy(answer.arrays["x"])
    expected = -(data.standardise(x) - centre) / 0.25 / data.scale
    assert torch.allclose(torch.from_numpy(answer.arrays["score"]), expected, atol=1e-4)


def test_steins_identity_holds_for_draws_of_the_law_itself() -> None:
    data = ring()
    draws = torch.randn((4000, 2), generator=_generator()) * 0.5
    asked = fixed(Quadratic(torch.zeros(2), 0.5), replace(data, held_out=draws))
    stein = ask(asked, "score", {"num": 4000}, _generator()).figures["stein"]
    # z·s / dim has variance 2 / dim over standard normals
    assert abs(stein - 1) < 4 * (1 / 4000) ** 0.5


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_every_estimate_of_log_z_is_near_that_of_a_gaussian(dim: int) -> None:
    draws = torch.randn((700, dim), generator=_generator())
    data = replace(
        ring(),
        train=draws[:500],
        held_out=draws[500:],
        mean=torch.zeros(dim),
        scale=torch.full((dim,), 2.0),
        noise_low=torch.full((dim,), -4.0),
        noise_high=torch.full((dim,), 4.0),
        density=None,
    )
    law = Quadratic(torch.full((dim,), 0.2), 0.8, shift=2.5)
    truth = dim * math.log(0.8 * math.sqrt(2 * math.pi)) - 2.5
    config = {
        "num": 400,
        "repeats": 4,
        "num_components": 2,
        "num_steps": 60,
        "own_sampler": False,
        "sampler": {"kind": "langevin", "step_size": 0.05},
        "ais": {"num_temperatures": 40, "step_size": 0.3},
    }
    found = ask(fixed(law, data), "log_z", config, _generator()).figures
    assert ("quadrature" in found) == (dim < 3)
    if dim < 3:
        assert found["quadrature"] == pytest.approx(truth, abs=1e-3)
    for name in ("importance", "ais"):
        assert found[name] == pytest.approx(truth, abs=4 * found[f"{name}/spread"] + 0.02)
        assert found[f"{name}/spread"] < 0.3
    # the run's chains start the reverse, so it is as good as they are
    assert found["reverse_ais"] == pytest.approx(truth, abs=0.5)
    assert found["trusted"] == 1
    exact = float(law(data.held_out).double().mean()) + truth + dim * math.log(2)
    assert found["nll"] == pytest.approx(exact, abs=0.1)
    entropy = dim * (0.5 * math.log(2 * math.pi * math.e) + math.log(2))
    assert found["nll/gaussian"] == pytest.approx(entropy, abs=0.15 * math.sqrt(dim))
    assert found["nll/gaussian"] < found["nll"]


def test_held_out_images_carry_noise_where_their_nats_are_asked() -> None:
    data = trained("classes").data
    dim, sd, noise_sd = data.event_shape.numel(), 0.7, 0.03
    law = Quadratic(torch.zeros(data.event_shape), sd)
    config = {"num": 20_000, "repeats": 2, "annealing": False}
    answer = ask(fixed(law, data), "log_z", config, _generator())
    noised = data.noised(data.held_out, noise_sd, _generator())
    log_z = dim * math.log(sd * math.sqrt(2 * math.pi))
    exact = float(law(noised).double().mean()) + log_z
    # what importance sampling has not seen is missing from log Z, and from the cost of the data
    missing = answer.figures["importance"] - log_z
    assert answer.figures["nll"] == pytest.approx(exact + missing, abs=0.05)
    assert f"held-out images with noise of {noise_sd:g} data sd on them" in answer.summary
    assert answer.figures["nll/gaussian"] < exact
    assert [event.path for event in answer.events] == ["table", "likelihood"]


def test_an_energy_that_does_not_fall_off_has_no_log_z_to_trust() -> None:
    answer = ask(
        fixed(Quadratic(torch.zeros(2), 1e6), ring()),
        "log_z",
        {"num": 50, "annealing": False},
        _generator(),
    )
    assert answer.figures["trusted"] == 0 and "no log Z" in answer.summary


class Bent(Energy):
    """Two wells at (±1, 0) and a bent valley between them, 3 nats high at its top, (0, 1)."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        across, up = x[:, 0].square(), x[:, 1]
        return 3 * (across - 1).square() + 20 * (up - (1 - across)).square()


def test_a_path_relaxes_over_the_pass_and_the_straight_line_climbs() -> None:
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    asked = fixed(Bent(), replace(ring(), held_out=ends))
    found = ask(asked, "interpolate", {"num_points": 41}, _generator()).figures
    assert found["barrier/straight"] == pytest.approx(23)
    assert found["barrier"] == pytest.approx(3, abs=0.1)
    assert found["length"] > found["length/straight"] == pytest.approx(2)


def test_two_gaussians_multiply_in_the_users_units() -> None:
    data = ring()
    one = fixed(Quadratic(torch.zeros(2), 1.0), data)
    # the other's z is half of this one's, and off by one sd: in this run's z it is N(1, 1)
    shifted = replace(data, mean=data.mean + data.scale, scale=data.scale / 2)
    other = fixed(Quadratic(torch.zeros(2), 2.0), shifted)
    config = {
        "runs": "b",
        "num": 2000,
        "num_steps": 60,
        "own_sampler": False,
        "sampler": {"kind": "mala", "step_size": 0.4},
    }
    asked = replace(one, load=lambda _: other)
    for how, weights, centre, variance in (
        ("and", "1, 1", 0.5, 0.5),
        ("a and not b", "2, 1", -1.0, 1.0),
    ):
        answer = ask(asked, "compose", config | {"how": how, "weights": weights}, _generator())
        z = data.standardise(torch.from_numpy(answer.arrays["x"]))
        error = (variance / 2000) ** 0.5
        assert torch.allclose(z.mean(0), torch.full((2,), centre), atol=5 * error)
        assert torch.allclose(z.var(0), torch.full((2,), variance), atol=0.15 * variance)


def test_or_is_the_mixture_of_the_normalised_laws() -> None:
    data = ring()
    asked = fixed(Quadratic(torch.zeros(2), 0.5, shift=7.0), data)
    asked = replace(asked, load=lambda _: fixed(Quadratic(torch.ones(2), 1.0, shift=-4.0), data))
    config = {"runs": "b", "how": "or", "weights": "3, 1", "num": 50, "num_steps": 20}
    answer = ask(asked, "compose", config, _generator())
    z = data.standardise(torch.from_numpy(answer.arrays["x"])).double()
    logs = [
        math.log(share) - 0.5 * ((z - centre) / sd).square().sum(1) - math.log(2 * math.pi * sd**2)
        for share, centre, sd in ((0.75, 0.0, 0.5), (0.25, 1.0, 1.0))
    ]
    expected = -torch.stack(logs).logsumexp(0)
    assert torch.allclose(torch.from_numpy(answer.arrays["energy"]).double(), expected, atol=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": torch.full((2,), 1e4)}, "apart"),
        ({"train": torch.zeros((5, 3))}, "shape"),
        ({"num_values": 2}, "whole"),
        ({"image_range": (0.0, 1.0)}, "blacks"),
    ],
)
def test_runs_of_other_things_are_not_composed(changes: dict[str, Any], said: str) -> None:
    one = fixed(Quadratic(torch.zeros(2), 1.0), ring())
    other = replace(one, data=replace(ring(), **changes))
    with pytest.raises(BadInput, match=said):
        ask(replace(one, load=lambda _: other), "compose", {"runs": "b"}, _generator())


def correlated() -> tuple[Data, Energy]:
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    root = torch.linalg.cholesky(covariance)
    draws = torch.randn((4000, 2), generator=_generator()) @ root.T
    law = GaussianMixture(torch.zeros((1, 2)), covariance[None], torch.ones(1))
    data = replace(ring(), train=draws[:3000], held_out=draws[3000:])
    return data, law


def test_a_hidden_coordinate_is_drawn_from_its_conditional_law() -> None:
    data, law = correlated()
    config = {
        "hidden": "coordinates",
        "coordinates": "1",
        "num": 500,
        "num_steps": 100,
        "own_sampler": False,
        "sampler": {"kind": "mala", "step_size": 0.2},
    }
    answer = ask(fixed(law, data), "inpaint", config, _generator())
    # the conditional variance is 0.36: once for the draw, once for the truth
    figures = answer.figures
    assert figures["mse"] == pytest.approx(0.72, abs=0.15)
    assert figures["mse_mean"] == pytest.approx(0.36 * 4 / 3, abs=0.1)
    assert figures["mse/gaussian"] == pytest.approx(0.72, abs=0.15)
    assert figures["mse_mean/gaussian"] == pytest.approx(0.36, abs=0.08)
    assert "No gain" in answer.summary
    known = answer.arrays["x"][:, None, 0].repeat(3, 1)
    assert np.allclose(answer.arrays["filled"][:, :, 0], known, atol=1e-5)


def test_what_is_drawn_is_hidden_as_a_named_part_is() -> None:
    named = answered("digits", "inpaint", hidden="left")
    assert same(named, answered("digits", "inpaint", hidden="drawn", mask="h4k4" * 8))


def test_one_event_is_filled_in_many_times_with_an_energy_each() -> None:
    answer = answered("digits", "inpaint", hidden="drawn", mask="k20h8k36", row=3, num=6)
    held_out = trained("digits").data.held_out[3]
    shapes = {
        event.path: event.pixels.shape[0] for event in answer.events if event.kind == "images"
    }
    assert shapes == {"known": 1, "filled": 6, "whole": 1}
    whole, hidden = answer.arrays["x"], answer.arrays["hidden"]
    assert np.allclose(whole, trained("digits").data.restore(held_out)[None], atol=1e-5)
    assert hidden.sum() == 8 and len(np.unique(answer.arrays["filled"][:, 0, hidden], axis=0)) == 6
    assert np.allclose(answer.arrays["filled"][..., ~hidden], whole[:, None, ~hidden], atol=1e-5)
    assert "frechet_features" not in answer.figures  # no distance of laws from one event


def test_a_run_that_is_the_gaussian_detects_as_the_gaussian_does() -> None:
    data, law = correlated()
    found = ask(fixed(law, data), "detect", {"num": 1000}, _generator())
    figures = found.figures
    assert figures["uniform/energy"] == pytest.approx(figures["uniform/gaussian"], abs=0.005)
    # by quadrature of χ²: shuffled coordinates have variance 1 along axes of 1.8 and 0.2
    assert 0.6 < figures["shuffled/energy"] < 0.85
    assert "does as well on uniform" in found.summary
    [energies] = [event for event in found.events if event.path == "energies"]
    assert list(energies.names) == ["train", "held_out", "uniform", "shuffled"]  # type: ignore[union-attr]


def test_classes_are_drawn_as_asked_beside_one_gaussian_a_class() -> None:
    answer = ask(trained("classes"), "condition", {"num": 200, "strengths": 0}, _generator())
    found = answer.figures
    assert found["label_accuracy/class_gaussian"] > 0.95 < found["label_accuracy/floor"]
    for name, tolerance in (("label_accuracy", 0.05), ("label_spread", 0.02)):
        own, beside = found[f"{name}/guidance_0"], found[f"{name}/class_gaussian"]
        assert own == pytest.approx(beside, abs=tolerance)
    assert answer.arrays["label"].tolist() == [*range(10)] * 20


def test_guidance_samples_the_power_of_the_class_it_says() -> None:
    """Of two classes N(∓1, 0.6²): E₁ + w (E₁ − E), against quadrature."""
    centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    labels = torch.arange(400) % 2
    draws = centres[labels] + 0.6 * torch.randn((400, 2), generator=_generator())
    data = replace(ring(), train=draws, labels=labels)
    method = ClassGaussians(Config(), task_of(data))
    method.law = GaussianMixture(centres, 0.36 * torch.eye(2).expand(2, 2, 2), torch.ones(2) / 2)
    x = torch.linspace(-4, 6, 2001)[:, None] * torch.tensor([1.0, 0.0])
    guided = 3 * method.conditional_energy(1)(x) - 2 * method.energy()(x)
    mass = (-guided).double().softmax(0)
    mean = float(mass @ x[:, 0].double())
    spread = float(mass @ (x[:, 0].double() - mean).square()) ** 0.5
    asked = Asked(method, data, 0)
    config = {
        "num": 1000,
        "label": "1",
        "guidance": 2,
        "num_steps": 100,
        "own_sampler": False,
        "sampler": {"kind": "mala", "step_size": 0.1},
    }
    answer = ask(asked, "sample", config, _generator())
    z = data.standardise(torch.from_numpy(answer.arrays["x"]))
    assert float(z[:, 0].mean()) == pytest.approx(mean, abs=5 * spread / 1000**0.5)
    assert float(z[:, 0].std()) == pytest.approx(spread, rel=0.15)


class Broken(Energy):
    """Infinite left of the middle."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return torch.where(x[:, 0] < 0, torch.inf, x.square().sum(1))


@pytest.mark.parametrize("ability", ["energy", "log_z", "interpolate", "sample", "detect"])
def test_energies_that_are_not_finite_leave_tables_that_json_can_hold(ability: str) -> None:
    answer = ask(fixed(Broken(), ring()), ability, SMALL[ability], _generator())
    for event in answer.events:
        if isinstance(event, Table):
            json.dumps(event.rows, allow_nan=False)


# ---------------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("run", "ability", "config", "field"),
    [
        ("points", "sample", {"label": "1"}, "label"),
        ("points", "sample", {"guidance": 1}, "guidance"),
        ("points", "sample", {"own_sampler": False, "sampler": {"kind": "gibbs"}}, "sampler.kind"),
        ("points", "condition", {}, "labels"),
        ("points", "compose", {"runs": "", "labels": ""}, "runs"),
        ("points", "differ", {"runs": ""}, "runs"),
        ("points", "differ", {"runs": "b, c"}, "runs"),
        ("points", "compose", {"weights": "1, 1, 1"}, "weights"),
        ("points", "compose", {"weights": "1, -1"}, "weights"),
        ("points", "compose", {"how": "or", "weights": "0, 0"}, "weights"),
        ("points", "compose", {"how": "a and not b", "weights": "1, 1.5"}, "weights"),
        ("points", "compose", {"how": "a"}, "how"),
        ("points", "compose", {"how": "a and 0.5 b"}, "how"),
        ("points", "compose", {"how": "a or not b"}, "how"),
        ("points", "compose", {"how": "not a and not b"}, "how"),
        ("points", "trace", {"begin": "held_out", "row": 200}, "row"),
        ("points", "trace", {"begin": "place", "place": "1"}, "place"),
        ("points", "trace", {"own_sampler": False, "sampler": {"kind": "svgd"}}, "sampler.kind"),
        ("points", "trace", {"own_sampler": False, "sampler": {"kind": "ais"}}, "sampler.kind"),
        ("digits", "trace", {"begin": "place"}, "begin"),
        ("points", "inpaint", {"hidden": "lower"}, "hidden"),
        ("points", "inpaint", {"coordinates": "7"}, "coordinates"),
        ("points", "inpaint", {"coordinates": "0, 1"}, "coordinates"),
        ("points", "inpaint", {"label": "true"}, "label"),
        ("digits", "inpaint", {"hidden": "coordinates"}, "hidden"),
        ("digits", "inpaint", {"hidden": "file"}, "mask_path"),
        ("digits", "inpaint", {"hidden": "drawn"}, "mask"),
        ("digits", "inpaint", {"hidden": "drawn", "mask": "k20h8"}, "mask"),
        ("digits", "inpaint", {"hidden": "drawn", "mask": "k64"}, "mask"),
        ("digits", "inpaint", {"hidden": "drawn", "mask": "h99999999999"}, "mask"),
        ("digits", "inpaint", {"row": 9_999_999}, "row"),
        ("points", "detect", {"sets": "rot180"}, "sets"),
        ("points", "detect", {"data": "digits"}, "data"),
        ("points", "detect", {"scores": "class_log_sum"}, "scores"),
        ("classes", "sample", {"label": "eleven"}, "label"),
        ("points", "interpolate", {"first": 1}, "second"),
        ("points", "interpolate", {"first": 10_000}, "first"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    run: str, ability: str, config: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInput) as caught:
        answered(run, ability, **config)
    assert caught.value.problems[0].field == field
    assert all(problem.message.endswith(".") for problem in caught.value.problems)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# ---------------------------------------------------------------------- cluster


def test_clusters_are_those_of_the_run_and_only_of_runs_that_make_some(tmp_path: Path) -> None:
    asked = trained("clusters")
    told = answered("clusters", "cluster", num=200)
    log_probs = asked.method.cluster_log_probs(asked.data.held_out)
    assert log_probs is not None
    assert np.array_equal(told.arrays["cluster"], log_probs.argmax(1).numpy())
    shares = [told.figures["share/0"], told.figures["share/1"]]
    assert shares == pytest.approx(log_probs.detach().exp().mean(0).tolist(), abs=1e-6)
    assert {"nmi", "ari", "matched_accuracy"} <= told.figures.keys()
    assert {event.path for event in told.events} >= {"clusters/map", "landscape", "clusters/shares"}
    np.save(tmp_path / "two.npy", np.array([[0.0, 1.0], [50.0, 50.0]], np.float32))
    few = answered("clusters", "cluster", path=str(tmp_path / "two.npy"))
    assert len(few.arrays["cluster"]) == 2 and "nmi" not in few.figures
    assert few.arrays["energy"][1] > few.arrays["energy"][0] + 100
    with pytest.raises(BadInput, match="makes no clusters"):
        answered("classes", "cluster", num=30)
