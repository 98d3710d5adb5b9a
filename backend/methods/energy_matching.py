"""Energy Matching: one potential that carries noise to data, then holds it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energy import Energy
from backend.events import Curve, Event, Finding
from backend.method import Method, Preset, SampleRequest, Start, Task
from backend.metric_names import Figure
from backend.metrics.distances import energy_distance
from backend.metrics.quality import Quality
from backend.objectives.energy_matching import flow_matching, flow_steps, flow_weight
from backend.objectives.optimal_transport import coupled
from backend.sampler import Sampler
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

TIMES = (0.5, 1.0, 2.0, 4.0)
"""Sampling times at which samples are judged; the flow alone is after data at 1."""
RISE = 1.2
"""Times its value before contrast that the flow loss may reach."""
RUNAWAY_GAP = 5.0
"""Nats that data may lie below the model's samples, in the running mean."""
MEMORY = 0.98
"""Share of the running means kept at each update."""


class EnergyMatchingConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp", "width": 128, "depth": 4}, "The network that is V.", group="Energy"
    )
    temperature: float = option(
        0.08,
        "ε of the law exp(−V/ε) that samples keep to from time 1 on.",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Flow",
        turnable=True,
    )
    transport_end: float = option(
        0.8,
        "Time up to which samples flow without noise; from there to time 1 the temperature "
        "rises to its value, and the weight of the flow loss falls to 0.",
        ge=0,
        le=0.99,
        group="Flow",
    )
    step_size: float = option(
        0.025,
        "Time that passes in one step of the flow and of Langevin chains.",
        gt=0,
        le=0.5,
        log=True,
        group="Flow",
        turnable=True,
    )
    sampling_time: float = option(
        1.0,
        "Time at which samples are taken, unless another is asked for; noise is at 0.",
        gt=0,
        le=100,
        main=True,
        group="Flow",
    )
    path_noise: float = option(
        0.0,
        "Gaussian noise on the points between noise and data.",
        unit="data sd",
        ge=0,
        le=1,
        group="Flow",
        turnable=True,
    )
    transport_entropy: float = option(
        0.02,
        "Entropy of the plan that pairs noise with data, in shares of the mean squared distance.",
        ge=0.005,
        le=100,
        log=True,
        group="Flow",
    )
    contrastive_weight: float = option(
        4.0,
        "Weight of V(data) − V(samples) in the second phase; 0 is flow matching alone.",
        ge=0,
        le=100,
        main=True,
        log=True,
        group="Contrast",
        turnable=True,
    )
    contrastive_share: float = option(
        0.25,
        "Share of the budget, at its end, in which data are contrasted with samples.",
        gt=0,
        le=1,
        main=True,
        group="Contrast",
    )
    num_steps: int = option(
        80,
        "Steps of the chains that draw those samples; half start at data, half at noise.",
        ge=1,
        le=10_000,
        main=True,
        group="Contrast",
        turnable=True,
    )
    contrastive_clamp: float = option(
        0.0,
        "Lowest value of V(data) − V(samples) that is still pushed down; 0 sets no limit.",
        ge=0,
        le=1e6,
        group="Contrast",
    )
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=2e-3, schedule="constant", batch_size=256, beta1=0.9, ema_decay=0.99
        ),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        texts = {"num_steps": f"Chains from noise reach time {self.num_steps * self.step_size:g}."}
        if self.contrastive_weight:
            return texts
        idle = "No effect: there is no contrast with samples."
        return dict.fromkeys(("contrastive_share", "num_steps", "contrastive_clamp"), idle)


class Scaled(Energy):
    """E = V/ε, so that samples of exp(−V/ε) are samples of exp(−E)."""

    def __init__(self, potential: Energy, temperature: float) -> None:
        super().__init__()
        self.potential, self.temperature = potential, temperature

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.potential(x, condition) / self.temperature


