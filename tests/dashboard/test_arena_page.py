"""The Arena in a real browser: blind until the vote, void where the voter looked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from jobs.arena import arenas, votes
from tests.dashboard.conftest import Basin, address, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response, WebSocket

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

NAMES = ("Secret heron", "Secret kestrel")


class Traffic:
    """All that a page is sent: bodies of responses and frames of WebSockets."""

    def __init__(self, page: Page) -> None:
        self.responses: list[Response] = []
        self.frames: list[bytes] = []
        page.on("response", lambda response: self.responses.append(response))
        page.on("websocket", lambda socket: self.listen(socket))

    def listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self.frames.append(_bytes(frame)))

    def content(self) -> bytes:
        bodies = [
            response.url.encode() + response.body()
            for response in self.responses
            if response.ok and response.status != 204
        ]
        return b"\n".join([*bodies, *self.frames])


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def test_a_vote_is_blind_and_a_look_makes_it_void(
    basin: Basin, page: Page, browser: Browser
) -> None:
    runs = [basin.launch(steps=30, name=name, seed=at) for at, name in enumerate(NAMES)]
    page.goto(f"{basin.address}/arena?id={'f' * 12}")
    page.get_by_text("This arena is not there").wait_for(timeout=60_000)
    page.get_by_role("button", name="Choose runs").click()
    begin = page.get_by_role("button", name="Draw samples and begin")
    begin.click(timeout=60_000)
    page.get_by_text("choose two trained runs, or one beside real data").wait_for()
    page.goto(f"{basin.address}/arena?runs={','.join(run.id for run in runs)}")
    begin.click(timeout=60_000)
    page.locator(".bl-sides canvas").nth(1).wait_for(timeout=90_000)
    wait_for(lambda: re.search("arena\\?id=[0-9a-f]{12}$", address(page)), "a link without runs")
    [arena] = arenas.list_arenas()

    voter = browser.new_context(viewport={"width": 800, "height": 900})
    ballot = voter.new_page()
    traffic = Traffic(ballot)
    ballot.goto(address(page))
    ballot.locator(".bl-sides canvas").nth(1).wait_for(timeout=60_000)
    wait_for(lambda: any("live/head" in each.url for each in traffic.responses), "the head")
    before = traffic.content()
    assert b"vote" in before and len(traffic.frames) > 2
    for secret in (*NAMES, *(run.id for run in runs), *arena.sets, arena.reference):
        assert secret.encode() not in before, secret
    assert not [name for name in NAMES if name in ballot.locator("body").inner_text()]

    ballot.keyboard.press("ArrowLeft")
    ballot.locator(".bl-contestant").nth(1).wait_for()
    for words in ("You chose A", "Ranking so far", "time a sample"):
        ballot.get_by_text(words).first.wait_for()
    ballot.get_by_role("button", name="Change to B").click()
    ballot.get_by_text("vote 2 of 20").wait_for()

    other = voter.new_page()  # what a blind voter must not do
    other.goto(f"{basin.address}/run?id={runs[0].id}")
    other.locator(".bl-bar, .bl-facts").first.wait_for(timeout=60_000)
    other.goto(f"{basin.address}/run?id={runs[1].id}")
    other.locator(".bl-bar, .bl-facts").first.wait_for(timeout=60_000)
    ballot.bring_to_front()
    ballot.keyboard.press("ArrowUp")
    ballot.get_by_text("This vote does not count").wait_for()
    ballot.keyboard.press("Enter")
    ballot.get_by_text("vote 2 of 20").wait_for()
    voter.close()
    first, second = [each for each in votes.ballots(arena) if each.choice]
    assert (first.choice, first.second, first.void) == ("left", "right", "")
    assert (second.choice, second.second) == ("tie", "tie") and second.void
