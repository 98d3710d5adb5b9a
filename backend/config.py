"""Declarations of settings: one pydantic field is the form, the CLI, the docs and the check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from backend.errors import BadInput, Problem
from backend.spec import TAG, problems_of


class Config(BaseModel):
    """Base of every Config: unknown fields are refused, values are fixed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def derived(self) -> dict[str, str]:
        """Sentences about what the settings amount to, by field name; shown under the field.

        For example `{"noise_scale": "Effective temperature 1: samples follow exp(−E)."}`.
        """
        return {}


def _named(schema: dict[str, Any], cls: type[BaseModel]) -> None:
    """Adds what a form calls this part."""
    schema["kind_title"] = getattr(cls, "title", "")
    schema["kind_summary"] = getattr(cls, "summary", "")


class KindConfig(Config):
    """Base of the Configs of pluggable parts; `kind` selects among those discovered."""

    model_config = ConfigDict(json_schema_extra=_named)

    kind: str

    title: ClassVar[str] = ""
    summary: ClassVar[str] = ""


def option(
    default: Any,
    about: str,
    *,
    unit: str = "",
    group: str = "",
    main: bool = False,
    log: bool = False,
    turnable: bool = False,
    without: str = "",
    sweep: tuple[float, float] | None = None,
    pointed: str = "",
    implies: dict[str, Any] | None = None,
    **bounds: Any,
) -> Any:
    """A pydantic field with what a form needs.

    about: one sentence. unit: shown beside the value. group: heading in the form. main: among the
    few fields shown unfolded. log: the field spans decades. turnable: it is read at every step and
    decides no shape, so that it can be turned while a run trains. without: the name of a switch
    beside it that leaves it without effect while it is on. sweep: ends of the slider that asks for
    one value after another, on a log scale where `log` is set; of a list, of each number in it.
    pointed: `row` of a held-out event or `place` in the plane that is picked by the pointer, `mask`
    that is drawn, or what a hand says on a picture of paths: `x` and `y` of a start, `length` and
    `direction` of a shove. implies: values of other fields that come with it then. bounds: ge, gt,
    le, lt and the like.
    """
    extra: dict[str, Any] = {
        "unit": unit,
        "group": group,
        "main": main,
        "log": log,
        "turnable": turnable,
        "without": without,
        "sweep": list(sweep) if sweep else None,
        "pointed": pointed,
        "implies": implies,
    }
    return Field(
        default,
        description=about,
        json_schema_extra={key: value for key, value in extra.items() if value},
        validate_default=True,
        **bounds,
    )


def tagged_union(configs: Sequence[type[KindConfig]]) -> Any:
    """The type of a field that holds one of several Configs, told apart by `kind`."""

    def tag_of(value: Any) -> str | None:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return None if kind is None else f"{TAG}{kind}"

    if len(configs) == 1:
        return configs[0]
    members: Any = None
    for config in configs:
        kind = config.model_fields["kind"].default
        member = Annotated[config, Tag(f"{TAG}{kind}")]  # type: ignore[valid-type]
        members = member if members is None else members | member
    return Annotated[members, Discriminator(tag_of)]


# ---------------------------------------------------------------------- settings in flight

TurnRules = dict[str, dict[str, Any]]
"""Turnable fields by dotted name: `value`, `whole` (numbers alone), bounds, `about`, unit."""
Turned = Mapping[str, tuple[float, float]]
"""Values before and after a turn, by dotted name."""
ConfigT = TypeVar("ConfigT", bound=Config)
_BOUNDS = ("gt", "ge", "lt", "le")
_UNSAID = ("train", "sampler")
"""Parts whose fields are clear without their names."""
_IDLE = "No effect"


