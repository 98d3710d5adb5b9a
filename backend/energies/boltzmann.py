"""A restricted Boltzmann machine that is fitted: the weights of an `rbm.RBM`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from backend.config import KindConfig, option
from backend.data import Data
from backend.energies import Condition, NetworkEnergy
from backend.energies.rbm import RBM
from backend.metrics.sites import site_log_probs
from backend.networks import row_sharing

WEIGHT_SD = 0.1
"""Of the weights at the start: hidden bits begin nearly free, and apart from one another."""


class BoltzmannConfig(KindConfig):
    kind: Literal["rbm"] = "rbm"
    title: ClassVar[str] = "Restricted Boltzmann machine"
    summary: ClassVar[str] = (
        "Bits tied by hidden ones: block Gibbs draws it, and up to 20 hidden bits its likelihood "
        "is exact."
    )

    num_hidden: int = option(14, "Hidden bits.", ge=1, le=4096, main=True, group="Energy")


class Boltzmann(NetworkEnergy):
    """E(v) = -a·v - Σ_j softplus(c_j + (v W)_j) of bits v of any shape; a begins at the log odds of
    the data's bits. Smolensky 1986; Hinton 2002."""

    Config: ClassVar[type[KindConfig]] = BoltzmannConfig

    def __init__(
        self,
        config: BoltzmannConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        num_visible, device = event_shape.numel(), generator.device
        shape = (num_visible, config.num_hidden)
        weights = WEIGHT_SD * torch.randn(shape, generator=generator, device=device)
        self.weights = nn.Parameter(weights)
        self.visible_bias = nn.Parameter(torch.zeros(num_visible, device=device))
        self.hidden_bias = nn.Parameter(torch.zeros(config.num_hidden, device=device))

    def begin_at(self, data: Data) -> None:
        off, on = site_log_probs(data).flatten(0, -2).unbind(1)
        with torch.no_grad():
            self.visible_bias.copy_(on - off)

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        bits = 0.5 * (x.flatten(1) + 1)
        energies: Tensor = FreeEnergy.apply(bits, self.weights, self.visible_bias, self.hidden_bias)
        return energies[:, None]

    def pullback(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor]]] | None:
        """That of FreeEnergy, of bits x without their code and without autograd's bookkeeping,
        which takes longer than the arithmetic of a small batch."""
        plain = self.tilt is None and self.num_outputs == 1 and self.precision is torch.float32
        if self.num_values != 2 or not plain or row_sharing.is_sharing():
            return None
        v = x.flatten(1)
        inputs = torch.addmm(self.hidden_bias, v, self.weights)
        values = -torch.addmv(softplus(inputs).sum(1), v, self.visible_bias)

        def pulled_back(slopes: Tensor) -> list[Tensor]:
            hidden = inputs.sigmoid_().mul_(-slopes[:, None])
            return [v.T @ hidden, -(slopes @ v), hidden.sum(0)]

        return values, pulled_back

    def over_values(self, event_shape: torch.Size, num_values: int) -> RBM:
        weights, visible_bias = self.weights.detach(), self.visible_bias.detach()
        return RBM(weights, visible_bias, self.hidden_bias.detach(), event_shape)

    @classmethod
    def stand_in(cls, event_shape: torch.Size, num_values: int) -> RBM | None:
        num = event_shape.numel()
        if num_values != 2:
            return None
        return RBM(torch.zeros(num, 1), torch.zeros(num), torch.zeros(1), event_shape)

    @classmethod
    def fits_values(cls, num_values: int | None) -> str:
        if num_values == 2:
            return ""
        of = "real numbers" if num_values is None else f"{num_values} values"
        return f"takes bits, and these data hold {of}. Use `mlp`."


class FreeEnergy(torch.autograd.Function):
    """-a·v - Σ_j softplus(c_j + (v W)_j), (batch,), with its gradients in closed form: in W that is
    -vᵀ σ(c + v W), so that data less model gives the update of contrastive divergence."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, weights: Tensor, visible_bias: Tensor, hidden_bias: Tensor
    ) -> Tensor:
        inputs = torch.addmm(hidden_bias, v, weights)
        ctx.save_for_backward(v, weights, visible_bias, inputs)
        return -(v @ visible_bias) - softplus(inputs).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        v, weights, visible_bias, inputs = ctx.saved_tensors
        hidden = inputs.sigmoid() * -slope[:, None]
        of_v = None
        if ctx.needs_input_grad[0]:
            of_v = hidden @ weights.T - slope[:, None] * visible_bias
        return of_v, v.T @ hidden, -(slope @ v), hidden.sum(0)
