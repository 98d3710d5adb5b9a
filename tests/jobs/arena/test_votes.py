"""Votes of an arena: blind, given once, kept through kills, void where the voter knew."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from backend.errors import BadInput
from backend.events import unpack
from jobs.arena import arenas, blind, results, votes
from jobs.arena.arenas import Arena
from jobs.cli import main
from jobs.records import sample_sets
from jobs.records.sample_sets import Request, SampleSet
from tests.conftest import ROOT
from tests.jobs import tiny

SETS = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")


@pytest.fixture
def arena(basin_home: Path) -> Arena:
    return made()


def made(sets: tuple[str, ...] = SETS, reference: str = "eeeeeeeeeeee") -> Arena:
    arena = Arena(id="0" * 12, sets=sets, reference=reference, data="ring", created=1.0)
    arena.path.mkdir()
    (arena.path / "arena.json").write_text(arena.model_dump_json())
    return arena


def test_a_ballot_stays_open_until_it_is_answered_and_is_answered_once(arena: Arena) -> None:
    ballot = votes.ask(arena, "ada")
    assert votes.ask(arena, "ada") == ballot and votes.ask(arena, "bob") != ballot
    voted = votes.vote(arena, ballot.id, "ada", "left")
    assert voted.counts and votes.of_viewer(arena, ballot.id, "ada") == voted
    with pytest.raises(BadInput, match="voted on already"):
        votes.vote(arena, ballot.id, "ada", "right")
    with pytest.raises(BadInput, match="none of yours"):
        votes.vote(arena, votes.ask(arena, "bob").id, "ada", "left")
    with pytest.raises(BadInput, match="must be one of"):
        votes.vote(arena, votes.ask(arena, "ada").id, "ada", "both")


def test_pairs_come_in_turn_and_sides_by_chance(arena: Arena) -> None:
    chance = random.Random(0)
    seen = []
    for _ in range(60):
        ballot = votes.ask(arena, "ada", chance)
        seen.append((ballot.left, ballot.right))
        # as fast as no person: the clock of the limit is not what is looked at here
        votes._append(
            arena.path / votes.FILE, kind="vote", ballot=ballot.id, choice="tie", time=0.0
        )
    pairs = Counter(frozenset(pair) for pair in seen)
    assert set(pairs.values()) == {20}
    assert all(frozenset(a) != frozenset(b) for a, b in itertools.pairwise(seen))
    for pair in seen:
        assert 3 <= seen.count(pair) <= 17, "neither side is a set's own"


def test_the_blind_vote_stays_beside_the_second_one(arena: Arena) -> None:
    ballot = votes.ask(arena, "ada")
    with pytest.raises(BadInput, match="no vote yet"):
        votes.vote_again(arena, ballot.id, "ada", "right")
    votes.vote(arena, ballot.id, "ada", "left")
    votes.vote_again(arena, ballot.id, "ada", "right")
    (known,) = votes.ballots(arena)
    assert (known.choice, known.second) == ("left", "right")


def test_a_vote_is_void_where_the_voter_knew_and_a_skipped_one_does_not_count(
    arena: Arena,
) -> None:
    for choice, leaked, counts in (
        ("left", "", True),
        ("left", "You opened one of them.", False),
        ("skip", "", False),
    ):
        ballot = votes.ask(arena, "ada")
        voted = votes.vote(arena, ballot.id, "ada", choice, lambda _, why=leaked: why)
        assert voted.counts is counts and votes.ballots(arena)[-1] == voted


def test_one_viewer_gives_so_many_votes_a_minute_and_others_go_on(arena: Arena) -> None:
    for _ in range(votes.MOST_A_MINUTE):
        votes.vote(arena, votes.ask(arena, "robot").id, "robot", "left")
    with pytest.raises(votes.TooMany, match="a minute"):
        votes.vote(arena, votes.ask(arena, "robot").id, "robot", "left")
    assert votes.vote(arena, votes.ask(arena, "ada").id, "ada", "left").counts


VOTER = """
import sys
from jobs.arena import arenas, votes
votes.MOST_A_MINUTE = 10**9
arena = arenas.open_arena("0" * 12)
while True:
    ballot = votes.vote(arena, votes.ask(arena, "ada").id, "ada", "left")
    print(ballot.id, flush=True)
