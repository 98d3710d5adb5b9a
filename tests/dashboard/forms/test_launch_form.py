"""The form of Launch: an edit is checked once, and draws the page anew only for new sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from backend import catalogue
from backend.spec import RunSpec, from_dict
from dashboard import live_view
from dashboard.forms import data_chooser
from jobs.queueing import enqueue, redis_store
from jobs.queueing.enqueue import Check

LAUNCH = Path(dashboard.__file__).parent / "views" / "launch.py"


@dataclass
class Bench:
    """Launch without services: the worker's check is played, and all is counted."""

    checked: list[RunSpec] = field(default_factory=list)
    launched: list[RunSpec] = field(default_factory=list)
    drawn: int = 0
    """how often the script ran down to the form"""

    def check(self, raw: dict[str, Any], origin: str) -> Check:
        spec = from_dict(raw).model_copy(update={"notes": "as it was checked"})
        self.checked.append(spec)
        num = raw.get("config", {}).get("num_steps", "the preset's")
        return Check(True, derived={"config.num_steps": f"Walks {num}."}, spec=spec)

    def launch(self, specs: list[RunSpec], *, origin: str, by: str) -> list[str]:
        self.launched += specs
        return ["one"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    published = catalogue.publish()
    choose = data_chooser.choose

    def counted(*arguments: Any, **settings: Any) -> Any:
        made.drawn += 1
        return choose(*arguments, **settings)

    class Picked:
        chosen = None

    monkeypatch.setattr(redis_store, "catalogue", lambda: published)
    monkeypatch.setattr(redis_store, "workers", list)
    monkeypatch.setattr(live_view, "live_element", lambda *_, **__: Picked())
    monkeypatch.setattr(data_chooser, "live_element", lambda *_, **__: Picked())
    monkeypatch.setattr(data_chooser, "preview_of", lambda name: None)
    monkeypatch.setattr(data_chooser, "choose", counted)
    monkeypatch.setattr(enqueue, "check", made.check)
    monkeypatch.setattr(enqueue, "launch_many", made.launch)
    return made


def opened() -> AppTest:
    app = AppTest.from_file(str(LAUNCH), default_timeout=60).run()
    assert not app.exception
    return app


def test_a_page_that_begins_as_one_before_is_drawn_once(bench: Bench) -> None:
    opened()
    drawn, checked = bench.drawn, len(bench.checked)
    app = opened()
    assert bench.drawn == drawn + 1
    assert len(bench.checked) == checked + 1  # what was remembered is never taken for an answer
    assert any("Walks" in caption.value for caption in app.caption)


def test_a_page_that_begins_with_another_answer_than_before_shows_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()
    spoken = {"config.num_steps": "Walks elsewhere."}
    monkeypatch.setattr(enqueue, "check", lambda raw, origin: Check(True, derived=spoken))
    app = opened()
    assert any("Walks elsewhere." in caption.value for caption in app.caption)


def test_an_edit_that_changes_no_sentence_draws_the_page_once(bench: Bench) -> None:
    app = opened()
    drawn, checked = bench.drawn, len(bench.checked)
    (steps,) = (item for item in app.text_input if item.label == "Steps")
    steps.set_value("61").run()
    assert len(bench.checked) == checked + 1 and bench.checked[-1].budget.steps == 61
    assert bench.drawn == drawn + 1


def test_an_edit_that_changes_a_sentence_shows_the_new_one(bench: Bench) -> None:
    app = opened()
    (num,) = (item for item in app.text_input if item.key.endswith("config.num_steps"))
    num.set_value("7").run()
    assert any("Walks 7." in caption.value for caption in app.caption)


def test_what_was_checked_is_what_is_launched(bench: Bench) -> None:
    app = opened()
    (button,) = (item for item in app.button if item.label == "Launch")
    button.click().run()
    assert bench.launched == [bench.checked[-1]]
    assert bench.launched[0].notes == "as it was checked"


def test_a_button_that_stood_beside_other_data_launches_nothing(bench: Bench) -> None:
    app = opened()
    (button,) = (item for item in app.button if item.label == "Launch")
    app.session_state["launch_data"] = "moons"  # as a tile that was clicked just before
    button.click().run()
    assert not bench.launched
    assert any("stood beside ring" in item.value for item in app.warning)
    (button,) = (item for item in app.button if item.label == "Launch")
    button.click().run()
    assert [spec.data["name"] for spec in bench.launched] == ["moons"]
