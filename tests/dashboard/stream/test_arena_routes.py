"""Routes of the Arena: blind until the vote, void where the voter knew, let in by a token alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from dashboard.security import access, viewers
from dashboard.stream import arena as arena_routes
from dashboard.stream import routes as stream_routes
from dashboard.stream.hub import Hub
from jobs.arena import votes
from jobs.arena.arenas import Arena
from jobs.grids import records
from jobs.grids.records import Axis
from tests.jobs import tiny
from tests.jobs.arena.test_votes import drawn, made

NAMES = ("Secret one", "Secret two")


@pytest.fixture
def contest(basin_home: Path) -> Arena:
    runs = [tiny.make(), tiny.make()]
    rng = np.random.default_rng(0)
    sets = []
    for run, name in zip(runs, NAMES, strict=True):
        run.set_labels(name=name)
        sets.append(drawn(run.id, rng.normal(size=(30, 2)), joules=3.0, joules_from="sampled"))
    reference = drawn(runs[0].id, rng.normal(size=(30, 2)), source="held_out")
    return made(tuple(each.id for each in sets), reference.id)


@pytest.fixture
def browser_of_ada() -> TestClient:
    arena_routes._fresh.clear()
    return client()


def client(routes: Sequence[BaseRoute] = ()) -> TestClient:
    app = Starlette(routes=routes or arena_routes.routes())
    return TestClient(app, base_url="http://127.0.0.1", headers={"host": "127.0.0.1"})


def address(name: str, arena: Arena, **more: str) -> str:
    query = "&".join(f"{key}={value}" for key, value in more.items())
    return f"/live/arena/{name}?arena={arena.id}&token={access.issue()}&{query}"


def test_nothing_before_the_vote_names_a_side_and_the_vote_says_both(
    contest: Arena, browser_of_ada: TestClient
) -> None:
    asked = browser_of_ada.post(address("next", contest), json={})
    ballot = asked.json()["ballot"]
    pictures = browser_of_ada.get(address("pictures", contest, ballot=ballot))
    assert pictures.status_code == 200 and b"left" in pictures.content
    secret = [*NAMES, *contest.sets, contest.reference]
    secret += [each.run for each in map(votes_set, contest.sets)]
    before = asked.content + pictures.content + str(asked.headers).encode()
    for word in secret:
        assert word.encode() not in before
    again = browser_of_ada.post(address("next", contest), json={})
    assert again.json()["ballot"] == ballot, "an open ballot cannot be passed over by a reload"
    body = {"ballot": ballot, "choice": "left"}
    revealed = browser_of_ada.post(address("vote", contest), json=body).json()
    assert {revealed[side]["name"] for side in ("left", "right")} == set(NAMES)
    assert revealed["left"]["joules"] == 0.1 and revealed["left"]["joules_from"] == "sampled"
    assert revealed["void"] == "" and revealed["ranking"]["num"] == 1
    body["choice"] = "right"
    assert browser_of_ada.post(address("second", contest), json=body).json()["second"] == "right"
    (known,) = votes.ballots(contest)
    assert (known.choice, known.second) == ("left", "right")
    assert "left,right" in browser_of_ada.get(address("votes.csv", contest)).text
    assert browser_of_ada.get(address("votes.json", contest)).json()[0]["second"] == "right"
    assert browser_of_ada.get(address("ranking", contest)).json()["changed"] == 1


def votes_set(name: str) -> object:
    from jobs.records import sample_sets

    return sample_sets.open_set(name)


def test_a_vote_of_who_opened_a_run_of_the_pair_is_void(
    contest: Arena, browser_of_ada: TestClient
) -> None:
    run = votes_set(contest.sets[0]).run  # type: ignore[attr-defined]
    for opens in (False, True):
        ballot = browser_of_ada.post(address("next", contest), json={}).json()["ballot"]
        if opens:
            viewer = viewers.viewer_of(dict(browser_of_ada.cookies))
            assert viewer and viewer == votes.ballots(contest)[-1].viewer
            viewers.sightings.note(viewer, [run])
        body = {"ballot": ballot, "choice": "tie"}
        revealed = browser_of_ada.post(address("vote", contest), json=body).json()
        assert ("You opened a run" in revealed["void"]) is opens
    assert revealed["ranking"]["void"] == 1 and revealed["ranking"]["num"] == 1


def test_ballots_are_their_viewers_own_and_votes_have_a_limit(
    contest: Arena, browser_of_ada: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballot = browser_of_ada.post(address("next", contest), json={}).json()["ballot"]
    bob = client()
    body = {"ballot": ballot, "choice": "left"}
    assert bob.post(address("vote", contest), json=body).status_code == 400
    assert bob.get(address("pictures", contest, ballot=ballot)).status_code == 400
    monkeypatch.setattr(votes, "MOST_A_MINUTE", 0)
    limited = browser_of_ada.post(address("vote", contest), json=body)
    assert limited.status_code == 429 and "a minute" in limited.text
    for _ in range(arena_routes.MOST_NEW_A_MINUTE):
        last = client().post(address("next", contest), json={})
    assert last.status_code == 429 and "cookies" in last.text


def test_whoever_has_no_token_or_asks_for_what_is_not_there_is_refused(
    contest: Arena, browser_of_ada: TestClient
) -> None:
    for method, name in (
        ("post", "next"),
        ("get", "pictures"),
        ("post", "vote"),
        ("get", "ranking"),
    ):
        response = browser_of_ada.request(method, f"/live/arena/{name}?arena={contest.id}")
        assert response.status_code == 403
    for wrong, status in (("../..", 400), ("f" * 12, 404)):
        nowhere = contest.model_copy(update={"id": wrong})
        assert browser_of_ada.post(address("next", nowhere), json={}).status_code == status
    assert browser_of_ada.post(address("next", contest), content=b"[1]").status_code == 400
    assert browser_of_ada.post(address("vote", contest), content=b"x" * 9000).status_code == 400


def test_viewers_are_told_apart_by_a_cookie_that_no_record_holds() -> None:
    cookie = viewers.new_cookie()
    viewer = viewers.viewer_of({viewers.COOKIE: cookie})
    assert viewer and viewer not in cookie and cookie not in viewer
    for wrong in ("", "ada", cookie + "0", "../../x"):
        assert viewers.viewer_of({viewers.COOKIE: wrong}) == ""
    sightings = viewers.Sightings()
    sightings.note("", ["a"])
    sightings.note(viewer, ["a", "b"])
    assert sightings.since(viewer, ["a", "c"], 0.0) == {"a"}
    assert sightings.since(viewer, ["a"], 9e12) == set() == sightings.since("", ["a"], 0.0)


def test_a_restart_forgets_no_sighting(basin_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = viewers.viewer_of({viewers.COOKIE: viewers.new_cookie()})
    before = time.time()
    viewers.Sightings().note(viewer, ["a", "b"])
    restarted = viewers.Sightings()
    assert restarted.since(viewer, ["a", "c"], before) == {"a"}
    restarted.note(viewer, ["c"])
    assert viewers.Sightings().since(viewer, ["a", "c"], before) == {"a", "c"}
    # of each viewer, and of all of them, the latest are kept
    monkeypatch.setattr(viewers, "MOST_SIGHTINGS", 2)
    restarted.note(viewer, ["a"])
    assert viewers.Sightings().since(viewer, ["a", "b", "c"], before) == {"a", "c"}
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 1)
    restarted.note("someone", ["a"])
    assert [path.stem for path in (basin_home / "sightings").iterdir()] == ["someone"]
    (basin_home / "sightings" / "someone.json").write_text("[1")
    assert viewers.Sightings().since("someone", ["a"], before) == set()


def test_every_route_that_names_a_run_notes_who_saw_it(
    contest: Arena, browser_of_ada: TestClient
) -> None:
    run = votes_set(contest.sets[0]).run  # type: ignore[attr-defined]
    axes = [Axis(field="seed", values=(0, 1)), Axis(field="num_steps", values=(1, 2))]
    grid = records.define(run, axes, {"num": 8})
    browser_of_ada.post(address("next", contest), json={})
    viewer = votes.ballots(contest)[-1].viewer
    pages = client(stream_routes.routes(Hub()))
    pages.cookies = browser_of_ada.cookies
    for path in (
        f"sample_set?id={contest.sets[0]}",
        f"grid?id={grid.id}",
        f"file?run={run[:-1]}&name=spec.yaml",
        f"curves.csv?run={run[:-1]}",
    ):
        moment = time.time()
        assert not viewers.sightings.since(viewer, [run], moment)
        assert pages.get(f"/live/{path}").status_code == 403
        assert not viewers.sightings.since(viewer, [run], moment), "nothing was seen"
        assert pages.get(f"/live/{path}&token={access.issue()}").status_code == 200, path
        assert viewers.sightings.since(viewer, [run], moment) == {run}, path
