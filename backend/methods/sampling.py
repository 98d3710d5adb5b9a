"""Sampling without training: chains on a known density, or on the energy of a trained run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from backend import samplers
from backend.compiling import Compiler
from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy, InUnits
from backend.errors import BadInput
from backend.method import Method, Preset, Start, Task
from backend.metrics.errors import distances
from backend.metrics.modes import nearest_mode
from backend.metrics.running import Hamiltonians, RunningMoments, ThinnedDraws
from backend.sampler import Info, Sampler, State
from backend.samplers import AnySampler
from backend.sampling_look import TRAIL, SamplingLook, figures_of
from backend.spec import Budget, problems_of
from backend.truth import Truth

GRADIENTS_A_POINT = 40
"""Gradient evaluations between two points of the curves, where nothing else is asked."""
DRAWS = 256
"""Draws of a chain kept for R-hat and effective sample sizes, over the whole run."""
COUNTED = ("divergences", "round_trips")
"""Figures of a step that are numbers of events: shown as their sum since the warm-up."""


class SamplingConfig(Config):
    energy_of: str = option(
        "", "Id of a trained run whose energy is sampled; empty samples the true density of the "
        "data, where it is known.", max_length=80, main=True, group="Energy",
    )  # fmt: skip
    sampler: AnySampler = option(
        {"kind": "langevin"}, "The sampler that is watched.", group="Sampler"
    )
    chains: Literal["noise", "data", "one_mode"] = option(
        "noise", "Where the chains start: all over, at data, or all of them near one datum.",
        main=True, group="Chains",
    )  # fmt: skip
    num_chains: int = option(
        512, "Chains run side by side.", ge=2, le=65_536, main=True, group="Chains"
    )
    num_steps: int = option(
        0, "Sampler steps of every chain between two points of the curves; 0 makes it about "
        f"{GRADIENTS_A_POINT} gradients.", ge=0, le=10_000, group="Chains",
    )  # fmt: skip
    num_warm_up: int = option(
        500, "Sampler steps at the start in which the sampler tunes itself and whose draws do not "
        "count.", ge=0, le=1_000_000, group="Chains",
    )  # fmt: skip
    arithmetic: Literal["auto", "eager", "compiled"] = option(
        "auto", "How a step is computed: operation by operation, or compiled as one piece; auto "
        "compiles on a GPU, where it changes no digit.", group="Chains",
    )  # fmt: skip
    stop_at_error: float = option(
        0.0, "Ends the run once the running mean is this near the truth, in sd of the target, and "
        "known to that precision; 0 never does.", ge=0, le=100, group="Budget",
    )  # fmt: skip
    stop_at_ess: float = option(
        0.0, "Ends the run once the chains are worth this many independent draws and R-hat is at "
        "most 1.01; 0 never does.", ge=0, le=1e12, group="Budget",
    )  # fmt: skip

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
    trains = False
    changeable = ("sampler.step_size", "sampler.temperature")
    config: SamplingConfig

    def __init__(self, config: SamplingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.kernel = samplers.build(config.sampler)
        self.kernel.compiler = _compiler(config, task)
        self.target = _target(config, task)
        if reason := type(self.kernel).fits(self.target):
            raise BadInput.at("config.sampler.kind", reason)
        start = self.start(config.num_chains, self.generator).positions
        self.state = self.kernel.init(start, self.target, self.generator)
        self.gradient_evaluations = 1
        self.num_taken = 0
        """sampler steps of every chain so far"""
        self.changes: dict[str, float] = {}
        """what was changed while it ran, by field of the sampler"""
        self._in_force: dict[str, float] = {}
        self.moments = self._fresh_moments()
        self.draws = ThinnedDraws(DRAWS)
        self.hamiltonians: Hamiltonians | None = None
        if "hamiltonian" in self.state.extra:
            self.hamiltonians = Hamiltonians(config.num_chains, task.device)
        self.passed = samplers.Pass(self.state.position)
        self.counts: dict[str, Tensor] = {}
        self.errors = self._distances()
        self.num_counted = 0
        """points of the curves since the account was begun"""
        self._next_errors = 1.0
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
        if config.chains == "data" and data.draw is None and not len(data.train):
            yield "chains", f"{data.title!r} has no data to start from."

    @property
    def truth(self) -> Truth | None:
        """What is known of the law that is sampled."""
        return None if self.config.energy_of else self.task.data.truth

    @property
    def modes(self) -> Tensor | None:
        """Modes (num_modes, dim) in the user's units, where their weights are known."""
        known = self.truth is not None and self.truth.mode_weights is not None
        return self.task.data.modes if known else None

    # ------------------------------------------------------------------ a step

    @property
    def warming_up(self) -> bool:
        """Whether draws do not count yet."""
        return self.num_taken < self.config.num_warm_up

    @property
    def num_steps(self) -> int:
        """Sampler steps between two points."""
        if self.config.num_steps:
            return self.config.num_steps
        return max(1, GRADIENTS_A_POINT // self.kernel.gradients_a_step)

    def step(self, progress: float) -> dict[str, Tensor]:
        if self.changes != self._in_force:
            self._apply(self.changes)
        infos = []
        for _ in range(self.num_steps):
            infos.append(self._sampler_step())
        if not self.kernel.anneals:
            self._count_draws()
        position = self.state.position
        metrics = {
            "energy/model": self.state.energy.mean(),
            "sampler/radius": position.flatten(1).norm(dim=1).amax(),
            **self._figures(infos),
            **self._errors(),
        }
        if self.kernel.exact:
            rates = [each.acceptance_rate.mean() for each in infos]
            metrics["sampler/acceptance_rate"] = torch.stack(rates).mean()
        if "step_size" in self.state.extra:
            metrics["sampler/step_size"] = self.state.extra["step_size"].float().mean()
        return metrics

    def _sampler_step(self) -> Info:
        """One step of every chain, counted, tuned in the warm-up, kept for the page's trails."""
        self.state, info = self.kernel.step(self.state, self.target, self.generator)
        self.gradient_evaluations += info.gradient_evaluations
        if self.warming_up:
            index, num = self.num_taken, self.config.num_warm_up
            self.state = self.kernel.tune(self.state, info, index, num)
            if index + 1 == num:
                self._begin_account()
        elif self.hamiltonians is not None:
            self.hamiltonians.add(self.state.extra["hamiltonian"])
        if self.kernel.anneals:
            assert info.complete is not None
            position, energy = self.state.position, self.state.energy
            self.moments.add_weighted(
                position, energy, self._nearest(position), info.log_weights, info.complete,
                self._values(position),
            )  # fmt: skip
            self.passed.take(position, info)
        self.num_taken += 1
        self.trail.append(self.state)
        self.accepted.append(info.accepted)
        return info

    def _count_draws(self) -> None:
        position = self.state.position
        nearest, values = self._nearest(position), self._values(position)
        self.moments.add(position, self.state.energy, nearest, values)
        wanted = self.draws.wants()
        self.draws.offer(figures_of(self.state) if wanted else None)

    def _nearest(self, position: Tensor) -> Tensor | None:
        if self.modes is None:
            return None
        return nearest_mode(self.task.data.restore(position), self.modes)

    def _values(self, position: Tensor) -> Tensor | None:
        """Functions of the draws (chains, functions), where their means are known."""
        known = None if self.truth is None else self.truth.functions
        return None if known is None else known.of(self.task.data.restore(position))

    def _figures(self, infos: list[Info]) -> dict[str, Tensor]:
        """What the kernel tells of itself: counts summed since the warm-up, the rest averaged."""
        found = {}
        for name in infos[-1].figures:
            values = torch.stack([each.figures[name].float() for each in infos])
            if name in COUNTED:
                self.counts[name] = self.counts.get(name, 0.0) + values.sum()
                found[f"sampler/{name}"] = self.counts[name].clone()
            else:
                found[f"sampler/{name}"] = values[-1] if self.kernel.anneals else values.mean()
        return found

    def _errors(self) -> dict[str, Tensor]:
        """Distances from the truth, taken anew when there are 2 % more draws: on the logarithmic
        axes they are drawn on, more would not be seen."""
        self.num_counted += 1
        if self.num_counted >= self._next_errors:
            self._next_errors = max(self.num_counted + 1.0, 1.02 * self.num_counted)
            self.errors = self._distances()
        return dict(self.errors)

    def _distances(self) -> dict[str, Tensor]:
        if self.truth is None:
            return {}
        found = distances(self.moments, self.truth, self.task.data, self.config.num_chains)
        if not self.kernel.weighs:
            found.pop("error/log_z", None)
        if self.kernel.temperature != 1.0:
            return {path: torch.full_like(value, torch.nan) for path, value in found.items()}
        return found

    def _begin_account(self) -> None:
        """Forget all draws: those of the warm-up, or of another temperature, do not count."""
        self.moments = self._fresh_moments()
        self.draws = ThinnedDraws(DRAWS)
        self.counts = {}
        self.num_counted = 0
        self._next_errors = 1.0

    def _fresh_moments(self) -> RunningMoments:
        num_modes = 0 if self.modes is None else len(self.modes)
        known = None if self.truth is None else self.truth.functions
        num_functions = 0 if known is None else len(known.names)
        shape = self.task.data.event_shape
        return RunningMoments(shape, num_modes, self.task.device, num_functions)

    # ------------------------------------------------------------------ changes while it runs

    def change(self, settings: dict[str, float]) -> str:
        wanted = {name.removeprefix("sampler."): value for name, value in settings.items()}
        before = {name: self._knob(name) for name in wanted}
        config = self.kernel.config
        try:
            type(config).model_validate({**config.model_dump(), **wanted})
        except ValidationError as error:
            raise BadInput(*problems_of(error, "sampler")) from error
        self.changes = {**self.changes, **wanted}
        parts = [
            f"{name.replace('_', ' ').capitalize()} {before[name]:.3g} → {value:.3g}"
            for name, value in wanted.items()
        ]
        return ", ".join(parts) + "."

    def _knob(self, name: str) -> float:
        """A setting as it is in force now. Copies to the host where it was tuned."""
        if name == "step_size" and "step_size" in self.state.extra:
            return float(self.state.extra["step_size"].float().mean())
        if name not in type(self.kernel.config).model_fields:
            title = type(self.kernel.config).title
            raise BadInput.at(f"sampler.{name}", f"{title} has no such setting.")
        return float(getattr(self.kernel.config, name))

    def _apply(self, changes: dict[str, float]) -> None:
        """Put changed settings in force; draws of another temperature begin a new account."""
        temperature = self.kernel.temperature
        self.kernel.config = self.kernel.config.model_copy(update=changes)
        known = self._in_force.get("step_size")
        if "step_size" in changes and "step_size" in self.state.extra:
            if changes["step_size"] != known:
                old = self.state.extra["step_size"]
                self.state = self.state.carrying(
                    step_size=torch.full_like(old, changes["step_size"])
                )
        if self.kernel.temperature != temperature:
            self._begin_account()
        self._in_force = dict(changes)

    # ------------------------------------------------------------------ to be looked at

    def energy(self) -> Energy:
        return self.target

    def sampler(self) -> Sampler:
        return self.kernel

    def observer(self, data: Data, seed: int, sizes: Any = None) -> SamplingLook:
        return SamplingLook(self, data, seed, sizes)

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
            return self.passed.drawn(num, generator)
        if num <= have:
            return position[torch.randperm(have, generator=generator, device=device)[:num]]
        return position[torch.randint(have, (num,), generator=generator, device=device)]


def _compiler(config: SamplingConfig, task: Task) -> Compiler | None:
    """What compiles the arithmetic of a step, where that is wanted."""
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
    if data.num_values is not None and not config.energy_of:
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
