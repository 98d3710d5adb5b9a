"""The race form by itself: acts on it that come together, as they do while the page is drawn."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from backend import catalogue
from dashboard.sampler_lab import race_check
from dashboard.sampler_lab.race_check import Checked


def show() -> None:
    """The form, and below it who races."""
    import streamlit as st

    from dashboard.sampler_lab import race_form

    race_form.show_form(st.session_state["catalogue"])


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    import streamlit as st

    monkeypatch.setattr(race_check, "check", lambda *_: Checked([]))  # a worker's part
    monkeypatch.setattr(
        race_check, "beside", lambda race, *_: st.text([each["kind"] for each in race.racers])
    )
    app = AppTest.from_function(show, default_timeout=60)
    app.session_state["catalogue"] = catalogue.publish()
    return app.run()


def switch(form: AppTest, kind: str) -> None:
    box = next(box for box in form.checkbox if f":{kind}:" in str(box.key))
    box.set_value(not box.value)


def buttons(form: AppTest, act: str) -> list[Button]:
    """The buttons of one act, in the order of the racers."""
    return [button for button in form.button if str(button.key).endswith(f":{act}")]


def racers(form: AppTest) -> str:
    assert not form.exception
    return str(form.text[0].value)


@pytest.mark.slow
def test_no_act_is_lost_to_another_that_comes_with_it(form: AppTest) -> None:
    assert racers(form) == "['langevin', 'mala', 'nuts', 'parallel_tempering']"
    switch(form, "langevin")
    buttons(form, "again")[1].click()  # MALA's: drawn below the box
    form.run()
    assert racers(form) == "['mala', 'mala', 'nuts', 'parallel_tempering']"
    switch(form, "langevin")
    switch(form, "nuts")
    buttons(form, "out")[0].click()
    form.run()
    assert racers(form) == "['langevin', 'mala', 'parallel_tempering']"
