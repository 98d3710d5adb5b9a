"""Sizes of what is observed while a run trains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of what is observed; those of images are of other wide events too (`is_large`).

    On one CPU core, for an MLP of 3 layers of 64 on points, `watch` takes about 12 ms, `measure`
    0.5 s and `evaluate` 6 s.
    """

    field: int = 128
    num_nodes: int = 30_000
    """energies that a held-out log-likelihood takes while training, about"""
    num_nodes_evaluated: int = 200_000
    image_num_annealed: int = 16_000
    """gradients that a held-out log-likelihood of images takes while training, about"""
    image_num_annealed_evaluated: int = 100_000
    num_levels: int = 100
    """levels of annealing of whole numbers while training, one or two gradients each"""
    num_levels_evaluated: int = 1000
    num_walkers: int = 128
    num_trails: int = 32
    trail: int = 24
    num_dots: int = 500
    slice: int = 48
    """energies along each side of a slice through more than two dimensions"""
    image_slice: int = 24
    num_cells: int = 64
    num_energies: int = 512
    num_bins: int = 60
    num_measured: int = 512
    num_evaluated: int = 3000
    long_run_steps: int = 1000
    image_num_measured: int = 128
    image_num_evaluated: int = 500
    image_measured_steps: int = 100
    image_long_run_steps: int = 2000
    num_diagnosed: int = 64
    """chains whose R-hat and effective sample size are taken, over the second half of the run"""
    num_draws: int = 250
    """draws a chain kept for that"""
