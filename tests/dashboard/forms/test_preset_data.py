"""Presets and the data they are made for: what Launch chooses, and links and files without data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboard.forms import draft
from jobs.cli.launch import read_spec

CATALOGUE: dict[str, Any] = {
    "datasets": {"ring": {}, "shifted": {}, "digits": {"images": True}, "photos": {"images": True}},
    "methods": {
        "any": {
            "presets": {
                "default": {},
                "far": {"data": {"name": "shifted", "mean": 3}},
                "large": {"data": {"name": "photos"}, "wants_gpu": True},
                "small": {"data": {"name": "digits"}},
            }
        }
    },
}
PRESETS = CATALOGUE["methods"]["any"]["presets"]


@pytest.mark.parametrize(
    ("data", "images", "preset"),
    [
        ("ring", False, None),
        ("shifted", False, "far"),
        ("digits", True, "small"),
        ("photos", True, "small"),  # the one made for them takes hours here
    ],
)
def test_data_bring_the_preset_made_for_them_or_for_their_like(
    data: str, images: bool, preset: str | None
) -> None:
    assert draft.preset_for(CATALOGUE, PRESETS, data, images) == preset


def test_presets_for_images_suit_images_alone() -> None:
    suiting = [name for name, item in PRESETS.items() if draft.suits(CATALOGUE, item, False)]
    assert suiting == ["default", "far"]
    assert all(draft.suits(CATALOGUE, item, True) for item in PRESETS.values())


def test_a_link_to_a_preset_brings_its_data_unless_it_names_others() -> None:
    link = {"method": "any", "preset": "far"}
    assert draft.from_query(link, CATALOGUE).values["data"] == {"name": "shifted", "mean": 3}
    named = draft.from_query({**link, "data": "ring"}, CATALOGUE).values["data"]
    assert named == {"name": "ring"}


def test_a_file_that_names_no_data_takes_those_of_its_preset(tmp_path: Path) -> None:
    file = tmp_path / "location.yaml"
    file.write_text("method: exact_likelihood\npreset: location\n")
    assert read_spec(str(file)).data == {"name": "shifted_gaussian"}
