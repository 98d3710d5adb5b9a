"""`basin reproduce`: runs a claim, prints its figures and verdicts, exits by what is accepted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.claims import recipe
from jobs.claims import reproduction
from jobs.cli import main
from jobs.execution import loop
from jobs.records import run_store
from jobs.records.progress import FIGURES
from tests.conftest import ROOT
from tests.jobs import claiming, tiny
from tests.jobs.claiming import TEXT

_REAL = """
title: A few steps
claim: Two steps are two steps.
paper: {title: On steps, authors: Nobody, year: 2026}
data: {name: ring, num: 200, num_held_out: 100}
budget: {steps: 2}
seeds: 1
variants:
  one: {title: One, role: method, spec: {method: denoising_score_matching}}
figures:
  share: {title: Share of modes, path: quality/mode_share/long_run, better: higher}
claims:
  - text: A share is a share
    kind: acceptance
    value: {variant: one, figure: share}
    relation: "<="
    target: 1
"""


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The recipe `width`, whose runs end at distances by their width: 0.1 and 0.4."""
    claiming.install(monkeypatch, tmp_path / "recipes")

    def observation(method: tiny.Tiny, data: Any, seed: int, **settings: Any) -> Any:
        prepared = type("Prepared", (), {"method": method, "data": data})()
        return claiming.eyes(0.1 if method.config.width == 16 else 0.4)(prepared)

    monkeypatch.setattr(loop, "Observation", observation)
    return tmp_path / "recipes"


def basin(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["reproduce", *arguments])


def test_it_prints_figures_and_verdicts_and_exits_zero(width: Path) -> None:
    done = basin("width", "--processes", "1")
    assert done.exit_code == 0, done.output
    row = next(line for line in done.output.splitlines() if line.startswith("Wide "))
    assert row.split()[3:] == ["0.1", "0.1", "to", "0.1", "0.01", "0.1", "0.1"]
    assert "holds      Wide comes nearer than narrow (paper, ratio ≤ 0.5)" in done.output
    assert "Met in 2 of 2 seeds; median ratio 0.25 (0.25 to 0.25)." in done.output
    assert "4 of 4 runs judged" in done.output


def test_json_has_the_shape_that_benchmarks_print(width: Path) -> None:
    done = basin("width", "--processes", "1", "--seeds", "3", "--json")
    value = json.loads(done.stdout)
    assert {"name", "machine", "version", "results", "claims"} <= set(value)
    assert value["results"][0] == {
        "case": "width",
        "subject": "wide",
        "metric": "quality/energy_distance/long_run",
        "unit": "",
        "median": 0.1,
        "min": 0.1,
        "max": 0.1,
        "n": 3,
        "floor": 0.01,
        "baselines": {},
    }
    claim = value["claims"][1]
    assert (claim["holds"], claim["kind"], claim["target"]) == ("holds", "paper", "ratio ≤ 0.5")
    assert claim["value"] == pytest.approx(0.25) and list(claim["seeds"]) == ["0", "1", "2"]


def test_an_acceptance_claim_that_does_not_hold_exits_one(width: Path) -> None:
    (width / "width.yaml").write_text(TEXT.replace("target: 1", "target: 0.05"))
    done = basin("width", "--processes", "1")
    assert done.exit_code == 1
    assert "fails      Samples are near the data (acceptance, ≤ 0.05)" in done.output
    alone = basin("width", "--processes", "1", "--seeds", "1")
    assert alone.exit_code == 1 and "One seed is never a verdict." in alone.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["moon"], "There is no recipe `moon`"),
        (["width", "--seeds", "0"], "0 is not in the range"),
        (["width", "--again", "nonsense"], "not the id of a reproduction"),
    ],
)
def test_bad_input_exits_two(width: Path, arguments: list[str], says: str) -> None:
    done = basin(*arguments)
    assert done.exit_code == 2 and says in done.output
    assert not run_store.list_runs()


@pytest.mark.bad_input
def test_what_a_run_would_find_wrong_is_said_before_anything_is_made(width: Path) -> None:
    (width / "width.yaml").write_text(TEXT.replace("preset: wide", "config: {refuse: true}"))
    done = basin("width")
    assert done.exit_code == 2
    assert "`variants.wide.spec.config.refuse`: is set, so these data do not fit." in done.output
    assert not run_store.list_runs() and not reproduction.list_reproductions()


