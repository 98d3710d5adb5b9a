"""Figures and pictures of marginals: against the chain of conditionals, a target and its exact law.

Two laws are judged: M, the log-marginals, and the chain of conditionals that draws are of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.data import Data
from backend.energies.discrete import DiscreteEnergy, Enumeration, enumerated, states_at
from backend.energies.state_shares import l1_of_draws
from backend.events import Curve, Event, Scalar
from backend.metric_names import Figure
from backend.metrics import event_histograms
from backend.metrics.event_histograms import NUM_BINS, histogram_distances
from backend.metrics.marginal_timing import timed
from backend.metrics.weighted_points import weighed
from backend.networks.any_order import Filled, Marginals, chain_log_prob, fill_in, random_orders
from backend.observe import pictures
from backend.samplers.annealing import weight_ess

NUM_LIVE = 128
"""Events drawn for a look while a run trains."""
NUM_HELD_OUT = 400
"""At most so many held-out events' chains are evaluated, a row for each site of each."""
NUM_TOP = 200
"""Likeliest states whose probabilities are drawn."""
NUM_PARTS = 200
"""Random parts of each size that are judged."""
PART_SIZES = (2, 4, 8)
CHUNK = 2**14

FIGURES: dict[str, Figure] = {
    "target/gap_sd": Figure(
        "Spread of f − M over draws",
        "nats, sd",
        log=True,
        better="lower",
        help="0 where M is the log-probability of the target, whatever its log Z.",
    ),
    "consistency/error": Figure(
        "Self-consistency error",
        "nats, rms",
        log=True,
        better="lower",
        help="Of one more site: M of a part plus log C of the site against M of both.",
    ),
    "consistency/of_nothing": Figure(
        "|M| of the empty part", "nats", log=True, better="lower", help="0 where M is normalised."
    ),
    "consistency/chain_error": Figure(
        "M against its own chain", "nats, rms", log=True, better="lower", help="On the draws."
    ),
    "consistency/held_out_error": Figure(
        "M against its own chain, held out", "nats, rms", log=True, better="lower"
    ),
    "log_z/importance": Figure(
        "log Z by importance", "nats", help="Draws of the chain, weighted by exp(f) over their law."
    ),
    "log_z/importance_error": Figure(
        "Error of log Z by importance", "nats", log=True, better="lower"
    ),
    "weights/ess": Figure("Effective share of the weights", better="higher"),
    "marginals/log_total": Figure(
        "log Σ exp M", "nats", help="0 where M is normalised; far above, M is no likelihood."
    ),
    "marginals/log_prob_error": Figure(
        "Error of log p of an event",
        "nats, rms",
        log=True,
        better="lower",
        help="Over the exact law.",
    ),
    "marginals/single_error": Figure(
        "Error of log p of one site", "nats, rms", log=True, better="lower"
    ),
    **{
        f"marginals/error_of_{size}": Figure(
            f"Error of log p of {size} sites", "nats, rms", log=True, better="lower"
        )
        for size in PART_SIZES
    },
    "marginals/milliseconds": Figure("One marginal of all sites", "ms", log=True, better="lower"),
    "marginals/times_one_batch": Figure(
        "Chain in one batch of prefixes against M", "times as long", better="higher"
    ),
    "marginals/times_one_by_one": Figure(
        "Chain pass by pass against M", "times as long", better="higher"
    ),
    "marginals/held_out": Figure(
        "Mean M of held-out events", "nats", help="No likelihood unless log Σ exp M is 0."
    ),
    "quality/reverse_kl": Figure(
        "KL of the draws' law to the target", "nats", log=True, better="lower"
    ),
    **event_histograms.FIGURES,
    "density/any_order_log_likelihood": Figure(
        "Held-out log-likelihood in any order",
        "nats",
        better="higher",
        help="Of the chain of conditionals, on average over orders.",
    ),
    "completion/error": Figure(
        "Wrong sites of half-hidden events", "share", better="lower", help="Of one draw each."
    ),
    "loss/any_order": Figure("Negative any-order log-likelihood", "nats", better="lower"),
}


