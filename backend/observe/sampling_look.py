"""Looking at a run that only samples: its own chains, never others run for the eye's sake.

Events, by path (points in 2-D; images where events are images; the rest always):

    begin     samples/data, landscape/truth, landscape/model, quality/*/floor
    watch     chains/walk, energy/histogram, samples/train_time (images)
    measure   sampler/r_hat and the other diagnostics, quality/*/train_time, samples/train_time,
              samples/long_run, chains/diagnostics, chains/autocorrelation, alarm/*
    evaluate  as measure with more draws
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy, InUnits
from backend.events import Curve, Event, Scalar, Table, Trajectory
from backend.metrics.convergence import autocorrelation, bulk_ess, r_hat, tail_ess
from backend.metrics.density import Grid, energies
from backend.metrics.errors_to_truth import floor_of_mean
from backend.metrics.quality import Quality
from backend.observe import alarms, pictures
from backend.randomness import generator_of
from backend.sampler import State

if TYPE_CHECKING:
    from backend.methods.sampling import Sampling

TRAIL = 24
"""Sampler steps of the walking chains that a page shows."""
R_HAT_MIXED = 1.01
MOST_LAGS = 64
Cell = str | float | int | None


class SamplingLook:
    """Watches one `sampling` method. Everything it draws comes from generators of its own."""

    def __init__(self, method: Sampling, data: Data, seed: int, sizes: Any = None) -> None:
        from backend.observe.sizes import Sizes

        self.method, self.data, self.seed = method, data, seed
        self.sizes: Sizes = sizes or Sizes()
        images = data.is_image
        num = self.sizes.image_num_measured if images else self.sizes.num_measured
        self.quality = Quality(data, num) if self._wants_quality else None
        self.alarms = alarms.Alarms()
        view = pictures.view_of(data)
        self.grid = None if view is None else Grid(view, self.sizes.field)
        self._data_energies: Tensor | None = None
        self._landscape_temperature: float | None = None

    @property
    def _wants_quality(self) -> bool:
        """Whether to compare with held-out events: where they are draws of the law that is sampled,
        and nothing better is known of it. Known moments tell more, and cost nothing."""
        truth = self.method.truth
        if truth is not None:
            return truth.comparable and truth.mean is None
        return not self.method.config.energy_of and len(self.data.held_out) > 1

    # ------------------------------------------------------------------ the four looks

    def begin(self) -> list[Event]:
        """What never changes: data, the landscape, floors."""
        found: list[Event | None] = [self._cloud("samples/data", self.data.train, "data")]
        if self.quality is not None:
            floors = self.quality.floors(generator_of("look", self.seed, 0, 0, device=self._device))
            found += [Scalar(f"quality/{name}/floor", value) for name, value in floors.items()]
        known = self.data.density or self.data.target
        if self.grid is not None and known is not None:  # of the data, whatever is sampled
            points = self.grid.points(self._device)
            found.append(pictures.landscape("landscape/truth", known, self.grid, points, 1.0))
        return [event for event in [*found, *self._landscapes()] if event is not None]

    def watch(self, step: int) -> list[Event]:
        """The moving picture: walking chains and their energies."""
        state = self.method.state
        found: list[Event | None] = [*self._landscapes()]
        if self.data.event_shape == (2,):
            found.append(self._trajectory())
        if self.data.is_image:
            found.append(
                self._cloud("samples/train_time", state.position, "train_time", state.energy)
            )
        found.append(self._histogram(state))
        return [event for event in found if event is not None]

    def measure(self, step: int) -> list[Event]:
        """Diagnostics of the draws so far, their distance to held-out draws, alarms."""
        health = self._health()
        figures = {f"sampler/{name}": value for name, value in health.items()}
        figures |= self._rates(health)
        figures |= self._quality(self.quality, step) | self._floors(health)
        self._decide(health)
        found: list[Event] = [Scalar(path, value) for path, value in figures.items()]
        found += self._pictures(step)
        found.append(self._diagnostics(figures))
        found += self.alarms.say(self._findings(health))
        return found

    def evaluate(self, step: int) -> tuple[dict[str, float], list[Event], dict[str, Any]]:
        """The final word: figures by path, events, and draws in the user's units."""
        health = self._health()
        figures = {f"sampler/{name}": value for name, value in health.items()}
        figures |= self._rates(health) | self._quality(self.quality, step) | self._floors(health)
        figures |= {path: float(value) for path, value in self.method.account.errors.items()}
        state = self.method.state
        arrays = {
            "train_time": pictures.float32(self.data.restore(state.position)),
            "train_time_energy": pictures.float32(state.energy),
        }
        found = [
            *self._pictures(step),
            self._diagnostics(figures),
            *self.alarms.say(self._findings(health), final=True),
        ]
        return figures, found, arrays

    # ------------------------------------------------------------------ figures

    @property
    def _device(self) -> torch.device:
        return self.data.train.device

    def _health(self) -> dict[str, float]:
        """R-hat, effective sample sizes of all chains together, E-BFMI; what cannot be known yet,
        or has no meaning for this sampler, is left out."""
        method = self.method
        found: dict[str, float] = {}
        if method.account.hamiltonians is not None:
            found["e_bfmi"] = float(method.account.hamiltonians.figure())
        if method.kernel.anneals:
            effective = float(method.account.moments.effective)
            return {"bulk_ess": effective} if effective else {}
        if method.kernel.population or len(method.account.draws.draws) < 8:
            return {}
        draws = method.account.draws.stacked().double().cpu()
        moving = draws.flatten(0, 1).std(0) > 0
        if not draws.isfinite().all() or not moving.any():
            return found
        draws = draws[:, :, moving]
        share = method.config.num_chains / draws.shape[0]
        bulk = float(bulk_ess(draws).min())
        found["r_hat"] = float(r_hat(draws).max())
        found["bulk_ess"] = bulk * share
        found["tail_ess"] = float(tail_ess(draws).min()) * share
        between = method.account.draws.every * method.num_steps
        found["autocorrelation_time"] = draws.shape[0] * draws.shape[1] * between / bulk
        return found

    def _rates(self, health: dict[str, float]) -> dict[str, float]:
        """Effective sample size over each cost of the run so far, its warm-up included."""
        ess, spent = health.get("bulk_ess"), self.method.spent
        if ess is None:
            return {}
        found = {}
        if spent.gradients:
            found["sampler/ess_per_kilogradient"] = (
                1000 * ess / (spent.gradients * self.method.config.num_chains)
            )
        if spent.seconds > 0:
            found["sampler/ess_per_second"] = ess / spent.seconds
        if spent.joules:
            found["sampler/ess_per_joule"] = ess / spent.joules
        return found

    def _floors(self, health: dict[str, float]) -> dict[str, float]:
        """What as many independent draws as the chains are worth would miss the truth by."""
        ess, truth = health.get("bulk_ess", 0.0), self.method.truth
        if not ess > 0 or truth is None or "error/mean" not in self.method.account.errors:
            return {}
        return {"error/mean/floor": floor_of_mean(truth, ess)}

    def _quality(self, quality: Quality | None, step: int) -> dict[str, float]:
        if quality is None:
            return {}
        generator = generator_of("look", self.seed, step, 2, device=self._device)
        samples = self.method.train_time_samples(quality.num, generator)
        return {f"quality/{name}/train_time": value for name, value in quality.of(samples).items()}

    def _decide(self, health: dict[str, float]) -> None:
        """Tell the run that it may end, once what it was asked for is reached."""
        config, method = self.method.config, self.method
        if config.stop_at_ess and health.get("r_hat", 1.0) <= R_HAT_MIXED:
            ess = health.get("bulk_ess", 0.0)
            if ess >= config.stop_at_ess:
                method.done = (
                    f"Worth {ess:,.0f} independent draws; {config.stop_at_ess:,.0f} asked."
                )
        if config.stop_at_error and "error/mean" in method.account.errors:
            error = float(method.account.errors["error/mean"])
            ess = health.get("bulk_ess", 0.0)
            # one look may be near the truth by luck: the mean must be known so well, too
            known_to = 1 / math.sqrt(ess) if ess > 0 else math.inf
            if max(error, known_to) <= config.stop_at_error:
                method.done = (
                    f"The running mean is within {error:.2g} sd of the truth; "
                    f"{config.stop_at_error:g} was asked."
                )

    def _findings(self, health: dict[str, float]) -> list[alarms.Finding]:
        method, data = self.method, self.data
        position = method.state.position
        radius = float(data.train.flatten(1).norm(dim=1).max())
        found = [] if data.num_values is not None else alarms.runaway(position, radius)
        if method.account.modes is not None and bool(position.isfinite().all()):
            shares = method.truth.mode_weights if method.truth is not None else None
            found += alarms.missed_modes(data.restore(position), method.account.modes, shares)
        if "r_hat" in health:
            found += alarms.unmixed(health["r_hat"], "their worst coordinate")
        return found

    def _diagnostics(self, figures: dict[str, float]) -> Table:
        """`chains/diagnostics`: what there is to know of this sampler, and how to read it."""
        method = self.method
        kernel = method.kernel
        law = "exact: leaves the law in place" if kernel.exact else f"biased: {kernel.bias}"
        rows: list[list[Cell]] = [["sampler", type(kernel.config).title, law]]
        if kernel.compiler is not None:
            rows.append(["arithmetic", None, str(kernel.compiler.status)])
        rows += [
            [title, _plain(figures[path]), reading(figures[path])]
            for path, title, reading in _ROWS
            if path in figures
        ]
        errors = {path: float(value) for path, value in method.account.errors.items()} | figures
        rows += [
            [title, _plain(errors[path]), words] for path, title, words in _ERRORS if path in errors
        ]
        if method.truth is not None:
            rows.append(["truth", None, f"from {method.truth.source}"])
        return Table("chains/diagnostics", ["figure", "value", "reading"], rows)

    # ------------------------------------------------------------------ pictures

    def _landscapes(self) -> list[Event]:
        """The landscape as it is sampled, whenever its temperature is new."""
        temperature = self.method.kernel.temperature
        if self.grid is None or temperature == self._landscape_temperature:
            return []
        self._landscape_temperature = temperature
        energy: Energy = InUnits(self.method.target, self.data.mean, self.data.scale)
        points = self.grid.points(self._device)
        return [pictures.landscape("landscape/model", energy, self.grid, points, temperature)]

    def _trajectory(self) -> Trajectory:
        kept = slice(self.sizes.num_trails)
        trail = list(self.method.trail)
        path = torch.stack([state.position[kept] for state in trail])
        accepted = list(self.method.accepted)[-(len(trail) - 1) :] if len(trail) > 1 else []
        shown = torch.stack([each[kept] for each in accepted]) if accepted else None
        exact = self.method.kernel.exact and shown is not None
        return Trajectory(
            "chains/walk",
            pictures.float32(self.data.restore(path)),
            "train_time",
            pictures.float32(torch.stack([state.energy[kept] for state in trail])),
            shown.to(torch.uint8).cpu().numpy() if exact and shown is not None else None,
        )

    def _histogram(self, state: State) -> Event:
        num = self.sizes.num_energies
        if self._data_energies is None:
            self._data_energies = energies(self.method.target, self.data.held_out[:num])
        sets = {"data": self._data_energies, "train_time": state.energy[:num]}
        return pictures.histogram("energy/histogram", sets, self.sizes.num_bins)

    def _cloud(self, path: str, z: Tensor, role: str, energy: Tensor | None = None) -> Event | None:
        sizes = self.sizes
        return pictures.cloud(
            path, self.data, z, role, energy, num_dots=sizes.num_dots, num_cells=sizes.num_cells
        )

    def _pictures(self, step: int) -> list[Event]:
        state = self.method.state
        found: list[Event | None] = []
        if not self.data.is_image:
            found.append(
                self._cloud("samples/train_time", state.position, "train_time", state.energy)
            )
        if not self.method.warming_up:
            generator = generator_of("look", self.seed, step, 3, device=self._device)
            z = self.method.train_time_samples(self.sizes.num_dots, generator)
            found.append(self._cloud("samples/long_run", z, "long_run"))
        draws = self.method.account.draws.draws
        if len(draws) >= 8:
            rho = autocorrelation(self.method.account.draws.stacked()[:, :, 0].cpu())[:MOST_LAGS]
            between = self.method.account.draws.every * self.method.num_steps
            lags = torch.arange(len(rho)) * float(between)
            found.append(
                Curve(
                    "chains/autocorrelation",
                    pictures.float32(lags),
                    pictures.float32(rho)[None],
                    ["energy"],
                )
            )
        return [event for event in found if event is not None]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _said(words: str) -> Any:
    return lambda value: words


