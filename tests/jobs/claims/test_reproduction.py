"""Reproductions: what is launched, what is kept of it, and when it is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.claims.recipe import parse
from backend.errors import BadInput, NotAvailable
from jobs import tasks
from jobs.claims import reproduction
from jobs.claims.recipe_results import curves
from jobs.execution import loop
from jobs.records import run_store
from tests.jobs import claiming
from tests.jobs.claiming import TEXT, play

GOOD = {"wide": [0.1, 0.2], "narrow": [0.4, 0.5]}


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    claiming.install(monkeypatch, tmp_path / "recipes")
    return tmp_path / "recipes"


def test_every_variant_runs_under_one_seed_before_the_next_and_says_whose_it_is() -> None:
    made = reproduction.specs(parse(TEXT, "width"), "cpu", 2, 5, "20260101-000000-abcd")
    assert list(made) == [("wide", 5), ("narrow", 5), ("wide", 6), ("narrow", 6)]
    spec = made["wide", 6]
    assert (spec.name, spec.seed, spec.preset, spec.device) == ("Wide, seed 6", 6, "wide", "cpu")
    assert spec.tags == ["recipe:width", "reproduction:20260101-000000-abcd"]
    assert spec.budget.steps == 4


def test_another_scale_is_laid_over_it_and_one_that_is_not_there_is_refused() -> None:
    made = reproduction.specs(parse(TEXT, "width"), "gpu")
    assert made["narrow", 0].budget.steps == 8 and made["narrow", 0].device == "cuda"
    with pytest.raises(BadInput, match="no scale `moon`"):
        reproduction.specs(parse(TEXT, "width"), "moon")
    with pytest.raises(BadInput, match="from 1 to 100, got 0"):
        reproduction.specs(parse(TEXT, "width"), num_seeds=0)


def test_it_is_judged_when_all_runs_have_ended_and_not_before() -> None:
    made = reproduction.create("width")
    play(made, {"wide": GOOD["wide"]})
    assert not reproduction.open_reproduction(made.id).is_settled
    going = reproduction.findings(made)
    assert going.holds == "undecided" and going.num_counted == 2
    play(made, {"narrow": GOOD["narrow"]})
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None
    assert found.holds == "holds" and found.acceptance_holds()
    ratios = [reading.value for reading in found.deciding().readings]
    assert ratios == pytest.approx([0.25, 0.4])
    assert found.deciding().target == "ratio ≤ 0.5"
    wide = found.figure("wide", "distance")
    assert wide is not None and wide.floor == pytest.approx(0.01)
    assert (wide.min, wide.median, wide.max) == pytest.approx((0.1, 0.15, 0.2))
    assert found.num_runs == found.num_counted == 4 and found.seconds > 0


def test_acceptance_claims_that_fail_stand_first() -> None:
    made = reproduction.create("width")
    play(made, {"wide": [2.0, 3.0], "narrow": [9.0, 9.0]})
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None
    assert [(claim.kind, claim.holds) for claim in found.claims] == [
        ("acceptance", "fails"),
        ("paper", "holds"),
    ]
    assert found.holds == "holds" and not found.acceptance_holds()


def test_neither_deleted_runs_nor_an_edited_recipe_change_the_past(width: Path) -> None:
    made = reproduction.create("width")
    play(made, GOOD)
    first = reproduction.open_reproduction(made.id)
    for run_id in made.run_ids():
        run_store.open_run(run_id).delete()
    (width / "width.yaml").write_text(TEXT.replace("target: 0.5", "target: 0.05"))
    again = reproduction.open_reproduction(made.id)
    assert again == first == reproduction.open_reproduction("latest")
    assert reproduction.progress(again).words == {"deleted": 4}
    assert reproduction.list_reproductions("width") == [first]
    assert reproduction.list_reproductions("other") == []


def test_what_nobody_has_read_yet_is_stored_before_its_runs_are_deleted() -> None:
    made = reproduction.create("width")
    play(made, GOOD)
    reproduction.delete_runs(made.run_ids())
    assert run_store.list_runs() == []
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None and found.holds == "holds" and found.num_counted == 4


def test_a_diverged_run_is_a_miss_that_is_said() -> None:
    made = reproduction.create("width")
    play(made, {"wide": [0.1, 0.2], "narrow": [0.4, 0.5]})
    directory = run_store.open_run(made.runs["wide"][1])
    directory.write_status(status="diverged", reason="Diverged at step 3.")
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None and found.holds == "undecided"
    assert "seed 1 diverged" in found.reason
    assert found.notes == ["Wide, seed 1 diverged. Diverged at step 3."]


def test_a_seed_that_was_cut_off_is_judged_when_its_run_went_on() -> None:
    made = reproduction.create("width")
    play(made, GOOD)
    cut = run_store.open_run(made.runs["narrow"][1])
    cut.write_status(status="stopped")
    half = reproduction.open_reproduction(made.id).findings
    assert half is not None and half.num_counted == 3
    assert half.holds == "undecided" and half.reason.startswith("One seed is never a verdict.")
    cut.write_status(status="finished")
    whole = reproduction.open_reproduction(made.id).findings
    assert whole is not None and whole.holds == "holds"


def test_it_is_judged_by_who_reads_it_after_the_last_run(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    made = reproduction.create("width", num_seeds=1)
    monkeypatch.setattr(loop, "Observation", lambda *of, **settings: None)
    for run_id in made.run_ids():
        assert not reproduction.open_reproduction(made.id).is_settled
        tasks.train(run_id)
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None and found.holds == "undecided"
    assert "gives no `quality/energy_distance/long_run`" in found.claims[0].reason


def test_launched_runs_are_queued_and_can_be_stopped(redis_url: str) -> None:
    made = reproduction.launch("width", num_seeds=3)
    assert [run_store.open_run(run_id).status().status for run_id in made.run_ids()] == (
        ["queued"] * 6
    )
    progress = reproduction.progress(made)
    assert (progress.total, progress.done, progress.seconds_left) == (6, 0, None)
    assert reproduction.stop(made.id) == 6
    over = reproduction.progress(made)
    assert over.is_over and over.words == {"stopped": 6}
    settled = reproduction.open_reproduction(made.id)
    assert settled.findings is not None and settled.findings.holds == "undecided"


def test_time_left_follows_from_what_runs_took() -> None:
    made = reproduction.create("width")
    play(made, {"wide": GOOD["wide"]})
    spent = sum(run.seconds for run in reproduction.runs_of(made).values())
    progress = reproduction.progress(made)
    assert progress.fraction == 0.5
    assert progress.seconds_left == pytest.approx(spent)
    assert reproduction.expected_seconds("width", "cpu", 2) is None
    play(made, {"narrow": GOOD["narrow"]})
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None
    assert reproduction.expected_seconds("width", "cpu", 6) == pytest.approx(3 * found.seconds)


def test_a_sweep_and_a_curve_are_read_from_the_runs(width: Path) -> None:
    sweep = "picture: {kind: sweep, x: [1, 2], x_title: steps, path: 'sweep/k{x}/distance'}\n"
    (width / "width.yaml").write_text(TEXT + sweep)
    made = reproduction.create("width")
    play(made, GOOD)
    for run_id in made.run_ids():
        directory = run_store.open_run(run_id)
        metrics = {key: value for key, value in directory.metrics().items() if value is not None}
        directory.write_metrics({**metrics, "sweep/k1/distance": 3.0, "sweep/k2/distance": 1.0})
    found = reproduction.open_reproduction(made.id).findings
    assert found is not None
    for variant in ("wide", "narrow"):
        points = {point.x: [r.value for r in point.readings] for point in found.sweep[variant]}
        assert points == {1.0: [3.0, 3.0], 2.0: [1.0, 1.0]}
    curve = parse(TEXT + "picture: {kind: curve, path: loss/total, cost: steps}", "width")
    drawn = curves(curve, reproduction.runs_of(made))
    assert drawn["wide"][0][0] == [1.0, 2.0, 3.0, 4.0] and len(drawn["narrow"][1][1]) == 4


def test_what_is_not_there_or_damaged_is_said() -> None:
    with pytest.raises(NotAvailable, match="Nothing has been reproduced"):
        reproduction.open_reproduction("latest")
    with pytest.raises(BadInput, match="not the id"):
        reproduction.open_reproduction("../../etc/passwd")
    with pytest.raises(NotAvailable, match="no recipe `moon`"):
        reproduction.create("moon")
    made = reproduction.create("width")
    (reproduction.folder() / f"{made.id}.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        reproduction.open_reproduction(made.id)
    assert reproduction.list_reproductions() == []
