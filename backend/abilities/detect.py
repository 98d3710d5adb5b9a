"""Telling what is not like the data, by several scores, beside Gaussians that do as well or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import BeforeValidator
from torch import Tensor

from backend import catalogue
from backend.abilities import (
    Cells,
    Problems,
    cloud,
    positions_problems,
    read_positions,
    split_list,
)
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config, option
from backend.data import Data
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.events import Curve, Event, Table
from backend.metrics import outliers
from backend.metrics.baselines import class_gaussian_energy, gaussian_energy
from backend.metrics.density import energies
from backend.metrics.detection import auroc, roc
from backend.observe import pictures

ScoreName = Literal["energy", "typicality", "gradient", "class_log_sum"]
Score = Callable[[Tensor], Tensor]

BASELINES = ("gaussian", "class_gaussian")
AS_GOOD = 0.005
"""An AUROC this little below the best is as good."""
CHUNK = 1024
NUM_BINS = 60


class DetectConfig(Config):
    sets: Annotated[list[outliers.Kind], BeforeValidator(split_list)] = option(
        [],
        "Outliers made of noise or of the held-out data, with commas between: uniform, "
        "shuffled and, of images, inverted, rot90, rot180; empty takes all that there are.",
        max_length=5,
        main=True,
        group="Outliers",
    )
    data: str = option(
        "",
        "Another data set whose events have the same shape, by its name; empty for none.",
        max_length=100,
        main=True,
        group="Outliers",
    )
    path: str = option(
        "",
        "Outliers of a file, .npy (num, ...) or a table, in the data's units; empty for none.",
        max_length=1000,
        main=True,
        group="Outliers",
    )
    scores: Annotated[list[ScoreName], BeforeValidator(split_list)] = option(
        [],
        "Scores, with commas between: energy, typicality, gradient and, of runs with classes, "
        "class_log_sum; empty takes all that there are.",
        max_length=4,
        group="Scores",
    )
    num: int = option(
        500,
        "At most so many held-out events, and outliers of each kind.",
        ge=10,
        le=100_000,
        log=True,
        group="Scores",
    )


class DetectAbility(Ability):
    """AUROC of scores that are higher for outliers, held-out data against each set.

    energy: E(x). typicality: |E(x) − mean E(train)|. gradient: |∇E(x)|. class_log_sum: −log Σ
    exp(−E(x | label)). gaussian, class_gaussian: the energies of Gaussians fitted to the training
    data. A set that those tell as well says nothing of the run.
    """

    id = "detect"
    title = "Outlier detection"
    summary = "How well the run's scores tell held-out data from what is unlike them."
    references = "Nalisnick et al. 2019; Grathwohl et al. 2020"
    needs_energy: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True
    to_choose = ("sets", "scores")
    Config: ClassVar[type[Config]] = DetectConfig

    @classmethod
    def problems(cls, asked: Asked, config: DetectConfig) -> Problems:
        data = asked.data
        for name in config.sets:
            if reason := outliers.not_made(data, name):
                yield "sets", reason
        if "class_log_sum" in config.scores and asked.method.num_labels == 0:
            title = asked.method.title
            yield "scores", f"class_log_sum needs classes, and {title} was trained without any."
        if "gradient" in config.scores and data.num_values is not None:
            yield "scores", "gradient needs real numbers, and these data are whole ones."
        yield from positions_problems(data, config.path)
        if config.data:
            yield from _other_problems(data, config.data)

    @classmethod
    def answer(cls, asked: Asked, config: DetectConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        inliers = data.held_out[: config.num]
        sets = _outliers(data, config, generator)
        scores = _scores(asked, config)
        of_inliers = {name: score(inliers) for name, score in scores.items()}
        by_kind: dict[str, dict[str, float]] = {}
        events: list[Event] = []
        arrays: dict[str, Array] = {
            f"held_out_{name}": pictures.float32(values) for name, values in of_inliers.items()
        }
        energy_of = {"train": data.train[: config.num], "held_out": inliers, **sets}
        energy = asked.method.energy()
        by_set = {name: energies(energy, z) for name, z in energy_of.items()}
        events.append(pictures.histogram("energies", by_set, NUM_BINS))
        arrays["train_energy"] = pictures.float32(by_set["train"])
        for kind, z in sets.items():
            of_set = {name: score(z) for name, score in scores.items()}
            by_kind[kind] = {name: auroc(of_inliers[name], of_set[name]) for name in scores}
            arrays |= {f"{kind}_{name}": pictures.float32(v) for name, v in of_set.items()}
            events += [
                _curves(kind, of_inliers, of_set),
                *cloud(f"outliers/{kind}", data, z, "noise"),
            ]
        figures = {
            f"{kind}/{name}": value for kind, row in by_kind.items() for name, value in row.items()
        }
        rows: list[Cells] = [[kind, *row.values()] for kind, row in by_kind.items()]
        events.insert(0, Table("table", ["outliers", *scores], rows))
        return Answer(_in_words(by_kind), figures, arrays, tuple(events))


def _curves(kind: str, inliers: dict[str, Tensor], outliers: dict[str, Tensor]) -> Curve:
    share = np.linspace(0, 1, 101)
    rates = []
    for name in inliers:
        false, true = roc(inliers[name], outliers[name], 200)
        rates.append(np.interp(share, false.cpu().numpy(), true.cpu().numpy()))
    y = np.array(rates, np.float32)
    return Curve(f"roc/{kind}", share.astype(np.float32), y, list(inliers), "false positives")


# ---------------------------------------------------------------------- outliers


def _outliers(data: Data, config: DetectConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Standardised outliers (at most num, *event_shape) by kind."""
    kinds = config.sets or outliers.KINDS
    z = data.held_out[: config.num]
    made = outliers.made(data, z, generator, kinds)
    if config.data:
        other = catalogue.resolve_data({"name": config.data}).load()
        x = other.restore(other.held_out).to(z.device)
        made[config.data] = data.standardise(x)[: config.num].to(z)
    if config.path:
        made["file"] = read_positions(data, config.path)[: config.num]
    return made


