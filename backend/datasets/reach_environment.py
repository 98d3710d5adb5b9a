"""Reach: an arm's tip in the plane goes to a goal around an obstacle; Gymnasium's interface."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.datasets.spaces import box
from backend.randomness import generator_of

Array = npt.NDArray[Any]

RADIUS = 0.35
"""Of the obstacle, a disc about the origin."""
CLEARANCE = 0.1
"""Room that demonstrations leave around it."""
ARRIVED = 0.1
"""Distance from the goal that ends an episode."""
MOST_STEP = 0.6
"""Longest way in one step; what an action asks beyond it is not gone."""
SIDE, SPREAD = 1.0, 0.3
"""Starts lie about x = −SIDE, goals about x = SIDE, up to SPREAD off in either coordinate."""
REACH = 2.0
"""Largest coordinate of an observation."""


def touches(a: Tensor, b: Tensor, radius: float = RADIUS) -> Tensor:
    """(num,) bool: the straight way from a to b (num, 2) comes within `radius` of the origin."""
    way = b - a
    share = -(a * way).sum(1) / way.square().sum(1).clamp(min=1e-12)
    nearest = a + share.clamp(0, 1)[:, None] * way
    return nearest.norm(dim=1) < radius


def detour(position: Tensor, goal: Tensor, over: Tensor, num: int) -> Tensor:
    """(n, num, 2) waypoints, equally far apart, of the shortest way from positions to goals (n, 2)
    that leaves CLEARANCE, over the obstacle or under it; straight where nothing is in the way.

    A tangent, an arc and a tangent. The last waypoint is the goal.
    """
    radius = RADIUS + CLEARANCE
    turn = torch.where(over, 1.0, -1.0)

    def touching(point: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """Angle at which the tangent from a point meets the disc, and its length."""
        far = point.norm(dim=1).clamp(min=radius)
        half = torch.acos((radius / far).clamp(max=1.0))
        return torch.atan2(point[:, 1], point[:, 0]) + sign * half, (far**2 - radius**2).clamp(
            min=0
        ).sqrt()

    # over the obstacle the way runs clockwise, from the start's angle down to the goal's
    first, to_disc = touching(position, -turn)
    last, from_disc = touching(goal, turn)
    swept = (turn * (first - last)).remainder(2 * math.pi)
    total = to_disc + radius * swept + from_disc
    gone = torch.linspace(0, 1, num + 1, device=position.device)[1:] * total[:, None]
    on_first = (gone / to_disc[:, None].clamp(min=1e-9)).clamp(max=1.0)[..., None]
    angle = first[:, None] - turn[:, None] * (gone - to_disc[:, None]).clamp(min=0) / radius
    on_last = (gone - to_disc[:, None] - radius * swept[:, None]).clamp(min=0)
    on_last = (on_last / from_disc[:, None].clamp(min=1e-9)).clamp(max=1.0)[..., None]

    def on_disc(angle: Tensor) -> Tensor:
        return radius * torch.stack([angle.cos(), angle.sin()], -1)

    start, end = on_disc(first)[:, None], on_disc(last)[:, None]
    tangent = position[:, None] + on_first * (start - position[:, None])
    leaving = end + on_last * (goal[:, None] - end)
    around = torch.where(on_last > 0, leaving, on_disc(angle))
    bent = torch.where(on_first < 1, tangent, around)
    share = torch.linspace(0, 1, num + 1, device=position.device)[1:, None]
    straight = position[:, None] + share * (goal - position)[:, None]
    free = ~touches(position, goal, radius)
    return torch.where(free[:, None, None], straight, bent)


class Followed(NamedTuple):
    """Outcome of waypoints gone to one after another."""

    success: Tensor
    """(num,) bool"""
    over: Tensor
    """(num,) bool: it passed the obstacle above"""


def follow(position: Tensor, goal: Tensor, waypoints: Tensor) -> Followed:
    """Go from positions (num, 2) to waypoints (num, n, 2) in turn, by the environment's rules."""
    hit = torch.zeros(len(position), dtype=torch.bool, device=position.device)
    arrived, passed_above = hit.clone(), hit.clone()
    for target in waypoints.unbind(1):
        after = torch.where(arrived[:, None], position, moved(position, target))
        hit = hit | touches(position, after)
        crosses = (position[:, 0] < 0) & (after[:, 0] >= 0)
        passed_above = passed_above | (crosses & (position[:, 1] + after[:, 1] > 0))
        position = after
        arrived = arrived | ((position - goal).norm(dim=1) < ARRIVED)
    return Followed(arrived & ~hit, passed_above)


