"""The running server: its settings are those that keep it safe and quick, nothing leaves it."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest

from dashboard import access
from tests.dashboard.conftest import Basin

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def test_its_settings_are_in_force(basin: Basin) -> None:
    with urllib.request.urlopen(f"{basin.address}/live/health") as answer:
        settings = json.load(answer)["settings"]
    assert settings == {
        "server.address": "127.0.0.1",
        "server.headless": True,
        "server.maxUploadSize": 200,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "runner.postScriptGC": False,
        "runner.magicEnabled": False,
        "client.toolbarMode": "minimal",
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.trustedUserHeaders": {},
    }


def test_it_listens_on_the_loopback_address_alone(basin: Basin) -> None:
    others = {
        info[4][0]
        for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        if not str(info[4][0]).startswith("127.")
    }
    if not others:
        pytest.skip("this machine has no other address")
    port = int(basin.address.rpartition(":")[2])
    for address in others:
        with pytest.raises(OSError), socket.create_connection((str(address), port), timeout=2):
            pass


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}], ids=str
)
def test_the_live_routes_refuse_strangers_on_the_real_server(
    basin: Basin, headers: dict[str, str]
) -> None:
    token = access.issue()
    host = basin.address.removeprefix("http://")
    for path, more, good in (
        (f"/live/file?run=latest&name=nothing.txt&token={token}", {}, 404),
        (f"/live/ws?token={token}", UPGRADE, 101),
    ):
        assert status(host, path, more) == good, "with nothing strange about it, it is let in"
        assert status(host, path, {**more, **headers}) == 403
        assert status(host, path.replace(token, "x"), more) == 403


def test_a_page_under_a_name_of_somebody_else_shows_nothing(basin: Basin, page: Page) -> None:
    page.goto(f"{basin.address.replace('127.0.0.1', 'evil.localhost')}/launch")
    page.get_by_text("not one that Basin answers to; see BASIN_ALLOWED_HOSTS").wait_for()
    assert page.get_by_test_id("stMain").get_by_role("button").count() == 0


def status(host: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_no_page_asks_anything_of_another_server(basin: Basin, browser: Browser) -> None:
    run = basin.launch(20)
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("launch", "runs", f"run?id={run.id}", f"compare?runs={run.id}", "system"):
        page.goto(f"{basin.address}/{path}")
        page.wait_for_selector(".basin-head")
        page.wait_for_timeout(1000)
    context.close()
    home = (basin.address, basin.address.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(home)] == []
