"""The command line: what each command prints, its JSON and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from backend.errors import NotAvailable
from backend.samplers.langevin import Langevin
from backend.spec import Budget, from_dict
from backend.system import discovery
from jobs import tasks
from jobs.cli import common, launch, main
from jobs.formatting import duration
from jobs.queueing import control, redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from jobs.services import entry_link
from jobs.system.processes import is_alive
from tests.conftest import ROOT
from tests.jobs import tiny

SPEC: dict[str, Any] = {
    "name": "a test",
    "method": "tiny",
    "data": {"name": "ring", "num": 200, "num_held_out": 100},
    "budget": {"steps": 30},
    "seed": 3,
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


def basin(*arguments: str, stdin: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exit_code == code, result.output
    return result


def basin_json(*arguments: str, stdin: str | None = None, code: int = 0) -> Any:
    return json.loads(basin(*arguments, "--json", stdin=stdin, code=code).stdout)


@pytest.fixture
def trained() -> RunDirectory:
    directory = tiny.make(40)
    assert tiny.run(directory, observe=tiny.Eyes).status == "finished"
    return directory


def test_every_command_of_the_plan_is_there_and_takes_json() -> None:
    wanted = "up worker dashboard run race ls show stop pause resume sample energy methods"
    wanted += " reindex doctor ask abilities reproduce link bakeoff notify dismiss turn fork keep"
    wanted += (
        " delete restore trash workers disk card grid data samples arena new check export import"
    )
    assert set(main.commands) == set(wanted.split())
    commands = dict(_leaves(main, ""))
    assert {"data fetch", "samples draw", "grid draw", "arena ranking", "workers"} <= set(commands)
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, name
        assert basin(*name.split(), "--help").output
        assert command.get_short_help_str(), name


def _leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its name as typed."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield name, command
    if isinstance(command, click.Group):
        for word, part in command.commands.items():
            yield from _leaves(part, f"{name} {word}".strip())


def test_a_run_is_asked_and_the_answer_is_kept(trained: RunDirectory, tmp_path: Path) -> None:
    answer = basin_json("ask", trained.id, "energy", "--set", "num=40")
    assert answer["figures"]["mean"] == pytest.approx(answer["tables"][0]["rows"][0][1])
    with np.load(trained.path / answer["file"]) as kept:
        assert kept["energy"].mean() == pytest.approx(answer["figures"]["mean"], abs=1e-5)
    assert trained.answers()[0]["id"] == answer["id"]
    said = basin("ask", trained.id, "energy", "--set", "num=40", "--out", str(tmp_path / "e.npz"))
    assert answer["summary"] in said.output and (tmp_path / "e.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("telepathy",), "ability"),
        (("energy", "--set", "num=1"), "num"),
        (("energy", "--set", "colour=red"), "colour"),
        (("energy", "--set", "path=missing.npy"), "path"),
        (("sample", "--set", "label=3"), "label"),
    ],
)
def test_what_makes_no_sense_to_ask_is_said_at_its_field(
    trained: RunDirectory, arguments: tuple[str, ...], field: str
) -> None:
    found = basin_json("ask", trained.id, *arguments, code=2)["error"]["problems"]
    assert [problem["field"] for problem in found] == [field]
    assert trained.answers() == []


def test_abilities_are_listed_with_their_fields() -> None:
    assert {"energy", "sample"} <= {item["id"] for item in basin_json("abilities")}
    assert "num = 2000" in basin("abilities", "energy").output
    basin("abilities", "telepathy", code=2)


def test_starting_imports_no_torch() -> None:
    code = (
        "import sys, jobs.cli; assert 'torch' not in sys.modules and 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---------------------------------------------------------------- run


def test_run_inline(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    value = basin_json("run", str(tmp_path / "spec.yaml"), "--inline")
    assert set(value) >= {"id", "status", "metrics", "directory"}
    directory = run_store.open_run(value["id"])
    assert value["status"] == "finished" == directory.status().status
    assert value["directory"] == str(directory.path)
    assert value["metrics"] == directory.metrics() and value["metrics"]
    assert directory.status().name == "a test"


def test_set_changes_fields_of_any_depth_and_type() -> None:
    changes = ["config.width=4", "seed=7", "tags=[a, b]", "data.seed=5", "name=other"]
    arguments = [part for change in changes for part in ("--set", change)]
    value = basin_json("run", "-", *arguments, "--inline", stdin=yaml.safe_dump(SPEC))
    spec = run_store.open_run(value["id"]).spec()
    assert spec.config["width"] == 4 and spec.data["seed"] == 5
    assert (spec.seed, spec.tags, spec.name) == (7, ["a", "b"], "other")


@pytest.mark.parametrize(("field", "word"), [("nan_at", "diverged"), ("fail_at", "failed")])
def test_a_run_that_ends_badly_is_exit_code_1(field: str, word: str) -> None:
    changes = ["--set", f"config.{field}=20"]
    value = basin_json("run", "-", *changes, "--inline", stdin=yaml.safe_dump(SPEC), code=1)
    assert value["status"] == word and value["reason"]


def test_run_in_words() -> None:
    output = basin("run", "-", "--inline", stdin=yaml.safe_dump(SPEC)).stdout
    assert ": finished" in output and "quality/energy_distance/long_run = " in output


def test_run_queues_and_returns(redis_url: str) -> None:
    value = basin_json("run", "-", stdin=yaml.safe_dump(SPEC))
    assert value["status"] == "queued" and value["metrics"] == {}
    assert control.queued() == [value["id"]]


def test_run_waits_for_the_end(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "queue", working_queue(redis_store.queue))
    value = basin_json("run", "-", "--wait", stdin=yaml.safe_dump(SPEC))
    assert value["status"] == "finished" and value["metrics"]


def working_queue(queue: Any) -> Any:
    """A queue that works off what is put into it, on the spot."""

    def made(*arguments: Any) -> Any:
        found = queue(*arguments)
        found.enqueue = lambda task, run_id, **settings: tasks.train(run_id)
        return found

    return made


def test_ctrl_c_stops_an_inline_run_with_a_checkpoint(tmp_path: Path) -> None:
    spec = {**SPEC, "config": {"sleep": 0.01}, "budget": {"steps": 100_000}}
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "run", "-", "--inline", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/tests/jobs/plug_ins{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(yaml.safe_dump(spec))
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 60
    while not any(s.step > 20 for s in run_store.list_runs()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    value = json.loads(out)
    assert value["status"] == "stopped"
    assert run_store.open_run(value["id"]).checkpoints()


def test_progress_in_one_line() -> None:
    status = Status(
        id="x",
        status="running",
        step=1500,
        fraction=0.5,
        seconds_left=80.0,
        headline={"path": "quality/grid_kl", "value": 0.0432},
    )
    assert launch.progress_line(status) == (
        "x  running  50 %  step 1,500  2m left  quality/grid_kl 0.0432"
    )


# ---------------------------------------------------------------- runs


def test_an_alarm_is_dismissed_by_name(trained: RunDirectory) -> None:
    alarm = {"path": "alarm/flattery", "message": "It flatters.", "step": 40}
    trained.write_status(alarms=[alarm])
    basin("dismiss", trained.id, "flattery", "A try.")
    assert trained.status().alarms == []
    assert "dismissed by " in (text := basin("show", trained.id).stdout) and "A try." in text


def test_ls(trained: RunDirectory) -> None:
    waiting = tiny.make()
    assert [run["id"] for run in basin_json("ls")] == [waiting.id, trained.id]
    assert [run["id"] for run in basin_json("ls", "--status", "finished")] == [trained.id]
    assert [run["id"] for run in basin_json("ls", "-n", "1")] == [waiting.id]
    waiting.write_status(reason="No worker has a device.")
    assert basin("ls").stdout.endswith(f"{waiting.id} waits: No worker has a device.\n")
    waiting.write_status(reason="")
    lines = basin("ls").stdout.splitlines()
    assert len(lines) == 3 and trained.id in lines[2] and "finished" in lines[2]


def test_ls_of_nothing_says_what_to_do() -> None:
    assert "basin run" in basin("ls").stdout
    assert basin_json("ls") == []


def test_show(trained: RunDirectory) -> None:
    value = basin_json("show", trained.id)
    assert value["status"]["status"] == "finished" and value["spec"]["method"] == "tiny"
    (quality,) = [f for f in value["figures"] if f["chart"] == "quality/energy_distance"]
    assert quality["series"] == "long_run" and quality["value"] == 0.5
    assert quality["floor"] == pytest.approx(0.01)
    text = basin("show", "latest").stdout
    assert "floor" in text and "quality/energy_distance" in text and "method: tiny" in text


def test_show_takes_the_start_of_an_id(trained: RunDirectory) -> None:
    assert basin_json("show", trained.id[:17])["status"]["id"] == trained.id


def test_stop_pause_and_resume(redis_url: str) -> None:
    run_id = basin_json("run", "-", stdin=yaml.safe_dump(SPEC))["id"]
    assert basin_json("pause", run_id) == [{"id": run_id, "status": "paused"}]
    assert basin_json("resume", run_id) == [{"id": run_id, "status": "queued"}]
    assert basin_json("stop", run_id) == [{"id": run_id, "status": "stopped"}]
    basin_json("stop", run_id, code=2)


def test_resume_inline_goes_on_from_the_last_checkpoint_without_redis(
    trained: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "connect", _no_redis)
    (refused,) = basin_json("resume", trained.id, "--inline", code=2)["error"]["problems"]
    assert "is finished and cannot resume" in refused["message"]
    trained.write_status(status="paused")
    (value,) = basin_json("resume", trained.id, "--inline")
    assert value == {"id": trained.id, "status": "finished", "reason": ""}
    resumed = [f.header["meta"]["message"] for f in trained.texts() if "resumed" in str(f.header)]
    assert resumed == ["Resumed from step 40; 0 steps recomputed."]


def test_resume_inline_without_a_checkpoint_starts_over() -> None:
    directory = run_store.create_run(from_dict(SPEC))
    directory.write_status(status="stopped")
    (value,) = basin_json("resume", directory.id, "--inline")
    assert value["status"] == "finished" and directory.status().step > 0


def _no_redis() -> None:
    raise NotAvailable("no Redis here")


def test_reindex_makes_the_tables_again(trained: RunDirectory) -> None:
    before = trained.scalars()
    paused = tiny.make(30)
    log = (trained.path / "log.bin").read_bytes()
    assert basin_json("reindex") == [
        {"id": paused.id, "paths": 0},
        {"id": trained.id, "paths": len(before)},
    ]
    assert (trained.path / "log.bin").read_bytes() == log
    assert basin_json("reindex", trained.id)[0]["paths"] == len(before) >= 3


# ---------------------------------------------------------------- models


def test_energy_of_points_and_back(trained: RunDirectory, tmp_path: Path) -> None:
    points, out = tmp_path / "x.npy", tmp_path / "e.npy"
    np.save(points, np.array([[2.0, 0.0], [9.0, 9.0], [0.0, 0.0]]))
    value = basin_json("energy", trained.id, "--points", str(points), "--out", str(out))
    assert value["num"] == 3 and value["out"] == str(out)
    energies = np.load(out)
    assert energies.shape == (3,) and energies[1] > energies[0]
    printed = basin_json("energy", trained.id, "--points", str(points))
    np.testing.assert_allclose(printed["energy"], energies, rtol=1e-6)
    lines = basin("energy", trained.id, "--points", str(points)).stdout.split()
    np.testing.assert_allclose([float(line) for line in lines], energies, rtol=1e-5)


def test_sample_is_repeatable_and_says_its_settings(
    trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "samplers", lambda: {"langevin": Langevin})
    drawn = []
    for name in ("a.npz", "b.npz"):
        asked = ["--n", "50", "--sampler", "langevin", "--set", "step_size=0.02", "--steps", "7"]
        out = str(tmp_path / name)
        value = basin_json("sample", trained.id, *asked, "--seed", "1", "--out", out)
        assert value["file"] == out and value["num"] == 50 and value["num_steps"] == 7
        assert value["sampler"]["step_size"] == 0.02
        drawn.append(np.load(out))
    assert drawn[0]["x"].shape == (50, 2) and drawn[0]["energy"].shape == (50,)
    np.testing.assert_array_equal(drawn[0]["x"], drawn[1]["x"])
    assert json.loads(str(drawn[0]["settings"]))["seed"] == 1
    other = basin_json("sample", trained.id, "--n", "50", "--steps", "7", "--seed", "2")
    assert not np.array_equal(np.load(other["file"])["x"], drawn[0]["x"])
    assert Path(other["file"]).parent == trained.path / "answers"
    assert other["sampler"] is None and 2 in [answer["seed"] for answer in trained.answers()]


# ---------------------------------------------------------------- what is here


def test_methods() -> None:
    (method,) = basin_json("methods")
    assert method["id"] == "tiny" and method["schema"]["properties"]["width"]["minimum"] == 1
    assert basin_json("methods", "tiny") == method
    text = basin("methods", "tiny").stdout
    assert "width = 8   [≥ 1]" in text and "Units of the hidden layer." in text
    (problem,) = basin_json("methods", "tni", code=2)["error"]["problems"]
    assert "Known: tiny" in problem["message"]


def test_doctor_on_a_sound_machine() -> None:
    value = basin_json("doctor")
    assert value["ok"]
    names = {finding["name"] for finding in value["findings"]}
    assert names >= {
        "Python",
        "torch",
        "devices",
        "BASIN_HOME",
        "Redis server",
        "Redis",
        "plug-ins",
    }
    assert "Nothing is wrong." in basin("doctor").stdout


def test_doctor_says_what_is_wrong_and_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, basin_home: Path
) -> None:
    monkeypatch.setenv("BASIN_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    basin_home.chmod(0o755)
    result = basin("doctor", "--json", code=1)
    assert "secret" not in result.output
    wrong = {f["name"]: f for f in json.loads(result.stdout)["findings"] if not f["ok"]}
    assert set(wrong) == {"Redis", "BASIN_HOME"}
    assert "chmod 700" in wrong["BASIN_HOME"]["mend"]


def test_doctor_names_a_broken_plug_in(tmp_path: Path) -> None:
    (tmp_path / "plug_ins").mkdir()
    (tmp_path / "plug_ins" / "broken_one.py").write_text("raise RuntimeError('half written')")
    code = (
        "import sys, backend.methods; backend.methods.__path__.append(sys.argv.pop(1));"
        "from jobs.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plug_ins"), "doctor"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "backend.methods.broken_one: RuntimeError: half written" in done.stdout
    assert "backend/methods/broken_one.py" in done.stdout


def test_the_link_is_that_of_the_basin_that_runs_here(basin_home: Path) -> None:
    def printed(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["link", *arguments])
        assert done.exit_code == 0, done.output
        return done.output.strip()

    key = entry_link.link("").partition("token=")[2]
    assert printed() == f"http://127.0.0.1:8501/?token={key}"
    (basin_home / "connection.json").write_text('{"dashboard": "http://127.0.0.1:9000"}')
    assert printed() == f"http://127.0.0.1:9000/?token={key}"
    assert printed("--address", "https://b.example/") == f"https://b.example/?token={key}"
    assert json.loads(printed("--json")) == {"link": printed()}


# ---------------------------------------------------------------- small parts


def test_numbers_and_durations() -> None:
    assert [duration(s) for s in (None, 41, 80, 7500)] == ["–", "41s", "1m 20s", "2h 05m"]
    assert [common.number(x) for x in (None, 0.012345, 3.1e6)] == ["–", "0.0123", "3.1e+06"]


def test_a_table_lines_up() -> None:
    assert common.table(("a", "bb"), [("xyz", 1), (None, 22)]) == "a    bb\nxyz  1\n     22"


def test_help_of_a_command_names_its_arguments() -> None:
    context = click.Context(main)
    assert isinstance(main.get_command(context, "run"), click.Command)
    assert "--set" in basin("run", "--help").stdout and "SPEC" in basin("run", "--help").stdout


def test_a_killed_inline_run_is_told_as_lost(trained: RunDirectory) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    directory = tiny.make(30)
    directory.write_status(status="running", pid=process.pid, host=os.uname().nodename)
    assert not is_alive(process.pid)
    assert basin_json("ls", "--status", "lost")[0]["id"] == directory.id


def test_budget_of_the_preset_is_shown() -> None:
    assert Budget(steps=30) == tiny.Tiny.presets["default"].budget
    value = basin_json("run", "-", "--inline", stdin=yaml.safe_dump({**SPEC, "budget": {}}))
    assert basin_json("show", value["id"])["spec"]["budget"] == {"steps": 30}
