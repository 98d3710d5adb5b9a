"""Form fields: a Config's JSON schema as a form, and the form's values as a RunSpec's.

Fields stand outside `st.form`, so that others can depend on them; bounds are left to the worker's
`check`, whose sentence stands under the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from dashboard.elements import figure
from dashboard.forms import field_words, numbers
from dashboard.forms.schemas import Values, defaults, kinds_of, resolved, with_value, written_out

COLUMNS = 2
MOST_IN_LINE = 6
"""Folded fields whose values are written out."""


@dataclass(frozen=True)
class Leaf:
    """Field: its place, its bounds, and its value."""

    path: tuple[str, ...]
    schema: dict[str, Any]
    value: Any

    @property
    def name(self) -> str:
        """Name of the field."""
        return self.path[-1]

    @property
    def group(self) -> str:
        """Heading under which it is folded."""
        return str(self.schema.get("group", "")) or "More"

    @property
    def is_main(self) -> bool:
        """Return True for a field that is shown unfolded."""
        return bool(self.schema.get("main"))

    @property
    def label(self) -> str:
        """Label with its unit."""
        unit = self.schema.get("unit", "")
        return f"{self.words}{f' ({unit})' if unit else ''}"

    @property
    def words(self) -> str:
        """Name in words: the schema's own, where it is asked for something else elsewhere."""
        return str(self.schema.get("label") or field_words.field(self.name))


@dataclass(frozen=True)
class Choice:
    """Part that is one of several kinds."""

    path: tuple[str, ...]
    schema: dict[str, Any]
    kinds: dict[str, dict[str, Any]]
    """schema by kind"""
    kind: str

    @property
    def group(self) -> str:
        """Heading under which it is folded."""
        return str(self.schema.get("group", "")) or "More"


@dataclass
class Form:
    """Context of a form beside its schema."""

    key: str
    """fields of one key keep what was typed; another key starts anew"""
    problems: Mapping[str, str] = field(default_factory=dict)
    """sentence by dotted path"""
    derived: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "config"
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """for lists of what is chosen among known things: the words of each, by dotted path"""
    columns: int = COLUMNS
    idle: Mapping[str, str] = field(default_factory=dict)
    """why a field cannot be given, by dotted path"""
    between: Callable[[], None] | None = None
    """draws what stands between the main fields and all others, which are folded into one then"""
    several: bool = False
    """whether a field of numbers takes several values, with commas between"""

    @property
    def is_short(self) -> bool:
        """Return True where what a field is for stands in its help, not under it."""
        return self.several or self.between is not None

    def dotted(self, path: tuple[str, ...]) -> str:
        return ".".join((self.prefix, *path))


# ---------------------------------------------------------------------- schema


def parts(
    schema: dict[str, Any], values: Values, root: dict[str, Any], at: tuple[str, ...] = ()
) -> list[Leaf | Choice]:
    """List every field and every choice of a kind, in the order they were declared."""
    fields: list[Leaf | Choice] = []
    for name, raw in schema.get("properties", {}).items():
        part, value = resolved(raw, root), values.get(name)
        if name == "kind":
            continue
        kinds = kinds_of(part, root)
        if kinds:
            present = value if isinstance(value, dict) else {}
            kind = str(present.get("kind"))
            kind = kind if kind in kinds else next(iter(kinds))
            fields.append(Choice((*at, name), part, kinds, kind))
            fields += parts(kinds[kind], present, root, (*at, name))
        elif "properties" in part:
            present = value if isinstance(value, dict) else {}
            fields += parts(part, present, root, (*at, name))
        else:
            fields.append(Leaf((*at, name), part, value))
    return fields


# ---------------------------------------------------------------------- fields


def show(schema: dict[str, Any], values: Values, form: Form) -> Values:
    """Draw a Config's form and return its values. Main fields first, the rest folded by group."""
    root = schema
    result = written_out(schema, values, root)
    if form.between is not None:
        return _show_folded(schema, result, form, form.between)
    result = _show_choices(schema, result, root, form)
    leaves = [part for part in parts(schema, result, root) if isinstance(part, Leaf)]
    main = [leaf for leaf in leaves if leaf.is_main]
    _show_leaves(main, result, form)
    rest = [leaf for leaf in leaves if not leaf.is_main]
    if form.several and rest:
        line = _line(rest[:MOST_IN_LINE]) + (", …" if len(rest) > MOST_IN_LINE else "")
        with st.expander(f"**{len(rest)} more** &nbsp; :gray[{line}]", _is_wrong(rest, form)):
            for group, members in _grouped(rest).items():
                st.markdown(f"**{group}**")
                _show_leaves(members, result, form)
        return result
    for group, members in _grouped(rest).items():
        with st.expander(f"**{group}** &nbsp; :gray[{_line(members)}]", _is_wrong(members, form)):
            _show_leaves(members, result, form)
    return result


