"""The training benchmark: its plain loop learns, and every subject is measured in turn."""

from __future__ import annotations

import torch

from backend.spec import RunSpec
from benchmarks import training
from benchmarks.report import Report
from benchmarks.training_text import Energy, TextWork, plain_text_update
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


def test_the_loop_of_text_is_the_work_of_the_preset() -> None:
    """As many weights, of the same sizes, fitted alike on as much text."""
    method, work = training.made(RunSpec(method="energy_text", data={"name": "text"})), TextWork()
    config, data = method.config, method.task.data
    assert (config.width, config.depth, config.num_heads) == (work.width, work.depth, 4)
    assert (data.num_values, data.event_shape[0]) == (work.num_values, work.length)
    assert len(data.train) == work.num_data
    assert (config.num_inner_steps, config.unrolled) == (work.num_steps, False)
    assert (config.step_size, config.step_rate) == (work.step_size, work.step_rate)
    assert config.start_noise == work.start_noise
    assert (config.train.batch_size, config.train.learning_rate) == (work.batch, work.rate)
    own, plain = ([w.numel() for w in m.parameters()] for m in (method.fitter.module, Energy(work)))
    assert sorted(own) == sorted(plain)
    small = TextWork(length=8, width=8, batch=4, num_data=16)
    update = plain_text_update(small)
    losses = [float(update()) for _ in range(60)]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_the_loop_of_text_is_measured_beside_basin() -> None:
    report = Report("training")
    training.add_text(report, 1, 1)
    assert [row.subject for row in report.results] == ["basin", "plain torch"]
    assert report.claims[0].value is not None and report.claims[0].value > 0
