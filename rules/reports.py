"""The report of one run: its status, its verdict in one sentence, and what changed since the previous one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rules.findings import Change, Finding, Outcome, Severity, Status, Subject


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of one flow found and changed.

    Attributes:
        flow: kebab-case name of the flow.
        policy: name of the policy it was held against.
        digest: the policy's digest, as recomputed by the run.
        mode: ``audit`` or ``enforce``.
        started: the one instant at which everything was judged (aware, UTC).
        finished: when the report was made (aware, UTC).
        findings: every verdict, in any order.
        changes: what was done, or in audit mode would be.
    """

    flow: str
    policy: str
    digest: str
    mode: str
    started: datetime
    finished: datetime
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] = ()

    @property
    def status(self) -> Status:
        """``error`` if anything could not be checked or done, else ``fail`` if a finding failed, else ``pass``."""
        if any(f.status is Status.ERROR for f in self.findings):
            return Status.ERROR
        if any(c.outcome is Outcome.FAILED for c in self.changes):
            return Status.ERROR
        return Status.FAIL if any(f.failed for f in self.findings) else Status.PASS

    @property
    def summary(self) -> dict[str, int]:
        """The number of findings by status, every status named."""
        counts = Counter(f.status for f in self.findings)
        return {status.value: counts[status] for status in (Status.PASS, Status.FAIL, Status.SKIPPED, Status.ERROR)}

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 nothing to report, 1 findings failed, 3 could not check or do something."""
        return {Status.ERROR: 3, Status.FAIL: 1}.get(self.status, 0)

    @property
    def verdict(self) -> str:
        """The report in one sentence; begins with "Unchecked" when anything could not be checked or done."""
        failed = sum(f.failed for f in self.findings)
        minor = self.summary["fail"] - failed
        errors = self.summary["error"]
        undone = sum(c.outcome is Outcome.FAILED for c in self.changes)
        parts = [_count(failed, "finding") + " failed"] if failed else []
        parts += [_count(minor, "minor finding")] if minor else []
        parts += [_count(self.summary["skipped"], "check") + " skipped"] if self.summary["skipped"] else []
        parts += [_count(self.summary["pass"], "check") + " passed"]
        parts += [_changes(self.changes)] if self.changes else []
        if errors or undone:
            lead = [_count(errors, "check") + " could not be made"] if errors else []
            lead += [_count(undone, "change") + " could not be done"] if undone else []
            return f"Unchecked: {', '.join(lead + parts)}."
        return f"{'Failed' if failed else 'Passed'}: {', '.join(parts)}."

    def to_json(self) -> dict[str, Any]:
        """Return the report in the stable JSON shape (see the README)."""
        return {
            "flow": self.flow,
            "policy": {"name": self.policy, "digest": self.digest},
            "mode": self.mode,
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat(),
            "status": self.status.value,
            "summary": self.summary,
            "findings": [asdict(f) | {"evidence": dict(f.evidence)} for f in self.findings],
            "changes": [asdict(c) for c in self.changes],
        }


def report_from_json(document: Mapping[str, Any]) -> Report:
    """Return the report that ``to_json`` wrote.

    Raises:
        KeyError, TypeError, ValueError: if the document is not such a report.
    """
    return Report(
        flow=document["flow"],
        policy=document["policy"]["name"],
        digest=document["policy"]["digest"],
        mode=document["mode"],
        started=datetime.fromisoformat(document["started"]),
        finished=datetime.fromisoformat(document["finished"]),
        findings=tuple(_finding(row) for row in document["findings"]),
        changes=tuple(
            Change(row["action"], Subject(**row["subject"]), Outcome(row["outcome"]), row["reason"])
            for row in document["changes"]
        ),
    )


@dataclass(frozen=True, slots=True)
class Since:
    """What changed since the previous report, by the identity of findings.

    Attributes:
        new: findings that fail or could not be checked now and did not before.
        resolved: findings that failed or could not be checked before, and were seen to be in order now or are gone
            from a report that saw everything.
        still: findings that failed or could not be checked before and do still.
        unseen: findings that failed or could not be checked before, of which this report cannot tell.
    """

    new: tuple[Finding, ...]
    resolved: tuple[Finding, ...]
    still: tuple[Finding, ...]
    unseen: tuple[Finding, ...]


def since(previous: Report, current: Report) -> Since:
    """Return what changed from the previous report to the current one.

    What is absent now counts as resolved only if nothing was left unchecked: a list that could not be read hides both
    what is well and what is not. What is ``skipped`` now is excused, not resolved, and is in none of the four.
    """
    before = {f.identity: f for f in previous.findings if _bad(f)}
    now = {f.identity: f for f in current.findings if _bad(f)}
    others = {f.identity: f.status for f in current.findings if not _bad(f)}
    over = {key: f for key, f in before.items() if key not in now}
    whole = current.status is not Status.ERROR
    return Since(
        new=tuple(f for key, f in now.items() if key not in before),
        resolved=tuple(f for k, f in over.items() if others.get(k) is Status.PASS or (k not in others and whole)),
        still=tuple(f for key, f in now.items() if key in before),
        unseen=tuple(f for key, f in over.items() if key not in others and not whole),
    )


def _bad(finding: Finding) -> bool:
    return finding.status in (Status.FAIL, Status.ERROR)


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        rule=row["rule"],
        severity=Severity(row["severity"]),
        status=Status(row["status"]),
        subject=Subject(**row["subject"]),
        message=row["message"],
        remedy=row["remedy"],
        evidence=dict(row["evidence"]),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _changes(changes: tuple[Change, ...]) -> str:
    counts = Counter(c.outcome for c in changes)
    words = [f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome]]
    return f"changes: {', '.join(words)}"