def _show_folded(
    schema: dict[str, Any], result: Values, form: Form, between: Callable[[], None]
) -> Values:
    """Draw the main fields that can be given, what stands between, and all others in one fold."""
    main = [
        part
        for part in parts(schema, result, schema)
        if isinstance(part, Leaf)
        and part.is_main
        and len(part.path) == 1
        and form.dotted(part.path) not in form.idle
    ]
    _show_leaves(main, result, form)
    between()
    off = {
        form.dotted((name,)): f"No effect while *{field_words.field(switch)}* is on."
        for name, part in schema.get("properties", {}).items()
        if (switch := part.get("without")) and result.get(switch)
    }
    form.idle = {**off, **form.idle}
    drawn = {part.path for part in main}

    def rest() -> list[Leaf]:
        return [
            part
            for part in parts(schema, result, schema)
            if isinstance(part, Leaf)
            and part.path not in drawn
            and form.dotted(part.path[:1]) not in off
        ]

    if not (folded := rest()):
        return result
    line = _line(folded[:MOST_IN_LINE]) + (", …" if len(folded) > MOST_IN_LINE else "")
    title = f"**{len(folded)} more** &nbsp; :gray[{line}]"
    with st.expander(title, any(path not in map(form.dotted, drawn) for path in form.problems)):
        result = _show_choices(schema, result, schema, form)
        for group, members in _grouped(rest()).items():
            st.markdown(f"**{group}**")
            _show_leaves(members, result, form)
    return result


def _grouped(leaves: list[Leaf]) -> dict[str, list[Leaf]]:
    """Gather fields under their headings."""
    groups: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault(leaf.group, []).append(leaf)
    return groups


def _line(leaves: list[Leaf]) -> str:
    """Write fields with their values in one line."""
    return ", ".join(f"{leaf.label.lower()} {_shown(leaf.value)}" for leaf in leaves)


def _is_wrong(leaves: list[Leaf], form: Form) -> bool:
    """Return True where something is wrong with one of the fields."""
    return any(form.dotted(leaf.path) in form.problems for leaf in leaves)


def _show_choices(
    schema: dict[str, Any], values: Values, root: dict[str, Any], form: Form
) -> Values:
    choices = [part for part in parts(schema, values, root) if isinstance(part, Choice)]
    if not choices:
        return values
    across = max(len(choices), form.columns if form.several else 1)
    for choice, column in zip(choices, st.columns(across), strict=False):
        with column:
            dotted = form.dotted(choice.path)
            label = field_words.field(choice.path[-1])
            # a part says itself what it is; one kind may be of several parts
            captions = {
                kind: (part.get("kind_title", kind), part.get("kind_summary", ""))
                for kind, part in choice.kinds.items()
            }
            kind = _kind_field(choice, captions, label, f"{form.key}:{dotted}.kind", form)
            if not form.several:
                st.caption(form.idle.get(dotted) or captions[kind][1])
            _say(form, f"{dotted}.kind")
            if kind != choice.kind:
                fresh = {**defaults(choice.kinds[kind], root), "kind": kind}
                values = with_value(values, choice.path, fresh)
    return values


def _kind_field(
    choice: Choice, captions: Mapping[str, tuple[str, str]], label: str, key: str, form: Form
) -> str:
    """Draw the choice of a kind, with what it is in its help where nothing stands under it."""
    names = list(choice.kinds)
    about = str(choice.schema.get("description", ""))
    if form.several:
        about += f"\n\n{captions[choice.kind][1]}"
    kind = st.selectbox(
        label,
        names,
        index=names.index(choice.kind),
        format_func=lambda name: captions[name][0],
        key=key,
        help=about,
        disabled=form.dotted(choice.path) in form.idle,
    )
    return str(kind)


def _show_leaves(leaves: list[Leaf], result: Values, form: Form) -> None:
    """Draw fields in columns; writes their values into `result`."""
    across = form.columns
    for start in range(0, len(leaves), across):
        for leaf, column in zip(leaves[start : start + across], st.columns(across), strict=False):
            with column:
                value = _field(leaf, form)
                target = result
                for name in leaf.path[:-1]:
                    target = target.setdefault(name, {})
                target[leaf.name] = value
        if form.several:
            _say_derived(leaves[start : start + across], form)


