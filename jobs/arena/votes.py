"""Votes: blind ballots of an arena and what people said to them, in a file that is only added to.

    {"kind": "ballot", "ballot", "left", "right", "viewer", "time"}
    {"kind": "vote", "ballot", "choice", "void", "time"}       before anything was revealed
    {"kind": "second", "ballot", "choice", "time"}             knowing names and joules

`void` says why a vote does not count: who it was about was known before. A line that a kill cut
short is passed over, and the next one begins on a line of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.errors import BadInput, NotAvailable
from jobs.arena.arenas import Arena
from jobs.system import atomic_files

LEFT, RIGHT, TIE, BAD, SKIP = "left", "right", "tie", "bad", "skip"
CHOICES = (LEFT, RIGHT, TIE, BAD, SKIP)
SECOND_CHOICES = (LEFT, RIGHT, TIE, BAD)
MOST_A_MINUTE = 30
"""Votes of one viewer that are taken."""
FILE = "votes.jsonl"
_MOST_BYTES = 64_000_000


class TooMany(NotAvailable):
    """Error: more votes of one viewer than a person can give."""


@dataclass(frozen=True)
class Ballot:
    """Pair of sample sets shown to one viewer, and what came of it."""

    id: str
    left: str
    right: str
    """ids of the sets, by the side they were shown on"""
    viewer: str
    asked: float
    choice: str = ""
    """the blind vote, one of CHOICES; "" before it"""
    voted: float | None = None
    void: str = ""
    """why the vote does not count"""
    second: str = ""
    """the choice once names and joules were known; "" where none was made"""

    @property
    def counts(self) -> bool:
        """Return True for a vote that is not skipped and not void."""
        return bool(self.choice) and self.choice != SKIP and not self.void


def ballots(arena: Arena) -> list[Ballot]:
    """Read all ballots of an arena, in the order they were asked. Raises NotAvailable."""
    try:
        content = atomic_files.read(arena.path / FILE, _MOST_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotAvailable(f"The votes of arena `{arena.id}` cannot be read: {error}.") from error
    by_id: dict[str, Ballot] = {}
    for line in content.splitlines():
        try:
            entry = json.loads(line)
            _take(entry, by_id)
        except (ValueError, KeyError, TypeError):  # cut short by a kill
            continue
    return list(by_id.values())


def _take(entry: dict[str, Any], by_id: dict[str, Ballot]) -> None:
    """Take one line; the first word on a vote holds, and the last one on a second thought."""
    name, kind = entry["ballot"], entry["kind"]
    if kind == "ballot":
        sides = str(entry["left"]), str(entry["right"])
        by_id.setdefault(name, Ballot(name, *sides, str(entry["viewer"]), float(entry["time"])))
        return
    known, choice = by_id[name], str(entry["choice"])
    if kind == "vote" and not known.choice and choice in CHOICES:
        void, voted = str(entry.get("void", "")), float(entry["time"])
        by_id[name] = replace(known, choice=choice, voted=voted, void=void)
    elif kind == "second" and known.choice and choice in SECOND_CHOICES:
        by_id[name] = replace(known, second=choice)


def ask(arena: Arena, viewer: str, chance: random.Random | None = None) -> Ballot:
    """Return the ballot that a viewer has open, else a new one: of a pair that was voted on least.

    Which of a pair is left is by chance, and so is which pair of those. Raises NotAvailable.
    """
    chance = chance or secrets.SystemRandom()
    with atomic_files.locked(arena.path):
        known = ballots(arena)
        mine = [each for each in known if each.viewer == viewer]
        if mine and not mine[-1].choice:
            return mine[-1]
        pairs = list(itertools.combinations(arena.sets, 2))
        by_viewer, by_all = (
            Counter(frozenset((each.left, each.right)) for each in some) for some in (mine, known)
        )
        last = {mine[-1].left, mine[-1].right} if mine and len(pairs) > 1 else set()
        pair = list(
            min(
                pairs,
                key=lambda pair: (
                    set(pair) == last,
                    by_viewer[frozenset(pair)],
                    by_all[frozenset(pair)],
                    chance.random(),
                ),
            )
        )
        chance.shuffle(pair)
        fresh = Ballot(secrets.token_hex(8), pair[0], pair[1], viewer, time.time())
        _append(
            arena.path / FILE,
            kind="ballot",
            ballot=fresh.id,
            left=fresh.left,
            right=fresh.right,
            viewer=viewer,
            time=fresh.asked,
        )
    return fresh


def vote(
    arena: Arena,
    ballot_id: str,
    viewer: str,
    choice: str,
    leaked: Callable[[Ballot], str] = lambda _: "",
) -> Ballot:
    """Take the blind vote of a viewer on a ballot of theirs; it is given once.

    leaked: says of the ballot why who it is about was known, "" where it was not. Raises BadInput,
    TooMany, NotAvailable.
    """
    if choice not in CHOICES:
        raise BadInput.at("choice", f"must be one of {', '.join(CHOICES)}, got {choice!r}.")
    with atomic_files.locked(arena.path):
        known = ballots(arena)
        ballot = _of(known, ballot_id, viewer)
        if ballot.choice:
            raise BadInput.at("ballot", "was voted on already. Load the page for the next pair.")
        now = time.time()
        recent = [
            each for each in known if each.viewer == viewer and (each.voted or 0.0) > now - 60
        ]
        if len(recent) >= MOST_A_MINUTE:
            raise TooMany(
                f"At most {MOST_A_MINUTE} votes a minute are taken of one viewer. Look longer, and "
                "vote again in a minute."
            )
        void = leaked(ballot)
        _append(
            arena.path / FILE, kind="vote", ballot=ballot.id, choice=choice, void=void, time=now
        )
    return replace(ballot, choice=choice, voted=now, void=void)


def vote_again(arena: Arena, ballot_id: str, viewer: str, choice: str) -> Ballot:
    """Take what a viewer thinks once names and joules are known; the blind vote stays beside it.

    Raises BadInput, NotAvailable.
    """
    if choice not in SECOND_CHOICES:
        raise BadInput.at("choice", f"must be one of {', '.join(SECOND_CHOICES)}, got {choice!r}.")
    with atomic_files.locked(arena.path):
        ballot = _of(ballots(arena), ballot_id, viewer)
        if not ballot.choice or ballot.choice == SKIP:
            raise BadInput.at("ballot", "has no vote yet that could be changed.")
        _append(arena.path / FILE, kind="second", ballot=ballot.id, choice=choice, time=time.time())
    return replace(ballot, second=choice)


def of_viewer(arena: Arena, ballot_id: str, viewer: str) -> Ballot:
    """Read a viewer's own ballot. Raises BadInput, NotAvailable."""
    return _of(ballots(arena), ballot_id, viewer)


def _of(known: list[Ballot], ballot_id: str, viewer: str) -> Ballot:
    ballot = next((each for each in reversed(known) if each.id == ballot_id), None)
    if ballot is None or ballot.viewer != viewer:
        raise BadInput.at("ballot", "is none of yours. Load the page for another one.")
    return ballot


def _append(path: Path, **entry: Any) -> None:
    """Add a line, on the disk before this returns. Raises NotAvailable."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = json.dumps(entry, separators=(",", ":"))
            atomic_files.append(file, f"{chr(10) if is_torn else ''}{line}\n".encode())
            os.fsync(descriptor)
    except OSError as error:
        raise NotAvailable(f"The vote cannot be written: {error.strerror}.") from error
