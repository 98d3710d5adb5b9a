"""Data with a context: their laws against geometry, conservation and closed forms."""

from __future__ import annotations

import math
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.data import Data
from backend.datasets import reach_environment as environment
from backend.datasets.forked_future import TURN, past_of, rotated
from backend.datasets.motion import BallsLaw, PendulumLaw
from backend.datasets.reach import ReachLaw
from backend.datasets.spaces import Box, box
from backend.randomness import generator_of
from backend.truth import Future


def loaded(name: str, **fields: float) -> tuple[Data, Future, Tensor, Tensor]:
    """The data, their law, held-out contexts and events in the user's units."""
    data = catalogue.resolve_data({"name": name, **fields}).load()
    assert data.future is not None
    return data, data.future, data.held_out_given["context"], data.restore(data.held_out)


# ---------------------------------------------------------------------- forked future


@pytest.mark.parametrize("horizon", [1, 3])
def test_without_noise_every_ball_follows_one_of_its_possible_paths(horizon: int) -> None:
    _, future, context, x = loaded(
        "forked_future", noise=0, horizon=horizon, num=60, num_held_out=200
    )
    possible, forks = future.possible(context)  # type: ignore[attr-defined]
    apart = (possible - x[:, None]).abs().amax(2).amin(1)
    assert apart.max() < 1e-5
    assert int(forks.sum()) == 200, "each sequence forks once right after a context"
    at_peak = past_of(context)[:, -1].norm(dim=1) < 1e-5
    assert torch.equal(forks, at_peak)


def test_the_branches_are_sixty_degrees_off_and_both_are_taken() -> None:
    _, future, context, x = loaded("forked_future", noise=0, num=60, num_held_out=600)
    possible, forks = future.possible(context)  # type: ignore[attr-defined]
    last_step, ways = context[forks, 4:6], possible[forks]
    for way, sign in ((0, 1.0), (1, -1.0)):
        assert torch.allclose(ways[:, way], rotated(last_step, sign * TURN), atol=1e-5)
    seen = future.outcomes(context, x)
    assert float(seen["on_branch"].nanmean()) == 1
    assert float(seen["left"].nanmean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(600))
    mean = future.outcomes(context, possible.mean(1))
    assert float(mean["on_branch"].nanmean()) == 0, "the mean of the branches is on neither"


def test_noise_hardly_leads_the_branches_astray() -> None:
    _, future, context, x = loaded("forked_future", num=60, num_held_out=600)
    seen = future.outcomes(context, x)
    assert float(seen["on_branch"].nanmean()) >= 0.998
    rivals = future.rivals(context, x, generator_of("rivals"))
    assert int(rivals["branch_mean"].false.isfinite().all(1).sum()) == 600
    # an earlier step is opposite to the way it goes
    back = rivals["shuffled_time"].false
    assert ((back * context[:, 4:6]).sum(1) < 0).all()


def test_going_on_moves_the_ball_and_shifts_what_is_past() -> None:
    _, future, context, x = loaded("forked_future", num=60, num_held_out=30)
    after = future.advance(context, x)
    assert after is not None
    past = past_of(context)
    expected = torch.cat([past[:, 1:], past[:, -1:] + x[:, None]], 1)
    assert torch.allclose(past_of(after), expected, atol=1e-5)


# ---------------------------------------------------------------------- pendulum and balls


def test_a_pendulum_without_friction_keeps_its_energy_and_a_small_one_its_period() -> None:
    law = PendulumLaw(friction=0.0, frame=0.2)
    _, _, context, _ = loaded("pendulum", num=60, num_held_out=50)
    before = context[:, 2].square() / 2 - context[:, 1]
    for _ in range(30):
        context = law.advance(context, law.true_next(context))
    assert torch.allclose(context[:, 2].square() / 2 - context[:, 1], before, atol=1e-4)
    small = torch.tensor([[0.01, math.sqrt(1 - 1e-4), 0.0]])
    whole = PendulumLaw(0.0, 2 * math.pi / 10)
    for _ in range(10):
        small = whole.advance(small, whole.true_next(small))
    assert small[0].tolist() == pytest.approx([0.01, 1.0, 0.0], abs=1e-4)


