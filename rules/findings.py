"""Findings: what a rule has to say about one subject, and what was changed because of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a failed finding matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Status(StrEnum):
    """What a rule found. ``error`` means that it could not be checked, and is never green."""

    ERROR = "error"
    FAIL = "fail"
    SKIPPED = "skipped"
    PASS = "pass"  # noqa: S105 - a status, no password


_SEVERITY_ORDER = tuple(Severity)
_STATUS_ORDER = tuple(Status)
_COUNTS_AS_FAILED = frozenset({Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM})


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about.

    Attributes:
        kind: the sort of thing, such as ``deployment`` or ``secret``.
        id: its stable identifier; the identity of a finding across runs rests on it.
        name: what a person calls it.
    """

    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict of one rule about one subject.

    Attributes:
        rule: the stable, kebab-case id of the rule.
        severity: how much it matters if the status is ``fail``.
        status: what was found.
        subject: what it is about.
        message: the reason, in one plain sentence, without any secret.
        remedy: what to do about it; empty for a pass.
        evidence: short facts that back the message, by name.
    """

    rule: str
    severity: Severity
    status: Status
    subject: Subject
    message: str
    remedy: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes this the same finding in the next run: rule, kind of subject and its stable id."""
        return (self.rule, self.subject.kind, self.subject.id)

    @property
    def failed(self) -> bool:
        """Whether it ends a run as failed: a ``fail`` of severity medium or above."""
        return self.status is Status.FAIL and self.severity in _COUNTS_AS_FAILED


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as readers know it: the one place for its id, severity, title and remedy.

    Attributes:
        id: stable and kebab-case; listed in the README.
        severity: the severity of its failed findings.
        title: what it demands, in a few words.
        remedy: what to do when it fails.
    """

    id: str
    severity: Severity
    title: str
    remedy: str

    def passed(self, subject: Subject, message: str, **evidence: str) -> Finding:
        """Return the finding that all is well with the subject."""
        return Finding(self.id, self.severity, Status.PASS, subject, message, "", evidence)

    def failed(self, subject: Subject, message: str, remedy: str = "", **evidence: str) -> Finding:
        """Return the finding that the subject breaks the rule; ``remedy`` replaces the rule's own."""
        return Finding(self.id, self.severity, Status.FAIL, subject, message, remedy or self.remedy, evidence)

    def skipped(self, subject: Subject, message: str, **evidence: str) -> Finding:
        """Return the finding that the rule was left out on purpose, with the reason."""
        return Finding(self.id, self.severity, Status.SKIPPED, subject, message, "", evidence)

    def unchecked(self, subject: Subject, message: str, remedy: str = "", **evidence: str) -> Finding:
        """Return the finding that the rule could not be checked; ``remedy`` says how to make it checkable."""
        return Finding(self.id, self.severity, Status.ERROR, subject, message, remedy or self.remedy, evidence)


class Outcome(StrEnum):
    """What became of one change."""

    PLANNED = "planned"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed, or in audit mode would be.

    Attributes:
        action: the verb, kebab-case, such as ``promote`` or ``delete``.
        subject: what it was done to.
        outcome: what became of it.
        reason: why, in one plain sentence, without any secret.
    """

    action: str
    subject: Subject
    outcome: Outcome
    reason: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings in reading order: could-not-check, failed, skipped, passed; within each by severity."""
    return sorted(
        findings,
        key=lambda f: (_STATUS_ORDER.index(f.status), _SEVERITY_ORDER.index(f.severity), f.rule, f.subject.name),
    )
