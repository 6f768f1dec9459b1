"""A finding of the check: what was looked at, how it stands, what to change."""

from dataclasses import dataclass
from enum import StrEnum

from shared.errors import TandemError


class Severity(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARN = "warn"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer.

    Attributes:
        severity: `must` keeps the consumer from working as promised; `warn` is a risk that may be meant.
        subject: What was looked at.
        detail: How it stands.
        change: What to change; None when it is ok.
    """

    severity: Severity
    subject: str
    detail: str
    change: str | None = None


def ok(subject: str, detail: str) -> Finding:
    """All is well."""
    return Finding(Severity.OK, subject, detail)


def warn(subject: str, detail: str, change: str) -> Finding:
    """A risk that may be meant."""
    return Finding(Severity.WARN, subject, detail, change)


def must(subject: str, detail: str, change: str) -> Finding:
    """Something that must be changed."""
    return Finding(Severity.MUST, subject, detail, change)


def must_for(subject: str, error: TandemError) -> Finding:
    """What an error says that would end the consumer."""
    return must(subject, error.message, error.hint or "Mend that, then check again.")
