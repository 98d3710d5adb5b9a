"""The normaliser of a trained run: several estimates that need not agree, beside one another."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from backend import samplers
from backend.abilities import Drawing, Problems, drawing_problems, nats, real_only, refused
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.distributions import Distribution
from backend.energies.discrete import DiscreteEnergy
from backend.energy import Energy
from backend.events import Table
from backend.method import SampleRequest
from backend.metric_names import BASELINES
from backend.metrics import cubature
from backend.metrics.density import energies
from backend.metrics.density_baselines import baselines, means
from backend.metrics.log_likelihood import (
    BLUR,
    dequantised,
    importance,
    log_scale,
    pixel_noise,
    proposal_for,
    value_refusal,
)
from backend.metrics.weighted_points import TRUSTED_SHARE, weighed
from backend.requests import conditional_sampling
from backend.requests.marginals import MarginalMethod
from backend.samplers.ais import AIS, AISConfig, reverse_ais
from backend.samplers.annealing import weight_ess
from backend.samplers.discrete_log_z import annealed, exact_law

EDGE = 1e-3
"""Mass at the edge of the box beyond which quadrature is not believed."""


class LogZConfig(Drawing):
    num: int = option(
        2000,
        "Draws of the proposal, and chains of annealing, for one estimate.",
        ge=10,
        le=200_000,
        main=True,
        log=True,
        group="Estimates",
    )
    repeats: int = option(
        5,
        "Estimates of each kind; their standard deviation is the spread.",
        ge=2,
        le=100,
        main=True,
        group="Estimates",
    )
    num_components: int = option(
        10,
        "Gaussians of the proposal that is fitted to the training data; fewer where the data "
        "are too few.",
        ge=1,
        le=100,
        group="Estimates",
    )
    annealing: bool = option(
        True,
        "Whether to estimate by annealed importance sampling too, forward from a wide "
        "Gaussian and in reverse from the run's own samples.",
        main=True,
        group="Annealing",
    )
    ais: AISConfig = option({"kind": "ais"}, "How it is annealed.", group="Annealing")

    def derived(self) -> dict[str, str]:
        if self.annealing:
            return super().derived()
        words = "No effect without annealing."
        return dict.fromkeys(("ais", "num_steps", "own_sampler", "sampler"), words)


class LogZAbility(Ability):
    """log ∫ exp(−E(z)) dz over standardised positions, at T = 1.

    importance: weights against a Gaussian mixture fitted to the training data; falls short where
    the mixture misses mass, which its effective share shows. ais: from below on average; reverse:
    from above, as far as the run's samples are good. quadrature: exact up to two dimensions. Of
    whole numbers log Σ exp(−E): enumeration, and annealing from independent sites. An
    energy that does not fall off has no normaliser, and estimates of it mean nothing.
    """

    id = "log_z"
    title = "Normaliser"
    summary = "Estimates log Z in several ways, with their spread, and the likelihood that follows."
    references = "Neal 2001; Grosse et al. 2015; Burda et al. 2015"
    needs_density: ClassVar[bool] = True
    Config: ClassVar[type[Config]] = LogZConfig

    @classmethod
    def problems(cls, asked: Asked, config: LogZConfig) -> Problems:
        if isinstance(asked.method, MarginalMethod):
            return
        if not asked.method.has_energy:
            yield "", asked.method.no_energy()
            return
        if asked.data.num_values is not None:
            yield from _value_problems(asked, config)
            return
        if config.annealing:
            yield from drawing_problems(asked, config)
            yield from refused(asked, _request(config))

    @classmethod
    def answer(cls, asked: Asked, config: LogZConfig, generator: torch.Generator) -> Answer:
        if isinstance(asked.method, MarginalMethod):
            return _of_marginals(asked, asked.method, config, generator)
        if asked.data.num_values is not None:
            return _of_values(asked, config, generator)
        data, energy = asked.data, asked.method.energy()
        proposal = fitted_proposal(data, config.num_components, generator)
        repeats = range(config.repeats)
        by_way = {
            "importance": [
                weighted_estimate(energy, proposal, config.num, generator) for _ in repeats
            ]
        }
        if config.annealing:
            settled = _tuned(energy, data.train[:256], config.ais, generator)
            by_way["ais"] = [
                _forward(energy, data.train, config.num, settled, generator) for _ in repeats
            ]
            draws = conditional_sampling.draw(asked.method, _request(config), generator).position
            by_way["reverse_ais"] = [_reverse(energy, draws, settled, generator) for _ in repeats]
        figures: dict[str, float] = {}
        for name, estimates in by_way.items():
            logs = torch.tensor([each.log_z for each in estimates], dtype=torch.float64)
            figures |= {name: float(logs.mean()), f"{name}/spread": float(logs.std())}
            figures[f"{name}/ess"] = sum(each.share for each in estimates) / len(estimates)
        if cubature.fits(data):
            exact = cubature.integrated(energy, data)
            figures |= {"quadrature": exact.log_z, "quadrature/edge": exact.edge}
            figures["quadrature/outside"] = exact.mass_outside(data)
        own = asked.method.log_z()
        if own is not None:
            figures["own"] = float(own)
        best, trusted = _best(figures)
        figures |= {"log_z": figures[best], "trusted": float(trusted)}
        noise_sd = asked.method.noise_at_end
        blurred = dequantised(data, noise_sd, generator)
        held_out = float(energies(energy, blurred.held_out).double().mean())
        figures["nll"] = held_out + figures[best] + log_scale(data)
        for name, nats_each in means(baselines(blurred, generator)).items():
            figures[f"nll/{name}"] = -nats_each
        words = _in_words(figures, best, trusted, pixel_noise(data, noise_sd))
        return Answer(words, figures, {}, (_table(figures), _likelihoods(figures, trusted)))


def _of_marginals(
    asked: Asked, method: MarginalMethod, config: LogZConfig, generator: torch.Generator
) -> Answer:
    """log Z of the target, or of exp M where none is known, by the run's own independent draws."""
    draws = [method.weighed_draws(config.num, generator) for _ in range(config.repeats)]
    estimates = [_estimate(each.log_weights) for each in draws]
    logs = torch.tensor([each.log_z for each in estimates], dtype=torch.float64)
    figures = {
        "importance": float(logs.mean()),
        "importance/spread": float(logs.std()),
        "importance/ess": sum(each.share for each in estimates) / len(estimates),
    }
    gaps = [float(each.gaps.double().mean()) for each in draws if each.gaps is not None]
    if gaps:
        means = torch.tensor(gaps, dtype=torch.float64)
        figures |= {"mean_gap": float(means.mean()), "mean_gap/spread": float(means.std())}
    density = asked.data.density
    if isinstance(density, DiscreteEnergy):
        figures["exact"] = density.offset
    trusted = figures["importance/ess"] >= TRUSTED_SHARE
    figures |= {"log_z": figures["importance"], "trusted": float(trusted)}
    of = "the target" if gaps else "exp M"
    words = f"log Z of {of} = {nats(figures['importance'])} ± {nats(figures['importance/spread'])}"
    words += f", {figures['importance/ess']:.0%} of the weights effective"
    words += f"; exactly {nats(figures['exact'])}." if "exact" in figures else "."
    if not trusted:
        words += f" Less than {TRUSTED_SHARE:.0%} count: not to be trusted."
    return Answer(words, figures, {}, (_table(figures),))


