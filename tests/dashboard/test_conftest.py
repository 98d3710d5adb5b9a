"""Browser tests wait for what a page draws: the server sends a page piece by piece."""

from __future__ import annotations

import ast

from tests.conftest import ROOT


def _counts_at_once(assertion: ast.Assert) -> bool:
    """Tell a count of elements that must be there by now; none or fewer is another matter."""
    for node in ast.walk(assertion.test):
        if isinstance(node, ast.Compare) and any(
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "count"
            and not call.args
            for call in ast.walk(node.left)
        ):
            fewer = isinstance(node.ops[0], ast.Lt | ast.LtE)
            return not fewer and ast.unparse(node.comparators[0]) != "0"
    return False


def test_no_count_of_elements_is_asserted_at_once() -> None:
    hasty = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "tests" / "dashboard").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and _counts_at_once(node)
    ]
    assert hasty == [], "use wait_for(lambda: … .count() == n, …)"
    assert _counts_at_once(ast.parse("assert rows.count() == 2").body[0])  # type: ignore[arg-type]
