"""Drawing of sample sets: as the ability `sample` draws, from noise that all runs share.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend.abilities import cloud, judged
from backend.abilities.sample import SampleAbility, SampleConfig, label_figures, request_of
from backend.ability import Array
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
from jobs.models import trained_run
from jobs.models.method_setup import find_device, use_products
from jobs.records import run_store, sample_sets
from jobs.records.sample_sets import Request, SampleSet
from jobs.system.joule_meter import Stopwatch, meter

ABILITY = "sample"
_NUM_NEAREST = 100
"""Samples whose nearest training event is looked for: those of a grid of images."""


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
    _, config = asking.resolve_ability(ABILITY, wanted.config)
    assert isinstance(config, SampleConfig)
    known = sample_sets.begin(wanted, config.num, name)
    if known.state == "done":
        return known
    drawn(sample_sets.drawing(known.id))
    try:
        return _drawn(wanted, config, drawn)
    except Exception as error:
        reason = str(error) if isinstance(error, BasinError) else f"{type(error).__name__}: {error}"
        sample_sets.change(known.id, state="failed", reason=reason)
        raise


def _drawn(
    wanted: Request,
    config: SampleConfig,
    drawn: Callable[[SampleSet], None],
) -> SampleSet:
    device = find_device("cpu")
    use_products(run_store.open_run(wanted.run))
    run = trained_run.load_trained(wanted.run, device, wanted.step or None)
    asked = trained_run.asked_of(run)
    _check_size(config.num, run.data)
    with asking.left_alone(run.method):
        watch = Stopwatch(meter(device))
        watch.start()

        def note(num: int) -> None:
            drawn(sample_sets.change(wanted.id, num_drawn=num))

        if wanted.source == "held_out":
            places = sample_parts.held_out(run.data, config.num, wanted.seed)
            labels = run.data.held_out_labels
            result = Drawn(run.data.held_out[places], "from held-out data")
            labels = None if labels is None else labels[places]
        else:
            if problems := [Problem(*each) for each in SampleAbility.problems(asked, config)]:
                raise BadInput(*problems)
            sampled = request_of(asked, config)
            result = sample_parts.draw(run.method, sampled, wanted.seed, note)
            labels = sampled.labels
        watch.stop()
        z = result.position
        energy = energies(run.method.energy(), z) if run.method.has_energy else None
        figures, intervals = dict(result.figures), {}
        if wanted.source == "model" and (labels is None or config.label == "each"):
            generator = generator_of("judge set", wanted.seed, device=device)
            quality = Quality(run.data, len(z))
            figures |= judged(quality, z, generator)
            intervals = bootstrap.intervals(quality, z, figures, generator)
        if wanted.source == "model" and labels is not None:
            figures |= label_figures(asked, z, labels)
        if energy is not None:
            figures["energy"] = float(energy.mean())
        figures["not_finite"] = float((~z.flatten(1).isfinite().all(1)).double().mean())
    near = _Nearest(run.data, z[:_NUM_NEAREST])
    role = "data" if wanted.source == "held_out" else "long_run"
    events = [
        *cloud("samples", run.data, z, role, energy),
        *cloud("held_out", run.data, run.data.held_out, "data"),
        *cloud("nearest", run.data, near.events, "data"),
    ]
    arrays: dict[str, Array] = {"x": pictures.in_units(run.data.restore(z))}
    if energy is not None:
        arrays["energy"] = pictures.float32(energy)
    if labels is not None:
        arrays["label"] = labels.cpu().numpy()
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
        summary=f"{len(z):,} samples. {result.sentence}",
        caveat=result.caveat,
        figures=asking.plain(figures),
        intervals=intervals,
        warnings=run.warnings,
        device=str(device),
        **(_cost(watch) if wanted.source == "model" else {}),
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
