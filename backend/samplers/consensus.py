"""Consensus: particles drawn to their weighted mean, with energies alone and no gradients.

Here `State.gradient` is zeros: nothing of it is ever evaluated, unless alignment is measured.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient, where_finite
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.annealing import normal

LARGEST = 1e12
"""Bound at which β stops growing; far from where float32 ends."""
ALIGNMENT = "Measures how far the drift points down the energy, at one gradient a step."


class ConsensusSamplingConfig(KindConfig):
    kind: Literal["consensus_sampling"] = "consensus_sampling"
    title: ClassVar[str] = "Consensus-based sampling"
    summary: ClassVar[str] = (
        "Particles that follow their weighted mean and covariance: samples without gradients."
    )

    goal: Literal["sampling", "optimising"] = option(
        "sampling", "Spread like exp(−E/T), or close in on its peak.", main=True, group="Sampler"
    )
    inverse_temperature: float = option(
        1.0,
        "β of the weights exp(−βE/T) by which particles are heard.",
        gt=0,
        le=1e6,
        main=True,
        log=True,
        group="Sampler",
    )
    pace: float = option(
        0.3,
        "h: particles keep the share e^−h of their distance to the mean at each step.",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
    )
    measure_alignment: bool = option(False, ALIGNMENT, group="Sampler")
    temperature: float = temperature_option()

    @property
    def spread_kept(self) -> float:
        """λ: over what the weighted covariance is divided for it to be the target's."""
        return 1 / (1 + self.inverse_temperature) if self.goal == "sampling" else 1.0

    def derived(self) -> dict[str, str]:
        share = math.exp(-self.pace)
        return _no_effect() | {
            "pace": f"A step keeps {share:.3g} of each particle and renews the rest.",
            "goal": f"The weighted covariance is widened {1 / self.spread_kept:.3g} times.",
        }


class ConsensusSampling(Sampler):
    """x ← m + a (x − m) + √((1 − a²)/λ) C^{1/2} ξ, a = e^{−h}, ξ ~ N(0, I).

    m and C are mean and covariance of the particles with weights ∝ exp(−βE/T); λ = 1/(1 + β) for
    sampling, 1 for optimising. For sampling a Gaussian target is its fixed point; any other target
    is replaced by a Gaussian near one of its peaks. One evaluation of E a step and no gradient
    (counted as one); `state.gradient` is zeros. Cost O(chains · dim · min(chains, dim)). Carrillo,
    Hoffmann, Stuart & Vaes 2022.
    """

    Config: ClassVar[type[KindConfig]] = ConsensusSamplingConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Its particles form a Gaussian near one peak, right only where the target is Gaussian."
    )
    references: ClassVar[str] = "Carrillo, Hoffmann, Stuart & Vaes 2022"
    population: ClassVar[bool] = True
    follows_gradient: ClassVar[bool] = False
    config: ConsensusSamplingConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """One evaluation of E and none of ∇E. `extra`: inverse_temperature 0-d, β/T."""
        return _started(position, energy, self.config.inverse_temperature / self.temperature)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, b = self.config, state.extra["inverse_temperature"]
        share = math.exp(-config.pace)
        noise_sd = math.sqrt((1 - share**2) / config.spread_kept)
        x, value = self.fused(
            _resettled,
            energy,
            state.position,
            state.energy,
            normal(state.position, generator),
            b,
            share,
            noise_sd,
        )
        after = State(x, value, torch.zeros_like(x), state.extra)
        return after, _told(state, after, energy, config.measure_alignment)