def moved(position: Tensor, target: Tensor) -> Tensor:
    """Positions (num, 2) after one step towards targets, MOST_STEP at most."""
    way = target - position
    length = way.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return position + way * (MOST_STEP / length).clamp(max=1.0)


class Reach:
    """`num_envs` tips of one arm each, with the interface of Gymnasium's vector environments.

    An action is the position to go to next, (num_envs, 2); an observation is position and goal,
    (num_envs, 4), float32. An episode is terminated by arriving within ARRIVED of the goal
    (`info["success"]`) or by touching the obstacle, truncated after `max_steps`; it then stays as
    it is until `reset`. The reward of a step is the way gained, less 1 for a touch.
    """

    metadata: dict[str, Any] = {"render_modes": []}
    render_mode = None

    def __init__(self, num_envs: int = 1, max_steps: int = 40) -> None:
        self.num_envs, self.max_steps = num_envs, max_steps
        self.single_observation_space = box(-REACH, REACH, (4,))
        self.single_action_space = box(-REACH, REACH, (2,))
        self.observation_space = box(-REACH, REACH, (num_envs, 4))
        self.action_space = box(-REACH, REACH, (num_envs, 2))
        self._generator = generator_of("reach", 0)
        self._position, self._goal = torch.zeros(2, num_envs, 2).unbind()
        self._success, self._hit = torch.zeros(2, num_envs, dtype=torch.bool).unbind()
        self._num_steps = torch.zeros(num_envs, dtype=torch.long)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Fresh starts and goals; the same seed gives the same ones. `options` may hold the
        `observation` (num_envs, 4) to start from. Raises ValueError for one of another shape."""
        if seed is not None:
            self._generator = generator_of("reach", seed)
        given = (options or {}).get("observation")
        if given is None:
            position, goal = starts(self.num_envs, self._generator)
        else:
            state = torch.as_tensor(np.asarray(given, np.float32))
            if state.shape != (self.num_envs, 4):
                raise ValueError(
                    f"`observation` must have shape {(self.num_envs, 4)}, got {tuple(state.shape)};"
                    " give position and goal of each environment"
                )
            position, goal = state[:, :2].clone(), state[:, 2:].clone()
        self._restart(position, goal)
        return self.observation, {}

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, dict[str, Array]]:
        """Observation, reward, terminated, truncated and info after each tip moved."""
        target = torch.as_tensor(np.asarray(action, np.float32))
        going = ~(self._success | self._hit | (self._num_steps >= self.max_steps))
        before = (self._position - self._goal).norm(dim=1)
        after = torch.where(going[:, None], moved(self._position, target), self._position)
        touched = going & touches(self._position, after)
        self._hit = self._hit | touched
        self._position = after
        self._num_steps = self._num_steps + going.long()
        distance = (after - self._goal).norm(dim=1)
        self._success = self._success | (going & ~self._hit & (distance < ARRIVED))
        reward = torch.where(going, before - distance, 0.0) - touched.float()
        over = self._success | self._hit
        truncated = ~over & (self._num_steps >= self.max_steps)
        info = {"success": self._success.numpy().copy(), "touched": self._hit.numpy().copy()}
        return self.observation, reward.numpy(), over.numpy(), truncated.numpy(), info

    def shove(self, push: Array) -> Array:
        """Displace the tips by (num_envs, 2), not into the obstacle; the observation after it."""
        shoved = clear_of(self._position + torch.as_tensor(np.asarray(push, np.float32)))
        done = self._success | self._hit
        self._position = torch.where(done[:, None], self._position, shoved)
        return self.observation

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def observation(self) -> Array:
        """Position and goal of each, (num_envs, 4) float32."""
        return torch.cat([self._position, self._goal], 1).numpy()

    def _restart(self, position: Tensor, goal: Tensor) -> None:
        self._position, self._goal = position, goal
        self._success = torch.zeros_like(self._success)
        self._hit = torch.zeros_like(self._hit)
        self._num_steps = torch.zeros_like(self._num_steps)


def starts(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions and goals (num, 2) of fresh episodes."""
    spread = SPREAD * (2 * torch.rand(2, num, 2, generator=generator) - 1)
    side = torch.tensor([SIDE, 0.0])
    return spread[0] - side, spread[1] + side


def clear_of(position: Tensor) -> Tensor:
    """Positions (num, 2), those in the obstacle or at its edge put at the clearance."""
    norm = position.norm(dim=1, keepdim=True)
    least = RADIUS + CLEARANCE
    outwards = torch.where(
        norm > 1e-6, position / norm.clamp(min=1e-6), position.new_tensor([0, 1])
    )
    return torch.where(norm < least, least * outwards, position).clamp(-REACH, REACH)
