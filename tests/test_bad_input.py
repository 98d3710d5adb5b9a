"""Wrong input: a clear error in the form and on the command line, and nothing half-made left."""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from backend import catalogue
from backend.errors import BadInput
from backend.spec import RunSpec
from backend.system import discovery
from jobs import tasks
from jobs.cli import main
from jobs.queueing import enqueue
from jobs.records import run_store
from tests.jobs import tiny

pytestmark = pytest.mark.bad_input

GOOD: dict[str, Any] = {"method": "tiny", "data": {"name": "ring", "num": 200, "num_held_out": 100}}
POINTS = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)


class Other(tiny.Tiny):
    """Another method, whose checkpoints are not those of `tiny`."""

    id = "other"


@pytest.fixture(autouse=True)
def _methods(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, samplers = catalogue.methods(), catalogue.samplers()
    tiny.install(monkeypatch)
    known = {**shipped, "tiny": tiny.Tiny, "other": Other}
    monkeypatch.setattr(catalogue, "methods", lambda: known)
    for module in (catalogue, discovery):
        monkeypatch.setattr(module, "samplers", lambda: {**samplers, "walk": tiny.Walk})


@dataclass(frozen=True)
class Case:
    """One wrong specification: what is laid over the good one, and how it must be told."""

    name: str
    changes: dict[str, Any]
    field: str
    says: str
    """a pattern its message holds"""
    file: Callable[[Path], object] | None = field(default=None)
    """writes the file `data.path` names"""


def text_file(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def array_file(array: Any) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=True)

    return write


def huge_file(path: Path) -> None:
    """Sparse: its size is told, nothing is stored."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 2)}
        )
        file.truncate(8 * 10**9)


def with_nan() -> Any:
    array = POINTS.copy()
    array[6, 1] = np.nan
    return array


def on_file(name: str) -> dict[str, Any]:
    return {"data": {"name": "file", "path": name}}


CASES = [
    Case("unknown field of the run", {"sede": 1}, "sede", "no field `sede`"),
    Case("unknown field of the method", {"config": {"widht": 4}}, "config.widht", "no field"),
    Case("wrong type", {"config": {"width": "wide"}}, "config.width", "'wide'"),
    Case("out of range", {"config": {"step_size": -0.1}}, "config.step_size", "> 0, got -0.1"),
    Case("steps out of range", {"budget": {"steps": 0}}, "budget.steps", "≥ 1, got 0"),
    Case("unknown method", {"method": "nonsense"}, "method", "no method `nonsense`"),
    Case("unknown preset", {"preset": "nonsense"}, "preset", "no preset `nonsense`"),
    Case("unknown data", {"data": {"name": "nonsense"}}, "data.name", "no data set 'nonsense'"),
    Case("no data", {"data": {}}, "data.name", "no data set None"),
    Case("a device that cannot be", {"device": "gpu"}, "device", "gpu"),
    Case("data missing", on_file("nothing.npy"), "data.path", "no file or folder"),
    Case("data of no known kind", on_file("x.rtf"), "data.path", ".parquet", text_file("1,2\n")),
    Case("data empty", on_file("x.npy"), "data.path", "empty", text_file("")),
    Case(
        "ragged rows",
        on_file("x.csv"),
        "data.path",
        "row 2 has 3 values",
        text_file("a,b\n" + "1,2\n1,2,3\n" + "3,4\n" * 40),
    ),
    Case(
        "words among numbers",
        on_file("x.csv"),
        "data.path",
        "row 31.*bad",
        text_file("1,2\n" * 30 + "bad,3\n"),
    ),
    Case("NaN", on_file("x.npy"), "data.path", "row 7, column 2 is NaN", array_file(with_nan())),
    Case(
        "pickled objects",
        on_file("x.npy"),
        "data.path",
        "pickled",
        array_file(np.array([{"a": 1}, None], dtype=object)),
    ),
    Case(
        "a bare pickle",
        on_file("x.npy"),
        "data.path",
        "cannot be read|pickled",
        lambda path: path.write_bytes(pickle.dumps({"a": [1, 2]})),
    ),
    Case("too large", on_file("x.npy"), "data.path", "at most 512 MB", huge_file),
    Case("one axis", on_file("x.npy"), "data.path", r"\(60,\)", array_file(POINTS[:, 0])),
    Case("too few rows", on_file("x.npy"), "data.path", "at least 20", array_file(POINTS[:5])),
    Case(
        "data the method cannot take", {"config": {"refuse": True}}, "config.refuse", "do not fit"
    ),
    Case(
        "an energy of images for points",
        {"method": "contrastive_divergence", "config": {"energy": {"kind": "conv"}}},
        "config.energy.kind",
        "needs images",
    ),
    Case(
        "a sampler on a density with no gradient",
        {"method": "sampling", "data": {"name": "checkerboard"}},
        "config.sampler.kind",
        "jumps",
    ),
    Case(
        "a density that is not known",
        {"method": "sampling", "data": {"name": "digits"}},
        "config.energy_of",
        "not known",
    ),
]
BY_NAME = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def spec_of(case: Case, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    raw = {**GOOD, **case.changes}
    if path := raw["data"].get("path"):
        if case.file is not None:
            case.file(folder / path)
        raw = {**raw, "data": {**raw["data"], "path": str(folder / path)}}
    return raw


def basin(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def problems_of(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    found = json.loads(result.stdout)["error"]["problems"]
    assert found and all(set(problem) == {"field", "message"} for problem in found)
    return found


def assert_nothing_made() -> None:
    """No run, not even half of one, and no file besides."""
    assert run_store.list_runs() == []
    assert list(run_store.runs_folder().iterdir()) == []


def matching(found: list[dict[str, str]], case: Case) -> None:
    messages = [problem["message"] for problem in found if problem["field"] == case.field]
    assert messages, found
    assert re.search(case.says, messages[0]), messages


@BY_NAME
def test_command_line(case: Case, tmp_path: Path) -> None:
    raw = spec_of(case, tmp_path / "anywhere")
    result = basin("run", "-", "--inline", "--json", stdin=yaml.safe_dump(raw))
    matching(problems_of(result), case)
    assert_nothing_made()


@BY_NAME
def test_form(case: Case) -> None:
    raw = spec_of(case, run_store.data_folder())
    answer = tasks.check_job(raw)["value"]
    assert answer["ok"] is False
    matching(answer["problems"], case)
    assert_nothing_made()


def test_the_same_without_json_is_readable() -> None:
    result = basin("run", "-", "--inline", stdin=yaml.safe_dump({**GOOD, "sede": 1, "seed": -1}))
    assert result.exit_code == 2 and result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: `se") for line in lines)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "link.npy"], ids=["absolute", "dots", "a link"]
)
def test_a_path_outside_the_allowed_folders(path: str, tmp_path: Path) -> None:
    """From the browser refused before anybody reads it; the command line may name any path."""
    outside = tmp_path / "outside.npy"
    array_file(POINTS)(outside)
    run_store.data_folder().mkdir()
    (run_store.data_folder() / "link.npy").symlink_to(outside)
    raw = {**GOOD, "data": {"name": "file", "path": path}}
    checked = enqueue.check(raw, "browser")
    assert not checked.ok and checked.spec is None
    (problem,) = checked.problems
    assert problem["field"] == "data.path"
    assert "must lie inside the data folder" in problem["message"]
    with pytest.raises(BadInput):
        enqueue.launch(RunSpec.model_validate(raw), origin="browser")
    allowed = {**GOOD, "data": {"name": "file", "path": str(outside)}}
    assert tasks.check(allowed)["ok"]
    assert_nothing_made()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("method: [", "not valid YAML"),
        ("just words", "mapping"),
        ("", "mapping"),
        ("method: tiny", "data"),
        ("!!python/object/apply:os.system ['true']", "uses the tag"),
    ],
)
def test_a_file_that_is_no_specification(text: str, says: str) -> None:
    problems = problems_of(basin("run", "-", "--inline", "--json", stdin=text))
    assert says in json.dumps(problems)
    assert_nothing_made()


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    missing = basin("run", str(tmp_path / "none.yaml"), "--json")
    assert "cannot read" in problems_of(missing)[0]["message"]
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    binary = basin("run", str(tmp_path / "binary.yaml"), "--json")
    assert "UTF-8" in problems_of(binary)[0]["message"]
    assert_nothing_made()


@pytest.mark.parametrize(
    "change", ["seed", "=3", "a..b=1", "method.x=1", "config.width=[", "data=3"]
)
def test_a_change_that_cannot_be_made(change: str) -> None:
    text = yaml.safe_dump(GOOD)
    assert problems_of(basin("run", "-", "--set", change, "--inline", "--json", stdin=text))
    assert_nothing_made()


def test_usage_errors_are_json_too() -> None:
    assert "--nonsense" in problems_of(basin("ls", "--nonsense", "--json"))[0]["message"]
    both = basin("run", "-", "--inline", "--wait", "--json", stdin=yaml.safe_dump(GOOD))
    assert "not both" in problems_of(both)[0]["message"]


def test_without_redis_a_queued_launch_leaves_nothing() -> None:
    (problem,) = problems_of(basin("run", "-", "--json", stdin=yaml.safe_dump(GOOD)))
    assert "basin up" in problem["message"]
    assert_nothing_made()


@pytest.fixture
def trained() -> str:
    directory = tiny.make(30)
    assert tiny.run(directory).status == "finished"
    return directory.id


def test_another_methods_checkpoint(trained: str, tmp_path: Path) -> None:
    directory = run_store.open_run(trained)
    directory.write_spec(directory.spec().model_copy(update={"method": "other"}))
    array_file(POINTS)(tmp_path / "x.npy")
    for asked in (
        ["energy", trained, "--points", str(tmp_path / "x.npy"), "--out", str(tmp_path / "e.npy")],
        ["sample", trained, "--out", str(tmp_path / "e.npy")],
    ):
        (problem,) = problems_of(basin(*asked, "--json"))
        assert "method `tiny`, not `other`" in problem["message"]
    answer = tasks.ask_job(trained, "sample", {}, 0)
    assert "not `other`" in answer["problems"][0]["message"]
    assert not (tmp_path / "e.npy").exists()


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (POINTS[:, :1], "shape"),
        (np.zeros((4, 3)), "shape"),
        (with_nan(), "not finite"),
        (np.array([["a", "b"]]), "numbers"),
        (np.array([{}, {}], dtype=object), "pickled"),
    ],
    ids=["too few columns", "too many", "NaN", "words", "pickled"],
)
def test_points_that_do_not_fit(trained: str, points: Any, says: str, tmp_path: Path) -> None:
    array_file(points)(tmp_path / "x.npy")
    out = tmp_path / "e.npy"
    asked = ["energy", trained, "--points", str(tmp_path / "x.npy"), "--out", str(out), "--json"]
    assert says in problems_of(basin(*asked))[0]["message"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sampler", "nonsense"], "must be one of"),
        (["--sampler", "langevin", "--set", "step_size=-1"], "> 0"),
        (["--sampler", "langevin", "--set", "nonsense=1"], "no field"),
        (["--set", "step_size"], "field=value"),
        (["--n", "1"], "2"),
        (["--out", "/proc/none/s.npz"], "cannot be written"),
    ],
)
def test_samples_that_cannot_be_drawn(trained: str, arguments: list[str], says: str) -> None:
    before = run_store.open_run(trained).files()
    result = basin("sample", trained, "--steps", "1", "--n", "5", *arguments, "--json")
    assert says in problems_of(result)[0]["message"]
    assert run_store.open_run(trained).files() == before


@pytest.mark.parametrize("command", ["show", "stop", "pause", "resume", "sample", "reindex"])
@pytest.mark.parametrize("run", ["../../etc", "20200101-000000-0000", "zzz", "latest"])
def test_a_run_that_is_not_there(command: str, run: str) -> None:
    assert problems_of(basin(command, run, "--json"))
    assert_nothing_made()


def test_points_are_never_unpickled(trained: str, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(buffer.getvalue())
    problems_of(basin("energy", trained, "--points", str(tmp_path / "x.npy"), "--json"))
    raw = {**GOOD, "data": {"name": "file", "path": str(tmp_path / "x.npy")}}
    assert not tasks.check(raw)["ok"]
    assert not (tmp_path / "sprung").exists()
