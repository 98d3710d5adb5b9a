"""The command and the environment of the server hold nothing of the user's own settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard import settings


def test_the_server_is_started_with_fixed_settings(basin_home: Path) -> None:
    command = settings.command("127.0.0.1", 9000)
    assert command[1:4] == ["-m", "streamlit", "run"]
    for setting in (
        "--server.address=127.0.0.1",
        "--server.port=9000",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        f"--secrets.files={basin_home / 'secrets.toml'}",
    ):
        assert setting in command


def test_no_variable_of_streamlit_comes_through(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLIT_SERVER_ENABLE_CORS", "false")
    environment = settings.environment()
    assert "STREAMLIT_SERVER_ENABLE_CORS" not in environment
    assert environment["HOME"] == environment["BASIN_HOME"] == str(basin_home)
