"""Thinking: predictions by the number of steps, of several candidates the one of least energy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Cells, Problems, cloud, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data, Rows
from backend.events import Curve, Event, Table
from backend.metrics import prediction
from backend.observe import pictures
from backend.requests import thoughts as pictured
from backend.requests.predicting import PredictingMethod, Thought, not_predicting, think

MOST_LINES = 8
"""Candidates whose energies are drawn."""


class ThinkConfig(Config):
    num: int = option(
        500, "Held-out events that are predicted.", ge=2, le=20_000, main=True, log=True
    )
    num_steps: int | None = option(
        None,
        "Steps of thinking; empty takes twice those of training and two more.",
        ge=1,
        le=1000,
        main=True,
        log=True,
        sweep=(1, 100),
    )
    num_candidates: int = option(
        1,
        "Predictions of each event, from starts of their own; that of least energy is chosen.",
        ge=1,
        le=100,
        main=True,
    )
    settled: float = option(
        0.0,
        "A prediction rests once a step changes its energy by less than this; 0 lets none rest.",
        ge=0,
        le=1e6,
        unit="nats",
    )
    noise: float | None = option(
        None,
        "Standard deviation of fresh noise on the held-out events, which then are the contexts: "
        "denoising at other noise than in training. Empty takes the contexts of the data.",
        ge=0,
        le=100,
        unit="half the range",
        sweep=(0.1, 10.0),
        log=True,
    )


class ThinkAbility(Ability):
    """Errors after each step k, as `<figure>_k`; the chosen ones' after the last as `<figure>`.

    Beside those of the candidates' mean (`_candidates`) and of the best of them, picked with the
    truth in hand (`_oracle`), which no choice by energy can be better than. `passes` counts passes
    through the network, forward or back, of one event's answer.
    """

    id = "think"
    title = "Thinking"
    summary = "Predicts step by step: errors and energies on the way, the chosen and the discarded."
    references = "Gladstone et al. 2025"
    Config: ClassVar[type[Config]] = ThinkConfig

    @classmethod
    def problems(cls, asked: Asked, config: ThinkConfig) -> Problems:
        method = asked.method
        if not isinstance(method, PredictingMethod):
            yield "", not_predicting(method)
            return
        context = asked.data.held_out_given["context"]
        if config.noise is not None and not asked.data.is_event(context):
            yield "noise", "must be empty: the contexts of these data are no noisy events."
        for name, value, idle in (
            ("num_candidates", config.num_candidates, 1),
            ("settled", config.settled, 0.0),
        ):
            if not method.judges and value != idle:
                yield (
                    name,
                    f"must be {idle:g}: {method.title} has no energy to judge its own predictions.",
                )

    @classmethod
    def answer(cls, asked: Asked, config: ThinkConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, PredictingMethod)
        predictor, rows = method.predictor(), rows_of(data, config.num, config.noise, generator)
        num_steps = config.num_steps or 2 * predictor.num_steps + 2
        thoughts = [
            think(predictor, rows.given, generator, num_steps, config.settled)
            for _ in range(config.num_candidates)
        ]
        chosen = _chosen(thoughts)
        figures, name = _figures(data, rows, thoughts, chosen)
        taken = torch.stack([thought.num_taken for thought in thoughts]).sum(0).float().mean()
        figures["steps_taken"] = float(taken) / config.num_candidates
        figures["passes"] = float(taken) * predictor.passes_per_step
        beside = prediction.baselines(data, rows)
        figures |= {
            f"{figure}/{each}": value
            for each, row in beside.items()
            for figure, value in row.items()
        }
        last = torch.stack([thought.last for thought in thoughts])
        picked = last[chosen, torch.arange(len(rows.x), device=last.device)]
        arrays = {
            "x": pictures.in_units(data.restore(rows.x)),
            "predicted": pictures.in_units(_in_units(data, picked)),
            "energy": np.zeros(0, np.float32),
        }
        if thoughts[0].energies is not None:
            arrays["energy"] = pictures.float32(
                torch.stack([t.energies for t in thoughts if t.energies is not None])
            )
        by_step = [figures[f"{name}_{index}"] for index in range(num_steps + 1)]
        trained = predictor.num_steps
        true = pictured.true_energy(data, predictor, rows)
        events = [
            *pictured.ways("ways", data, rows, thoughts[0], trained, true),
            pictured.errors_by_step("by_step", by_step, name, trained),
            *_energies(thoughts, chosen),
            *(cloud("predicted", data, picked, "long_run") if _is_event(data, picked) else []),
            _table(figures, name, beside, num_steps),
        ]
        return Answer(
            _in_words(figures, name, num_steps, len(rows.x)), figures, arrays, tuple(events)
        )


def rows_of(data: Data, num: int, noise: float | None, generator: torch.Generator) -> Rows:
    """Held-out rows with their contexts, or with noisy versions of themselves in their place."""
    rows = data.held_out_rows(slice(0, num))
    if noise is None:
        return rows
    draws = torch.randn(rows.x.shape, generator=generator, device=rows.x.device)
    return rows._replace(given={**rows.given, "context": rows.x + noise * draws})


def _in_units(data: Data, x: Tensor) -> Tensor:
    """Positions in the user's units; logits stay what they are."""
    return data.restore(x) if _is_event(data, x) else x


