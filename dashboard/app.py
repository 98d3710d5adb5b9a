"""The pages and the frame around them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
PAGES = {"launch": "Launch", "runs": "Runs", "compare": "Compare", "system": "System"}


def main() -> None:
    st.set_page_config(page_title="Basin", page_icon=":material/water:", layout="wide")
    st.write("Basin")


main()
