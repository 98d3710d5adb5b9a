"""Telling data from noise of a known density."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class NoiseContrast(NamedTuple):
    """A loss to go down, and how well the two are told apart; both 0-d."""

    loss: Tensor
    accuracy: Tensor
    """share of data and of noise called what they are, each counting half; ½ is chance"""


def logistic(log_ratio_data: Tensor, log_ratio_noise: Tensor, noise_ratio: float) -> NoiseContrast:
    """−E_data log σ(r − log ν) − ν E_noise log σ(log ν − r), with r = log p_model − log q.

    ν is the number of noise points for each of data. Least where r is the log-ratio of the true
    densities, the model's normaliser included. log_ratio_data (num,), log_ratio_noise (ν num,).
    Gutmann & Hyvärinen 2010.
    """
    shift = log_ratio_data.new_tensor(noise_ratio).log()
    on_data, on_noise = log_ratio_data - shift, log_ratio_noise - shift
    loss = F.softplus(-on_data).mean() + noise_ratio * F.softplus(on_noise).mean()
    return NoiseContrast(loss, _accuracy(log_ratio_data, log_ratio_noise))


def exponential(log_ratio_data: Tensor, log_ratio_noise: Tensor) -> NoiseContrast:
    """log (½ E_data exp(−r/2) + ½ E_noise exp(r/2)), with r = log p_model − log q.

    Least, as its exponential is, where r is the true log-ratio. In the logarithm nothing
    overflows where the two lie far apart, and the gradient has a size to go by; a small batch
    biases it, as it does every logarithm of a mean. Single points weigh more than in the logistic
    loss, and its landscape is less flat. Liu et al. 2021.
    """
    parts = [_log_mean_exp(-0.5 * log_ratio_data), _log_mean_exp(0.5 * log_ratio_noise)]
    loss = torch.logaddexp(*parts) - math.log(2)
    return NoiseContrast(loss, _accuracy(log_ratio_data, log_ratio_noise))


def _log_mean_exp(x: Tensor) -> Tensor:
    return x.logsumexp(0) - math.log(len(x))


def _accuracy(on_data: Tensor, on_noise: Tensor) -> Tensor:
    return 0.5 * ((on_data > 0).float().mean() + (on_noise <= 0).float().mean())
