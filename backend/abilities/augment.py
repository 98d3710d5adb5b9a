"""More rows of a labelled table: what they are like, and what they are worth to classifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Cells, Label, Problems, asked_labels, label_problems, refused
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.datasets.splits import resplit
from backend.energies import Condition
from backend.events import Event, Points, Table
from backend.method import Method, SampleRequest
from backend.metrics.augmentation import Rows, balanced_accuracies, gain, jittered, smote
from backend.metrics.density import energies
from backend.metrics.distances import energy_distance
from backend.observe import pictures
from backend.requests import conditional_sampling

JITTER = 0.3
"""Noise of the plain jitter, in data sd."""
START_NOISE = 0.01
"""Noise on real rows that are only repeated, in data sd."""
MOST_DRAWN = 10_000
"""Rows that a picture holds, and its CSV."""
TITLES = {
    "real": "Real rows alone",
    "made": "With rows of the run",
    "smote": "With SMOTE",
    "jitter": f"With jitter of {JITTER}",
    "start_rows": "With real rows repeated",
}


class AugmentConfig(Config):
    num: int = option(
        500, "Rows that are made.", ge=2, le=100_000, main=True, log=True, group="Rows"
    )
    label: Label = option(
        "each",
        "A class, by its name or number, or `each` for as many of every class.",
        min_length=1,
        max_length=100,
        main=True,
        group="Rows",
    )
    num_splits: int = option(
        0,
        "Splits of all rows on which five classifiers are trained with made rows and without; on "
        "each the method is fitted anew to as many rows as the run's. 0 judges nothing.",
        ge=0,
        le=100,
        main=True,
        group="Worth",
    )
    baselines: bool = option(
        True,
        "Judge SMOTE, plain jitter and real rows repeated on the same splits.",
        group="Worth",
    )
    num_updates: int = option(
        200,
        "Updates of a method that is fitted anew; those that fit nothing need none.",
        ge=1,
        le=100_000,
        log=True,
        group="Worth",
    )

    def derived(self) -> dict[str, str]:
        if self.num_splits:
            return {}
        idle = "No effect while there are no splits."
        return {"baselines": idle, "num_updates": idle}


class AugmentAbility(Ability):
    """x ~ the run's law of each class, beside real rows.

    energy_distance: of made rows to held-out rows, the mean over classes; its floor is that of the
    rows that were trained on. nearest_real: mean distance of a made row to the nearest row that
    was trained on, standardised; its floor is that of held-out rows, and far below it rows are
    copies. gain: points of balanced accuracy, the mean over five classifiers and the splits, with
    made rows over without; gain_error is its standard error over the splits.
    """

    id = "augment"
    title = "More rows"
    order = 4
    summary = "Makes rows of each class, and says how near to real ones they are and of what use."
    references = "Margeloiu et al. 2024; Chawla et al. 2002"
    Config: ClassVar[type[Config]] = AugmentConfig

    @classmethod
    def problems(cls, asked: Asked, config: AugmentConfig) -> Problems:
        data = asked.data
        if data.labels is None or data.held_out_labels is None:
            yield "label", "makes rows of classes, and these data have none."
        elif len(data.event_shape) != 1 or data.num_values is not None:
            yield "num", "makes rows of a table of real numbers, and these data are none."
        elif objections := [*label_problems(asked, config.label)]:
            yield from objections
        else:
            yield from refused(asked, _request(asked.method, config.label, config.num, asked))
            if config.num_splits and config.label != "each":
                yield "label", "must be `each` where rows are judged on splits."

    @classmethod
    def answer(cls, asked: Asked, config: AugmentConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        request = _request(asked.method, config.label, config.num, asked)
        drawn = conditional_sampling.draw(asked.method, request, generator)
        z, labels = drawn.position, request.labels
        assert labels is not None
        figures = {**_likeness(data, z, labels), **drawn.figures}
        first = slice(0, MOST_DRAWN)
        own = _own_energies(asked, z[first], labels[first])
        axes = data.columns if len(data.columns) == z.shape[1] else ()
        x = pictures.in_units(data.restore(z))
        events: list[Event] = [
            Points("rows", x[first], "long_run", own, labels[first].cpu().numpy(), axes)
        ]
        summary = (
            f"{config.num:,} rows. To the nearest row that was trained on they have "
            f"{figures['nearest_real']:.3g} data sd on average, held-out rows "
            f"{figures['nearest_real/floor']:.3g}. {drawn.sentence}"
        )
        if config.num_splits:
            worth, table = _worth(asked, config, generator)
            figures |= worth
            events.insert(0, table)
            summary = f"{_in_words(worth, config.num_splits)} {summary}"
        arrays = {"x": x, "label": labels.cpu().numpy()}
        return Answer(summary, figures, arrays, tuple(events))


def _request(method: Method, label: str, num: int, asked: Asked) -> SampleRequest:
    return SampleRequest(num, labels=asked_labels(replace(asked, method=method), label, num))


def _own_energies(asked: Asked, z: Tensor, labels: Tensor) -> np.ndarray | None:
    """Energy (num,) of each row in the energy of its class; None without one."""
    if not asked.method.has_energy:
        return None
    return pictures.float32(energies(asked.method.energy().given(Condition(label=labels)), z))


def _likeness(data: Data, z: Tensor, labels: Tensor) -> dict[str, float]:
    """Distances of made rows (num, dim) of classes `labels` to real ones."""
    train_labels, held_out_labels = data.labels, data.held_out_labels
    assert train_labels is not None and held_out_labels is not None
    made, real = [], []
    for label in labels.unique().tolist():
        judge = data.held_out[held_out_labels == label]
        made.append(energy_distance(z[labels == label], judge))
        real.append(energy_distance(data.train[train_labels == label], judge))
    of = torch.isin(held_out_labels, labels)
    nearest = torch.cdist(z, data.train).amin(1)
    among_real = torch.cdist(data.held_out[of], data.train).amin(1)
    return {
        "energy_distance": float(np.mean(made)),
        "energy_distance/floor": float(np.mean(real)),
        "nearest_real": float(nearest.mean()),
        "nearest_real/floor": float(among_real.mean()),
        "nearest_real_least": float(nearest.amin()),
        "nearest_real_least/floor": float(among_real.amin()),
    }


# ---------------------------------------------------------------------- worth


def _worth(
    asked: Asked, config: AugmentConfig, generator: torch.Generator
) -> tuple[dict[str, float], Table]:
    """Balanced accuracies in percent and gains in points, over the splits."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    accuracies: dict[str, list[dict[str, float]]] = {}
    for index in range(config.num_splits):
        split = resplit(asked.data, len(asked.data.train), np.random.default_rng([seed, index]))
        own = torch.Generator().manual_seed((seed + index) % 2**31)
        for name, made in _rows_by_name(asked, config, split, own).items():
            assert split.labels is not None and split.held_out_labels is not None
            train = Rows.of(split.train, split.labels).with_more(made)
            test = Rows.of(split.held_out, split.held_out_labels)
            accuracies.setdefault(name, []).append(balanced_accuracies(train, test, index))
    means = {
        name: [float(np.mean([*each.values()])) for each in rows]
        for name, rows in accuracies.items()
    }
    gains = {name: gain(values, means["real"]) for name, values in means.items() if name != "real"}
    figures = {"balanced_accuracy": float(np.mean(means["made"]))}
    figures["balanced_accuracy/real"] = float(np.mean(means["real"]))
    figures |= {"gain": gains["made"].mean, "gain_error": gains["made"].error}
    for name in gains:
        if name != "made":
            figures[f"balanced_accuracy/{name}"] = float(np.mean(means[name]))
            figures[f"gain/{name}"] = gains[name].mean
            figures[f"gain_error/{name}"] = gains[name].error
    by_classifier = list(accuracies["real"][0])
    rows: list[Cells] = [
        [
            TITLES[name],
            float(np.mean(values)),
            *((gains[name].mean, gains[name].error) if name in gains else (None, None)),
            *(float(np.mean([each[of] for each in accuracies[name]])) for of in by_classifier),
        ]
        for name, values in means.items()
    ]
    columns = ["training rows", "balanced accuracy, %", "gain", "its standard error"]
    return figures, Table("table", [*columns, *by_classifier], rows)


