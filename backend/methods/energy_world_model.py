"""Energy-based world models and policies: what may follow a context is where an energy is low."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyContextNetwork, Condition, build_network
from backend.method import Preset, Task
from backend.methods.energy_transformer import LARGE, EnergyTransformer
from backend.metric_names import Figure
from backend.metrics import outcomes
from backend.objectives.inner_descent import Descent
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import PREDICTING, Fitter, TrainConfig

JITTERS = (0.15, 0.3, 0.6)
"""Standard deviations, in data sd, of the noise that makes a rival of the truth."""
WEIGHT_FLOOR = 1 / 6
"""Noise, in data sd, below which errors weigh no more."""
GROUP = "Inner steps"
POLICY: dict[str, Any] = {"starts": "uniform", "weighted": False, "noise_high": 1.2}
"""Fields that a policy trains with."""
FRAMES: dict[str, Any] = {"starts": "noise", "contrast": 0.0, "langevin_noise": 0.0, "num_steps": 4}
"""Fields for images of which one alone follows."""


class EnergyWorldModelConfig(Config):
    energy: AnyContextNetwork = option(
        {"kind": "mlp", "width": 128, "depth": 3}, "The energy of x and its context."
    )
    starts: Literal["noise", "uniform", "log_uniform"] = option(
        "log_uniform",
        "Where inner steps start in training: at noise alone, which learns the mean of all that "
        "may follow; or at the truth with noise of many sizes, spread evenly or evenly in their "
        "logarithm, which tells the branches of a fork apart.",
        main=True,
        group="Training starts",
    )
    noise_low: float = option(
        0.083,
        "Least noise on the truth, where sizes spread in their logarithm.",
        gt=0,
        le=10,
        unit="data sd",
        group="Training starts",
    )
    noise_high: float = option(
        2.0,
        "Most noise on the truth.",
        gt=0,
        le=10,
        unit="data sd",
        group="Training starts",
    )
    noise_share: float = option(
        0.2,
        "Share of a batch that starts at noise alone, as predictions do.",
        ge=0,
        le=1,
        group="Training starts",
    )
    weighted: bool = option(
        True,
        "Weigh squared errors by one over the noise's variance: else starts far away, which "
        "cannot tell what will follow, drown the rest.",
        group="Training starts",
    )
    start_scale: float = option(
        1.2,
        "Standard deviation of the noise that predictions start at.",
        gt=0,
        le=10,
        unit="data sd",
        group=GROUP,
    )
    num_inner_steps: int = option(
        2,
        "Steps down the energy in training; each is judged by its own gradient alone.",
        ge=1,
        le=16,
        group=GROUP,
    )
    step_size: float = option(
        2.3,
        "Inner step size at the start; it is learned.",
        gt=0,
        le=1e4,
        log=True,
        group=GROUP,
    )
    step_rate: float = option(
        5.0,
        "Learning rate of the logarithm of the inner step size over that of the weights; 0 holds "
        "it.",
        ge=0,
        le=1e4,
        group=GROUP,
    )
    contrast: float = option(
        0.1,
        "Weight of telling the truth from rivals by the energy: other events, the truth with "
        "noise, and where the inner steps ended. 0 leaves it out, at a third of the time.",
        ge=0,
        le=100,
        main=True,
        group="Rivals",
    )
    num_others: int = option(
        4, "Events of other contexts among the rivals.", ge=1, le=64, group="Rivals"
    )
    num_steps: int = option(
        50, "Steps down the energy of a prediction.", ge=1, le=10_000, log=True, main=True
    )
    langevin_noise: float = option(
        0.5,
        "Noise after the first step of a prediction; it falls to none at the last.",
        ge=0,
        le=10,
        unit="data sd",
    )
    train: TrainConfig = option({**PREDICTING, "batch_size": 256}, "How the weights are fitted.")

    def derived(self) -> dict[str, str]:
        notes: dict[str, str] = {}
        if self.starts == "noise":
            sentence = "No effect: training starts at noise alone."
            notes |= dict.fromkeys(("noise_high", "noise_share", "weighted"), sentence)
        if self.starts != "log_uniform":
            notes["noise_low"] = "No effect: sizes do not spread in their logarithm."
        if not self.contrast:
            notes["num_others"] = "No effect: nothing is told from rivals."
        return notes


class AnnealedDescent(Predictor):
    """x ← x − α ∇_x E(x, c) + s (1 − k/K) η after step k of K: noise that falls to none.

    Biased as a sampler: there is no Metropolis test, and α is learned for reconstruction.
    """

    passes_per_step = 2

    def __init__(self, descent: Descent, config: EnergyWorldModelConfig, data_shape: torch.Size):
        self.descent, self.config, self.event_shape = descent, config, data_shape
        self.num_steps = config.num_steps

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        shape = (len(given[CONTEXT]), *self.event_shape)
        return self.config.start_scale * torch.randn(
            shape, generator=generator, device=generator.device
        )

    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        x = self.descent.stepped(x, given[CONTEXT])
        noise = self.config.langevin_noise * max(0.0, 1 - (index + 1) / num_steps)
        if not noise:
            return x
        return x + noise * torch.randn(x.shape, generator=generator, device=x.device)

    def energy(self, x: Tensor, given: Given) -> Tensor:
        return self.descent.energies(x, given[CONTEXT])


class EnergyWorldModel(PredictingMethod):
    """|x̃ − α ∇_x E(x̃, c) − x|² from x̃ = x + σ η with σ of many sizes, each error over σ².

    From noise alone the best reconstruction is the mean of what may follow, and there the energy is
    lowest; near the truth it is the truth, so that every branch gets a well of its own. Beside it,
    cross-entropy of −E tells x from rivals (van den Oord et al. 2018). The energy of one context is
    free of those of others: compare within a context alone. Gladstone et al. 2025.
    """

    id: ClassVar[str] = "energy_world_model"
    title: ClassVar[str] = "Energy-based world model"
    summary: ClassVar[str] = (
        "Learns an energy of what may follow a context, a next state or a plan, and goes down it "
        "with falling noise: one draw lands on one branch, not on their mean."
    )
    references: ClassVar[str] = "Gladstone et al. 2025; van den Oord et al. 2018"
    url: ClassVar[str] = "https://arxiv.org/abs/2507.02092"
    Config: ClassVar[type[Config]] = EnergyWorldModelConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "The next step of a ball at a fork: both branches, told from their mean.",
            budget=Budget(steps=2500),
            data={"name": "forked_future"},
        ),
        "pendulum": Preset(
            "The next state of a pendulum, where one thing follows: less noise, fewer steps.",
            {"langevin_noise": 0.05, "num_steps": 10},
            budget=Budget(steps=2500),
            data={"name": "pendulum"},
        ),
        "policy": Preset(
            "Plans around an obstacle, either way, from demonstrations.",
            POLICY,
            budget=Budget(steps=2500),
            data={"name": "reach"},
        ),
        "frames": Preset(
            "The next frame of a ball in a box, 8×8 pixels: one thing follows, so it is learned "
            "from noise alone. Least squares and a regressor do better.",
            FRAMES | {"energy": {"kind": "mlp", "width": 256, "depth": 3}},
            budget=Budget(steps=2500),
            data={"name": "ball_frames"},
        ),
        "large_frames": Preset(
            "Frames of three balls by six blocks 384 wide, the size of the small models of the "
            "paper.",
            FRAMES
            | {
                "energy": {"kind": "transformer", "width": 384, "depth": 6, "num_heads": 6},
                "train": LARGE,
            },
            budget=Budget(steps=50_000),
            wants_gpu=True,
            data={"name": "ball_frames", "num_balls": 3, "side": 16, "num": 100_000},
        ),
        "large_policy": Preset(
            "Plans by eight blocks 256 wide, the size of a diffusion policy's transformer.",
            POLICY
            | {
                "energy": {"kind": "transformer", "width": 256, "depth": 8, "num_heads": 4},
                "train": LARGE,
            },
            budget=Budget(steps=50_000),
            wants_gpu=True,
            data={"name": "reach"},
        ),
        "plain": Preset(
            "Reconstruction from noise alone, the plain training: it learns the mean.",
            {"starts": "noise", "contrast": 0.0, "langevin_noise": 0.0},
            budget=Budget(steps=2500),
            data={"name": "forked_future"},
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        **{path: EnergyTransformer.figures[path] for path in ("loss/thinking", "inner/step_size")},
        "loss/rivals": Figure("Truth told from rivals", unit="nats"),
        "inner/move": Figure("Length of the first inner step", unit="data sd", log=True),
        **outcomes.FIGURES,
    }
    headline: ClassVar[tuple[str, ...]] = (
        "outcome/on_branch",
        "outcome/success",
        "rank/another",
        "prediction/squared_error",
        "loss/total",
    )
    judges: ClassVar[bool] = True
    config: EnergyWorldModelConfig

    def __init__(self, config: EnergyWorldModelConfig, task: Task) -> None:
        super().__init__(config, task)
        shape = task.data.given[CONTEXT].shape[1:]
        network = build_network(config.energy, task, context_shape=shape)
        descent = Descent(network, config.step_size)
        self.fitter = Fitter(config.train, descent, rates={"log_step": config.step_rate})

    def step(self, progress: float) -> dict[str, Tensor]:
        config, generator, data = self.config, self.generator, self.task.data
        rows = data.rows(data.indices(config.train.batch_size, generator))
        start, sigma = self._starts(rows.x)
        weight = torch.ones_like(sigma)
        if config.weighted:
            weight = 1 / (sigma.square() + WEIGHT_FLOOR**2)
            weight = weight / weight.mean()
        rivals = self._rivals(rows.x)
        seen: dict[str, Tensor] = {}

        def losses() -> Iterator[Tensor]:
            batch = (rows.x, rows.given[CONTEXT], start, weight, rivals)
            for share, part in self.fitter.split(*batch):
                figures = self._fitted(*part)
                for name, value in figures.items():
                    seen[name] = seen.get(name, 0) + share * value.detach()
                loss = figures["loss/weighted"]
                yield share * (loss + config.contrast * figures.get("loss/rivals", 0))

        fitted = self.fitter.update(losses(), progress)
        self.gradient_evaluations += config.num_inner_steps
        total = seen.pop("loss/weighted") + config.contrast * seen.get("loss/rivals", 0)
        step_size = self.fitter.module.log_step.detach().exp()
        return {"loss/total": total, **seen, "inner/step_size": step_size, **fitted}

    def _fitted(
        self, x: Tensor, context: Tensor, start: Tensor, weight: Tensor, rivals: Tensor
    ) -> dict[str, Tensor]:
        """0-d losses and figures by path."""
        config, descent = self.config, self.fitter.module
        factor = x.new_ones(len(x))
        path = list(descent.learned(start, context, factor, config.num_inner_steps, unrolled=False))
        errors = torch.stack([(step.position - x).square().flatten(1).mean(1) for step in path])
        move = (path[0].position - start).detach().flatten(1).norm(dim=1).mean()
        figures = {
            "loss/weighted": (weight * errors).mean(),
            "loss/thinking/first_step": errors[0].mean(),
            "loss/thinking/last_step": errors[-1].mean(),
            "inner/move": move / math.sqrt(x[0].numel()),
        }
        if config.contrast:
            ended = path[-1].position.detach()[:, None]
            candidates = torch.cat([x[:, None], rivals, ended], 1)
            num = candidates.shape[1]
            repeated = context.repeat_interleave(num, 0)
            energy = descent.network(candidates.flatten(0, 1), Condition(context=repeated))
            log_probs = (-energy.reshape(-1, num)).log_softmax(1)
            figures["loss/rivals"] = -log_probs[:, 0].mean()
        return figures

    def _starts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Starts of the inner steps to x, and (batch,) the size of the noise there."""
        config, num = self.config, len(x)
        normal = torch.randn(x.shape, generator=self.generator, device=x.device)
        if config.starts == "noise":
            return config.start_scale * normal, normal.new_full((num,), config.start_scale)
        uniform, coin = torch.rand(2, num, generator=self.generator, device=x.device)
        if config.starts == "uniform":
            sigma = config.noise_high * uniform
        else:
            low, high = math.log(config.noise_low), math.log(config.noise_high)
            sigma = (low + (high - low) * uniform).exp()
        alone = (coin < config.noise_share).reshape(-1, *[1] * (x.dim() - 1))
        noisy = x + sigma.reshape(alone.shape) * normal
        # of noise alone the size stands for what is not known of x
        at_noise = sigma.new_full((), 1.0 / 0.6)
        start = torch.where(alone, config.start_scale * normal, noisy)
        return start, torch.where(alone.flatten(), at_noise, sigma)

    def _rivals(self, x: Tensor) -> Tensor:
        """(batch, num, *event_shape) events that x is told from; none where nothing is."""
        config, num = self.config, len(x)
        if not config.contrast:
            return x[:, None][:, :0]
        generator, device = self.generator, x.device
        normal = torch.randn((num, len(JITTERS), *x.shape[1:]), generator=generator, device=device)
        shuffled = [
            x[torch.randperm(num, generator=generator, device=device)]
            for _ in range(config.num_others)
        ]
        jittered = [x + sd * normal[:, place] for place, sd in enumerate(JITTERS)]
        return torch.stack([*shuffled, *jittered], 1)

    def predictor(self) -> Predictor:
        return AnnealedDescent(self.fitter.fitted, self.config, self.task.data.event_shape)
