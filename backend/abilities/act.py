"""Acting in an environment by planned waypoints, undisturbed and shoved."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.abilities import Cells, Problems, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.events import Event, Table
from backend.observe import pictures
from backend.requests import futures
from backend.requests.predicting import PredictingMethod, Predictor, think
from backend.truth import Control

TITLES = {
    "success": "arrive, undisturbed",
    "success/straight": "arrive, straight to the goal",
    "over": "pass above, of those that arrive undisturbed",
    "success_shoved": "arrive, shoved",
    "lost_by_shoves": "lost by shoves",
}
"""Title of each figure."""


class ActConfig(Config):
    num: int = option(200, "Episodes.", ge=2, le=5000, log=True, main=True)
    num_steps: int | None = option(
        None,
        "Steps of thought that each plan takes. Empty leaves it to the run.",
        ge=1,
        le=10_000,
        log=True,
        main=True,
        sweep=(1, 100),
    )
    executed: int = option(
        4, "Waypoints gone to before the next plan is made.", ge=1, le=8, unit="waypoints"
    )
    max_plans: int = option(6, "Plans of one episode.", ge=1, le=50)
    shove: float = option(
        0.3,
        "Length of the shove that each episode is given once; 0 gives none.",
        ge=0,
        le=1,
        main=True,
        pointed="length",
    )
    direction: float | None = option(
        None,
        "Direction of the shove, against the clock from the right; empty draws one.",
        ge=-360,
        le=360,
        unit="degrees",
        pointed="direction",
    )
    shoved_after: int = option(
        2,
        "Waypoints gone to before the shove; the next plan is made where it ends.",
        ge=0,
        le=40,
        unit="waypoints",
    )
    x: float | None = option(
        None,
        "Where all episodes start, from left to right; empty draws starts.",
        ge=-2,
        le=2,
        group="Start",
        pointed="x",
    )
    y: float = option(
        0.0, "The same, from below to above.", ge=-2, le=2, group="Start", pointed="y"
    )

    def derived(self) -> dict[str, str]:
        notes: dict[str, str] = {}
        if not self.shove:
            sentence = "No effect: there is no shove."
            notes |= {"direction": sentence, "shoved_after": sentence}
        if self.x is None:
            notes["y"] = "No effect: starts are drawn."
        return notes


class Episodes(NamedTuple):
    """Outcome of some episodes."""

    success: Tensor
    """(num,) bool"""
    over: Tensor
    """(num,) bool: passed above"""
    paths: Tensor
    """(steps + 1, num, 2)"""

    @property
    def share(self) -> float:
        return float(self.success.double().mean())


class ActAbility(Ability):
    """Plan, go to some waypoints, plan again; the same starts once undisturbed and once shoved.

    A plan's success is that of its episode: arriving without touching anything. Beside it stands a
    plan straight to the goal.
    """

    id = "act"
    title = "Act"
    order = 1
    summary = "Runs a policy in its environment, undisturbed and shoved by hand."
    references = "Chi et al. 2023; Gladstone et al. 2025"
    Config: ClassVar[type[Config]] = ActConfig

    @classmethod
    def problems(cls, asked: Asked, config: ActConfig) -> Problems:
        if objections := list(futures.problems(asked.method, asked.data)):
            yield from objections
        elif not isinstance(asked.data.future, Control):
            yield "", "What these data predict moves nothing. Ask what predictions come to."

    @classmethod
    def answer(cls, asked: Asked, config: ActConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, PredictingMethod) and isinstance(data.future, Control)
        predictor = method.predictor()
        seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
        state = _starts(data.future, config, seed)
        push = _pushes(config, generator)
        calm = _episodes(data, predictor, config, state, None, generator)
        straight = data.future.direct(state)
        figures = {
            "success": calm.share,
            "success/straight": float(
                data.future.outcomes(state, straight)["success"].double().mean()
            ),
        }
        if bool(calm.success.any()):
            figures["over"] = float(calm.over[calm.success].double().mean())
        drawn = {"paths": calm}
        if config.shove:
            shoved = _episodes(data, predictor, config, state, push, generator)
            figures |= {"success_shoved": shoved.share, "lost_by_shoves": calm.share - shoved.share}
            drawn["shoved_paths"] = shoved
        events: list[Event] = list(
            futures.landscape(data, predictor, {"context": state[:1].to(data.train.device)})
        )
        events += [
            futures.ways(path, part.paths[:, :40], data.future) for path, part in drawn.items()
        ]
        cells: list[Cells] = [[TITLES[name], value] for name, value in figures.items()]
        events.append(Table("table", ["of episodes", "share"], cells))
        arrays = {name: pictures.float32(part.paths) for name, part in drawn.items()}
        return Answer(_in_words(figures, config), figures, arrays, tuple(events))


def _starts(law: Control, config: ActConfig, seed: int) -> Tensor:
    """(num, observation) states that episodes start in."""
    observation, _ = law.environment(config.num).reset(seed=seed)
    state = torch.as_tensor(observation).clone()
    if config.x is not None:
        state[:, 0], state[:, 1] = config.x, config.y
    return state


def _pushes(config: ActConfig, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(config.num, generator=generator, device=generator.device).cpu()
    angle = 2 * torch.pi * uniform
    if config.direction is not None:
        angle = torch.full_like(angle, config.direction * torch.pi / 180)
    return config.shove * torch.stack([angle.cos(), angle.sin()], 1)


def _episodes(
    data: Data,
    predictor: Predictor,
    config: ActConfig,
    state: Tensor,
    push: Tensor | None,
    generator: torch.Generator,
) -> Episodes:
    """Episodes from states (num, observation), with a shove (num, 2) each or with none."""
    law = data.future
    assert isinstance(law, Control)
    environment = law.environment(len(state))
    observation, _ = environment.reset(options={"observation": state.numpy()})
    paths = [torch.as_tensor(observation[:, :2]).clone()]
    success = torch.zeros(len(state), dtype=torch.bool)
    over = success.clone()
    ended, gone = success.numpy(), 0
    for _ in range(config.max_plans):
        context = torch.as_tensor(observation).to(data.train)
        plan = think(predictor, {"context": context}, generator, config.num_steps).last
        for action in law.actions(data.restore(plan))[:, : config.executed].unbind(1):
            if push is not None and gone == config.shoved_after:
                observation, push = environment.shove(push.numpy()), None
                paths.append(torch.as_tensor(observation[:, :2]).clone())
                break  # the plan was made elsewhere
            observation, _, ended, _, info = environment.step(action.cpu().numpy())
            place = torch.as_tensor(observation[:, :2]).clone()
            crosses = (paths[-1][:, 0] < 0) & (place[:, 0] >= 0)
            over = torch.where(crosses, paths[-1][:, 1] + place[:, 1] > 0, over)
            paths.append(place)
            success = torch.as_tensor(info["success"])
            gone += 1
        if ended.all():
            break
    return Episodes(success, over, torch.stack(paths))


def _in_words(figures: dict[str, float], config: ActConfig) -> str:
    sentence = (
        f"{figures['success']:.1%} of {config.num:,} episodes arrive without touching anything; "
        f"straight to the goal {figures['success/straight']:.1%}."
    )
    if "over" in figures:
        sentence += f" {figures['over']:.0%} of them pass above."
    if "success_shoved" in figures:
        sentence += (
            f" Shoved by {nats(config.shove)} after {config.shoved_after} waypoints, "
            f"{figures['success_shoved']:.1%} do."
        )
    return sentence
