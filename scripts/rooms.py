#!/usr/bin/env python3
"""Draw which rooms of the code import which; exit 1 where one imports upward, or is crowded.

A room is a folder, or a file that lies at the root of a package. Imports inside functions count.

    scripts/rooms.py            the rooms, floor by floor, with what each imports
    scripts/rooms.py --dot      the same as a graph for Graphviz
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("backend", "basin", "jobs", "dashboard")
MOST_ENTRIES = 16
"""Files and folders in one room that can be taken in at a glance."""
PLUG_INS = {
    "backend.abilities",
    "backend.datasets",
    "backend.energies",
    "backend.methods",
    "backend.metrics",
    "backend.networks",
    "backend.distributions",
    "backend.objectives",
    "backend.observers",
    "backend.recipes",
    "backend.samplers",
}
"""Folders where a file is one more of a kind: they may be long."""

FLOORS: tuple[tuple[str, ...], ...] = (
    ("dashboard.__main__", "dashboard.app", "dashboard.server", "dashboard.views"),
    (
        "dashboard.comparing",
        "dashboard.run_acts",
        "dashboard.sampler_lab",
        "dashboard.stream",
        "dashboard.studio",
    ),
    ("dashboard.comparison", "dashboard.forms", "dashboard.gallery", "dashboard.vocabulary"),
    ("dashboard.live_view",),
    (
        "dashboard.elements",
        "dashboard.faults",
        "dashboard.security",
        "dashboard.settings",
        "dashboard.shell",
    ),
    ("dashboard.static_files",),
    ("dashboard.live",),
    ("dashboard.live.comparing.grid", "dashboard.live.list", "dashboard.live.comparing"),
    ("dashboard.live.comparing.selecting", "dashboard.live.studio"),
    ("dashboard.live.pictures.arena", "dashboard.live.pictures.race"),
    ("dashboard.live.pictures",),
    ("dashboard.live.pictures.drawing",),
    ("dashboard.live.charts",),
    ("dashboard.live.parts.figures",),
    ("dashboard.live.parts", "dashboard.live.stream"),
    ("basin.adapters",),
    ("basin.tracking",),
    (
        *("basin.beat", "basin.creating", "basin.loading", "basin.reading", "basin.showing"),
        "basin.watching",
    ),
    ("basin.arrays", "basin.figures"),
    ("jobs.cli",),
    ("jobs.services", "jobs.tasks"),
    ("jobs.bakeoffs", "jobs.grids"),
    (
        "jobs.arena",
        "jobs.claims",
        "jobs.contracts",
        "jobs.execution",
        "jobs.exports",
        "jobs.imports",
        "jobs.templates",
    ),
    ("jobs.queueing",),
    ("jobs.models", "jobs.notifications", "jobs.races", "jobs.report_cards"),
    ("jobs.proposals", "jobs.records"),
    ("jobs.formatting", "jobs.record_files"),
    ("jobs.system",),
    ("backend.observers",),
    ("backend.abilities", "backend.methods"),
    ("backend.generative_flows",),
    ("backend.datasets", "backend.objectives", "backend.recovery", "backend.requests"),
    ("backend.observe",),
    ("backend.samplers",),
    ("backend.ability", "backend.catalogue", "backend.energies"),
    ("backend.method",),
    ("backend.claims", "backend.metrics", "backend.training"),
    ("backend.distributions",),
    ("backend.data", "backend.networks", "backend.sampler"),
    ("backend.compilation", "backend.config"),
    ("backend.energy", "backend.spec"),
    ("backend.gradient_use", "backend.system"),
    (
        "backend.errors",
        "backend.events",
        "backend.former_names",
        "backend.metric_names",
        "backend.randomness",
        "backend.truth",
    ),
)
"""Every room, from the top of the house down: a room imports from the floors below it alone."""

Graph = dict[str, set[str]]


def files() -> dict[str, Path]:
    """Every module by its dotted name."""
    modules = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The project's modules that a file imports, those for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, name in named:
            if f"{module}.{name}" in modules:
                yield f"{module}.{name}"
            elif module in modules:
                yield module


def room(module: str, modules: dict[str, Path]) -> str:
    """The folder a module lies in, or itself at the root of a package."""
    parts = module.split(".")
    if len(parts) == 1:
        return module
    if modules[module].name == "__init__.py" or len(parts) == 2:
        return ".".join(parts[:2])
    return ".".join(parts[:2])


def graph(modules: dict[str, Path]) -> Graph:
    """The rooms that each room imports."""
    arrows: Graph = defaultdict(set)
    for module, path in modules.items():
        if module in PACKAGES:
            continue
        here = room(module, modules)
        arrows[here] |= set()
        for imported in imports(path, modules):
            there = room(imported, modules)
            if there != here and there not in PACKAGES:
                arrows[here].add(there)
    return dict(arrows)


def live_graph() -> Graph:
    """The same of the pages' JavaScript, whose rooms are its folders and the pages at its root."""
    arrows: Graph = defaultdict(set)
    for path in sorted((ROOT / "dashboard/live").rglob("*.js")):
        arrows[live_room(path)] |= set()
        for name in re.findall(r'from "(\..+?\.js)"', path.read_text()):
            arrows[live_room(path)] |= {live_room(path.parent / name)} - {live_room(path)}
    return dict(arrows)