def test_friction_slows_a_pendulum_as_the_linear_equation_says() -> None:
    law = PendulumLaw(friction=0.4, frame=0.5)
    context = torch.tensor([[1e-3, 1.0, 0.0]])
    x = law.true_next(context)
    rate = math.sqrt(1 - 0.2**2)
    angle = 1e-3 * math.exp(-0.1) * (math.cos(rate / 2) + 0.2 / rate * math.sin(rate / 2))
    assert float(x[0, 0]) == pytest.approx(angle - 1e-3, rel=1e-3)


@pytest.mark.parametrize("num_balls", [1, 3])
def test_balls_keep_their_energy_and_stay_in_the_box(num_balls: int) -> None:
    _, future, context, _ = loaded("bouncing_balls", num=60, num_balls=num_balls, num_held_out=100)
    begin = context[..., 2:].square().sum((1, 2))
    for _ in range(20):
        context = future.advance(context, future.true_next(context))  # type: ignore[arg-type,assignment]
    assert torch.allclose(context[..., 2:].square().sum((1, 2)), begin, rtol=1e-4)
    assert future.places(context).abs().max() < 1 - 0.2 + 0.05


def test_balls_that_meet_head_on_swap_velocities() -> None:
    law = BallsLaw(2)
    state = torch.tensor([[[-0.25, 0.0, 0.8, 0.0], [0.25, 0.0, -0.8, 0.0]]])
    after = law.advance(state, law.true_next(state))
    assert after[0, :, 2].tolist() == pytest.approx([-0.8, 0.8], abs=1e-5)
    wall = torch.tensor([[[0.75, 0.0, 0.8, 0.3]]])
    after = BallsLaw(1).advance(wall, BallsLaw(1).true_next(wall))
    assert after[0, 0, 2:].tolist() == pytest.approx([-0.8, 0.3], abs=1e-5)


@pytest.mark.parametrize("name", ["pendulum", "bouncing_balls"])
def test_motion_is_judged_by_its_law(name: str) -> None:
    _, future, context, x = loaded(name, num=60, num_held_out=100)
    true = future.true_next(context)
    assert true is not None
    assert float(future.outcomes(context, x)["right"].mean()) > 0.99
    assert float(future.outcomes(context, true)["distance"].max()) == 0
    assert float(future.outcomes(context, true + 1)["right"].mean()) == 0


# ---------------------------------------------------------------------- reach


def test_demonstrations_succeed_both_ways_and_the_mean_of_both_does_not() -> None:
    _, future, context, x = loaded("reach", num=60, num_held_out=400)
    seen = future.outcomes(context, x)
    assert float(seen["success"].mean()) >= 0.995
    assert float(seen["over"].nanmean()) == pytest.approx(0.5, abs=0.08)
    starts = context[::3]
    possible, blocked = future.possible(starts)  # type: ignore[attr-defined]
    assert blocked.all()
    assert float(future.outcomes(starts, possible.mean(1))["success"].mean()) == 0
    for way, over in ((0, 1.0), (1, 0.0)):
        seen = future.outcomes(starts, possible[:, way])
        assert float(seen["success"].mean()) == 1 and float(seen["over"].nanmean()) == over


