"""Exceptions to a policy: who accepts which failed finding, why, and until when.

An exception turns a ``fail`` into ``skipped`` with its reason shown. It never silences an ``error``: nobody can accept
what was not seen. One that has expired changes nothing and is itself a finding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Protocol

from rules.findings import Finding, Rule, Severity, Status, Subject
from rules.patterns import matches

EXCEPTION_EXPIRED = Rule(
    id="exception-expired",
    severity=Severity.MEDIUM,
    title="No exception of the policy has expired",
    remedy="Repair what it excused, or renew it with its owner: set a new `expires` and publish the policy again.",
)


class PolicyException(Protocol):
    """What the rules need to know of one exception."""

    @property
    def rule(self) -> str:
        """The id of the rule it excuses."""

    @property
    def subject(self) -> str:
        """The name of the subject, with ``*`` and ``?`` as wildcards."""

    @property
    def owner(self) -> str:
        """Who accepted it."""

    @property
    def reason(self) -> str:
        """Why it is accepted."""

    @property
    def expires(self) -> date:
        """The last day (UTC) on which it holds."""


def apply_exceptions(
    findings: Iterable[Finding], exceptions: Sequence[PolicyException], today: date
) -> tuple[Finding, ...]:
    """Return the findings with excused failures turned to ``skipped``, and a finding for each expired exception.

    Args:
        findings: what the rules found.
        exceptions: the policy's exceptions.
        today: the day of the run, UTC.
    """
    valid = [e for e in exceptions if e.expires >= today]
    expired = [e for e in exceptions if e.expires < today]
    return (*(_excused(f, valid) for f in findings), *(_expired(e) for e in expired))


def _excused(finding: Finding, exceptions: Sequence[PolicyException]) -> Finding:
    if finding.status is not Status.FAIL:
        return finding
    for exception in exceptions:
        if exception.rule == finding.rule and matches(finding.subject.name, exception.subject):
            accepted = f"Accepted by {exception.owner} until {exception.expires}: {exception.reason}."
            return replace(finding, status=Status.SKIPPED, message=f"{accepted} {finding.message}")
    return finding


def _expired(exception: PolicyException) -> Finding:
    name = f"{exception.rule} for {exception.subject}"
    return EXCEPTION_EXPIRED.failed(
        Subject("exception", f"{exception.rule}:{exception.subject}", name),
        f"The exception of {exception.owner} ({exception.reason}) expired on {exception.expires}.",
    )
