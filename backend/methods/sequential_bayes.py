"""Tasks in turn by Hamiltonian Monte Carlo: draws of one, fitted, are the prior of the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.data import Data
from backend.datasets.two_tasks import TASK
from backend.energies.carried_posterior import (
    CarriedPosterior,
    Gaussians,
    fitted_gaussians,
    log_of_mean,
    prototype_log_probs,
)
from backend.events import Event, Scalar, Table
from backend.method import Method, Preset, Task
from backend.metric_names import Figure
from backend.metrics.convergence import r_hat
from backend.metrics.quality import Quality
from backend.samplers.hmc import HMCConfig
from backend.spec import Budget

MOST_DRAWS = 400
"""Draws of every chain that are kept."""
PROBED = 16
"""Held-out events whose logits R-hat is of: single weights have no meaning."""


class SequentialBayesConfig(Config):
    prior: Literal["mixture", "joint", "none"] = option(
        "mixture",
        "Prior of the second task: Gaussians fitted to draws of the first one's posterior; the "
        "first prior with the rows of both tasks, which is the exact posterior; or the first "
        "prior with those of the second task alone.",
        main=True,
        group="Prior",
    )
    num_components: int = option(
        3, "Gaussians that are fitted.", ge=1, le=30, main=True, group="Prior"
    )
    prior_weight: float = option(
        1.0,
        "Power of the fitted density; above 1 it holds on to the first task harder.",
        ge=0,
        le=100,
        main=True,
        turnable=True,
        group="Prior",
    )
    hidden: int = option(8, "Hidden units of the network.", ge=1, le=64, group="Network")
    num_chains: int = option(20, "Chains of each task.", ge=2, le=1000, group="Chains")
    num_leapfrog: int = option(
        20, "Leapfrog steps of a trajectory on average.", ge=1, le=200, group="Chains"
    )
    num_warm_up: int = option(
        150,
        "First steps of each task, in which the step size is tuned and no draw is kept.",
        ge=1,
        le=10_000,
        group="Budget",
    )

    def derived(self) -> dict[str, str]:
        if self.prior == "mixture":
            return {}
        return dict.fromkeys(("num_components", "prior_weight"), "No effect: nothing is fitted.")


class SequentialBayes(Method):
    """E_t(w) = −log p_{t−1}(w) − Σ_rows log p(y | x, w), p_{t−1} fitted to the last task's draws.

    The first half of the budget draws from the posterior of the first task, the second from that of
    the second, chains going on from where they are. By Bayes' rule a posterior as prior forgets
    nothing; a density fitted to its draws is not that posterior. Kessler et al. 2023.
    """

    id = "sequential_bayes"
    title = "Sequential Bayes by HMC"
    summary = (
        "Learns two tasks in turn by exact chains, the draws of one fitted as the prior of the "
        "next, and shows what is forgotten. Needs data in tasks, of two classes."
    )
    references = "Kessler et al. 2023; Neal 1996"
    url = "https://arxiv.org/abs/2301.01828"
    Config = SequentialBayesConfig
    purpose = "classify"
    draws: ClassVar[bool] = False
    learns_from: ClassVar[tuple[str, ...]] = (TASK,)
    headline: ClassVar[tuple[str, ...]] = (
        "continual/task_1",
        "continual/task_2",
        "continual/r_hat",
        "loss/total",
        "sampler/acceptance_rate",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "continual/task_1": Figure("Accuracy on the first task", "share", better="higher"),
        "continual/task_2": Figure("Accuracy on the second task", "share", better="higher"),
        "continual/task_1_before": Figure(
            "Accuracy on the first task, the second not begun", "share", better="higher"
        ),
        "continual/task_2_before": Figure(
            "Accuracy on the second task, not begun", "share", better="higher"
        ),
        "continual/prototypes_1": Figure(
            "Accuracy of prototypes on the first task", "share", better="higher"
        ),
        "continual/prototypes_2": Figure(
            "Accuracy of prototypes on the second task", "share", better="higher"
        ),
        "continual/r_hat": Figure(
            "Largest R-hat of logits", better="lower", help="1 where chains agree on predictions."
        ),
        "continual/density_gap": Figure(
            "Log-density of fitted Gaussians lost on other chains",
            "nats",
            better="lower",
            help="Fitted to half of the chains: on their draws less on those of the other half.",
        ),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Three Gaussians carried from task to task.",
            {},
            Budget(steps=700),
            data={"name": "two_tasks"},
        ),
        "joint": Preset(
            "Rows of both tasks: what nothing forgotten looks like.",
            {"prior": "joint"},
            Budget(steps=700),
            data={"name": "two_tasks"},
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "classification", "own_events")
    config: SequentialBayesConfig

    @classmethod
    def no_energy(cls) -> str:
        return "The energy is one of weights, not of positions; `classify` names positions."

    @classmethod
    def problems(cls, config: SequentialBayesConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_labels != 2:
            yield "data.name", f"must have two classes, and {data.title!r} has {data.num_labels}."

    def __init__(self, config: SequentialBayesConfig, task: Task) -> None:
        super().__init__(config, task)
        self.kernel = samplers.build(HMCConfig(num_leapfrog=config.num_leapfrog))
        # once, so that no step waits to know how many rows are of a task
        self.rows_of = [self._rows(stage) for stage in (0, 1)]
        """inputs and classes of the training rows of each task"""
        dim, device = self._posterior(0).dim, task.device
        num = config.num_components
        self.log_weights = torch.zeros(num, device=device)
        self.means = torch.zeros(num, dim, device=device)
        self.factors = torch.eye(dim, device=device).repeat(num, 1, 1)
        self.density_gap = torch.zeros((), device=device)
        start = torch.randn((config.num_chains, dim), generator=self.generator, device=device)
        self.kept = start.repeat(MOST_DRAWS, 1, 1)
        """draws (MOST_DRAWS, chains, dim) of the present task, a ring"""
        self.stage = 0
        """number of the task that is learned"""
        self.steps = 0
        """steps of that task so far"""
        self.before = torch.zeros(2, device=device)
        """accuracy on both tasks when the second began"""
        self.state = self.kernel.init(start, self._posterior(0), self.generator)

    def _rows(self, stage: int, held_out: bool = False) -> tuple[Tensor, Tensor]:
        """Inputs and classes of a task."""
        data = self.task.data
        rows = (data.held_out_rows if held_out else data.rows)(slice(None))
        assert rows.label is not None
        own = rows.given[TASK] == stage
        return rows.x.flatten(1)[own], rows.label[own]

    def _posterior(self, stage: int) -> CarriedPosterior:
        """The energy of weights when this task is learned."""
        config = self.config
        both = stage and config.prior == "joint"
        inputs, classes = self.rows_of[stage]
        if both:
            (first, of_first), (second, of_second) = self.rows_of
            inputs, classes = torch.cat([first, second]), torch.cat([of_first, of_second])
        carried = None
        if stage and config.prior == "mixture":
            carried = Gaussians(self.log_weights, self.means, self.factors)
        return CarriedPosterior(inputs, classes, config.hidden, carried, config.prior_weight)

    def _draws(self) -> Tensor:
        """(draws, chains, dim) of the present task; where chains are, while they warm up."""
        num = min(self.steps - self.config.num_warm_up, MOST_DRAWS)
        return self.kept[:num] if num > 0 else self.state.position[None]

    def _go_on(self) -> None:
        """Fit the prior to what was drawn, and begin the second task where chains are."""
        config, draws = self.config, self._draws()
        self.before = torch.tensor(self._accuracies(), device=self.before.device)
        if config.prior == "mixture":
            half = config.num_chains // 2
            ours, others = draws[:, :half].flatten(0, 1), draws[:, half:].flatten(0, 1)
            fit = fitted_gaussians(ours, min(config.num_components, len(ours)), self.generator)
            self.density_gap = fit.log_prob(ours).mean() - fit.log_prob(others).mean()
            every = draws.flatten(0, 1)
            fit = fitted_gaussians(every, config.num_components, self.generator)
            self.log_weights, self.means, self.factors = fit.log_weights, fit.means, fit.factors
        self.stage, self.steps = 1, 0
        self.state = self.kernel.init(self.state.position, self._posterior(1), self.generator)
        self.gradient_evaluations += 1

    def step(self, progress: float) -> dict[str, Tensor]:
        if not self.stage and progress >= 0.5:  # once a run, so that it may wait for the host
            self._go_on()
        warm_up, posterior = self.config.num_warm_up, self._posterior(self.stage)
        self.state, info = self.kernel.step(self.state, posterior, self.generator)
        if self.steps < warm_up:
            self.state = self.kernel.tune(self.state, info, self.steps, warm_up)
        else:
            self.kept[(self.steps - warm_up) % MOST_DRAWS] = self.state.position
        self.steps += 1
        self.gradient_evaluations += info.gradient_evaluations
        return {
            "loss/total": self.state.energy.mean(),
            "sampler/acceptance_rate": info.acceptance_rate.mean(),
            "sampler/step_size": self.state.extra["step_size"],
            "optimiser/gradient_norm": self.state.gradient.norm(dim=1).mean(),
        }

    def after_turn(self, fields: frozenset[str]) -> None:
        posterior = self._posterior(self.stage)
        fresh = self.kernel.init(self.state.position, posterior, self.generator)
        self.state = fresh._replace(extra=self.state.extra)

    @property
    def num_labels(self) -> int:
        return 2

    @torch.no_grad()
    def class_log_probs(self, x: Tensor) -> Tensor:
        """The mean over draws of weights, at most 50 of each chain."""
        draws = self._draws()
        few = draws[:: max(1, len(draws) // 50)].flatten(0, 1)
        return log_of_mean(self._posterior(0).logits(few, x.flatten(1)))

    def _accuracies(self) -> list[float]:
        """On held-out events of each task."""
        return [_right(self.class_log_probs(x), y) for x, y in self._held_out()]

    def _held_out(self) -> list[tuple[Tensor, Tensor]]:
        return [self._rows(stage, held_out=True) for stage in (0, 1)]

    def readings(self) -> dict[str, float]:
        """Figures of now by path; those of what is yet to come are left out."""
        draws = self._draws()
        probes = self.task.data.held_out[:PROBED].flatten(1)
        figures = dict(zip(("task_1", "task_2"), self._accuracies(), strict=True))
        if self.stage:
            figures |= dict(
                zip(("task_1_before", "task_2_before"), self.before.tolist(), strict=True)
            )
            if self.config.prior == "mixture":
                figures["density_gap"] = float(self.density_gap)
        tasks = self.rows_of[: self.stage + 1]
        for stage, (x, y) in enumerate(self._held_out()):
            figures[f"prototypes_{stage + 1}"] = _right(prototype_log_probs(tasks, x), y)
        if len(draws) >= 4:
            logits = self._posterior(0).logits(draws.flatten(0, 1), probes)
            by_chain = logits.unflatten(0, draws.shape[:2]).transpose(0, 1)
            figures["r_hat"] = float(r_hat(by_chain).amax())
        return {f"continual/{name}": v for name, v in figures.items() if math.isfinite(v)}

    def observe(self, generator: torch.Generator) -> Iterator[Event]:
        figures = self.readings()
        yield from (Scalar(path, value) for path, value in figures.items())
        rows: list[list[str | float | int | None]] = [
            [words, *(figures.get(f"continual/{name}_{k}{after}") for k in (1, 2))]
            for words, name, after in (
                ("chains, now", "task", ""),
                ("chains, after the first task", "task", "_before"),
                ("prototypes", "prototypes", ""),
            )
        ]
        yield Table("continual/tasks", ["accuracy of", "task 1", "task 2"], rows)

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return self.readings()


def _right(log_probs: Tensor, classes: Tensor) -> float:
    return float((log_probs.argmax(1) == classes).double().mean())
