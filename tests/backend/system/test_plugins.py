"""Parts from outside the package: where they are found, what is broken, and whose they are."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from backend import catalogue
from backend.claims import recipe
from backend.system import discovery, plugins

DISTRIBUTION = """
from backend.distributions.gaussian import FittedGaussian, FittedGaussianConfig
from typing import Literal

class MineConfig(FittedGaussianConfig):
    kind: Literal["{kind}"] = "{kind}"

class Mine(FittedGaussian):
    Config = MineConfig
"""


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    discovery.forget()
    yield
    discovery.forget()


def test_files_and_packages_of_the_home_and_of_named_folders_serve(
    basin_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home = write(basin_home / "plugins", "first.py", DISTRIBUTION.format(kind="first"))
    package = tmp_path / "lab"
    write(package, "__init__.py", "")
    write(package, "second.py", "from .inner import *\n" + DISTRIBUTION.format(kind="second"))
    write(package, "inner.py", "size = 3\n")
    single = write(tmp_path / "elsewhere", "third.py", DISTRIBUTION.format(kind="third"))
    write(tmp_path / "elsewhere", "fourth.py", DISTRIBUTION.format(kind="fourth"))
    monkeypatch.setenv("BASIN_PLUGINS", os.pathsep.join([str(package), str(single)]))
    known = discovery.distributions()
    assert {"first", "second", "third", "gaussian"} <= set(known)
    assert "fourth" not in known, "a file that is named brings no others of its folder"
    places = {kind: plugins.origin_of(known[kind].__module__) for kind in known}
    assert [getattr(places[kind], "path", None) for kind in ("first", "second", "gaussian")] == [
        str(at_home),
        str(package),
        None,
    ]
    assert catalogue.broken() == []


def test_a_folder_may_hold_scripts_tests_and_data_that_are_no_plug_ins(
    basin_home: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = f"open({str(ran)!r}, 'w')\n"
    for name, text in (
        ("train.py", script),
        ("test_mine.py", "import backend\n" + script),
        ("_draft.py", "import backend\n" + script),
        ("notes.yaml", "method: nobody"),
    ):
        write(basin_home / "plugins", name, text)
    assert plugins.loaded() == ()
    assert plugins.recipes() == []
    assert catalogue.broken() == []
    assert not ran.exists()


def test_what_fails_is_broken_by_its_path_and_the_rest_serve_on(
    basin_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = basin_home / "plugins"
    torn = write(folder, "a_torn.py", "import backend\ndef (")
    ends = write(folder, "b_ends.py", "import backend\nraise SystemExit(3)")
    write(folder, "good.py", DISTRIBUTION.format(kind="good"))
    monkeypatch.setenv("BASIN_PLUGINS", str(tmp_path / "nowhere"))
    assert "good" in discovery.distributions()
    broken = {item.module: item.error for item in catalogue.broken()}
    assert set(broken) == {str(torn), str(ends), str(tmp_path / "nowhere")}
    assert broken[str(torn)].startswith("SyntaxError")
    assert broken[str(ends)] == "SystemExit: 3"
    assert "not there" in broken[str(tmp_path / "nowhere")]


def test_of_two_with_one_id_the_first_serves_and_the_error_names_both(basin_home: Path) -> None:
    folder = basin_home / "plugins"
    one = write(folder, "one.py", DISTRIBUTION.format(kind="mine"))
    two = write(folder, "two.py", DISTRIBUTION.format(kind="mine"))
    three = write(folder, "three.py", DISTRIBUTION.format(kind="gaussian"))
    known = discovery.distributions()
    assert plugins.origin_of(known["mine"].__module__).path == str(one)  # type: ignore[union-attr]
    assert known["gaussian"].__module__ == "backend.distributions.gaussian"
    errors = {item.module: item.error for item in catalogue.broken()}
    assert set(errors) == {str(two), str(three)}
    assert str(one) in errors[str(two)] and str(two) in errors[str(two)]
    assert "backend.distributions.gaussian" in errors[str(three)]


def test_installed_distributions_bring_what_their_entry_point_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "mylab-1.2.dist-info"
    write(about, "METADATA", "Metadata-Version: 2.1\nName: mylab\nVersion: 1.2\n")
    write(about, "entry_points.txt", "[basin.plugins]\nparts = mylab_parts.energies\n")
    package = tmp_path / "mylab_parts" / "energies"
    write(package.parent, "__init__.py", "")
    write(package, "__init__.py", "")
    write(package, "wide.py", DISTRIBUTION.format(kind="of_the_lab"))
    write(package, "claim.yaml", "claims: []\nvariants: {}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "parts" in {point.name for point in metadata.entry_points(group=plugins.GROUP)}
    assert [path.name for path in plugins.recipes()] == ["claim.yaml"]
    assert "mylab_parts" not in sys.modules, "whoever looks for recipes imports nothing"
    origin = plugins.origin_of(discovery.distributions()["of_the_lab"].__module__)
    assert origin is not None
    assert (origin.distribution, origin.version, origin.path) == ("mylab", "1.2", str(package))


def test_an_origin_tells_whether_its_source_changed_or_is_gone(basin_home: Path) -> None:
    path = write(basin_home / "plugins", "wide.py", DISTRIBUTION.format(kind="wide"))
    before = plugins.stamp()
    origin = plugins.origin_of(discovery.distributions()["wide"].__module__)
    assert origin is not None and len(origin.sha256) == 16
    assert plugins.change_of(origin) == ""
    path.write_text(path.read_text() + "# edited\n")
    assert plugins.change_of(origin) == "changed"
    assert plugins.stamp() != before
    path.unlink()
    assert plugins.change_of(origin) == "gone"


def test_a_file_edited_within_its_second_to_the_same_size_is_compiled_anew(
    basin_home: Path,
) -> None:
    path = write(basin_home / "plugins", "wide.py", DISTRIBUTION.format(kind="wide"))
    then = path.stat()
    assert "wide" in discovery.distributions()
    path.write_text(DISTRIBUTION.format(kind="slim"))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    discovery.forget()
    assert "slim" in discovery.distributions() and "wide" not in discovery.distributions()


def test_recipes_lie_beside_and_are_broken_one_by_one(basin_home: Path) -> None:
    folder = basin_home / "plugins"
    text = recipe.text_of("rbm_digits").replace("name: rbm_digits", "name: again")
    write(folder, "again.yaml", text)
    write(folder, "rbm_digits.yaml", text)
    write(folder, "half.yaml", "claims: 3")
    discovered = recipe.discover()
    assert "again" in discovered.recipes
    broken = {Path(item.path).name: item.error for item in discovered.broken}
    assert set(broken) == {"half.yaml", "rbm_digits.yaml"}
    assert str(recipe.FOLDER / "rbm_digits.yaml") in broken["rbm_digits.yaml"]
    assert str(folder / "rbm_digits.yaml") in broken["rbm_digits.yaml"]


def test_a_recipe_may_be_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = recipe.text_of("rbm_digits")
    path = write(tmp_path, "alone.yaml", text)
    monkeypatch.setenv("BASIN_PLUGINS", os.pathsep.join([str(path), str(tmp_path / "gone.yaml")]))
    assert plugins.recipes() == [path]
    assert "alone" in recipe.discover().recipes


@pytest.mark.slow
@pytest.mark.parametrize("first", ["backend.methods.noise_contrastive", "backend.catalogue"])
def test_one_that_builds_on_a_method_waits_until_that_is_imported(
    basin_home: Path, first: str
) -> None:
    folder = basin_home / "plugins"
    write(folder, "later.py", DISTRIBUTION.format(kind="later"))
    method = """
        from backend.methods.noise_contrastive import NoiseContrastive
        from backend.distributions import AnyDistribution

        class Mine(NoiseContrastive):
            id = "mine"
            kinds = AnyDistribution
    """
    write(folder, "builds.py", method)
    code = f"""
import {first}
from backend import catalogue
assert catalogue.broken() == [], catalogue.broken()
assert "mine" in catalogue.methods()
changes = {{"noise": {{"kind": "later"}}}}
made = catalogue.configured(catalogue.methods()["mine"], "default", changes)
assert made.noise.kind == "later"
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": "."})
