"""Parts that runs need and workers have: methods, data sets, abilities, and kinds of samplers and
the like. A run goes to a worker that has all of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.spec import RunSpec


def of_spec(spec: RunSpec) -> list[str]:
    """List the parts that a run names. Those that its method takes by itself come with the method.

    >>> of_spec(RunSpec(method="m", data={"name": "ring"}, config={"sampler": {"kind": "hmc"}}))
    ['data set ring', 'kind hmc', 'method m']
    """
    needed = {f"method {spec.method}", f"data set {spec.data.get('name')}"}
    needed |= {f"ability {question.ability}" for question in spec.questions}
    return sorted(needed | {f"kind {each}" for each in _kinds(spec.config)})


def of_catalogue(published: Mapping[str, Any]) -> list[str]:
    """List every part that a catalogue, as `backend.catalogue.publish` makes it, can run."""
    sections = {"methods": "method", "datasets": "data set", "abilities": "ability"}
    known = {f"{word} {name}" for key, word in sections.items() for name in published.get(key, {})}
    return sorted(known | {f"kind {each}" for each in _kinds(published)})


def _kinds(value: Any) -> Iterator[str]:
    """Names of all kinds in settings, or in the schemas of settings."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            kind = each.get("kind")
            kind = kind.get("const") if isinstance(kind, Mapping) else kind
            if isinstance(kind, str):
                yield kind
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def lacking(announced: Mapping[str, set[str] | None]) -> dict[str, list[str]]:
    """List, by worker, what others have and it lacks; only those that lack something."""
    whole = set().union(*(known for known in announced.values() if known))
    gaps = {name: sorted(whole - known) for name, known in announced.items() if known is not None}
    return {name: parts for name, parts in gaps.items() if parts}
