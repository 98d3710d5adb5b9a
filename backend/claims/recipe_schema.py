"""The parts of a recipe: paper, variants, scales, figures, claims and pictures. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.config import tagged_union
from backend.spec import Budget, Question

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
MetricPath = Annotated[str, Field(pattern=r"^[^\s/]+(/[^\s/]+)*$", max_length=200)]
Scale = Literal["cpu", "gpu"]


class Part(BaseModel):
    """Base of all parts: unknown fields are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paper(Part):
    title: str
    authors: str
    year: int = Field(ge=1950, le=2100)
    url: str = Field("", pattern=r"^(https?://\S+)?$")


class PaperFigure(Part):
    """A figure the paper gives, and which of ours stands beside it."""

    quantity: str
    value: str
    """as the paper gives it, in words"""
    scale: str
    """data and settings of the paper's figure, in words"""
    figure: str = ""
    """id of the figure of ours, or "" where none can stand beside it"""
    variant: str = ""
    """whose figure, or "" for the first method's"""


class VariantSpec(Part):
    """Fields of a RunSpec that are a variant's own; the rest is shared."""

    method: str
    preset: str = "default"
    config: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] | None = None
    """in place of the shared data"""
    budget: Budget | None = None
    """in place of the shared budget"""
    questions: list[Question] | None = None
    """in place of the shared questions"""


class Variant(Part):
    title: str = Field(max_length=60)
    role: Literal["method", "baseline", "ablation"]
    spec: VariantSpec


class Override(Part):
    """Changes of a scale in one variant, or in all."""

    config: dict[str, Any] = Field(default_factory=dict)
    """merged over the variant's"""
    data: dict[str, Any] = Field(default_factory=dict)
    """merged over the variant's"""
    budget: Budget | None = None
    """in place of the variant's"""
    questions: list[Question] | None = None


class ScaleOverride(Override):
    """Changes for all variants, and on top of them for some."""

    variants: dict[str, Override] = Field(default_factory=dict)


class Figure(Part):
    """A number that the final metrics of every run give."""

    title: str
    unit: str = ""
    path: MetricPath
    """in the run's final metrics, such as `quality/grid_kl` or `answers/k0/frechet_features`"""
    better: Literal["lower", "higher"] = "lower"
    floor: MetricPath | None = None
    """what fresh real data would give, in the same metrics"""
    baseline: MetricPath | list[MetricPath] = Field(default_factory=list)
    """what a trivial model would give, in the same metrics"""

    def baselines(self) -> list[str]:
        return [self.baseline] if isinstance(self.baseline, str) else list(self.baseline)


class Term(Part):
    """One figure of one variant, or its mean over several, or how fast it falls along them."""

    variant: str | list[str] = Field(min_length=1)
    figure: str
    along: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)
    """a size of each variant, such as its amount of data: the term is then the rate r of the power
    law size^−r that what is above the figure's floor follows, seed by seed"""

    @property
    def variants(self) -> list[str]:
        return [self.variant] if isinstance(self.variant, str) else self.variant


class Claim(Part):
    """A sentence that holds when every seed agrees and the median meets the target."""

    text: str
    kind: Literal["acceptance", "paper"]
    value: Term
    over: Term | None = None
    """the claim is about value / over, seed by seed"""
    minus: Term | None = None
    """the claim is about value − minus, seed by seed"""
    relation: Literal["<=", ">="]
    target: float
    tolerance: float = Field(0.0, ge=0)
    """how far past the target still meets it"""
    deciding: bool = False

    @property
    def other(self) -> Term | None:
        return self.over or self.minus

    @property
    def compares(self) -> Literal["ratio", "difference"] | None:
        return "ratio" if self.over else "difference" if self.minus else None


class CurvePicture(Part):
    """A scalar of the runs over a cost axis, a band over seeds each."""

    kind: Literal["curve"] = "curve"
    path: MetricPath
    cost: Literal["steps", "gradients", "seconds", "joules"] = "gradients"
    variants: list[str] = Field(default_factory=list)
    """all when empty"""
    title: str = ""
    log: bool = True


class SweepPicture(Part):
    """Final figures over a setting that was asked about at several values."""

    kind: Literal["sweep"] = "sweep"
    x: list[float] = Field(min_length=2)
    x_title: str
    path: str = Field(pattern=r"^[^\s/]+(/[^\s/]+)*$")
    """a metric path with `{x}` in it, such as `answers/k{x}/frechet_features`"""
    floor: str = ""
    """the same of the floor"""
    variants: list[str] = Field(default_factory=list)
    title: str = ""
    log: bool = False
    """whether both axes are logarithmic"""
    mark: float | None = None
    """the x at which the claim compares"""

    def path_at(self, x: float) -> str:
        return self.path.replace("{x}", f"{x:g}")

    def floor_at(self, x: float) -> str:
        return self.floor.replace("{x}", f"{x:g}")


class DotsPicture(Part):
    """Final figures seed by seed."""

    kind: Literal["dots"] = "dots"
    figures: list[str] = Field(default_factory=list)
    """those of the deciding claim when empty"""
    variants: list[str] = Field(default_factory=list)
    title: str = ""
    log: bool = False


AnyPicture: Any = tagged_union([CurvePicture, SweepPicture, DotsPicture])  # type: ignore[list-item]
