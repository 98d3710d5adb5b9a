"""Groups of runs, and what lists show of each."""

from __future__ import annotations

import math

import pytest

from backend.spec import RunSpec
from jobs.records import groups, run_store, summary
from jobs.records.status import from_dict
from tests.jobs import tiny


def specs(num: int, **fields: object) -> list[RunSpec]:
    raw = {"method": "tiny", "data": {"name": "ring"}, **fields}
    return [RunSpec.model_validate({**raw, "seed": seed}) for seed in range(num)]


def test_runs_launched_together_are_one_group() -> None:
    tags = [groups.group_of(spec.tags) for spec in groups.grouped(specs(3, tags=["mine"]))]
    assert len(set(tags)) == 1 and tags[0].startswith("sweep:")
    again = groups.grouped(specs(3))
    assert groups.group_of(again[0].tags) != tags[0]


def test_a_group_of_a_recipe_stays_what_it_is() -> None:
    tagged = specs(2, tags=["reproduction:1"])
    assert groups.grouped(tagged) == tagged


def test_a_copy_launched_by_itself_leaves_the_group() -> None:
    (member, _) = groups.grouped(specs(2, tags=["mine"]))
    assert groups.grouped([member])[0].tags == ["mine"]


def test_no_run_gets_more_tags_than_it_may_have() -> None:
    full = specs(2, tags=[f"t{number}" for number in range(groups.MOST_TAGS)])
    for spec in groups.grouped(full):
        assert RunSpec.model_validate(spec.as_dict()).tags == full[0].tags


def test_a_persons_tags_change_apart_from_bookkeeping() -> None:
    tags = ["mine", "recipe:short_run", "race", "sweep:1"]
    assert groups.of_user(tags) == ["mine"]
    assert groups.with_user_tags(tags, ["other", "new"]) == [
        "other",
        "new",
        "recipe:short_run",
        "race",
        "sweep:1",
    ]


def test_settings_are_flat_and_plain() -> None:
    (spec,) = specs(1, config={"energy": {"kind": "mlp", "width": 64}, "betas": [0.9, 0.99]})
    assert summary.settings_of(spec) == {"energy": "mlp", "energy.width": 64, "betas": "0.9, 0.99"}
    run = run_store.create_run(spec)
    assert run_store.list_runs()[0].settings == summary.settings_of(spec)
    run.close()


def test_a_list_shows_the_settings_that_the_run_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)
    run = tiny.make(5)
    tiny.run(run)
    listed = run_store.list_runs()[0].settings
    assert listed == summary.settings_of(run.spec(), run.settings())
    assert listed["data.num"] == 200
    assert set(listed) > set(run.spec().config), "what presets and defaults gave is among them"


def test_figures_are_those_with_a_better_end_beside_floor_and_goal() -> None:
    metrics = {
        "quality/energy_distance/long_run": 0.02,
        "quality/energy_distance/floor": 0.01,
        "sampler/radius": 3.0,
        "quality/grid_kl": math.nan,
        "own/figure": 1.0,
    }
    assert summary.figures_of(metrics, ["own/figure"]) == {
        "own/figure": 1.0,
        "quality/energy_distance/long_run": 0.02,
        "quality/energy_distance/floor": 0.01,
    }


@pytest.mark.parametrize("num", [3, 1000])
def test_a_trend_is_short_and_keeps_its_order(num: int) -> None:
    trend = summary.Trend()
    for value in range(num):
        trend.add(value)
    trend.add(math.nan)
    values = trend.listed()
    assert min(num, summary.MOST_TREND // 2) <= len(values) <= summary.MOST_TREND
    assert values == sorted(values) and values[0] == 0


def test_settings_that_cannot_be_read_leave_the_rest() -> None:
    status = from_dict("r", {"status": "finished", "step": 3, "settings": {"a": []}})
    assert (status.step, status.settings) == (3, {}) and "settings" in status.damage
