"""Targets of whole numbers: an RBM, a factor graph and a table of energies."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend import samplers
from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.energies.discrete import DiscreteEnergy, Law
from backend.energies.factor_graph import Factor, FactorGraph
from backend.energies.rbm import RBM
from backend.energies.table import Table
from backend.randomness import generator_of
from backend.sampler import Sampler
from backend.samplers.block_gibbs import BlockGibbs, BlockGibbsConfig
from backend.samplers.cluster import Cluster, ClusterConfig
from backend.samplers.gibbs import Gibbs, GibbsConfig
from backend.truth import Truth

NUM_CHAINS = 240
"""Chains of a long run; a third of them gives the held-out events."""


class DiscreteConfig(KindConfig):
    """Fields of every discrete target."""

    num: int = option(4000, "Training events.", ge=100, le=100_000, main=True)
    num_held_out: int = option(
        2000, "Held-out events, drawn apart; quality is judged on them.", ge=100, le=20_000
    )
    seed: int = option(0, "Seeds the draw of the events; the run has its own.", ge=0, le=2**31 - 1)


class DiscreteTarget(Dataset):
    """Draws of a discrete energy: exact ones where its law can be had, else of a long run."""

    is_target: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    config: Any

    @abstractmethod
    def target(self) -> DiscreteEnergy:
        """The energy. Raises BadInput at a `data.…` field where a person can mend it."""

    def truth(self, energy: DiscreteEnergy) -> Truth | None:
        """Truth with its own log Z, of an energy whose law cannot be had."""
        return None

    def load(self) -> Data:
        energy = self.target()
        law = energy.law()
        if law is not None:
            return self._exactly(energy, law)
        train, held_out, of_run = self._of_a_run(energy)
        known = self.truth(energy)
        truth = of_run if known is None else known
        if truth.mean is None:
            source = f"{truth.source}; its moments and events are of {of_run.source}"
            truth = replace(of_run, source=source, log_z=truth.log_z)
        elif truth is not of_run:
            truth = replace(truth, source=f"{truth.source}; its events are of {of_run.source}")
        if truth.log_z is None:
            return self._data(train, held_out, target=energy, truth=truth)
        raised = replace(truth, log_z=0.0, mean_energy=_raised(truth.mean_energy, truth.log_z))
        return self._data(train, held_out, density=energy.normalised(truth.log_z), truth=raised)

    def _exactly(self, energy: DiscreteEnergy, law: Law) -> Data:
        config = self.config
        mean_energy = _raised(law.mean_energy, law.log_z)
        truth = Truth(law.source, law.mean, law.variance, 0.0, mean_energy=mean_energy)
        return self._data(
            law.draw(config.num, generator_of("data", config.seed, 0)),
            law.draw(config.num_held_out, generator_of("data", config.seed, 1)),
            density=energy.normalised(law.log_z),
            truth=truth,
            draw=law.draw,
        )

    def _data(self, train: Tensor, held_out: Tensor, **known: Any) -> Data:
        num_values = int(self.num_values)
        shape = train.shape[1:]
        # a lattice is shown as a small image, level by level
        image_range = (0.0, num_values - 1.0) if len(shape) == 2 else None
        return Data(
            name=self.config.kind,
            title=self.title,
            train=train,
            held_out=held_out,
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.zeros(shape),
            noise_high=torch.full(shape, num_values - 1.0),
            num_values=num_values,
            image_range=image_range,
            **known,
        )

    @property
    @abstractmethod
    def num_values(self) -> int:
        """q"""

    def _of_a_run(self, energy: DiscreteEnergy) -> tuple[Tensor, Tensor, Truth]:
        """Events to train on, events held out, of other chains, and moments with errors."""
        config, apart = self.config, NUM_CHAINS // 3
        records = max(
            math.ceil(config.num / (NUM_CHAINS - apart)), math.ceil(config.num_held_out / apart)
        )
        source, positions = long_run(energy, records, generator_of("data", config.seed, 0))
        train = positions[:, apart:].flatten(0, 1)[: config.num]
        held_out = positions[:, :apart].flatten(0, 1)[: config.num_held_out]
        return train, held_out, of_records(source, positions)


def _raised(mean_energy: float | None, log_z: float) -> float | None:
    """The mean energy once log Z is added to every energy."""
    return None if mean_energy is None else mean_energy + log_z


def long_run(
    energy: DiscreteEnergy, num_records: int, generator: torch.Generator
) -> tuple[str, Tensor]:
    """Sampler that was run, in words, and its records (num_records, NUM_CHAINS, *event_shape): of
    clusters where the energy lets them, else of Gibbs sampling. Starts from uniform values."""
    plans: tuple[tuple[Sampler, int, int], ...] = (
        (Cluster(ClusterConfig()), 50, 2),
        (BlockGibbs(BlockGibbsConfig()), 100, 4),
        (Gibbs(GibbsConfig(sites=0)), 100, 4),
    )
    kernel, burn_in, between = next(plan for plan in plans if not plan[0].fits(energy))
    uniform = torch.rand((NUM_CHAINS, *energy.event_shape), generator=generator)
    start = (uniform * energy.num_values).floor()
    settled = samplers.run(kernel, start, energy, generator, burn_in).state
    walk = samplers.run(kernel, settled, energy, generator, num_records * between, between)
    assert walk.positions is not None
    source = (
        f"a run of `{kernel.config.kind}`, {NUM_CHAINS} chains, {num_records} records of each, "
        f"{between} steps apart after {burn_in}"
    )
    return source, walk.positions


def of_records(source: str, positions: Tensor) -> Truth:
    """Moments of a long run (records, chains, *event_shape); the chains are independent, so that
    the spread of their means gives the standard errors. Those know nothing of states that no chain
    has found."""
    x = positions.double()
    root = math.sqrt(x.shape[1])
    mean = x.mean((0, 1))
    mean_error = x.mean(0).std(0) / root
    squares = (x - mean).square().mean(0)
    # The mean's own error enters squared. Of bits near 1/2 it is all there is: their squares about
    # the mean are all alike.
    own = math.sqrt(3) * mean_error.square()
    return Truth(
        source,
        mean,
        squares.mean(0),
        mean_error=mean_error,
        variance_error=torch.hypot(squares.std(0) / root, own),
    )


class RBMConfig(DiscreteConfig):
    kind: Literal["rbm"] = "rbm"
    num_visible: int = option(64, "Visible bits, the event.", ge=2, le=784, main=True)
    num_hidden: int = option(
        12, "Hidden bits; their states are all summed for the exact law.", ge=1, le=20, main=True
    )
    sd: float = option(0.5, "Standard deviation of weights and biases.", ge=0, le=5)
    weights_seed: int = option(0, "Seeds weights and biases.", ge=0, le=2**31 - 1)


class RBMData(DiscreteTarget):
    """Gaussian weights and biases; the law is a mixture over the hidden states, so it is exact."""

    Config: ClassVar[type[KindConfig]] = RBMConfig
    title: ClassVar[str] = "Restricted Boltzmann machine"
    summary: ClassVar[str] = "Bits tied by hidden ones: random weights, log Z known exactly."

    @property
    def num_values(self) -> int:
        return 2

    def target(self) -> DiscreteEnergy:
        config = self.config
        generator = generator_of("weights", config.weights_seed)
        shape = (config.num_visible, config.num_hidden)
        weights = config.sd * torch.randn(shape, generator=generator)
        visible = config.sd * torch.randn(shape[0], generator=generator)
        hidden = config.sd * torch.randn(shape[1], generator=generator)
        return RBM(weights, visible, hidden)


class FactorGraphConfig(DiscreteConfig):
    kind: Literal["factor_graph"] = "factor_graph"
    num_variables: int = option(10, "Variables of the event, on a ring.", ge=3, le=64, main=True)
    num_values: int = option(3, "Values of each variable.", ge=2, le=16, main=True)
    num_triples: int = option(
        5,
        "Factors of three random variables, besides one for each variable and for each pair of "
        "neighbours on the ring.",
        ge=0,
        le=200,
    )
    sd: float = option(1.0, "Standard deviation of the tables.", unit="nats", ge=0, le=10)
    tables_seed: int = option(0, "Seeds the triples and the tables.", ge=0, le=2**31 - 1)


class FactorGraphData(DiscreteTarget):
    """Gaussian tables over each variable, each pair on a ring and some triples.

    Enumerated where there are at most 2^18 events; a long run otherwise.
    """

    Config: ClassVar[type[KindConfig]] = FactorGraphConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Factor graph"
    summary: ClassVar[str] = "A ring of variables with random tables over pairs and triples."

    @property
    def num_values(self) -> int:
        return int(self.config.num_values)

    def target(self) -> DiscreteEnergy:
        config = self.config
        generator = generator_of("tables", config.tables_seed)
        num = config.num_variables
        groups: list[tuple[int, ...]] = [(i,) for i in range(num)]
        groups += [(i, (i + 1) % num) for i in range(num)]
        groups += [
            tuple(torch.randperm(num, generator=generator)[:3].tolist())
            for _ in range(config.num_triples)
        ]
        factors: list[Factor] = []
        for group in groups:
            shape = (config.num_values,) * len(group)
            factors.append((group, config.sd * torch.randn(shape, generator=generator)))
        return FactorGraph(num, config.num_values, factors)


class EnumerableConfig(DiscreteConfig):
    kind: Literal["enumerable"] = "enumerable"
    num_states: int = option(64, "States.", ge=2, le=4096, main=True)
    landscape: Literal["bumpy", "random"] = option(
        "bumpy", "Waves along a line of states, or energies drawn for each state apart.", main=True
    )
    sd: float = option(2.0, "Standard deviation of the energies.", unit="nats", ge=0, le=20)
    table_seed: int = option(0, "Seeds the landscape.", ge=0, le=2**31 - 1)


class EnumerableData(DiscreteTarget):
    """One variable with a listed energy for each state: every figure is a plain sum."""

    Config: ClassVar[type[KindConfig]] = EnumerableConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Table of energies"
    summary: ClassVar[str] = "One variable of many states, each with its energy: all is known."

    @property
    def num_values(self) -> int:
        return int(self.config.num_states)

    def target(self) -> DiscreteEnergy:
        config = self.config
        generator = generator_of("table", config.table_seed)
        if config.landscape == "random":
            return Table(config.sd * torch.randn(config.num_states, generator=generator))
        # four waves of one to four periods, of random phase, of variance sd² in all
        place = torch.arange(config.num_states) / config.num_states
        periods = torch.arange(1, 5)
        phases = torch.rand(4, generator=generator)
        angles = 2 * math.pi * (periods[:, None] * place + phases[:, None])
        return Table(config.sd * math.sqrt(2 / 4) * angles.cos().sum(0))
