"""GFlowNets: draw events in proportion to a reward by building them step by step."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.energies.discrete import (
    MOST_STATES,
    DiscreteEnergy,
    Enumeration,
    enumerate_states,
    one_hot,
    state_index,
)
from backend.events import Event, Field, Scalar
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.networks.residual_mlp import ResidualMLP
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

LOG_Z_RATE = 100.0
"""Learning rate of log Z over that of the network. Malkin et al. 2022."""
CHUNK = 16_384
"""States that the policies are asked of at once, where all are."""


class GFlowNetConfig(Config):
    loss: Literal["trajectory_balance", "detailed_balance"] = option(
        "trajectory_balance",
        "Whether flow is to balance along whole trajectories, or along each of their steps.",
        main=True,
        group="Objective",
    )
    backward: Literal["learned", "uniform"] = option(
        "learned",
        "How the ways that lead to an event share its flow: as learned, or equally.",
        group="Objective",
    )
    exploration: float = option(
        0.05,
        "Share of training's steps that are drawn uniformly, so that no corner is forgotten.",
        ge=0,
        le=1,
        main=True,
        group="Objective",
        turnable=True,
    )
    width: int = option(
        128, "Units of each hidden layer.", ge=1, le=4096, group="Network", main=True
    )
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Network")
    train: TrainConfig = option(
        TrainConfig(learning_rate=2e-3, schedule="cosine", batch_size=64, beta1=0.9),
        "How the weights are fitted.",
        group="Training",
    )


class Flows(NamedTuple):
    """Policies and flow of states (batch, sites)."""

    forward: Tensor
    """(batch, sites + 1): log P_F of raising each site by 1, and of stopping"""
    backward: Tensor
    """(batch, sites): log P_B of each site having been raised last"""
    log_flow: Tensor
    """(batch,): log F"""


class Policies(nn.Module):
    """Forward and backward policy and the flow of states, by one network; log Z beside it."""

    def __init__(self, config: GFlowNetConfig, data: Data, generator: torch.Generator) -> None:
        super().__init__()
        assert data.num_values is not None
        self.num_values, self.sites = data.num_values, data.event_shape.numel()
        self.uniform = config.backward == "uniform"
        self.net = ResidualMLP(
            self.sites * self.num_values,
            2 * self.sites + 2,
            config.width,
            config.depth,
            generator,
        )
        self.log_z = nn.Parameter(torch.zeros(()))

    def forward(self, states: Tensor) -> Flows:
        """Of states (..., sites) of the values 0..q-1."""
        parts = (self.sites + 1, self.sites, 1)
        outputs = self.net(one_hot(states.flatten(0, -2), self.num_values))
        forward, backward, log_flow = outputs.reshape(*states.shape[:-1], -1).split(parts, -1)
        full = nn.functional.pad(states == self.num_values - 1, (0, 1))
        if self.uniform:
            backward = torch.zeros_like(backward)
        # the least finite number, since the start has no step back and -inf would give nan
        least = torch.finfo(outputs.dtype).min
        return Flows(
            forward.masked_fill(full, -torch.inf).log_softmax(-1),
            backward.masked_fill(states == 0, least).log_softmax(-1),
            log_flow.squeeze(-1),
        )


class Trajectories(NamedTuple):
    """Ways from the start to events, all padded to the longest there can be."""

    states: Tensor
    """(steps, num, sites): before each step"""
    actions: Tensor
    """(steps, num) int64: the site raised, or `sites` to stop"""
    going: Tensor
    """(steps, num) bool: False once it has stopped"""

    @property
    def ends(self) -> Tensor:
        """(num, sites)"""
        return self.states[-1]


def roll_out(
    policies: Policies, num: int, generator: torch.Generator, exploration: float = 0.0
) -> Trajectories:
    """`num` trajectories of the forward policy, a share of whose steps is drawn uniformly.

    Steps are drawn by a race of exponentials, as `torch.multinomial` draws them on its way, which
    waits for the device to check its weights.
    """
    sites, device = policies.sites, policies.log_z.device
    state = torch.zeros((num, sites), device=device)
    going = torch.ones(num, dtype=torch.bool, device=device)
    steps = []
    with torch.no_grad():
        for _ in range(sites * (policies.num_values - 1) + 1):
            probabilities = policies(state).forward.exp()
            if exploration:
                possible = (probabilities > 0).to(state)
                uniform = possible / possible.sum(1, keepdim=True)
                probabilities = torch.lerp(probabilities, uniform, exploration)
            race = torch.empty_like(probabilities).exponential_(generator=generator)
            action = (probabilities / race).argmax(1)
            steps.append((state, action, going))
            going = going & (action < sites)
            raised = nn.functional.one_hot(action, sites + 1)[:, :sites].to(state)
            state = state + raised * going[:, None]
    return Trajectories(*(torch.stack(parts) for parts in zip(*steps, strict=True)))


def residuals(
    policies: Policies, trajectories: Trajectories, log_reward: Tensor, loss: str
) -> Tensor:
    """Imbalance in nats: one number a trajectory, or one a step, 0 where none is made.

    log_reward: (num,) of the ends. Trajectory balance (Malkin et al. 2022): log Z + Σ log P_F −
    log R − Σ log P_B. Detailed balance (Bengio et al. 2021): log F(s) + log P_F(s′|s) − log F(s′) −
    log P_B(s|s′), with F the reward where the trajectory stops and Z at its start.
    """
    states, actions, going = trajectories
    flows = policies(states)
    forward = flows.forward.gather(-1, actions[..., None]).squeeze(-1)
    moves = going & (actions < policies.sites)
    site = actions.clamp(max=policies.sites - 1)[..., None]
    # the state after a move is that before the next step; the last step can only stop
    backward = flows.backward[1:].gather(-1, site[:-1]).squeeze(-1)
    backward = nn.functional.pad(backward, (0, 0, 0, 1))
    zero = torch.zeros_like(forward)
    if loss == "trajectory_balance":
        ways = torch.where(going, forward, zero) - torch.where(moves, backward, zero)
        return policies.log_z + ways.sum(0) - log_reward
    before = torch.cat([policies.log_z.expand(1, states.shape[1]), flows.log_flow[1:]])
    after = nn.functional.pad(flows.log_flow[1:], (0, 0, 0, 1))
    after = torch.where(moves, after + backward, log_reward)
    return torch.where(going, before + forward - after, zero)


@torch.no_grad()
def exact_probabilities(policies: Policies) -> Tensor:
    """P_θ(x) of every event, (num_states,) float64 by state index, by dynamic programming.

    What reaches a state is what reached those a step before it, times the forward policy.
    """
    sites, num_values = policies.sites, policies.num_values
    device = policies.log_z.device
    states = enumerate_states((sites,), num_values).to(device)
    forward = torch.cat([policies(part).forward.double().exp() for part in states.split(CHUNK)])
    reach = torch.zeros(len(states), dtype=torch.float64, device=device)
    reach[0] = 1.0
    stopped = torch.zeros_like(reach)
    for _ in range(sites * (num_values - 1) + 1):
        stopped += reach * forward[:, sites]
        following = torch.zeros_like(reach)
        for site in range(sites):
            place = num_values ** (sites - 1 - site)
            # a site at its greatest value has no flow on, so that nothing runs into the next row
            following[place:] += (reach * forward[:, site])[:-place]
        reach = following
    return stopped


class GFlowNet(Method):
    """P_θ(x) ∝ R(x) = exp(−E(x)), x built from 0 by raising one site at a time until it stops.

    The reward is the target of the data; no data are learned from. Bengio et al. 2021; Malkin et
    al. 2022 (trajectory balance).
    """

    id = "gflownet"
    title = "GFlowNet"
    summary = (
        "Learns to build events step by step so that each comes up in proportion to its reward, "
        "the exp(−E) of a known target: independent draws, and log Z with them."
    )
    references = "Bengio et al. 2021; Malkin et al. 2022"
    url = "https://arxiv.org/abs/2201.13259"
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
        "quality/energy_distance",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "quality/l1": Figure(
            "Distance to the true distribution",
            "Σ |p − q|",
            log=True,
            better="lower",
            help="Over all states: exact, by dynamic programming; `train_time` counts draws, and "
            "the floor is what as many exact draws give.",
        ),
        "reward/mean_log": Figure("Mean log-reward of what is built", "nats"),
        "trajectory/length": Figure("Steps of a trajectory"),
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
    }
    config: GFlowNetConfig

    def __init__(self, config: GFlowNetConfig, task: Task) -> None:
        super().__init__(config, task)
        self.policies = Policies(config, task.data, task.generator).to(task.device)
        self.fitter = Fitter(config.train, self.policies, rates={"log_z": LOG_Z_RATE})

    @classmethod
    def problems(cls, config: GFlowNetConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_values is not None and (data.density or data.target) is None:
            yield (
                "data.name",
                "has no known energy, and the reward is made of one. Choose a target such as "
                "`hypergrid`.",
            )

    @property
    def target(self) -> DiscreteEnergy:
        """The energy of the data."""
        data = self.task.data
        return cast(DiscreteEnergy, data.density or data.target)

    @torch.no_grad()
    def log_reward(self, states: Tensor) -> Tensor:
        """Minus the energy, as it stands before it is normalised: (num,) of events (num, sites)."""
        target = self.target
        return target.offset - target(states.reshape(-1, *target.event_shape))

    def step(self, progress: float) -> dict[str, Tensor]:
        config = self.config
        num = config.train.batch_size
        trajectories = roll_out(self.policies, num, self.generator, config.exploration)
        log_reward = self.log_reward(trajectories.ends)
        off = residuals(self.policies, trajectories, log_reward, config.loss)
        num_terms = num if off.dim() == 1 else trajectories.going.sum()
        loss = off.square().sum() / num_terms
        return {
            "loss/total": loss.detach(),
            "log_z/estimate": self.policies.log_z.detach().clone(),
            "reward/mean_log": log_reward.mean(),
            "trajectory/length": trajectories.going.sum(0).float().mean(),
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
        ends = roll_out(self.fitter.fitted, num, generator).ends
        return ends.reshape(num, *self.task.data.event_shape)

    # ------------------------------------------------------------------ looks

    @property
    def truth(self) -> Enumeration | None:
        """The distribution that is learned; None where there are too many states to list."""
        return enumerated(self.target)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Distance to the true distribution, log Z beside the exact one, and both as maps."""
        if (truth := self.truth) is None:
            return
        learned = exact_probabilities(self.fitter.fitted).cpu()
        yield Scalar("quality/l1", float((learned - truth.probabilities).abs().sum()))
        yield Scalar("log_z/estimate/goal", truth.log_z)
        yield Scalar("log_z/exact", truth.log_z)
        yield Scalar("log_z/error", abs(float(self.log_z()) - truth.log_z))
        if self.policies.sites == 2:
            yield self._map("distribution/truth", truth.probabilities)
            yield self._map("distribution/model", learned)

    def _map(self, path: str, probabilities: Tensor) -> Field:
        """A map of two sites, the first along x."""
        side = self.policies.num_values
        values = probabilities.reshape(side, side).T.float().numpy()
        box = (-0.5, side - 0.5)
        return Field(path, values, box, box, quantity="probability_mass")

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        if (truth := self.truth) is None:
            return {}
        learned = exact_probabilities(self.fitter.fitted).cpu()
        drawn = self.train_time_samples(quality.num, generator)
        exact = truth.draw(quality.num, generator)
        return {
            "quality/l1": float((learned - truth.probabilities).abs().sum()),
            "quality/l1/train_time": _counted(drawn, truth),
            "quality/l1/floor": _counted(exact, truth),
            "log_z/exact": truth.log_z,
            "log_z/error": abs(float(self.log_z()) - truth.log_z),
        }


@functools.lru_cache(maxsize=4)
def enumerated(target: DiscreteEnergy) -> Enumeration | None:
    """All states of a target before it was normalised; None where there are too many."""
    if target.num_values**target.num_sites > MOST_STATES:
        return None
    return Enumeration(target.normalised(-target.offset).cpu())


def _counted(x: Tensor, truth: Enumeration) -> float:
    """Σ |share − p| of how often each state is among events x (num, *event_shape)."""
    counts = torch.bincount(
        state_index(x, truth.num_values).cpu(), minlength=len(truth.probabilities)
    )
    return float((counts / len(x) - truth.probabilities).abs().sum())
