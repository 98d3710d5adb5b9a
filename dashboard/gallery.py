"""Gallery data: a recipe and one of its reproductions as plain data for the page."""

from __future__ import annotations

import math
from typing import Any

from backend.claims.recipe import CurvePicture, DotsPicture, Recipe, SweepPicture, Term
from dashboard.elements import MINUS, figure
from jobs.claims import recipe_results as found_in
from jobs.claims.recipe_results import FigureResult, Findings, Runs

NOT_RUN = "not run yet"
UNDER_WAY = "under way"
SIGNS = {"holds": ("✓", "good"), "fails": ("✕", "alarm"), "undecided": ("◌", "muted")}
"""Sign and colour token of every verdict; the word always stands beside them."""
MOST_POINTS = 120
"""Points of one seed's curve that travel to the page."""


def picture(recipe: Recipe, findings: Findings, runs: Runs) -> dict[str, Any]:
    """Build the deciding picture and the seeds beside it, for the panel that draws them."""
    picture_spec = recipe.picture
    if isinstance(picture_spec, CurvePicture):
        drawn = _curves(recipe, picture_spec, runs)
    elif isinstance(picture_spec, SweepPicture):
        drawn = _sweep(recipe, picture_spec, findings)
    else:
        assert isinstance(picture_spec, DotsPicture)
        drawn = _dots(recipe, picture_spec, findings)
    return {"picture": drawn, "seeds": _seeds(recipe, findings)}


def _curves(recipe: Recipe, picture_spec: CurvePicture, runs: Runs) -> dict[str, Any]:
    lines = []
    for variant, by_seed in found_in.curves(recipe, runs).items():
        seeds = [_thinned(x, y) for _, (x, y) in sorted(by_seed.items())]
        lines.append({"title": recipe.variants[variant].title, "id": variant, "seeds": seeds})
    return {
        "kind": "lines",
        "title": picture_spec.title or picture_spec.path,
        "x_title": _COSTS[picture_spec.cost],
        "log_x": False,
        "log_y": picture_spec.log,
        "lines": _in_order(recipe, lines),
        "marks": [],
        "floor": None,
        "at": None,
    }


_COSTS = {
    "steps": "step",
    "gradients": "gradient evaluations",
    "seconds": "seconds",
    "joules": "joules",
}