class ConsensusOptimisationConfig(KindConfig):
    kind: Literal["consensus_optimisation"] = "consensus_optimisation"
    title: ClassVar[str] = "Consensus-based optimisation"
    summary: ClassVar[str] = "Particles that agree on the lowest energy seen, without gradients."

    step_size: float = option(
        0.01,
        "Time step: the share of the way to the consensus gone at each step, λ = 1.",
        gt=0,
        le=1,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    noise_scale: float = option(
        5.0,
        "σ: noise in each coordinate over the distance to the consensus there.",
        ge=0,
        le=100,
        main=True,
        group="Sampler",
        turnable=True,
    )
    inverse_temperature: float = option(
        30.0, "β of the weights exp(−βE) at the start.", gt=0, le=1e6, log=True, group="Sampler"
    )
    growth: float = option(
        0.005, "Share by which β grows at each step.", ge=0, le=10, group="Sampler"
    )
    measure_alignment: bool = option(False, ALIGNMENT, group="Sampler")

    def derived(self) -> dict[str, str]:
        drop = 1 + 0.5 * self.noise_scale**2
        sentences = {
            "noise_scale": f"A particle's distance shrinks by about {drop * self.step_size:.2%} a "
            "step.",
        }
        if self.growth:
            steps = math.log(1000) / math.log1p(self.growth)
            sentences["growth"] = f"β is 1,000 times as large after {steps:.0f} steps."
        return _no_effect() | sentences


class ConsensusOptimisation(Sampler):
    """x ← x − dt (x − m) + σ √dt (x − m) ⊙ ξ, m = Σ softmax(−βE) x, ξ ~ N(0, I).

    β grows step by step, so that m goes to the lowest particle; noise that is coordinate by
    coordinate makes the number of dimensions not matter to the rate. Finds a minimum: particles
    collapse onto it and are no draws of anything. One evaluation of E a step and no gradient
    (counted as one); `state.gradient` is zeros. Carrillo, Jin, Li & Zhu 2021; that the drift goes
    down the gradient: Riedl et al. 2023.
    """

    Config: ClassVar[type[KindConfig]] = ConsensusOptimisationConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = "It seeks the minimum: its particles collapse and do not follow exp(−E)."
    references: ClassVar[str] = "Pinnau et al. 2017; Carrillo, Jin, Li & Zhu 2021"
    population: ClassVar[bool] = True
    follows_gradient: ClassVar[bool] = False
    config: ConsensusOptimisationConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """One evaluation of E and none of ∇E. `extra`: inverse_temperature 0-d, β."""
        return _started(position, energy, self.config.inverse_temperature)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, b = self.config, state.extra["inverse_temperature"]
        noise_sd = config.noise_scale * math.sqrt(config.step_size)
        x, value = self.fused(
            _agreed,
            energy,
            state.position,
            state.energy,
            normal(state.position, generator),
            b,
            config.step_size,
            noise_sd,
        )
        grown = (b * (1 + config.growth)).clamp(max=LARGEST)
        after = State(x, value, torch.zeros_like(x), {"inverse_temperature": grown})
        return after, _told(state, after, energy, config.measure_alignment)


def consensus(state: State) -> tuple[Tensor, Tensor]:
    """(weights (chains,) ∝ exp(−βE), their mean position (*event_shape))."""
    return _consensus(state.position, state.energy, state.extra["inverse_temperature"])


def drift_alignment(state: State, energy: Energy) -> tuple[Tensor, Tensor]:
    """Mean cosines, 0-d, of the drift m − x with −C ∇E(x) and with −∇E(x).

    C is the weighted covariance. To first order in E about m the drift is down the preconditioned
    gradient; for particles that follow a Gaussian target themselves it is exactly that, and the
    first cosine is 1 up to the chance of finitely many particles. Costs one gradient evaluation.
    """
    weights, mean = consensus(state)
    _, gradient = energy_and_gradient(energy, state.position)
    drift, down = (mean - state.position).flatten(1), -gradient.flatten(1)
    root = _root(weights, drift)
    cosines = [
        torch.nn.functional.cosine_similarity(drift, way, dim=1, eps=1e-30).mean()
        for way in (down @ root.T @ root, down)
    ]
    return cosines[0], cosines[1]


def _root(weights: Tensor, centred: Tensor) -> Tensor:
    """R (min(chains, dim), dim) with RᵀR = Σ w centred centredᵀ, of centred (chains, dim)."""
    wide = weights[:, None]
    # a particle that ran away has weight 0, and 0 times infinity is no number
    return torch.linalg.qr(torch.where(wide > 0, wide.sqrt() * centred, 0.0), mode="r").R


def _started(position: Tensor, energy: Energy, inverse_temperature: float) -> State:
    x = position.detach()
    b = torch.tensor(inverse_temperature, device=x.device, dtype=x.dtype)
    return State(x, _energies(energy, x), torch.zeros_like(x), {"inverse_temperature": b})


def _told(before: State, after: State, energy: Energy, measure_alignment: bool) -> Info:
    spread = after.position.flatten(1).std(0).square().mean().sqrt()
    figures = {"spread": spread, "inverse_temperature": before.extra["inverse_temperature"]}
    if measure_alignment:
        preconditioned, plain = drift_alignment(before, energy)
        figures |= {"gradient_alignment": preconditioned, "gradient_alignment_plain": plain}
    rate = torch.ones_like(after.energy)
    taken = torch.ones_like(rate, dtype=torch.bool)
    return Info(rate, taken, after.position, 2 if measure_alignment else 1, figures)


def _energies(energy: Energy, x: Tensor) -> Tensor:
    with torch.no_grad():
        return where_finite(energy, x).detach()


def _consensus(x: Tensor, value: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    weights = (-b * value).nan_to_num(nan=-torch.inf).softmax(0)
    wide = weights.reshape(-1, *[1] * (x.dim() - 1))
    return weights, torch.where(wide > 0, wide * x, 0.0).sum(0)


def _resettled(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    noise: Tensor,
    b: Tensor,
    share: float,
    noise_sd: float,
) -> tuple[Tensor, Tensor]:
    weights, mean = _consensus(x, value, b)
    factor = _root(weights, (x - mean).flatten(1))
    # rows of ξR have covariance RᵀR = C, however few particles there are
    coloured = (noise.flatten(1)[:, : len(factor)] @ factor).reshape(x.shape)
    moved = mean + share * (x - mean) + noise_sd * coloured
    return moved, _energies(energy, moved)


def _agreed(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    noise: Tensor,
    b: Tensor,
    share: float,
    noise_sd: float,
) -> tuple[Tensor, Tensor]:
    _, mean = _consensus(x, value, b)
    apart = x - mean
    moved = x - share * apart + noise_sd * apart * noise
    return moved, _energies(energy, moved)


def _no_effect() -> dict[str, str]:
    return {"measure_alignment": "No effect on the particles: it is shown beside them."}
