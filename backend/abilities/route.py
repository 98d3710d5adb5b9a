"""Sending inputs on to a larger classifier where a small one is unsure: accuracy and cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from backend.abilities import Cells, Problems
from backend.abilities.classify import CHUNK, class_log_probs, class_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.errors import BadInput, NotAvailable
from backend.events import Curve, Event, Table
from backend.metrics import routing
from backend.metrics.density import energies
from backend.metrics.detection import auroc
from backend.observe import pictures

ScoreName = Literal["energy", "max_probability", "entropy", "margin"]
LogProbs = Callable[[Tensor], Tensor | None]


class RouteConfig(Config):
    score: ScoreName = option(
        "energy",
        "Highest where an input is sent on: energy, or by the small one's probabilities.",
        main=True,
    )
    share: float = option(
        0.3,
        "Share of the inputs that the larger one answers; the threshold of the score follows.",
        ge=0,
        le=1,
        main=True,
        sweep=(0, 1),
    )
    larger_run: str = option(
        "",
        "Id of a run on the same kind of data that answers what is sent on; empty takes the larger "
        "model that the run has itself.",
        max_length=80,
        main=True,
    )
    slack: float = option(
        routing.SLACK,
        "Accuracy that may be given up against the larger one where a threshold is chosen.",
        ge=0,
        le=1,
        unit="share",
    )


class RouteAbility(Ability):
    """Accuracy of held-out data over the share that the larger classifier answers.

    The highest scores are sent on. area: mean accuracy over all shares, beside a straight line for
    sending on at random and an oracle that knows who is right. share_needed: the smallest share
    that gives the larger one's accuracy less `slack`, in hindsight; chosen_share and
    chosen_accuracy are by a threshold chosen on other held-out data. cost: multiplications of the
    pair over those of the larger one alone, which answers all.
    """

    id = "route"
    title = "Routing to a larger model"
    order = 1
    summary = "Sends inputs on to a larger model where this one is unsure: accuracy and cost."
    references = "Akbari et al. 2022"
    Config: ClassVar[type[Config]] = RouteConfig

    @classmethod
    def problems(cls, asked: Asked, config: RouteConfig) -> Problems:
        if objections := [*class_problems(asked, "score")]:
            yield from objections
            return
        if asked.data.held_out_labels is None:
            yield "score", "is judged by the classes of held-out data, and these have none."
        if config.score == "energy" and not asked.method.has_energy:
            yield "score", "must be another: " + asked.method.no_energy()
        try:
            if _larger(asked, config)(asked.data.held_out[:1]) is None:
                yield (
                    "larger_run",
                    f"is needed: {asked.method.title} has no larger model beside it. Give the id "
                    "of a run that tells the same classes apart.",
                )
        except (BadInput, NotAvailable) as error:
            yield "larger_run", str(error)

    @classmethod
    @torch.no_grad()
    def answer(cls, asked: Asked, config: RouteConfig, generator: torch.Generator) -> Answer:
        z, labels = asked.data.held_out, asked.data.held_out_labels
        assert labels is not None
        larger = _larger(asked, config)
        log_probs = class_log_probs(asked, z)
        of_larger = [part for x in z.split(CHUNK) if (part := larger(x)) is not None]
        small = log_probs.argmax(1) == labels
        large = torch.cat(of_larger).argmax(1) == labels
        energy = energies(asked.method.energy(), z) if asked.method.has_energy else None
        scores = routing.scores_of(log_probs, energy)
        curves = {
            name: routing.accuracies(score, small, large)
            for name, score in [*scores.items(), ("oracle", routing.oracle_score(small, large))]
        }
        curve, score = curves[config.score], scores[config.score]
        shares = torch.linspace(0, 1, len(curve), dtype=torch.float64, device=curve.device)
        curves["random"] = curve[0] + shares * (curve[-1] - curve[0])
        num = round(config.share * len(z))
        chosen = routing.with_chosen_threshold(score, small, large, config.slack)
        figures = {
            "accuracy": float(curve[num]),
            "accuracy/small": float(curve[0]),
            "accuracy/larger": float(curve[-1]),
            "accuracy/random": float(curves["random"][num]),
            "threshold": float(score.sort(descending=True).values[max(num - 1, 0)]),
            "chosen_share": chosen.share,
            "chosen_accuracy": chosen.accuracy,
            "chosen_accuracy/larger": chosen.large,
            "chosen_loss": chosen.large - chosen.accuracy,
        }
        for name, each in curves.items():
            figures[f"area/{name}"] = routing.area(each)
            figures[f"share_needed/{name}"] = routing.share_needed(each, config.slack)
            if name in scores and 0 < int(small.sum()) < len(small):
                figures[f"auroc/{name}"] = auroc(scores[name][small], scores[name][~small])
        figures |= _costs(asked, larger, config.share)
        events: list[Event] = [
            _table(curves, figures),
            _curve(curves),
            pictures.histogram(
                "score", {"small right": score[small], "small wrong": score[~small]}, 40
            ),
        ]
        arrays = {"sent": (score.argsort(descending=True).argsort() < num).cpu().numpy()}
        arrays |= {f"accuracy_{name}": each.cpu().numpy() for name, each in curves.items()}
        return Answer(_in_words(config, figures), figures, arrays, tuple(events))


def _larger(asked: Asked, config: RouteConfig) -> LogProbs:
    """log p(label | z) of who answers what is sent on, of z standardised as the run's data are.

    Raises BadInput or NotAvailable where another run cannot.
    """
    if not config.larger_run:
        return asked.method.larger_log_probs
    if asked.load is None:
        raise NotAvailable("Other runs cannot be read here.")
    other = asked.load(config.larger_run)
    if other.data.event_shape != asked.data.event_shape:
        shape = tuple(other.data.event_shape)
        raise BadInput.at("larger_run", f"has events of shape {shape}, another than this run's.")
    if other.data.num_labels != asked.data.num_labels:
        raise BadInput.at(
            "larger_run", f"tells {other.data.num_labels} classes apart, another number."
        )

    def log_probs(z: Tensor) -> Tensor | None:
        x = other.data.standardise(asked.data.restore(z)).to(z.dtype)
        return other.method.class_log_probs(x)

    if log_probs(asked.data.held_out[:1]) is None:
        raise BadInput.at(
            "larger_run", f"is of {other.method.title}, which tells no classes apart."
        )
    return log_probs


def _costs(asked: Asked, larger: LogProbs, share: float) -> dict[str, float]:
    """Cost of the pair over that of the larger one alone, by operations on one input; nothing where
    they cannot be counted."""
    x = asked.data.held_out[:1]
    counts = []
    for log_probs in (asked.method.class_log_probs, larger):
        with FlopCounterMode(display=False) as counter:
            log_probs(x)
        counts.append(counter.get_total_flops())
    small, large = counts
    return {"cost": small / large + share, "cost/larger": 1.0} if small and large else {}


def _curve(curves: dict[str, Tensor]) -> Curve:
    x = np.linspace(0, 1, 101)
    y = [np.interp(x, np.linspace(0, 1, len(each)), each.cpu().numpy()) for each in curves.values()]
    return Curve(
        "accuracy", x.astype(np.float32), np.array(y, np.float32), list(curves), "share sent on"
    )


def _table(curves: dict[str, Tensor], figures: dict[str, float]) -> Table:
    rows: list[Cells] = [
        [name.replace("_", " "), *(figures.get(f"{of}/{name}") for of in _OF_SCORES)]
        for name in curves
    ]
    columns = ["sent on by", "accuracy over shares", "share needed", "AUROC of small one wrong"]
    return Table("table", columns, rows)


_OF_SCORES = ("area", "share_needed", "auroc")


def _in_words(config: RouteConfig, figures: dict[str, float]) -> str:
    name = config.score.replace("_", " ")
    sentence = (
        f"With {config.share:.0%} sent on by {name}, {figures['accuracy']:.1%} are told right: "
        f"{figures['accuracy/small']:.1%} by the small one alone, {figures['accuracy/larger']:.1%} "
        f"by the larger one, {figures['accuracy/random']:.1%} with as many sent on at random."
    )
    if "cost" in figures:
        sentence += f" The pair costs {figures['cost']:.0%} of the larger one."
    best = max(
        (score for score in routing.SCORES if f"area/{score}" in figures),
        key=lambda score: figures[f"area/{score}"],
    )
    if best != config.score and figures[f"area/{best}"] > figures[f"area/{config.score}"]:
        sentence += f" Over all shares {best.replace('_', ' ')} does better than {name}."
    return sentence
