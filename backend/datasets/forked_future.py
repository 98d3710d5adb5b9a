"""A ball that a coin turns left or right at a peak: the mean of its futures is none of them."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.randomness import generator_of
from backend.truth import Future, Rivals

TURN = math.pi / 3
"""Angle by which the peak turns the ball, either way."""
SPEEDS = (0.8, 1.2)
"""Slowest and fastest, a frame."""
NUM_PAST = 3
"""Frames of a context."""
REACHED = (2, 3, 4)
"""Frames at which a ball may be at the peak."""
TOLERANCE = 0.3
"""Distance up to which a prediction is on a branch, a fifth to a seventh of that between two."""
RULED_OUT = 0.2
"""Distance from all that may follow beyond which an event is false."""


class ForkedConfig(KindConfig):
    kind: Literal["forked_future"] = "forked_future"
    num: int = option(
        3000, "Training sequences; each gives three contexts.", ge=20, le=200_000, main=True
    )
    num_held_out: int = option(600, "Held-out sequences.", ge=20, le=20_000)
    noise: float = option(
        0.04, "Standard deviation of the noise on every position.", ge=0, le=0.2, main=True
    )
    horizon: int = option(
        1, "Steps to come that are one event.", ge=1, le=4, unit="frames", main=True
    )
    seed: int = option(0, "Seeds the sequences; the run has its own.", ge=0, le=2**31 - 1)


class Fork(Future):
    """The ball's law, read off a context: last position and the two steps before it, (6,).

    It comes straight at the peak in the origin and leaves it at the same speed, turned by ±60°.
    """

    view = 2.5
    two = ("left", "right")
    either = "on_branch"

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon

    def possible(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(num, 2, 2 · horizon) steps after a turn to the left and to the right, and (num,) bool:
        the first of them is the fork. Alike where the ball has been turned already."""
        past = past_of(context)
        frames = torch.arange(NUM_PAST, device=past.device)
        norms = past.norm(dim=2)
        # the frame of the context at which the ball was at the peak, or will be
        speed = (past[:, 1:] - past[:, :-1]).norm(dim=2).amax(1)
        ahead = NUM_PAST - 1 + (norms[:, -1] / speed).round()
        inside = norms.amin(1) < min(SPEEDS) / 2
        at = torch.where(inside, norms.argmin(1).to(speed), ahead)
        from_peak = frames - at[:, None]
        gone = at < NUM_PAST - 1
        # least squares of position = frames from the peak × velocity, on the leg the ball is on
        on_leg = torch.where(gone[:, None], from_peak >= 0, from_peak <= 0)
        weight = from_peak * on_leg
        velocity = (weight[..., None] * past).sum(1) / weight.square().sum(1, keepdim=True)
        turned = [rotated(velocity, turn) for turn in (TURN, -TURN)]
        number = torch.arange(NUM_PAST - 1, NUM_PAST + self.horizon, device=past.device)
        later = (number - at[:, None])[..., None]
        ways = []
        for direction in turned:
            after = torch.where(gone[:, None], velocity, direction)[:, None]
            path = torch.where(later > 0, later * after, later * velocity[:, None])
            ways.append((path[:, 1:] - path[:, :-1]).flatten(1))
        return torch.stack(ways, 1), at == NUM_PAST - 1

    def outcomes(self, context: Tensor, x: Tensor) -> dict[str, Tensor]:
        """on_branch: every position within TOLERANCE of one branch, where the next step forks;
        left: on the left one, of those on either; straight_error: distance where no turn comes."""
        possible, forks = self.possible(context)
        apart = self._apart(possible, x[:, None])
        near, which = apart.min(1)
        on_branch = near <= TOLERANCE
        settled = (possible[:, 0] == possible[:, 1]).all(1)
        return {
            "on_branch": where(forks, on_branch.to(x)),
            "left": where(forks & on_branch, (which == 0).to(x)),
            "straight_error": where(settled, near),
        }

    def rivals(self, context: Tensor, x: Tensor, generator: torch.Generator) -> dict[str, Rivals]:
        """The mean of both branches; the future of another ball; an earlier step of this one."""
        possible, forks = self.possible(context)
        other = x[torch.randperm(len(x), generator=generator, device=x.device)]
        earlier = torch.rand(len(x), generator=generator, device=x.device) < 0.5
        # the frame after the present one is one that has been
        back = torch.where(earlier[:, None], -context[:, 4:6], -context[:, 4:6] - context[:, 2:4])
        shuffled = torch.cat([back, x[:, 2:]], 1)

        def ruled_out(candidate: Tensor) -> Tensor:
            far = self._apart(possible, candidate[:, None]).amin(1) > RULED_OUT
            return where(far, candidate)

        return {
            "branch_mean": Rivals(possible, where(forks, possible.mean(1))),
            "another": Rivals(x[:, None], ruled_out(other)),
            "shuffled_time": Rivals(x[:, None], ruled_out(shuffled)),
        }

    def advance(self, context: Tensor, x: Tensor) -> Tensor:
        """The context one frame on: the first step of x is taken."""
        return torch.cat([context[:, :2] + x[:, :2], context[:, 4:6], x[:, :2]], 1)

    def places(self, context: Tensor) -> Tensor:
        return context[:, None, :2]

    def is_open(self, context: Tensor) -> Tensor:
        return self.possible(context)[1]

    def path(self, context: Tensor, x: Tensor) -> Tensor:
        steps = x.reshape(len(x), self.horizon, 2)
        return torch.cat([context[:, None, :2], context[:, None, :2] + steps.cumsum(1)], 1)

    def at_places(self, context: Tensor, places: Tensor) -> Tensor:
        """Steps straight to each place, and on by the same step."""
        return (places - context[:, :2]).repeat(1, self.horizon)

    def place_of(self, context: Tensor, x: Tensor) -> Tensor:
        return context[:, :2] + x[:, :2]

    def _apart(self, a: Tensor, b: Tensor) -> Tensor:
        """(num, ...) largest distance of positions along two futures of steps."""
        paths = (a - b).reshape(*torch.broadcast_shapes(a.shape, b.shape)[:-1], -1, 2).cumsum(-2)
        return paths.norm(dim=-1).amax(-1)


