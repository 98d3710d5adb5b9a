"""Truth: what is known of a target, for samplers to be judged by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """Moments and normaliser of exp(-E), E the data's `density` or `target`, in the user's units.

    What is not known is None. Figures of a long run carry their standard errors.
    """

    source: str
    """"closed form", "quadrature", "enumeration", or "a run of ..." """
    mean: Tensor | None = None
    """(*event_shape) float64"""
    variance: Tensor | None = None
    """(*event_shape) float64"""
    log_z: float | None = None
    """log ∫ exp(-E(x)) dx, or log Σ; 0 for a normalised density"""
    mode_weights: Tensor | None = None
    """(num_modes,) float64, shares of the mass nearest to each of the data's `modes`"""
    mean_energy: float | None = None
    """E[E(x)], nats"""
    mean_error: Tensor | None = None
    """(*event_shape), standard error of `mean` where it comes from a long run"""
    variance_error: Tensor | None = None
    """(*event_shape), standard error of `variance` where it comes from a long run"""