def test_the_list_shows_verdicts_and_broken_files(width: Path) -> None:
    (width / "torn.yaml").write_text("title: [")
    fresh = basin("--list")
    assert fresh.exit_code == 0
    assert "not run yet" in fresh.output and "broken: torn:" in fresh.output
    basin("width", "--processes", "1")
    value = json.loads(basin("--list", "--json").stdout)
    assert value["recipes"] == [
        {"name": "width", "title": "Wide beats narrow", "runs": 4, "holds": "holds"}
    ]
    assert [item["name"] for item in value["broken"]] == ["torn"]


def test_ctrl_c_leaves_finished_runs_and_again_goes_on_with_the_rest(
    width: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = loop.run, []

    def run(directory: Any, **settings: Any) -> Any:
        calls.append(directory.id)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(directory, **settings)

    monkeypatch.setattr(loop, "run", run)
    cut = basin("width", "--processes", "1")
    made = reproduction.open_reproduction("latest")
    assert cut.exit_code == 1 and f"--again {made.id}" in cut.output
    assert reproduction.progress(made).words == {"finished": 1, "stopped": 3}
    monkeypatch.setattr(loop, "run", real)
    done = basin("width", "--processes", "1", "--again", made.id)
    assert done.exit_code == 0, done.output
    assert reproduction.progress(made).words == {"finished": 4}
    assert reproduction.open_reproduction("latest").id == made.id
    assert run_store.open_run(calls[0]).status().attempt == 1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_over_its_final_figures_is_judged_only_once_it_has_them(
    width: Path, end: signal.Signals
) -> None:
    made = reproduction.create("width", num_seeds=1)
    first, second = made.run_ids()
    tiny.run(run_store.open_run(second), observe=claiming.eyes(0.4))
    run = run_store.open_run(first)
    code = (
        "import pytest, sys, time\n"
        "from backend.claims import recipe\n"
        "from jobs.execution import local_pool, loop\n"
        "from jobs.records.run_store import open_run\n"
        "from tests.jobs import tiny\n"
        "tiny.install(pytest.MonkeyPatch())\n"
        "class Slow(tiny.Eyes):\n"
        "    def evaluate(self, step):\n"
        "        time.sleep(60)\n"
        "loop.observe_all = lambda prepared: Slow(prepared)\n"
        "loop.run.__kwdefaults__['observe'] = loop.observe_all\n"
        "local_pool.run_all([sys.argv[1]], 1, lambda: None)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code, first], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while run.written_status().doing != FIGURES and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(end)
    process.wait(30)
    cut = run.status()
    assert cut.status == ("stopped" if end == signal.SIGINT else "lost") and cut.fraction == 1
    assert "Its training was done; still missing:" in cut.reason
    found = reproduction.findings(reproduction.open_reproduction(made.id))
    assert (found.num_counted, found.num_runs) == (1, 2)
    done = basin("width", "--processes", "1", "--again", made.id)
    assert "2 of 2 runs judged" in done.output
    assert run.status().status == "finished" and run.status().attempt == 2
    assert run.metrics()["quality/energy_distance/long_run"] == 0.1


def test_queued_runs_wait_for_a_worker(width: Path, redis_url: str) -> None:
    done = basin("width", "--queue", "--json")
    assert done.exit_code == 0, done.output
    made = reproduction.open_reproduction(json.loads(done.stdout)["id"])
    assert reproduction.progress(made).words == {"queued": 4}


@pytest.mark.slow
def test_runs_go_side_by_side_in_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few.yaml").write_text(_REAL)
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    # a spawned process begins with the main module of its parent, and other tests leave theirs
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    done = basin("few", "--seeds", "2", "--processes", "2")
    assert done.exit_code == 0, done.output
    pids = {status.pid for status in run_store.list_runs()}
    assert len(run_store.list_runs()) == 2 and os.getpid() not in pids
    assert {status.status for status in run_store.list_runs()} == {"finished"}


@pytest.mark.slow
def test_ctrl_c_stops_processes_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few.yaml").write_text(_REAL.replace("steps: 2}", "steps: 1000000}"))
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if sum(each.status == "running" and each.step > 0 for each in run_store.list_runs()):
                break
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    done = basin("few", "--seeds", "3", "--processes", "2")
    assert done.exit_code == 1
    assert {status.status for status in run_store.list_runs()} == {"stopped"}
