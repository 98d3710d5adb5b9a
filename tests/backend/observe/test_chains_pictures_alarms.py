"""The parts of observation: chains that are run, pictures, alarms."""

from __future__ import annotations

import math

import pytest
import torch

from backend.data import Data
from backend.energies.closed_form import Gaussian
from backend.events import (
    Finding,
    Histogram,
    Standing,
    Text,
)
from backend.observe import pictures
from backend.observe.alarms import (
    MIXED,
    Alarms,
    flattery,
    missed_modes,
    runaway,
    stuck,
    unmixed,
)
from backend.observe.chains import diagnose, run_chains
from backend.randomness import generator_of
from tests.backend.small_method import SmallLangevin, SmallLangevinConfig


def test_the_trajectory_is_the_path_taken() -> None:
    energy = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = SmallLangevin(SmallLangevinConfig())
    start = torch.randn((8, 2), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 5, generator_of(1), keep_last=5)
    state, generator = sampler.init(start, energy, generator_of(1)), generator_of(1)
    for position, value in zip(chains.path, chains.energies, strict=True):
        assert torch.equal(position, state.position) and torch.equal(value, state.energy)
        state, _ = sampler.step(state, energy, generator)
    assert len(chains.path) == 6 and len(chains.accepted) == 5
    assert chains.gradient_evaluations == 6


def test_drift_over_noise() -> None:
    """For a unit Gaussian in equilibrium: a·|x| over √(2a)·|ξ|, that is √(a / 2)."""
    step = 0.02
    energy = Gaussian(torch.zeros(3), torch.eye(3))
    sampler = SmallLangevin(SmallLangevinConfig(step_size=step))
    start = torch.randn((2000, 3), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 40, generator_of(1), keep_last=40)
    assert chains.gradient_to_noise == pytest.approx(math.sqrt(step / 2), rel=0.05)


def test_diagnose_looks_at_the_energy_and_every_coordinate() -> None:
    energy = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = SmallLangevin(SmallLangevinConfig(step_size=0.3))
    start = torch.randn((32, 2), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 500, generator_of(1), keep_last=400)
    good = diagnose(chains)
    assert good.r_hat < 1.05 and good.bulk_ess > 200
    # chains that stay on their own side have one energy and two places
    for position in chains.path:
        position[:16, 1] += 20
    apart = diagnose(chains)
    assert apart.r_hat > 1.5 and apart.r_hat_energy == good.r_hat_energy
    chains.path[0][0, 0] = math.nan
    assert math.isnan(diagnose(chains).r_hat)


def test_histogram_counts_everything() -> None:
    sets = {
        "data": torch.linspace(0, 1, 100),
        "noise": torch.cat([torch.full((50,), 1e9), torch.tensor([math.nan, math.inf])]),
    }
    event = pictures.histogram("energy/histogram", sets, 10)
    assert isinstance(event, Histogram)
    assert event.names == ["data", "noise"] and event.edges.shape == (11,)
    assert event.edges[-1] == pytest.approx(0.995, abs=0.01), "noise stretches no axis"
    assert event.clipped[1].tolist() == [0, 52] and event.counts[1].sum() == 0
    inside = event.counts[0].sum() * 100
    assert inside + event.clipped[0].sum() == pytest.approx(100)
    same = pictures.histogram("h", {"data": torch.ones(5), "noise": torch.ones(5)}, 4)
    assert same.counts.sum() == pytest.approx(2)


def test_a_tail_of_samples_leaves_the_data_their_bins() -> None:
    data = torch.linspace(0, 1, 1000)
    tail = torch.cat([torch.linspace(0, 2, 950), torch.full((50,), 100.0)])
    event = pictures.histogram("energy/histogram", {"data": data, "long_run": tail}, 60)
    assert event.edges[-1] == pytest.approx(1 + 2 * 0.99, abs=0.02)
    assert (event.counts[0] > 0).sum() >= 20, "data fill a third of the bins"
    assert event.clipped[1][1] == 50
    apart = pictures.histogram("energy/histogram", {"data": data, "long_run": tail + 30}, 60)
    assert apart.edges[-1] == pytest.approx(32, abs=0.3), "most of a set is always drawn"


