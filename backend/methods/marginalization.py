"""Marginalization models: log p of any part of an event in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy
from backend.energies.lattices import Lattice
from backend.energy import Energy
from backend.events import Event
from backend.method import Preset, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.networks.any_order import redraw
from backend.networks.masked import Layout, MarginalNetworks
from backend.objectives import marginalization as objectives
from backend.requests import marginal_figures as judged
from backend.requests.marginals import MarginalMethod
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

LOG_Z_RATE = 25.0
"""Learning rate of log Z over that of the networks, where it is a parameter."""
RESTART_EVERY = 100
"""Updates after which kept events are drawn from nothing, lest they forget a part of the law."""


class MarginalizationConfig(Config):
    objective: Literal["kl", "regression", "likelihood"] = option(
        "kl",
        "What is learned from: the energy of a known target, by the Kullback-Leibler divergence to "
        "it or by regression on it; or data, by their likelihood in any order.",
        main=True,
        group="Objective",
    )
    consistency_weight: float = option(
        4.0,
        "Weight of self-consistency beside the divergence or the regression.",
        gt=0,
        le=1000,
        log=True,
        group="Objective",
        turnable=True,
    )
    num_redrawn: int = option(
        4,
        "Sites of each kept event that are erased and drawn again at every update.",
        ge=1,
        le=4096,
        main=True,
        group="Objective",
    )
    conditionals_share: float = option(
        0.57,
        "Share of the budget in which the conditionals are fitted; the marginals follow, with the "
        "conditionals as they then are.",
        gt=0,
        lt=1,
        group="Objective",
    )
    layout: Layout = option(
        "perceptron",
        "Networks of the marginals and of the conditionals: perceptrons, or convolutions for "
        "lattices and images, whose sites then share what is learned.",
        main=True,
        group="Network",
    )
    width: int = option(
        128, "Units, or channels, of each hidden layer.", ge=1, le=4096, main=True, group="Network"
    )
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Network")
    train: TrainConfig = option(
        TrainConfig(learning_rate=2e-3, batch_size=256, beta1=0.9, ema_decay=0.98),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        if self.objective == "likelihood":
            return {"consistency_weight": "No effect: nothing else is fitted beside it."}
        return {"conditionals_share": "No effect: an energy fits both networks at once."}


class Networks(nn.Module):
    """Marginals and conditionals, and log Z where it is learned beside them."""

    def __init__(self, config: MarginalizationConfig, task: Task) -> None:
        super().__init__()
        data = task.data
        assert data.num_values is not None
        target = data.density or data.target
        wraps = isinstance(target, Lattice) and all(target.wraps)
        self.parts = MarginalNetworks(
            data.event_shape,
            data.num_values,
            config.layout,
            config.width,
            config.depth,
            task.generator,
            wraps,
        )
        self.log_z: nn.Parameter | None = None
        if config.objective == "regression":
            uniform = data.event_shape.numel() * math.log(data.num_values)
            self.log_z = nn.Parameter(torch.tensor(uniform))


class Marginalization(MarginalMethod):
    """M(x_S) = log p(x_S) and C(x_S), with M(x_<d) + log C(x_<d)[d, x_d] = M(x_≤d) in any order.

    Fitted to an energy with the reverse KL by REINFORCE, on events of which blocks are drawn anew
    at each update, or to data in two stages. Liu et al. 2024.
    """

    id = "marginalization"
    title = "Marginalization model"
    summary = (
        "Learns log p of any part of an event, in one pass whatever the part, and to fill in the "
        "rest in any order: from a known energy, or from data."
    )
    references = "Liu, Ramadge & Adams 2024"
    url = "https://arxiv.org/abs/2310.12920"
    Config = MarginalizationConfig
    follows_gradient = False
    takes_real = False
    takes_discrete = True
    headline: ClassVar[tuple[str, ...]] = (
        "target/gap_sd",
        "log_z/estimate",
        "consistency/error",
        "weights/ess",
        "marginals/log_prob_error",
        "loss/total",
    )
    figures: ClassVar[dict[str, Figure]] = judged.FIGURES
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Perceptrons, for targets of some twenty sites or fewer.",
            {},
            Budget(steps=2000),
            data={"name": "ising"},
        ),
        "lattice": Preset(
            "Convolutions, for lattices of a hundred sites. Perceptrons learn nothing of pairs "
            "there.",
            {
                "layout": "convolutional",
                "width": 24,
                "num_redrawn": 5,
                "train": {
                    "learning_rate": 2e-3,
                    "batch_size": 128,
                    "beta1": 0.9,
                    "ema_decay": 0.98,
                },
            },
            Budget(steps=1800),
            data={"name": "ising", "rows": 10, "columns": 10},
        ),
        "digits": Preset(
            "From data: first the conditionals, then marginals that agree with them.",
            {
                "objective": "likelihood",
                "width": 256,
                "depth": 2,
                "train": {
                    "optimiser": "adamw",
                    "learning_rate": 1e-3,
                    "schedule": "cosine",
                    "beta1": 0.9,
                    "ema_decay": 0.98,
                    "weight_decay": 0.05,
                    "batch_size": 200,
                },
            },
            Budget(steps=7000),
            data={"name": "binary_digits"},
        ),
    }
    config: MarginalizationConfig

    def __init__(self, config: MarginalizationConfig, task: Task) -> None:
        super().__init__(config, task)
        self.networks = Networks(config, task).to(task.device)
        rates = {} if self.networks.log_z is None else {"log_z": LOG_Z_RATE}
        self.fitter = Fitter(config.train, self.networks, rates)
        num = config.train.batch_size
        if config.objective != "kl":
            num = max(num // 2, 1)
        self.kept = self._uniform(num)
        """(num, sites): events of the model, of which blocks are drawn anew"""
        self.num_taken = 0
        """updates so far"""

    @classmethod
    def problems(cls, config: MarginalizationConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_values is None:
            return
        if config.objective != "likelihood" and (data.density or data.target) is None:
            yield (
                "objective",
                "takes a known energy, and these data have none. Choose `likelihood`, or a target "
                "such as `ising`.",
            )
        if config.layout == "convolutional" and len(data.event_shape) != 2:
            yield (
                "layout",
                f"`convolutional` is for rows and columns, and an event here is of shape "
                f"{tuple(data.event_shape)}. Choose `perceptron`.",
            )

    def marginals(self) -> MarginalNetworks:
        return self.fitter.fitted.parts

    @property
    def target(self) -> Energy | None:
        """The energy of the data, where it is known."""
        data = self.task.data
        return data.density or data.target

    @torch.no_grad()
    def log_target(self, x: Tensor) -> Tensor | None:
        """Minus the energy as it is before it is normalised."""
        if (target := self.target) is None:
            return None
        offset = target.offset if isinstance(target, DiscreteEnergy) else 0.0
        return offset - target(x.reshape(-1, *self.task.data.event_shape))

    def _uniform(self, num: int) -> Tensor:
        return self.task.data.noise(num, self.generator).flatten(1)

    # ------------------------------------------------------------------ training

    def step(self, progress: float) -> dict[str, Tensor]:
        parts, config = self.networks.parts, self.config
        if config.objective == "likelihood":
            return self._likelihood_step(progress)
        self._redraw()
        x = self.kept
        if self.networks.log_z is not None:
            x = torch.cat([x, self._uniform(len(x))])
        steps = objectives.random_steps(len(x), parts.sites, self.generator, x.device)
        terms = objectives.consistency(parts, x, steps)
        log_target = self.log_target(x)
        assert log_target is not None
        fit = self._fit(terms.log_marginal, log_target)
        loss = config.consistency_weight * objectives.consistency_loss(terms, parts.sites) + fit
        own = slice(len(self.kept))
        gap = (log_target - terms.log_marginal.detach())[own]
        log_z = gap.mean() if self.networks.log_z is None else self.networks.log_z.detach().clone()
        return {
            "loss/total": loss.detach(),
            "target/gap_sd": gap.std(correction=0),
            "log_z/estimate": log_z,
            **_of_consistency(terms),
            **self.fitter.update(loss, progress),
        }

    def _fit(self, log_marginal: Tensor, log_target: Tensor) -> Tensor:
        log_z = self.networks.log_z
        if log_z is None:
            return objectives.reverse_kl_surrogate(log_marginal, log_target)
        return objectives.regression_loss(log_marginal, log_target, log_z)

    def _likelihood_step(self, progress: float) -> dict[str, Tensor]:
        """Conditionals first, then marginals; each stage has a schedule of its own, and the loss of
        the other is measured without a gradient."""
        parts, config = self.networks.parts, self.config
        x = self.task.data.batch(config.train.batch_size, self.generator).flatten(1)
        first = progress < config.conditionals_share
        parts.nets["conditional"].requires_grad_(first)
        parts.nets["marginal"].requires_grad_(not first)
        nats = objectives.any_order_loss(parts, x, self.generator)
        if not first:
            self._redraw()
            x = torch.cat([x[: max(len(x) - len(self.kept), 1)], self.kept])
        steps = objectives.random_steps(len(x), parts.sites, self.generator, x.device)
        terms = objectives.consistency(parts, x, steps)
        consistency = objectives.consistency_loss(terms, parts.sites)
        if first:
            stage = progress / config.conditionals_share
        else:
            stage = (progress - config.conditionals_share) / (1 - config.conditionals_share)
        loss = nats if first else consistency
        return {
            "loss/total": loss.detach(),
            "loss/any_order": nats.detach(),
            **_of_consistency(terms),
            **self.fitter.update(loss, stage),
        }

    def _redraw(self) -> None:
        parts, config = self.networks.parts, self.config
        anew = self.num_taken % RESTART_EVERY == 0
        num = parts.sites if anew else min(config.num_redrawn, parts.sites)
        self.kept = redraw(parts, self.kept, num, self.generator)
        self.num_taken += 1

    # ------------------------------------------------------------------ looks

    @property
    def judge(self) -> judged.Judge:
        """Judge of the trained networks."""
        return judged.Judge(self.marginals(), self.task.data, self.log_target)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        return self.judge.live(self.completed(judged.NUM_LIVE, generator))

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return self.judge.final(self.completed(quality.num, generator), generator)


def _of_consistency(terms: objectives.Consistency) -> dict[str, Tensor]:
    return {
        "consistency/error": terms.errors.detach().square().mean().sqrt(),
        "consistency/of_nothing": terms.of_nothing.detach().abs(),
    }