def live_room(path: Path) -> str:
    return ".".join(path.resolve().parent.relative_to(ROOT).parts)


def circles(arrows: Graph) -> list[set[str]]:
    """Rooms that reach one another (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(members) > 1:
                components.append(members)

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return components


def violations(arrows: Graph) -> list[str]:
    """Sentences about rooms that FLOORS does not name, or names in vain, and arrows that do not go
    down."""
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    unnamed = [f"{here} is on no floor of FLOORS" for here in sorted(arrows) if here not in floor]
    vain = [f"{here} is in FLOORS and no room" for here in sorted(floor) if here not in arrows]
    upward = [
        f"{here} imports {there}, which is not below it"
        for here, others in sorted(arrows.items())
        for there in sorted(others)
        if here in floor and there in floor and floor[here] >= floor[there]
    ]
    return unnamed + vain + upward


def crowded() -> dict[str, int]:
    """Folders with more entries than can be taken in at a glance, plug-in folders aside."""
    sizes = {}
    for package in PACKAGES:
        for folder in [ROOT / package, *sorted((ROOT / package).rglob("*/"))]:
            name = ".".join(folder.relative_to(ROOT).parts)
            if name in PLUG_INS or folder.name == "__pycache__":
                continue
            entries = [
                entry
                for entry in folder.iterdir()
                if entry.name not in ("__init__.py", "__pycache__", "py.typed")
                and (folder != ROOT / package or entry.is_file())
            ]
            if len(entries) > MOST_ENTRIES:
                sizes[name] = len(entries)
    return sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dot", action="store_true", help="print a graph for Graphviz")
    options = parser.parse_args()
    arrows = graph(files()) | live_graph()
    if options.dot:
        print("digraph rooms {\n  rankdir=BT; node [shape=box];")
        for here, others in sorted(arrows.items()):
            for there in sorted(others):
                print(f'  "{here}" -> "{there}";')
        print("}")
        return 0
    for level, rooms in enumerate(FLOORS):
        print(f"floor {len(FLOORS) - 1 - level}")
        for here in rooms:
            print(f"  {here}: {', '.join(sorted(arrows.get(here, ()))) or '-'}")
    rounds, crowd, broken = circles(arrows), crowded(), violations(arrows)
    num = sum(map(len, arrows.values()))
    print(f"{len(arrows)} rooms, {num} arrows, {len(rounds)} circles, {len(crowd)} crowded folders")
    for members in rounds:
        print("circle:", ", ".join(sorted(members)))
        for here in sorted(members):
            print(f"  {here} -> {', '.join(sorted(arrows[here] & members))}")
    for sentence in broken:
        print(f"out of order: {sentence}")
    for name, size in crowd.items():
        print(f"crowded: {name} has {size} entries")
    return 1 if rounds or crowd or broken else 0


if __name__ == "__main__":
    sys.exit(main())
