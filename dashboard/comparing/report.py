"""Tables and specs of a comparison, for the report that its page writes as one file."""

from __future__ import annotations

from typing import Any

from backend.system.about import version
from dashboard import comparison
from dashboard.comparing import drawn
from dashboard.comparing.drawn import Drawn
from dashboard.comparison import Group, Row
from dashboard.elements import figure, plural

NOTE = (
    "Final figures, or the latest of a run that goes on; over several seeds the median and the "
    "range. Best: better in every seed than all others in any, and beyond the floor, which is "
    "fresh real data of as many samples. Of single runs, whose spread is not known, none is: "
    "figures of samples drawn with one seed have intervals."
)
NOTE_OF_SETS = (
    "In brackets the 95 % interval by bootstrap: where the figure of other draws of the same run "
    "would lie. Another training is not in it. Best: its interval lies beyond all others and "
    "beyond the floor, which is as many real samples. A figure below its floor is no better than "
    "the floor."
)


def report(groups: list[Group], sets: Drawn | None = None) -> dict[str, Any]:
    """Gather what a report holds beside pictures and curves: `about`, `tables` (title, head, rows
    of {text, best}, note) and `runs` (title, id, spec as YAML)."""
    members = {member.id: (group, member) for group in groups for member in group.members}
    return {
        "about": f"{plural(len(members), 'run')} of Basin {version()}.",
        "tables": [*_figures(groups, sets), *_differences(groups)],
        "runs": [
            {
                "title": f"{group.title}, seed {member.status.seed}",
                "id": member.id,
                "spec": member.directory.spec().to_yaml(),
            }
            for group, member in members.values()
        ],
    }


def title_of_sets(sets: Drawn) -> str:
    """Title the figures of sample sets."""
    by = f", drawn with seed {sets.question.seed}" if sets.question else ""
    return f"{drawn.numbers(sets)} samples of each{by}"


def _figures(groups: list[Group], sets: Drawn | None) -> list[dict[str, Any]]:
    parts = comparison.by_data(groups)
    tables = []
    for data, together in parts.items():
        of = f": {data}" if len(parts) > 1 else ""
        if not any(group.sample_set for group in together):
            rows = comparison.figures(together)
            tables.append(_table(f"Figures{of}", together, rows, NOTE))
        if sets:
            own = drawn.part(groups, sets, together)
            rows = drawn.figures(together, own)
            tables.append(_table(f"{title_of_sets(own)}{of}", together, rows, NOTE_OF_SETS))
    return [table for table in tables if table["rows"]]


def _table(title: str, groups: list[Group], rows: list[Row], note: str) -> dict[str, Any]:
    head = ["figure", *(group.title for group in groups), "floor"]
    cells = [
        [
            {"text": row.title},
            *(
                {"text": comparison.written(values), "best": index in row.best}
                for index, values in enumerate(row.values)
            ),
            {"text": "" if row.floor is None else figure(row.floor)},
        ]
        for row in rows
    ]
    return {"title": title, "head": head, "rows": cells, "note": note}


def _differences(groups: list[Group]) -> list[dict[str, Any]]:
    rows = [
        [{"text": name}, *({"text": value} for value in values)]
        for name, values in comparison.differences(groups)
    ]
    if not rows:
        return []
    head = ["field", *(group.title for group in groups)]
    return [{"title": "Where they differ", "head": head, "rows": rows, "note": ""}]
