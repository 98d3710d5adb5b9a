"""The training benchmark: its plain loop learns, and every subject is measured in turn."""

from __future__ import annotations

import torch

from benchmarks import training
from benchmarks.training_work import Work, network, plain_update


def test_the_plain_loop_is_an_update_of_the_work_that_it_says() -> None:
    work = Work(num_steps=2, batch=16, buffer_size=64, num_data=64)
    figures = plain_update(work)()
    assert figures.shape == (4,) and figures.isfinite().all() and figures[3] > 0
    assert network(work)(torch.zeros(5, 2)).shape == (5, 1)


def test_basin_and_the_loop_do_the_same_work() -> None:
    """The preset that is measured has the benchmark's network, chains and averages."""
    method = training.basin_method(Work())
    config, work = method.config, Work()
    assert config.energy.width == work.width and config.energy.depth == work.depth
    assert config.sampler.step_size == work.step_size
    assert config.sampler.gradient_clip == work.gradient_clip
    assert (config.num_steps, config.buffer_size) == (work.num_steps, work.buffer_size)
    assert (config.reinit_rate, config.energy_l2) == (work.reinit_rate, work.energy_l2)
    assert config.data_noise == config.data_noise_end == work.data_noise
    assert config.train.batch_size == work.batch and config.train.ema_decay == work.ema_decay
    assert config.train.learning_rate == work.rate


def test_a_round_measures_all_that_are_here() -> None:
    report = training.run(1, 1, peers=False)
    assert [row.subject for row in report.results] == ["basin", "plain torch"]
    assert len(report.claims) == 1 and report.claims[0].value > 0
