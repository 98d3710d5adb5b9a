"""Whether people log in, and what is refused before the dashboard starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import BadInput
from jobs.services import doctor, login
from tests.conftest import ROOT

GOOD = """[auth]
redirect_uri = "https://basin.example/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "basin"
client_secret = "x"
server_metadata_url = "https://id.example/.well-known/openid-configuration"
"""


def write(text: str, mode: int = 0o600) -> Path:
    path = login.secrets_file()
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_nobody_logs_in() -> None:
    login.check()
    assert not login.required()


def test_with_auth_in_it_people_log_in() -> None:
    write(GOOD)
    login.check()
    assert login.required()


def test_secrets_of_another_kind_ask_nobody_to_log_in() -> None:
    write('[other]\nkey = "x"\n')
    login.check()
    assert not login.required()


def test_a_file_that_goes_away_while_it_is_saved_does_not_open_the_pages() -> None:
    path = write(GOOD)
    assert login.required()
    path.unlink()
    assert login.required()


def test_a_file_that_cannot_be_read_does_not_open_the_pages() -> None:
    write("[auth")
    assert login.required()


@pytest.mark.bad_input
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_can_open_is_refused(mode: int) -> None:
    path = write(GOOD, mode)
    with pytest.raises(BadInput) as raised:
        login.check()
    assert f"0{mode:o}: chmod 600 {path}" in str(raised.value)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("redirect_uri", "`auth.redirect_uri`: must be a text"),
        ("cookie_secret", "`auth.cookie_secret`: must be a text"),
        ("client_id", "`auth.client_id`: must be a text"),
        ("client_secret", "`auth.client_secret`: must be a text"),
        ("server_metadata_url", "`auth.server_metadata_url`: must be a text"),
    ],
)
def test_a_setting_that_a_login_needs_is_asked_for(line: str, told: str) -> None:
    write("\n".join(each for each in GOOD.splitlines() if not each.startswith(line)))
    with pytest.raises(BadInput) as raised:
        login.check()
    assert told in str(raised.value) and len(raised.value.problems) == 1


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[auth", "must be readable TOML"),
        ("auth = 1", "auth.client_id"),
        (GOOD.replace("/oauth2callback", "/"), "got 'https://basin.example/'"),
        (GOOD.replace("0123456789abcdef", "short", 1), "32 random characters or more, got 21"),
    ],
)
def test_settings_that_cannot_work_are_refused(text: str, told: str) -> None:
    write(text)
    with pytest.raises(BadInput) as raised:
        login.check()
    assert told in str(raised.value)
    assert "0123456789" not in str(raised.value), "no secret in an error"


@pytest.mark.bad_input
@pytest.mark.parametrize("entry", ["lab.example", "ada@", "@", "ada ada@lab.example", "*"])
def test_a_user_that_nobody_can_be_is_refused(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    write(GOOD)
    monkeypatch.setenv(login.USERS, f"bob@lab.example, {entry}")
    with pytest.raises(BadInput) as raised:
        login.check()
    assert repr(entry) in str(raised.value) and login.USERS in str(raised.value)


@pytest.mark.bad_input
def test_a_list_of_users_without_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(login.USERS, "ada@lab.example")
    with pytest.raises(BadInput) as raised:
        login.check()
    assert "nobody is asked who they are" in str(raised.value)


@pytest.mark.bad_input
@pytest.mark.parametrize("command", ["dashboard", "up"])
def test_nothing_starts_with_secrets_that_others_can_read(command: str) -> None:
    path = write(GOOD, 0o644)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", command],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: `secrets.toml`: {path} must be open to its owner alone (0600), but is 0644: "
        f"chmod 600 {path}, and change what it held.\n"
    )


def test_doctor_says_whether_people_log_in_and_what_is_wrong_with_it() -> None:
    assert doctor._login().result == "none"
    path = write(GOOD, 0o644)
    finding = doctor._login()
    assert not finding.ok and f"chmod 600 {path}" in finding.result
