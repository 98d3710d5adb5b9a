"""The draft: links, files and uploads become the RunSpec that is launched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from backend import catalogue
from backend.errors import BadInput, BasinError
from backend.spec import RunSpec, from_dict
from dashboard.forms import draft
from jobs.records import run_store
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return catalogue.publish()


def test_a_first_visitor_finds_the_ring_and_persistent_chains(published: dict[str, Any]) -> None:
    source = draft.from_query({}, published)
    resolved = catalogue.resolve(from_dict(source.values))
    assert (resolved.method.id, source.values["data"]["name"]) == ("contrastive_divergence", "ring")
    assert resolved.config.chains == "weighted"  # type: ignore[attr-defined]


def test_a_link_names_data_method_and_preset(published: dict[str, Any]) -> None:
    query = {"data": "moons", "method": "sampling", "preset": "hmc"}
    assert draft.from_query(query, published).values == {
        "method": "sampling",
        "preset": "hmc",
        "data": {"name": "moons"},
    }


def test_a_link_to_nothing_known_falls_back(published: dict[str, Any]) -> None:
    query = {"data": "none", "method": "none", "preset": "none"}
    assert draft.from_query(query, published).values == draft.FIRST


def test_a_run_is_cloned_with_all_its_settings(published: dict[str, Any]) -> None:
    spec = RunSpec(
        method="sampling", data={"name": "moons", "num": 500}, config={"num_chains": 9}, seed=4
    )
    run = run_store.create_run(spec)
    values = draft.from_query({"from": run.id}, published).values
    assert from_dict(values) == spec


def test_a_run_that_is_gone_is_said(published: dict[str, Any]) -> None:
    with pytest.raises(BasinError):
        draft.from_query({"from": "20200101-000000-0000"}, published)


def test_a_raw_spec_holds_only_what_differs(published: dict[str, Any]) -> None:
    method = published["methods"]["contrastive_divergence"]
    config = draft.preset_values(method, "persistent")
    chosen = {"method": "contrastive_divergence", "preset": "persistent", "seed": 0, "name": ""}
    data = {"name": "ring", "num": 10_000, "seed": 0}
    raw = draft.raw_spec(chosen, data, {**config, "num_steps": 5}, published)
    assert raw == {
        "method": "contrastive_divergence",
        "preset": "persistent",
        "seed": 0,
        "data": {"name": "ring"},
        "config": {"num_steps": 5},
    }
    assert catalogue.resolve(from_dict(raw)).config.num_steps == 5  # type: ignore[attr-defined]


def test_an_upload_is_kept_under_a_safe_name() -> None:
    kept = draft.keep_upload("../../my data (1).CSV", b"a,b\n1,2\n")
    assert kept.parent == draft.uploads() and kept.name == "my_data_1.csv"
    assert kept.read_bytes() == b"a,b\n1,2\n"
    assert draft.keep_upload("../../my data (1).CSV", b"a,b\n1,2\n") == kept
    other = draft.keep_upload("my data (1).csv", b"c\n")
    assert other != kept and kept.read_bytes() == b"a,b\n1,2\n"
    assert set(draft.known_files()) == {kept, other}


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x", "x.npy.exe", ".bashrc"])
def test_other_files_are_refused_and_nothing_is_kept(name: str) -> None:
    with pytest.raises(BadInput, match="must be one of"):
        draft.keep_upload(name, b"x")
    assert not draft.uploads().exists()


def test_too_large_an_upload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "MOST_UPLOAD_BYTES", 10)
    with pytest.raises(BadInput, match="at most 200 MB"):
        draft.keep_upload("x.npy", b"x" * 11)
    assert not draft.uploads().exists()


def test_a_pasted_spec_with_an_unknown_field_is_said() -> None:
    with pytest.raises(BadInput, match="colour"):
        draft.from_text("method: sampling\ndata: {name: ring}\ncolour: red\n", {"methods": {}})


def test_a_pasted_field_that_the_method_has_not_is_left_out_and_said(
    published: dict[str, Any],
) -> None:
    text = (
        "method: exact_likelihood\ndata: {name: ring}\n"
        "config: {num_steps: 3, energy: {kind: mlp, width: 32, wings: 2}}\n"
    )
    source = draft.from_text(text, published)
    assert source.values["config"] == {"energy": {"kind": "mlp", "width": 32}}
    assert [note.split("`")[1] for note in source.notes] == ["num_steps", "energy.wings"]
    assert catalogue.resolve(from_dict(source.values))


def test_folders_of_images_are_offered(basin_home: Path) -> None:
    folder = run_store.data_folder() / "cats"
    folder.mkdir(parents=True)
    assert draft.known_files() == [folder]


@pytest.fixture
def odd_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with what may stand in one, and one good file in it and in the uploads."""
    shared = tmp_path / "datasets"
    (shared / "uploads").mkdir(parents=True)
    monkeypatch.setenv("BASIN_DATA", str(shared))
    for folder in (shared, shared / "uploads"):
        (folder / "good.npy").touch()
        (folder / "dangling.npy").symlink_to(tmp_path / "gone.npy")
        (folder / "loop.npy").symlink_to(folder / "loop.npy")
        (folder / "dangling_folder").symlink_to(tmp_path / "gone")
        (folder / "notes.md").touch()
        os.mkfifo(folder / "pipe.csv")
        (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.npy"))).touch()
    return shared


def test_what_cannot_be_looked_at_is_left_out(odd_entries: Path) -> None:
    good = {odd_entries / "good.npy", odd_entries / "uploads" / "good.npy"}
    assert set(draft.known_files()) == good


def test_a_file_that_goes_away_while_they_are_listed_is_left_out(
    odd_entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, is_data = odd_entries / "good.npy", draft._is_data

    def look(path: Path) -> bool:
        found = is_data(path)
        going.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(draft, "_is_data", look)
    assert draft.known_files() == [odd_entries / "uploads" / "good.npy"]


def test_a_folder_that_cannot_be_listed_hides_no_other(
    odd_entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Path.iterdir

    def refuse(self: Path) -> Iterator[Path]:
        if self == odd_entries:
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert draft.known_files() == [odd_entries / "uploads" / "good.npy"]


def test_what_was_uploaded_can_be_deleted(odd_entries: Path) -> None:
    images = draft.uploads() / "images"
    (images / "cats").mkdir(parents=True)
    linked = draft.uploads() / "linked"
    linked.symlink_to(odd_entries)
    for path in (draft.uploads() / "good.npy", images, linked):
        draft.delete_upload(path)
        assert not os.path.lexists(path)
    assert (odd_entries / "good.npy").exists(), "a link goes, not what it leads to"


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["good.npy", "uploads", "uploads/..", "uploads/../good.npy", "."])
def test_what_was_not_uploaded_cannot(odd_entries: Path, name: str) -> None:
    with pytest.raises(BadInput, match="was not uploaded here"):
        draft.delete_upload(odd_entries / name)
    assert (odd_entries / "good.npy").exists() and draft.uploads().is_dir()


def test_the_system_page_deletes_uploads_alone(odd_entries: Path) -> None:
    page = AppTest.from_file(str(ROOT / "dashboard" / "views" / "system.py"), default_timeout=30)
    page.run()
    assert not page.exception
    keys = {str(button.key) for button in page.button if str(button.key).startswith("delete:")}
    assert keys == {f"delete:{odd_entries / 'uploads' / 'good.npy'}"}