def turnable(config: BaseModel) -> TurnRules:
    """Collect the fields that can be turned of a Config and its parts, but for those that have no
    effect beside the others.

    >>> from backend.training import TrainConfig
    >>> turnable(TrainConfig())["learning_rate"]["le"]
    10.0
    """
    idle = config.derived() if isinstance(config, Config) else {}
    collected: TurnRules = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            collected |= {f"{name}.{each}": rule for each, rule in turnable(value).items()}
        extra = field.json_schema_extra
        if not (isinstance(extra, dict) and extra.get("turnable")):
            continue
        if idle.get(name, "").startswith(_IDLE):
            continue
        bounds = {
            key: getattr(limit, key)
            for limit in field.metadata
            for key in _BOUNDS
            if hasattr(limit, key)
        }
        collected[name] = {
            "value": value,
            "whole": field.annotation is int,
            "about": field.description or "",
            "unit": extra.get("unit", ""),
            **{key: float(limit) for key, limit in bounds.items()},
        }
    return collected


def check_turn(known: TurnRules, settings: Mapping[str, object]) -> dict[str, float]:
    """Check settings by the rules of their fields; returns them under their whole names.

    A field may be named with `config.` before it, or by its last part alone where that is one
    field's. Raises BadInput with all that is wrong.
    """
    checked: dict[str, float] = {}
    problems: list[Problem] = []
    for given, value in settings.items():
        name = whole_name(known, given)
        if name is None:
            names = ", ".join(f"`{each}`" for each in known) or "nothing of it"
            problems.append(
                Problem(given, f"cannot be turned while the run goes on; {names} can be.")
            )
            continue
        rule = known[name]
        bounds: Any = {key: rule[key] for key in _BOUNDS if key in rule}
        kind: Any = Annotated[float, Field(allow_inf_nan=False, **bounds)]
        if rule["whole"]:
            kind = Annotated[int, Field(**bounds)]
        try:
            if isinstance(value, bool):
                raise BadInput.at(name, f"must be a number, got {value!r}.")
            checked[name] = TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            problems += problems_of(error, name)
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(*problems)
    return checked


def with_turned(config: ConfigT, settings: Mapping[str, object]) -> ConfigT:
    """Make the same Config with other values of turnable fields. Raises BadInput."""
    raw = config.model_dump()
    for name, value in check_turn(turnable(config), settings).items():
        holder = raw
        *parts, last = name.split(".")
        for part in parts:
            holder = holder[part]
        holder[last] = value
    try:
        return type(config).model_validate(raw)
    except ValidationError as error:  # of fields that do not go together
        raise BadInput(*problems_of(error)) from error


def value_of(config: BaseModel, name: str) -> float:
    """Read the value of a field by its dotted name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return float(value)


def parts_changed(old: BaseModel, new: BaseModel) -> Iterator[tuple[BaseModel, BaseModel]]:
    """Pair every Config within one with that of the same place in another."""
    yield old, new
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from parts_changed(before, after)


def turn_in_words(fields: Turned, by: str = "") -> str:
    """Write what was turned as a sentence.

    >>> turn_in_words({"train.learning_rate": (0.01, 0.001)}, "ada")
    'Learning rate 0.01 → 0.001, by ada.'
    """
    parts = ", ".join(
        f"{_words(name)} {old:.4g} → {new:.4g}" for name, (old, new) in fields.items()
    )
    return f"{parts}, by {by}." if by else f"{parts}."


def _words(name: str) -> str:
    parts = [part for part in name.split(".") if part not in _UNSAID]
    return " ".join(parts).replace("_", " ").capitalize()


def whole_name(known: Iterable[str], given: str) -> str | None:
    """Find the dotted name of a field given with `config.` before it, or by its last part alone;
    None where that is none, or several.

    >>> whole_name(["train.learning_rate", "num_steps"], "learning_rate")
    'train.learning_rate'
    """
    name = given.removeprefix("config.")
    if name in known:
        return name
    candidates = [each for each in known if each.rpartition(".")[2] == name]
    return candidates[0] if len(candidates) == 1 else None
