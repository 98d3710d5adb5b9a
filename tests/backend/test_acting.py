"""Rolling out, acting and judging, by predictors that know the law: the answers have to say so."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.ability import Answer, Asked
from backend.config import Config
from backend.datasets.reach import ReachLaw
from backend.datasets.reach_environment import RADIUS
from backend.errors import BadInput
from backend.events import Images, Trajectory
from backend.method import Preset, Task
from backend.randomness import generator_of
from backend.requests import futures
from backend.requests.asking import ask
from backend.requests.predicting import Given, PredictingMethod, Predictor


class Knowing(PredictingMethod):
    """Predicts by the law itself: the true next state, or a way round by a fair coin."""

    id: ClassVar[str] = "knowing"
    title: ClassVar[str] = "Knowing"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}
    judges: ClassVar[bool] = True

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError

    def predictor(self) -> Predictor:
        return ByLaw(self)


class ByLaw(Predictor):
    num_steps = 1

    def __init__(self, method: Knowing) -> None:
        self.data = method.task.data

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        return torch.zeros(len(given["context"]), *self.data.event_shape)

    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        context, law = given["context"], self.data.future
        assert law is not None
        known = law.true_next(context)
        if known is None:
            possible, _ = law.possible(context)  # type: ignore[attr-defined]
            coin = torch.randint(2, (len(x),), generator=generator)
            ways = [law.path(context, way) for way in possible.unbind(1)]
            lengths = [way.diff(dim=1).norm(dim=2).sum(1) for way in ways if way is not None]
            # on its way it stays on its side
            chosen = torch.where(law.is_open(context), coin, torch.stack(lengths, 1).argmin(1))
            known = possible[torch.arange(len(x)), chosen]
        return self.data.standardise(known)

    def energy(self, x: Tensor, given: Given) -> Tensor:
        """Squared distance from the nearest thing that may follow."""
        law, context = self.data.future, given["context"]
        assert law is not None
        known = law.true_next(context)
        possible = law.possible(context)[0] if known is None else known[:, None]  # type: ignore[attr-defined]
        return (self.data.restore(x)[:, None] - possible).square().sum(2).amin(1)


def asked(name: str, **fields: Any) -> Asked:
    data = catalogue.resolve_data({"name": name, "num": 100, **fields}).load()
    task = Task(data, torch.device("cpu"), generator_of("task"))
    return Asked(Knowing(Config(), task), data, 0)


def answer(name: str, ability: str, **config: Any) -> Answer:
    return ask(asked(name, num_held_out=200), ability, config, generator_of("ask"))


@pytest.mark.parametrize("name", ["pendulum", "bouncing_balls"])
def test_a_law_rolls_out_on_the_truth_and_least_squares_does_not(name: str) -> None:
    figures = answer(name, "roll_out", num_frames=12, num=100).figures
    assert figures["right"] == 1
    # rounding of 32-bit states grows where balls meet
    assert figures["distance_first"] < 1e-4 and figures["distance_last"] < 0.02
    assert figures["distance_last/linear"] > 0.1


def test_a_film_shows_the_truth_first_and_each_frame_once() -> None:
    reply = answer("pendulum", "roll_out", num_frames=5, row=3)
    film = reply.events[0]
    assert isinstance(film, Images)
    assert film.rows == ["truth", "predicted", "least squares"]
    assert film.columns == ["given", "1", "2", "3", "4", "5"]
    assert reply.arrays["truth"].shape == (6, 1, 2)
    assert film.pixels.shape == (18, 24, 24) and (film.pixels[:12].max((1, 2)) > 200).all()


def test_a_fork_has_no_one_truth_to_be_far_from() -> None:
    reply = answer("forked_future", "roll_out", num_frames=4)
    assert reply.figures["on_branch"] == 1 and "distance_last" not in reply.figures
    assert "open" in reply.summary


def test_a_demonstrator_acts_both_ways_and_recovers_from_shoves() -> None:
    figures = answer("reach", "act", num=300).figures
    assert figures["success"] == 1 and figures["success_shoved"] >= 0.98
    assert figures["over"] == pytest.approx(0.5, abs=0.12)
    assert figures["success/straight"] < 0.05


def test_an_episode_begins_where_it_is_asked_to_and_is_shoved_where_it_is_asked_to() -> None:
    reply = answer("reach", "act", num=20, x=-0.5, y=0.9, shove=0.3, direction=90, shoved_after=1)
    calm, shoved = reply.arrays["paths"], reply.arrays["shoved_paths"]
    assert calm[0] == pytest.approx(torch.tensor([-0.5, 0.9]).expand(20, 2).numpy())
    assert (calm[1] == shoved[1]).all() and (shoved[2, :, 1] != calm[2, :, 1]).any()
    drawn = [event for event in reply.events if isinstance(event, Trajectory)]
    assert [event.obstacles for event in drawn] == [[[0, 0, RADIUS]]] * 2


def test_outcomes_and_the_order_of_energies_are_those_of_the_law() -> None:
    figures = answer("forked_future", "outcomes").figures
    assert figures["on_branch"] == 1
    assert figures["branch_mean"] == 1 and figures["shuffled_time"] == 1
    figures = answer("reach", "outcomes").figures
    assert figures["round"] == 1 and figures["demonstrated"] == 1 and figures["way_mean"] == 1


def test_the_landscape_of_plans_is_low_on_the_ways_and_high_between() -> None:
    run = asked("reach", num_held_out=60)
    given = {"context": torch.tensor([[-1.0, 0.0, 1.0, 0.0]])}
    [field] = futures.landscape(run.data, run.method.predictor(), given)  # type: ignore[attr-defined]
    values = field.values  # type: ignore[attr-defined]
    middle = values[:, values.shape[1] // 2]
    centre = len(middle) // 2
    upper, lower = middle[centre:].argmin() + centre, middle[:centre].argmin()
    side = torch.linspace(-ReachLaw.view, ReachLaw.view, len(middle))
    assert float(side[upper]) == pytest.approx(0.5, abs=0.12)
    assert float(side[lower]) == pytest.approx(-0.5, abs=0.12)
    assert middle[centre] > middle[upper] + 0.5


def test_what_cannot_be_asked_says_why() -> None:
    for name, ability, sentence in (
        ("pendulum", "act", "moves nothing"),
        ("reach", "roll_out", "whole plan"),
    ):
        with pytest.raises(BadInput, match=sentence):
            answer(name, ability)
