"""Who is let in to the live routes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.security import access
from jobs.services import login

SECRETS = """[auth]
redirect_uri = "https://basin.example/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "basin"
client_secret = "x"
server_metadata_url = "https://id.example/.well-known/openid-configuration"
"""


def headers(host: str = "127.0.0.1:8501", **more: str) -> dict[str, str]:
    return {"host": host, **more}


def test_a_fresh_token_is_good_and_runs_out() -> None:
    token = access.issue(now=1000.0)
    assert access.verify(token, now=1000.0 + access.VALID_SECONDS - 1)
    assert not access.verify(token, now=1000.0 + access.VALID_SECONDS + 3601)


@pytest.mark.parametrize(
    "forged", ["", "x", "9999999999.", "9999999999..abc", "..", "1e9..x", "٣..x", "9..é"]
)
def test_a_forged_token_is_refused(forged: str) -> None:
    assert not access.verify(forged)


def test_a_token_of_another_basin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = access.issue()
    monkeypatch.setenv("BASIN_HOME", str(tmp_path / "other"))
    assert not access.verify(token)


def test_a_longer_life_cannot_be_written_into_a_token() -> None:
    who, since, signature = access.issue().split(".")
    later = base64.urlsafe_b64encode((2**31).to_bytes(4, "big")).decode().rstrip("=")
    assert access.verify(f"{who}.{since}.{signature}")
    assert not access.verify(f"{who}.{later}.{signature}")


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "localhost", "[::1]:8501"])
def test_loopback_is_let_in(host: str) -> None:
    assert access.refusal(headers(host), access.issue()) == ""
    assert access.refusal(headers(host, origin=f"http://{host}"), access.issue()) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.5:8501",
        "",
        "[",
        "]",
        "[::1",
        "localhost:x",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost#",
        "127.0.0.1, evil.example",
    ],
)
def test_a_foreign_host_is_refused(host: str) -> None:
    assert "BASIN_ALLOWED_HOSTS" in access.refusal(headers(host), access.issue())


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://localhost:8501",
        "http://[",
        "127.0.0.1:8501",
        "http://evil.example@127.0.0.1:8501",
        "http://127.0.0.1:8501.evil.example",
        "",
    ],
)
def test_a_page_of_another_site_is_refused(origin: str) -> None:
    assert "another site" in access.refusal(headers(origin=origin), access.issue())


def test_a_named_host_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_ALLOWED_HOSTS", "lab.example, other.example")
    assert access.refusal(headers("lab.example"), access.issue()) == ""
    assert access.refusal(headers("third.example"), access.issue())


def test_without_a_token_nobody_is_let_in() -> None:
    assert "token" in access.refusal(headers(), "")


# ---------------------------------------------------------------- where people log in


@pytest.fixture
def issued_to(basin_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A token of a page of somebody, where people log in."""
    path = login.secrets_file()
    path.touch(mode=0o600)
    path.write_text(SECRETS)

    def issue(who: str) -> str:
        monkeypatch.setattr(access, "identity", lambda: who)
        return access.issue(now=1000.0)

    return issue


def good(token: str, after: float = 0.0) -> bool:
    return access.verify(token, now=1000.0 + after)


def test_a_token_carries_who_logged_in_until_it_runs_out(
    issued_to: Callable[[str], str],
) -> None:
    token = issued_to("ada@lab.example")
    assert good(token)
    assert good(token, access.VALID_SECONDS - 1)
    assert not good(token, access.VALID_SECONDS + 3601)
    assert token == issued_to("ada@lab.example"), "elements that are drawn anew get equal data"
    assert token != issued_to("bob@lab.example")


def test_a_token_without_identity_is_refused_where_people_log_in(
    issued_to: Callable[[str], str],
) -> None:
    assert not good(issued_to(""))