class Judge(NamedTuple):
    """Judge of trained networks by the data they are of, and by f where a target is known."""

    model: Marginals
    data: Data
    log_target: Callable[[Tensor], Tensor | None]
    """events (num, sites) → f (num,), or None"""

    @property
    def truth(self) -> Enumeration | None:
        """All states of a known target; None where there are none, or too many."""
        target = self.data.density or self.data.target
        return enumerated(target) if isinstance(target, DiscreteEnergy) else None

    @property
    def log_z(self) -> float | None:
        """log Σ exp f, exactly, where it is known."""
        density = self.data.density
        return density.offset if isinstance(density, DiscreteEnergy) else None

    def log_marginal(self, x: Tensor) -> Tensor:
        """M (num,) of whole events (num, sites)."""
        with torch.no_grad():
            parts = x.split(CHUNK)
            return torch.cat(
                [self.model.log_marginal(s, torch.ones_like(s, dtype=torch.bool)) for s in parts]
            )

    # ------------------------------------------------------------------ of draws

    def of_draws(self, drawn: Filled) -> dict[str, float]:
        """Figures of draws of the chain, and of f − M on them."""
        marginal = self.log_marginal(drawn.x)
        figures = {
            "consistency/chain_error": _rms(marginal - drawn.log_prob),
            "marginals/log_total": weighed(marginal - drawn.log_prob)[0],
        }
        if (log_target := self.log_target(drawn.x)) is None:
            return figures
        gap = (log_target - marginal).double()
        weights = log_target - drawn.log_prob
        figures |= {
            "target/gap_sd": float(gap.std()),
            "log_z/importance": weighed(weights)[0],
            "weights/ess": float(weight_ess(weights.double())),
        }
        if self.log_z is not None:
            by_weight = abs(figures["log_z/importance"] - self.log_z)
            figures |= {
                "log_z/exact": self.log_z,
                "log_z/estimate/goal": self.log_z,
                "log_z/error": abs(float(gap.mean()) - self.log_z),
                "log_z/importance_error": by_weight,
            }
        return figures

    def live(self, drawn: Filled) -> Iterable[Event]:
        """Figures of draws, their histograms beside the data's, and log-probabilities beside the
        exact ones."""
        for path, value in self.of_draws(drawn).items():
            if path != "target/gap_sd":  # the curve is that of training's own events
                yield Scalar(path, value)
        held_out = self.data.held_out.flatten(1)
        sets = {"data": held_out, "train_time": drawn.x}
        means = {role: x.mean(1) for role, x in sets.items()}
        yield pictures.histogram("target/mean_value", means, NUM_BINS, "mean value of a site")
        f = {role: self.log_target(x) for role, x in sets.items()}
        known = {role: -values for role, values in f.items() if values is not None}
        if not known:
            return
        yield pictures.histogram("target/energy", known, NUM_BINS)
        if self.log_z is not None:
            exact, order = (-known["train_time"] - self.log_z).sort()
            learned = self.log_marginal(drawn.x)[order]
            yield _curve("marginals/log_prob", exact, [learned, exact], ["M", "exact"], "log p")
        if (truth := self.truth) is not None:
            yield self._likeliest(truth)

    def _likeliest(self, truth: Enumeration) -> Curve:
        """Probabilities of the likeliest states, exact and learned."""
        num = min(NUM_TOP, len(truth.probabilities))
        top, index = truth.probabilities.topk(num)
        states = states_at(index, (self.model.sites,), self.model.num_values)
        learned = self.log_marginal(states.to(self.data.train)).exp()
        rank = torch.arange(1, num + 1)
        return _curve("distribution/states", rank, [top, learned], ["target", "exp M"], "rank")

    # ------------------------------------------------------------------ at the end

    def final(self, drawn: Filled, generator: torch.Generator) -> dict[str, float]:
        """Figures of a trained run: of draws, of held-out events and, where every state can be
        listed, of both laws."""
        figures = (
            self.of_draws(drawn)
            | self._held_out(len(drawn.x), generator)
            | histogram_distances(self.data, drawn.x, self.log_target)
        )
        if (truth := self.truth) is not None:
            figures |= self._exactly(truth, generator)
            figures["quality/l1/train_time"] = l1_of_draws(truth, drawn.x)
            figures["quality/l1/floor"] = l1_of_draws(truth, truth.draw(len(drawn.x), generator))
        x = drawn.x[:1]
        ranks = random_orders(1, x.shape[1], generator)
        spent = timed(self.model, x, torch.ones_like(x, dtype=torch.bool), ranks)
        return figures | {
            "marginals/milliseconds": spent.one_pass,
            "marginals/times_one_batch": spent.one_batch / spent.one_pass,
            "marginals/times_one_by_one": spent.one_by_one / spent.one_pass,
        }

    def _held_out(self, num: int, generator: torch.Generator) -> dict[str, float]:
        x = self.data.held_out[: min(num, NUM_HELD_OUT)].flatten(1)
        orders = random_orders(len(x), x.shape[1], generator)
        with torch.no_grad():
            chain = chain_log_prob(self.model, x, torch.ones_like(x, dtype=torch.bool), orders)
        marginal = self.log_marginal(x)
        sites = x.shape[1]
        num_hidden = max(sites // 2, 1)
        ranks = random_orders(len(x), x.shape[1], generator)
        known = ranks < sites - num_hidden
        filled = fill_in(self.model, x, known, ranks, generator, num_hidden).x
        shares = independent(self.data)
        logs = shares.log().expand(len(x), -1, -1).gather(2, x.long()[..., None]).squeeze(2)
        # a draw of the same frequencies is wrong as often as two of them differ
        wrong = (1 - shares.expand(len(x), -1, -1).gather(2, x.long()[..., None]).squeeze(2))[
            ~known
        ]
        return {
            "density/any_order_log_likelihood": float(chain.mean()),
            "density/any_order_log_likelihood/independent": float(logs.sum(1).mean()),
            "consistency/held_out_error": _rms(marginal - chain),
            "marginals/held_out": float(marginal.mean()),
            "completion/error": float((filled != x)[~known].float().mean()),
            "completion/error/independent": float(wrong.mean()),
        }

    def _exactly(self, truth: Enumeration, generator: torch.Generator) -> dict[str, float]:
        model, exact = self.model, truth.probabilities
        device, sites, q = self.data.train.device, model.sites, model.num_values
        index = torch.arange(len(exact), device=device)
        marginal = torch.cat(
            [self.log_marginal(states_at(part, (sites,), q)) for part in index.split(CHUNK)]
        )
        marginal = marginal.double().cpu()
        chain = sequential_law(model, device).double().cpu()
        log_exact = exact.log()
        figures = {
            "marginals/log_prob_error": float(
                (exact * (marginal - log_exact).square()).sum().sqrt()
            ),
            "marginals/log_total": float(marginal.logsumexp(0)),
            "quality/l1": float((chain.exp() - exact).abs().sum()),
            "quality/reverse_kl": float((chain.exp() * (chain - log_exact)).sum()),
            "marginals/single_error": self._single_error(exact),
        }
        for size in PART_SIZES:
            if size < sites:
                figures[f"marginals/error_of_{size}"] = self._part_error(truth, size, generator)
        return figures

    def _single_error(self, exact: Tensor) -> float:
        errors = []
        for site in range(self.model.sites):
            law = marginal_law(exact, [site], self.model.sites, self.model.num_values)
            errors.append(self._log_of([site], torch.arange(len(law))[:, None]) - law.log())
        return _rms(torch.cat(errors))

    def _part_error(self, truth: Enumeration, size: int, generator: torch.Generator) -> float:
        """Of random parts of exact draws."""
        model = self.model
        drawn = truth.draw(NUM_PARTS, generator).flatten(1).long().cpu()
        errors = []
        for x in drawn:
            part = torch.randperm(model.sites, generator=generator, device=generator.device)[:size]
            chosen = part.sort().values.cpu()
            law = marginal_law(truth.probabilities, chosen.tolist(), model.sites, model.num_values)
            place = model.num_values ** torch.arange(size - 1, -1, -1)
            log_exact = law[(x[chosen] * place).sum()].log()
            errors.append(self._log_of(chosen.tolist(), x[None, chosen]) - log_exact)
        return _rms(torch.cat(errors))

    def _log_of(self, part: list[int], values: Tensor) -> Tensor:
        """M (num,) float64 of values (num, size) at the sites of a part."""
        x = torch.zeros((len(values), self.model.sites))
        known = torch.zeros_like(x, dtype=torch.bool)
        x[:, part], known[:, part] = values.float(), True
        device = self.data.train.device
        with torch.no_grad():
            return self.model.log_marginal(x.to(device), known.to(device)).double().cpu()


def marginal_law(exact: Tensor, part: list[int], sites: int, num_values: int) -> Tensor:
    """Exact law (q^size,) of the sites of a part, rising, of a law (q^sites,) by state index."""
    others = [site for site in range(sites) if site not in part]
    law = exact.reshape([num_values] * sites)
    return (law.sum(others) if others else law).flatten()


@torch.no_grad()
def sequential_law(model: Marginals, device: torch.device) -> Tensor:
    """log of the law (q^sites,) by state index of the chain whose sites are taken in their order.

    One pass over all prefixes of each length.
    """
    sites, q = model.sites, model.num_values
    logs = torch.zeros(1, device=device)
    known = torch.zeros(sites, dtype=torch.bool, device=device)
    for site in range(sites):
        prefixes = torch.arange(q**site, device=device)
        steps = []
        for part in prefixes.split(CHUNK):
            x = torch.zeros((len(part), sites), device=device)
            if site:
                x[:, :site] = states_at(part, (site,), q)
            steps.append(model.log_conditionals(x, known.expand(len(part), -1))[:, site])
        logs = (logs[:, None] + torch.cat(steps)).flatten()
        known[site] = True
    return logs


def independent(data: Data) -> Tensor:
    """(sites, q): how often each site has each value in training data, with one event of each
    value more, lest any has none."""
    q = data.num_values
    assert q is not None
    counts = torch.nn.functional.one_hot(data.train.flatten(1).long(), q).sum(0) + 1.0
    return counts / counts.sum(1, keepdim=True)


def _rms(errors: Tensor) -> float:
    return float(errors.double().square().mean().sqrt())


def _curve(path: str, x: Tensor, y: list[Tensor], names: list[str], x_name: str) -> Curve:
    rows = np.stack([pictures.float32(each) for each in y])
    return Curve(path, pictures.float32(x), rows, names, x_name)
