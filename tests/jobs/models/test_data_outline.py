"""Outline of data: what a form knows of a file, and which methods cannot take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend import catalogue
from jobs import tasks
from jobs.models.data_outline import look, outline
from jobs.queueing import job_calls


def test_each_column_is_told_with_range_missing_and_histogram(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv"
    states = ["ok", "worn", "ok", "blocked"]
    rows = [f"2026-03-{1 + i % 28:02d},{i / 10},{i % 5},{states[i % 4]}" for i in range(60)]
    path.write_text("\n".join(["day,flow,starts,state", *rows]) + "\n")
    seen = look({"name": "file", "path": str(path)})
    day, flow, starts, state = seen["columns"]
    assert (day["kind"], day["low"], day["high"]) == ("date", "2026-03-01", "2026-03-28")
    assert (flow["kind"], flow["low"], flow["high"], flow["missing"]) == ("number", 0.0, 5.9, 0)
    assert sum(flow["counts"]) == 60 and len(flow["counts"]) == 20
    assert (starts["kind"], starts["distinct"]) == ("whole number", 5)
    assert (state["kind"], state["values"], state["counts"]) == (
        "text",
        ("ok", "worn", "blocked"),
        (30, 15, 15),
    )


def test_missing_values_are_counted_and_what_is_learned_is_told(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = np.random.default_rng(0).normal(size=(50, 2))
    path.write_text("a,b\n" + "\n".join(f"{a},{b}" for a, b in rows) + "\n")
    seen = look({"name": "file", "path": str(path), "columns": ["b"]})
    assert seen["learned"] == ["b"] and seen["event_shape"] == [1] and seen["problems"] == []
    path.write_text("a,b\n" + "\n".join(f"{a}," for a, _ in rows) + "\n")
    assert look({"name": "file", "path": str(path)})["columns"][1]["missing"] == 50


def test_images_are_told_from_points(tmp_path: Path) -> None:
    path = tmp_path / "shapes.npy"
    np.save(path, np.random.default_rng(0).random((40, 16, 16)).astype(np.float32))
    seen = look({"name": "file", "path": str(path)})
    assert seen["is_image"] and seen["columns"] == [] and seen["event_shape"] == [16, 16]


def test_methods_that_cannot_take_the_data_say_why() -> None:
    ring = outline(catalogue.resolve_data({"name": "ring"}).load())
    assert {"gflownet", "energy_transformer"} <= set(ring["misfits"])
    assert "contrastive_divergence" not in ring["misfits"]
    assert all(reason.endswith(".") or reason for reason in ring["misfits"].values())
    preview = tasks.previews(["digits"])["digits"]
    assert preview["outline"]["is_image"] and "joint_energy" not in preview["outline"]["misfits"]


def test_a_form_may_ask_for_a_look() -> None:
    assert "jobs.tasks.look_job" in job_calls.CALLS