_ROWS: tuple[tuple[str, str, Any], ...] = (
    (
        "sampler/r_hat",
        "split R-hat, worst figure",
        lambda value: "mixed" if value <= R_HAT_MIXED else "chains differ: not mixed",
    ),
    ("sampler/bulk_ess", "bulk ESS, all chains", _said("independent draws they are worth")),
    ("sampler/tail_ess", "tail ESS, all chains", _said("for the 5 % and 95 % quantiles")),
    ("sampler/autocorrelation_time", "autocorrelation time", _said("sampler steps")),
    ("sampler/ess_per_kilogradient", "ESS per 1k gradients of a chain", _said("warm-up included")),
    ("sampler/ess_per_second", "ESS per second", _said("warm-up included")),
    ("sampler/ess_per_joule", "ESS per joule", _said("warm-up included")),
    (
        "sampler/e_bfmi",
        "E-BFMI",
        lambda value: "good" if value >= 0.3 else "momenta cannot follow the energy",
    ),
)
_ERRORS = (
    ("error/mean", "error of the mean", "target sd, worst coordinate"),
    ("error/mean/floor", "error of as many independent draws", "as its ESS, the median"),
    ("error/variance", "error of the variance", "ratio, worst coordinate"),
    ("error/energy", "error of the mean energy", "nats"),
    ("error/mode_weights", "error of the mode weights", "total variation"),
    ("error/functions", "error of the known functions", "their sd, the worst"),
    ("error/log_z", "error of log Z", "nats"),
)
