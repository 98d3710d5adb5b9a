"""What every method, sampler, network and data set keeps, walked over all that is discovered."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from torch import Tensor

from backend import catalogue, samplers
from backend.config import Config, turnable
from backend.data import Data
from backend.energies import build_network
from backend.energies.closed_form import Gaussian
from backend.energies.discrete import enumerate_states, state_index
from backend.energies.images import ImageConfig
from backend.energies.lattices import Ising
from backend.energy import Energy, energy_and_gradient
from backend.errors import BadInput, NotAvailable
from backend.events import Cost, Scalar, decode, encode, unpack
from backend.method import Method, SampleRequest, Task
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.requests import conditional_sampling, fitting
from backend.requests.predicting import PredictingMethod, think
from backend.spec import RunSpec
from backend.system import discovery
from jobs.models import method_state
from jobs.models.method_setup import Prepared, prepare
from jobs.records import run_store

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
MEASURED = (
    "attributed",
    "ball_frames",
    "binary_digits",
    "bouncing_balls",
    "breast_cancer",
    "digit_sums",
    "digits",
    "digits_denoising",
    "forked_future",
    "iris",
    "pendulum",
    "random_patterns",
    "reach",
    "shapes_denoising",
    "text",
    "wine",
)
"""Data sets of measurements, or of what follows a context: the density of x is not known."""
PROGRESS = (0.0, 0.35, 0.7, 0.95)
SHORT: dict[str, dict[str, Any]] = {"nuts": {"max_depth": 4}}
"""Fields that keep a sampler's step short at any step size."""

METHODS = sorted(catalogue.methods())
PRESETS = [(m, preset) for m, cls in catalogue.methods().items() for preset in cls.presets]
QUICK = [
    (m, preset) for m, preset in PRESETS if not catalogue.methods()[m].presets[preset].wants_gpu
]
"""Those that learn something on a CPU; of the others the first steps are taken alone."""
ONE_EACH = [
    pytest.param(m, preset, marks=[] if preset == "default" else [pytest.mark.slow])
    for m, preset in QUICK
]
"""The same: the code is the method's own, so one preset tells of it; the others are slow."""
OF_ENERGIES = [each for each in ONE_EACH if catalogue.methods()[str(each.values[0])].has_energy]


def fitting_spec(method: str, preset: str = "default", **fields: Any) -> RunSpec | None:
    """A preset on data that it fits, its batches small so that a step is quick; None without."""
    config = catalogue.merge(_small(_preset(method, preset)), fields)
    for data in (*_own_data(method, preset), POINTS, IMAGES, SPINS):
        spec = RunSpec(method=method, preset=preset, data=data, config=config, seed=1)
        resolved = catalogue.resolve(spec)
        if not fitting.problems(resolved.method, resolved.config, resolved.dataset.load()):
            return spec
    return None


def prepared(method: str, preset: str = "default", **fields: Any) -> Prepared:
    """The same set up."""
    spec = fitting_spec(method, preset, **fields)
    assert spec is not None, f"{method}, {preset} fits none of the data tried"
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


def _preset(method: str, preset: str) -> BaseModel:
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
    }
    if getattr(config, "depth", 0) > 4:
        sizes["depth"] = 2
    if isinstance(config, ImageConfig):
        sizes = {"features": 4, "multipliers": "1", "num_blocks": 1}
    found: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name in sizes:
            found[name] = sizes[name]
        elif (
            isinstance(value, ImageConfig)
            or getattr(value, "depth", 0) > 4
            or (isinstance(field.annotation, type) and isinstance(value, BaseModel))
        ):
            found[name] = _small(value)
    return found


def weights(method: Method) -> dict[str, Tensor]:
    return method_state.collect(method)[0]


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


# ---------------------------------------------------------------------- settings


def configs() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, method in catalogue.methods().items():
        yield name, method.Config
    parts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("sampler", catalogue.samplers()),
        ("network", catalogue.networks()),
        ("distribution", catalogue.distributions()),
        ("data", dict(catalogue.datasets())),
    )
    for kind, found in parts:
        for name, part in found.items():
            yield f"{kind} {name}", part.Config


