"""Streamlit's settings and the server's environment: fixed, whatever a user's own say.

Streamlit looks for settings in the environment, in HOME and in the working folder; BASIN_HOME is
both, and no variable of Streamlit's comes through.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from backend.system.home import make_private
from jobs.records import run_store
from jobs.services import login

HERE = Path(__file__).resolve().parent
UPLOAD_MEGABYTES = 200
MESSAGE_MEGABYTES = 20
"""Size of a WebSocket message, either way: beyond it the line is closed while it comes in."""
FIXED: dict[str, Any] = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": UPLOAD_MEGABYTES,
    "server.maxMessageSize": MESSAGE_MEGABYTES,
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "runner.magicEnabled": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.trustedUserHeaders": "{}",  # who somebody is comes from the provider alone
    "server.enableAgentApi": "false",
    "server.enableStaticServing": "false",
    "server.baseUrlPath": "",
    "client.showErrorDetails": "type",  # the rest is in the log
    "global.developmentMode": "false",
}
"""Settings that are the same on every machine."""
REPORTED = (
    *FIXED,
    "server.address",
    "server.allowedHosts",
    "server.corsAllowedOrigins",
    "runner.postScriptGC",
)
"""What /live/health tells of the settings in force; a test reads them from the running server."""
_ENVIRONMENT = {
    "STREAMLIT_RUNNER_POST_SCRIPT_GC": "false",  # else every script run ends with a full collection
    # What was read from a long history goes back to the system: 194 MB instead of 226 with one of
    # a million points. The server computes nothing that would miss a thread's own arena.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "100000",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OPENBLAS_NUM_THREADS": "1",
}


def command(host: str, port: int) -> list[str]:
    """Build the command that serves the pages on an address."""
    options = {
        **FIXED,
        "server.address": host,
        "server.port": port,
        "server.allowedHosts": sorted(login.hosts()),
        "secrets.files": login.secrets_file(),
        "theme.base": HERE / "theme.toml",
    }
    arguments = [
        f"--{name}={each}"
        for name, value in options.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return [sys.executable, "-m", "streamlit", "run", str(HERE / "server.py"), *arguments]


def environment() -> dict[str, str]:
    """Build the server's environment, with BASIN_HOME for its HOME. Raises OSError."""
    home = str(make_private(run_store.home()))
    others = {
        name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")
    }
    folders = {"HOME": home, "BASIN_HOME": home, "BASIN_DATA": str(run_store.data_folder())}
    return {**others, **_ENVIRONMENT, **folders}
