"""GFlowNets: draw events in proportion to a reward by building them step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy
from backend.events import Curve, Event, Field, Finding, Scalar
from backend.generative_flows.environments import Building, environment_of
from backend.generative_flows.exact_law import Graph, graph_of
from backend.generative_flows.policies import (
    Cut,
    Policies,
    Trajectories,
    flows_of,
    fragments,
    policy_entropy,
    roll_out,
    shortened,
)
from backend.method import Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.objectives.flow_balance import Balance, imbalance
from backend.requests.building import BuildingMethod, Built
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

NUM_RANKED = 64
"""Most probable events whose probabilities are drawn."""
HALF = 0.5
"""Share of the likeliest event's probability that makes a mode, and of its own that finds one."""


class GFlowNetConfig(Config):
    loss: Balance = option(
        "trajectory_balance",
        "Whether flow is to balance at each step, along whole trajectories, or along all their "
        "parts.",
        main=True,
        group="Objective",
    )
    forward_looking: bool = option(
        False,
        "Whether what there is of an unfinished event counts already: its energy is part of the "
        "flow, and the network learns the rest.",
        main=True,
        group="Objective",
    )
    decay: float = option(
        0.9,
        "λ: how much less a part of a trajectory counts for each step that it is longer; parts "
        "alone have it.",
        gt=0,
        le=2,
        group="Objective",
    )
    backward: Literal["learned", "uniform"] = option(
        "uniform",
        "How the ways that lead to an event share its flow: as learned, or equally.",
        group="Objective",
    )
    building: Building = option(
        "raise",
        "How events are built: from zeros, one site raised by 1 at a time, which sets and bags "
        "need; or a value for one site after the other, from left to right or in any order.",
        main=True,
        group="Trajectories",
    )
    trajectories: Cut = option(
        "complete",
        "What training sees of trajectories: all; a beginning of any length, few of which end; two "
        "steps from anywhere on a blind way; or never the end, from which the law cannot be "
        "learned.",
        main=True,
        group="Trajectories",
    )
    exploration: float = option(
        0.05,
        "Share of training's steps that are drawn uniformly, so that no corner is forgotten.",
        ge=0,
        le=1,
        main=True,
        group="Trajectories",
        turnable=True,
    )
    width: int = option(
        128, "Units of each hidden layer.", ge=1, le=4096, group="Network", main=True
    )
    depth: int = option(2, "Hidden layers.", ge=1, le=20, group="Network")
    log_z_rate: float = option(
        100.0,
        "Learning rate of log Z, whose way is long, over that of the network.",
        gt=0,
        le=10_000,
        log=True,
        group="Training",
    )
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=3e-3, schedule="cosine", batch_size=16, beta1=0.9, gradient_clip=0.0
        ),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.loss != "subtrajectory_balance":
            notes["decay"] = "No effect but on `subtrajectory_balance`."
        if self.loss == "trajectory_balance" and self.trajectories == "complete":
            notes["forward_looking"] = (
                "No effect on complete trajectories: they begin at log Z and end at the reward."
            )
        return notes


