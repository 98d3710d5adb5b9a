"""The key of a home, the link made of it, and the cookie it is changed for."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.errors import NotAvailable
from jobs.services import entry_link

ADDRESS = "http://127.0.0.1:8501"


@pytest.fixture
def path(basin_home: Path) -> Path:
    return basin_home / "live.key"


def cookies(value: str) -> str:
    return f"other=1; {entry_link.cookie_name()}={value}"


def token() -> str:
    return entry_link.link(ADDRESS).partition("token=")[2]


def test_the_key_is_made_once_and_its_owner_alone_can_read_it(path: Path) -> None:
    key = entry_link.key()
    assert len(key) == 32 and entry_link.key() == key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_whoever_starts_at_once_gets_the_same_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: entry_link.key(), range(32)))) == 1
    assert not list(path.parent.glob("*live.key?*")), "nothing is left aside"


@pytest.mark.parametrize("damaged", [b"", b"x", b"x" * 31])
def test_a_key_that_is_no_secret_is_made_anew(path: Path, damaged: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(damaged)
    key = entry_link.key()
    assert len(key) == 32 and key[:31] != b"x" * 31 and entry_link.key() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_others_could_read_is_made_anew(path: Path) -> None:
    before = entry_link.key()
    path.chmod(0o644)
    assert entry_link.key() != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_disk_that_knows_no_modes_keeps_its_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = entry_link.key()
    path.chmod(0o644)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    assert entry_link.key() == before


@pytest.mark.bad_input
def test_a_folder_in_its_place_is_told_with_what_to_do(path: Path) -> None:
    path.mkdir()
    with pytest.raises(NotAvailable, match=r"live\.key can neither be read nor made.*remove it"):
        entry_link.key()


@pytest.mark.bad_input
def test_a_key_that_cannot_be_read_is_told_and_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = entry_link.key()

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(NotAvailable, match="Permission denied"):
            entry_link.key()
    assert entry_link.key() == key


def test_the_link_opens_and_stays_the_same(path: Path) -> None:
    assert entry_link.opens(token()) and token() == token()
    assert entry_link.key().hex() not in entry_link.link(ADDRESS)


@pytest.mark.parametrize("forged", ["", "x", "é", "0" * 40])
def test_another_link_does_not(forged: str) -> None:
    assert not entry_link.opens(forged)


def test_a_new_key_ends_links_and_cookies(path: Path) -> None:
    link, shown = token(), cookies(entry_link.cookie())
    assert entry_link.opens(link) and entry_link.knows(shown)
    path.unlink()
    assert not entry_link.opens(link) and not entry_link.knows(shown)


def test_a_cookie_is_known_until_it_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = cookies(entry_link.cookie())
    assert entry_link.knows(shown)
    monkeypatch.setattr(entry_link, "COOKIE_SECONDS", -1)
    assert not entry_link.knows(shown)


def test_a_forged_cookie_is_not() -> None:
    good = entry_link.cookie()
    for forged in ("", "visitor", good[:-1], good.replace("visitor", "owner"), token(), "é", '"'):
        assert not entry_link.knows(cookies(forged)), forged
    assert not entry_link.knows("") and not entry_link.knows(good)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_a_home_made_for_the_key_is_private_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    home = tmp_path / "above" / "home"
    monkeypatch.setenv("BASIN_HOME", str(home))
    before = os.umask(mask)
    try:
        entry_link.key()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (home, home.parent)] == [0o700, 0o700]
