"""Model card: what a trained model is, what it was made of and how good it is, as the README.md of
its folder. Imports torch."""

from __future__ import annotations

import re

from backend import catalogue
from backend.errors import BadInput
from backend.system import yaml_reader
from backend.system.about import version
from jobs import report_cards
from jobs.exports.final_figures import FinalFigure, final_figures
from jobs.records import groups
from jobs.records.run_directory import RunDirectory

UNKNOWN = "unknown"
"""Licence of a model whose owner has named none."""
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")


def check_license(name: str) -> None:
    """Raise BadInput at `license` for what is no identifier of a licence."""
    if not _LICENSE.fullmatch(name):
        raise BadInput.at(
            "license",
            f"must be a licence's identifier in lower case, such as mit, apache-2.0 or cc-by-4.0, "
            f"got {name!r}.",
        )


def model_card(directory: RunDirectory, step: int, license: str) -> str:
    """Write the card of a run's model at a step: YAML head, then Markdown."""
    status, spec = directory.status(), directory.spec()
    method = catalogue.methods().get(spec.method)
    title = " ".join(status.name.split()) or f"{spec.method} on {status.data}"
    tags = ["energy-based-model", "basin", spec.method.replace("_", "-")]
    tags += [tag for tag in groups.of_user(status.tags) if tag not in tags]
    head = {"license": license, "library_name": "basin", "tags": tags}
    by = "a script of its owner" if method is None else f"{method.title} ({method.references})"
    seed = f"seed {status.seed}, step {step:,}, run `{status.id}`: {status.status}."
    lines = [
        "---",
        yaml_reader.dump(head).rstrip(),
        "---",
        "",
        f"# {title}",
        "",
        f"Trained by {by} on the data set `{status.data}`; {seed}",
    ]
    if method is not None:
        lines += ["", method.summary]
    if method is not None and method.has_energy:
        lines += ["", "Low energy is likely: p(x) ∝ exp(−E(x)), with x in the units of the data."]
    if method is not None and method.not_a_density:
        lines += ["", method.not_a_density]
    if status.reason:
        lines += ["", status.reason]
    if license == UNKNOWN:
        lines += ["", "No licence was named, so nobody may take one for granted."]
    lines += ["", "## Use", "", *_use(directory)]
    if figures := final_figures(directory):
        lines += ["", "## Figures", "", *_figures(figures)]
    if status.alarms:
        lines += ["", "## Alarms", "", *(f"- {alarm['message']}" for alarm in status.alarms)]
    lines += ["", "## What it cost", "", *report_cards.costs(directory)]
    lines += ["", "## Settings", "", "```yaml", spec.to_yaml().rstrip(), "```", ""]
    return "\n".join(lines)


def _use(directory: RunDirectory) -> list[str]:
    if directory.written_status().is_tracked:
        return [
            "`model.safetensors` is the state dict of the module that its script trains, "
            "`load_file` of `safetensors.torch` reads it. Basin does not know the architecture.",
        ]
    return [
        "```python",
        "import basin",
        "",
        'energy = basin.load("FOLDER")   # a torch module, E(x) of shape (num,)',
        "energy(x), energy.score(x), energy.sample(16)",
        "```",
        "",
        f"With Basin {version()}: `FOLDER` is where `model.safetensors`, `config.json` and this "
        "file lie. Tensors keep their names in the method, optimisers left out.",
    ]


def _figures(figures: list[FinalFigure]) -> list[str]:
    rows = [
        [f"{each.title} (`{each.path}`)", *map(_number, (each.value, each.floor, each.goal))]
        for each in figures
    ]
    return [
        *report_cards.table(("figure", "value", "floor", "goal"), rows),
        "",
        "A floor is what as many fresh real data reach against held-out real data: no model is "
        "better than it but by chance. A dash: nobody measured one. Figures named after another "
        "density, such as one Gaussian, are that one's.",
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
