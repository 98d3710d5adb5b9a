"""Drawing of sample sets: as the ability `sample` draws, from noise that all runs share, or as an
answer was drawn.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend import catalogue
from backend.abilities import cloud, judged
from backend.abilities.sample import SampleAbility, SampleConfig, label_figures, request_of
from backend.ability import Array
from backend.config import Config
from backend.data import Data
from backend.errors import BadInput, BasinError, Problem
from backend.events import Cost, Event, encode
from backend.metrics import bootstrap
from backend.metrics.density import energies
from backend.metrics.quality import Quality
from backend.observe import pictures
from backend.randomness import generator_of
from backend.requests import asking, sample_parts
from backend.requests.conditional_sampling import Drawn
from jobs.models import answering, trained_run
from jobs.models.method_setup import find_device, use_products
from jobs.models.trained_run import Trained
from jobs.records import run_store, sample_sets
from jobs.records.sample_sets import Request, SampleSet
from jobs.system.joule_meter import Stopwatch, meter

ABILITY = "sample"
_NUM_NEAREST = 100
"""Samples whose nearest training event is looked for: those of a grid of images."""


def arrays_of(ability: str, config: dict[str, Any]) -> tuple[str, ...]:
    """Name the arrays of an ability's answer that can be kept; one without a name where none is
    given. Raises BadInput."""
    if not ability:
        return ("",)
    cls, checked = asking.resolve_ability(ability, config)
    if names := cls.samples(checked):
        return names
    known = [name for name, each in catalogue.abilities().items() if each.samples(each.Config())]
    raise BadInput.at("ability", f"`{ability}` draws no samples; {', '.join(known)} do.")


def draw(
    wanted: Request,
    *,
    name: str = "",
    drawn: Callable[[SampleSet], None] = lambda _: None,
) -> SampleSet:
    """Draw a set on the CPU and keep it; one that is there is returned as it is.

    drawn: called with the set as parts of it are done. Raises
    BadInput for what this run cannot be asked, NotAvailable for a checkpoint that is gone; the set
    then says why it failed.
    """
    cls, config = asking.resolve_ability(wanted.ability or ABILITY, wanted.config)
    if wanted.ability and wanted.array not in cls.samples(config):
        known = ", ".join(cls.samples(config)) or "none"
        raise BadInput.at(
            "array", f"the answer to `{wanted.ability}` has no samples `{wanted.array}`: {known}."
        )
    known_set = sample_sets.begin(wanted, int(getattr(config, "num", 0)), name)
    if known_set.state == "done":
        return known_set
    drawn(sample_sets.drawing(known_set.id))
    try:
        return _drawn(wanted, config, drawn)
    except Exception as error:
        reason = str(error) if isinstance(error, BasinError) else f"{type(error).__name__}: {error}"
        sample_sets.change(known_set.id, state="failed", reason=reason)
        raise


class _Samples(NamedTuple):
    """Samples, and what is known of them beside the run."""

    z: Tensor
    """(num, *event_shape), standardised"""
    x: Array
    """the same in the user's units"""
    labels: Tensor | None
    energy: Tensor | None
    """(num,)"""
    figures: dict[str, float]
    summary: str
    caveat: str = ""
    intervals: dict[str, tuple[float, float]] = {}
    cost: dict[str, Any] = {}


def _drawn(wanted: Request, config: Config, drawn: Callable[[SampleSet], None]) -> SampleSet:
    device = find_device("cpu")
    use_products(run_store.open_run(wanted.run))
    run = trained_run.load_trained(wanted.run, device, wanted.step or None)
    _check_size(int(getattr(config, "num", 0)), run.data)
    if wanted.ability:
        samples = _answered(wanted, run)
    else:
        assert isinstance(config, SampleConfig)

        def note(num: int) -> None:
            drawn(sample_sets.change(wanted.id, num_drawn=num))

        with asking.left_alone(run.method):
            samples = _of_shared_noise(wanted, config, run, note)
    z = samples.z
    figures = dict(samples.figures)
    if samples.energy is not None and "energy" not in figures:
        figures["energy"] = float(samples.energy.mean())
    figures["not_finite"] = float((~z.flatten(1).isfinite().all(1)).double().mean())
    near = _Nearest(run.data, z[:_NUM_NEAREST])
    role = "data" if wanted.source == "held_out" else "long_run"
    events = [
        *cloud("samples", run.data, z, role, samples.energy),
        *cloud("held_out", run.data, run.data.held_out, "data"),
        *cloud("nearest", run.data, near.events, "data"),
    ]
    arrays: dict[str, Array] = {"x": samples.x}
    if samples.energy is not None:
        arrays["energy"] = pictures.float32(samples.energy)
    if samples.labels is not None:
        arrays["label"] = samples.labels.cpu().numpy()
    arrays |= {"nearest": near.places.numpy(), "nearest_distance": near.distances.numpy()}
    return sample_sets.finish(
        wanted.id,
        arrays,
        _packed(events, wanted),
        num=len(z),
        num_drawn=len(z),
        settings=config.model_dump(mode="json"),
        event_shape=tuple(run.data.event_shape),
        kind=events[0].kind if events else "values",
        image_range=run.data.image_range,
        columns=tuple(run.data.columns),
        num_labels=run.method.num_labels,
        label_names=tuple(run.data.label_names),
        summary=samples.summary,
        caveat=samples.caveat,
        figures=asking.plain(figures),
        intervals=samples.intervals,
        warnings=run.warnings,
        device=str(device),
        **samples.cost,
    )


