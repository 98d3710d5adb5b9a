"""`basin new` and `basin check`: a part of one's own, begun and held to the contracts."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import asdict
from pathlib import Path

import click

from backend.errors import BadInput
from backend.system.home import home
from jobs.cli.common import DONE, FAILED, json_command, show

KINDS = ("method", "sampler", "energy", "dataset", "ability", "recipe")
_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TEST = '''"""The contracts that every part of Basin keeps, for {name}."""

from pathlib import Path

from jobs.contracts import unkept


def test_{name}_keeps_every_contract() -> None:
    assert unkept(Path(__file__).with_name("{file}")) == []
'''


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@json_command
def new(kind: str, name: str, as_json: bool) -> None:
    """Write a small working part, and its test, into the folder where one stands.

    NAME becomes its id: lower case, digits and underscores.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise BadInput.at(
            "name", f"must be lower-case letters, digits and `_`, a letter first, got {name!r}."
        )
    suffix = ".yaml" if kind == "recipe" else ".py"
    path, test = Path.cwd() / f"{name}{suffix}", Path.cwd() / f"test_{name}.py"
    if there := [each for each in (path, test) if each.exists()]:
        raise BadInput.at("name", f"{there[0]} is there already. Choose another name, or move it.")
    text = (_TEMPLATES / f"{kind}{suffix}").read_text(encoding="utf-8")
    words = name.replace("_", " ").strip().capitalize()
    for old, given in (
        ("template_name", name),
        ("TemplateName", "".join(part.capitalize() for part in name.split("_"))),
        ("Template name", words),
    ):
        text = text.replace(old, given)
    try:
        path.write_text(text, encoding="utf-8")
        test.write_text(_TEST.format(name=name, file=path.name), encoding="utf-8")
    except OSError as error:
        raise BadInput.at("name", f"{path} cannot be written: {error.strerror}.") from error
    lines = (
        f"Wrote {path.name} and {test.name}.",
        f"  basin check {path.name}      holds it to the contracts",
        f"  BASIN_PLUGINS={path} basin up      serves it; so does a copy in {home() / 'plugins'}",
    )
    show({"files": [str(path), str(test)]}, as_json, "\n".join(lines))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_command
def check(file: Path, as_json: bool) -> None:
    """Hold what a file defines to the contracts that the package's own parts keep.

    FILE is a .py file, a package or a recipe's .yaml. Exit code 1 where one is not kept.
    """
    import torch

    from jobs.contracts.of_files import walk

    torch.set_num_threads(1)
    outcomes = []
    for each in walk(file):
        outcomes.append(each)
        if not as_json:
            click.echo(f"{'FAILS' if each.problem else 'kept '}  {each.part}: {each.check}")
            if each.problem:
                click.echo(f"       {each.problem}")
    failing = sum(bool(each.problem) for each in outcomes)
    summary = f"{failing} of {len(outcomes)} checks fail." if failing else "Every contract is kept."
    show([asdict(each) for each in outcomes], as_json, summary)
    sys.exit(FAILED if failing else DONE)