"""


def test_what_was_answered_is_there_after_a_kill(arena: Arena) -> None:
    program = [sys.executable, "-c", VOTER]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split("\n")[:-1]
    known = {each.id for each in votes.ballots(arena) if each.choice == "left"}
    assert len(told) >= 5 and set(told) <= known
    with (arena.path / votes.FILE).open("ab") as file:  # what a kill within a write leaves
        file.write(b'{"kind":"vote","ballot":"')
    ballot = votes.vote(arena, votes.ask(arena, "bob").id, "bob", "right")
    assert votes.ballots(arena)[-1] == ballot
    assert {each.id for each in votes.ballots(arena) if each.choice == "left"} == known


# ------------------------------------------------------------------------------ real sample sets


def drawn(run_id: str, x: np.ndarray, **fields: object) -> SampleSet:
    """A sample set as if it had been drawn."""
    source = fields.pop("source", "model")
    seed = len(sample_sets.list_sets())
    wanted = Request(run_id, 0, "", source, {"num": len(x)}, seed, {"basin": "0"})
    sample_sets.begin(wanted, len(x))
    shown = {"kind": "points", "event_shape": x.shape[1:], "num": len(x), "seconds": 2.0}
    return sample_sets.finish(wanted.id, {"x": x}, b"", **{**shown, **fields})


@pytest.fixture
def contest(basin_home: Path) -> tuple[Arena, list[SampleSet]]:
    runs = [tiny.make(), tiny.make()]
    for run, name in zip(runs, ("Secret one", "=Secret two"), strict=True):
        run.set_labels(name=name)
    rng = np.random.default_rng(0)
    joules = {"joules": 5.0, "joules_from": "counter"}
    sets = [
        drawn(runs[0].id, rng.normal(size=(50, 2)), **joules),
        drawn(runs[1].id, rng.normal(size=(40, 2))),
        drawn(runs[0].id, rng.normal(size=(50, 2)), source="held_out", seconds=None),
    ]
    reference = drawn(runs[0].id, rng.normal(size=(50, 2)), source="held_out")
    return made(tuple(each.id for each in sets), reference.id), sets


def test_a_ballots_pictures_name_nobody_and_face_each_other(
    contest: tuple[Arena, list[SampleSet]],
) -> None:
    arena, sets = contest
    _, reference = arenas.sets_of(arena)
    by_id = {each.id: each for each in sets}
    for viewer in ("ada", "bob", "cyd", "dan"):
        ballot = votes.ask(arena, viewer)
        content = blind.pictures(ballot, reference)
        about = json.dumps(blind.outline(ballot, reference)).encode()
        secret = [each.run for each in sets] + [each.id for each in sets] + ["Secret", "held_out"]
        for word in secret:
            assert word.encode() not in content + about
        frames = []
        while content:
            size = 12 + sum(int.from_bytes(content[at : at + 4], "little") for at in (4, 8))
            frames.append(unpack(content[:size]))
            content = content[size:]
        assert [frame.header["path"] for frame in frames] == ["left", "right", "reference"]
        left, right, _ = frames
        assert left.header["meta"] == right.header["meta"]
        assert left.header["time"] == 0 and left.header["last"] == [0, 0, 0.0, None]
        shapes = [frame.arrays["positions"].shape for frame in (left, right)]
        assert shapes[0] == shapes[1]
        place = np.random.default_rng(int(ballot.id, 16)).permutation(shapes[0][0])[0]
        expected = by_id[ballot.left].samples()["x"][place].astype(np.float32)
        assert left.arrays["positions"][0] == pytest.approx(expected)


def test_a_ranking_says_what_samples_cost_and_what_knowing_it_changed(
    contest: tuple[Arena, list[SampleSet]],
) -> None:
    arena, sets = contest
    real = sets[2].id
    for at in range(24):
        ballot = votes.ask(arena, f"viewer {at % 3}")
        choice = "left" if ballot.left == real else "right" if ballot.right == real else "bad"
        votes.vote(arena, ballot.id, ballot.viewer, choice)
        if at < 10:
            votes.vote_again(arena, ballot.id, ballot.viewer, "tie" if at < 4 else choice)
    table = results.standings(arena, sets)
    first, *others = table["rows"]
    assert first["name"] == "real data" and first["low"] > 0 and "joules" not in first
    assert all(row["score"] < 0 for row in others)
    by_name = {row["name"]: row for row in others}
    assert by_name["Secret one"]["joules"] == 0.1 and by_name["Secret one"]["seconds"] == 0.04
    assert by_name["=Secret two"]["joules"] is None
    assert (table["num"], table["viewers"], table["decided"]) == (24, 3, 10)
    assert 1 <= table["changed"] <= 4 and table["void"] == 0
    assert first["informed"]["score"] < first["score"]
    assert all(0.4 < row["bad"] < 0.6 for row in others) and first["bad"] == 0


def test_votes_leave_as_a_table_and_open_ballots_stay_blind(
    contest: tuple[Arena, list[SampleSet]],
) -> None:
    arena, _ = contest
    ballot = votes.ask(arena, "ada")
    votes.vote(arena, ballot.id, "ada", "left", lambda _: "You opened one.")
    still = votes.ask(arena, "ada")
    (row,) = results.exported(arena)
    assert (row["ballot"], row["choice"], row["void"]) == (ballot.id, "left", "You opened one.")
    text = results.as_csv(arena)
    assert text.startswith("ballot,left,right,left_name") and still.id not in text
    assert ",=Secret" not in text


def test_the_command_line_lists_ranks_and_exports(contest: tuple[Arena, list[SampleSet]]) -> None:
    def answer(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["arena", *arguments, "--json"])
        return json.loads(result.stdout) if result.exit_code == 0 else result.exit_code

    arena, sets = contest
    ballot = votes.ask(arena, "ada")
    votes.vote(arena, ballot.id, "ada", "left")
    (listed,) = answer("list")
    assert (listed["id"], listed["votes"], listed["contestants"]) == (arena.id, 1, 3)
    assert "Secret" not in json.dumps(listed), "a list names nobody"
    assert answer("ranking", arena.id[:3]) == {"id": arena.id, **results.standings(arena, sets)}
    assert answer("export", "latest") == results.exported(arena)
    words = CliRunner().invoke(main, ["arena", "ranking", "latest"]).stdout
    assert "Secret one" in words and "votes: 1, voters: 1" in words
    assert CliRunner().invoke(main, ["arena", "export", "0"]).stdout == results.as_csv(arena)
    assert answer("ranking", "f") == 2


def test_runs_that_cannot_compete_are_refused_with_what_to_do(basin_home: Path) -> None:
    one = tiny.make()
    one.save_checkpoint(3, {}, {})
    other = tiny.make()
    spec = other.spec()
    other.write_spec(spec.model_copy(update={"data": {"name": "moons"}}))
    other.save_checkpoint(3, {}, {})
    fewer = tiny.make()
    fewer.write_spec(spec.model_copy(update={"data": {**spec.data, "num": 99}}))
    fewer.save_checkpoint(3, {}, {})
    with pytest.raises(BadInput, match="two trained runs, or one beside real data"):
        arenas.requests([one.id], real=False)
    with pytest.raises(BadInput, match=r"moons and ring\. Choose runs of one data set"):
        arenas.requests([one.id, other.id])
    with pytest.raises(BadInput, match="no checkpoint"):
        arenas.requests([one.id, tiny.make().id])
    wanted, reference = arenas.requests([one.id, fewer.id])
    assert [each.source for each in wanted] == ["model", "model", "held_out"]
    assert reference.id not in {each.id for each in wanted} and wanted[0].seed == wanted[1].seed
