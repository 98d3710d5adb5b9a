"""Web server: Streamlit's pages and the live routes, one process and one port.

Started by `basin dashboard`, which fixes every setting that must not depend on the user's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import shell
from dashboard.security.gate import Gate
from dashboard.static_files import StreamlitsCode
from dashboard.stream import arena
from dashboard.stream.hub import Hub
from dashboard.stream.routes import routes

hub = Hub()


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Follow runs while the server is up."""
    async with hub.running():
        yield


app = st.App(
    Path(__file__).with_name("app.py"),
    routes=[*shell.routes(), *routes(hub), *arena.routes()],
    middleware=[Middleware(Gate), Middleware(StreamlitsCode)],
    lifespan=lifespan,
)
