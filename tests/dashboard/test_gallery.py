"""What the Gallery shows of a recipe, as plain data."""

from __future__ import annotations

from dashboard import gallery
from jobs.claims import reproduction
from tests.dashboard.reproduced import reproduced


def test_the_deciding_picture_holds_every_seed_and_the_floor() -> None:
    made = reproduced()
    recipe, found = made.launched(), reproduction.findings(made)
    drawn = gallery.picture(recipe, found, reproduction.runs_of(made))
    rows = drawn["picture"]["rows"]
    assert [(row["title"], row["about"]) for row in rows][:2] == [
        ("Short runs from noise", "Energy distance of the short chains"),
        ("Persistent chains", "Energy distance of the short chains"),
    ]
    assert all(len(row["values"]) == len(made.seeds) for row in rows)
    assert {row["floor"] for row in rows} == {0.002}
    seeds = drawn["seeds"]
    assert [item["seed"] for item in seeds["readings"]] == made.seeds
    assert (seeds["target"], seeds["relation"], seeds["neutral"]) == (3, ">=", 1.0)
    assert seeds["median"] == found.deciding().median


def test_a_verdict_that_fails_is_told_as_one_that_holds() -> None:
    words = {
        reproduced(factor=factor).findings.holds: gallery.claim_rows(  # type: ignore[union-attr]
            reproduction.findings(reproduced(factor=factor))
        )[-1]
        for factor in (1.0, 0.01)
    }
    assert set(words) == {"holds", "fails"}
    assert len({len(row) for row in words.values()}) == 1


def test_what_is_compared_is_said_in_words() -> None:
    recipe = reproduced().launched()
    assert gallery.compared(recipe) == (
        "energy distance of long chains, short runs from noise over "
        "energy distance of the short chains, short runs from noise"
    )


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    x = [float(number) for number in range(1001)]
    thinned = gallery._thinned(x, [float("nan"), *x[1:]])
    assert len(thinned["x"]) <= gallery.MOST_POINTS + 1
    assert thinned["x"][-1] == 1000 and thinned["y"][0] is None
