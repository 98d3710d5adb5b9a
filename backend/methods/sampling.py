"""Sampling without training: chains on a known density, or on the energy of a trained run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend import samplers
from backend.compilation.compiler import Compiler
from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy, InUnits, drawn_inside
from backend.errors import BadInput, NotAvailable
from backend.method import Method, Preset, Start, Task
from backend.metric_names import Figure
from backend.metrics import event_histograms
from backend.observe.draw_statistics import DrawStatistics
from backend.sampler import Info, Sampler, State
from backend.samplers import AnySampler
from backend.spec import Budget
from backend.truth import Truth

TRAIL = 24
"""Sampler steps of the walking chains that a page shows."""
STEP_SIZE = "sampler.step_size"
GRADIENTS_A_POINT = 150
"""Gradient evaluations between two points of the curves, where nothing else is asked."""


class SamplingConfig(Config):
    energy_of: str = option(
        "",
        "Id of a trained run whose energy is sampled; empty samples the true density of the "
        "data, where it is known.",
        max_length=80,
        main=True,
        group="Energy",
    )
    sampler: AnySampler = option(
        {"kind": "langevin"}, "The sampler that is watched.", group="Sampler"
    )
    chains: Literal["noise", "data", "one_mode"] = option(
        "noise",
        "Where the chains start: all over, at data, or all of them near one datum.",
        main=True,
        group="Chains",
    )
    num_chains: int = option(
        512, "Chains run side by side.", ge=2, le=65_536, main=True, group="Chains"
    )
    num_steps: int = option(
        0,
        "Sampler steps of every chain between two points of the curves; 0 makes it about "
        f"{GRADIENTS_A_POINT} gradients.",
        ge=0,
        le=10_000,
        group="Chains",
    )
    num_warm_up: int = option(
        500,
        "Sampler steps at the start in which the sampler tunes itself and whose draws do not "
        "count.",
        ge=0,
        le=1_000_000,
        group="Chains",
    )
    arithmetic: Literal["auto", "eager", "compiled"] = option(
        "auto",
        "How a step is computed: operation by operation, or compiled as one piece; auto "
        "compiles on a GPU, where it changes no digit.",
        group="Chains",
    )
    stop_at_error: float = option(
        0.0,
        "Ends the run once the running mean is this near the truth, in sd of the target, and "
        "known to that precision; 0 never does.",
        ge=0,
        le=100,
        group="Budget",
    )
    stop_at_ess: float = option(
        0.0,
        "Ends the run once the chains are worth this many independent draws and R-hat is at "
        "most 1.01; 0 never does.",
        ge=0,
        le=1e12,
        group="Budget",
    )

    def derived(self) -> dict[str, str]:
        words = "No effect on the law that is sampled, only on how fast."
        if self.arithmetic == "compiled":
            words += (
                " On a CPU it starts operation by operation while it compiles; the swap changes "
                "numbers by rounding, at a step that depends on the machine."
            )
        return {"arithmetic": words}


class Sampling(Method):
    """Runs one sampler on one energy and shows how far its draws are from the truth."""

    id = "sampling"
    title = "Sampling"
    summary = (
        "No training: runs a sampler on a density that is known, or on the energy of a trained "
        "run, and measures its draws against the truth."
    )
    references = "Roberts & Tweedie 1996; Neal 2011"
    url = "https://arxiv.org/abs/1206.1901"
    Config = SamplingConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("Unadjusted Langevin from noise.", {}, Budget(steps=100)),
        "mala": Preset(
            "Langevin with a Metropolis test: no bias at any step size.",
            {"sampler": {"kind": "mala"}},
            Budget(steps=100),
        ),
        "hmc": Preset(
            "Hamiltonian trajectories: far moves, each of several gradients.",
            {"sampler": {"kind": "hmc"}},
            Budget(steps=200),
        ),
    }
    headline = (
        "error/mean",
        "error/variance",
        "sampler/acceptance_rate",
        "quality/energy_distance",
        "energy/model",
    )
    figures: ClassVar[dict[str, Figure]] = event_histograms.FIGURES
    trains = False
    is_asked = False
    takes_discrete = True
    observers = (
        "data",
        "landscape",
        "chain_trails",
        "draw_energies",
        "draw_statistics",
        "draw_quality",
        "truth_errors",
        "draw_samples",
        "draw_principal_axes",
        "draw_diagnostics",
        "draw_alarms",
    )
    config: SamplingConfig

    def __init__(self, config: SamplingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.kernel = samplers.build(config.sampler)
        self.kernel.compiler = _compiler(config, task)
        self.target = _target(config, task)
        if reason := type(self.kernel).fits(self.target):
            raise BadInput.at("config.sampler.kind", reason)
        self.state = self.kernel.init(self._first_positions(), self.target, self.generator)
        self.gradient_evaluations = 1
        self.num_taken = 0
        """sampler steps of every chain so far"""
        self.statistics = DrawStatistics(task.data, not config.energy_of, self.kernel, self.state)
        # deques, which checkpoints leave out: what a page saw of the past is not state
        self.trail: deque[State] = deque([self.state], maxlen=TRAIL + 1)
        self.accepted: deque[Tensor] = deque(maxlen=TRAIL)

    @classmethod
    def problems(cls, config: SamplingConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.energy_of:
            if config.stop_at_error:
                yield "stop_at_error", "needs a known truth, and a trained run has none."
            return
        known = data.density or data.target
        if known is None:
            yield (
                "energy_of",
                f"is needed: the density of {data.title!r} is not known. Name a trained run, or "
                "choose data with a known density such as `ring`.",
            )
            return
        kernel = samplers.kind_of(config.sampler)
        has_gradient = getattr(known, "differentiable", True)
        if not has_gradient and kernel.follows_gradient and not kernel.discrete:
            yield (
                "sampler.kind",
                f"follows the gradient, and the density of {data.title!r} has none: it jumps at "
                "edges. Choose other data, or name a trained run in `energy_of`.",
            )
        elif reason := kernel.fits(known):
            yield "sampler.kind", reason
        if config.stop_at_error and (data.truth is None or data.truth.mean is None):
            yield "stop_at_error", f"needs a known mean, and that of {data.title!r} is not known."

    @classmethod
    def of(cls, method: Method) -> Sampling:
        """The method itself, for observers of its draws. Raises NotAvailable for any other."""
        if not isinstance(method, cls):
            raise NotAvailable(f"{method.title} keeps no draws to observe.")
        return method

    @property
    def truth(self) -> Truth | None:
        """Truth about the distribution that is sampled; None where nothing is known."""
        return self.statistics.truth

    # ------------------------------------------------------------------ a step

    @property
    def warming_up(self) -> bool:
        """True while draws do not count yet."""
        return self.num_taken < self.config.num_warm_up

    @property
    def warm_up(self) -> tuple[int, int] | None:
        """Steps of the warm-up made and in all, while draws do not count yet; None after it."""
        return (self.num_taken, self.config.num_warm_up) if self.warming_up else None

    @property
    def num_steps(self) -> int:
        """Sampler steps between two points."""
        if self.config.num_steps:
            return self.config.num_steps
        return max(1, GRADIENTS_A_POINT // self.kernel.gradients_a_step)

    def step(self, progress: float) -> dict[str, Tensor]:
        infos = [self._sampler_step()]
        while len(infos) < self.num_steps and not (self.is_over and self.is_over()):
            infos.append(self._sampler_step())
        position = self.state.position
        metrics = {
            "energy/model": self.state.energy.mean(),
            "sampler/radius": position.flatten(1).norm(dim=1).amax(),
            **self.statistics.point(self.state, infos, counts=not self.warming_up),
        }
        if self.kernel.exact:
            rates = [each.acceptance_rate.mean() for each in infos]
            metrics["sampler/acceptance_rate"] = torch.stack(rates).mean()
        if "step_size" in self.state.extra:
            metrics["sampler/step_size"] = self.state.extra["step_size"].float().mean()
        return metrics

    def _sampler_step(self) -> Info:
        """One step of every chain, counted, tuned in the warm-up, kept for the page's trails."""
        kernel = self.kernel
        if self.gradient_limit is not None:
            kernel.most_gradients = max(self.gradient_limit - self.gradient_evaluations, 1)
        self.state, info = kernel.step(self.state, self.target, self.generator)
        kernel.most_gradients = None  # others who borrow it have no budget
        self.gradient_evaluations += info.gradient_evaluations
        if self.statistics.follows_steps:
            self.statistics.take(self.state, info, counts=not self.warming_up)
        if self.warming_up:
            index, num = self.num_taken, self.config.num_warm_up
            self.state = self.kernel.tune(self.state, info, index, num)
            if index + 1 == num:
                self.statistics.begin()
        self.num_taken += 1
        self.trail.append(self.state)
        self.accepted.append(info.accepted)
        return info

    # ------------------------------------------------------------------ settings in flight

    def setting(self, field: str) -> float:
        """The value in force; a tuned step size is copied to the host."""
        if field == STEP_SIZE and "step_size" in self.state.extra:
            return float(self.state.extra["step_size"].float().mean())
        return super().setting(field)

    def after_turn(self, fields: frozenset[str]) -> None:
        """Take a turned step size for the tuned one; draws of another temperature count anew."""
        if STEP_SIZE in fields and "step_size" in self.state.extra:
            old = self.state.extra["step_size"]
            step_size = torch.full_like(old, super().setting(STEP_SIZE))
            self.state = self.state.carrying(step_size=step_size)
        if "sampler.temperature" in fields:
            self.statistics.begin()

    # ------------------------------------------------------------------ to be looked at

    def energy(self) -> Energy:
        return self.target

    def sampler(self) -> Sampler:
        return self.kernel

    def _first_positions(self) -> Tensor:
        """Positions (chains, *event_shape) that chains start at, inside the target's support.

        Raises BadInput where too few are.
        """
        num, chains = self.config.num_chains, self.config.chains

        def draw(count: int, generator: torch.Generator) -> Tensor:
            return self.start(count, generator).positions

        if self.kernel.anneals:  # it starts from a law of its own
            return draw(num, self.generator)
        positions, missing = drawn_inside(self.target, draw, num, self.generator)
        if missing:
            raise BadInput.at(
                "config.chains",
                f"`{chains}` draws {missing:,} of {num:,} starts where the energy is infinite or "
                "not a number, however often they are drawn. Start the chains "
                f"{'from `noise`' if chains != 'noise' else 'at `data`'}, or check the energy.",
            )
        return positions

    def start(self, num: int, generator: torch.Generator) -> Start:
        data, steps = self.task.data, max(self.config.num_steps, 1)
        if self.config.chains == "noise":
            return Start(data.noise(num, generator), True, steps)
        positions = data.batch(num, generator)
        if self.config.chains == "one_mode":
            positions = _near_one(data, positions, generator)
        return Start(positions, True, steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        """The chains where they stand, or the last pass's draws by their weights; `num` of them,
        drawn again where there are too few."""
        position, have = self.state.position, self.config.num_chains
        device = position.device
        if self.kernel.anneals:
            return self.statistics.passed.drawn(num, generator)
        if num <= have:
            return position[torch.randperm(have, generator=generator, device=device)[:num]]
        return position[torch.randint(have, (num,), generator=generator, device=device)]


def _compiler(config: SamplingConfig, task: Task) -> Compiler | None:
    """Compiler of the arithmetic of a step, where that is wanted."""
    on_gpu = task.device.type == "cuda"
    if config.arithmetic == "eager" or (config.arithmetic == "auto" and not on_gpu):
        return None
    return Compiler(background=not on_gpu)


def _near_one(data: Data, positions: Tensor, generator: torch.Generator) -> Tensor:
    """As many positions, all near the first datum: a hundredth of an sd apart, or equal where
    events are discrete."""
    first = data.train[:1].expand_as(positions)
    if data.num_values is not None:
        return first.clone()
    noise = torch.randn(positions.shape, generator=generator, device=positions.device)
    return first + 0.01 * noise


def _target(config: SamplingConfig, task: Task) -> Energy:
    """The energy to sample, of standardised positions of the task's data. Raises BadInput."""
    data = task.data
    if config.energy_of:
        field = "config.energy_of"
        if task.load_energy is None:
            raise BadInput.at(field, "cannot be used here: no runs can be loaded.")
        energy = task.load_energy(config.energy_of)
    else:
        field = "data.name"
        known = data.density or data.target
        if known is None:
            raise BadInput.at(field, "has no known density to sample.")
        energy = known
    if data.num_values is not None:
        target = energy.to(task.device)
    else:
        # z → restore(z), where the energy is of positions in the user's units
        target = InUnits(energy, -data.mean / data.scale, 1 / data.scale).to(task.device)
    try:
        with torch.no_grad():
            shape = target(data.held_out[:2]).shape
    except RuntimeError as error:
        raise _misfit(field, data) from error
    if shape != (2,):
        raise _misfit(field, data)
    return target.requires_grad_(False)


def _misfit(field: str, data: Data) -> BadInput:
    shape = tuple(data.event_shape)
    return BadInput.at(field, f"takes other positions than those of {data.title!r}, {shape}.")
