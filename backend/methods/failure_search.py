"""Failure search: learn a law over the rare inputs of low energy by asking a black box alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies.discrete import (
    CHUNK,
    MOST_STATES,
    DiscreteEnergy,
    enumerate_states,
    state_index,
    states_at,
)
from backend.events import Event, Scalar, Table
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.networks.factorised import FactorisedMixture
from backend.objectives.zeroth_order import HistoryCalibration, spsa
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

FEWER = (0.5, 0.8)
"""Shares of the budget at which the number of directions is halved."""
FOUND = 0.1
"""Share of its true mass at which a mode counts as found."""
NUM_LISTED = 12
NUM_DRAWN = 1000


ADAM = {
    "optimiser": "adam",
    "learning_rate": 0.05,
    "beta1": 0.9,
    "schedule": "constant",
    "batch_size": 32,
    "gradient_clip": 0.0,
}
"""Training of the presets that take their steps by Adam."""


class FailureSearchConfig(Config):
    gradient: Literal["spsa", "reinforce"] = option(
        "spsa",
        "How the slope is estimated: by perturbing all weights at once and asking twice, or by the "
        "likelihood ratio, which needs ∇ log q.",
        main=True,
        group="Objective",
    )
    temperature: float = option(
        0.3,
        "T of the law sought, p ∝ exp(−E/T): weight of the entropy, without which one failure is "
        "all that is learned.",
        gt=0,
        le=100,
        log=True,
        main=True,
        group="Objective",
    )
    components: int = option(
        6, "Factorised laws that are mixed in equal parts.", ge=1, le=256, main=True, group="Policy"
    )
    directions: int = option(
        4,
        "Random directions of an update; halved at 50 % and at 80 % of the budget.",
        ge=1,
        le=256,
        main=True,
        group="Simultaneous perturbation",
    )
    perturbation: float = option(
        0.5,
        "c, how far weights are moved along a direction to ask.",
        gt=0,
        le=10,
        log=True,
        group="Simultaneous perturbation",
    )
    history: float = option(
        1.2,
        "γ of the calibration by history: how much past estimates weigh; 0 forgets them.",
        ge=0,
        lt=2,
        main=True,
        group="Simultaneous perturbation",
    )
    train: TrainConfig = option(
        TrainConfig(
            optimiser="sgd",
            learning_rate=0.1,
            schedule="constant",
            batch_size=32,
            gradient_clip=0.0,
        ),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        if self.gradient == "spsa":
            return {}
        idle = "No effect: the likelihood ratio perturbs nothing."
        return dict.fromkeys(("directions", "perturbation", "history"), idle)


class Optimum(NamedTuple):
    """The law that is sought, every state enumerated."""

    energies: Tensor
    """(num_states,) float64"""
    objective: float
    """−T log Σ exp(−E/T), the least that J can be"""
    uniform: float
    """J of the uniform law"""
    lowest: Tensor
    """(num_modes,) int64: state indices of least energy"""
    mass: float
    """p of each of them"""


class FailureSearch(Method):
    """J(θ) = E_q[E] + T E_q[log q] → min: q ≈ exp(−E/T)/Z, which gives every failure its share.

    By SPSA (Spall 1992), calibrated by history as in DREAM, or by REINFORCE (Williams 1992) with
    the mean of the batch as its baseline. A benign stand-in: hidden words take the place of prompts
    that break a model.
    """

    id = "failure_search"
    title = "Failure search"
    summary = (
        "Learns a law over the rare inputs of low energy from values of the energy alone, beside "
        "the exact law that it should be."
    )
    references = "Spall 1992; Williams 1992; Malladi et al. 2023"
    url = "https://arxiv.org/abs/2305.17333"
    Config = FailureSearchConfig
    follows_gradient = False
    takes_real = False
    takes_discrete = True
    headline: ClassVar[tuple[str, ...]] = (
        "failures/objective",
        "failures/mass",
        "failures/modes",
        "failures/energy",
        "failures/entropy",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "failures/objective": Figure(
            "Objective J of the learned law",
            better="lower",
            help="E_q[E] + T E_q[log q], over all inputs; the goal is −T log Z.",
        ),
        "failures/mass": Figure("Mass on the inputs of least energy", "share", better="higher"),
        "failures/modes": Figure(
            "Failures found",
            better="higher",
            help="Inputs of least energy with a tenth of their true mass or more.",
        ),
        "failures/energy": Figure("Mean energy of the learned law", better="lower"),
        "failures/entropy": Figure("Entropy of the learned law", "nats"),
        "failures/distinct": Figure("Distinct among 1,000 draws", "share"),
        "failures/calls": Figure("Energies asked for so far"),
        "failures/spread": Figure("Spread of the estimates of the slope over directions", log=True),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Simultaneous perturbation, calibrated by history.",
            {},
            Budget(steps=1000),
            data={"name": "failing_inputs"},
        ),
        "spsa": Preset(
            "The same without history.",
            {"history": 0.0},
            Budget(steps=1000),
            data={"name": "failing_inputs"},
        ),
        "adam": Preset(
            "Simultaneous perturbation, its estimates taken by Adam.",
            {"history": 0.0, "train": ADAM},
            Budget(steps=1000),
            data={"name": "failing_inputs"},
        ),
        "reinforce": Preset(
            "Likelihood ratios and Adam, where log q has a gradient; as many energies in all.",
            {"gradient": "reinforce", "train": ADAM},
            Budget(steps=5600),
            data={"name": "failing_inputs"},
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "samples", "own_events")
    config: FailureSearchConfig

    def __init__(self, config: FailureSearchConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.num_values is not None
        self.policy = FactorisedMixture(
            config.components, data.event_shape.numel(), data.num_values, task.generator
        )
        self.fitter = Fitter(config.train, self.policy)
        self.calibration = HistoryCalibration(config.history, self.policy.logits.detach().flatten())
        self.num_calls = torch.zeros((), device=task.device)

    @classmethod
    def problems(cls, config: FailureSearchConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_values is not None and (data.density or data.target) is None:
            yield (
                "data.name",
                "has no known energy to ask for. Choose a target such as `failing_inputs`.",
            )

    @property
    def target(self) -> DiscreteEnergy:
        """The energy of the data."""
        data = self.task.data
        return cast(DiscreteEnergy, data.density or data.target)

    @torch.no_grad()
    def asked(self, x: Tensor) -> Tensor:
        """Energies (num,) of x (num, sites), as they stand before they are normalised."""
        target = self.target
        return target(x.reshape(-1, *target.event_shape)) - target.offset

    def _num_directions(self, progress: float) -> int:
        halved = sum(progress >= share for share in FEWER)
        return max(self.config.directions >> halved, 1)

    def step(self, progress: float) -> dict[str, Tensor]:
        config = self.config
        if config.gradient == "reinforce":
            loss, seen, num = self._likelihood_ratio()
        else:
            loss, seen, num = self._perturbed(self._num_directions(progress))
        self.num_calls += num
        fitted = self.fitter.update(loss, progress)
        return {**seen, "failures/calls": self.num_calls.clone(), **fitted}

    def _likelihood_ratio(self) -> tuple[Tensor, dict[str, Tensor], int]:
        """REINFORCE: ∇J = E_q[(E + T log q − baseline) ∇ log q]."""
        num, temperature = self.config.train.batch_size, self.config.temperature
        x = self.policy.draw(*self.policy.noise(num, self.generator))
        log_prob = self.policy.log_prob(x)
        energy = self.asked(x)
        cost = energy + temperature * log_prob.detach()
        loss = ((cost - cost.mean()) * log_prob).mean()
        return loss, {"loss/total": cost.mean(), "energy/model": energy.mean()}, num

    def _perturbed(self, directions: int) -> tuple[Tensor, dict[str, Tensor], int]:
        """SPSA: a loss that is linear in the weights, its gradient the calibrated estimate."""
        config, policy = self.config, self.policy
        num, weights = config.train.batch_size, policy.logits
        costs: list[Tensor] = []
        energies: list[Tensor] = []

        def cost(flat: Tensor) -> Tensor:
            logits = flat.view_as(weights)
            x = policy.draw(chosen, gumbel, logits)
            energy = self.asked(x)
            costs.append((energy + config.temperature * policy.log_prob(x, logits)).mean())
            energies.append(energy.mean())
            return costs[-1]

        with torch.no_grad():
            chosen, gumbel = policy.noise(num, self.generator)
            estimate, each = spsa(
                cost, weights.detach().flatten(), config.perturbation, directions, self.generator
            )
            slope = self.calibration.calibrated(estimate, directions)
        seen = {
            "loss/total": torch.stack(costs).mean(),
            "energy/model": torch.stack(energies).mean(),
            "failures/spread": (each - estimate).norm(dim=1).mean(),
        }
        return (weights.flatten() * slope).sum(), seen, 2 * num * directions

    # ------------------------------------------------------------------ draws

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        for field, asked in (
            ("num_steps", request.num_steps is not None),
            ("sampler.kind", request.sampler is not None),
            ("start", request.start is not None),
            ("mask", request.mask is not None),
        ):
            if asked:
                return field, "has no effect: inputs are drawn at once by the learned law."
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        return self.train_time_samples(request.num, generator)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        policy = self.fitter.fitted
        x = policy.draw(*policy.noise(num, generator))
        return x.reshape(num, *self.task.data.event_shape)

    # ------------------------------------------------------------------ looks

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """J and what it is made of beside the exact optimum, and the likeliest inputs."""
        drawn = self.train_time_samples(NUM_DRAWN, generator)
        distinct = len(state_index(drawn, self.policy.logits.shape[-1]).unique())
        yield Scalar("failures/distinct", distinct / NUM_DRAWN)
        if (optimum := enumerated(self.target, self.config.temperature)) is None:
            return
        log_q = self.fitter.fitted.table().cpu()
        q = log_q.exp()
        energy, entropy = float(q @ optimum.energies), -float(q @ log_q)
        masses = q[optimum.lowest]
        yield Scalar("failures/objective", energy - self.config.temperature * entropy)
        yield Scalar("failures/objective/goal", optimum.objective)
        yield Scalar("failures/objective/uniform", optimum.uniform)
        yield Scalar("failures/energy", energy)
        yield Scalar("failures/entropy", entropy)
        yield Scalar("failures/mass", float(masses.sum()))
        yield Scalar("failures/mass/goal", optimum.mass * len(masses))
        yield Scalar("failures/modes", float((masses >= FOUND * optimum.mass).sum()))
        yield self._listed(q, optimum)

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return {"failures/calls": float(self.num_calls)}

    def _listed(self, q: Tensor, optimum: Optimum) -> Table:
        """The likeliest inputs, and all that fail: learned and true probability, energy."""
        likeliest = q.topk(min(NUM_LISTED, len(q))).indices
        rows = torch.cat([optimum.lowest[:NUM_LISTED], likeliest]).unique()
        rows = rows[q[rows].argsort(descending=True)]
        sites, num_values = self.policy.logits.shape[1:]
        words = states_at(rows, (sites,), num_values).long().tolist()
        letters = self.task.data.alphabet or tuple(map(str, range(num_values)))
        log_z = -optimum.objective / self.config.temperature
        true = (-optimum.energies[rows] / self.config.temperature - log_z).exp()
        return Table(
            "failures/inputs",
            ["input", "learned", "true", "energy"],
            [
                [("" if self.task.data.alphabet else " ").join(letters[v] for v in word), *figures]
                for word, *figures in zip(
                    words,
                    q[rows].tolist(),
                    true.tolist(),
                    optimum.energies[rows].tolist(),
                    strict=True,
                )
            ],
        )


@functools.lru_cache(maxsize=4)
@torch.no_grad()
def enumerated(target: DiscreteEnergy, temperature: float) -> Optimum | None:
    """The law exp(−E/T)/Z of a target; None where there are too many states to list."""
    sites, num_values = target.num_sites, target.num_values
    if num_values**sites > MOST_STATES:
        return None
    device = next((each.device for each in target.buffers()), torch.device("cpu"))
    states = enumerate_states(target.event_shape, num_values)
    parts = [target(part.to(device)).cpu().double() for part in states.split(CHUNK)]
    energies = torch.cat(parts) - target.offset
    log_z = float((-energies / temperature).logsumexp(0))
    least = float(energies.min())
    return Optimum(
        energies,
        -temperature * log_z,
        float(energies.mean()) - temperature * math.log(len(energies)),
        (energies <= least + 1e-5).nonzero().flatten(),
        math.exp(-least / temperature - log_z),
    )