def _say_derived(leaves: list[Leaf], form: Form) -> None:
    """Write what a row of fields amounts to under all of it, where there is room for it."""
    dotted = {form.dotted(leaf.path): leaf.label for leaf in leaves}
    words = [
        f"{label}: {form.derived[path]}" for path, label in dotted.items() if path in form.derived
    ]
    if words:
        st.caption(" ".join(words))


def _field(leaf: Leaf, form: Form) -> Any:
    """Draw one field with its sentence under it, and return its value."""
    dotted = form.dotted(leaf.path)
    key = f"{form.key}:{dotted}"
    about = str(leaf.schema.get("description", ""))
    value, kind = leaf.value, leaf.schema.get("type")
    typed: Any
    off = dotted in form.idle
    if kind is None and "anyOf" in leaf.schema:
        kinds = [item.get("type") for item in leaf.schema["anyOf"] if item.get("type") != "null"]
        kind = kinds[0] if kinds else "string"
    about = about if form.is_short else ""
    if "enum" in leaf.schema:
        options = leaf.schema["enum"]
        index = options.index(value) if value in options else 0
        typed = st.selectbox(leaf.label, options, index, key=key, help=about or None, disabled=off)
    elif kind == "array":
        typed = _list_field(leaf, form, key)
    elif kind == "boolean":
        typed = st.toggle(leaf.label, bool(value), key=key, help=about or None, disabled=off)
    elif kind in ("integer", "number") and form.several:
        typed = numbers.field(leaf.label, value, key, whole=kind == "integer", help=about)
    elif kind == "integer":
        typed = st.number_input(
            leaf.label,
            value=numbers.number(value, int),
            step=1,
            key=key,
            help=about or None,
            disabled=off,
        )
    elif kind == "number":
        step = numbers.step_of(value, bool(leaf.schema.get("log")))
        typed = st.number_input(
            leaf.label,
            value=numbers.number(value, float),
            step=step,
            format="%g",
            key=key,
            help=about or None,
            disabled=off,
        )
    else:
        text = "" if value is None else str(value)
        typed = st.text_input(leaf.label, text, key=key, help=about or None, disabled=off)
    if not form.several:
        about = "" if form.is_short else str(leaf.schema.get("description", ""))
        about = form.idle.get(dotted) or about
        if words := " ".join(filter(None, [about, form.derived.get(dotted, "")])):
            st.caption(words)
    _say(form, dotted, leaf.words)
    return typed


def _list_field(leaf: Leaf, form: Form, key: str) -> Any:
    """Draw a list: chosen where its items are known, else typed with commas between."""
    items = leaf.value if isinstance(leaf.value, list) else []
    off = form.dotted(leaf.path) in form.idle
    titles = form.choices.get(form.dotted(leaf.path))
    options = leaf.schema.get("items", {}).get("enum") or list(titles or {})
    about = str(leaf.schema.get("description", "")) if form.is_short else None
    if options:
        chosen = list(dict.fromkeys(item for item in items if item in options))
        return st.multiselect(
            leaf.label,
            options,
            chosen,
            format_func=lambda item: (titles or {}).get(item, item),
            key=key,
            help=about,
            disabled=off,
        )
    words = ", ".join(f"{item}" for item in items)
    text = st.text_input(leaf.label, words, key=key, help=about, disabled=off)
    return [numbers.typed(part.strip()) for part in text.split(",") if part.strip()]


def fields_of(schema: dict[str, Any], values: Values) -> list[str]:
    """List the dotted path of every field that `show` draws."""
    fields = parts(schema, written_out(schema, values, schema), schema)
    return [
        ".".join((*part.path, *(["kind"] if isinstance(part, Choice) else []))) for part in fields
    ]


def anchor(dotted: str) -> str:
    """Name the place of a field's sentence on the page, for links to it."""
    return f"wrong-{dotted.replace('.', '-')}"


def _say(form: Form, dotted: str, words: str = "") -> None:
    if dotted in form.problems:
        name = words or field_words.field(dotted.removesuffix(".kind").rpartition(".")[2])
        st.html(f'<span id="{anchor(dotted)}"></span>')
        st.markdown(f":red[{name} {form.problems[dotted]}]")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return figure(numbers.number(value, float))
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return str(value) if value not in (None, "") else "none"


def difference(values: Values, base: Values) -> Values:
    """Select what differs from the base; a part of another kind is kept whole.

    >>> difference({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 2, "d": 4}})
    {'b': {'d': 3}}
    """
    changed: Values = {}
    for name, value in values.items():
        old = base.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            if value.get("kind") != old.get("kind"):
                changed[name] = value
            elif inner := difference(value, old):
                changed[name] = inner
        elif value != old:
            changed[name] = value
    return changed
