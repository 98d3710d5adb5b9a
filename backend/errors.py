"""Every error Basin raises on purpose.

BasinError
├── BadInput        the person can mend it: exit code 2, shown at the field
├── Diverged        training ran away: the run ends `diverged`
└── NotAvailable    something this needs is missing here (Redis, a device, a file)
"""

from __future__ import annotations

from dataclasses import dataclass


class BasinError(Exception):
    """Base of every error raised on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: the field, and a sentence with the rule and the value.

    `field` is a dotted path into the RunSpec (`config.sampler.step_size`, `data.path`), or ""
    when the input as a whole is at fault.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"`{self.field}`: {self.message}" if self.field else self.message


class BadInput(BasinError):
    """The input breaks a rule; carries every problem found, not the first alone."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, field: str, message: str) -> BadInput:
        return cls(Problem(field, message))


class Diverged(BasinError):
    """Training left its bounds: what was watched, its value and the bound, at which step."""

    def __init__(self, what: str, value: float, bound: float, step: int) -> None:
        self.what, self.value, self.bound, self.step = what, value, bound, step
        super().__init__(f"Diverged at step {step}. {what} reached {value:.3g}, bound {bound:.3g}.")


class NotAvailable(BasinError):
    """Something needed is not here; the message says what and how to get it."""
