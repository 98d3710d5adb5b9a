"""Browser tests wait for what a page draws: the server sends a page piece by piece."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.dashboard.conftest import press, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page


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


READINGS = ("inner_text", "text_content", "all_inner_texts", "all_text_contents")


def _reads_at_once(assertion: ast.Assert) -> bool:
    """Tell a text, or elements gone through, that must be there by now; what must not is another
    matter."""
    test = assertion.test
    if _is_absence(test):
        return False
    calls = [
        node.func.attr
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    gone_through = [
        ast.unparse(node.iter) for node in ast.walk(test) if isinstance(node, ast.comprehension)
    ]
    return any(call in READINGS for call in calls) or any(
        text.endswith(".all()") for text in gone_through
    )


def _is_absence(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp):
        return isinstance(test.op, ast.Not)
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotIn | ast.NotEq)


def _asserted_readings(tree: ast.AST) -> Iterator[ast.Assert]:
    """Find assertions on a text that was read once into a variable, without waiting for it."""
    kinds = (ast.Assign, ast.AnnAssign, ast.Assert)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        read: set[str] = set()
        lines = (node for node in ast.walk(function) if isinstance(node, kinds))
        for line in sorted(lines, key=lambda node: node.lineno):
            if isinstance(line, ast.Assert):
                names = {node.id for node in ast.walk(line.test) if isinstance(node, ast.Name)}
                if names & read and not _is_absence(line.test):
                    yield line
                continue
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            calls = ast.walk(line.value) if line.value is not None else iter(())
            is_read = not isinstance(line.value, ast.Lambda) and any(
                isinstance(call, ast.Attribute) and call.attr in READINGS for call in calls
            )
            read = read | names if is_read else read - names


ANSWERS = ("socket", "request", "response", "answer", "each")
"""Names of what a page sends and gets, whose address does not change."""


def _reads_stale_address(node: ast.AST) -> bool:
    """Tell `page.url`, which a loop that asks the page nothing else never sees change."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "url"
        and not (isinstance(node.value, ast.Name) and node.value.id in ANSWERS)
    )


def _presses_at_once(node: ast.AST) -> bool:
    """Tell a key, or the focus for one, that goes to a control which may be off yet."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("focus", "press")
        and not ast.unparse(node.func.value).endswith("keyboard")
    )


@pytest.mark.parametrize(
    ("is_hasty", "mend"),
    [
        (_counts_at_once, "use wait_for(lambda: … .count() == n, …)"),
        (_reads_at_once, "use get_by_text(…).wait_for(), or wait_for(lambda: …, …)"),
    ],
)
def test_nothing_that_the_server_has_yet_to_send_is_asserted_at_once(
    is_hasty: Callable[[ast.Assert], bool], mend: str
) -> None:
    hasty = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "tests" / "dashboard").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and is_hasty(node)
    ]
    assert hasty == [], mend


def test_keys_are_pressed_on_controls_that_take_them() -> None:
    unheard = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "tests" / "dashboard").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if _presses_at_once(node)
    ]
    assert unheard == [], "use press(control, key): a control that is off yet swallows keys"


@pytest.mark.parametrize("becomes", ["style.visibility = 'visible'", "disabled = false"])
def test_a_key_waits_for_the_control_that_takes_it(page: Page, becomes: str) -> None:
    is_off = "disabled" if "disabled" in becomes else "style='visibility: hidden'"
    page.set_content(f"<input type=range max=9 value=9 {is_off}>")
    slider = page.locator("input")
    slider.evaluate(f"slider => setTimeout(() => slider.{becomes}, 400)")
    press(slider, "Home")
    wait_for(lambda: slider.input_value() == "0", "the first of ten")


def test_no_text_is_read_into_a_variable_and_asserted_at_once() -> None:
    hasty = [
        f"{path.name}:{assertion.lineno}"
        for path in sorted((ROOT / "tests" / "dashboard").rglob("test_*.py"))
        for assertion in _asserted_readings(ast.parse(path.read_text()))
    ]
    assert hasty == [], "wait for the text by locator(…, has_text=…) or wait_for, then read it"


def test_an_address_is_asked_of_the_page() -> None:
    stale = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "tests" / "dashboard").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if _reads_stale_address(node)
    ]
    assert stale == [], "use address(page): page.url stays as it was while nothing else is asked"


@pytest.mark.parametrize(
    ("code", "is_hasty"),
    [
        ("text = row.inner_text()\n    assert 'a' in text", True),
        ("[num] = re.findall('a', row.inner_text())\n    f()\n    assert num == '1'", True),
        ("text = row.inner_text()\n    assert 'a' not in text", False),
        ("text = row.inner_text()\n    text = other\n    assert 'a' in text", False),
        ("read = lambda: row.inner_text()\n    assert wait_for(read, 'it')", False),
    ],
)
def test_a_text_asserted_at_once_is_seen(code: str, is_hasty: bool) -> None:
    assert bool(list(_asserted_readings(ast.parse(f"def test():\n    {code}")))) is is_hasty


@pytest.mark.parametrize(
    ("code", "is_stale"),
    [("page.url", True), ("self.page.url", True), ("request.url", False), ("address(page)", False)],
)
def test_a_stale_address_is_seen(code: str, is_stale: bool) -> None:
    assert any(map(_reads_stale_address, ast.walk(ast.parse(code)))) is is_stale


@pytest.mark.parametrize(
    ("code", "at_once"),
    [
        ("slider.focus()", True),
        ("box.press('Tab')", True),
        ("page.keyboard.press('Home')", False),
        ("press(slider, 'Home')", False),
    ],
)
def test_a_key_pressed_at_once_is_seen(code: str, at_once: bool) -> None:
    assert any(map(_presses_at_once, ast.walk(ast.parse(code)))) is at_once


@pytest.mark.parametrize(
    "hasty",
    [
        "assert rows.count() == 2",
        'assert "a" in row.inner_text()',
        'assert row.text_content() == "a"',
        "assert [each.get_attribute('a') for each in rows.all()] == ['b']",
        'assert all(word in row.inner_text() for word in words), "all"',
    ],
)
def test_what_is_hasty_is_seen(hasty: str) -> None:
    (assertion,) = ast.parse(hasty).body
    assert isinstance(assertion, ast.Assert)
    assert _counts_at_once(assertion) or _reads_at_once(assertion)


@pytest.mark.parametrize(
    "patient",
    [
        "assert rows.count() == 0",
        'assert "a" not in row.inner_text()',
        "assert not [name for name in names if name in body.inner_text()]",
        "assert np.isfinite(values).all()",
    ],
)
def test_what_must_not_be_there_may_be_asserted_at_once(patient: str) -> None:
    (assertion,) = ast.parse(patient).body
    assert isinstance(assertion, ast.Assert)
    assert not _counts_at_once(assertion) and not _reads_at_once(assertion)