@pytest.mark.parametrize(("name", "config"), list(configs()), ids=lambda value: str(value)[:40])
def test_every_field_says_what_it_is_and_has_bounds(name: str, config: type[BaseModel]) -> None:
    for field_name, field in config.model_fields.items():
        if field_name == "kind":
            continue
        assert field.description, f"{name}.{field_name} has no sentence"
        assert field.description.rstrip().endswith((".", "…")), f"{name}.{field_name}"
        if field.annotation in (int, float):
            bounds = {type(item).__name__ for item in field.metadata}
            assert bounds & {"Ge", "Gt"}, f"{name}.{field_name} has no least value"
            assert bounds & {"Le", "Lt"}, f"{name}.{field_name} has no greatest value"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_is(method: str) -> None:
    cls = catalogue.methods()[method]
    assert "default" in cls.presets
    assert cls.title and cls.summary.endswith(".") and cls.references
    for preset in cls.presets.values():
        assert preset.summary.endswith(".")
        if preset.data is not None:
            catalogue.resolve_data(preset.data)
        assert not preset.budget.is_empty()


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_a_preset_keeps_what_it_does_not_name_of_training(method: str, preset: str) -> None:
    cls = catalogue.methods()[method]
    named = cls.presets[preset].config.get("train", {})
    own, given = (
        config.model_dump().get("train", {})
        for config in (cls.Config(), catalogue.configured(cls, preset))
    )
    assert {**given, **named} == given
    assert {key: given[key] for key in own if key not in named} == {
        key: own[key] for key in own if key not in named
    }


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_a_form_shows_at_most_eight_fields_unfolded(method: str, preset: str) -> None:
    def count(config: BaseModel) -> int:
        total = 0
        for name, field in type(config).model_fields.items():
            value = getattr(config, name)
            if isinstance(value, BaseModel):
                total += count(value)
            else:
                total += bool((field.json_schema_extra or {}).get("main"))  # type: ignore[union-attr]
        return total

    assert 1 <= count(prepared(method, preset).config) <= 8


# ---------------------------------------------------------------------- methods


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_steps_return_the_same_finite_scalars_on_the_device(method: str, preset: str) -> None:
    run = prepared(method, preset)
    before = torch.random.get_rng_state()
    paths = None
    for progress in PROGRESS:
        paid = run.method.gradient_evaluations
        metrics = run.method.advance(progress)
        assert paths in (None, list(metrics)), "paths change from step to step"
        paths = list(metrics)
        for path, value in metrics.items():
            assert value.dim() == 0 and not value.requires_grad, path
            # draws of a warm-up are no results
            counts = not (path.startswith("error/") and getattr(run.method, "warming_up", False))
            assert bool(value.isfinite()) == counts, path
        assert (run.method.gradient_evaluations > paid) == run.method.follows_gradient
    if run.method.trains:
        assert paths and {"loss/total", "optimiser/gradient_norm"} <= set(paths)
    assert torch.equal(before, torch.random.get_rng_state()), "global randomness was drawn"


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_the_same_seed_gives_the_same_numbers(method: str, preset: str) -> None:
    runs = [prepared(method, preset) for _ in range(2)]
    for run in runs:
        for progress in PROGRESS:
            run.method.advance(progress)
    assert same(weights(runs[0].method), weights(runs[1].method))


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_saved_and_restored_it_goes_on_to_the_same_numbers(
    method: str, preset: str, basin_home: Path
) -> None:
    whole = prepared(method, preset)
    directory = run_store.create_run(whole.spec)
    for progress in PROGRESS[:2]:
        whole.method.advance(progress)
    tensors, tree = method_state.collect(whole.method)
    directory.save_checkpoint(2, tensors, {"method": method, "state": tree})

    resumed = prepared(method, preset)
    found = directory.load_checkpoint()
    method_state.restore(resumed.method, found.tensors, found.meta["state"], CPU)
    for progress in PROGRESS[2:]:
        expected = whole.method.advance(progress)
        got = resumed.method.advance(progress)
        assert {p: float(v) for p, v in got.items()} == {p: float(v) for p, v in expected.items()}
    assert same(weights(resumed.method), weights(whole.method))


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_watching_changes_nothing(method: str, preset: str) -> None:
    watched, alone = prepared(method, preset), prepared(method, preset)
    eyes = Observation(watched.method, watched.data, seed=1, sizes=SMALL)
    eyes.begin()
    for step, progress in enumerate(PROGRESS):
        watched.method.advance(progress)
        alone.method.advance(progress)
        eyes.watch(step)
        eyes.measure(step)
    eyes.evaluate(len(PROGRESS))
    assert same(weights(watched.method), weights(alone.method))
    assert watched.method.gradient_evaluations == alone.method.gradient_evaluations


