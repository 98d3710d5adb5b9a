"""First sentences: what stood under the fields of a draft when somebody last began with the same.

A page that is drawn with them at once is not drawn a second time when the worker's answer comes:
that they are still right is seen then, and what is not is drawn anew.
"""

from __future__ import annotations

import json
from typing import Any

_MOST = 100
_sentences: dict[str, Any] = {}


def recall(begun: Any, otherwise: Any) -> Any:
    """Return the sentences of a draft that was begun before, else what is given otherwise."""
    return _sentences.get(_key(begun), otherwise)


def remember(begun: Any, sentences: Any) -> None:
    """Remember the sentences of the draft that a page began with, in place of the oldest."""
    _sentences.pop(key := _key(begun), None)
    _sentences[key] = sentences
    for oldest in list(_sentences)[:-_MOST]:
        _sentences.pop(oldest, None)


def _key(begun: Any) -> str:
    return json.dumps(begun, sort_keys=True, default=str)