def test_view_is_square_unless_units_differ() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 1.0]])

    def data(scale: list[float]) -> Data:
        unit = torch.ones(2)
        return Data("x", "x", x, x, 0 * unit, torch.tensor(scale), -unit, unit)

    assert pictures.view_of(data([1.0, 1.0])) == (
        pytest.approx((-0.4, 2.4)),
        pytest.approx((-0.9, 1.9)),
    )
    left, _ = pictures.view_of(data([1.0, 1000.0])) or ((0, 0), (0, 0))
    assert left == pytest.approx((-0.4, 2.4))


def test_alarms_are_said_once_when_they_last_and_follow_the_latest_look() -> None:
    alarms = Alarms()
    looks = [[Finding("x", "warning", f"A thing, {figure}. More.")] for figure in range(5)]
    first, second, third, missed, again = (
        alarms.say(look) for look in (looks[0], looks[1], looks[2], [], looks[4])
    )
    assert first == [] and missed == []  # once is no change
    assert second == [Text("alarm/x", "A thing, 1. More.", "warning")]
    assert third == [Standing("alarm/x", "A thing, 2. More.", "warning")]
    assert again == [Standing("alarm/x", "A thing, 4. More.", "warning")]
    assert alarms.say([]) == []
    assert alarms.say([]) == [Text("alarm/x", "No longer so: A thing, 4.", "info")]
    assert alarms.say([]) == []


def test_at_the_end_once_is_enough() -> None:
    finding = [Finding("x", "warning", "A thing.")]
    alarms = Alarms()
    assert [type(event) for event in alarms.say(finding, final=True)] == [Text]
    assert [type(event) for event in alarms.say(finding, final=True)] == [Standing]
    assert [event.path for event in alarms.say([], final=True)] == ["alarm/x"]


def test_an_alarm_whose_level_changes_is_said_anew() -> None:
    alarms = Alarms(patience=1)
    events = [alarms.say([Finding("x", level, "A thing.")]) for level in ("info", "alarm", "alarm")]
    assert [type(event) for (event,) in events] == [Text, Text, Standing]


def test_mixing_is_judged_late_in_training_and_running_away_at_once() -> None:
    alarms = Alarms(patience=1)
    findings = [Finding("mixing", "warning", "Not mixed."), Finding("runaway", "alarm", "Gone.")]
    early = alarms.say(findings, share_spent=0.07)
    assert [event.path for event in early] == ["alarm/runaway"]
    late = alarms.say(findings, share_spent=0.8)
    assert [(event.path, type(event)) for event in late] == [
        ("alarm/mixing", Text),
        ("alarm/runaway", Standing),
    ]


def test_what_a_short_try_could_not_reach_is_no_alarm_of_it() -> None:
    findings = [Finding(name, "alarm", "So it is.") for name in ("density", "mixing", "runaway")]
    events = Alarms(is_short=True).say(findings, final=True)
    assert [event.level for event in events if isinstance(event, Text)] == ["info", "info", "alarm"]


def test_each_alarm_has_its_condition() -> None:
    assert flattery(0.002, 0.04, 0.004) and not flattery(0.002, 0.01, 0.004)
    assert not flattery(0.02, 0.04, 0.004)
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    near = torch.zeros(100, 2)
    assert "visit 1 of 2 modes" in missed_modes(near, modes)[0].message
    near[:40, 0] = 4
    assert not missed_modes(near, modes)
    assert stuck(0.01, 1.0) and stuck(1.0, 1e-5) and not stuck(0.6, 0.5)
    assert unmixed(1.5, "x") and not unmixed(MIXED, "x") and not unmixed(math.nan, "x")
    far = torch.zeros(100, 2)
    assert not runaway(far, 3.0)
    far[:5] = math.nan
    far[5:10] = 1e4
    assert "10 of 100" in runaway(far, 3.0)[0].message


def test_a_relapse_is_against_the_best_so_far() -> None:
    alarms = Alarms()
    distances = [0.9, 0.01, 0.04, 0.06, 0.2, math.nan]
    said = [alarms.relapse(value, step) for step, value in enumerate(distances)]
    assert [len(found) for found in said] == [0, 0, 0, 1, 1, 0]
    assert "it was 0.01 at step 1" in said[4][0].message