@pytest.mark.parametrize(("method", "preset"), ONE_EACH)
def test_every_event_survives_the_wire(method: str, preset: str) -> None:
    run = prepared(method, preset)
    for progress in (0.1 * index for index in range(10)):  # enough draws to be diagnosed
        run.method.advance(progress)
    eyes = Observation(run.method, run.data, seed=1, sizes=SMALL)
    events = [*eyes.begin(), *eyes.watch(1), *eyes.measure(1), *eyes.evaluate(2)[1]]
    kinds = {"scalar"} | ({"histogram", "table"} if run.method.has_energy else set())
    assert kinds <= {event.kind for event in events}
    for event in events:
        frame = unpack(encode(event, run="r", seq=1, time=0.0, cost=Cost(1, 1, 0.1, None)))
        if isinstance(event, Scalar):  # on the wire a block of one row
            assert frame.header["meta"]["paths"] == [event.path]
            assert frame.arrays["values"].tolist() == [[pytest.approx(event.value)]]
            continue
        again = decode(frame)
        assert type(again) is type(event)
        assert again.path == event.path


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_an_energy_says_so_and_draws_by_itself(method: str) -> None:
    run = prepared(method)
    if run.method.has_energy:
        assert run.method.energy() is not None
        return
    with pytest.raises(NotAvailable, match=r"\.$"):
        run.method.energy()
    if not run.method.draws:
        with pytest.raises(BadInput, match=r"\.$"):
            conditional_sampling.draw(run.method, SampleRequest(5), generator_of("draws", 0))
        assert run.method.class_log_probs(run.data.held_out[:5]) is not None
    elif not run.method.needs:
        z = conditional_sampling.draw(
            run.method, SampleRequest(5), generator_of("draws", 0)
        ).position
        assert z.shape == (5, *run.data.event_shape)


@pytest.mark.parametrize(("method", "preset"), OF_ENERGIES)
def test_data_get_lower_energy_than_noise(method: str, preset: str) -> None:
    run = prepared(method, preset)
    num_steps = 200 if run.method.trains else 1
    for step in range(num_steps):
        run.method.advance(step / num_steps)
    noise = run.data.noise(200, generator_of("noise", 0))
    energy = run.method.energy()
    with torch.no_grad():
        assert energy(run.data.held_out[:200]).mean() < energy(noise).mean()


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_fit_the_data_is_said_before_set_up(method: str) -> None:
    networks = catalogue.networks()
    if "energy" not in catalogue.methods()[method].Config.model_fields:
        pytest.skip("takes no network")
    for data in (POINTS, IMAGES):
        dataset = catalogue.resolve_data(data).load()
        for kind, network in networks.items():
            energy: dict[str, Any] = {"kind": kind}
            if "wall" in network.Config.model_fields:
                energy["wall"] = 0.0  # what some methods insist on
            spec = RunSpec(method=method, data=data, config={"energy": energy})
            try:
                resolved = catalogue.resolve(spec)
            except BadInput as error:  # only some take what knows no levels, classes or context
                fields = [problem.field for problem in error.problems]
                assert not (network.conditional and network.takes_context)
                assert {field.removesuffix(".wall") for field in fields} <= {
                    "config.energy",
                    "config.energy.kind",
                }
                continue
            problems = fitting.problems(resolved.method, resolved.config, dataset)
            fields = [field for field, _ in problems]
            misfit = network.fits(dataset.event_shape) or network.fits_values(dataset.num_values)
            assert ("energy.kind" in fields) == bool(misfit)
            assert set(fields) <= {"energy.kind", "data.name"}