def _other_problems(data: Data, name: str) -> Problems:
    """Reason why the events of another data set cannot be looked at by this run."""
    try:
        other = catalogue.resolve_data({"name": name}).load()
    except BadInput as error:
        yield "data", "; ".join(problem.message for problem in error.problems)
        return
    if other.event_shape != data.event_shape:
        shapes = tuple(other.event_shape), tuple(data.event_shape)
        yield "data", f"`{name}` has events of shape {shapes[0]}, and this run's are {shapes[1]}."


# ---------------------------------------------------------------------- scores


def _scores(asked: Asked, config: DetectConfig) -> dict[str, Score]:
    """Functions of z (num, *event_shape), higher for outliers, the Gaussians' last."""
    data, method, energy = asked.data, asked.method, asked.method.energy()
    typical = energies(energy, data.train).mean()

    def gradient(z: Tensor) -> Tensor:
        parts = [energy_and_gradient(energy, part)[1] for part in z.split(CHUNK)]
        return torch.cat(parts).flatten(1).norm(dim=1)

    def class_log_sum(z: Tensor) -> Tensor:
        each = [energies(method.conditional_energy(k), z) for k in range(method.num_labels)]
        return -torch.stack(each).neg().logsumexp(0)

    known: dict[str, Score] = {
        "energy": lambda z: energies(energy, z),
        "typicality": lambda z: (energies(energy, z) - typical).abs(),
    }
    if data.num_values is None:
        known["gradient"] = gradient
    if method.num_labels:
        known["class_log_sum"] = class_log_sum
    chosen = {name: known[name] for name in config.scores or known}
    chosen["gaussian"] = gaussian_energy(data)
    if data.labels is not None:
        chosen["class_gaussian"] = class_gaussian_energy(data)
    return chosen


def _in_words(by_kind: dict[str, dict[str, float]]) -> str:
    sentences, easy = [], []
    for kind, row in by_kind.items():
        own = {name: value for name, value in row.items() if name not in BASELINES}
        free = max((row[name], name) for name in BASELINES if name in row)
        best = max(own, key=lambda name: own[name])
        sentences.append(f"{kind} {own[best]:.3f} by {best}")
        if free[0] >= own[best] - AS_GOOD:
            easy.append(f"{kind} ({free[0]:.3f})")
    text = f"AUROC: {', '.join(sentences)}."
    if easy:
        text += f" A Gaussian fitted to the data does as well on {', '.join(easy)}."
    return text
