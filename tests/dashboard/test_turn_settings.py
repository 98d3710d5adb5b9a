"""The panel of settings that are turned while a run trains."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from backend.config import turnable
from backend.methods.contrastive_divergence import ContrastiveDivergenceConfig
from backend.spec import RunSpec
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import this_process


def panel(run_id: str) -> None:
    from dashboard.run_acts.turn_settings import show_turn_settings
    from jobs.records import run_store

    directory = run_store.open_run(run_id)
    show_turn_settings(directory, directory.status())


@pytest.fixture
def run() -> RunDirectory:
    directory = run_store.create_run(
        RunSpec(method="contrastive_divergence", data={"name": "ring"})
    )
    directory.write_settings({}, turnable(ContrastiveDivergenceConfig()))
    directory.write_status(status="running", **this_process())
    return directory


def test_what_stands_in_a_field_is_asked_of_the_run_by_what_the_field_is(run: RunDirectory) -> None:
    page = AppTest.from_function(panel, args=(run.id,)).run()
    fields = {field.label: field for field in page.text_input}
    assert fields["Learning rate"].value == "0.01"
    assert {"Longest gradient, sampler (nats / data sd)", "Longest gradient, train"} <= set(fields)
    fields["Learning rate"].set_value("1e-3")
    page.button[0].click().run(timeout=20)
    assert not page.error and not page.exception
    (request,) = run.turn_requests()
    assert request.settings == {"train.learning_rate": 0.001}, "what was not touched is not asked"


def test_a_value_that_cannot_be_is_refused_at_its_words(run: RunDirectory) -> None:
    page = AppTest.from_function(panel, args=(run.id,)).run()
    next(f for f in page.text_input if f.label == "Learning rate").set_value("-1")
    page.button[0].click().run(timeout=20)
    assert page.error[0].value.startswith("Learning rate: must be ≥ 0")
    assert run.turn_requests() == []


def test_a_run_that_is_over_has_no_panel(run: RunDirectory) -> None:
    run.write_status(status="finished")
    page = AppTest.from_function(panel, args=(run.id,)).run()
    assert not page.text_input and not page.button