# ------------------------------------------------------- every field changes something


def leaves(config: BaseModel, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name == "kind":
            continue
        if isinstance(value, BaseModel):
            yield from leaves(value, (*where, name))
        else:
            yield (*where, name), (field, value)


def altered(field: FieldInfo, value: Any) -> Any:
    """Another value the field takes, far from the one it has."""
    return next(iter(alternatives(field, value)), None)


def alternatives(field: FieldInfo, value: Any) -> list[Any]:
    """Other values the field takes, far from the one it has; small ones first."""
    if isinstance(value, bool):
        return [not value]
    if typing.get_origin(field.annotation) is typing.Literal:
        return [other for other in typing.get_args(field.annotation) if other != value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        # small enough for a clip to bite, unless it must not be so small; or a share of steps that
        # reaches the second one
        others = ((value or 1.0) * 1e-3, 1.5 * value, 0.5)
        return [v for v in others if v != value and _is_valid(field, v)]
    return []


def _is_valid(field: FieldInfo, value: Any) -> bool:
    annotated: Any = typing.Annotated[(field.annotation, *field.metadata)]
    try:
        TypeAdapter(annotated).validate_python(value)
    except ValidationError:
        return False
    return True


def inert(config: BaseModel, name: str) -> bool:
    """Whether the settings themselves say that a field is idle."""
    assert isinstance(config, Config)
    return config.derived().get(name, "").startswith("No effect")


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def holder(config: BaseModel, path: tuple[str, ...]) -> BaseModel:
    for name in path[:-1]:
        config = getattr(config, name)
    return config


def fingerprint(run: Prepared) -> list[float]:
    """What a person sees of a run: its curves, its energies, its samples."""
    seen = []
    for progress in PROGRESS:
        seen += [float(value) for value in run.method.advance(progress).values()]
    rows = run.data.held_out_rows(slice(0, 16))
    if run.method.has_energy:
        with torch.no_grad():
            seen += run.method.energy()(rows.x).tolist()
    else:
        own = run.method.observe(generator_of("observe", 0))
        seen += [event.value for event in own if isinstance(event, Scalar)]
    if not run.method.draws:
        log_probs = run.method.class_log_probs(rows.x)
        assert log_probs is not None
        seen += log_probs.flatten().tolist()
    elif not run.method.has_energy:
        given = {name: rows.given[name] for name in run.method.needs}
        request = SampleRequest(len(rows.x), given=given)
        drawn = conditional_sampling.draw(run.method, request, generator_of("draw", 0)).position
        seen += drawn.flatten().tolist()
        if isinstance(run.method, PredictingMethod):
            thought = think(run.method.predictor(), given, generator_of("think", 0))
            seen += thought.last.flatten().tolist()
    samples = run.method.train_time_samples(16, generator_of("samples", 0))
    if samples is not None:
        seen += samples.flatten().tolist()
    return seen


def active(config: BaseModel) -> set[str]:
    """Fields that are not idle, and what kind each part is of."""
    found = set()
    for path, (_, value) in leaves(config):
        if not inert(holder(config, path), path[-1]) and value is not None:
            found.add(".".join(path))
    for name in type(config).model_fields:
        part = getattr(config, name)
        if isinstance(part, BaseModel):
            found |= {f"{name}.{item}" for item in active(part)}
        elif name == "kind":
            found.add(f"kind {part}")
    return found


ELSEWHERE_VARIED = ("waves_up_to", "most_steps", "goal", "exploration")
"""Fields that count by the coordinates of the data, or after many updates alone: tested where
waves, curricula and policies are."""
FORGETFUL = ("rbm", "reinit_rate")
"""A pass through hidden bits of small weights forgets where it began: restarts count after many
updates alone, and are tested where Boltzmann machines are."""
LONG = (
    "adversarial_training",
    "conditional_diffusion",
    "dual_adversarial_training",
    "energy_matching",
    "energy_text",
    "energy_transformer",
    "feed_forward",
    "recovery_likelihood",
    "text_transformer",
)
"""Methods of many fields whose every step is dear: `make test-slow` varies their fields."""


def variants() -> Iterator[Any]:
    """Every preset in which something counts that did not in those before, and every sampler
    watched on its own."""
    seen: dict[str, list[set[str]]] = {}
    for method, preset in QUICK:
        counts = active(_preset(method, preset))
        if not any(counts <= before for before in seen.setdefault(method, [])):
            seen[method].append(counts)
            marks = [pytest.mark.slow] if method in LONG else []
            yield pytest.param(method, preset, {}, marks=marks)
    for kind in catalogue.samplers():
        yield "sampling", "default", {"sampler": {"kind": kind, **SHORT.get(kind, {})}}


@pytest.mark.parametrize(("method", "preset", "fields"), list(variants()), ids=str)
def test_no_field_changes_nothing(method: str, preset: str, fields: dict[str, Any]) -> None:
    base = prepared(method, preset, **fields)
    config = copy.deepcopy(base.config)
    before = fingerprint(base)
    idle = []
    for path, (field, value) in leaves(config):
        if (field.json_schema_extra or {}).get("group") in ("Budget", "Arithmetic"):
            continue  # when a run ends is tested where runs end, what changes speed alone below
        if path[-1] in ELSEWHERE_VARIED or (preset, path[-1]) == FORGETFUL:
            continue
        others = alternatives(field, value)
        if not isinstance(value, float):
            others = others[:1]
        if not others or inert(holder(config, path), path[-1]):
            continue
        fitting_ones = (
            changed
            for changed in (catalogue.merge(fields, nested(path, other)) for other in others)
            if fitting_spec(method, preset, **changed) is not None  # else refused on these data
        )
        prints = (fingerprint(prepared(method, preset, **changed)) for changed in fitting_ones)
        first = next(prints, None)
        if first is not None and all(each == before for each in (first, *prints)):
            idle.append(f"{'.'.join(path)}: {value!r} and {others!r}")
    assert not idle


def after_a_step(run: Prepared) -> dict[str, Tensor]:
    """State of a method that took one step near the end of its budget."""
    run.method.advance(0.95)
    return weights(run.method)


def turned_to(name: str, rule: dict[str, Any]) -> float:
    """Another value of a setting, whose effect one step shows."""
    if name.endswith("gradient_clip"):
        return 1e-6  # energies are flat at first
    if name.endswith("temperature"):
        return 1e-3  # so flat that no spin notices half as much again
    if rule.get("le") == 1:
        return 1.0
    return float(rule["value"] + 1 if rule["whole"] else 1.5 * rule["value"] or 0.5)


def turned_variants() -> Iterator[Any]:
    """Those of `variants`, of which one a method and two samplers are not slow."""
    for variant in variants():
        method, preset, fields = getattr(variant, "values", variant)
        is_slow = method in (*LONG, "compositional_likelihood") or preset != "default"
        is_slow |= fields.get("sampler", {}).get("kind", "hmc") not in ("hmc", "gibbs")
        yield pytest.param(method, preset, fields, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(("method", "preset", "fields"), list(turned_variants()), ids=str)
def test_a_field_turned_before_the_first_step_counts_as_if_launched_so(
    method: str, preset: str, fields: dict[str, Any]
) -> None:
    base = prepared(method, preset, **fields)
    settings = turnable(base.config)
    assert settings or not base.method.trains
    before = after_a_step(base)
    for name, rule in settings.items():
        other = turned_to(name, rule)
        changed = catalogue.merge(fields, nested(tuple(name.split(".")), other))
        if fitting_spec(method, preset, **changed) is None:
            continue  # refused on these data
        run = prepared(method, preset, **fields)
        run.method.turn({name: other})
        turned = after_a_step(run)
        if same(before, turned):  # weights that are 0 have nothing to lose before the next step
            still = prepared(method, preset, **fields)
            after_a_step(still)
            assert not same(after_a_step(still), after_a_step(run)), f"{name} changes nothing"
        # chains that only sample were set up by the value before
        if run.method.trains:
            assert same(turned, after_a_step(prepared(method, preset, **changed))), name


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_arithmetic_changes_no_numbers(method: str, preset: str) -> None:
    """Fields that change speed alone: the same update, but for the order of sums."""
    base = prepared(method, preset)
    config = copy.deepcopy(base.config)
    metrics = base.method.step(0.5)
    for path, (field, value) in leaves(config):
        if (field.json_schema_extra or {}).get("group") != "Arithmetic" or path[-1] == "compile":
            continue  # compiling takes long: tested where networks are
        run = prepared(method, preset, **nested(path, altered(field, value)))
        again = run.method.advance(0.5)
        for name, expected in metrics.items():
            assert float(again[name]) == pytest.approx(float(expected), rel=1e-3, abs=1e-4), name


# ---------------------------------------------------------------------- samplers


def sampler_of(kind: str) -> Any:
    cls = catalogue.samplers()[kind]
    return cls(cls.Config())


def gaussian() -> Gaussian:
    return Gaussian(torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))


def spins() -> Ising:
    """A lattice that is not symmetric and small enough to be enumerated."""
    return Ising(2, 3, 0.3, 0.2, False)


REAL = sorted(kind for kind, cls in catalogue.samplers().items() if not cls.discrete)
WHOLE = sorted(kind for kind, cls in catalogue.samplers().items() if cls.discrete)


def stays_exact(kind: str) -> bool:
    """Whether exact draws stay exact draws: passes bring their own, and the replicas of a ladder
    are no exact draws when they start where the coldest does (tested where tempering is)."""
    cls = catalogue.samplers()[kind]
    return cls.exact and not cls.anneals and kind != "parallel_tempering"


class Counted(Energy):
    """Counts at how many positions it is asked."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy, self.rows = energy, 0

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        self.rows += len(x)
        return self.energy(x.flatten(1)[:, :2]) + 0.5 * x.flatten(1)[:, 2:].square().sum(1)


@pytest.mark.parametrize("shape", [(2,), (1, 3, 3), (4, 5)], ids=str)
@pytest.mark.parametrize("kind", REAL)
def test_a_sampler_walks_any_shape_and_counts_its_gradients(
    kind: str, shape: tuple[int, ...]
) -> None:
    energy = Counted(gaussian())
    before = torch.random.get_rng_state()
    start = torch.randn(7, *shape, generator=generator_of("start", 0))
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5, 1)
    assert walk.state.position.shape == (7, *shape)
    assert walk.positions is not None and walk.positions.shape == (5, 7, *shape)
    assert walk.info is not None and walk.info.acceptance_rate.shape == (7,)
    num_rows = energy.rows
    assert 7 * walk.gradient_evaluations == num_rows or walk.info.figures, "each row is paid for"
    again = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5)
    assert torch.equal(again.state.position, walk.state.position)
    assert torch.equal(before, torch.random.get_rng_state())
    value, gradient = energy_and_gradient(energy, walk.state.position)
    assert torch.allclose(value, walk.state.energy, atol=1e-5)
    if walk.state.gradient.any():  # samplers that follow none carry zeros
        assert torch.allclose(gradient, walk.state.gradient, atol=1e-5)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_sampler_of_whole_numbers_keeps_to_them(kind: str) -> None:
    energy = spins()
    assert catalogue.samplers()[kind].fits(energy) == ""
    before = torch.random.get_rng_state()
    start = torch.randint(2, (7, 2, 3), generator=generator_of("start", 0)).float()
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5, 1)
    assert walk.positions is not None and walk.positions.shape == (5, 7, 2, 3)
    assert ((walk.positions == 0) | (walk.positions == 1)).all()
    assert walk.info is not None and walk.info.acceptance_rate.shape == (7,)
    again = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5)
    assert torch.equal(again.state.position, walk.state.position)
    assert torch.equal(before, torch.random.get_rng_state())
    value, gradient = energy.value_and_gradient(walk.state.position)
    assert torch.allclose(value, walk.state.energy, atol=1e-5)
    assert torch.allclose(gradient, walk.state.gradient, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(catalogue.samplers()))
def test_a_sampler_that_is_biased_says_how_and_none_takes_what_it_cannot(kind: str) -> None:
    cls = catalogue.samplers()[kind]
    assert cls.exact == (cls.bias == ""), "exact, or a sentence on what is wrong"
    assert cls.exact or cls.bias.endswith(".")
    assert cls.references
    misfit: Energy = gaussian() if cls.discrete else spins()
    assert cls.fits(misfit).endswith(".")


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if stays_exact(kind)])
def test_an_exact_sampler_leaves_the_law_of_whole_numbers_in_place(kind: str) -> None:
    """Every state as often as enumeration says, from exact draws and 5 steps: chi-square."""
    energy, num = spins(), 20_000
    states = enumerate_states((2, 3), 2)
    law = torch.softmax(-energy(states).double(), 0)
    drawn = torch.multinomial(law, num, True, generator=generator_of("draws", 0))
    walk = samplers.run(sampler_of(kind), states[drawn], energy, generator_of("walk", 1), 5)
    counts = torch.bincount(state_index(walk.state.position, 2), minlength=64).double()
    assert (walk.state.position != states[drawn]).flatten(1).any(1).double().mean() > 0.3
    chi_square = float(((counts - num * law).square() / (num * law)).sum())
    assert abs(chi_square - 63) < 4 * (2 * 63) ** 0.5


@pytest.mark.parametrize("kind", [kind for kind in REAL if stays_exact(kind)])
def test_an_exact_sampler_leaves_the_law_in_place(kind: str) -> None:
    """Exact draws stay exact draws: moments within 4 standard errors after 20 steps."""
    energy, num = gaussian(), 20_000
    start = energy.draw(num, generator_of("draws", 0))
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 1), 20)
    x = walk.state.position.double()
    mean, covariance = energy.moments()
    assert (x != start).any(1).double().mean() > 0.5
    errors = (x.mean(0) - mean) / (covariance.diagonal() / num).sqrt()
    assert errors.abs().max() < 4
    variances = covariance.diagonal()
    spread = (torch.outer(variances, variances) + covariance**2) / num
    assert ((torch.cov(x.T) - covariance) / spread.sqrt()).abs().max() < 4


# ---------------------------------------------------------------------- networks and data


@pytest.mark.parametrize("shape", [(2,), (5,), (8, 8), (28, 28), (16, 16, 3)], ids=str)
@pytest.mark.parametrize("kind", sorted(catalogue.networks()))
def test_a_network_gives_one_finite_energy_an_event_or_says_why_not(
    kind: str, shape: tuple[int, ...]
) -> None:
    cls = catalogue.networks()[kind]
    num_values = 2 if cls.fits_values(None) else None
    task = _task(torch.Size(shape), num_values)
    if cls.fits(torch.Size(shape)):
        assert cls.fits(torch.Size(shape)).endswith(".")
        return
    network = build_network(cls.Config(), task)
    x = torch.rand(6, *shape, generator=generator_of("x", 0))
    if num_values is None:
        energy, gradient = energy_and_gradient(network, x)
        assert gradient.shape == x.shape
    else:
        assert cls.fits_values(None).endswith(".")
        x = x.round()
        energy, gradient = network.over_values(task.data.event_shape, 2).value_and_gradient(x)
        assert gradient.shape == (*x.shape, num_values)
    assert energy.shape == (6,) and energy.isfinite().all() and gradient.abs().sum() > 0
    assert torch.allclose(network(x[2:3]), energy[2:3], atol=1e-5), "rows answer for each other"
    twin = build_network(cls.Config(), _task(torch.Size(shape), num_values))
    assert all(map(torch.equal, network.state_dict().values(), twin.state_dict().values()))


def _task(shape: torch.Size, num_values: int | None = None) -> Task:
    x = torch.zeros(4, *shape)
    data = Data(
        "none",
        "Nothing",
        x,
        x,
        torch.zeros(()),
        torch.ones(()),
        torch.zeros(shape),
        torch.ones(shape),
        num_values=num_values,
    )
    return Task(data=data, device=CPU, generator=generator_of("task", 0))


@pytest.mark.parametrize("name", [n for n in catalogue.datasets() if n not in ELSEWHERE])
def test_data_are_standardised_and_come_back(name: str) -> None:
    data = catalogue.resolve_data({"name": name}).load()
    assert data.train.dtype == data.held_out.dtype == torch.float32
    assert data.train.isfinite().all() and data.held_out.isfinite().all()
    assert data.train.shape[1:] == data.held_out.shape[1:] == data.event_shape
    x = data.restore(data.train)
    assert torch.allclose(data.standardise(x), data.train, atol=1e-4)
    if data.num_values is not None:
        assert (data.train == x).all() and (x == x.round()).all(), "whole numbers stay as they are"
        assert x.min() >= 0 and x.max() <= data.num_values - 1
    elif data.is_image:
        assert data.image_range is not None
        assert x.min() >= data.image_range[0] and x.max() <= data.image_range[1]
    else:
        if not getattr(catalogue.datasets()[name], "keeps_units", False):
            assert data.train.flatten(1).mean(0).abs().max() < 0.1
        assert (data.train.flatten(1).std(0) - 1).abs().max() < 0.1
    for given, x in ((data.given, data.train), (data.held_out_given, data.held_out)):
        assert set(given) == set(catalogue.datasets()[name].gives)
        assert all(len(value) == len(x) for value in given.values())
    noise = data.noise(100, generator_of("noise", 0))
    assert (noise >= data.noise_low).all() and (noise <= data.noise_high).all()
    again = catalogue.resolve_data({"name": name}).load()
    assert torch.equal(again.train, data.train)
    other = catalogue.resolve_data({"name": name, "seed": 7}).load()
    assert not torch.equal(other.train[:100], data.train[:100])


# ---------------------------------------------------------------------- discovery


def test_a_file_that_fails_to_import_is_reported_and_the_rest_serve_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import backend.methods

    (tmp_path / "half_written.py").write_text("raise RuntimeError('half written')\n")
    monkeypatch.setattr(backend.methods, "__path__", [*backend.methods.__path__, str(tmp_path)])
    discovery.forget()
    try:
        assert [item.module for item in catalogue.broken()] == ["backend.methods.half_written"]
        assert "half written" in catalogue.broken()[0].error
        assert sorted(catalogue.methods()) == METHODS
    finally:
        discovery.forget()


def test_nothing_that_ships_is_broken() -> None:
    assert catalogue.broken() == []


def test_one_sign_everywhere() -> None:
    """Low energy is likely: p ∝ exp(−E) for data with a known density too."""
    for name in catalogue.datasets():
        if name in ELSEWHERE:
            continue
        data = catalogue.resolve_data({"name": name}).load()
        energy = data.density if data.density is not None else data.target
        assert (energy is not None) == (name not in MEASURED)
        if energy is None:
            continue
        centre = data.restore(data.held_out)
        far = data.restore(data.held_out * 0 + 20)
        if data.num_values is not None:
            far = data.noise(len(centre), generator_of("far", 0))
        assert energy(centre).mean() < energy(far).mean()
