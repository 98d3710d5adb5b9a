"""The pages benchmark: every page is in it, and the worst page decides."""

from __future__ import annotations

from benchmarks import pages
from benchmarks.report import Report
from dashboard import shell

RUNS = {"ring": ["a", "b"], "images": ["c"], "table": ["d"], "race": ["e", "f"]}


def test_every_page_of_the_menu_is_opened() -> None:
    cases = pages.cases(RUNS)
    assert [case.name for case in cases] == list(pages.PAGES)
    assert {case.path.partition("?")[0] for case in cases} == set(shell.PAGES)
    assert all(case.usable for case in cases)


def test_the_worst_page_decides_a_claim() -> None:
    report = Report("pages")
    for name, seconds in (("launch", 3.0), ("runs", 0.5)):
        report.add(name, "cold", "usable", "s", [seconds])
        for subject, metric, target, _ in pages.TARGETS:
            if metric != "usable":
                report.add(name, subject, metric, "", [target])
    pages.claim(report)
    verdicts = {claim.text: claim.holds for claim in report.claims}
    assert verdicts.pop("cold usable, the worst page (launch)") == "fails"
    assert len(verdicts) == len(pages.TARGETS) - 1 and set(verdicts.values()) == {"holds"}