def _rows_by_name(
    asked: Asked, config: AugmentConfig, split: Data, generator: torch.Generator
) -> dict[str, list[Rows]]:
    """Rows that are added to the real ones of a split, by name."""
    assert split.labels is not None
    method = refitted(asked.method, split, config.num_updates, generator)
    request = _request(method, config.label, config.num, asked)
    wanted = request.labels
    assert wanted is not None
    x, labels = split.train, split.labels
    made = {"made": conditional_sampling.draw(method, request, generator).position}
    if config.baselines:
        made["smote"] = smote(x, labels, wanted, generator)
        made["jitter"] = jittered(x, labels, wanted, JITTER, generator)
        made["start_rows"] = jittered(x, labels, wanted, START_NOISE, generator)
    return {"real": [], **{name: [Rows.of(z, wanted)] for name, z in made.items()}}


def refitted(method: Method, data: Data, num_updates: int, generator: torch.Generator) -> Method:
    """The same method with the same settings, fitted to other data by a number of updates."""
    device = method.task.device
    own = torch.Generator(device).manual_seed(
        int(torch.randint(2**31 - 1, (), generator=generator))
    )
    again = type(method)(method.config, replace(method.task, data=data.to(device), generator=own))
    with torch.enable_grad():  # questions are asked without
        for index in range(num_updates if again.trains else 0):
            again.step(index / num_updates)
    for module in again.modules():
        module.eval()
    return again


def _in_words(figures: dict[str, float], num_splits: int) -> str:
    """The gain with its standard error, and no claim where it is within two of them."""
    value, error = figures["gain"], figures["gain_error"]
    sentence = (
        f"Over {num_splits} splits five classifiers gain {value:+.2f} ± {error:.2f} points of "
        f"balanced accuracy on {figures['balanced_accuracy/real']:.1f} % (standard error)"
    )
    others = [
        f"{TITLES[name].removeprefix('With ')} {figures[f'gain/{name}']:+.2f}"
        for name in ("smote", "jitter", "start_rows")
        if f"gain/{name}" in figures
    ]
    sentence += f"; {', '.join(others)}." if others else "."
    if not abs(value) > 2 * error:
        sentence += " That is within two standard errors of nothing."
    return sentence
