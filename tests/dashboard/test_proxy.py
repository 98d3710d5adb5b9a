"""Basin behind a real nginx with the configuration of docs/nginx.conf, over TLS."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dashboard.security import access
from dashboard.settings import UPLOAD_MEGABYTES
from jobs.services import entry_link
from tests.conftest import ROOT, free_port
from tests.dashboard.conftest import Basin, address, live_frames, wait_for
from tests.dashboard.test_server import UPGRADE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFIGURATION = ROOT / "docs" / "nginx.conf"
# The one process there is runs as whoever tests, and keeps to one folder.
AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/basin.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """An nginx in front of the running Basin."""

    folder: Path
    host: str
    plain_host: str

    @property
    def address(self) -> str:
        return f"https://{self.host}"

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body; the certificate is checked."""
        trusted = ssl.create_default_context(cafile=self.folder / "certificate.pem")
        connection = http.client.HTTPSConnection(self.host, timeout=5, context=trusted)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, b"" if answer.status == 101 else answer.read()
        finally:
            connection.close()

    def logged(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


def make_certificate(folder: Path) -> None:
    """For 127.0.0.1 and an hour, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="module")
def nginx_path() -> str:
    """The system's nginx; `make test` installs one where there is none."""
    names = (os.environ.get("BASIN_NGINX", ""), "nginx", "/usr/sbin/nginx")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail("no nginx: `make test` installs one, or set BASIN_NGINX to its path")
    return path


@pytest.fixture(scope="module")
def proxy(
    running: Basin, nginx_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    make_certificate(folder)
    port, plain_port = free_port(), free_port()
    text = CONFIGURATION.read_text()
    for written, here in (
        ("basin.example", "127.0.0.1"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("/etc/ssl/basin/fullchain.pem", f"{folder}/certificate.pem"),
        ("/etc/ssl/basin/privkey.pem", f"{folder}/key.pem"),
        ("/var/log/nginx/", f"{folder}/"),
        ("http://127.0.0.1:8501", running.address),
    ):
        assert written in text, "the file and this test have parted"
        text = text.replace(written, here)
    (folder / "basin.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    command = [nginx_path, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    served = Proxy(folder, f"127.0.0.1:{port}", f"127.0.0.1:{plain_port}")

    def answers() -> bool:
        try:
            return served.get("/live/health")[0] == 200
        except ConnectionRefusedError:
            assert process.poll() is None, process.communicate()[1]
            return False

    try:
        wait_for(answers, "nginx")
        yield served
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_is_live_through_the_proxy(basin: Basin, proxy: Proxy, browser: Browser) -> None:
    run = basin.launch(30)
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{proxy.address}/run?id={run.id}")
    page.get_by_text("whoever has its link").wait_for()
    page.goto(entry_link.link(proxy.address))
    page.locator(".basin-head").wait_for()
    assert "token" not in address(page)
    received = live_frames(page)
    page.goto(f"{proxy.address}/run?id={run.id}")
    page.wait_for_selector(".bl-hero canvas")
    wait_for(
        lambda: page.wait_for_timeout(50) or any(isinstance(each, bytes) for each in received),
        "frames of the run",
    )
    assert "Live updates stopped" not in page.inner_text("body")
    assert all(cookie["secure"] for cookie in context.cookies())
    context.close()


def test_files_come_through_the_proxy(basin: Basin, proxy: Proxy) -> None:
    run = basin.launch(20)
    name, path = next((name, run.path_of(name)) for name, _ in run.files())
    address = f"/live/file?run={run.id}&name={name}&token="
    assert proxy.get(address + access.issue()) == (200, path.read_bytes())
    assert proxy.get(address + "x")[0] == 403


def test_strangers_are_refused_through_the_proxy(basin: Basin, proxy: Proxy) -> None:
    address = f"/live/ws?token={access.issue()}"
    own = {**UPGRADE, "Origin": proxy.address}
    assert proxy.get(address, own)[0] == 101
    assert proxy.get(address, {**own, "Origin": "https://evil.example"})[0] == 403
    assert proxy.get(address, {**own, "Origin": basin.address})[0] == 403
    assert proxy.get(address, {**own, "Host": "evil.example"})[0] == 421
    assert proxy.get("/", {"Host": "evil.example"})[0] == 421


def test_who_asks_without_tls_is_sent_to_tls(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection(proxy.plain_host, timeout=5)
    connection.request("GET", "/run?id=x")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, "https://127.0.0.1/run?id=x")
    connection.close()


def test_the_largest_upload_fits_and_no_more(proxy: Proxy) -> None:
    assert f"client_max_body_size {UPLOAD_MEGABYTES + 1}m;" in CONFIGURATION.read_text()
    assert proxy.get("/", {"Content-Length": str((UPLOAD_MEGABYTES + 2) << 20)})[0] == 413


def test_tokens_are_not_in_the_logs_of_the_proxy(proxy: Proxy) -> None:
    assert proxy.get("/live/file?token=SECRET", {"X": "served"})[0] == 403
    # what nginx itself refuses, it writes to its log of errors
    too_much = {"Content-Length": str(1 << 40)}
    assert proxy.get("/live/file?token=SECRET", too_much)[0] == 413
    wait_for(lambda: proxy.logged().count('"GET /live/file" 4') >= 2, "lines in the log")
    assert "SECRET" not in proxy.logged()