def _of_shared_noise(
    wanted: Request, config: SampleConfig, run: Trained, note: Callable[[int], None]
) -> _Samples:
    """Draw as the ability `sample` does, from noise that all runs share, or pick real events."""
    asked, device = trained_run.asked_of(run), run.device
    is_model = wanted.source == "model"
    watch = Stopwatch(meter(device))
    watch.start()
    if is_model:
        if problems := [Problem(*each) for each in SampleAbility.problems(asked, config)]:
            raise BadInput(*problems)
        sampled = request_of(asked, config)
        result = sample_parts.draw(run.method, sampled, wanted.seed, note)
        labels = sampled.labels
    else:
        places = sample_parts.held_out(run.data, config.num, wanted.seed)
        result = Drawn(run.data.held_out[places], "from held-out data")
        real = run.data.held_out_labels
        labels = None if real is None else real[places]
    watch.stop()
    z = result.position
    figures: dict[str, float] = dict(result.figures)
    intervals: dict[str, tuple[float, float]] = {}
    if is_model and (labels is None or config.label == "each"):
        generator = generator_of("judge set", wanted.seed, device=device)
        quality = Quality(run.data, len(z))
        figures |= judged(quality, z, generator)
        intervals = bootstrap.intervals(quality, z, figures, generator)
    if is_model and labels is not None:
        figures |= label_figures(asked, z, labels)
    return _Samples(
        z,
        pictures.in_units(run.data.restore(z)),
        labels,
        energies(run.method.energy(), z) if run.method.has_energy else None,
        figures,
        f"{len(z):,} samples. {result.sentence}",
        result.caveat,
        intervals,
        _cost(watch) if is_model else {},
    )


def _answered(wanted: Request, run: Trained) -> _Samples:
    """Take the samples of an answer, drawn again as the Studio and `basin ask` draw them."""
    answer = answering.of(trained_run.asked_of(run), wanted.ability, wanted.config, wanted.seed)
    array = answer.arrays[wanted.array]
    x = array.reshape(-1, *run.data.event_shape)
    z = run.data.standardise(torch.from_numpy(x)).to(run.data.train)
    energy = answer.arrays.get("energy")
    labels = answer.arrays.get("label")
    per_row = {
        name: torch.from_numpy(values)
        for name, values in (("energy", energy), ("labels", labels))
        if values is not None and len(values) == len(x)
    }
    if "energy" not in per_row and run.method.has_energy:
        with asking.left_alone(run.method):
            per_row["energy"] = energies(run.method.energy(), z)
    return _Samples(
        z,
        x,
        per_row.get("labels"),
        per_row.get("energy"),
        answer.figures,
        answer.summary,
        answer.caveat,
    )


def _cost(watch: Stopwatch) -> dict[str, Any]:
    return {"seconds": watch.seconds, "joules": watch.joules, "joules_from": watch.source or ""}


def _check_size(num: int, data: Data) -> None:
    num_bytes = 4 * num * data.event_shape.numel()
    if num_bytes > sample_sets.MOST_SET_BYTES:
        most = sample_sets.MOST_SET_BYTES // (4 * data.event_shape.numel())
        raise BadInput.at("num", f"must be at most {most:,} of events of this size, got {num:,}.")


class _Nearest:
    """Training event nearest to each sample, in standardised units."""

    def __init__(self, data: Data, z: Tensor) -> None:
        train = data.train.flatten(1).float()
        samples = z.flatten(1).float().nan_to_num(0.0, 0.0, 0.0)
        distances, places = [], []
        for part in samples.split(32):
            nearest = torch.cdist(part, train).min(1)
            distances.append(nearest.values)
            places.append(nearest.indices)
        self.places = torch.cat(places).cpu()
        self.distances = torch.cat(distances).cpu()
        self.events = data.train[self.places.to(data.train.device)]


def _packed(events: list[Event], wanted: Request) -> bytes:
    frames = [
        encode(event, run=wanted.run, seq=seq, time=0.0, cost=Cost(wanted.step))
        for seq, event in enumerate(events)
    ]
    return b"".join(frames)
