"""The draft: links, files and uploads become the RunSpec that is launched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend import catalogue
from backend.errors import BadInput, BasinError
from backend.spec import RunSpec, from_dict
from dashboard import draft
from jobs import artifacts


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return catalogue.publish()


def test_a_first_visitor_finds_the_ring_and_persistent_chains(published: dict[str, Any]) -> None:
    source = draft.from_query({}, published)
    resolved = catalogue.resolve(from_dict(source.values))
    assert (resolved.method.id, source.values["data"]["name"]) == ("contrastive_divergence", "ring")
    assert resolved.config.chains == "persistent"  # type: ignore[attr-defined]


def test_a_link_names_data_method_and_preset(published: dict[str, Any]) -> None:
    query = {"data": "moons", "method": "sampling", "preset": "hmc"}
    assert draft.from_query(query, published).values == {
        "method": "sampling", "preset": "hmc", "data": {"name": "moons"},
    }  # fmt: skip


def test_a_link_to_nothing_known_falls_back(published: dict[str, Any]) -> None:
    query = {"data": "none", "method": "none", "preset": "none"}
    assert draft.from_query(query, published).values == draft.FIRST


def test_a_run_is_cloned_with_all_its_settings(published: dict[str, Any]) -> None:
    spec = RunSpec(
        method="sampling", data={"name": "moons", "num": 500}, config={"num_chains": 9}, seed=4
    )
    run = artifacts.create_run(spec)
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
        "method": "contrastive_divergence", "preset": "persistent", "seed": 0,
        "data": {"name": "ring"}, "config": {"num_steps": 5},
    }  # fmt: skip
    assert catalogue.resolve(from_dict(raw)).config.num_steps == 5  # type: ignore[attr-defined]


def test_seeds_follow_one_another() -> None:
    spec = RunSpec(method="m", data={"name": "ring"}, seed=7)
    assert [item.seed for item in draft.with_seeds(spec, 3)] == [7, 8, 9]


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
        draft.from_text("method: sampling\ndata: {name: ring}\ncolour: red\n")


def test_folders_of_images_are_offered(basin_home: Path) -> None:
    folder = artifacts.data_folder() / "cats"
    folder.mkdir(parents=True)
    assert draft.known_files() == [folder]