def _value_problems(asked: Asked, config: LogZConfig) -> Problems:
    """Reason why no log Z of whole numbers can be had."""
    energy = asked.method.energy()
    if not isinstance(energy, DiscreteEnergy):
        yield from real_only(asked, "num")
    elif reason := value_refusal(asked.data):
        yield "num", reason
    elif config.annealing:
        yield from drawing_problems(asked, config)
        yield from refused(asked, _request(config))
    elif exact_law(energy) is None:
        yield "annealing", "must be on: this law has too many states to list."


def _of_values(asked: Asked, config: LogZConfig, generator: torch.Generator) -> Answer:
    """log Σ exp(−E) by enumeration where that can be had, and by annealing from independent sites
    over `num_temperatures` levels, in reverse from the run's own draws."""
    data, energy = asked.data, asked.method.energy()
    figures: dict[str, float] = {}
    if (law := exact_law(energy)) is not None:
        figures["enumeration"] = law.log_z
    if config.annealing:
        draws = conditional_sampling.draw(asked.method, _request(config), generator).position
        levels = config.ais.num_temperatures
        passes = [
            annealed(energy, data, generator, num_levels=levels, num_chains=config.num, draws=draws)
            for _ in range(config.repeats)
        ]
        for name in ("ais", "reverse_ais"):
            forward = name == "ais"
            logs = [each.forward if forward else each.reverse for each in passes]
            values = torch.tensor(logs, dtype=torch.float64)
            figures |= {name: float(values.mean()), f"{name}/spread": float(values.std())}
        effective = [each.points.ess / len(each.points.log_weights) for each in passes]
        figures["ais/ess"] = sum(effective) / len(effective)
    best = "ais" if law is None else "enumeration"
    trusted = law is not None or figures["ais/ess"] >= TRUSTED_SHARE
    figures |= {"log_z": figures[best], "trusted": float(trusted)}
    figures["nll"] = float(energies(energy, data.held_out).double().mean()) + figures[best]
    for name, nats_each in means(baselines(data, generator)).items():
        figures[f"nll/{name}"] = -nats_each
    words = _in_words(figures, best, trusted, 0.0)
    return Answer(words, figures, {}, (_table(figures), _likelihoods(figures, trusted)))


class Estimate(NamedTuple):
    """One estimate of log Z."""

    log_z: float
    share: float
    """effective number of the weights over their number, in (0, 1]"""


def _estimate(log_weights: Tensor) -> Estimate:
    return Estimate(weighed(log_weights)[0], float(weight_ess(log_weights.double())))


