"""The running server: its settings are those that keep it safe and quick, nothing leaves it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashboard.security import access
from tests.conftest import ROOT, free_port
from tests.dashboard.conftest import READY_SECONDS, Basin, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def settings_of(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/live/health") as answer:
        return dict(json.load(answer)["settings"])


def test_its_settings_are_in_force(basin: Basin) -> None:
    assert settings_of(basin.address) == {
        "server.address": "127.0.0.1",
        "server.headless": True,
        "server.maxUploadSize": 200,
        "server.maxMessageSize": 20,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "runner.postScriptGC": False,
        "runner.magicEnabled": False,
        "client.toolbarMode": "minimal",
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.trustedUserHeaders": {},
        "server.allowedHosts": ["127.0.0.1", "::1", "localhost"],
        "server.baseUrlPath": "",
        "server.corsAllowedOrigins": [],
        "server.enableAgentApi": False,
        "server.enableStaticServing": False,
        "client.showErrorDetails": "type",
        "global.developmentMode": False,
    }


LOOSE = """
[global]
developmentMode = true
[server]
address = "0.0.0.0"
baseUrlPath = "basin"
enableCORS = false
corsAllowedOrigins = ["http://evil.example"]
allowedHosts = ["*"]
enableXsrfProtection = false
enableStaticServing = true
enableAgentApi = true
scriptHealthCheckEnabled = true
sslCertFile = "/nowhere.pem"
maxUploadSize = 5000
[client]
showErrorDetails = "full"
[secrets]
files = ["/etc/hostname"]
"""


def test_settings_of_the_users_own_loosen_nothing(
    basin: Basin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / ".streamlit", tmp_path / "here" / ".streamlit"):
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(LOOSE)
    own = {
        "HOME": str(tmp_path),
        "BASIN_HOME": str(tmp_path / "home"),
        "STREAMLIT_SERVER_BASE_URL_PATH": "basin",
        "STREAMLIT_SERVER_ENABLE_CORS": "false",
        "STREAMLIT_SERVER_CORS_ALLOWED_ORIGINS": "http://evil.example",
        "STREAMLIT_SERVER_COOKIE_SECRET": "known to others",
        "STREAMLIT_SERVER_PORT": "1",
        "STREAMLIT_SERVER_ENABLE_AGENT_API": "true",
        "STREAMLIT_GLOBAL_DEVELOPMENT_MODE": "true",
    }
    port = free_port()
    command = [sys.executable, "-m", "jobs.cli", "dashboard", "--port", str(port)]
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **own}, cwd=tmp_path / "here", stdout=file, stderr=file
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return bool(settings_of(address))
        except urllib.error.URLError:
            assert process.poll() is None, said.read_text()
            return False

    try:
        wait_for(answers, "the dashboard", READY_SECONDS)
        assert settings_of(address) == settings_of(basin.address)
    finally:
        process.kill()
        process.wait()


@pytest.mark.bad_input
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab.example", ""])
def test_it_is_not_opened_to_the_network_without_a_login(host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "dashboard", "--host", host],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: `--host`: ") and "--without-login" in done.stderr


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
    answer = page.goto(f"{basin.address.replace('127.0.0.1', 'evil.localhost')}/launch")
    assert answer is not None and answer.status == 403
    told = "This address is not one that Basin answers to; see BASIN_ALLOWED_HOSTS."
    words = ["Basin", *told.split()]
    wait_for(lambda: page.inner_text("body").split() == words, "the refusal")


def status(host: str, path: str, headers: dict[str, str], method: str = "GET") -> int:
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_page_whose_server_is_gone_says_so_uncovered(
    browser: Browser, basin_home: Path, redis_url: str
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "jobs.cli", "dashboard", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    context = browser.new_context()

    def answers() -> bool:
        try:
            return status(f"127.0.0.1:{port}", "/live/health", {}) == 200
        except OSError:
            return False

    try:
        wait_for(answers, "the dashboard", READY_SECONDS)
        page = context.new_page()
        missing: list[str] = []
        page.on("response", lambda answer: answer.status >= 400 and missing.append(answer.url))
        page.goto(f"http://127.0.0.1:{port}/system")
        page.wait_for_selector(".basin-head")
        page.wait_for_timeout(1000)
        assert missing == [] and page.locator(".basin-away").count() == 0
        process.kill()
        process.wait()
        page.wait_for_selector(".basin-away")
        page.wait_for_timeout(12_000)  # Streamlit's dialog comes after some tries
        page.locator(".basin-away", has_text="Basin does not answer").wait_for()
        assert page.locator('[data-testid="stDialog"]:visible').count() == 0
    finally:
        context.close()
        process.kill()
        process.wait()
