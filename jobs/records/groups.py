"""Groups: runs that were launched together, told by a tag that each of them carries.

Which of them differ in settings (a sweep) and which in their seed alone is read from the members.
Tags of this kind are bookkeeping: forms and filters show a person's own tags apart from them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence

from backend.spec import RunSpec

SWEEP = "sweep:"
GROUPS = (SWEEP, "reproduction:", "bakeoff:")
"""Beginnings of the tags that name a group."""
BOOKKEEPING = (*GROUPS, "recipe:")
"""Beginnings of all tags that Basin gives by itself."""
RACE = "race"
MOST_TAGS = 20
"""Most tags of a RunSpec."""


def is_bookkeeping(tag: str) -> bool:
    """Return True for a tag that no person gave.

    >>> is_bookkeeping("recipe:short_run"), is_bookkeeping("favourite")
    (True, False)
    """
    return tag == RACE or tag.startswith(BOOKKEEPING)


def of_user(tags: Iterable[str]) -> list[str]:
    """List the tags that a person gave."""
    return [tag for tag in tags if not is_bookkeeping(tag)]


def with_user_tags(tags: Iterable[str], chosen: Iterable[str]) -> list[str]:
    """Replace a person's tags among `tags` by those `chosen`; bookkeeping stays."""
    bookkeeping = [tag for tag in tags if is_bookkeeping(tag)]
    return list(dict.fromkeys([*of_user(chosen), *bookkeeping]))


def group_of(tags: Iterable[str]) -> str:
    """Return the tag of the group that a run belongs to, "" for one launched by itself."""
    return next((tag for tag in tags if tag.startswith(GROUPS)), "")


def grouped(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Make runs that are launched in one go a group, unless they are of one already.

    A run on its own is none, whatever it was copied from.
    """
    if len(specs) < 2:
        return [
            spec.model_copy(update={"tags": [t for t in spec.tags if not t.startswith(SWEEP)]})
            for spec in specs
        ]
    if any(group_of(spec.tags) for spec in specs):
        return list(specs)
    tag = f"{SWEEP}{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    return [
        spec.model_copy(update={"tags": [*spec.tags, tag]}) if len(spec.tags) < MOST_TAGS else spec
        for spec in specs
    ]
