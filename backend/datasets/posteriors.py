"""Posteriors of weights: what samplers are for in statistics. None has exact draws.

References are long runs that come with Basin for the default settings; other settings get a short
run when they are loaded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.datasets import long_run
from backend.energies.posteriors import BayesianNet, LogisticRegression, Posterior, Whitened
from backend.randomness import generator_of
from backend.truth import Expectations, Truth

TABLES = ("breast_cancer", "iris", "wine")


def _data(
    dataset: Any,
    target: Posterior,
    truth: Truth,
    parts: tuple[Tensor, Tensor],
    columns: tuple[str, ...],
) -> Data:
    """Weights standardised one by one, by the draws they are trained on."""
    train, held_out = (part.float() for part in parts)
    mean, scale = train.mean(0), train.std(0)
    z = (train - mean) / scale
    low, high = noise_box(z)
    return Data(
        name=dataset.config.kind,
        title=dataset.title,
        train=z,
        held_out=(held_out - mean) / scale,
        mean=mean,
        scale=scale,
        noise_low=low,
        noise_high=high,
        target=target,
        truth=truth,
        columns=columns,
    )


class LogisticRegressionConfig(KindConfig):
    kind: Literal["logistic_regression"] = "logistic_regression"
    table: Literal["breast_cancer", "iris", "wine"] = option(
        "breast_cancer",
        "The data set of scikit-learn that is regressed on: 30 features of 569 tumours, 4 of 100 "
        "irises (versicolor or virginica), 13 of 178 wines (the first grower or not).",
        main=True,
    )
    prior_sd: float = option(
        1.0,
        "Standard deviation of every weight before the data are seen.",
        ge=0.01,
        le=100,
        log=True,
    )
    seed: int = option(
        0,
        "Seeds which draws are held out, and the short run where one is made.",
        ge=0,
        le=2**31 - 1,
    )


class LogisticRegressionData(Dataset):
    """Weights of a logistic regression on standardised features, and an intercept.

    Its energy has `minibatch(size, generator)`, for samplers that see a few rows at a time.
    """

    is_target: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = LogisticRegressionConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Bayesian logistic regression"
    summary: ClassVar[str] = "The posterior of 5 to 31 weights given real data; one uneven mode."
    config: Any

    def target(self) -> LogisticRegression:
        inputs, targets, _ = read_table(self.config.table)
        return LogisticRegression(inputs, targets, self.config.prior_sd)

    def load(self) -> Data:
        config, target = self.config, self.target()
        name = f"logistic_regression_{config.table}"
        truth = long_run.bundled_truth(name, {"prior_sd": config.prior_sd})
        if truth is None:
            start = torch.randn((200, target.dim), generator=_generator(config.seed))
            num_warm_up = 30 if target.num_rows > 200 else 200
            run = logistic_run(target, start, _generator(config.seed, 1), num_warm_up, 8)
            truth, _ = long_run.truth_of(run, target)
            x = run.flat
        else:
            x = long_run.bundled_draws(name)
        parts = long_run.halves(x, generator_of("data", config.seed))
        return _data(self, target, truth, parts, read_table(config.table)[2])


def _generator(*key: int) -> torch.Generator:
    return generator_of("short run", *key)


def logistic_run(
    target: LogisticRegression,
    start: Tensor,
    generator: torch.Generator,
    num_warm_up: int,
    num_draws: int,
) -> long_run.LongRun:
    """HMC in coordinates in which the posterior is nearly N(0, I): any linear ones are exact."""
    whitened = Whitened(target, *target.laplace())
    run = long_run.hmc_run(
        whitened,
        start,
        generator,
        num_warm_up=num_warm_up,
        num_draws=num_draws,
        num_leapfrog=6,
        spacing=2,
        step_size=0.25,
    )
    return replace(run, positions=whitened.restore(run.positions))


@cache
def read_table(name: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Standardised features after a column of ones (rows, dim), 0 or 1 (rows,), names."""
    # a second to import, which workers and forms that only list the data sets do not pay
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    features, classes = torch.from_numpy(bunch.data), torch.from_numpy(bunch.target)
    names = [str(item) for item in bunch.feature_names]
    if name == "iris":
        # the first kind is told apart by one petal: there is nothing to learn
        features, classes = features[classes > 0], classes[classes > 0] - 1
    if name == "wine":
        classes = (classes == 0).long()
    features = (features - features.mean(0)) / features.std(0)
    inputs = torch.cat([torch.ones(len(features), 1), features], 1)
    return inputs.float(), classes.float(), ("intercept", *names)


