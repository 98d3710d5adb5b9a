"""More rows for a small table: one energy a class, and short chains from real rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend import samplers
from backend.config import Config, KindConfig, option, tagged_union
from backend.data import Data
from backend.energies import AnyNetwork, Condition, NetworkEnergy, build_network, tabpfn
from backend.energies.class_surrogates import KernelClasses, NetworkClasses, corners
from backend.energies.classifier import Classifier
from backend.energy import Energy, energy_and_gradient
from backend.errors import BadInput, NotAvailable
from backend.events import Curve, Event, Table
from backend.method import Method, Preset, SampleRequest, Start, Task
from backend.metric_names import Figure
from backend.sampler import Sampler
from backend.samplers import ChainSampler
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

CHUNK = 4096
"""Chains moved at once: each meets every row of the table."""
WALL = 0.3
"""Width in data sd of the wall around the box of noise: logits of networks fall on and on."""
MOST_ROWS = 20_000
"""Rows that kernels are put on at most."""


class KernelSurrogateConfig(KindConfig):
    kind: Literal["kernel"] = "kernel"
    title: ClassVar[str] = "Kernels on the rows"
    summary: ClassVar[str] = "Nothing is fitted: a kernel density of each class is its classifier."
    bandwidth: float = option(
        1.0,
        "Width of the kernels over the median distance of a row to the nearest of its class.",
        gt=0,
        le=100,
        main=True,
    )

    def classes(self, rows: Sequence[Tensor], negatives: Tensor) -> Energy:
        """Energies of classes by their rows (num, dim) and the corners (num, dim)."""
        return KernelClasses(rows, negatives, self.bandwidth)


class TabPFNSurrogateConfig(KindConfig):
    kind: Literal["tabpfn"] = "tabpfn"
    title: ClassVar[str] = "TabPFN"
    summary: ClassVar[str] = (
        "The published classifier, where its package and weights are installed; none are fetched."
    )
    weights: str = option(
        "tabpfn-v2-classifier-finetuned-zk73skhh.ckpt",
        "File name of the weights in the folder where TabPFN keeps them.",
        pattern=r"^\w[\w.-]*\.ckpt$",
        max_length=200,
        main=True,
    )

    def classes(self, rows: Sequence[Tensor], negatives: Tensor) -> Energy:
        """As of kernels. Raises NotAvailable without the package or its weights."""
        if sentence := tabpfn.missing(self.weights):
            raise NotAvailable(f"TabPFN {sentence}")
        return tabpfn.TabPFNClasses(rows, negatives, tabpfn.weights_file(self.weights))


class NetworkSurrogateConfig(KindConfig):
    kind: Literal["network"] = "network"
    title: ClassVar[str] = "Networks"
    summary: ClassVar[str] = "A small network a class, or one for all of them, fitted by steps."
    shared: bool = option(
        False,
        "On: one network tells the classes apart and its logits are their energies. Off: a network "
        "a class tells it from far corners.",
        main=True,
    )
    energy: AnyNetwork = option({"kind": "mlp", "width": 64, "depth": 2}, "The network.")
    train: TrainConfig = option(
        TrainConfig(learning_rate=1e-3, batch_size=64, beta1=0.9, schedule="cosine"),
        "How the weights are fitted.",
    )


Surrogate = tagged_union([KernelSurrogateConfig, NetworkSurrogateConfig, TabPFNSurrogateConfig])


class TabEBMConfig(Config):
    surrogate: Surrogate = option(  # type: ignore[valid-type]
        {"kind": "kernel"}, "What stands for the classifier of each class.", group="Energy"
    )
    sampler: ChainSampler = option(
        {"kind": "langevin", "step_size": 0.1, "noise_scale": 0.0224},
        "What moves rows away from the real ones they start at.",
        group="Sampler",
    )
    num_steps: int = option(
        200, "Sampler steps of every row.", ge=1, le=10_000, main=True, group="Chains"
    )
    start_noise: float = option(
        0.01,
        "Gaussian noise put on the real row that a new one starts at.",
        unit="data sd",
        ge=0,
        le=10,
        main=True,
        group="Chains",
    )
    num_chains: int = option(
        128, "Chains that are watched, of every class its share.", ge=2, le=10_000, group="Chains"
    )


class TabEBM(Method):
    """x ← x − a ∇E_c(x) + noise, from real rows of class c, E_c = −log Σ exp f of a classifier.

    The classifier of a class tells its rows from four corners of the hypercube ±5; by E_c's slope a
    row moves to where rows of its class are dense, by the noise it becomes another. Chains are
    short and cold: what comes out lies near real rows. Every step moves the chains that are
    watched, and fits the networks where there are any. Margeloiu et al. 2024, who read the energies
    off TabPFN, as here where it is installed.
    """

    id = "tabebm"
    title = "One energy a class (TabEBM)"
    summary = (
        "Makes more rows of a small labelled table: one energy a class, read off a classifier, and "
        "short cold chains from real rows. Needs points with classes."
    )
    references = "Margeloiu et al. 2024"
    url = "https://arxiv.org/abs/2409.16118"
    Config = TabEBMConfig
    purpose = "classify"
    not_a_density = (
        "Each class's energy is as its classifier says, with corners far off as likely as rows, so "
        "this is no density of the table."
    )
    headline: ClassVar[tuple[str, ...]] = (
        "energy/model",
        "sampler/displacement",
        "quality/energy_distance",
        "energy/gap",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "sampler/displacement": Figure("Distance from a chain's start to its end", "data sd"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Kernels on the rows, nothing fitted: the steps watch chains from start to end.",
            {},
            Budget(steps=200),
            data={"name": "iris"},
        ),
    }
    observers: ClassVar[tuple[str, ...]] = (
        "data",
        "quality",
        "landscape",
        "energy_histogram",
        "samples",
        "principal_axes",
        "final_quality",
        "own_events",
    )
    config: TabEBMConfig

    @classmethod
    def fits(cls, data: Data) -> str:
        if reason := super().fits(data):
            return reason
        if data.labels is None:
            return (
                "has no classes, and this makes rows of each. Name the column of a table, `label`."
            )
        if len(data.event_shape) != 1:
            return "holds images, and this makes rows of tables. Choose points with classes."
        if len(data.train) > MOST_ROWS:
            return f"has more than {MOST_ROWS:,} rows; this is for small tables."
        if int(data.labels.bincount(minlength=data.num_labels).amin()) < 2:
            return "has a class of one row to train on, and two are needed."
        return ""

    @classmethod
    def problems(cls, config: Any, data: Data) -> Iterable[tuple[str, str]]:
        surrogate = config.surrogate
        if not isinstance(surrogate, TabPFNSurrogateConfig):
            return
        if sentence := tabpfn.missing(surrogate.weights):
            yield "surrogate.kind", sentence

    def __init__(self, config: TabEBMConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.labels is not None
        labels = data.labels.tolist()
        self.places = [
            torch.tensor([i for i, each in enumerate(labels) if each == label], device=task.device)
            for label in range(data.num_labels)
        ]
        negatives = corners(data.event_shape[0], self.generator)
        surrogate = cast(Any, config.surrogate)
        energies: Energy
        self.fitter: Fitter[Energy] | None = None
        if isinstance(surrogate, NetworkSurrogateConfig):
            energies = self._networks(surrogate, negatives)
            self.fitter = Fitter(surrogate.train, energies)
        else:
            self.trains = False
            rows = [data.train[places] for places in self.places]
            energies = surrogate.classes(rows, negatives)
        self.energies = energies
        self.kernel = samplers.build(config.sampler)
        in_turn = torch.arange(config.num_chains, device=task.device) * len(labels)
        self.labels = data.labels.sort().values[in_turn // config.num_chains]
        """(num_chains,) in order of the classes, of each its share"""
        self.begun = self._rows(self.labels, self.generator)
        self.position = self.begun.clone()
        self.age = torch.arange(config.num_chains, device=task.device) % config.num_steps
        """steps of every chain, so that some begin anew at every step"""

    def _networks(self, surrogate: NetworkSurrogateConfig, negatives: Tensor) -> Energy:
        if surrogate.shared:
            return build_network(surrogate.energy, self.task, num_outputs=self.num_labels)
        networks: list[NetworkEnergy] = [
            build_network(surrogate.energy, self.task, num_outputs=2)
            for _ in range(self.num_labels)
        ]
        return NetworkClasses(networks, negatives)

    def step(self, progress: float) -> dict[str, Tensor]:
        fitted = self._fit(progress)
        anew = self.age >= self.config.num_steps
        begun = torch.where(anew[:, None], self._rows(self.labels, self.generator), self.begun)
        start = torch.where(anew[:, None], begun, self.position)
        energy = self._of_classes(self.energies).given(Condition(label=self.labels))
        walk = samplers.run(self.kernel, start, energy, self.generator, 1)
        self.gradient_evaluations += walk.gradient_evaluations
        self.begun, self.position = begun, walk.state.position
        self.age = torch.where(anew, 0, self.age) + 1
        with torch.no_grad():
            of_rows = self._own_energy(begun, self.labels)
        of_chains = walk.state.energy
        return {
            "energy/data": of_rows.mean(),
            "energy/model": of_chains.mean(),
            "energy/gap": of_rows.mean() - of_chains.mean(),
            "energy/max": torch.cat([of_rows, of_chains]).abs().amax(),
            "sampler/radius": self.position.norm(dim=1).amax(),
            "sampler/displacement": (self.position - begun).norm(dim=1).mean(),
            **fitted,
        }

    def _fit(self, progress: float) -> Mapping[str, Tensor]:
        """One update of the networks, where there are any."""
        if self.fitter is None:
            return {}
        data, fitter = self.task.data, self.fitter
        assert data.labels is not None
        index = data.indices(fitter.config.batch_size, self.generator)
        losses: list[Tensor] = []

        def parts() -> Iterable[Tensor]:
            for share, (x, label) in fitter.split(data.train[index], data.labels[index]):  # type: ignore[index]
                loss = share * self._loss(x, label)
                losses.append(loss.detach())
                yield loss

        fitted = fitter.update(parts(), progress)
        return {"loss/total": torch.stack(losses).sum(), **fitted}

    def _loss(self, x: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.energies, NetworkClasses):
            return self.energies.loss(x, labels)
        return F.cross_entropy(-self.energies(x), labels)

    def _rows(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Real rows (num, dim) of classes `labels` (num,), drawn anew, with the starting noise."""
        device = labels.device
        chosen = torch.zeros_like(labels)
        share = torch.rand(labels.shape, generator=generator, device=device)
        for label, places in enumerate(self.places):
            drawn = places[(share * len(places)).long().clamp(max=len(places) - 1)]
            chosen = torch.where(labels == label, drawn, chosen)
        noise = torch.randn(
            (len(labels), *self.task.data.event_shape), generator=generator, device=device
        )
        return self.task.data.train[chosen] + self.config.start_noise * noise

    def _own_energy(self, x: Tensor, labels: Tensor) -> Tensor:
        """E_c(x) (num,) of positions x (num, dim), each of its class."""
        return self.energy()(x, Condition(label=labels))

    def energy(self) -> Classifier:
        return self._of_classes(self.energies if self.fitter is None else self.fitter.fitted)

    def _of_classes(self, energies: Energy) -> Classifier:
        """The energies (batch, num_classes) read as one of positions, and of those of a class."""
        data, wall = self.task.data, 0.0 if self.fitter is None else WALL
        return Classifier(cast(Any, energies), data.noise_low, data.noise_high, wall)

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels

    def conditional_energy(self, label: int) -> Energy:
        if not 0 <= label < self.num_labels:
            raise BadInput.at("label", f"must be one of {self.num_labels} classes, got {label}.")
        return self.energy().given(Condition(label=torch.tensor(label, device=self.task.device)))

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        assert self.task.data.labels is not None
        index = self.task.data.indices(num, generator)
        rows = self._rows(self.task.data.labels[index], generator)
        return Start(rows, False, self.config.num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        drawn = self.draw(SampleRequest(num), generator)
        assert drawn is not None
        return drawn

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """Chains from real rows of the classes asked for, of all by their shares where none are."""
        data, config = self.task.data, self.config
        if request.mask is not None or request.mixture or request.guidance or request.sampler:
            return None
        assert data.labels is not None
        labels = data.labels[data.indices(request.num, generator)]
        if request.labels is not None:
            labels = torch.where(request.labels < 0, labels, request.labels)
        start = self._rows(labels, generator) if request.start is None else request.start
        num_steps = config.num_steps if request.num_steps is None else request.num_steps
        parts = []
        for part, of in zip(start.split(CHUNK), labels.split(CHUNK), strict=True):
            energy = self.energy().given(Condition(label=of))
            walk = samplers.run(self.kernel, part, energy, generator, num_steps)
            parts.append(walk.state.position)
        return torch.cat(parts)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Chains from start to end, and each class by itself."""
        labels = self.labels
        energy = self.energy().given(Condition(label=labels))
        start = self._rows(labels, generator)
        every = max(1, self.config.num_steps // 50)
        walk = samplers.run(self.kernel, start, energy, generator, self.config.num_steps, every)
        assert walk.positions is not None
        places = torch.cat([start[None], walk.positions])
        energies, slopes = zip(*(energy_and_gradient(energy, x) for x in places), strict=True)
        y = torch.stack(
            [
                torch.stack(energies).mean(1),
                (places - start).norm(dim=2).mean(1),
                torch.stack(slopes).norm(dim=2).mean(1),
            ]
        )
        x = every * np.arange(len(places), dtype=np.float32)
        names = ["energy", "way from the start", "slope"]
        yield Curve("augmentation/chains", x, y.cpu().numpy(), names, "sampler step")
        yield self._table(places[-1], torch.stack(energies)[-1])

    def _table(self, x: Tensor, energy: Tensor) -> Table:
        data = self.task.data
        rows: list[list[str | float | int | None]] = []
        for label, places in enumerate(self.places):
            real, of = data.train[places], self.labels == label
            apart = torch.cdist(real, real).fill_diagonal_(torch.inf).amin(1)
            own = self._own_energy(real, torch.full_like(places, label)).detach()
            made = torch.cdist(x[of], real).amin(1).mean() if of.any() else torch.nan
            rows.append(
                [
                    data.label_names[label] if data.label_names else str(label),
                    len(places),
                    float(own.mean()),
                    float(energy[of].mean()),
                    float(apart.mean()),
                    float(made),
                ]
            )
        columns = ["class", "real rows", "their energy", "energy of made ones"]
        columns += ["real to nearest real", "made to nearest real"]
        return Table("augmentation/classes", columns, rows)
