"""Who is let in to the live routes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dashboard import access


def headers(host: str = "127.0.0.1:8501", **more: str) -> dict[str, str]:
    return {"host": host, **more}


def test_a_fresh_token_is_good_and_runs_out() -> None:
    token = access.issue(now=1000.0)
    assert access.verify(token, now=1000.0 + access.VALID_SECONDS - 1)
    assert not access.verify(token, now=1000.0 + access.VALID_SECONDS + 3601)


@pytest.mark.parametrize("forged", ["", "x", "9999999999.", "9999999999.abc", ".", "1e9.x", "٣.x"])
def test_a_forged_token_is_refused(forged: str) -> None:
    assert not access.verify(forged)


def test_a_token_of_another_basin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = access.issue()
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "other"))
    assert not access.verify(token)


def test_a_longer_life_cannot_be_written_into_a_token() -> None:
    expires, _, signature = access.issue().partition(".")
    assert not access.verify(f"{int(expires) + 1}.{signature}")


def test_only_the_owner_can_read_the_key(basin_home: Path) -> None:
    access.issue()
    assert stat.S_IMODE((basin_home / "live.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "localhost", "[::1]:8501"])
def test_loopback_is_let_in(host: str) -> None:
    assert access.refusal(headers(host), access.issue()) == ""
    assert access.refusal(headers(host, origin=f"http://{host}"), access.issue()) == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.5:8501", ""])
def test_a_foreign_host_is_refused(host: str) -> None:
    assert "BASIN_ALLOWED_HOSTS" in access.refusal(headers(host), access.issue())


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8501"]
)
def test_a_page_of_another_site_is_refused(origin: str) -> None:
    assert "another site" in access.refusal(headers(origin=origin), access.issue())


def test_a_named_host_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_ALLOWED_HOSTS", "lab.example, other.example")
    assert access.refusal(headers("lab.example"), access.issue()) == ""
    assert access.refusal(headers("third.example"), access.issue())


def test_without_a_token_nobody_is_let_in() -> None:
    assert "token" in access.refusal(headers(), "")
