"""Maximum likelihood with chains: contrastive divergence and its persistent and short-run kin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.data import Data
from backend.distributions import Distribution
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.discrete import read_as
from backend.energy import Energy
from backend.method import Method, Preset, Start, Task
from backend.methods.contrastive_presets import PRESETS
from backend.metrics.log_z_grid import ESTIMATE
from backend.objectives.contrastive import Contrast, contrastive, whole, written_out
from backend.sampler import Sampler
from backend.samplers import ChainSampler, Moved
from backend.samplers.replay_buffer import drawn_places, restarted
from backend.samplers.weighted_walkers import WeightedWalkers
from backend.training import Fitter, TrainConfig

Origin = Literal["data", "persistent", "weighted", "noise"]


class ContrastiveDivergenceConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    sampler: ChainSampler = option(
        {"kind": "langevin"}, "What draws the samples that training contrasts.", group="Sampler"
    )
    chains: Origin = option(
        "data",
        "Where the chains of an update start: at its data (contrastive divergence), where "
        "earlier updates left them (persistent, or weighted besides), or from noise (short-run).",
        main=True,
        group="Chains",
    )
    num_steps: int = option(
        20,
        "Sampler steps of the chains at every update.",
        ge=1,
        le=10_000,
        main=True,
        group="Chains",
        turnable=True,
    )
    buffer_size: int = option(
        10_000,
        "Chains kept between updates; each update moves a batch of them, or all where they are "
        "weighted.",
        ge=1,
        le=1_000_000,
        group="Chains",
    )
    reinit_rate: float = option(
        0.05,
        "Share of an update's kept chains restarted: from noise, or where they are weighted from "
        "the base with the weight that corrects for it. 0.05 is usual.",
        ge=0,
        le=1,
        group="Chains",
        turnable=True,
    )
    data_noise: float = option(
        0.1,
        "Gaussian noise put on the data at the start of training.",
        unit="data sd",
        ge=0,
        le=10,
        main=True,
        group="Regularisation",
        turnable=True,
    )
    data_noise_end: float = option(
        0.0,
        "The same at the end; it falls in a straight line.",
        unit="data sd",
        ge=0,
        le=10,
        group="Regularisation",
        turnable=True,
    )
    energy_l2: float = option(
        0.005,
        "Weight of the squared energies in the loss; keeps energies of order one.",
        ge=0,
        le=100,
        log=True,
        group="Regularisation",
        turnable=True,
    )
    train: TrainConfig = option(TrainConfig(), "How the weights are fitted.", group="Training")

    def derived(self) -> dict[str, str]:
        if self.chains == "weighted":
            return {"buffer_size": f"Every update moves all {self.buffer_size:,} chains."}
        if self.chains != "persistent":
            idle = "No effect: chains are not kept between updates."
            return {"buffer_size": idle, "reinit_rate": idle}
        period = self.buffer_size / self.train.batch_size
        age = f"A chain is moved once in {period:,.0f} updates" if period > 1 else ""
        if self.reinit_rate and age:
            steps = self.num_steps / self.reinit_rate
            age += f" and lives for {steps:,.0f} steps on average"
        return {"buffer_size": f"{age}."} if age else {}


SHORT_RUN = (
    "Chains that start from noise at every update make a generator of this energy, not a density: "
    "where they do not arrive it was never judged."
)


class ContrastiveDivergence(Method):
    """E[E(x_data)] − E[E(x_model)] by chains of the model as it stands.

    Hinton 2002 (chains from data); Tieleman 2008 and Du & Mordatch 2019 (persistent, with a
    replay buffer); Nijkamp et al. 2019 (short-run chains from noise, which make a generator out of
    an energy that is no density).
    """

    id = "contrastive_divergence"
    title = "Contrastive divergence"
    summary = (
        "Lowers the energy of data and raises that of the model's own samples, drawn by short "
        "chains: from data, persistent, or from noise."
    )
    references = "Hinton 2002; Tieleman 2008; Nijkamp et al. 2019; Du & Mordatch 2019"
    url = "https://arxiv.org/abs/1903.08689"
    Config = ContrastiveDivergenceConfig
    presets: ClassVar[dict[str, Preset]] = PRESETS
    config: ContrastiveDivergenceConfig
    takes_discrete = True
    data_noise_field = "data_noise_end"

    def __init__(self, config: ContrastiveDivergenceConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)
        self.kernel = samplers.build(config.sampler)
        if config.chains == "noise":
            self.not_a_density = SHORT_RUN
        self.buffer: Tensor | None = None
        self.walkers: WeightedWalkers | None = None
        if config.chains == "persistent":
            self.buffer = task.data.noise(config.buffer_size, self.generator)
        if config.chains == "weighted":
            self.walkers = WeightedWalkers(self._base, config.buffer_size, self.generator)

    def after_turn(self, fields: frozenset[str]) -> None:
        if self.walkers is not None and "sampler.step_size" in fields:
            self.walkers.forget_step_size()

    @classmethod
    def problems(cls, config: ContrastiveDivergenceConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_values is not None and (config.data_noise or config.data_noise_end):
            field = "data_noise" if config.data_noise else "data_noise_end"
            yield field, f"must be 0 for whole numbers, got {getattr(config, field):g}."
        if config.chains != "weighted":
            return
        if not getattr(config.energy, "has_base", False):
            yield (
                "chains",
                "must not be `weighted` without a base of the energy. Choose `persistent`.",
            )
        if not samplers.kind_of(config.sampler).exact:
            yield (
                "sampler.kind",
                f"must be exact for weighted chains, got `{config.sampler.kind}`. Choose `mala`.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        data = self.task.data
        x_data = self._noised(data.batch(self.config.train.batch_size, self.generator), progress)
        weights: Tensor | None = None
        figures: dict[str, Tensor] = {}
        if self.walkers is None:
            moved = self._walk(x_data)
        else:
            moved, weights, figures = self._move(self.walkers)
        self.gradient_evaluations += moved.gradient_evaluations
        x_model = moved.position
        contrast, fitted = self._fit(x_data, x_model, weights, progress)
        metrics = {
            "loss/total": contrast.loss,
            "energy/data": contrast.data,
            "energy/model": contrast.model,
            "energy/gap": contrast.data - contrast.model,
            "energy/max": contrast.largest,
            "sampler/radius": x_model.flatten(1).norm(dim=1).amax(),
            **fitted,
            **figures,
        }
        if self.kernel.exact:
            metrics["sampler/acceptance_rate"] = moved.acceptance_rate
        if self.walkers is not None:
            metrics[ESTIMATE] = self.walkers.log_z(self.fitter.fitted)
        return metrics

    def _walk(self, x_data: Tensor) -> Moved:
        """The chains of this update, which leave kept ones where they end."""
        config, data = self.config, self.task.data
        index, positions = None, x_data
        if self.buffer is not None:
            index = drawn_places(self.buffer, len(x_data), self.generator)
            earlier = self.buffer.index_select(0, index)
            positions = restarted(earlier, data, config.reinit_rate, self.generator)
        elif config.chains == "noise":
            positions = data.noise(len(x_data), self.generator)
        kernel, energy, steps = self.kernel, self._walked, config.num_steps
        moved = samplers.moved(kernel, positions, energy, self.generator, steps)
        if self.buffer is not None and index is not None:
            self.buffer.index_copy_(0, index, moved.position)
        return moved

    def _move(self, walkers: WeightedWalkers) -> tuple[Moved, Tensor, dict[str, Tensor]]:
        """A move of all weighted chains: their ends, their weights, and what is said of them."""
        config = self.config
        base, renewed, steps = self._base, config.reinit_rate, config.num_steps
        moved = walkers.move(self.kernel, self._walked, base, renewed, steps, self.generator)
        figures = {
            "sampler/weight_ess": moved.effective,
            "sampler/resamplings": walkers.num_resampled,
            "sampler/step_size": walkers.step_size,
        }
        walk = moved.walk
        ends = Moved(walk.state.position, walk.acceptance_rate, walk.gradient_evaluations)
        return ends, moved.weights, figures

    def _fit(
        self, x_data: Tensor, x_model: Tensor, weights: Tensor | None, progress: float
    ) -> tuple[Contrast, Mapping[str, Tensor]]:
        """One update of the weights: the contrast that it was made of, and what the fitter says."""
        parts: list[tuple[float, Contrast]] = []
        l2 = self.config.energy_l2
        if self.config.train.micro_batches == 1:
            known = written_out(self.network, x_data, x_model, l2, weights)
            if known is not None:
                return known.contrast, self.fitter.descend(known.gradients, progress)
        batch = (x_data, x_model) if weights is None else (x_data, x_model, weights)

        def losses() -> Iterator[Tensor]:
            for share, (data, model, *rest) in self.fitter.split(*batch):
                # the weights of a part of the chains are those among all of them
                of_part = rest[0] / share if rest else None
                part = contrastive(self.network, data, model, l2, of_part)
                parts.append((share, part._replace(loss=part.loss.detach())))
                yield share * part.loss

        updates = self.fitter.update(losses(), progress)
        return whole(parts), updates

    @property
    def _base(self) -> Distribution:
        assert self.network.tilt is not None, "weighted chains start from a base"
        return self.network.tilt.base

    def log_z(self) -> Tensor | None:
        return None if self.walkers is None else self.walkers.log_z(self.fitter.fitted)

    @property
    def _walked(self) -> Energy:
        """The network as chains see it, made anew: one kept here would be saved a second time."""
        return self._as_read(self.network)

    def _as_read(self, energy: Energy) -> Energy:
        data = self.task.data
        return read_as(energy, data.event_shape, data.num_values)

    def energy(self) -> Energy:
        return self._as_read(self.fitter.fitted)

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        data, num_steps = self.task.data, self.config.num_steps
        if self.walkers is not None:
            return Start(self.walkers.drawn(num, generator), True, num_steps)
        if self.buffer is not None:
            positions = self.buffer[drawn_places(self.buffer, num, generator)]
            positions = restarted(positions, data, self.config.reinit_rate, generator)
            return Start(positions, True, num_steps)
        if self.config.chains == "noise":
            return Start(data.noise(num, generator), False, num_steps)
        return Start(data.batch(num, generator), False, num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        positions = self.start(num, generator).positions
        steps = self.config.num_steps
        return samplers.moved(self.kernel, positions, self._walked, generator, steps).position

    def _noised(self, x_data: Tensor, progress: float) -> Tensor:
        """Data with the noise of this moment."""
        start, end = self.config.data_noise, self.config.data_noise_end
        return self.task.data.noised(x_data, start + progress * (end - start), self.generator)
