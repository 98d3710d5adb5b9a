"""Pages and the frame around them. Run by `dashboard/server.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
# Streamlit puts this folder first on the path, where `views` and `live` would hide others.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]

from dashboard.live_view import live_element  # noqa: E402
from dashboard.security import access, uploads  # noqa: E402
from jobs.services import login  # noqa: E402

PAGES = (
    ("launch", "Launch"),
    ("runs", "Runs"),
    ("run", "Run"),
    ("compare", "Compare"),
    ("lab", "Sampler Lab"),
    ("studio", "Studio"),
    ("arena", "Arena"),
    ("grid", "Grid"),
    ("gallery", "Gallery"),
    ("system", "System"),
)
"""file in `views/`, title; a run without a name in its address is the latest"""
HIDDEN = ("grid",)
"""Pages that other pages lead to: not in the menu."""


def main() -> None:
    """Check the login, draw the frame and run the page."""
    icon = HERE / "icon.png"
    st.set_page_config(page_title="Basin", page_icon=icon, layout="wide")
    st.html(HERE / "style.css")
    pages = [
        st.Page(
            HERE / "views" / f"{name}.py",
            title=title,
            url_path=name,
            visibility="hidden" if name in HIDDEN else "visible",
        )
        for name, title in PAGES
    ]
    # the first page has an address of its own, so that links to it can carry settings
    start = st.Page(
        lambda: st.switch_page(pages[0]), title="Basin", default=True, visibility="hidden"
    )
    who = access.identity()
    if login.required() and not login.admits(who):
        # named to Streamlit all the same, else it calls a page's address unknown
        st.navigation([start, *pages], position="hidden")
        uploads.shut_out()
        _ask_to_log_in(who)
        return
    uploads.let_in()
    more = [_log_out_page(who)] if who else []
    if st.context.is_embedded:  # inside a notebook's page: the run alone
        st.html("<style>[data-testid=stMainBlockContainer] { padding-top: 16px }</style>")
        st.navigation([start, *pages, *more], position="hidden").run()
        return
    page = st.navigation([start, *pages, *more], position="top")
    st.logo(icon, size="medium")
    with st.container(key="head"):
        live_element("list/head", key="head_live", height=0)
    page.run()


def _ask_to_log_in(who: str) -> None:
    """Draw the only page for somebody who is not let in."""
    st.title("Basin")
    if not who:
        st.markdown("Log in to launch runs and watch them learn.")
        st.button("Log in", type="primary", on_click=st.login)
        return
    email = str(st.user.get("email") or who)
    unsure = ", an address your provider does not vouch for," if email.lower() != who else ""
    st.text(
        f"You are logged in as {email}{unsure} and are not among those who are let in here. "
        "Ask whoever runs this Basin, or log in as somebody else."
    )
    st.button("Log out", on_click=st.logout)


def _log_out_page(who: str) -> st.Page:
    """Log out, in the menu, where it takes no room from the pages."""
    name = st.user.get("name") or st.user.get("email") or who
    return st.Page(st.logout, title=f"{name} · log out", url_path="logout")


main()
