"""Routes of the Arena. Nothing that is sent before a vote says whose samples it shows.

POST /live/arena/next?arena=&token=                the open ballot of this viewer, or a new one
GET  /live/arena/pictures?arena=&ballot=&token=    its two sides and real data, unnamed
POST /live/arena/vote?arena=&token=                {"ballot", "choice"}: the vote, then who it was
POST /live/arena/second?arena=&token=              {"ballot", "choice"}: the vote once that is known
GET  /live/arena/ranking?arena=&token=             scores, costs, share of votes that were changed
GET  /live/arena/votes.csv?arena=&token=           every vote; also votes.json
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from backend.errors import BadInput, NotAvailable
from dashboard.faults import sentence
from dashboard.security import access, viewers
from dashboard.security.viewers import sightings
from dashboard.stream.questions import parsed
from jobs.arena import arenas, blind, results, votes
from jobs.arena.arenas import Arena
from jobs.arena.votes import Ballot, TooMany
from jobs.records import sample_sets

GOAL = 20
"""Votes of a viewer that the bar on the page counts up to."""
MOST_NEW_A_MINUTE = 30
"""Viewers that one address may become in a minute: who keeps no cookie is a new one each time."""
_MOST_BODY = 4000
_PRIVATE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_fresh: dict[str, deque[float]] = {}
Answer = Callable[[Arena, str, Request, dict[str, Any]], Response]


def routes() -> list[BaseRoute]:
    """Build every route of the Arena."""
    return [
        _route("next", _next, posts=True),
        _route("pictures", _pictures),
        _route("vote", _vote, posts=True),
        _route("second", _second, posts=True),
        _route("ranking", _ranking),
        _route("votes.csv", _csv),
        _route("votes.json", _json),
    ]


def _route(name: str, answer: Answer, *, posts: bool = False) -> Route:
    """Build a route that is let in by its token, knows its viewer and refuses in words."""

    async def endpoint(request: Request) -> Response:
        cookie = request.cookies.get(viewers.COOKIE, "")
        viewer = viewers.viewer_of(request.cookies)
        try:
            body = await _body(request) if posts else {}
            if not viewer:
                _count_new(request.client.host if request.client else "")
                cookie = viewers.new_cookie()
                viewer = viewers.viewer_of({viewers.COOKIE: cookie})
            arena = await run_in_threadpool(
                arenas.open_arena, request.query_params.get("arena", "")
            )
            response = await run_in_threadpool(answer, arena, viewer, request, body)
        except TooMany as error:
            response = PlainTextResponse(str(error), 429)
        except BadInput as error:
            response = PlainTextResponse(str(error), 400)
        except (NotAvailable, OSError) as error:
            response = PlainTextResponse(sentence(error), 404)
        response.headers.update(_PRIVATE)
        if viewer:
            response.set_cookie(
                viewers.COOKIE,
                cookie,
                max_age=viewers.COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
            )
        return response

    endpoint.__doc__ = answer.__doc__
    path = f"/live/arena/{name}"
    return Route(path, access.admitted(endpoint), methods=["POST"] if posts else ["GET"])


def _count_new(host: str) -> None:
    """Count a viewer without a cookie. Raises TooMany."""
    now = time.monotonic()
    if len(_fresh) > viewers.MOST_VIEWERS:
        _fresh.clear()
    recent = _fresh.setdefault(host, deque(maxlen=MOST_NEW_A_MINUTE))
    if len(recent) == MOST_NEW_A_MINUTE and recent[0] > now - 60:
        raise TooMany("Too many new viewers from this address. Allow cookies, or wait a minute.")
    recent.append(now)


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BODY:
            raise BadInput.at("", f"a message of more than {_MOST_BODY:,} bytes.")
    message = parsed(content or b"{}")
    if not isinstance(message, dict):
        raise BadInput.at("", "must be a JSON object.")
    return message


def _next(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Ask this viewer the next pair, as JSON, and name nobody."""
    ballot = votes.ask(arena, viewer)
    voted = sum(each.viewer == viewer and each.counts for each in votes.ballots(arena))
    return JSONResponse(
        {
            **blind.outline(ballot, sample_sets.open_set(arena.reference)),
            "voted": voted,
            "goal": GOAL,
            "data": arena.data,
            "contestants": len(arena.sets),
        }
    )


def _pictures(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Serve the pictures of a pair, `ballot`."""
    ballot = votes.of_viewer(arena, request.query_params.get("ballot", ""), viewer)
    content = blind.pictures(ballot, sample_sets.open_set(arena.reference))
    return Response(content, media_type="application/octet-stream")


def _vote(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Take a vote (`ballot`, `choice`), and answer with who they were and the ranking."""
    ballot_id, choice = str(body.get("ballot", "")), str(body.get("choice", ""))
    ballot = votes.vote(arena, ballot_id, viewer, choice, _leak)
    if choice == votes.SKIP:
        return JSONResponse({"choice": choice})
    return JSONResponse(_revealed(arena, ballot))


def _leak(ballot: Ballot) -> str:
    """Say why the voter knew whose samples these are; "" where nothing speaks for it."""
    sets = [sample_sets.open_set(each) for each in (ballot.left, ballot.right)]
    runs = {each.run for each in sets if each.source == "model"}
    if not sightings.since(ballot.viewer, runs, ballot.asked):
        return ""
    return "You opened a run of this pair while it was before you."


def _revealed(arena: Arena, ballot: Ballot) -> dict[str, Any]:
    sides = {
        side: results.contestant(sample_sets.open_set(name))
        for side, name in (("left", ballot.left), ("right", ballot.right))
    }
    ranking = results.standings(arena, arenas.sets_of(arena)[0])
    return {
        **sides,
        "choice": ballot.choice,
        "second": ballot.second,
        "void": ballot.void,
        "ranking": ranking,
    }


def _second(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Take another choice after the names were seen, kept beside the first."""
    ballot_id, choice = str(body.get("ballot", "")), str(body.get("choice", ""))
    ballot = votes.vote_again(arena, ballot_id, viewer, choice)
    return JSONResponse({"choice": ballot.choice, "second": ballot.second})


def _ranking(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Serve the ranking with its intervals, as JSON."""
    return JSONResponse(results.standings(arena, arenas.sets_of(arena)[0]))


def _csv(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Serve all votes as a CSV file."""
    return _file(results.as_csv(arena), "text/csv", f"arena-{arena.id}.csv")


def _json(arena: Arena, viewer: str, request: Request, body: dict[str, Any]) -> Response:
    """Serve all votes and the ranking as a JSON file."""
    text = json.dumps(results.exported(arena), indent=1)
    return _file(text, "application/json", f"arena-{arena.id}.json")


def _file(text: str, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=kind, headers=headers)
