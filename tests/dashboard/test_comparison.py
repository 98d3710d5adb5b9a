"""Comparing runs: groups of seeds, differences, figures, rounding; against truth made by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from backend.spec import RunSpec
from dashboard import comparison
from jobs.records import run_store
from jobs.records.requests import Turn


def run(seed: int = 0, metrics: dict[str, float] | None = None, **spec: Any) -> str:
    given = {"method": "contrastive_divergence", "data": {"name": "ring"}, **spec}
    directory = run_store.create_run(RunSpec(seed=seed, **given))
    if metrics:
        directory.write_metrics(metrics)
        directory.write_status(status="finished")
    return directory.id


def test_runs_that_differ_in_their_seed_alone_belong_together() -> None:
    first = [run(seed, tags=[f"t{seed}"], name=f"n{seed}") for seed in (0, 1, 2)]
    other = run(0, config={"num_steps": 5})
    members, missing = comparison.load([*first, other])
    assert not missing
    groups = comparison.groups(members)
    assert [[member.id for member in group.members] for group in groups] == [first, [other]]
    assert groups[0].title == "n0 (3 seeds)"


def test_groups_of_one_name_are_told_apart() -> None:
    members, _ = comparison.load([run(config={"num_steps": n}) for n in (5, 6)])
    titles = [group.title for group in comparison.groups(members)]
    assert len(set(titles)) == 2


def test_what_is_gone_is_said_and_the_rest_compared() -> None:
    members, missing = comparison.load([run(), "20200101-000000-0000"])
    assert len(members) == 1 and "20200101-000000-0000" in missing[0]


def test_only_fields_that_differ_are_listed() -> None:
    members, _ = comparison.load(
        [run(config={"num_steps": 5}), run(config={"num_steps": 40, "energy_l2": 0.5})]
    )
    assert comparison.differences(comparison.groups(members)) == [
        ("config.num_steps", ["5", "40"]),
        ("config.energy_l2", ["–", "0.5"]),
    ]


def test_differences_are_of_what_runs_train_with_not_of_what_their_specs_say() -> None:
    ids = [run(), run(preset="short_run")]
    for run_id, num_steps in zip(ids, (20, 60), strict=True):
        settings = {"num_steps": num_steps, "sampler": {"kind": "langevin", "noise_scale": 1.0}}
        directory = run_store.open_run(run_id)
        directory.write_settings({"config": settings, "data": {"name": "ring", "num": 5000}}, {})
    members, _ = comparison.load(ids)
    assert comparison.differences(comparison.groups(members)) == [
        ("preset", ["default", "short_run"]),
        ("config.num_steps", ["20", "60"]),
    ]


def test_a_turned_run_and_a_fork_are_no_seeds_of_the_run_that_they_were() -> None:
    ids = [run(), run(), run()]
    turned, forked = (run_store.open_run(run_id) for run_id in ids[1:])
    turned.write_turns([Turn(1200, {"num_steps": (20.0, 40.0)}, "", 0.0, "")])
    forked.write_status(forked_from={"run": ids[0], "step": 1500, "cost": []})
    groups = comparison.groups(comparison.load(ids)[0])
    assert [len(group.members) for group in groups] == [1, 1, 1]
    assert comparison.differences(groups) == [
        ("config.num_steps from step 1\u2009200", ["–", "40", "–"]),
        (
            "forked from",
            ["–", "–", f"{ids[0]} at step 1\u2009500, whose curves it has before that"],
        ),
    ]


def test_figures_stand_beside_their_floor_and_the_best_is_marked() -> None:
    path = "quality/energy_distance"
    good = [
        run(seed, {f"{path}/long_run": value, f"{path}/floor": 0.001})
        for seed, value in enumerate((0.01, 0.02, 0.03))
    ]
    bad = [
        run(seed, {f"{path}/long_run": value, f"{path}/floor": 0.003}, preset="short_run")
        for seed, value in enumerate((0.5, 0.6))
    ]
    members, _ = comparison.load([*good, *bad])
    (row,) = comparison.figures(comparison.groups(members))
    assert row.title == "Energy distance to held-out data, long-run"
    assert row.values == [[0.01, 0.02, 0.03], [0.5, 0.6]]
    assert row.best == [0]
    assert row.floor == 0.001


@pytest.mark.parametrize(
    ("values", "floor", "winner"),
    [
        ([[0.01, 0.02], [0.03, 0.04]], 0.005, [0]),
        ([[0.01, 0.035], [0.03, 0.04]], 0.005, []),  # some seed of the worse is better
        ([[0.0007], [0.0014]], 0.0001, []),  # one run against one run
        ([[0.0007, 0.0008], [0.0014, 0.0015]], 0.0027, []),  # both are as good as real data
        ([[0.0007, 0.0008], [0.014, 0.015], []], 0.0027, [0]),
    ],
)
def test_a_figure_is_bold_where_seeds_and_floor_leave_no_doubt(
    values: list[list[float]], floor: float, winner: list[int]
) -> None:
    path = "quality/energy_distance"
    ids = [
        run(seed, {f"{path}/long_run": value, f"{path}/floor": floor}, config={"num_steps": group})
        for group, seeds in enumerate(values, 1)
        for seed, value in enumerate(seeds)
    ]
    members, _ = comparison.load(ids)
    (row,) = comparison.figures(comparison.groups(members))
    assert row.best == winner


def test_a_row_names_how_many_samples_it_compares_and_unequal_numbers_have_no_best() -> None:
    path = "quality/energy_distance"
    for numbers, title, winner in (
        ((3000, 3000), "3\u2009000 samples", [0]),
        ((512, 3000), "512 or 3\u2009000 samples", []),
    ):
        ids = [
            run(
                seed,
                {
                    f"{path}/long_run": value + 0.001 * seed,
                    f"{path}/floor": 0.001,
                    "quality/num_samples": num,
                },
                config={"num_steps": num_steps, "num_chains": numbers[0]},
            )
            for num_steps, value, num in ((5, 0.1, numbers[0]), (6, 0.2, numbers[1]))
            for seed in (0, 1)
        ]
        members, _ = comparison.load(ids)
        (row,) = comparison.figures(comparison.groups(members))
        assert row.title.endswith(title) and row.best == winner


def test_runs_of_different_data_have_figures_of_their_own() -> None:
    path = "quality/energy_distance"
    ids = [
        run(0, {f"{path}/long_run": 0.1, f"{path}/floor": 0.01}),
        run(0, {"quality/pixels": 0.3}, data={"name": "digits"}),
        run(0, {f"{path}/long_run": 0.2, f"{path}/floor": 0.02}, data={"name": "ring", "num": 99}),
    ]
    members, _ = comparison.load(ids)
    parts = comparison.by_data(comparison.groups(members))
    assert list(parts) == ["ring", "digits"]
    (row,) = comparison.figures(parts["ring"])
    assert row.values == [[0.1], [0.2]] and row.floor == pytest.approx(0.015)
    assert [row.path for row in comparison.figures(parts["digits"])] == ["quality/pixels"]


def test_data_of_one_name_and_other_settings_are_other_data() -> None:
    members, _ = comparison.load(
        [run(data={"name": "ring"}), run(data={"name": "ring", "radius": 5.0})]
    )
    groups = comparison.groups(members)
    assert [group.data for group in groups] == ["ring, radius –", "ring, radius 5"]


def test_labels_are_words_and_the_end_of_the_id_only_where_words_are_the_same() -> None:
    ids = [run(0, {"loss": 1.0}), run(0, {"loss": 1.0}), run(1, {"loss": 1.0}), run(2)]
    known = comparison.labels([run_store.open_run(run_id).status() for run_id in ids])
    words = "ring, contrastive divergence · seed"
    assert [known[run_id] for run_id in ids] == [
        f"{words} 0 · {ids[0][-4:]}",
        f"{words} 0 · {ids[1][-4:]}",
        f"{words} 1",
        f"{words} 2 · queued",
    ]


def test_the_table_leaves_as_csv_at_full_precision_a_line_a_run() -> None:
    path = "quality/energy_distance"
    ids = [
        run(seed, {f"{path}/long_run": 0.123456789 + seed, f"{path}/floor": 0.01}, name="a, b")
        for seed in (0, 1)
    ]
    members, _ = comparison.load(ids)
    rows = list(csv.DictReader(io.StringIO(comparison.as_csv(comparison.groups(members)))))
    assert [row["value"] for row in rows] == ["0.123456789", "1.123456789"]
    assert [(row["run"], row["seed"], row["floor"]) for row in rows] == [
        (ids[0], "0", "0.01"),
        (ids[1], "1", "0.01"),
    ]
    assert {row["model"] for row in rows} == {"a, b (2 seeds)"}


def test_all_values_of_a_cell_share_the_last_digit_of_their_range() -> None:
    assert comparison.written([]) == "–"
    assert comparison.written([0.0123]) == "0.0123"
    assert comparison.written([0.5, 0.5]) == "0.5"
    assert comparison.written([0.011, 0.0123, 0.02]) == "0.0123 (0.0110 to 0.0200)"
    assert comparison.written([120.0, 150.0]) == "135 (120 to 150)"
