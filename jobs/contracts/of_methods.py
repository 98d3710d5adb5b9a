"""Contracts of methods: what their steps return, and that watching and resuming change nothing."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from pydantic import BaseModel

from backend import catalogue
from backend.errors import BadInput, NotAvailable
from backend.events import Cost, Scalar, decode, encode, unpack
from backend.method import SampleRequest
from backend.observe.observation import Observation
from backend.randomness import generator_of
from backend.requests import conditional_sampling, fitting
from backend.spec import RunSpec
from jobs.contracts import need
from jobs.contracts.small_runs import (
    CPU,
    IMAGES,
    POINTS,
    PROGRESS,
    SMALL,
    prepared,
    same,
    weights,
)
from jobs.models import method_state
from jobs.records import run_store

_MOST_MAIN_FIELDS = 8


def describes_itself(method: str) -> None:
    """Title, summary and references; every preset says what it is, and has a budget."""
    cls = catalogue.methods()[method]
    need("default" in cls.presets, "has no preset `default`.")
    need(
        cls.title and cls.summary.endswith("."),
        "needs a `title`, and a `summary` with a full stop.",
    )
    need(cls.references, "names no `references`.")
    for name, preset in cls.presets.items():
        need(preset.summary.endswith("."), f"the summary of preset `{name}` has no full stop.")
        if preset.data is not None:
            catalogue.resolve_data(preset.data)
        need(not preset.budget.is_empty(), f"preset `{name}` has no budget.")


def preset_keeps_the_rest_of_training(method: str, preset: str) -> None:
    """Fields of `train` that a preset does not name stand as the method has them."""
    cls = catalogue.methods()[method]
    named = cls.presets[preset].config.get("train", {})
    own, given = (
        config.model_dump().get("train", {})
        for config in (cls.Config(), catalogue.configured(cls, preset))
    )
    need({**given, **named} == given, f"preset `{preset}` does not give what it names of `train`.")
    need(
        {key: given[key] for key in own if key not in named}
        == {key: own[key] for key in own if key not in named},
        f"preset `{preset}` changes what it does not name of `train`.",
    )


def form_shows_few_fields(method: str, preset: str) -> None:
    """Between one and eight fields are `main`: shown unfolded."""

    def count(config: BaseModel) -> int:
        total = 0
        for name, field in type(config).model_fields.items():
            value = getattr(config, name)
            if isinstance(value, BaseModel):
                total += count(value)
            else:
                total += bool((field.json_schema_extra or {}).get("main"))  # type: ignore[union-attr]
        return total

    num = count(prepared(method, preset).config)
    need(
        1 <= num <= _MOST_MAIN_FIELDS,
        f"shows {num} fields unfolded, not 1 to {_MOST_MAIN_FIELDS}: mark some with `main=True`.",
    )


def steps_return_finite_scalars(method: str, preset: str) -> None:
    """0-d finite tensors under the same paths at every step, gradients counted, no global draw."""
    run = prepared(method, preset)
    before = torch.random.get_rng_state()
    paths = None
    for progress in PROGRESS:
        paid = run.method.gradient_evaluations
        metrics = run.method.advance(progress)
        need(paths in (None, list(metrics)), f"paths change from step to step: {list(metrics)}.")
        paths = list(metrics)
        for path, value in metrics.items():
            need(value.dim() == 0, f"`{path}` is of shape {tuple(value.shape)}, not a number.")
            need(not value.requires_grad, f"`{path}` carries a graph: return it detached.")
            # draws of a warm-up are no results
            counts = not (path.startswith("error/") and getattr(run.method, "warming_up", False))
            need(bool(value.isfinite()) == counts, f"`{path}` is {float(value)}.")
        need(
            (run.method.gradient_evaluations > paid) == run.method.follows_gradient,
            "`gradient_evaluations` must grow at every step, or `follows_gradient` be False.",
        )
    if run.method.trains:
        need(
            paths and {"loss/total", "optimiser/gradient_norm"} <= set(paths),
            f"returns no `loss/total` or no `optimiser/gradient_norm`, but {paths}.",
        )
    need(
        torch.equal(before, torch.random.get_rng_state()),
        "draws from the global generator: pass `self.generator`.",
    )


def same_seed_gives_the_same_numbers(method: str, preset: str) -> None:
    """Two runs of one seed have the same state, bit for bit."""
    runs = [prepared(method, preset) for _ in range(2)]
    for run in runs:
        for progress in PROGRESS:
            run.method.advance(progress)
    need(
        same(weights(runs[0].method), weights(runs[1].method)),
        "two runs of one seed differ: something is drawn from elsewhere than `self.generator`.",
    )


def resumes_to_the_same_numbers(method: str, preset: str) -> None:
    """Saved and restored it goes on bit for bit."""
    whole = prepared(method, preset)
    directory = run_store.create_run(whole.spec)
    for progress in PROGRESS[:2]:
        whole.method.advance(progress)
    tensors, tree = method_state.collect(whole.method)
    directory.save_checkpoint(2, tensors, {"method": method, "state": tree})

    resumed = prepared(method, preset)
    loaded = directory.load_checkpoint()
    method_state.restore(resumed.method, loaded.tensors, loaded.meta["state"], CPU)
    for progress in PROGRESS[2:]:
        expected = {p: float(v) for p, v in whole.method.advance(progress).items()}
        got = {p: float(v) for p, v in resumed.method.advance(progress).items()}
        need(
            got == expected,
            f"a resumed run goes on to {got}, an undisturbed one to {expected}: keep all state in "
            "attributes of the method.",
        )
    need(same(weights(resumed.method), weights(whole.method)), "a resumed run ends elsewhere.")


def watching_changes_nothing(method: str, preset: str) -> None:
    """Observed at every step and never observed end with the same weights and costs."""
    watched, alone = prepared(method, preset), prepared(method, preset)
    eyes = Observation(watched.method, watched.data, seed=1, sizes=SMALL)
    eyes.begin()
    for step, progress in enumerate(PROGRESS):
        watched.method.advance(progress)
        alone.method.advance(progress)
        eyes.watch(step)
        eyes.measure(step)
    eyes.evaluate(len(PROGRESS))
    need(same(weights(watched.method), weights(alone.method)), "watched, it learns otherwise.")
    need(
        watched.method.gradient_evaluations == alone.method.gradient_evaluations,
        "watching counts as training's gradient evaluations.",
    )


def events_survive_the_wire(method: str, preset: str) -> None:
    """Everything that is observed of it can be written and read again."""
    run = prepared(method, preset)
    for progress in (0.1 * index for index in range(10)):  # enough draws to be diagnosed
        run.method.advance(progress)
    eyes = Observation(run.method, run.data, seed=1, sizes=SMALL)
    events = [*eyes.begin(), *eyes.watch(1), *eyes.measure(1), *eyes.evaluate(2)[1]]
    kinds = {"scalar"} | ({"histogram", "table"} if run.method.has_energy else set())
    there = {event.kind for event in events}
    need(kinds <= there, f"nothing of {sorted(kinds - there)} is observed.")
    for event in events:
        frame = unpack(encode(event, run="r", seq=1, time=0.0, cost=Cost(1, 1, 0.1, None)))
        if isinstance(event, Scalar):  # on the wire a block of one row
            need(frame.header["meta"]["paths"] == [event.path], f"`{event.path}` loses its path.")
            ((value,),) = frame.arrays["values"]
            close = math.isclose(value, event.value, rel_tol=1e-6, abs_tol=1e-12)
            need(close, f"`{event.path}` is {event.value}, and {value} on the wire.")
            continue
        again = decode(frame)
        need(
            type(again) is type(event) and again.path == event.path,
            f"`{event.path}` comes back as {type(again).__name__} `{again.path}`.",
        )


def without_an_energy_says_so_and_draws(method: str) -> None:
    """A method has an energy, or says why not and draws, or tells classes apart."""
    run = prepared(method)
    if run.method.has_energy:
        need(run.method.energy() is not None, "`energy()` is None.")
        return
    try:
        run.method.energy()
        need(False, "has no energy, and `energy()` does not say so.")
    except NotAvailable as error:
        need(str(error).endswith("."), f"`no_energy` is no sentence: {error}")
    draws = generator_of("draws", 0)
    if not run.method.draws:
        try:
            conditional_sampling.draw(run.method, SampleRequest(5), draws)
            need(False, "draws nothing, and does not say so.")
        except BadInput as error:
            need(str(error).endswith("."), f"it says no sentence: {error}")
        log_probs = run.method.class_log_probs(run.data.held_out[:5])
        need(log_probs is not None, "neither draws nor gives `class_log_probs`.")
    elif not run.method.needs:
        z = conditional_sampling.draw(run.method, SampleRequest(5), draws).position
        need(
            z.shape == (5, *run.data.event_shape),
            f"draws are of shape {tuple(z.shape)}, events of {tuple(run.data.event_shape)}.",
        )


def data_get_lower_energy_than_noise(method: str, preset: str) -> None:
    """Low energy is likely: p ∝ exp(−E), after 200 steps."""
    run = prepared(method, preset)
    num_steps = 200 if run.method.trains else 1
    for step in range(num_steps):
        run.method.advance(step / num_steps)
    noise = run.data.noise(200, generator_of("noise", 0))
    energy = run.method.energy()
    with torch.no_grad():
        data, uniform = energy(run.data.held_out[:200]).mean(), energy(noise).mean()
    need(
        data < uniform,
        f"the mean energy of data, {float(data):.4g}, is not below that of noise, "
        f"{float(uniform):.4g}, after {num_steps} steps: is the sign p ∝ exp(−E)?",
    )


def misfits_are_named_before_set_up(method: str) -> None:
    """Networks that do not fit the data are refused at their field."""
    for data in (POINTS, IMAGES):
        dataset = catalogue.resolve_data(data).load()
        for kind, network in catalogue.networks().items():
            energy: dict[str, Any] = {"kind": kind}
            if "wall" in network.Config.model_fields:
                energy["wall"] = 0.0  # what some methods insist on
            spec = RunSpec(method=method, data=data, config={"energy": energy})
            try:
                resolved = catalogue.resolve(spec)
            except BadInput as error:  # only some take what knows no levels, classes or context
                fields = {problem.field.removesuffix(".wall") for problem in error.problems}
                need(
                    not (network.conditional and network.takes_context)
                    and fields <= {"config.energy", "config.energy.kind"},
                    f"refuses energy `{kind}` at {sorted(fields)}: {error}",
                )
                continue
            problems = fitting.problems(resolved.method, resolved.config, dataset)
            named = [field for field, _ in problems]
            misfit = network.fits(dataset.event_shape) or network.fits_values(dataset.num_values)
            need(
                ("energy.kind" in named) == bool(misfit),
                f"energy `{kind}` on {data['name']}: problems at {named}; the energy says "
                f"{misfit or 'nothing'!r}.",
            )
            need(
                set(named) <= {"energy.kind", "data.name"},
                f"energy `{kind}` on {data['name']} has problems at {named}.",
            )


def arithmetic_changes_no_numbers(method: str, preset: str) -> None:
    """Fields that change speed alone: the same update, but for the order of sums."""
    from jobs.contracts.of_fields import altered, leaves, nested

    base = prepared(method, preset)
    config = copy.deepcopy(base.config)
    metrics = base.method.advance(0.5)
    for path, (field, value) in leaves(config):
        if (field.json_schema_extra or {}).get("group") != "Arithmetic" or path[-1] == "compile":
            continue  # compiling takes long: tested where networks are
        run = prepared(method, preset, **nested(path, altered(field, value)))
        again = run.method.advance(0.5)
        for name, expected in metrics.items():
            got = float(again[name])
            close = abs(got - float(expected)) <= max(1e-3 * abs(float(expected)), 1e-4)
            need(close, f"`{'.'.join(path)}` makes `{name}` {got} instead of {float(expected)}.")