def fitted_proposal(data: Data, num_components: int, generator: torch.Generator) -> Distribution:
    """The proposal that an estimate of log Z over `data` weighs its draws against."""
    return proposal_for(data, generator, num_components=num_components, blur=BLUR)


def weighted_estimate(
    energy: Energy, proposal: Distribution, num: int, generator: torch.Generator
) -> Estimate:
    """Importance sampling: the log of the mean of exp(−E(z)) / q(z) over `num` draws z of q.

    It falls short of log Z on average, far short where q misses mass.
    """
    points = importance(energy, proposal, num, generator)
    return Estimate(points.log_z, points.ess / num)


def _request(config: LogZConfig) -> SampleRequest:
    return SampleRequest(config.num, num_steps=config.num_steps, sampler=config.kernel())


def _tuned(
    energy: Energy, like: Tensor, config: AISConfig, generator: torch.Generator
) -> AISConfig:
    """The settings with the step size that one pass tunes, where it may."""
    if not config.adapt:
        return config
    kernel = AIS(config)
    state = kernel.init(like, energy, generator)
    for index in range(config.num_temperatures):
        state, info = kernel.step(state, energy, generator)
        state = kernel.tune(state, info, index, config.num_temperatures)
    step_size = min(max(float(state.extra["step_size"]), 1e-6), 100.0)
    return config.model_copy(update={"step_size": step_size})


def _forward(
    energy: Energy, train: Tensor, num: int, config: AISConfig, generator: torch.Generator
) -> Estimate:
    start = train[:1].expand(num, *train.shape[1:])
    walk = samplers.run(AIS(config), start, energy, generator, config.num_temperatures)
    return _estimate(walk.state.extra["log_weights"])


def _reverse(
    energy: Energy, draws: Tensor, config: AISConfig, generator: torch.Generator
) -> Estimate:
    inverse = _estimate(-reverse_ais(energy, draws, generator, config))
    return Estimate(-inverse.log_z, inverse.share)


def _best(figures: dict[str, float]) -> tuple[str, bool]:
    """The estimate to go by, and whether to believe it."""
    if "quadrature" in figures and figures["quadrature/edge"] < EDGE:
        return "quadrature", math.isfinite(figures["quadrature"])
    names = [name for name in ("importance", "ais") if name in figures]
    name = max(names, key=lambda name: figures[f"{name}/ess"])
    falls_off = figures.get("quadrature/edge", 0.0) < EDGE
    believed = figures[f"{name}/ess"] >= TRUSTED_SHARE and math.isfinite(figures[name])
    return name, believed and falls_off


TITLES = {
    "quadrature": "quadrature",
    "enumeration": "enumeration",
    "importance": "importance sampling",
    "ais": "annealing, forward",
    "reverse_ais": "annealing, in reverse",
    "own": "the run's own estimate",
    "mean_gap": "mean of f − M",
    "exact": "exactly",
}


def _table(figures: dict[str, float]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [title, figures[name], figures.get(f"{name}/spread"), figures.get(f"{name}/ess")]
        for name, title in TITLES.items()
        if name in figures
    ]
    return Table("table", ["estimate", "log Z", "spread", "effective share"], rows)


def _likelihoods(figures: dict[str, float], trusted: bool) -> Table:
    """Cost of a held-out datum under the energy, beside densities that cost next to nothing."""
    rows: list[list[str | float | int | None]] = [
        [
            "this energy" if trusted else "this energy, as far as its mass was found",
            figures["nll"],
        ]
    ]
    for name, title in (*BASELINES.items(), ("truth", "the truth")):
        if f"nll/{name}" in figures:
            rows.append([title, figures[f"nll/{name}"]])
    return Table("likelihood", ["density", "nats each held-out datum costs"], rows)


def _in_words(figures: dict[str, float], best: str, trusted: bool, noise_sd: float) -> str:
    spread = figures.get(f"{best}/spread")
    value = nats(figures[best]) + ("" if spread is None else f" ± {nats(spread)}")
    held_out = "held-out data"
    if noise_sd:
        held_out = f"held-out images with noise of {noise_sd:g} data sd on them"
    beside = ""
    if "nll/gaussian" in figures:
        beside = f"; under one Gaussian they cost {nats(figures['nll/gaussian'])}"
    if "nll/independent" in figures:
        beside = f"; under independent sites they cost {nats(figures['nll/independent'])}"
    if trusted:
        return (
            f"log Z = {value} by {TITLES[best]}; {held_out} then cost {nats(figures['nll'])} "
            f"nats each, in the data's units{beside}."
        )
    if figures.get("quadrature/edge", 0.0) >= EDGE:
        return (
            f"There is no log Z to trust: {figures['quadrature/edge']:.1%} of the mass lies at the "
            "very edge of the box, so the energy does not fall off away from the data."
        )
    return (
        f"log Z = {value} by {TITLES[best]}, not to be trusted: only "
        f"{figures[f'{best}/ess']:.1%} of the weights count, less than {TRUSTED_SHARE:.0%}. "
        f"As far as its mass was found {held_out} cost {nats(figures['nll'])} nats each{beside}."
    )
