"""Declarations of settings: one pydantic field is the form, the CLI, the docs and the check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from backend.spec import TAG


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
    **bounds: Any,
) -> Any:
    """A pydantic field with what a form needs.

    about: one sentence. unit: shown beside the value. group: heading in the form. main: among the
    few fields shown unfolded. log: the field spans decades. bounds: ge, gt, le, lt and the like.
    """
    extra: dict[str, Any] = {"unit": unit, "group": group, "main": main, "log": log}
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