class GFlowNet(BuildingMethod):
    """P_θ(x) ∝ R(x) = exp(−E(x)), x built step by step from nothing.

    The reward is the target of the data; no data are learned from. Bengio et al. 2021; Malkin et
    al. 2022 (trajectory balance); Madan et al. 2023 (its parts); Pan et al. 2023 (forward-looking
    flows, unfinished trajectories).
    """

    id = "gflownet"
    title = "GFlowNet"
    summary = (
        "Learns to build events step by step so that each comes up in proportion to its reward, "
        "the exp(−E) of a known target: independent draws, and log Z with them."
    )
    references = "Bengio et al. 2021; Malkin et al. 2022; Madan et al. 2023; Pan et al. 2023"
    url = "https://arxiv.org/abs/2302.01687"
    Config = GFlowNetConfig
    purpose = "sample"
    follows_gradient = False
    takes_real = False
    takes_discrete = True
    headline: ClassVar[tuple[str, ...]] = (
        "quality/l1",
        "log_z/estimate",
        "log_z/error",
        "loss/total",
        "reward/mean_log",
        "quality/energy_distance",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "reward/mean_log": Figure("Mean log-reward of what is built", "nats"),
        "reward/max_log": Figure("Largest log-reward in the batch", "nats"),
        "reward/learned": Figure(
            "Way of the mean log-reward from uniform to target",
            better="",
            help="0 where all events are equally likely, 1 at the target's own mean; above 1 the "
            "law is too greedy.",
        ),
        "reward/calls": Figure(
            "Energies evaluated", log=True, help="Of events and, looking forward, of their parts."
        ),
        "trajectory/length": Figure("Steps of a trajectory"),
        "trajectory/ended": Figure("Share of trajectories that end"),
        "policy/entropy": Figure("Entropy of the forward policy", "nats a step"),
        "modes/found": Figure(
            "Modes found",
            better="higher",
            help="Events at least half as likely as the likeliest that are drawn at least half as "
            "often as they should be.",
        ),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Trajectory balance, for targets of some thousand states.",
            {},
            Budget(steps=1500),
            data={"name": "hypergrid"},
        ),
        "detailed_balance": Preset(
            "Detailed balance, step by step, with a flow for every state.",
            {"loss": "detailed_balance"},
            Budget(steps=1500),
            data={"name": "hypergrid"},
        ),
        "subtrajectory_balance": Preset(
            "Balance along all parts of trajectories.",
            {"loss": "subtrajectory_balance", "width": 256},
            Budget(steps=1500),
            data={"name": "hypergrid"},
        ),
        "forward_looking": Preset(
            "Detailed balance of forward-looking flows, for sets whose elements' scores add up.",
            {
                "loss": "detailed_balance",
                "forward_looking": True,
                "exploration": 0.0,
                "train": {"learning_rate": 1e-3, "schedule": "constant"},
            },
            Budget(steps=400),
            data={"name": "sets"},
        ),
        "strings": Preset(
            "Strings, such as spins of a lattice, a value for one site after the other.",
            {"loss": "subtrajectory_balance", "building": "left_to_right"},
            Budget(steps=1500),
            data={"name": "ising"},
        ),
    }
    config: GFlowNetConfig

    def __init__(self, config: GFlowNetConfig, task: Task) -> None:
        super().__init__(config, task)
        environment = environment_of(self.target, config.building)
        self.policies = Policies(
            environment, config.width, config.depth, config.backward == "learned", task.generator
        ).to(task.device)
        self.fitter = Fitter(config.train, self.policies, rates={"log_z": config.log_z_rate})
        self.calls = 0
        """energies evaluated so far"""

    @classmethod
    def problems(cls, config: GFlowNetConfig, data: Data) -> Iterable[tuple[str, str]]:
        target = data.density or data.target
        if data.num_values is not None and target is None:
            yield (
                "data.name",
                "has no known energy, and the reward is made of one. Choose a target such as "
                "`hypergrid`.",
            )
        if getattr(target, "total", None) is not None and config.building != "raise":
            yield (
                "building",
                f"must be `raise` for {data.title!r}, whose events all have the same size, got "
                f"{config.building!r}.",
            )

    @property
    def target(self) -> DiscreteEnergy:
        """The energy of the data."""
        data = self.task.data
        return cast(DiscreteEnergy, data.density or data.target)

    def step(self, progress: float) -> dict[str, Tensor]:
        config, num = self.config, self.config.train.batch_size
        drawn = fragments if config.trajectories == "fragments" else roll_out
        ways = drawn(self.policies, num, self.generator, config.exploration)
        seen = shortened(ways, config.trajectories, self.generator)
        flows = flows_of(self.policies, seen, config.forward_looking)
        loss = imbalance(flows, config.loss, config.decay).loss()
        environment = self.policies.environment
        log_reward = torch.where(
            ways.ended, environment.log_reward(ways.ends), -environment.part_energy(ways.ends)
        )
        self.calls += num + config.forward_looking * flows.log_flow.numel()
        return {
            "loss/total": loss.detach(),
            "log_z/estimate": self.policies.log_z.detach().clone(),
            "reward/mean_log": log_reward.mean(),
            "reward/max_log": log_reward.amax(),
            "reward/calls": torch.full((), float(self.calls), device=loss.device),
            "trajectory/length": ways.made.sum(0).float().mean(),
            "trajectory/ended": seen.ended.float().mean(),
            **self.fitter.update(loss, progress),
        }

    def log_z(self) -> Tensor:
        return self.fitter.fitted.log_z.detach()

    # ------------------------------------------------------------------ draws

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        for field, asked in (
            ("num_steps", request.num_steps is not None),
            ("sampler.kind", request.sampler is not None),
            ("start", request.start is not None),
            ("mask", request.mask is not None),
        ):
            if asked:
                return field, "has no effect: events are built from nothing by the policy alone."
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        return self.train_time_samples(request.num, generator)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self.trajectories(num, generator).ends.reshape(num, *self.task.data.event_shape)

    def trajectories(self, num: int, generator: torch.Generator) -> Trajectories:
        """`num` ways from nothing to an event, as the policy goes."""
        return roll_out(self.fitter.fitted, num, generator)

    @torch.no_grad()
    def build(self, num: int, generator: torch.Generator) -> Built:
        environment, ways = self.policies.environment, self.trajectories(num, generator)
        flows = flows_of(self.fitter.fitted, ways, forward_looking=False)
        states = ways.states
        energy = -environment.log_reward(ways.ends)
        parts = environment.part_energy(states.flatten(0, 1)).reshape(states.shape[:2])
        return Built(
            ways.ends.reshape(num, *self.task.data.event_shape),
            energy,
            ways.made.sum(0),
            parts,
            torch.where(ways.made, flows.log_forward, torch.zeros_like(flows.log_forward)),
            [
                [environment.written(state) for state in way]
                for way in states.transpose(0, 1).int().tolist()
            ],
        )

    # ------------------------------------------------------------------ looks

    def graph(self) -> Graph | None:
        """All events, their rewards and the ways to them; None where there are too many."""
        return graph_of(self.policies.environment, self.policies.log_z.device)

    def learned(self, graph: Graph) -> Tensor:
        """P_θ of the graph's events, (num_events,) float64."""
        return graph.law(lambda states: self.fitter.fitted(states).forward)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Distance to the true distribution, log Z beside the exact one, and both as pictures."""
        ways = self.trajectories(256, generator)
        yield Scalar("policy/entropy", float(policy_entropy(self.fitter.fitted, ways)))
        if (graph := self.graph()) is None:
            return
        learned = self.learned(graph)
        for path, value in self._figures(graph, learned).items():
            yield Scalar(path, value)
        yield Scalar("log_z/estimate/goal", graph.log_z)
        if self.policies.environment.sites == 2:
            yield from self._maps(graph, learned)
        else:
            yield _ranked(graph.probabilities, learned)

    def _figures(self, graph: Graph, learned: Tensor) -> dict[str, float]:
        truth, log_reward = graph.probabilities, graph.log_reward
        uniform, goal = float(log_reward.mean()), float(truth @ log_reward)
        modes = truth >= HALF * truth.max()
        num_drawn = (learned[modes] >= HALF * truth[modes]).sum()
        figures = {
            "quality/l1": float((learned - truth).abs().sum()),
            "log_z/exact": graph.log_z,
            "log_z/error": abs(float(self.log_z()) - graph.log_z),
            "modes/found": float(num_drawn),
            "modes/found/goal": float(modes.sum()),
        }
        if goal > uniform:
            figures["reward/learned"] = (float(learned @ log_reward) - uniform) / (goal - uniform)
        return figures

    def _maps(self, graph: Graph, learned: Tensor) -> Iterable[Field]:
        """Maps of two sites, the first along x: the law and what is learned, in equal colours."""
        side = self.policies.environment.num_values
        x, y = graph.events.long().cpu().T.numpy()
        box = (-0.5, side - 0.5)
        ends = (0.0, float(torch.maximum(graph.probabilities, learned).max()))
        for name, mass in (("truth", graph.probabilities), ("model", learned)):
            values = np.zeros((side, side), dtype=np.float32)
            values[y, x] = mass.numpy()
            path, quantity = f"distribution/{name}", "probability_mass"
            yield Field(path, values, box, box, quantity=quantity, colour_range=ends)

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        """No end is ever seen: flows that balance say nothing of the law then."""
        if self.config.trajectories != "unfinished":
            return
        graph = self.graph()
        words = "No trajectory of training ends, so flow may balance, and the loss vanish, about "
        words += "any law: the distribution and log Z cannot be learned."
        if graph is not None:
            figures = self._figures(graph, self.learned(graph))
            words += (
                f" Here L1 is {figures['quality/l1']:.2f} and log Z off by "
                f"{figures['log_z/error']:.1f}."
            )
        yield Finding("no_ends", "warning", words)

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        if (graph := self.graph()) is None:
            return {}
        drawn = self.train_time_samples(quality.num, generator).flatten(1)
        return self._figures(graph, self.learned(graph)) | {
            "quality/l1/train_time": graph.distance_of(drawn),
            "quality/l1/floor": graph.distance_of(graph.draw(quality.num, generator)),
        }


def _ranked(truth: Tensor, learned: Tensor) -> Curve:
    """The probabilities of the likeliest events, the likeliest first, beside what is learned."""
    order = truth.argsort(descending=True)[:NUM_RANKED]
    x = np.arange(1, len(order) + 1, dtype=np.float32)
    y = torch.stack([truth[order], learned[order]]).float().numpy()
    return Curve("distribution/by_rank", x, y, ["target", "learned"], "rank", "probability")
