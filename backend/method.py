"""Method: one trainable system in one file.

A subclass in `backend/methods/` is all it takes: its Config becomes the form, the CLI, the docs
and the validation; the loop in `jobs/execution/loop.py` seeds, steps, watches, checkpoints and
resumes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from backend.config import (
    Config,
    check_turn,
    parts_changed,
    turnable,
    value_of,
    with_turned,
)
from backend.data import Data
from backend.energy import Energy
from backend.errors import BadInput, NotAvailable, Problem
from backend.events import Cost, Event, Finding
from backend.metric_names import Figure
from backend.metrics.concepts import ConceptAnswer
from backend.metrics.quality import Quality
from backend.sampler import Sampler
from backend.spec import Budget


@dataclass(frozen=True)
class Preset:
    """A named set of defaults that a method declares: config fields over the Config's own."""

    summary: str
    config: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=lambda: Budget(steps=3000))
    wants_gpu: bool = False
    """hours on a CPU: tests take its first steps alone, and forms say so"""
    data: dict[str, Any] | None = None
    """the data it is made for, as a RunSpec's `data`: taken where none are named; None suits all"""


@dataclass(frozen=True)
class Task:
    """Everything a method is given to set itself up."""

    data: Data
    """already on the device"""
    device: torch.device
    generator: torch.Generator
    """on the device; the only source of randomness in set-up and training"""
    precision: torch.dtype = torch.float32
    load_energy: Callable[[str], Energy] | None = None
    """a trained run's energy, of positions in the user's units, by run id"""


@dataclass(frozen=True)
class Start:
    """Start of the method's training chains, which the walking chains on the page replay."""

    positions: Tensor
    """(num, *event_shape), standardised"""
    persistent: bool
    """True when chains live on between updates, False when every update starts them anew"""
    num_steps: int
    """sampler steps per update"""


@dataclass(frozen=True)
class SampleRequest:
    """Request for samples of a trained method. A field that is None is the method's own."""

    num: int
    labels: Tensor | None = None
    """(num,) int64, the class asked of each sample, NO_LABEL for none"""
    guidance: float = 0.0
    """w of (1 + w) f(x | label) − w f(x): 0 is the conditional distribution itself"""
    mixture: tuple[tuple[int, float], ...] = ()
    """(label, weight) of conditions composed: f(x) + Σ weight (f(x | label) − f(x)), in place of
    `labels`"""
    known: Tensor | None = None
    """(num, *event_shape) standardised: what is given, where `mask` is True"""
    mask: Tensor | None = None
    """(*event_shape) bool"""
    num_steps: int | None = None
    """sampler steps; of methods that go down a ladder of noise, at each level"""
    sampler: Sampler | None = None
    start: Tensor | None = None
    """(num, *event_shape) where chains start, else noise"""
    time: float | None = None
    """how long to flow, for methods with a time of their own"""
    given: Mapping[str, Tensor] = field(default_factory=dict)
    """(num, ...) by name: what is known of each sample beside x, such as its `context`"""

    def rows(self, index: Tensor) -> SampleRequest:
        """The request of the samples at `index` (num,) bool or int64 alone; `mixture` and `mask`
        are of all samples and stay."""
        chosen = {
            name: value[index]
            for name in ("labels", "known", "start")
            if (value := getattr(self, name)) is not None
        }
        given = {name: value[index] for name, value in self.given.items()}
        num = int(index.sum()) if index.dtype == torch.bool else len(index)
        return replace(self, num=num, given=given, **chosen)