class BayesianNetConfig(KindConfig):
    kind: Literal["bayesian_net"] = "bayesian_net"
    hidden: int = option(10, "Hidden units; each has three weights.", ge=1, le=20, main=True)
    noise: float = option(
        0.1,
        "Standard deviation of the noise in the data, known to the net.",
        ge=0.02,
        le=1,
        main=True,
    )
    prior_sd: float = option(
        2.0, "Standard deviation of every weight before the data are seen.", ge=0.1, le=10
    )
    seed: int = option(
        0,
        "Seeds which draws are held out, and the short run where one is made.",
        ge=0,
        le=2**31 - 1,
    )


class BayesianNetData(Dataset):
    """Weights of a small net on 30 points of sin 3x / 2 + x/4 with a gap in the middle.

    Judged by values of f at fixed inputs (`truth.functions`) and by the mean energy: hidden units
    can be reordered and their signs flipped, so what a single weight is says nothing. Draws are
    shown with units reordered at random, which the posterior cannot tell apart.
    """

    is_target: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = BayesianNetConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Bayesian neural network"
    summary: ClassVar[str] = "The posterior of 31 weights: ridges, funnels and millions of modes."
    config: Any

    def target(self) -> BayesianNet:
        config = self.config
        inputs, targets = regression_points(config.noise)
        return BayesianNet(inputs, targets, config.hidden, config.noise, config.prior_sd)

    def load(self) -> Data:
        config, target = self.config, self.target()
        functions = predictions(target)
        settings = config.model_dump(include=set(BAYESIAN_NET_SETTINGS))
        truth = long_run.bundled_truth("bayesian_net", settings, functions)
        if truth is None:
            start = config.prior_sd * torch.randn(
                (64, target.dim), generator=_generator(config.seed)
            )
            run = net_run(target, start, _generator(config.seed, 1), 80, 16, 3)
            truth, _ = long_run.truth_of(run, target, functions, moments=False)
            x = run.flat
        else:
            x = long_run.bundled_draws("bayesian_net")
        train, held_out = (
            target.reordered(
                part.repeat(math.ceil(NUM_IMAGES / len(part)), 1)[:NUM_IMAGES],
                generator_of("data", config.seed, index),
            )
            for index, part in enumerate(long_run.halves(x, generator_of("data", config.seed)))
        )
        return _data(self, target, truth, (train, held_out), _names(config.hidden))


NUM_IMAGES = 3000
BAYESIAN_NET_SETTINGS = ("hidden", "noise", "prior_sd")
PROBES = tuple(0.5 * k for k in range(-4, 5))
"""Inputs at which predictions are compared: among the data, in the gap, and beyond."""


def _names(hidden: int) -> tuple[str, ...]:
    return (*(f"{part}{index + 1}" for part in "ucv" for index in range(hidden)), "b")


def predictions(target: BayesianNet) -> Expectations:
    """f at PROBES; what they are is for a run to say."""
    names = tuple(f"f({x:g})" for x in PROBES)
    return Expectations(
        names, lambda w: target.value(w, w.new_tensor(PROBES)), torch.zeros(len(names))
    )


def regression_points(noise: float) -> tuple[Tensor, Tensor]:
    """30 inputs in [-1.5, -0.5] and [0.5, 1.5], and values with noise, the same at every call."""
    generator = generator_of("regression", 0)
    side = torch.linspace(0.5, 1.5, 15)
    inputs = torch.cat([-side.flip(0), side])
    values = 0.5 * (3 * inputs).sin() + 0.25 * inputs
    return inputs, values + noise * torch.randn(30, generator=generator)


def net_run(
    target: BayesianNet,
    start: Tensor,
    generator: torch.Generator,
    num_warm_up: int,
    num_draws: int,
    spacing: int,
) -> long_run.LongRun:
    """HMC of long trajectories in the weights as they are."""
    return long_run.hmc_run(
        target,
        start,
        generator,
        num_warm_up=num_warm_up,
        num_draws=num_draws,
        num_leapfrog=20,
        spacing=spacing,
        step_size=0.02,
    )
