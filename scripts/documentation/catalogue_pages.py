"""Pages of methods, samplers, energies, noise, data, abilities, observers and recipes.

Everything on them comes from what is discovered and from the claims that were measured
(`docs/claims.md`): a part that is added has its entry without a line elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend import catalogue
from backend.claims.recipe import Recipe
from scripts.documentation.fields import field_table
from scripts.documentation.markdown import code, docstring, formula, prose, table

CLAIMS = Path(__file__).resolve().parents[2] / "docs" / "claims.md"
_TITLES = {
    "methods": ("Methods", "Each is one trainable system: one file in `backend/methods/`."),
    "samplers": ("Samplers", "Each is one Markov kernel: one file in `backend/samplers/`."),
    "energies": ("Energies", "Networks that are read as energies: `backend/energies/`."),
    "distributions": (
        "Noise",
        "Distributions with exact densities and draws, which methods contrast data with: "
        "`backend/distributions/`.",
    ),
    "datasets": ("Data", "Sets with what is known of them: `backend/datasets/`."),
    "abilities": ("Abilities", "What a trained run can be asked: `backend/abilities/`."),
    "observers": ("Observers", "What is seen of a run while it trains: `backend/observers/`."),
    "recipes": ("Recipes", "Published claims, repeated here: `backend/recipes/`."),
}
_Pages = dict[str, str]


def pages() -> _Pages:
    """Every page by its path in the site."""
    made = {
        "catalogue/index.md": _whole(),
        "catalogue/methods.md": _index(
            "methods", _method_rows(), ("method", "what it does", "paper")
        ),
        "catalogue/recipes.md": _index(
            "recipes", _recipe_rows(), ("recipe", "claim", "paper", "verdicts here")
        ),
        "catalogue/samplers.md": _parts("samplers", catalogue.samplers()),
        "catalogue/energies.md": _parts("energies", catalogue.networks()),
        "catalogue/distributions.md": _parts("distributions", catalogue.distributions()),
        "catalogue/datasets.md": _parts("datasets", catalogue.datasets()),
        "catalogue/abilities.md": _parts("abilities", catalogue.abilities()),
        "catalogue/observers.md": _observers(),
    }
    made |= {f"catalogue/methods/{name}.md": _method(name) for name in catalogue.methods()}
    recipes = catalogue.recipes().recipes
    return made | {f"catalogue/recipes/{name}.md": _recipe(item) for name, item in recipes.items()}


def entries(kind: str) -> list[tuple[str, str]]:
    """(title, path) of the pages of a kind, beginning with that of all; titles alphabetical."""
    if kind == "methods":
        titles = {name: cls.title for name, cls in catalogue.methods().items()}
    elif kind == "recipes":
        titles = {name: item.title for name, item in catalogue.recipes().recipes.items()}
    else:
        return []
    return [
        (title, f"catalogue/{kind}/{name}.md")
        for name, title in sorted(titles.items(), key=lambda pair: pair[1].lower())
    ]


def measured() -> dict[str, list[tuple[str, str, str]]]:
    """Rows of `docs/claims.md`, (claim, measured, verdict), by recipe."""
    rows: dict[str, list[tuple[str, str, str]]] = {}
    name = ""
    for line in CLAIMS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if len(cells) == 4 and (cells[0].startswith("`") or (name and not cells[0])):
            name = cells[0].strip("`") or name
            rows.setdefault(name, []).append((cells[1], cells[2], cells[3]))
    return rows


def _whole() -> str:
    about = (
        "What is discovered, with its equation, paper and fields, as the code says it; of "
        "[recipes](recipes.md) and their methods also what was measured here. A plug-in of your "
        "own is listed by `basin methods` and on the pages."
    )
    rows = ((f"[{title}]({kind}.md)", text) for kind, (title, text) in _TITLES.items())
    return f"# Catalogue\n\n{about}\n\n{table(('kind', 'what it is'), rows)}"


def _index(kind: str, rows: Iterator[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    title, about = _TITLES[kind]
    return f"# {title}\n\n{about}\n\n{table(heads, rows)}"


def _method_rows() -> Iterator[tuple[str, ...]]:
    for name, cls in catalogue.methods().items():
        link = f"[{prose(cls.title)}](methods/{name}.md)"
        yield link, prose(cls.summary), prose(cls.references)


def _recipe_rows() -> Iterator[tuple[str, ...]]:
    verdicts = measured()
    for name, item in catalogue.recipes().recipes.items():
        paper = f"{item.paper.authors} {item.paper.year}"
        listed = [row[2] for row in verdicts.get(name, [])]
        counts = ", ".join(
            f"{sum(each == verdict for each in listed)} {verdict}"
            for verdict in dict.fromkeys(listed)
        )
        link = f"[{prose(item.title)}](recipes/{name}.md)"
        yield link, prose(item.claim), prose(paper), counts or "not measured yet"


def _about(cls: Any) -> str:
    """Equation and remarks of a class, as its docstring gives them."""
    equation, rest = docstring(cls.__dict__.get("__doc__") or "")
    return f"{formula(equation)}\n{prose(rest)}\n" if equation else ""


def _paper(references: str, url: str = "") -> str:
    if not references:
        return ""
    link = f" ([paper]({url}))" if url else ""
    return f"*{prose(references)}*{link}\n"


def _method(name: str) -> str:
    cls = catalogue.methods()[name]
    parts = [f"# {prose(cls.title)}", prose(cls.summary), _about(cls)]
    parts += [_paper(cls.references, cls.url), f"Its id is `{name}`."]
    if cls.needs or cls.learns_from:
        given = ", ".join(f"`{each}`" for each in (*cls.needs, *cls.learns_from))
        parts.append(f"Of each row it takes, beside x: {given}.")
    presets = (
        (code(key), prose(each.summary), _budget(each.budget), _data(each.data))
        for key, each in cls.presets.items()
    )
    parts += ["## Presets", table(("preset", "what it is", "budget", "made for"), presets)]
    parts += ["## Fields", field_table(cls.Config.model_json_schema(), "../")]
    parts += _figures_of(name)
    return "\n\n".join(part for part in parts if part)


def _budget(budget: Any) -> str:
    given = budget.model_dump(exclude_none=True) if budget else {}
    return ", ".join(f"{value:,} {unit}" for unit, value in given.items())


def _data(data: Mapping[str, Any] | None) -> str:
    return code(data["name"]) if data else ""


def _figures_of(method: str) -> list[str]:
    """Claims that runs of a method were judged by."""
    lines, verdicts = [], measured()
    for name, item in catalogue.recipes().recipes.items():
        if any(variant.spec.method == method for variant in item.variants.values()):
            rows = verdicts.get(name, [])
            lines.append(f"### [{prose(item.title)}](../recipes/{name}.md)")
            lines.append(table(("claim", "measured here", "verdict"), rows) or "Not measured yet.")
    return ["## Measured", *lines] if lines else []


def _recipe(item: Recipe) -> str:
    paper = item.paper
    variants = (
        (prose(each.title), each.role, _link(each.spec.method), code(each.spec.preset))
        for each in item.variants.values()
    )
    figures = (
        (prose(each.title), code(each.path), prose(each.unit)) for each in item.figures.values()
    )
    rows = measured().get(item.name, [])
    claims = (
        (prose(each.text), each.kind, f"{each.relation} {each.target:g}".replace("<", "&lt;"))
        for each in item.claims
    )
    parts = [
        f"# {prose(item.title)}",
        prose(item.claim),
        f"*{prose(paper.authors)} {paper.year}: {prose(paper.title)}* ([paper]({paper.url}))",
        "    basin reproduce " + item.name,
        f"{len(item.variants) * item.seeds} runs: {len(item.variants)} variants under "
        f"{item.seeds} seeds, {_budget(item.budget) or 'as many steps as their presets'} each.",
        prose(item.unequal_because),
        "## Measured here",
        table(("claim", "measured", "verdict"), rows) or "Not measured yet with three seeds.",
        "## Variants",
        table(("variant", "role", "method", "preset"), variants),
        "## Claims",
        table(("claim", "kind", "target"), claims),
        "## Figures",
        table(("figure", "path", "unit"), figures),
    ]
    if item.cannot_show:
        parts += [
            "## What this scale cannot show",
            *(f"- {prose(each)}" for each in item.cannot_show),
        ]
    return "\n\n".join(part for part in parts if part)


def _link(method: str) -> str:
    return f"[{method}](../methods/{method}.md)" if method in catalogue.methods() else code(method)


def _parts(kind: str, classes: Mapping[str, Any]) -> str:
    """One page of all parts of a kind, a section each."""
    title, about = _TITLES[kind]
    return "\n\n".join([f"# {title}", about, *(_part(name, cls) for name, cls in classes.items())])


def _part(name: str, cls: Any) -> str:
    title, summary = (getattr(cls, each, "") or getattr(cls.Config, each) for each in _TEXTS)
    lines = [f"## {prose(title)} {{ #{name} }}", f"`{name}` · {prose(summary)}", _about(cls)]
    lines += [_paper(getattr(cls, "references", "")), _nature(cls)]
    lines.append(field_table(cls.Config.model_json_schema(), ""))
    return "\n\n".join(line for line in lines if line)


_TEXTS = ("title", "summary")


def _nature(cls: Any) -> str:
    """Sentences on what draws or data are, where the class says so."""
    parts = []
    if getattr(cls, "exact", None) is not None:
        parts.append("Exact." if cls.exact else f"Biased: {prose(cls.bias)}")
    if getattr(cls, "is_target", False):
        parts.append("Its density is known.")
    if getattr(cls, "discrete", False):
        parts.append("Of whole numbers.")
    if gives := getattr(cls, "gives", ()):
        parts.append(f"Gives of each row also {', '.join(f'`{each}`' for each in gives)}.")
    return " ".join(parts)


def _observers() -> str:
    title, about = _TITLES["observers"]
    rows = (
        (f"`{name}`", prose(" ".join((cls.__doc__ or "").split())))
        for name, cls in catalogue.observers().items()
    )
    return f"# {title}\n\n{about}\n\n{table(('observer', 'what it says'), rows)}"
