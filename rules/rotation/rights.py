"""What a rotation needs beyond luck: rights at the store and the target, quota, and what keeps other runs out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rules.findings import Finding, Rule, Severity, Subject
from rules.rotation.steps import StepKind

PERMISSIONS_GRANTED = Rule(
    id="permissions-granted",
    severity=Severity.HIGH,
    title="The credentials that rotate a secret may do all that a rotation needs",
    remedy="Grant what is missing to the credential that the store's block names, then run again.",
)
RULES = (PERMISSIONS_GRANTED,)


class Permission(Protocol):
    """What the rules need to know of one right."""

    @property
    def action(self) -> str:
        """What the provider calls it."""

    @property
    def resource(self) -> str:
        """On what."""

    @property
    def steps(self) -> Sequence[StepKind]:
        """The steps that use it."""

    @property
    def granted(self) -> bool | None:
        """Whether the credential has it; None where only the call itself would tell."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the rotation of one secret needs.

    Attributes:
        permissions: rights at the store.
        at_target: rights at the target, in its words.
        fencing: what keeps a superseded run from writing to the store, in one sentence.
        quota: what a rotation takes of what the provider allows, in a few words.
    """

    permissions: Sequence[Permission]
    at_target: Sequence[str]
    fencing: str
    quota: str


def judge(subject: Subject, needs: Needs) -> list[Finding]:
    """Return a failed finding where a right is known to be missing; none where it is there or cannot be known."""
    missing = [p for p in needs.permissions if p.granted is False]
    if not missing:
        return []
    words = ", ".join(f"{p.action} on {p.resource} (for {', '.join(p.steps)})" for p in missing)
    return [PERMISSIONS_GRANTED.failed(subject, f"The store's credential lacks {words}.")]


def evidence(needs: Needs) -> dict[str, str]:
    """Return what a plan says of them: each right with whether it was checked in advance, quota and fencing."""
    rights = [*map(_described, needs.permissions), *(f"{words} [at the target]" for words in needs.at_target)]
    return {"permissions": _joined(rights) or "none", "quota": needs.quota, "fencing": needs.fencing}


def _described(permission: Permission) -> str:
    known = {True: "granted", False: "MISSING", None: "not checkable in advance"}[permission.granted]
    return f"{permission.action} on {permission.resource} [{known}]"


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)