def test_a_token_from_before_the_login_was_set_up_is_refused(
    issued_to: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "required", lambda: False)
    token = access.issue(now=1000.0)
    assert good(token)
    monkeypatch.setattr(login, "required", lambda: True)
    issued_to("")
    assert not good(token)


def test_another_identity_cannot_be_written_into_a_token(
    issued_to: Callable[[str], str],
) -> None:
    who, since, signature = issued_to("eve@elsewhere.example").split(".")
    ada = base64.urlsafe_b64encode(b"ada@lab.example").decode()
    assert good(f"{who}.{since}.{signature}")
    assert not good(f"{ada}.{since}.{signature}")
    assert not good(f".{since}.{signature}")
    assert not good(f"{who}.{since}.{'0' * len(signature)}")


@pytest.mark.parametrize(
    ("allowed", "who", "let_in"),
    [
        ("", "ada@lab.example", True),
        ("", "sub:7", True),
        ("", "", False),
        ("ada@lab.example", "ada@lab.example", True),
        (" Ada@LAB.example , x@y.example", "ada@lab.example", True),
        ("@lab.example", "ada@lab.example", True),
        ("@lab.example", "ada@sub.lab.example", False),
        ("@lab.example", "ada@evil-lab.example", False),
        ("@lab.example", "ada@lab.example.evil.example", False),
        ("bob@lab.example", "ada@lab.example", False),
        ("@lab.example", "sub:ada@lab.example", False),
        ("sub:ada@lab.example", "sub:ada@lab.example", False),
        ("@lab.example", "", False),
    ],
)
def test_the_list_of_users_decides_at_the_live_routes(
    issued_to: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    allowed: str,
    who: str,
    let_in: bool,
) -> None:
    token = issued_to(who)
    monkeypatch.setenv(login.USERS, allowed)
    assert good(token) == let_in


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"is_logged_in": False}, ""),
        ({}, ""),
        ({"is_logged_in": True, "sub": "7", "email": "Ada@Lab.example"}, "sub:7"),
        (
            {"is_logged_in": True, "sub": "7", "email": "A@b.example", "email_verified": True},
            "a@b.example",
        ),
        (
            {"is_logged_in": True, "sub": "7", "email": "a@b.example", "email_verified": "true"},
            "a@b.example",
        ),
        (
            {"is_logged_in": True, "sub": "7", "email": "a@b.example", "email_verified": None},
            "sub:7",
        ),
        (
            {"is_logged_in": True, "sub": "7", "email": "a@b.example", "email_verified": 1},
            "sub:7",
        ),
        (
            {"is_logged_in": True, "sub": "7", "email": "a@b.example", "email_verified": False},
            "sub:7",
        ),
        (
            {"is_logged_in": True, "sub": "7", "email": "a@b.example", "email_verified": "false"},
            "sub:7",
        ),
        ({"is_logged_in": True, "sub": "7"}, "sub:7"),
    ],
)
def test_an_address_is_an_identity_only_if_the_provider_vouches_for_it(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, object], who: str
) -> None:
    monkeypatch.setattr(login, "required", lambda: True)
    monkeypatch.setattr(access.st, "user", claims)
    assert access.identity() == who


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"iss": "https://id.example"}, "a@b.example"),
        ({"iss": "https://id.example", "email_verified": False}, "sub:7"),
        ({"iss": "https://id.example.evil.example"}, "sub:7"),
        ({}, "sub:7"),
    ],
)
def test_a_provider_that_is_named_is_trusted_where_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, object], who: str
) -> None:
    monkeypatch.setenv(login.ISSUERS, "https://other.example, https://id.example")
    monkeypatch.setattr(login, "required", lambda: True)
    person = {"is_logged_in": True, "sub": "7", "email": "a@b.example"}
    monkeypatch.setattr(access.st, "user", {**person, **claims})
    assert access.identity() == who


def test_where_nobody_logs_in_there_is_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access.st, "user", {"is_logged_in": True, "email": "a@b.example"})
    assert access.identity() == ""