class EnergyMatching(Method):
    """One time-independent potential V whose −∇V carries N(0, I) to data by time 1.

    Phase 1: E|−∇V(x_t) − (x_1 − x_0)|² along lines between noise and data paired by optimal
    transport. Phase 2, the last `contrastive_share` of the budget: the same with weight w(t), plus
    λ (V(data) − V(samples)), which makes exp(−V/ε) the law of data, so that samples stay where
    they arrive. Samples: x ← x − Δt ∇V + √(2 ε(t) Δt) ξ. Balcerak et al. 2025.

    Biased by the step, by chains too short to reach the law of exp(−V/ε), and by the batch's plan
    in place of the laws'. Contrast takes some of the flow's speed near data, so that samples arrive
    a little after time 1: the more so the larger λ.
    """

    id = "energy_matching"
    title = "Energy Matching"
    summary = (
        "One potential for both: far from data its gradient carries noise there along straight "
        "lines, near data it is an energy. Samples may go on for as long as you like."
    )
    references = "Balcerak et al. 2025"
    url = "https://arxiv.org/abs/2504.10612"
    Config = EnergyMatchingConfig
    not_a_density = "This potential carries noise to data: it is a generator's, not a density's."
    has_time = True
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Flow matching, then contrast in the last quarter: samples arrive at time 1 and stay.",
            {},
            Budget(steps=1200),
        ),
        "flow_only": Preset(
            "Flow matching alone: samples arrive at time 1 and go on past the data.",
            {"contrastive_weight": 0.0},
            Budget(steps=1200),
        ),
    }
    headline = (
        "quality/energy_distance",
        "quality/grid_kl",
        "loss/flow",
        "energy/gap",
        "optimiser/gradient_norm",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "loss/flow": Figure(
            "Flow loss",
            log=True,
            better="lower",
            help="Mean of |−∇V − (x₁ − x₀)|² under the second phase's weights, in both phases; "
            "what lines that cross cannot agree on is left.",
        ),
        "loss/contrastive": Figure(
            "V(data) − V(samples), weighted", help="0 until the second phase begins."
        ),
        "flow/phase": Figure("Phase: 1 flow, 2 flow and contrast"),
        **{
            f"time/{time:g}/energy_distance": Figure(
                f"Energy distance at sampling time {time:g}",
                "squared, data sd",
                log=True,
                better="lower",
            )
            for time in TIMES
        },
    }
    config: EnergyMatchingConfig

    def __init__(self, config: EnergyMatchingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)
        self.running = torch.zeros(3, device=task.device)
        """running means: flow loss up to the second phase, flow loss, energy gap in nats"""

    @classmethod
    def problems(cls, config: EnergyMatchingConfig, data: Data) -> Iterable[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        if getattr(config.energy, "activation", "") == "relu":
            problems.append(
                (
                    "energy.activation",
                    "must be smooth, since the loss holds the potential's "
                    "gradient; got `relu`. Choose `silu`.",
                )
            )
        return problems

    # ------------------------------------------------------------------ training

    def step(self, progress: float) -> dict[str, Tensor]:
        config, size = self.config, self.config.train.batch_size
        contrasts = config.contrastive_weight > 0 and progress >= 1 - config.contrastive_share
        target = self.task.data.batch(size, self.generator)
        source = self._source(size, self.generator)
        ordered = coupled(source, target, config.transport_entropy, self.generator)
        time = torch.rand((size,), generator=self.generator, device=source.device)
        noise = config.path_noise * self._source(size, self.generator)
        flow = flow_matching(self.network, source, ordered, time, noise)
        self.gradient_evaluations += 1
        weight = flow_weight(time, config.transport_end)
        weighted = (weight * flow.squares).mean()
        zero = weighted.new_zeros(())
        gap, contrast, reached, values = zero, zero, source, flow.values
        if contrasts:
            reached = self._negatives(target)
            values = self.network(torch.cat([target, reached]))
            gap = values[:size].mean() - values[size:].mean()
            bounded = gap.clamp(min=-config.contrastive_clamp) if config.contrastive_clamp else gap
            contrast = config.contrastive_weight * bounded
        loss = weighted + contrast if contrasts else flow.squares.mean()
        flow_loss = weighted.detach() / weight.mean().clamp(min=1e-6)
        gap_nats = gap.detach() / config.temperature
        self._remember(flow_loss, gap_nats, contrasts)
        return {
            "loss/total": loss.detach(),
            "loss/flow": flow_loss,
            "loss/contrastive": contrast.detach(),
            "flow/phase": zero + (2.0 if contrasts else 1.0),
            "energy/gap": gap_nats,
            "energy/max": values.detach().abs().amax() / config.temperature,
            "sampler/radius": reached.flatten(1).norm(dim=1).amax(),
            **self.fitter.update(loss, progress),
        }

    def _source(self, num: int, generator: torch.Generator) -> Tensor:
        """Standard normal draws (num, *event_shape), where flows start."""
        shape = (num, *self.task.data.event_shape)
        return torch.randn(shape, generator=generator, device=self.task.device)

    def _negatives(self, x_data: Tensor) -> Tensor:
        """Samples (batch, *event_shape) of short chains: the first half from data, at time 1, the
        rest from noise, at time 0."""
        num, config = len(x_data), self.config
        time = (torch.arange(num, device=x_data.device) < (num + 1) // 2).to(x_data)
        x = torch.cat([x_data[: (num + 1) // 2], self._source(num // 2, self.generator)])
        self.gradient_evaluations += config.num_steps
        return self._flowed(self.network, x, time, config.num_steps, self.generator)

    def _flowed(
        self, potential: Energy, x: Tensor, time: Tensor, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        config = self.config
        return flow_steps(
            potential,
            x,
            time,
            num_steps,
            config.step_size,
            config.transport_end,
            config.temperature,
            generator,
        )[0]

    def _remember(self, flow_loss: Tensor, gap: Tensor, contrasts: bool) -> None:
        latest = torch.stack([flow_loss, flow_loss, gap])
        moved = torch.lerp(latest, self.running, MEMORY)
        if contrasts:
            moved[0] = self.running[0]
        self.running = moved

    # ------------------------------------------------------------------ the trained energy

    def potential(self) -> NetworkEnergy:
        """V of standardised positions, by the averaged weights where they are kept."""
        return self.fitter.fitted

    def energy(self) -> Energy:
        return Scaled(self.potential(), self.config.temperature)

    def sampler(self) -> Sampler:
        """Langevin on V/ε with the steps that samples take from time 1 on."""
        return Langevin(LangevinConfig(step_size=self.config.step_size * self.config.temperature))

    def start(self, num: int, generator: torch.Generator) -> Start:
        return Start(
            self._source(num, generator), False, self._num_steps(self.config.sampling_time)
        )

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self._sample(self._source(num, generator), self.config.sampling_time, generator)

    # ------------------------------------------------------------------ samples

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        if request.time is None:
            return None
        if request.time <= 0:
            return "time", f"must be > 0, got {request.time:g}."
        if request.sampler or request.num_steps is not None or request.mask is not None:
            return "time", (
                "goes with the method's own flow alone. Leave out the sampler, `num_steps` and "
                "what is known, or leave out the time: chains then sample exp(−V/ε)."
            )
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """The flow from noise, or from `start`, to `time`; None, for chains on V/ε, where a
        sampler, a number of steps or known coordinates are given."""
        if request.sampler or request.num_steps is not None or request.mask is not None:
            return None
        x = self._source(request.num, generator) if request.start is None else request.start
        time = self.config.sampling_time if request.time is None else request.time
        return self._sample(x, time, generator)

    def _num_steps(self, time: float) -> int:
        return max(round(time / self.config.step_size), 1)

    def _sample(self, x: Tensor, time: float, generator: torch.Generator) -> Tensor:
        start = torch.zeros(len(x), device=x.device)
        return self._flowed(self.potential(), x, start, self._num_steps(time), generator)

    def _by_time(self, num: int, generator: torch.Generator) -> Iterator[tuple[float, Tensor]]:
        """(time, samples) of one flow as it passes each of TIMES."""
        x, passed = self._source(num, generator), 0
        for time in TIMES:
            begun = torch.full((len(x),), passed * self.config.step_size, device=x.device)
            num_steps = max(self._num_steps(time) - passed, 0)
            x = self._flowed(self.potential(), x, begun, num_steps, generator)
            passed += num_steps
            yield time, x

    # ------------------------------------------------------------------ looking

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        held_out = self.task.data.held_out[:512]
        by_time = dict(self._by_time(len(held_out), generator))
        distances = [[_distance(x, held_out) for x in by_time.values()]]
        return [
            Curve(
                "quality/by_time",
                np.array(TIMES, "f4"),
                np.array([distances], "f4"),
                ["energy distance"],
                "sampling time",
                "squared, data sd",
            )
        ]

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return {
            f"time/{time:g}/energy_distance": _distance(x, quality.reference)
            for time, x in self._by_time(quality.num, generator)
        }

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        before, now, gap = self.running.tolist()
        if now > RISE * before:
            yield Finding(
                "flow",
                "warning",
                f"The flow loss rose from {before:.3g} to {now:.3g} since contrast began: the "
                "potential forgets how to carry noise to data. A smaller `contrastive_weight` or "
                "`contrastive_share` usually mends this.",
            )
        if gap < -RUNAWAY_GAP:
            yield Finding(
                "gap",
                "warning",
                f"Data lie {-gap:.3g} nats below the samples of training on average, and chains do "
                "not follow: the potential runs away. A smaller `contrastive_weight`, a "
                "`contrastive_clamp` or a smaller `step_size` usually mends this.",
            )


def _distance(x: Tensor, reference: Tensor) -> float:
    return energy_distance(x, reference) if bool(x.isfinite().all()) else float("nan")
