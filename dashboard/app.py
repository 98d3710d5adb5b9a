"""Pages and the frame around them. Run by `dashboard/server.py`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
# Streamlit puts this folder first on the path, where `views` and `live` would hide others.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]

from backend.errors import BasinError  # noqa: E402
from dashboard.elements import plural  # noqa: E402
from dashboard.security import access, uploads  # noqa: E402
from jobs.records import run_store  # noqa: E402
from jobs.services import login  # noqa: E402

PAGES = (
    ("launch", "Launch", False),
    ("runs", "Runs", False),
    ("compare", "Compare", False),
    ("lab", "Sampler Lab", False),
    ("studio", "Studio", False),
    ("gallery", "Gallery", False),
    ("system", "System", False),
    ("run", "Run", True),
)
"""file in `views/`, title, whether it is left out of the menu"""


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
            visibility="hidden" if hidden else "visible",
        )
        for name, title, hidden in PAGES
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
    page = st.navigation([start, *pages, *more], position="top")
    if page.url_path in ("launch", "system"):
        _say_what_needs_a_look()
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


@st.fragment(run_every=5)
def _say_what_needs_a_look() -> None:
    """Draw runs with alarms, on pages without a live stream; the others are told by it."""
    with contextlib.suppress(BasinError, OSError):
        runs = [run for run in run_store.list_runs() if run.needs_a_look]
        if runs:
            verb = "needs" if len(runs) == 1 else "need"
            link = f"run?id={runs[0].id}" if len(runs) == 1 else "runs"
            st.markdown(f":orange[⚠] [{plural(len(runs), 'run')} {verb} a look]({link})")


main()
