"""Report that every benchmark prints: results side by side and the claims they decide, as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from backend.claims.report import Claim, Result, as_dict
from backend.claims.verdict import Holds


@dataclass
class Report:
    """Results and claims of one benchmark."""

    name: str
    results: list[Result] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """what was left out, and why"""

    def add(
        self, case: str, subject: str, metric: str, unit: str, values: Sequence[float]
    ) -> Result:
        """Add a figure from its repeats and return it."""
        middle = statistics.median(values)
        result = Result(case, subject, metric, unit, middle, min(values), max(values), len(values))
        self.results.append(result)
        return result

    def claim_at_most(self, text: str, value: float, target: float, unit: str = "") -> None:
        """Add an acceptance claim that a value stays at or below a target."""
        holds: Holds = "holds" if value <= target else "fails"
        self.claims.append(Claim(text, f"≤ {target:g} {unit}".strip(), value, holds))

    def claim_at_least(self, text: str, value: float, target: float, unit: str = "") -> None:
        """Add an acceptance claim that a value reaches a target."""
        holds: Holds = "holds" if value >= target else "fails"
        self.claims.append(Claim(text, f"≥ {target:g} {unit}".strip(), value, holds))

    def as_dict(self) -> dict[str, Any]:
        results = [asdict(result) for result in self.results]
        claims = [asdict(claim) for claim in self.claims]
        return {**as_dict(self.name, results, claims), "notes": self.notes}

    def show(self, as_json: bool) -> None:
        """Print it, as JSON or as a table."""
        if as_json:
            print(json.dumps(self.as_dict(), indent=1))
            return
        for row in self.results:
            spread = f"{row.min:.3g} to {row.max:.3g}, n = {row.n}"
            figure = f"{row.median:10.4g} {row.unit}"
            print(f"{row.case:34} {row.subject:12} {row.metric:28} {figure}   ({spread})")
        for claim in self.claims:
            print(f"{claim.holds:9} {claim.text}: {claim.value:.4g}, target {claim.target}")
        for note in self.notes:
            print(f"note: {note}")
