"""Demonstrations of reaching around an obstacle, either way, with shoves."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.datasets import reach_environment as environment
from backend.randomness import generator_of
from backend.truth import Control, Rivals

NUM_WAYPOINTS = 8
NEAR = 0.2
"""Root mean square distance up to which a plan is one of the demonstrated ways."""


class ReachConfig(KindConfig):
    kind: Literal["reach"] = "reach"
    num: int = option(
        3000, "Training episodes; each gives three states.", ge=20, le=200_000, main=True
    )
    num_held_out: int = option(400, "Held-out episodes.", ge=20, le=20_000)
    shove: float = option(
        0.3,
        "Standard deviation of the shove in each episode, in both coordinates.",
        ge=0,
        le=1,
        main=True,
    )
    noise: float = option(
        0.01, "Standard deviation of the demonstrated waypoints about the way.", ge=0, le=0.1
    )
    seed: int = option(0, "Seeds the episodes; the run has its own.", ge=0, le=2**31 - 1)


class ReachLaw(Control):
    """Law of plans (num, 16) from states (num, 4): eight waypoints, gone to in turn."""

    view = 1.5
    obstacles = ((0.0, 0.0, environment.RADIUS),)
    two = ("over", "under")
    either = "round"

    def possible(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(num, 2, 16) plans over and under the obstacle, and (num,) bool: they differ."""
        position, goal = context[:, :2], context[:, 2:]
        ways = torch.tensor([True, False], device=context.device)
        plans = [
            environment.detour(position, goal, way.expand(len(context)), NUM_WAYPOINTS)
            for way in ways
        ]
        blocked = environment.touches(position, goal, environment.RADIUS + environment.CLEARANCE)
        return torch.stack(plans, 1).flatten(2), blocked

    def outcomes(self, context: Tensor, x: Tensor) -> dict[str, Tensor]:
        """success: it arrives without a touch; round: the same, where both ways are open; over:
        above the obstacle, of those; demonstrated: within NEAR of a demonstrated way."""
        followed = environment.follow(context[:, :2], context[:, 2:], waypoints_of(x))
        possible, _ = self.possible(context)
        both = self.is_open(context)
        apart = (possible - x[:, None]).reshape(len(x), 2, NUM_WAYPOINTS, 2)
        near = apart.square().sum(3).mean(2).sqrt().amin(1)
        took = followed.success & both
        return {
            "success": followed.success.to(x),
            "round": torch.where(both, followed.success.to(x), torch.nan),
            "over": torch.where(took, followed.over.to(x), torch.nan),
            "demonstrated": (near < NEAR).to(x),
        }

    def rivals(self, context: Tensor, x: Tensor, generator: torch.Generator) -> dict[str, Rivals]:
        """The mean of both ways, and what was planned elsewhere, where it is no success here."""
        possible, blocked = self.possible(context)
        other = x[torch.randperm(len(x), generator=generator, device=x.device)]
        fails = ~environment.follow(context[:, :2], context[:, 2:], waypoints_of(other)).success
        mean = torch.where(blocked[:, None], possible.mean(1), torch.nan)
        return {
            "way_mean": Rivals(possible, mean),
            "another": Rivals(x[:, None], torch.where(fails[:, None], other, torch.nan)),
        }

    def places(self, context: Tensor) -> Tensor:
        return context[:, None, :2]

    def is_open(self, context: Tensor) -> Tensor:
        """Both ways are open where episodes start: later, the one that was taken is shorter."""
        before = context[:, 0] <= environment.SPREAD - environment.SIDE
        return self.possible(context)[1] & before

    def path(self, context: Tensor, x: Tensor) -> Tensor:
        return torch.cat([context[:, None, :2], waypoints_of(x)], 1)

    def at_places(self, context: Tensor, places: Tensor) -> Tensor:
        """Plans along a smooth bend, a parabola, that is at the place halfway."""
        position, goal = context[:, None, :2], context[:, None, 2:]
        share = torch.linspace(0, 1, NUM_WAYPOINTS + 1, device=places.device)[1:, None]
        bend = 2 * places[:, None] - (position + goal) / 2
        way = (1 - share) ** 2 * position + 2 * share * (1 - share) * bend + share**2 * goal
        return way.flatten(1)

    def place_of(self, context: Tensor, x: Tensor) -> Tensor:
        return waypoints_of(x)[:, NUM_WAYPOINTS // 2 - 1]

    def environment(self, num_envs: int) -> environment.Reach:
        return environment.Reach(num_envs)

    def actions(self, x: Tensor) -> Tensor:
        return waypoints_of(x)

    def direct(self, context: Tensor) -> Tensor:
        share = torch.linspace(0, 1, NUM_WAYPOINTS + 1, device=context.device)[1:, None]
        position, goal = context[:, None, :2], context[:, None, 2:]
        return (position + share * (goal - position)).flatten(1)


class ReachData(Dataset):
    """Plans x of eight waypoints (16,) beside the state they start from: position and goal (4,).

    A coin picks the way of each episode. Its states are the start, one on the way and that one
    shoved; the demonstrator plans from each of them.
    """

    Config: ClassVar[type[KindConfig]] = ReachConfig
    title: ClassVar[str] = "Reach around an obstacle"
    summary: ClassVar[str] = (
        "Demonstrations of a tip that goes round an obstacle either way and is shoved: waypoints "
        "to come beside position and goal."
    )
    gives: ClassVar[tuple[str, ...]] = ("context",)

    def load(self) -> Data:
        config: ReachConfig = self.config
        x, context = self._episodes(config.num, 0)
        held_out, held_out_context = self._episodes(config.num_held_out, 1)
        mean, scale = x.mean(0), x.std(0)
        z = (x - mean) / scale
        low, high = noise_box(z)
        return Data(
            name="reach",
            title=self.title,
            train=z,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            columns=tuple(f"{a}{n}" for n in range(1, NUM_WAYPOINTS + 1) for a in "xy"),
            given={"context": context},
            held_out_given={"context": held_out_context},
            future=ReachLaw(),
        )

    def _episodes(self, num: int, part: int) -> tuple[Tensor, Tensor]:
        """Plans (3 num, 16) and states (3 num, 4) of `num` episodes."""
        config: ReachConfig = self.config
        generator = generator_of("reach_data", config.seed, part)
        position, goal = environment.starts(num, generator)
        over = torch.rand(num, generator=generator) < 0.5
        first = self._plan(position, goal, over, generator)
        gone = torch.randint(1, NUM_WAYPOINTS - 1, (num,), generator=generator)
        midway = environment.clear_of(first[torch.arange(num), gone - 1])
        push = config.shove * torch.randn(num, 2, generator=generator)
        plans, states = [first], [position]
        for state in (midway, environment.clear_of(midway + push)):
            plans.append(self._plan(state, goal, over, generator))
            states.append(state)
        context = torch.stack([torch.cat([state, goal], 1) for state in states], 1)
        return torch.stack(plans, 1).flatten(2).flatten(0, 1), context.flatten(0, 1)

    def _plan(
        self, position: Tensor, goal: Tensor, over: Tensor, generator: torch.Generator
    ) -> Tensor:
        plan = environment.detour(position, goal, over, NUM_WAYPOINTS)
        return plan + self.config.noise * torch.randn(plan.shape, generator=generator)


def waypoints_of(x: Tensor) -> Tensor:
    """(num, 8, 2) positions to go to of plans x (num, 16)."""
    return x.reshape(len(x), NUM_WAYPOINTS, 2)