def _thinned(x: list[float], y: list[float]) -> dict[str, list[float | None]]:
    """Select at most MOST_POINTS points, the last one kept."""
    every = max(1, -(-len(x) // MOST_POINTS))
    rows = sorted({*range(0, len(x), every), len(x) - 1}) if x else []
    return {"x": [x[row] for row in rows], "y": [_plain(y[row]) for row in rows]}


def _plain(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _sweep(recipe: Recipe, picture_spec: SweepPicture, findings: Findings) -> dict[str, Any]:
    lines, floors = [], []
    for variant, points in findings.sweep.items():
        seeds: dict[int, dict[str, list[float | None]]] = {}
        for point in points:
            floors += [point.floor] if point.floor is not None else []
            for reading in point.readings:
                seed = seeds.setdefault(reading.seed, {"x": [], "y": []})
                seed["x"].append(point.x)
                seed["y"].append(_plain(reading.value))
        title = recipe.variants[variant].title
        lines.append(
            {"title": title, "id": variant, "seeds": [seeds[key] for key in sorted(seeds)]}
        )
    return {
        "kind": "lines",
        "title": picture_spec.title,
        "x_title": picture_spec.x_title,
        "log_x": False,
        "log_y": picture_spec.log,
        "ticks": picture_spec.x,
        "lines": _in_order(recipe, lines),
        "floor": sorted(floors)[len(floors) // 2] if floors else None,
        "at": picture_spec.mark,
    }


def _in_order(recipe: Recipe, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    order = list(recipe.variants)
    for line in lines:
        line["colour"] = order.index(line["id"])
    return sorted(lines, key=lambda line: line["colour"])


def _dots(recipe: Recipe, picture_spec: DotsPicture, findings: Findings) -> dict[str, Any]:
    claim = recipe.deciding()
    terms = [claim.value, *([claim.other] if claim.other else [])]
    names = picture_spec.figures or list(dict.fromkeys(term.figure for term in terms))
    rows = [
        {
            "title": recipe.variants[item.variant].title,
            "about": item.title,
            "colour": list(recipe.variants).index(item.variant),
            "values": [reading.value for reading in item.readings if reading.value is not None],
            "floor": item.floor,
        }
        for name in names
        for variant in recipe.pictured()
        for item in [findings.figure(variant, name)]
        if item is not None
    ]
    units = {recipe.figures[name].unit for name in names}
    return {
        "kind": "dots",
        "title": picture_spec.title or recipe.figures[names[0]].title,
        "unit": units.pop() if len(units) == 1 else "",
        "log": picture_spec.log,
        "rows": rows,
    }


def _seeds(recipe: Recipe, findings: Findings) -> dict[str, Any]:
    """Build the deciding claim seed by seed."""
    claim, judged = recipe.deciding(), findings.deciding()
    title = recipe.figures[claim.value.figure].title
    return {
        "readings": [
            {"seed": reading.seed, "value": reading.value, "note": reading.note}
            for reading in judged.readings
        ],
        "target": claim.target,
        "relation": claim.relation,
        "neutral": {"ratio": 1.0, "difference": 0.0}.get(claim.compares or ""),
        "compares": claim.compares or "",
        "title": title,
        "median": judged.median,
    }


def compared(recipe: Recipe) -> str:
    """Describe in words what the deciding claim compares."""
    claim = recipe.deciding()

    def of(term: Term) -> str:
        titles = [_within(recipe.variants[variant].title) for variant in term.variants]
        means = "mean over " if len(titles) > 1 else ""
        return f"{_within(recipe.figures[term.figure].title)}, {means}{', '.join(titles)}"

    text = of(claim.value)
    if claim.other is None:
        return text
    sign = "over" if claim.over else "minus"
    return f"{text} {sign} {of(claim.other)}"


def _within(title: str) -> str:
    """Set a title within a sentence: `KL` and `NCE` keep their capitals.

    >>> _within("Energy distance"), _within("KL to the data"), _within("CDRL")
    ('energy distance', 'KL to the data', 'CDRL')
    """
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


# ---------------------------------------------------------------------- tables


def claim_rows(findings: Findings) -> list[list[str]]:
    """Build rows of claim, kind, target, measurement, verdict."""
    return [
        [
            claim.text + (" (decides)" if claim.deciding else ""),
            claim.kind,
            claim.target.replace(">=", "≥").replace("<=", "≤"),
            spread(claim.median, claim.min, claim.max),
            f"{claim.num_met} of {len(claim.readings)}",
            verdict_in_words(claim.holds),
        ]
        for claim in findings.claims
    ]


def verdict_in_words(holds: str) -> str:
    """Format a verdict as Markdown with the sign, the word and its colour."""
    sign, _ = SIGNS[holds]
    colour = {"holds": "green", "fails": "red", "undecided": "gray"}[holds]
    return f":{colour}[{sign} {holds}]"


def spread(median: float | None, low: float | None, high: float | None) -> str:
    """Format the median with its range, all to one last digit.

    >>> spread(0.0123, 0.011, 0.02), spread(None, None, None)
    ('0.0123 (0.0110 to 0.0200)', '–')
    """
    if median is None or low is None or high is None:
        return "–"
    if low == high:
        return figure(median)
    digits = max(0, 1 - math.floor(math.log10(high - low)))
    if digits > 6 or max(abs(low), abs(high)) >= 1e4:
        return f"{figure(median)} ({figure(low)} to {figure(high)})"
    low_text, middle, high_text = (
        f"{value:.{digits}f}".replace("-", MINUS) for value in (low, median, high)
    )
    return f"{middle} ({low_text} to {high_text})"


def figure_rows(recipe: Recipe, findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Build head and rows of the table of figures: a row a figure, a column a variant.

    With its companions beside it. Figures that no run gave are left out.
    """
    head = ["figure", *(item.title for item in recipe.variants.values()), "beside it"]
    rows = []
    for name, about in recipe.figures.items():
        items = [findings.figure(variant, name) for variant in recipe.variants]
        if not any(item and item.median is not None for item in items):
            continue
        cells = [spread(item.median, item.min, item.max) if item else "–" for item in items]
        unit = f" *{about.unit}*" if about.unit else ""
        rows.append([f"{about.title}{unit}", *cells, _beside(items)])
    return head, rows


def _beside(items: list[FigureResult | None]) -> str:
    floors = [item.floor for item in items if item and item.floor is not None]
    parts = [f"floor {figure(floors[0])}"] if floors else []
    baselines: dict[str, float] = {}
    for item in items:
        for path, value in (item.baselines if item else {}).items():
            if value is not None:
                baselines.setdefault(path.rpartition("/")[2].replace("_", " "), value)
    return ", ".join([*parts, *(f"{name} {figure(value)}" for name, value in baselines.items())])


def paper_rows(recipe: Recipe, findings: Findings | None) -> list[list[str]]:
    """Build rows of quantity, the paper's with its scale, ours."""
    rows = []
    for item in recipe.paper_figures:
        ours = "–"
        if findings is not None and item.figure:
            beside = findings.figure(item.variant or recipe.main_variant(), item.figure)
            if beside is not None:
                ours = spread(beside.median, beside.min, beside.max)
        rows.append([item.quantity, f"{item.value}, {item.scale}", ours])
    return rows