class ForkedFuture(Dataset):
    """Steps x to come of a ball, (2 · horizon,), beside its last position and two steps (6,)."""

    Config: ClassVar[type[KindConfig]] = ForkedConfig
    title: ClassVar[str] = "Forked future"
    summary: ClassVar[str] = (
        "A ball is turned left or right at a peak by a fair coin; the next step beside the past."
    )
    gives: ClassVar[tuple[str, ...]] = ("context",)

    def load(self) -> Data:
        config: ForkedConfig = self.config
        x, context = self._sequences(config.num, 0)
        held_out, held_out_context = self._sequences(config.num_held_out, 1)
        mean, scale = x.mean(0), x.std(0)
        z = (x - mean) / scale
        low, high = noise_box(z)
        numbers = range(1, config.horizon + 1)
        columns = [f"{axis}{number}" for number in numbers for axis in ("step x", "step y")]
        return Data(
            name="forked_future",
            title=self.title,
            train=z,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            columns=tuple(columns) if config.horizon > 1 else ("step x", "step y"),
            given={"context": context},
            held_out_given={"context": held_out_context},
            future=Fork(config.horizon),
        )

    def _sequences(self, num: int, part: int) -> tuple[Tensor, Tensor]:
        """Events (3 num, 2 · horizon) and contexts (3 num, 6) of `num` sequences."""
        config: ForkedConfig = self.config
        generator = generator_of("forked_future", config.seed, part)
        angle = 2 * math.pi * torch.rand(num, generator=generator)
        speed = SPEEDS[0] + (SPEEDS[1] - SPEEDS[0]) * torch.rand(num, generator=generator)
        velocity = speed[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
        at = torch.tensor(REACHED)[torch.randint(len(REACHED), (num,), generator=generator)]
        coin = torch.rand(num, 1, generator=generator) < 0.5
        after = torch.where(coin, rotated(velocity, TURN), rotated(velocity, -TURN))
        num_frames = NUM_PAST + len(REACHED) - 1 + config.horizon
        later = (torch.arange(num_frames) - at[:, None])[..., None]
        path = torch.where(later > 0, later * after[:, None], later * velocity[:, None])
        path = path + config.noise * torch.randn(path.shape, generator=generator)
        events, contexts = [], []
        for begin in range(len(REACHED)):
            window = path[:, begin : begin + NUM_PAST + config.horizon]
            steps = window[:, 1:] - window[:, :-1]
            past = NUM_PAST - 1
            contexts.append(torch.cat([window[:, past], steps[:, :past].flatten(1)], 1))
            events.append(steps[:, past:].flatten(1))
        # rows of one sequence stay together
        return torch.stack(events, 1).flatten(0, 1), torch.stack(contexts, 1).flatten(0, 1)


def past_of(context: Tensor) -> Tensor:
    """(num, 3, 2) positions of a context (num, 6), the earliest first."""
    last, first_step, second_step = context[:, :2], context[:, 2:4], context[:, 4:6]
    return torch.stack([last - second_step - first_step, last - second_step, last], 1)


def rotated(x: Tensor, angle: float) -> Tensor:
    """Turn x (..., 2) to the left by an angle in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], -1)


def where(rows: Tensor, values: Tensor) -> Tensor:
    """Values (num, ...) in the rows (num,) bool, NaN in the others."""
    return torch.where(rows.reshape(-1, *[1] * (values.dim() - 1)), values, torch.nan)