class Method(ABC):
    """Base of every method.

    `__init__(config, task)` sets up; then the loop calls `step`. All tensors, modules, optimisers
    and generators kept as attributes are saved and restored by the loop as they are, so a method
    holds only the mathematics. Keep schedules functions of `progress`, never of counters.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    """one or two sentences"""
    references: ClassVar[str]
    """authors and years, such as "Hinton 2002; Tieleman 2008" """
    url: ClassVar[str] = ""
    Config: ClassVar[type[Config]]
    presets: ClassVar[dict[str, Preset]]
    """must hold `default`"""
    purpose: ClassVar[str] = ""
    """what it is for, `learn`, `classify`, `cluster`, `predict` or `sample`; "" where that follows
    from what it needs and observes"""
    headline: ClassVar[tuple[str, ...]] = (
        "quality/grid_kl",
        "density/log_likelihood",
        "quality/energy_distance",
        "energy/gap",
        "optimiser/gradient_norm",
    )
    """the charts drawn first; those without data give way to the next ones"""
    figures: ClassVar[dict[str, Figure]] = {}
    """titles and units of scalar paths of its own"""
    needs: ClassVar[tuple[str, ...]] = ()
    """names of `Data.given` that training takes and that every sample must be asked with; a method
    with a `context` predicts: its draws are what it expects where that context is given"""
    learns_from: ClassVar[tuple[str, ...]] = ()
    """names of `Data.given` that training takes and that nobody is asked for afterwards"""
    trains: bool = True
    """False for methods that only sample. Of a class, or of an object whose settings fit nothing"""
    is_asked: ClassVar[bool] = True
    """False where a run makes nothing of its own that abilities could be asked of"""
    draws: ClassVar[bool] = True
    """False where nothing of positions is modelled, but what follows from them: no sample can be
    asked for, and `no_energy` says what can"""
    has_energy: ClassVar[bool] = False
    """True where `energy` is defined; follows from that"""
    not_a_density: str = ""
    """sentence on why `energy` is not that of the data's density however well it is trained, said
    wherever it is asked as if it were; "" where training makes it one. Of a class or an object"""
    data_noise_field: ClassVar[str] = ""
    """field of the Config with the standard deviation, in data sd, of the noise that data carry
    when training ends: the energy is then that of blurred data; "" where they carry none"""
    follows_gradient: ClassVar[bool] = True
    """True where every step evaluates ∇E in x, which `gradient_evaluations` counts"""
    takes_real: ClassVar[bool] = True
    """True where events may be of real numbers"""
    takes_discrete: ClassVar[bool] = False
    """True where events may be of the values 0, 1, ... q - 1"""
    has_time: ClassVar[bool] = False
    """True where samples can be requested at a `time` of the method's own"""
    observers: ClassVar[tuple[str, ...]] = (
        "data",
        "quality",
        "ground_truth",
        "log_likelihood",
        "landscape",
        "walking_chains",
        "energy_histogram",
        "parameter_errors",
        "normaliser",
        "long_run",
        "samples",
        "principal_axes",
        "chain_diagnostics",
        "final_quality",
        "energy_alarms",
        "own_events",
    )
    """ids of what observes it, from `backend/observers/`, in this order; those of an energy of
    positions unless it names others. What needs an energy is left out where there is none."""

    gradient_evaluations: int = 0
    """∇E evaluations in x so far, each over a batch; `step` adds to it, the loop reads it"""
    spent: Cost = Cost()
    """what the run has cost when it was last looked at; the loop sets it"""
    share_spent: float = 1.0
    """share of the budget that this is, 0 to 1; the loop sets it"""
    gradient_limit: int | None = None
    """`gradient_evaluations` at which the budget ends; the loop sets it. A step of several parts
    starts none that does not fit, where it can know."""
    is_over: Callable[[], bool] | None = None
    """asks whether the budget is used by now; the loop sets it, and a step of several parts ends
    after the part that used it"""
    done: str = ""
    """set, to a sentence, when the run has what it was started for; the loop then ends it"""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.has_energy = cls.energy is not Method.energy

    def __init__(self, config: Any, task: Task) -> None:
        self.config = config
        self.task = task
        self.generator = task.generator
        self.turned: dict[str, float] = {}
        """what was turned since the launch, by dotted field; part of the state"""
        self.num_turns = 0
        """turns taken since the launch"""

    @classmethod
    def fits(cls, data: Data) -> str:
        """The reason why events of such numbers cannot be taken; "" when they can."""
        if data.num_values is not None and not cls.takes_discrete:
            return (
                "holds whole numbers, and this method moves through real ones. Choose other data, "
                "or `sampling`."
            )
        if data.num_values is None and not cls.takes_real:
            own = cls.presets["default"].data
            choice = f"`{own['name']}`" if own else "other data"
            return f"holds real numbers, and this method takes whole ones. Choose {choice}."
        return ""

    @classmethod
    def problems(cls, config: Any, data: Data) -> Iterable[tuple[str, str]]:
        """(field, sentence) for everything about this config that does not fit this data.

        Only what is special: `requests.fitting` asks `fits` of the method and of every part of the
        Config by itself. Cheap: no training, no network built.
        """
        return ()

    @abstractmethod
    def step(self, progress: float) -> dict[str, Tensor]:
        """One optimiser step. `progress` in [0, 1) is the fraction of the budget used.

        Returns 0-d tensors on the device by event path, the same paths at every step:
        `loss/total` and, with chains, `energy/data`, `energy/model`, `energy/gap` and
        `energy/max` (largest |E|), `sampler/radius` (largest chain norm in data sd). The loop's
        guard ends the run when one of these leaves its bound. No `.item()`, no I/O, no printing.
        """

    def decide(self) -> None:
        """Change what the host goes by, such as the length of a walk, by numbers of earlier steps.

        Called before every step; draws nothing. It may wait for a copy that it began a step before
        (`backend.system.host_copy`), since the device has the last step to work on meanwhile.
        """
        return

    def advance(self, progress: float) -> dict[str, Tensor]:
        """Decide, then take one step: what the loop calls."""
        self.decide()
        return self.step(progress)

    def energy(self) -> Energy:
        """The trained energy of standardised positions, for looking and sampling (EMA if kept).

        Raises NotAvailable where the method has none; `has_energy` tells beforehand.
        """
        raise NotAvailable(self.no_energy())

    @classmethod
    def no_energy(cls) -> str:
        """The sentence for whoever asks a method without `has_energy` for one."""
        return f"{cls.title} fits no energy of positions, so nothing can be said of one."

    def class_log_probs(self, x: Tensor) -> Tensor | None:
        """log p(label | x), (batch, num_labels), of standardised positions x (batch,
        *event_shape), with a graph where x wants its gradient; None for methods that tell no
        classes apart."""
        return None

    def cluster_log_probs(self, x: Tensor) -> Tensor | None:
        """log p(cluster | x), (batch, num_clusters), of standardised positions x (batch,
        *event_shape), of methods that put events into clusters without being given any: the
        numbers of clusters mean nothing. None for methods that do not."""
        return None

    def concepts_and_class(self, x: Tensor, known: Tensor | None = None) -> ConceptAnswer | None:
        """Concepts and class of standardised positions x (batch, *event_shape) where some concepts
        are known: (batch, num_concepts) of 0 or 1, NaN where one is not. None for methods that know
        no concepts."""
        return None

    def larger_log_probs(self, x: Tensor) -> Tensor | None:
        """log p(label | x), as `class_log_probs`, of a larger model that the method fits beside the
        one whose `energy` it has, to answer where that one is unsure; None without one."""
        return None

    def sampler(self) -> Sampler | None:
        """The sampler used in training, or None; the page's walking chains use it."""
        return None

    def start(self, num: int, generator: torch.Generator) -> Start | None:
        """Start of `num` training chains as of now, without touching them; None without any."""
        return None

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        """`num` samples as training sees them, standardised; None where training draws none."""
        return None

    @property
    def noise_at_end(self) -> float:
        """Standard deviation, in data sd, of the noise on the data when training ends."""
        return float(getattr(self.config, self.data_noise_field, 0.0))

    @property
    def num_labels(self) -> int:
        """Classes that samples, or probabilities, can be asked of; 0 for methods without any."""
        return 0

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        """(field, sentence) about what this method in particular cannot draw as requested.

        Ask `conditional_sampling.refusal`, which knows too what no method without classes, or
        without a time, can draw.
        """
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """Samples (num, *event_shape), standardised, drawn in a way of the method's own by the
        trained (averaged) weights; None where it has none for such a request.

        Call `conditional_sampling.draw`, which refuses what cannot be drawn and runs chains on
        `energy()` where the method draws nothing.
        """
        return None

    def conditional_energy(self, label: int) -> Energy:
        """The energy of one class, for methods with `num_labels`."""
        raise NotImplementedError(f"{type(self).__name__} has no conditions")

    def log_z(self) -> Tensor | None:
        """The estimate of log ∫ exp(−E(z)) dz that training keeps of `energy()`, over standardised
        positions, 0-d; None where it keeps none. Whoever keeps one says it in `step` too, as
        `log_z/estimate`."""
        return None

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        """Figures of the method's own by path, for the final evaluation, beside the Scalars of
        `observe`; `quality` holds the held-out data that samples are compared with, and how
        many."""
        return {}

    # ------------------------------------------------------------------ settings in flight

    def turn(self, settings: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Take other values of turnable fields from the next step on; the values before and after,
        by field.

        Raises BadInput for a field that cannot be turned or a value that it cannot have.
        """
        config: Config = with_turned(self.config, settings)
        problems = type(self).problems(config, self.task.data)
        if misfits := [Problem(field, sentence) for field, sentence in problems]:
            raise BadInput(*misfits)
        fields = {
            name: (self.setting(name), value_of(config, name))
            for name in check_turn(turnable(self.config), settings)
        }
        self.take(config)
        self.turned = {**self.turned, **{name: new for name, (_, new) in fields.items()}}
        self.num_turns += 1
        self.after_turn(frozenset(fields))
        return fields

    def take_turned(self) -> None:
        """Put in force what the state says was turned: a restored method is made of the spec."""
        if self.turned:
            self.take(with_turned(self.config, self.turned))

    def take(self, config: Any) -> None:
        """Go by another Config, of which turnable fields alone differ, with the parts that hold a
        part of it as their `config`. Override it where one holds something else."""
        parts = {id(old): new for old, new in parts_changed(self.config, config)}
        self.config = config
        for part in vars(self).values():
            new = parts.get(id(getattr(part, "config", None)))
            if new is not None:
                part.config = new

    def setting(self, field: str) -> float:
        """The value of a turnable field that is in force. Override it for what is tuned besides."""
        return value_of(self.config, field)

    def after_turn(self, fields: frozenset[str]) -> None:
        """Change the state as far as a turn of these fields asks for it."""
        return

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Events of the method's own, beyond what every energy shows. Must not change training."""
        return ()

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        """Findings now, beyond what every energy can suffer from; said when they last."""
        return ()

    def modules(self) -> Iterable[nn.Module]:
        """Every module kept as an attribute; the loop switches them to evaluation to look."""
        return (value for value in vars(self).values() if isinstance(value, nn.Module))
