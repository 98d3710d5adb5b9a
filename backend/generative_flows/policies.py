"""Policies and flows of an environment, by one network, and the trajectories they build."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from backend.energies.discrete import one_hot
from backend.generative_flows.environments import Environment
from backend.networks.mlp import mlp
from backend.objectives.flow_balance import Flows

Cut = Literal["complete", "stopped", "fragments", "unfinished"]
UNFINISHED = 2
"""Steps before the longest trajectory's end at which unfinished ones are cut."""


FRAGMENT = 2
"""Steps of a fragment."""


class Policy(NamedTuple):
    """Log-probabilities and flow that the network gives states (..., sites)."""

    forward: Tensor
    """(..., actions): log P_F"""
    backward: Tensor
    """(..., sites): log P_B of each site having been changed last"""
    log_flow: Tensor
    """(...): log F, or log F − log of the part's reward where flows are forward-looking"""


class Policies(nn.Module):
    """Forward and backward policy and the flow of states, by one network; log Z beside it."""

    def __init__(
        self,
        environment: Environment,
        width: int,
        depth: int,
        learned_backward: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.environment, self.learned_backward = environment, learned_backward
        inputs = environment.sites * environment.num_values
        self.parts = (environment.actions, environment.sites if learned_backward else 0, 1)
        self.net = mlp(inputs, width, depth, generator, "leaky_relu", outputs=sum(self.parts))
        self.log_z = nn.Parameter(torch.zeros(()))

    def forward(self, states: Tensor) -> Policy:
        environment = self.environment
        outputs = self.net(one_hot(states.flatten(0, -2), environment.num_values))
        forward, backward, log_flow = outputs.reshape(*states.shape[:-1], -1).split(self.parts, -1)
        undoable = environment.undoable(states)
        if not self.learned_backward:
            backward = torch.zeros_like(undoable, dtype=outputs.dtype)
        # the least finite number: a state without a way on or back gives no nan where none counts
        least = torch.finfo(outputs.dtype).min
        return Policy(
            forward.masked_fill(~environment.possible(states), least).log_softmax(-1),
            backward.masked_fill(~undoable, least).log_softmax(-1),
            log_flow.squeeze(-1),
        )


class Trajectories(NamedTuple):
    """Ways from the empty state towards events, all padded to the longest there can be."""

    states: Tensor
    """(steps + 1, num, sites); where one has ended its state stays"""
    actions: Tensor
    """(steps, num) int64"""
    made: Tensor
    """(steps, num) bool: False once it has ended, or was cut"""
    ended: Tensor
    """(num,) bool: whether it has reached an event"""
    from_nothing: Tensor
    """(num,) bool: whether it begins at the empty state"""

    @property
    def ends(self) -> Tensor:
        """(num, sites): the last states, events where trajectories are complete."""
        return self.states[-1]

    def cut(self, lengths: Tensor) -> Trajectories:
        """The first `lengths` (num,) steps of each."""
        index = torch.arange(len(self.actions), device=lengths.device)[:, None]
        made = self.made & (index < lengths)
        last = made.sum(0)
        states = torch.arange(len(self.states), device=lengths.device)[:, None]
        place = torch.minimum(states, last)[..., None].expand_as(self.states)
        return Trajectories(
            self.states.gather(0, place),
            self.actions,
            made,
            self.ended & (last == self.made.sum(0)),
            self.from_nothing,
        )


@torch.no_grad()
def roll_out(
    policies: Policies,
    num: int,
    generator: torch.Generator,
    exploration: float = 0.0,
    start: Tensor | None = None,
    longest: int | None = None,
) -> Trajectories:
    """`num` trajectories of the forward policy, a share of whose steps is drawn uniformly.

    They begin at the empty state, or at unfinished states `start` (num, sites), and go on until
    they end, or for `longest` steps.
    Steps are drawn by a race of exponentials, as `torch.multinomial` draws them on its way, which
    waits for the device to check its weights.
    """
    environment, device = policies.environment, policies.log_z.device
    empty = environment.start(num, device)
    state = empty if start is None else start
    going = torch.ones(num, dtype=torch.bool, device=device)
    states, actions, made = [state], [], []
    for _ in range(longest or environment.longest):
        probabilities = policies(state).forward.exp()
        if exploration:
            possible = environment.possible(state).to(probabilities)
            uniform = possible / possible.sum(1, keepdim=True).clamp(min=1)
            probabilities = torch.lerp(probabilities, uniform, exploration)
        race = torch.empty_like(probabilities).exponential_(generator=generator)
        action = (probabilities / race).argmax(1)
        state = torch.where(going[:, None], environment.step(state, action), state)
        states.append(state)
        actions.append(action)
        made.append(going)
        going = going & ~environment.stops(action) & ~environment.complete(state)
    from_nothing = (states[0] == empty).all(-1)
    parts = torch.stack(states), torch.stack(actions), torch.stack(made)
    return Trajectories(*parts, ~going, from_nothing)


def fragments(
    policies: Policies, num: int, generator: torch.Generator, exploration: float = 0.0
) -> Trajectories:
    """`num` fragments of FRAGMENT steps, from states on the way of a policy that knows nothing: any
    step of it is as likely. Of sets that is any set of any size.

    Pan et al. 2023.
    """
    ways = roll_out(policies, num, generator, exploration=1.0)
    length = ways.made.sum(0)
    uniform = torch.rand(num, generator=generator, device=length.device)
    step = (uniform * length).long().clamp(max=length - 1)
    start = ways.states.gather(0, step[None, :, None].expand(1, *ways.states.shape[1:]))[0]
    longest = min(FRAGMENT, policies.environment.longest)
    return roll_out(policies, num, generator, exploration, start, longest)


def shortened(ways: Trajectories, cut: Cut, generator: torch.Generator) -> Trajectories:
    """Part of trajectories that training sees: all, the first U{1..longest} steps, or no end."""
    num, longest = len(ways.ended), len(ways.actions)
    if cut == "stopped":
        device = ways.made.device
        return ways.cut(torch.randint(1, longest + 1, (num,), generator=generator, device=device))
    if cut == "unfinished":
        before = ways.made.sum(0) - ways.ended.long()
        return ways.cut(before.clamp(max=max(longest - UNFINISHED, 1)))
    return ways


def flows_of(policies: Policies, ways: Trajectories, forward_looking: bool) -> Flows:
    """Flows along trajectories: Z at the empty state, R at the events they end in.

    Forward-looking, log F(s) = log F̃(s) − E(s), the network giving F̃ and E(s) being the energy of
    what there is of an unfinished event. Pan et al. 2023.
    """
    environment, (states, actions, made, ended, _) = policies.environment, ways
    policy = policies(states)
    site = environment.site(actions)[..., None]
    backward = policy.backward[1:].gather(-1, site).squeeze(-1)
    stops = environment.stops(actions)
    log_flow = policy.log_flow
    with torch.no_grad():
        log_reward = environment.log_reward(ways.ends)
        if forward_looking:
            parts = environment.part_energy(states.flatten(0, 1)).reshape(log_flow.shape)
    if forward_looking:
        log_flow = log_flow - parts
    first = torch.where(ways.from_nothing, policies.log_z, log_flow[0])
    log_flow = torch.cat([first[None], log_flow[1:]])
    at_event = torch.arange(len(states), device=made.device)[:, None] == made.sum(0)
    return Flows(
        torch.where(at_event & ended, log_reward.to(log_flow), log_flow),
        policy.forward[:-1].gather(-1, actions[..., None]).squeeze(-1),
        torch.where(stops, torch.zeros_like(backward), backward),
        made,
    )


@torch.no_grad()
def policy_entropy(policies: Policies, ways: Trajectories) -> Tensor:
    """Mean entropy of P_F over the steps of trajectories, nats, 0-d."""
    forward = policies(ways.states[:-1]).forward
    entropy = -(forward.exp() * forward).sum(-1)
    return (entropy * ways.made).sum() / ways.made.sum().clamp(min=1)