def _is_event(data: Data, x: Tensor) -> bool:
    return x.shape[1:] == data.event_shape


def _chosen(thoughts: list[Thought]) -> Tensor:
    """(num,) index of the candidate of least energy, the first where nothing judges."""
    energies = [thought.energies[-1] for thought in thoughts if thought.energies is not None]
    if not energies:
        last = thoughts[0].last
        return torch.zeros(len(last), dtype=torch.int64, device=last.device)
    return torch.stack(energies).argmin(0)


def _figures(
    data: Data, rows: Rows, thoughts: list[Thought], chosen: Tensor
) -> tuple[dict[str, float], str]:
    """Figures by name, and which of them leads."""
    by_step = [prediction.figures_of(data, x, rows.x) for x in thoughts[0].positions]
    name = prediction.leading(by_step[0])
    last = torch.stack([thought.last for thought in thoughts])
    every = torch.arange(len(rows.x), device=last.device)
    errors = torch.stack([prediction.errors(x, rows.x) for x in last])
    figures = prediction.figures_of(data, last[chosen, every], rows.x)
    picks = {"oracle": prediction.figures_of(data, last[errors.argmin(0), every], rows.x)[name]}
    each = [prediction.figures_of(data, x, rows.x)[name] for x in last]
    picks["candidates"] = sum(each) / len(each)
    figures |= {f"{name}_{pick}": value for pick, value in picks.items()}
    figures |= {f"{name}_{index}": row[name] for index, row in enumerate(by_step)}
    steps = {index: row[name] for index, row in enumerate(by_step) if index}
    best = (max if name in prediction.HIGHER else min)(steps, key=lambda index: steps[index])
    figures |= {f"{name}_best": steps[best], "best_step": float(best)}
    figures["gain"] = abs(steps[best] - steps[1])
    energies = [thought.energies for thought in thoughts if thought.energies is not None]
    if energies:
        figures["energy_drop"] = float((energies[0][0] - energies[0][-1]).mean())
    if len(energies) > 1:
        figures["energy_error_correlation"] = _correlation(
            torch.stack([each[-1] for each in energies]), errors
        )
    return figures, name


def _correlation(energies: Tensor, errors: Tensor) -> float:
    """Correlation of energies and errors (candidates, num) within the candidates of each event."""
    off = [each.double() - each.double().mean(0) for each in (energies, errors)]
    product = (off[0] * off[1]).sum()
    return float(product / (off[0].square().sum() * off[1].square().sum()).sqrt().clamp(min=1e-30))


def _energies(thoughts: list[Thought], chosen: Tensor) -> list[Event]:
    """Energies of the candidates of the first event, by step: one context, so as they are."""
    energies = [thought.energies[:, 0] for thought in thoughts if thought.energies is not None]
    if not energies:
        return []
    first = int(chosen[0])
    order = [first, *(index for index in range(len(energies)) if index != first)][:MOST_LINES]
    lines = pictures.float32(torch.stack([energies[index] for index in order]))
    names = ["chosen", *(f"discarded {index}" for index in range(1, len(order)))]
    steps = np.arange(lines.shape[1], dtype=np.float32)
    return [Curve("energies", steps, lines, names, "inner steps", "nats")]


def _table(
    figures: dict[str, float], name: str, beside: dict[str, dict[str, float]], num_steps: int
) -> Table:
    rows: list[Cells] = [
        ["one step", figures[f"{name}_1"]],
        [f"{num_steps} steps", figures[f"{name}_{num_steps}"]],
        [f"the best step, {figures['best_step']:.0f}", figures[f"{name}_best"]],
        ["chosen by energy", figures[name]],
        ["the best candidate, by the truth", figures[f"{name}_oracle"]],
    ]
    rows += [[prediction.TITLES[each], row[name]] for each, row in beside.items()]
    return Table("table", ["predicted by", name], rows)


def _in_words(figures: dict[str, Any], name: str, num_steps: int, num: int) -> str:
    title = {"psnr": "PSNR", "bits": "Bits a value"}.get(name, "Squared error")
    unit = f" {prediction.UNITS[name]}" if name == "psnr" else ""
    return (
        f"{title} {nats(figures[f'{name}_1'])}{unit} after one step, "
        f"{nats(figures[f'{name}_best'])} after {figures['best_step']:.0f}, the best, and "
        f"{nats(figures[f'{name}_{num_steps}'])} after {num_steps}, over {num:,} held-out events; "
        f"{figures['passes']:,.0f} passes through the network each."
    )