def test_the_detour_is_as_long_as_geometry_says() -> None:
    position, goal = torch.tensor([[-1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    radius = environment.RADIUS + environment.CLEARANCE
    half = math.acos(radius)
    length = 2 * math.sqrt(1 - radius**2) + radius * (math.pi - 2 * half)
    for over in (True, False):
        way = environment.detour(position, goal, torch.tensor([over]), 4000)[0]
        steps = torch.cat([position, way]).diff(dim=0).norm(dim=1)
        assert float(steps.sum()) == pytest.approx(length, rel=1e-3)
        assert float(way.norm(dim=1).min()) == pytest.approx(radius, abs=1e-3)
        assert bool((way[:, 1] > 0)[1000:3000].all()) == over


def test_the_environment_moves_stops_and_rewards_as_it_says() -> None:
    env = environment.Reach(4)
    observation = np.float32([[-1, 0, 1, 0], [-1, 0.6, 1, 0.6], [0.85, 0, 1, 0], [-1, 1, 1, 1]])
    seen, _ = env.reset(options={"observation": observation})
    assert np.array_equal(seen, observation)
    target = np.float32([[0, 0], [0.3, 0.6], [1, 0], [-1, 1.3]])
    seen, reward, terminated, truncated, info = env.step(target)
    # 0 goes 0.6 towards the obstacle, 1 goes 0.6 of 1.3, 2 arrives, 3 goes 0.3 up
    assert seen[:, :2] == pytest.approx(np.array([[-0.4, 0], [-0.4, 0.6], [1, 0], [-1, 1.3]]))
    assert terminated.tolist() == [False, False, True, False] and not truncated.any()
    assert info["success"].tolist() == [False, False, True, False]
    assert reward[0] == pytest.approx(0.6) and reward[1] == pytest.approx(0.6)
    assert reward[3] == pytest.approx(2 - math.hypot(2, 0.3), abs=1e-6)
    seen, reward, terminated, _, info = env.step(np.zeros((4, 2), np.float32))
    assert info["touched"].tolist()[:3] == [True, True, False]
    assert reward[0] == pytest.approx(0.4 - 1)
    assert seen[2, :2].tolist() == [1, 0], "what is over stays as it is"


def test_an_episode_is_cut_and_a_seed_repeats_it() -> None:
    env = environment.Reach(3, max_steps=2)
    first, _ = env.reset(seed=5)
    again, _ = env.reset(seed=5)
    other, _ = env.reset(seed=6)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    for _ in range(2):
        _, _, terminated, truncated, _ = env.step(first[:, :2])
    assert truncated.all() and not terminated.any()
    assert env.observation_space.contains(first) and env.action_space.shape == (3, 2)
    with pytest.raises(ValueError, match=r"must have shape \(3, 4\)"):
        env.reset(options={"observation": np.zeros((2, 4))})


def test_following_waypoints_is_stepping_through_the_environment() -> None:
    _, future, context, x = loaded("reach", num=60, num_held_out=100)
    assert isinstance(future, ReachLaw)
    x = x + 0.15 * torch.randn(x.shape, generator=generator_of("spoiled"))
    env = environment.Reach(len(x))
    env.reset(options={"observation": context.numpy()})
    for target in x.reshape(len(x), -1, 2).unbind(1):
        _, _, _, _, info = env.step(target.numpy())
    success = future.outcomes(context, x)["success"]
    assert 0.1 < float(success.mean()) < 0.9
    assert np.array_equal(info["success"], success.bool().numpy())


def test_a_shove_moves_the_tip_but_not_into_the_obstacle() -> None:
    env = environment.Reach(2)
    env.reset(options={"observation": np.float32([[-1, 0, 1, 0], [-1, 0, 1, 0]])})
    seen = env.shove(np.float32([[0.9, 0.05], [0.1, 0.4]]))
    assert np.hypot(*seen[0, :2]) == pytest.approx(0.45) and seen[1, :2].tolist() == [
        pytest.approx(-0.9),
        pytest.approx(0.4),
    ]


def test_a_box_samples_what_it_contains() -> None:
    space = Box(np.full((2, 3), -1.0, np.float32), np.full((2, 3), 2.0, np.float32), (2, 3))
    space.seed(3)
    drawn = space.sample()
    assert space.contains(drawn) and drawn.dtype == np.float32
    assert not space.contains(drawn + 9) and not space.contains(drawn[0])


def test_spaces_are_those_of_gymnasium_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = ModuleType("gymnasium.spaces")
    theirs.Box = lambda low, high, shape, dtype: (low, high, shape, dtype)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gymnasium", ModuleType("gymnasium"))
    monkeypatch.setitem(sys.modules, "gymnasium.spaces", theirs)
    assert box(-1, 2, (3,)) == (-1, 2, (3,), np.float32)
