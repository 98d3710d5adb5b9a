"""Sample sets that are compared: titles, and a best figure only where intervals leave no doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.spec import RunSpec
from dashboard import comparison
from dashboard.comparing import drawn, report
from dashboard.comparing.drawn import Drawn, Question
from dashboard.comparison import Group
from jobs.queueing import sample_jobs
from jobs.records import run_store, sample_sets
from jobs.records.sample_sets import SampleSet


def run(**config: Any) -> str:
    spec = RunSpec(method="contrastive_divergence", data={"name": "ring"}, config=config)
    return run_store.create_run(spec).id


def made(run_id: str, seed: int = 0, **fields: Any) -> SampleSet:
    """A set that was drawn, with figures of one's own."""
    known = sample_sets.begin(sample_jobs.request(run_id, {"num": 500}, seed=seed), 500)
    x = np.zeros((500, 2), np.float32)
    return sample_sets.finish(known.id, {"x": x}, b"", num=500, num_drawn=500, **fields)


def of_figures(*cells: tuple[float, tuple[float, float] | None], floor: float = 0.01) -> list[int]:
    """Which of several sets is best of an energy distance, each with its interval."""
    groups = groups_of(*[run(num_steps=place + 1) for place in range(len(cells))])
    sets = {}
    for place, (value, interval) in enumerate(cells):
        sets[place] = made(
            groups[place].members[0].id,
            figures={"energy_distance": value, "energy_distance/floor": floor},
            intervals={"energy_distance": interval} if interval else {},
        )
    (row,) = drawn.figures(groups, Drawn(None, sets))
    assert row.floor == floor and [values[len(values) // 2] for values in row.values] == [
        value for value, _ in cells
    ]
    return row.best


def groups_of(*ids: str) -> list[Group]:
    return comparison.groups(comparison.load(list(ids))[0])


@pytest.mark.parametrize(
    ("cells", "winner"),
    [
        ([(0.03, (0.02, 0.04)), (0.07, (0.05, 0.09))], [0]),
        ([(0.03, (0.02, 0.06)), (0.07, (0.05, 0.09))], []),
        ([(0.03, None), (0.07, None)], []),
        ([(0.03, (0.02, 0.04)), (0.07, None)], []),
        # below the floor neither is better than the other
        ([(0.001, (0.0, 0.002)), (0.006, (0.005, 0.008))], []),
        ([(0.001, (0.0, 0.002)), (0.03, (0.02, 0.04))], [0]),
    ],
)
def test_a_figure_of_samples_is_best_where_intervals_and_floor_leave_no_doubt(
    cells: list[tuple[float, tuple[float, float] | None]], winner: list[int]
) -> None:
    assert of_figures(*cells) == winner


def test_sets_of_one_name_are_told_apart_by_what_differs_between_them() -> None:
    run_id = run()
    sets = [made(run_id, seed) for seed in (0, 1)]
    groups, opened, missing = drawn.open_sets([*(each.id for each in sets), "0123456789ab"])
    name = sets[0].title
    assert [group.title for group in groups] == [f"{name}, seed 0", f"{name}, seed 1"]
    assert [group.sample_set for group in groups] == [each.id for each in sets]
    assert "0123456789ab" in missing[0] and opened.are_settled
    assert comparison.differences(groups) == [("samples.seed", ["0", "1"])]


def test_a_set_is_drawn_once_a_visit_and_a_refusal_is_said_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = groups_of(run(num_steps=1), "20200101-000000-0000", run(num_steps=2))
    first, second = (group.members[0].id for group in groups)
    asked = []

    def draw(requests: list[Any]) -> list[SampleSet]:
        (each,) = requests
        asked.append(each)
        if each.run == second:
            raise drawn.BasinError("No quick worker is running.")
        return [sample_sets.begin(each, 500)]

    monkeypatch.setattr(sample_jobs, "draw", draw)
    question, known = Question(3, 7, True, ()), dict[Any, str]()
    now = drawn.draw(groups, question, known)
    drawn.draw(groups, question, known)
    assert [each.run for each in asked] == [first, second, second], "what failed is asked again"
    assert asked[0].config == {"num": 500, "num_steps": 7, "label": "each"}
    content = drawn.as_json(groups, now)
    assert content["sets"] == {first: asked[0].id} and not content["settled"]
    assert content["failed"] == {second: "No quick worker is running."}


def test_the_report_holds_figures_of_runs_and_of_their_samples_apart() -> None:
    ids = [run(num_steps=1), run(num_steps=2)]
    run_store.open_run(ids[0]).write_metrics({"quality/energy_distance/long_run": 0.5})
    groups = groups_of(*ids)
    figures = {"energy_distance": 0.03, "energy_distance/floor": 0.01}
    sets = {1: made(ids[1], figures=figures, intervals={"energy_distance": (0.02, 0.04)})}
    tables = report.report(groups, Drawn(Question(4, None, False, ()), sets))["tables"]
    assert [table["title"] for table in tables] == [
        "Figures",
        "500 samples of each, drawn with seed 4",
        "Where they differ",
    ]
    assert [cell["text"] for cell in tables[1]["rows"][0]] == [
        "Energy distance to held-out data",
        "–",
        "0.030 (0.020 to 0.040)",
        "0.01",
    ]
