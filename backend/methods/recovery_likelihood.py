"""Diffusion recovery likelihood, with and without a cooperating initializer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.energies import (
    NO_LABEL,
    Condition,
    NetworkEnergy,
    build_network,
)
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Event
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.recovery.bases import LARGEST_GAUSSIAN, Base, GaussianBaseConfig, base_of
from backend.recovery.clusters import Clusters
from backend.recovery.descent import Descent, LowestLevel, Terms, Way, normal, terms_of
from backend.recovery.noise_schedule import NoiseLadder, noised, schedule
from backend.recovery.pictures import look
from backend.recovery.settings import (
    COOPERATIVE_DIGITS,
    DIGITS,
    MAX_LEVELS,
    POINTS,
    RecoveryLikelihoodConfig,
    image_settings,
)
from backend.spec import Budget
from backend.training import Fitter

NUM_OBSERVED = 256


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
            "Points, six levels, chains from the noisier position.", POINTS, Budget(steps=4500)
        ),
        "cooperative": Preset(
            "The same with an initializer that learns from the chains where to start them.",
            # Chains must forget where they were told to start: steps of a third of this variance
            # leave them there, and the energy turns over far from the data.
            {
                **POINTS,
                "initializer": {"kind": "residual_mlp"},
                "base": {"kind": "flat", "step_size": 0.3},
            },
            Budget(steps=4500),
        ),
        "digits": Preset(
            "Labelled images of 8×8 pixels or so, with an initializer. The network corrects a "
            "Gaussian and steps are exact for it, which is not the papers' recipe.",
            COOPERATIVE_DIGITS,
            Budget(steps=1500),
            data={"name": "digits"},
        ),
        "digits_without_initializer": Preset(
            "The same, with chains from the noisier image.",
            DIGITS,
            Budget(steps=1500),
            data={"name": "digits"},
        ),
        "digits_without_labels": Preset(
            "With an initializer and, in place of the labels, twenty clusters found without them.",
            {**COOPERATIVE_DIGITS, "classes": "clusters"},
            Budget(steps=1500),
            data={"name": "digits"},
        ),
        "images_28": Preset(
            "Grey images of 28×28 on a GPU: half the width of the published network.",
            {**image_settings(64, "1,2,2", 4), "classes": "labels"},
            Budget(steps=100_000),
            data={"name": "mnist"},
            wants_gpu=True,
        ),
        "images_32": Preset(
            "Images of 32×32 on GPUs, with the published network: 128 channels, eight blocks at "
            "each of four resolutions. Not trained here.",
            image_settings(128, "1,2,2,2", 8),
            Budget(steps=500_000),
            data={"name": "cifar_10"},
            wants_gpu=True,
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
                f"Energy gap, data − samples, level {level}",
                "nats",
                help="Keeps its sign for hundreds of steps where chains do not mix.",
            )
            for level in range(MAX_LEVELS)
        },
    }
    not_a_density = (
        "This energy makes a generator, not a density: each level is right about data given a "
        "noisier neighbour alone, so the masses of separate parts are nobody's concern."
    )
    config: RecoveryLikelihoodConfig

    def __init__(self, config: RecoveryLikelihoodConfig, task: Task) -> None:
        super().__init__(config, task)
        rungs = schedule(
            config.schedule, config.num_levels, config.highest_log_snr, config.lowest_log_snr
        )
        self.ladder: NoiseLadder = rungs.to(task.device)
        self.base: Base = base_of(config.base, self.ladder, task.data)
        self.clusters: Clusters | None = None
        if config.classes == "clusters":
            self.clusters = Clusters(task.data.train, config.num_clusters, self.generator)
        levels, labels = config.num_levels, self.num_classes
        self.network: NetworkEnergy = build_network(config.energy, task, levels, labels)
        self.fitter = Fitter(config.train, self.network)
        body = config.initializer.build(task.data.event_shape, self.generator, levels, labels)
        self.initializer: nn.Module | None = None if body is None else body.to(task.device)
        self.initializer_fitter: Fitter[nn.Module] | None = None
        if self.initializer is not None:
            train = config.initializer.fitted_as(config.train)
            self.initializer_fitter = Fitter(train, self.initializer)
        weights = torch.ones(levels, device=task.device)
        if config.loss_weight == "noise":
            weights = (self.ladder.step_sd[0] / self.ladder.step_sd).float()
        self.loss_weights = weights

    def take(self, config: Any) -> None:
        super().take(config)
        if self.initializer_fitter is not None:
            fitted_as = self.config.initializer.fitted_as
            self.initializer_fitter.config = fitted_as(self.config.train)

    @classmethod
    def problems(cls, config: RecoveryLikelihoodConfig, data: Data) -> Iterable[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        if wall := getattr(config.energy, "wall", 0.0):
            problems.append(
                (
                    "energy.wall",
                    f"must be 0, since noisy positions lie beyond black and white, got {wall:g}.",
                )
            )
        dim = data.event_shape.numel()
        if isinstance(config.base, GaussianBaseConfig) and dim > LARGEST_GAUSSIAN:
            problems.append(
                (
                    "base.kind",
                    "`gaussian` takes events of at most "
                    f"{LARGEST_GAUSSIAN:,} numbers, got {dim:,}. Use `flat`.",
                )
            )
        if config.classes == "labels" and not data.num_labels:
            problems.append(
                (
                    "classes",
                    f"cannot be `labels`: {data.title!r} has none. Choose `clusters`, "
                    "`none` or other data.",
                )
            )
        if config.classes == "clusters" and config.num_clusters > len(data.train):
            problems.append(
                (
                    "num_clusters",
                    f"must be at most {len(data.train)}, the data, got {config.num_clusters}.",
                )
            )
        return problems

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
        start, jitter = descent.start(x_next, level, terms, generator)
        x_model = descent.refined(start, x_next, level, terms, config.num_steps, generator)
        self.gradient_evaluations += descent.gradient_evaluations
        gaps, updates = self._fit(x, x_model, level, labels, progress)
        metrics = {
            **gaps,
            "sampler/radius": x_model.flatten(1).norm(dim=1).amax(),
            "sampler/displacement": (x_model - start).flatten(1).norm(dim=1).mean(),
            **updates,
        }
        if self.initializer_fitter is not None:
            metrics["initializer/loss"] = self._fit_initializer(
                x_next, x_model - jitter, level, labels, progress
            )
        return metrics

    def _fit(
        self, x: Tensor, x_model: Tensor, level: Tensor, labels: Tensor | None, progress: float
    ) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
        """One update of the energy: its loss and energies, in nats, and what the fitter says."""
        weights = self.loss_weights[level] / len(x)
        both_energies: list[Tensor] = []

        def losses() -> Iterator[Tensor]:
            batch = (x, x_model, level, weights, *_given(labels))
            for _, (data, model, at, weight, *label) in self.fitter.split(*batch):
                # one pass over both is quicker than two
                both = Condition(at.repeat(2), label[0].repeat(2) if label else None)
                energies = self.network(torch.cat([data, model]), both).unflatten(0, (2, -1))
                both_energies.append(energies.detach())
                yield (weight * (energies[0] - energies[1])).sum()

        updates = self.fitter.update(losses(), progress)
        energies = torch.cat(both_energies, 1)
        loss = (weights * (energies[0] - energies[1])).sum()
        on_data, on_model = nats = energies * self.base.scale[level]
        return {
            "loss/total": loss,
            "energy/data": on_data.mean(),
            "energy/model": on_model.mean(),
            "energy/gap": (on_data - on_model).mean(),
            "energy/max": nats.abs().amax(),
            **self._gaps(on_data - on_model, level),
        }, updates

    def _fit_initializer(
        self, x_next: Tensor, goal: Tensor, level: Tensor, labels: Tensor | None, progress: float
    ) -> Tensor:
        """One update toward what chains came to, less the noise they started with; its loss."""
        fitter, initializer = self.initializer_fitter, self.initializer
        assert fitter is not None and initializer is not None
        losses_so_far: list[Tensor] = []

        def losses() -> Iterator[Tensor]:
            for share, (x, end, at, *label) in fitter.split(x_next, goal, level, *_given(labels)):
                guess = initializer(x, Condition(at, label[0] if label else None))
                loss = share * (end - guess).square().flatten(1).sum(1).mean()
                losses_so_far.append(loss.detach())
                yield loss

        fitter.update(losses(), progress)
        return torch.stack(losses_so_far).sum()

    def _shown_labels(self, index: Tensor) -> Tensor | None:
        """(batch,) classes of these data, some of them hidden; None without classes."""
        known = self._known_classes
        if known is None:
            return None
        labels = known[index]
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
        return self.task.data.num_labels if self.config.classes == "labels" else 0

    @property
    def num_classes(self) -> int:
        """Classes or clusters that the networks are told; 0 where they are told none."""
        return self.num_labels if self.clusters is None else len(self.clusters.centres)

    @property
    def _known_classes(self) -> Tensor | None:
        """(num,) of the training data; None where the networks are told none."""
        if self.clusters is not None:
            return self.clusters.of_data
        return self.task.data.labels if self.config.classes == "labels" else None

    def energy(self) -> Energy:
        return LowestLevel(
            self.fitter.fitted, self.base, self.ladder, self._terms(SampleRequest(0))
        )

    def conditional_energy(self, label: int) -> Energy:
        if not 0 <= label < self.num_labels:
            raise BadInput.at("label", f"must be one of {self.num_labels} classes, got {label}.")
        terms = self._terms(SampleRequest(0, torch.tensor(label, device=self.task.device)))
        return LowestLevel(self.fitter.fitted, self.base, self.ladder, terms)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        """Fresh samples down the ladder; of classes as frequent as in the data, where known."""
        return self._way_down(self._as_in_the_data(num, generator), generator).positions[-1]

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        asked = request.labels is not None or request.guidance != 0 or bool(request.mixture)
        if asked and (request.sampler is not None or request.start is not None):
            field = "sampler" if request.sampler is not None else "start"
            return field, (
                "cannot be given along with classes: those are sampled down the ladder of noise, "
                "from noise and by its own steps."
            )
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """Samples down the ladder by the averaged weights, `num_steps` Langevin steps a level; 0
        gives the starts of the chains alone. Images are cut to black and white at the very end.

        None, for chains on `energy()`, with a sampler or a start of its own.
        """
        if request.sampler is not None or request.start is not None:
            return None
        if self.clusters is not None:
            request = replace(request, labels=self.clusters.drawn(request, generator))
        return self._way_down(request, generator).positions[-1]

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """A strip of the way down, and by level how far chains go and, on points, how far samples
        are from data as noisy as they."""
        way = self._way_down(self._as_in_the_data(NUM_OBSERVED, generator), generator)
        return look(way, self.task.data, self.ladder, generator)

    def _way_down(self, request: SampleRequest, generator: torch.Generator) -> Way:
        fitter = self.initializer_fitter
        initializer = None if fitter is None else fitter.fitted
        descent = Descent(self.ladder, self.base, self.fitter.fitted, initializer)
        num_steps = self.config.num_steps if request.num_steps is None else request.num_steps
        way = descent.descend(self.task.data, request, self._terms(request), num_steps, generator)
        self.gradient_evaluations += descent.gradient_evaluations
        return way

    def _terms(self, request: SampleRequest) -> Terms:
        if not self.num_classes:
            return Terms((1.0,), (None,))
        return terms_of(request.labels, request.guidance, request.mixture, self.task.device)

    def _as_in_the_data(self, num: int, generator: torch.Generator) -> SampleRequest:
        """Samples of classes drawn from those of the data, where classes are known."""
        known = self._known_classes
        if known is None:
            return SampleRequest(num)
        return SampleRequest(num, known[self.task.data.indices(num, generator)])


def _given(labels: Tensor | None) -> tuple[Tensor, ...]:
    return () if labels is None else (labels,)
