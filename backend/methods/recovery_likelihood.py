"""Diffusion recovery likelihood, with and without a cooperating initializer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend import drawing
from backend.config import Config, option
from backend.data import Data
from backend.energies import (
    NO_LABEL,
    AnyConditionalNetwork,
    Condition,
    NetworkEnergy,
    build_network,
    network_problems,
)
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Event
from backend.figures import Figure
from backend.method import Method, Preset, Task, Wish
from backend.noise_ladder import NoiseLadder, Schedule, noised, schedule
from backend.recovery.bases import Base, BaseConfig, base_of
from backend.recovery.descent import Descent, LowestLevel, Terms, Way, normal, terms_of
from backend.recovery.initializers import AnyInitializer, FittedInitializerConfig
from backend.recovery.look import look
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

MAX_LEVELS = 32
NUM_OBSERVED = 256


class RecoveryLikelihoodConfig(Config):
    energy: AnyConditionalNetwork = option(
        {"kind": "residual_mlp"}, "The network that is fitted, told the noise level.",
        group="Energy",
    )  # fmt: skip
    base: BaseConfig = option(
        {"kind": "flat"}, "What the network's log-density is added to, and how chains step on it.",
        group="Sampler",
    )  # fmt: skip
    initializer: AnyInitializer = option(
        {"kind": "none"}, "The network that guesses where chains should start, if any.",
        group="Initializer",
    )  # fmt: skip
    schedule: Schedule = option(
        "cosine", "How the noise of the levels is spaced: by a cosine or in a straight line of the "
        "log signal-to-noise ratio between its two ends, or by 1,000 steps of linear β.",
        group="Levels",
    )  # fmt: skip
    num_levels: int = option(
        6, "Levels of noise, each with a conditional of its own.", ge=2, le=MAX_LEVELS, main=True,
        group="Levels",
    )  # fmt: skip
    highest_log_snr: float = option(
        9.8, "Log signal-to-noise ratio at the level of least noise, which samples end at.",
        unit="nats", ge=-2, le=20, group="Levels",
    )  # fmt: skip
    lowest_log_snr: float = option(
        -5.1, "The same at the top of the ladder, where samples start from noise.",
        unit="nats", ge=-20, le=-2, group="Levels",
    )  # fmt: skip
    num_steps: int = option(
        12, "Langevin steps at a level, in training and in sampling.", ge=1, le=1000, main=True,
        group="Sampler",
    )  # fmt: skip
    loss_weight: Literal["noise", "equal"] = option(
        "noise", "Weight of a level in the loss: σ_0/σ_t, less where neighbours are far apart, or "
        "the same for all.", group="Training",
    )  # fmt: skip
    conditional: bool = option(
        False, "Learn the classes of the data as well, so that samples can be asked of each.",
        main=True, group="Classes",
    )  # fmt: skip
    null_share: float = option(
        0.2, "Share of the data shown without its class: all classes together are learned too.",
        ge=0, le=1, group="Classes",
    )  # fmt: skip
    train: TrainConfig = option(TrainConfig(), "How the weights are fitted.", group="Training")

    def derived(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.schedule == "linear_beta":
            idle = "No effect: a linear β has ends of its own."
            found |= {"highest_log_snr": idle, "lowest_log_snr": idle}
        if not self.conditional:
            found["null_share"] = "No effect: classes are not learned."
        return found


_POINTS: dict[str, Any] = {
    "train": {"ema_decay": 0.999, "batch_size": 192, "schedule": "cosine"},
}
_DIGITS: dict[str, Any] = {
    "energy": {"kind": "residual_mlp", "width": 256, "start_scale": 0.01},
    "base": {"kind": "gaussian"},
    "schedule": "linear_log_snr",
    "num_levels": 5,
    "highest_log_snr": 4.0,
    "lowest_log_snr": -3.0,
    "num_steps": 10,
    "loss_weight": "equal",
    "conditional": True,
    "train": {
        "learning_rate": 1e-3, "beta1": 0.9, "batch_size": 192, "ema_decay": 0.998,
        "schedule": "cosine",
    },
}  # fmt: skip


class RecoveryLikelihood(Method):
    """E over levels of w_t (f(x_t⁻) − f(x_t)), x_t⁻ drawn from p(x_t | x_{t+1}) by K steps.

    A ladder of noise is learned level by level: the energy at level t is that of data as noisy as
    x_t, and its samples are chains on the conditional of x_t given the noisier x_{t+1}, which has
    one mode nearly everywhere and is quickly sampled. Data and x_{t+1} share their noise: the
    gradient needs their marginals alone. Chains start at x_{t+1}, or where an initializer g says,
    which learns |x_t⁻ − g(x_{t+1}) − noise|². Fresh samples go down all levels and end with one
    step of Tweedie's formula.

    Biases: chains are short, so that the density learned is the one whose K steps give the data;
    `energy()` is of data with the noise of the lowest level. With the base `gaussian` neither the
    density's form nor the Langevin steps are those of the papers (see backend/recovery/bases.py).

    Gao et al. 2021; Zhu et al. 2024 (the initializer, classes and guidance).
    """

    id = "recovery_likelihood"
    title = "Diffusion recovery likelihood"
    summary = (
        "Learns a ladder of energies, each of data a little less noisy than the last, so that "
        "short chains suffice; alone, or with a network that guesses where chains end."
    )
    references = "Gao et al. 2021; Zhu et al. 2024"
    url = "https://arxiv.org/abs/2012.08125"
    Config = RecoveryLikelihoodConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Points, six levels, chains from the noisier position.", _POINTS, Budget(steps=4500)
        ),
        "cooperative": Preset(
            "The same with an initializer that learns from the chains where to start them.",
            {**_POINTS, "initializer": {"kind": "residual_mlp"}},
            Budget(steps=4500),
        ),
        "digits": Preset(
            "Labelled images of 8×8 pixels or so, with an initializer. The network corrects a "
            "Gaussian and steps are exact for it, which is not the papers' recipe.",
            {**_DIGITS, "initializer": {"kind": "residual_mlp", "width": 256}},
            Budget(steps=1500),
        ),
        "digits_without_initializer": Preset(
            "The same, with chains from the noisier image.", _DIGITS, Budget(steps=1500)
        ),
    }
    headline = (
        "quality/energy_distance",
        "quality/frechet_pca",
        "quality/grid_kl",
        "energy/gap",
        "levels/0/gap",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "initializer/loss": Figure("Error of the initializer", "squared, data sd", log=True),
        "sampler/displacement": Figure("Distance from a chain's start to its end", "data sd"),
        "levels/energy_distance": Figure("Energy distance by level", "squared, data sd", log=True),
        "levels/displacement": Figure("Distance from a chain's start to its end", "data sd"),
        **{
            f"levels/{level}/gap": Figure(
                f"Energy gap, data − samples, level {level}", "nats",
                help="Keeps its sign for hundreds of steps where chains do not mix.",
            )
            for level in range(MAX_LEVELS)
        },
    }  # fmt: skip
    config: RecoveryLikelihoodConfig

    def __init__(self, config: RecoveryLikelihoodConfig, task: Task) -> None:
        super().__init__(config, task)
        rungs = schedule(
            config.schedule, config.num_levels, config.highest_log_snr, config.lowest_log_snr
        )
        self.ladder: NoiseLadder = rungs.to(task.device)
        self.base: Base = base_of(config.base, self.ladder, task.data)
        levels, labels = config.num_levels, self.num_labels
        self.network: NetworkEnergy = build_network(config.energy, task, levels, labels)
        self.fitter = Fitter(config.train, self.network)
        self.initializer: nn.Module | None = None
        self.initializer_fitter: Fitter | None = None
        settings = config.initializer
        body = settings.build(task.data.event_shape, self.generator, levels, labels)
        if body is not None:
            assert isinstance(settings, FittedInitializerConfig)
            self.initializer = body.to(task.device)
            changed = {
                "learning_rate": settings.learning_rate,
                "gradient_clip": settings.gradient_clip,
                "beta1": 0.9,
            }
            train = config.train.model_copy(update=changed)
            self.initializer_fitter = Fitter(train, self.initializer)
        weights = torch.ones(levels, device=task.device)
        if config.loss_weight == "noise":
            weights = (self.ladder.step_sd[0] / self.ladder.step_sd).float()
        self.loss_weights = weights

    @classmethod
    def problems(cls, config: RecoveryLikelihoodConfig, data: Data) -> Iterable[tuple[str, str]]:
        found = network_problems(config.energy, data, "energy")
        if reason := config.initializer.fits(data.event_shape):
            found.append(("initializer.kind", reason))
        if config.conditional and not data.num_labels:
            found.append(
                ("conditional", f"needs data with classes, and {data.title!r} has none. Turn it "
                 "off, or choose other data.")
            )  # fmt: skip
        return found

    # ------------------------------------------------------------------ training

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data, generator = self.config, self.task.data, self.generator
        size, num_levels = config.train.batch_size, config.num_levels
        index = data.indices(size, generator)
        labels = self._shown_labels(index)
        # levels are dealt out in turn, from one that is drawn
        first = torch.randint(num_levels, (), generator=generator, device=index.device)
        level = (torch.arange(size, device=index.device) + first) % num_levels
        z = data.train[index]
        noise = normal(z, generator)
        x = noised(self.ladder, z, level, noise)
        x_next = noised(self.ladder, z, level + 1, noise)
        terms = Terms((1.0,), (labels,))
        descent = Descent(self.ladder, self.base, self.network, self.initializer)
        guess = descent.guess(x_next, level, terms)
        start, jitter = descent.start(x_next, level, guess, generator)
        x_model = descent.refined(start, x_next, level, terms, config.num_steps, generator)
        self.gradient_evaluations += descent.gradient_evaluations
        both = Condition(level.repeat(2), None if labels is None else labels.repeat(2))
        energies = self.network(torch.cat([x, x_model]), both)
        nats = energies.detach() * self.base.scale[level.repeat(2)]
        on_data, on_model = nats.split(size)
        weights = self.loss_weights[level]
        loss = (torch.cat([weights, -weights]) * energies).sum() / size
        metrics = {
            "loss/total": loss.detach(),
            "energy/data": on_data.mean(),
            "energy/model": on_model.mean(),
            "energy/gap": (on_data - on_model).mean(),
            "energy/max": nats.abs().amax(),
            "sampler/radius": x_model.flatten(1).norm(dim=1).amax(),
            "sampler/displacement": (x_model - start).flatten(1).norm(dim=1).mean(),
            **self._gaps(on_data - on_model, level),
            **self.fitter.update(loss, progress),
        }
        if guess is not None and self.initializer_fitter is not None:
            error = (x_model - guess - jitter).square().flatten(1).sum(1).mean()
            self.initializer_fitter.update(error, progress)
            metrics["initializer/loss"] = error.detach()
        return metrics

    def _shown_labels(self, index: Tensor) -> Tensor | None:
        """(batch,) classes of these data, some of them hidden; None without classes."""
        if not self.num_labels:
            return None
        assert self.task.data.labels is not None
        labels = self.task.data.labels[index]
        uniform = torch.rand(labels.shape, generator=self.generator, device=labels.device)
        return torch.where(uniform < self.config.null_share, NO_LABEL, labels)

    def _gaps(self, gap: Tensor, level: Tensor) -> dict[str, Tensor]:
        """Mean energy gap (batch,) of each level; 0 for one that the batch does not hold."""
        num_levels = self.config.num_levels
        total = gap.new_zeros(num_levels).index_add(0, level, gap)
        count = gap.new_zeros(num_levels).index_add(0, level, torch.ones_like(gap))
        means = total / count.clamp(min=1)
        return {f"levels/{number}/gap": means[number] for number in range(num_levels)}

    # ------------------------------------------------------------------ what was learned

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels if self.config.conditional else 0

    def energy(self) -> Energy:
        return LowestLevel(self._fitted, self.base, self.ladder, self._terms(Wish(0)))

    def conditional_energy(self, label: int) -> Energy:
        if not 0 <= label < self.num_labels:
            raise BadInput.at("label", f"must be one of {self.num_labels} classes, got {label}.")
        terms = self._terms(Wish(0, torch.tensor(label, device=self.task.device)))
        return LowestLevel(self._fitted, self.base, self.ladder, terms)

    @property
    def _fitted(self) -> NetworkEnergy:
        fitted = self.fitter.fitted
        assert isinstance(fitted, NetworkEnergy)
        return fitted

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        """Fresh samples down the ladder; of classes as frequent as in the data, where known."""
        return self._way_down(self._as_in_the_data(num, generator), generator).positions[-1]

    def refusal(self, wish: Wish) -> tuple[str, str] | None:
        if said := drawing.refusal(self, wish):
            return said
        asked = wish.labels is not None or wish.guidance != 0 or bool(wish.mixture)
        if asked and (wish.sampler is not None or wish.start is not None):
            field = "sampler" if wish.sampler is not None else "start"
            return field, (
                "cannot be given along with classes: those are sampled down the ladder of noise, "
                "from noise and by its own steps."
            )
        return None

    def draw(self, wish: Wish, generator: torch.Generator) -> Tensor:
        """Samples down the ladder by the averaged weights, `num_steps` Langevin steps a level; 0
        gives the starts of the chains alone. Images are cut to black and white at the very end.

        With a sampler or a start of its own, chains on `energy()` instead.
        """
        if said := self.refusal(wish):
            raise BadInput.at(*said)
        if wish.sampler is not None or wish.start is not None:
            return drawing.draw(self, wish, generator)
        return self._way_down(wish, generator).positions[-1]

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """A strip of the way down, and by level how far chains go and, on points, how far samples
        are from data as noisy as they."""
        way = self._way_down(self._as_in_the_data(NUM_OBSERVED, generator), generator)
        return look(way, self.task.data, self.ladder, generator)

    def _way_down(self, wish: Wish, generator: torch.Generator) -> Way:
        fitter = self.initializer_fitter
        initializer = None if fitter is None else fitter.fitted
        descent = Descent(self.ladder, self.base, self._fitted, initializer)
        num_steps = self.config.num_steps if wish.num_steps is None else wish.num_steps
        way = descent.descend(self.task.data, wish, self._terms(wish), num_steps, generator)
        self.gradient_evaluations += descent.gradient_evaluations
        return way

    def _terms(self, wish: Wish) -> Terms:
        if not self.num_labels:
            return Terms((1.0,), (None,))
        return terms_of(wish.labels, wish.guidance, wish.mixture, self.task.device)

    def _as_in_the_data(self, num: int, generator: torch.Generator) -> Wish:
        """Samples of classes drawn from those of the data, where classes are known."""
        data = self.task.data
        if not self.num_labels or data.labels is None:
            return Wish(num)
        return Wish(num, data.labels[data.indices(num, generator)])
