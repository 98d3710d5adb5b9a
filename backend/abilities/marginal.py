"""Log-probability of a part of an event in one pass, beside the chain it replaces."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.abilities import Cells, Numbers, Problems, cloud, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Event, Images, Table
from backend.metrics.marginal_timing import Milliseconds, timed
from backend.networks.any_order import chain_log_prob, random_orders
from backend.observe import pictures
from backend.requests import masks
from backend.requests.marginal_figures import Judge, marginal_law
from backend.requests.marginals import MarginalMethod


class MarginalConfig(Config):
    known: Literal["all", "random", "drawn"] = option(
        "all",
        "The part whose log-probability is asked: the whole event, random places of it, or what a "
        "drawn mask leaves.",
        main=True,
        group="The part",
    )
    row: int = option(
        0,
        "Held-out event that gives the values, by its row from 0.",
        ge=0,
        le=10_000_000,
        main=True,
        group="The part",
        pointed="row",
    )
    mask: str = option(
        "",
        "What was drawn, row by row from the upper left: k20h8k36 is 20 places known, 8 hidden and "
        "summed out, 36 known.",
        max_length=masks.MOST_CHARACTERS,
        group="The part",
        pointed="mask",
        implies={"known": "drawn"},
    )
    share: float = option(
        0.5,
        "Share of the random places that are known.",
        gt=0,
        lt=1,
        group="The part",
        sweep=(0.1, 0.9),
    )
    values: Numbers = option(
        [],
        "Values of the known places, row by row, with commas between; empty takes the event's.",
        max_length=4096,
        group="The part",
    )
    num: int = option(
        20, "Held-out events that are listed beside it.", ge=1, le=1000, group="Beside it"
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.known != "random":
            notes["share"] = "No effect unless the places are random."
        if self.known != "drawn":
            notes["mask"] = "No effect unless the part is drawn."
        return notes


class MarginalAbility(Ability):
    """log p(x_S) = M(x_S), all other places summed out.

    The chain of conditionals has the same number by as many passes as there are known places, or by
    one pass over all its prefixes; both are timed beside it, one query at a time. Where all states
    can be listed the exact value stands beside it.
    """

    id = "marginal"
    title = "Marginal"
    summary = "The log-probability of any part of an event, and how long it takes to have it."
    references = "Liu, Ramadge & Adams 2024"
    to_choose = ("known",)
    Config: ClassVar[type[Config]] = MarginalConfig

    @classmethod
    def problems(cls, asked: Asked, config: MarginalConfig) -> Problems:
        method, data = asked.method, asked.data
        if not isinstance(method, MarginalMethod):
            yield "num", f"{method.title} knows no marginals. Train a `marginalization` model."
            return
        if config.row >= (num := len(data.held_out)):
            yield "row", f"must be < {num}, the held-out rows, got {config.row}."
        sites = data.event_shape.numel()
        if config.known == "drawn":
            try:
                hidden = masks.read(config.mask, sites)
            except ValueError as error:
                yield "mask", str(error)
                return
            num_known = int((~hidden).sum())
            if not num_known:
                yield "mask", "must leave a part of the event, and hides all of it."
        else:
            num_known = sites if config.known == "all" else _num_known(config.share, sites)
        q = data.num_values
        assert q is not None
        if config.values and len(config.values) != num_known:
            yield (
                "values",
                f"must be {num_known}, one for each known place, got {len(config.values)}.",
            )
        if wrong := [v for v in config.values if v not in range(q)]:
            yield "values", f"must be whole numbers from 0 to {q - 1}, got {wrong[0]:g}."

    @classmethod
    def answer(cls, asked: Asked, config: MarginalConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, MarginalMethod)
        model = method.marginals()
        x, known = _part(asked, config, generator)
        ranks = random_orders(1, model.sites, generator)
        judge = Judge(model, data, method.log_target)
        figures = {
            "log_p": float(model.log_marginal(x, known)),
            "log_p/chain": float(chain_log_prob(model, x, known, ranks)),
            "num_known": float(known.sum()),
        }
        if (truth := judge.truth) is not None:
            part = known[0].nonzero()[:, 0].cpu()
            law = marginal_law(truth.probabilities, part.tolist(), model.sites, model.num_values)
            place = model.num_values ** torch.arange(len(part) - 1, -1, -1)
            figures["log_p/exact"] = float(law[(x[0].cpu().long()[part] * place).sum()].log())
        listed = data.held_out[: config.num]
        of_listed = judge.log_marginal(listed.flatten(1))
        events: list[Event] = [
            *_picture(asked, x, known),
            *cloud("positions", data, listed, "data", -of_listed),
            _table(figures, timed(model, x, known, ranks)),
        ]
        arrays = {
            "x": pictures.float32(x.reshape(data.event_shape)),
            "known": known.reshape(data.event_shape).cpu().numpy(),
            "held_out_log_p": pictures.float32(of_listed),
        }
        return Answer(_in_words(figures, model.sites), figures, arrays, tuple(events))


def _num_known(share: float, sites: int) -> int:
    return min(max(round(share * sites), 1), sites)


def _part(
    asked: Asked, config: MarginalConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Values and what is known, (1, sites) each."""
    data = asked.data
    x = data.held_out[config.row].flatten()[None].clone()
    sites, device = x.shape[1], x.device
    if config.known == "drawn":
        known = ~masks.read(config.mask, sites).to(device)[None]
    elif config.known == "random":
        ranks = random_orders(1, sites, generator)
        known = ranks < _num_known(config.share, sites)
    else:
        known = torch.ones_like(x, dtype=torch.bool)
    if config.values:
        x[known] = torch.tensor(config.values, dtype=x.dtype, device=device)
    return x, known


def _picture(asked: Asked, x: Tensor, known: Tensor) -> list[Event]:
    """The part, the places that are summed out hatched."""
    data = asked.data
    event = x.reshape(1, *data.event_shape)
    hidden = (~known).reshape(data.event_shape).to(torch.uint8).cpu().numpy()
    given = cloud("part", data, event, "data")
    return [replace(e, hidden=hidden) if isinstance(e, Images) else e for e in given]


def _table(figures: dict[str, float], spent: Milliseconds) -> Table:
    rows: list[Cells] = [
        ["M, one pass", figures["log_p"], spent.one_pass, 1.0],
        [
            "chain, one batch of prefixes",
            figures["log_p/chain"],
            spent.one_batch,
            spent.one_batch / spent.one_pass,
        ],
        [
            "chain, pass by pass",
            figures["log_p/chain"],
            spent.one_by_one,
            spent.one_by_one / spent.one_pass,
        ],
    ]
    if "log_p/exact" in figures:
        rows.append(["exact, of all states", figures["log_p/exact"], None, None])
    return Table("table", ["by", "log p, nats", "milliseconds", "times as long"], rows)


def _in_words(figures: dict[str, float], sites: int) -> str:
    exact = figures.get("log_p/exact")
    beside = "" if exact is None else f"; exactly {nats(exact)}"
    return (
        f"log p of {int(figures['num_known'])} of {sites} places is {nats(figures['log_p'])} by M "
        f"in one pass, {nats(figures['log_p/chain'])} by the chain of conditionals{beside}."
    )
