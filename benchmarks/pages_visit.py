"""A visit of the pages benchmark: one page opened, what it cost, what axe says of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, ConsoleMessage, Page

SECONDS = 60.0
"""A page that is not usable within them is reported as if it took as long."""
QUIET_SECONDS = 1.5
"""After a page is usable, what still comes in counts."""
_WATCH = """
(() => {
    const visit = { shift: 0, usable: null }
    window.basinVisit = visit
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) visit.shift += entry.value
    }).observe({ type: "layout-shift", buffered: true })
    const isThere = (selector) => [...document.querySelectorAll(selector)].some(
        (element) => element.getClientRects().length > 0)
    const look = () => {
        if (SELECTORS.every(isThere)) visit.usable = performance.now()
        else setTimeout(look, 15)
    }
    look()
})()
"""
_MEASURED = """() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
    shift: window.basinVisit.shift,
    usable: window.basinVisit.usable,
})"""


@dataclass(frozen=True)
class Case:
    """Page of the benchmark: its address, and what must be in sight for it to be usable."""

    name: str
    path: str
    usable: tuple[str, ...]
    """selectors, each of which must match something that is laid out"""


@dataclass
class Visit:
    """Cost of one visit."""

    first_paint: float = SECONDS
    """seconds to the first contentful paint"""
    usable: float = SECONDS
    """seconds until all that matters is in sight"""
    shift: float = 0.0
    """layout shift without input, summed up"""
    megabytes: float = 0.0
    """over HTTP, as sent, headers included"""
    socket_megabytes: float = 0.0
    main_thread: float = 0.0
    """seconds of CPU of the page's main thread: of it alone a busy machine says the same"""
    requests: int = 0
    errors: list[str] = field(default_factory=list)
    """errors of the console and exceptions"""
    largest: dict[str, int] = field(default_factory=dict)
    """bytes by the last part of the address"""


class _Traffic:
    """Count of what a page fetches, as the browser's own network panel sees it."""

    def __init__(self, session: CDPSession, visit: Visit) -> None:
        self.visit = visit
        self.names: dict[str, str] = {}
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._loaded)
        session.on("Network.webSocketFrameReceived", self._received)
        session.send("Network.enable")

    def _asked(self, event: dict[str, Any]) -> None:
        address = event["request"]["url"]
        if address.startswith("http"):
            self.names[event["requestId"]] = address.partition("?")[0].rpartition("/")[2]

    def _loaded(self, event: dict[str, Any]) -> None:
        name = self.names.get(event["requestId"])
        if name is None:
            return
        num_bytes = int(event["encodedDataLength"])
        self.visit.requests += 1
        self.visit.megabytes += num_bytes / 1e6
        self.visit.largest[name] = self.visit.largest.get(name, 0) + num_bytes

    def _received(self, event: dict[str, Any]) -> None:
        response = event["response"]
        size = len(response["payloadData"])
        # what is no text comes in base 64
        self.visit.socket_megabytes += (size if response["opcode"] == 1 else 0.75 * size) / 1e6


def visit(context: BrowserContext, address: str, case: Case) -> tuple[Page, Visit]:
    """Open a page and wait until it is usable and quiet; the caller closes it."""
    page = context.new_page()
    result = Visit()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    _Traffic(session, result)

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            result.errors.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: result.errors.append(str(error)))
    page.add_init_script(_WATCH.replace("SELECTORS", json.dumps(case.usable)))
    page.goto(f"{address}/{case.path}", wait_until="commit")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        page.wait_for_timeout(100)
        if page.evaluate("() => window.basinVisit?.usable ?? null") is not None:
            break
    page.wait_for_timeout(1000 * QUIET_SECONDS)
    measured = page.evaluate(_MEASURED)
    result.shift = float(measured["shift"])
    if measured["paint"] is not None:
        result.first_paint = measured["paint"] / 1000
    if measured["usable"] is not None:
        result.usable = measured["usable"] / 1000
    metrics = session.send("Performance.getMetrics")["metrics"]
    result.main_thread = next(
        float(item["value"]) for item in metrics if item["name"] == "TaskDuration"
    )
    return page, result


def violations(page: Page) -> list[str]:
    """List what axe-core objects to: rule, its weight, the element."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{item['id']} ({item['impact']}): {node['html'][:200]}"
        for item in Axe().run(page).response["violations"]
        for node in item["nodes"]
    ]


def overflow(page: Page, width: int = 390) -> int:
    """Return the pixels by which a page is wider than a narrow screen."""
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(600)
    return int(
        page.evaluate(
            """() => {
                const main = document.querySelector('[data-testid="stMain"]')
                const widths = [document.documentElement, main].map((element) =>
                    element ? element.scrollWidth - element.clientWidth : 0)
                return Math.max(...widths)
            }"""
        )
    )
