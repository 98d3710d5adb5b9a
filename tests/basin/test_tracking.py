"""A run that the user's own loop trains, beside what every run promises."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import basin
from backend.errors import BadInput, NotAvailable
from jobs.queueing import control, forking, reconcile
from jobs.records import run_store
from tests.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("default")


def test_what_is_logged_is_read_back_and_the_run_is_finished() -> None:
    with basin.track(name="mine", config={"lr": 1e-3}, steps=4) as run:
        for step in range(4):
            run.log({"loss": step / 2, "accuracy": np.float32(0.5)}, step=step)
        run.points([[0.0, 1.0], [2.0, 3.0]], energies=[1, 2])
        run.images(np.arange(32.0).reshape(2, 4, 4))
        run.histogram("weights", {"data": [1.0, 2.0], "noise": [3.0, np.nan]})
        run.field("plane", np.ones((3, 4)), (0, 1), (0, 2))
        run.trajectory(np.zeros((5, 2, 2)))
        run.text("remark", "half way")
    read = basin.open(run.id)
    table = read.scalars("loss/total")
    assert table["step"].tolist() == [0, 1, 2, 3]
    assert table["value"].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert (table["seconds"].diff()[1:] >= 0).all()
    ((step, points),) = read.events("points")
    assert step == 3 and points.positions.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    ((_, images),) = read.events("images")
    assert images.pixels.min() == 0 and images.pixels.max() == 255 and images.high == 31
    ((_, histogram),) = read.events("histogram")
    assert histogram.counts.sum(1).tolist() == [1.0, 0.5]
    assert [len(read.events(kind)) for kind in ("field", "trajectory")] == [1, 1]
    assert "half way" in [event.message for _, event in read.events("text")]
    status = read.status
    assert (status.status, status.step, status.fraction) == ("finished", 3, 1.0)
    assert status.settings == {"lr": 1e-3} and status.headline["path"] == "loss/total"
    assert [trace.name for trace in read.figure("accuracy").data] == ["accuracy"]


def test_an_exception_ends_it_failed_with_its_traceback() -> None:
    run = basin.track()

    def train() -> None:
        with run:
            run.log({"loss": 1 / 0})

    with pytest.raises(ZeroDivisionError):
        train()
    status = basin.open(run.id).status
    assert status.status == "failed" and "ZeroDivisionError" in status.reason
    assert "1 / 0" in run.directory.trace()


def test_it_can_be_stopped_but_nothing_else_is_offered_that_cannot_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = basin.track()
    run.log({"loss": 1.0})
    for act in (control.pause, control.kill, forking.keep, forking.plan):
        with pytest.raises(BadInput, match="its"):
            act(run.id)
    assert not run.should_stop
    control.stop(run.id)
    ended: list[str] = []
    monkeypatch.setattr(control, "end_by_force", lambda directory, *_: ended.append(directory.id))
    monkeypatch.setattr(control, "is_overdue", lambda *_: True)
    reconcile.reconcile_runs()
    assert not ended, "a script of the user's own is nobody's to kill"
    deadline = time.monotonic() + 5
    while not run.should_stop and time.monotonic() < deadline:
        time.sleep(0.02)
    assert run.should_stop
    run.finish()
    assert basin.open(run.id).status.status == "stopped"
    with pytest.raises(BadInput, match="start the script"):
        control.take_up(run.id)


def test_wrong_input_gets_a_sentence_and_a_nan_an_alarm() -> None:
    with pytest.raises(BadInput, match="numbers"):
        basin.track(data=["a", "b"])
    with basin.track() as run:
        with pytest.raises(BadInput, match="numbers by path"):
            run.log({"loss": "high"})
        with pytest.raises(BadInput, match="2 dimensions"):
            run.points(np.zeros(3))
        with pytest.raises(BadInput, match="data"):
            run.energy(lambda x: x.sum(1))
        run.log({"loss": float("nan")})
    assert [a["path"] for a in basin.open(run.id).status.alarms] == ["alarm/not_finite/loss/total"]
    with pytest.raises(BadInput, match="must be among loss/total"):
        basin.open(run.id).scalars("nothing")
    with pytest.raises(NotAvailable, match="its own script"):
        basin.load(run.id)


def test_the_package_is_light() -> None:
    code = "import sys, basin; sys.exit(bool({'torch', 'numpy', 'pandas'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.kill
def test_a_script_that_is_killed_leaves_what_it_logged_and_is_lost_at_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time, basin\n"
        "run = basin.track(name='killed')\n"
        "for step in range(100_000):\n"
        "    run.log({'loss': step})\n"
        "    time.sleep(0.005)\n"
    )
    process = subprocess.Popen([sys.executable, script], cwd=ROOT)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        runs = run_store.list_runs()
        if runs and runs[0].step > 20:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    read = basin.open("latest")
    while read.status.status != "lost" and time.monotonic() < killed + 10:
        time.sleep(0.05)
    assert read.status.status == "lost" and time.monotonic() - killed < 10
    assert len(read.scalars("loss/total")) > 20
    reconcile.reconcile_runs()
    assert "Its script can begin again" in read.status.reason


@pytest.mark.slow
def test_an_energy_is_watched_without_moving_the_users_draws() -> None:
    import torch

    torch.manual_seed(3)
    x = torch.randn(500, 2)
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    with basin.track(data=x) as run:
        with pytest.raises(BadInput, match="squeeze"):
            run.energy(model)
        run.energy(lambda x: model(x).squeeze(-1).square() + x.square().sum(1) / 2)
        run.log({"loss": 1.0})
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert model.training and all(p.grad is None for p in model.parameters())
    read = basin.open(run.id)
    paths = {*read.scalars()["path"]}
    assert {"quality/energy_distance/long_run", "quality/energy_distance/floor"} <= paths
    assert {"sampler/r_hat/long_run", "density/log_likelihood"} <= paths
    assert read.events("field") and read.events("histogram") and read.events("trajectory")
    assert read.samples()["long_run"].shape[1] == 2


def test_what_is_shown_is_drawn_as_figures_and_read_as_tables() -> None:
    with basin.track("shown") as run:
        run.log({"loss": 1.0, "accuracy": 0.5})
        run.field("plane", np.arange(12.0).reshape(3, 4), (-1, 1), (0, 2))
        run.points([[0.0, 1.0], [2.0, 3.0]], "cloud", labels=[0, 1])
        run.trajectory(np.arange(20.0).reshape(5, 2, 2), "walk")
        run.histogram("weights", {"data": [1.0, 2.0], "noise": [3.0]}, num_bins=4)
        run.images(np.stack([np.zeros((2, 2)), np.ones((2, 2))]), "cells")
    (heat,) = run.figure("plane").data
    assert heat.z[0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert heat.x.tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1]) and heat.y.tolist() == [0, 1, 2]
    (cloud,) = run.figure("cloud").data
    assert cloud.y.tolist() == [1.0, 3.0] and cloud.marker.color.tolist() == [0, 1]
    assert [chain.x.tolist() for chain in run.figure("walk").data] == [
        [0.0, 4.0, 8.0, 12.0, 16.0],
        [2.0, 6.0, 10.0, 14.0, 18.0],
    ]
    first, second = run.figure("weights").data
    assert (first.name, first.y.tolist()) == ("data", [0.5, 0.0, 0.5, 0.0])
    assert second.y.tolist() == [0.0, 0.0, 0.0, 1.0] and second.x[0] == pytest.approx(1.25)
    (sheet,) = run.figure("cells").data
    assert np.array(sheet.z)[0, :, 0].tolist() == [0, 0, 255, 255, 255]
    assert [line.name for line in run.figure().data] == ["accuracy", "loss/total"]
    for wrong in (["nothing"], ["plane", "loss/total"]):
        with pytest.raises(BadInput, match="must be among accuracy, loss/total"):
            run.figure(*wrong)
    with pytest.raises(BadInput, match="must be among none"):
        basin.open(run.id).table("chains/diagnostics")
