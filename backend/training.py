"""Fitting weights, in one place: optimiser, schedule, gradient clipping, averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from backend.config import Config, option

Schedule = Literal["steps", "thirds", "cosine", "constant"]
Optimiser = Literal["adam", "sgd", "adamw", "normalised"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

_STEPS = {
    "steps": ((0.6, 1.0), (0.85, 0.1), (1.0, 0.03)),
    "thirds": ((0.6, 1.0), (0.85, 0.3), (1.0, 0.09)),
}
"""(share of the budget up to which it holds, factor) of schedules that fall in steps"""
_COSINE_END = 0.01


STEADY: dict[str, Any] = {"schedule": "cosine", "ema_decay": 0.998}
"""Fields of a TrainConfig for objectives of a known normaliser, whose noise the average takes."""

PREDICTING: dict[str, Any] = {
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "beta1": 0.9,
    "beta2": 0.99,
    "optimiser": "adamw",
    "weight_decay": 0.01,
}
"""Fields of a TrainConfig that predictors are fitted with, beside the size of their batches."""


class TrainConfig(Config):
    """Fitting of weights: the optimiser, its schedule, clipping and averaging."""

    optimiser: Optimiser = option(
        "adam",
        "Adam; Adam with weight decay apart from the gradient (AdamW); gradient descent; or "
        "descent along the gradient made to have norm 1.",
        group="Training",
    )
    learning_rate: float = option(
        1e-2,
        "The optimiser's step size at the start; 0 freezes the weights.",
        ge=0,
        le=10,
        main=True,
        log=True,
        turnable=True,
        group="Training",
    )
    schedule: Schedule = option(
        "steps",
        "How the learning rate falls over the budget: in steps (×0.1 at 60 %, ×0.03 at "
        "85 %) or smaller ones (thirds: ×0.3, ×0.09), by a cosine to a hundredth, or not at all.",
        group="Training",
    )
    batch_size: int = option(
        256, "Data points, and chains, of one update.", ge=1, le=65536, main=True, group="Training"
    )
    beta1: float = option(
        0.0,
        "Share of the gradient remembered from update to update; 0 suits samples that answer "
        "to every update.",
        ge=0,
        lt=1,
        group="Training",
    )
    beta2: float = option(
        0.999, "Adam's memory of the squared gradient.", ge=0, lt=1, group="Training"
    )
    momentum: float = option(
        0.0,
        "Classical momentum m of gradient descent, v ← m v + ∇: steps grow 1 / (1 − m) times as "
        "long where gradients agree. 0 leaves it to `beta1`, whose mean does not grow.",
        ge=0,
        lt=1,
        group="Training",
    )
    weight_decay: float = option(
        0.0,
        "Pull of every weight towards 0: w ← w − rate · decay · w with AdamW; with the others "
        "decay · w is added to the clipped gradient.",
        ge=0,
        le=10,
        log=True,
        turnable=True,
        group="Training",
    )
    gradient_clip: float = option(
        1.0,
        "Largest norm of the gradient in the weights; 0 leaves it as it is.",
        ge=0,
        le=1e6,
        turnable=True,
        group="Training",
    )
    ema_decay: float = option(
        0.0,
        "Share of the averaged weights kept at each update; the average is what is looked at "
        "and sampled, the latest weights are what is trained. 0 keeps no average.",
        ge=0,
        lt=1,
        group="Training",
    )

    warm_up_share: float = option(
        0.0,
        "Share of the budget over which the learning rate rises from zero in a straight line; "
        "large networks want a thousand updates or so.",
        ge=0,
        le=1,
        group="Training",
    )
    micro_batches: int = option(
        1,
        "Parts that a batch is fitted in, one after the other: more take less memory and give "
        "the same update.",
        ge=1,
        le=1024,
        group="Arithmetic",
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.ema_decay:
            num = 1 / (1 - self.ema_decay)
            notes["ema_decay"] = f"Averages about the last {num:,.0f} updates."
        if self.micro_batches > 1:
            most = math.ceil(self.batch_size / self.micro_batches)
            notes["micro_batches"] = f"Fits {most:,} data points at a time."
        if self.optimiser in ("adam", "adamw"):
            notes["momentum"] = "No effect: Adam's is `beta1`."
        else:
            notes["beta2"] = "No effect: only Adam remembers the squared gradient."
            if self.momentum:
                notes["beta1"] = "No effect beside `momentum`."
        if self.optimiser == "normalised":
            notes["gradient_clip"] = "No effect: every gradient is made to have norm 1."
        return notes


def scheduled(schedule: Schedule, progress: float, warm_up_share: float = 0.0) -> float:
    """The factor on the learning rate when `progress` in [0, 1] of the budget is used.

    >>> scheduled("steps", 0.5), scheduled("steps", 0.7), scheduled("steps", 0.9)
    (1.0, 0.1, 0.03)
    >>> scheduled("thirds", 0.7), scheduled("thirds", 1.0)
    (0.3, 0.09)
    >>> scheduled("constant", 0.01, warm_up_share=0.04)
    0.25
    """
    factor = min(progress / warm_up_share, 1.0) if warm_up_share else 1.0
    if schedule in _STEPS:
        parts = _STEPS[schedule]
        return factor * next((part for end, part in parts if progress < end), parts[-1][1])
    if schedule == "cosine":
        fallen = 0.5 * (1 + math.cos(math.pi * progress))
        return factor * (_COSINE_END + (1 - _COSINE_END) * fallen)
    return factor


def _optimiser(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimiser in ("adam", "adamw"):
        cls = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
        betas = (config.beta1, config.beta2)
        return cls(groups, lr=rate, betas=betas, weight_decay=decay, fused=True)
    # v ← β₁ v + (1 − β₁) ∇, a running mean as Adam's is, unless classical momentum is asked for
    momentum, dampening = (
        (config.momentum, 0.0) if config.momentum else (config.beta1, config.beta1)
    )
    return torch.optim.SGD(
        groups, lr=rate, momentum=momentum, dampening=dampening, weight_decay=decay
    )


class Fitter(Generic[ModuleT]):
    """An optimiser over a module's weights, and the average of them when one is kept.

    rates: factors on the learning rate by the name of a parameter, or of a module that holds some;
    of several names the longest counts. Raises ValueError for a name that the module has not.
    """

    def __init__(
        self, config: TrainConfig, module: ModuleT, rates: Mapping[str, float] | None = None
    ) -> None:
        self.config = config
        self.module = module
        groups = _groups(module, rates or {})
        self.factors = tuple(groups)
        """factors on the learning rate, one a parameter group"""
        weights: list[dict[str, Any]] = [{"params": group} for group in groups.values()]
        self.optimiser = _optimiser(config, weights)
        self.average: ModuleT | None = None
        if config.ema_decay:
            self.average = copy.deepcopy(module).requires_grad_(False)

    @property
    def weights(self) -> list[Tensor]:
        """Parameters that are fitted: the optimiser's own list, lest the state holds two."""
        return [weight for group in self.optimiser.param_groups for weight in group["params"]]

    @property
    def fitted(self) -> ModuleT:
        """The averaged module where one is kept, else the module itself."""
        return self.module if self.average is None else self.average

    def split(self, *batch: Tensor) -> Iterator[tuple[float, tuple[Tensor, ...]]]:
        """(share, parts): tensors of equal length (batch, ...) in `micro_batches` parts.

        For a loss that is a mean over the batch, the sum of share × loss(*parts) is that loss.
        """
        num = len(batch[0])
        num_parts = min(self.config.micro_batches, num)
        pieces = [tensor.tensor_split(num_parts) for tensor in batch]
        for parts in zip(*pieces, strict=True):
            yield len(parts[0]) / num, parts

    def fit(
        self, loss: Callable[..., Tensor], progress: float, *batch: Tensor
    ) -> dict[str, Tensor]:
        """One step down loss(*parts), a mean over rows (batch, ...), part by part.

        Returns it as `loss/total`, with what `update` returns.
        """
        total = torch.zeros((), device=batch[0].device)

        def losses() -> Iterator[Tensor]:
            for share, parts in self.split(*batch):
                error = share * loss(*parts)
                total.add_(error.detach())
                yield error

        fitted = self.update(losses(), progress)
        return {"loss/total": total, **fitted}

    def update(self, loss: Tensor | Iterable[Tensor], progress: float) -> Mapping[str, Tensor]:
        """One step down a loss (0-d), or down the sum of several.

        Several are taken one at a time, the graph of one gone before the next is made: give them as
        an iterator that makes each when it is asked for. Returns the gradient's norm before
        clipping and the rate. Nothing is copied to the host.
        """
        self.optimiser.zero_grad(set_to_none=True)
        for term in (loss,) if isinstance(loss, Tensor) else loss:
            term.backward()
        return self._step(progress)

    def descend(self, gradients: Sequence[Tensor], progress: float) -> Mapping[str, Tensor]:
        """One step along gradients of the module's parameters, in their order, as `update` makes
        it."""
        for weight, gradient in zip(self.module.parameters(), gradients, strict=True):
            weight.grad = gradient
        return self._step(progress)

    def _step(self, progress: float) -> Mapping[str, Tensor]:
        config = self.config
        rate = config.learning_rate * scheduled(config.schedule, progress, config.warm_up_share)
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            group["lr"], group["weight_decay"] = factor * rate, config.weight_decay
        weights = self.weights
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if config.optimiser == "normalised":
            torch._foreach_div_(gradients, norm.clamp(min=torch.finfo(norm.dtype).tiny))
        elif config.gradient_clip:
            nn.utils.clip_grads_with_norm_(weights, config.gradient_clip, norm, foreach=True)
        self.optimiser.step()
        self._average()
        return {
            "optimiser/gradient_norm": norm,
            "optimiser/learning_rate": torch.full((), rate, device=norm.device),
        }

    @torch.no_grad()
    def _average(self) -> None:
        if self.average is None:
            return
        averages: list[Tensor] = list(self.average.parameters())
        latest: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(averages, latest, 1 - self.config.ema_decay)
        buffers = zip(self.average.buffers(), self.module.buffers(), strict=True)
        for averaged, buffer in buffers:
            averaged.copy_(buffer)


def _groups(module: nn.Module, rates: Mapping[str, float]) -> dict[float, list[nn.Parameter]]:
    """The weights of a module by the factor on their learning rate."""
    if not rates:
        return {1.0: list(module.parameters())}
    named = dict(module.named_parameters())
    if unknown := [name for name in rates if not any(_within(each, name) for each in named)]:
        raise ValueError(f"there is no parameter {unknown[0]!r} among {', '.join(named)}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in named.items():
        holder = max((part for part in rates if _within(name, part)), key=len, default="")
        groups.setdefault(rates.get(holder, 1.0), []).append(weight)
    return groups


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
