"""Tables and specs of a comparison, for the report that its page writes as one file."""

from __future__ import annotations

from typing import Any

from backend.system.about import version
from dashboard import comparison
from dashboard.comparison import Group
from dashboard.elements import figure, plural

NOTE = (
    "Final figures, or the latest of a run that goes on; over several seeds the median and the "
    "range. Best: better in every seed than all others in any, and beyond the floor, which is "
    "fresh real data of as many samples. Of single runs, whose spread is not known, none is."
)


def report(groups: list[Group]) -> dict[str, Any]:
    """Gather what a report holds beside pictures and curves: `about`, `tables` (title, head, rows
    of {text, best}, note) and `runs` (title, id, spec as YAML)."""
    members = [(group, member) for group in groups for member in group.members]
    return {
        "about": f"{plural(len(members), 'run')} of Basin {version()}.",
        "tables": [*_figures(groups), *_differences(groups)],
        "runs": [
            {
                "title": f"{group.title}, seed {member.status.seed}",
                "id": member.id,
                "spec": member.directory.spec().to_yaml(),
            }
            for group, member in members
        ],
    }


def _figures(groups: list[Group]) -> list[dict[str, Any]]:
    parts = comparison.by_data(groups)
    tables = []
    for data, together in parts.items():
        rows = [
            [
                {"text": row.title},
                *(
                    {"text": comparison.written(values), "best": index in row.best}
                    for index, values in enumerate(row.values)
                ),
                {"text": "" if row.floor is None else figure(row.floor)},
            ]
            for row in comparison.figures(together)
        ]
        if rows:
            head = ["figure", *(group.title for group in together), "floor"]
            title = f"Figures: {data}" if len(parts) > 1 else "Figures"
            tables.append({"title": title, "head": head, "rows": rows, "note": NOTE})
    return tables


def _differences(groups: list[Group]) -> list[dict[str, Any]]:
    rows = [
        [{"text": name}, *({"text": value} for value in values)]
        for name, values in comparison.differences(groups)
    ]
    if not rows:
        return []
    head = ["field", *(group.title for group in groups)]
    return [{"title": "Where they differ", "head": head, "rows": rows, "note": ""}]
