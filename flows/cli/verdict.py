"""A report on a terminal: the verdict, the ten worst findings, the changes, and where to see all of it."""

from flows.cli.console import say
from rules.findings import Change, Finding, Outcome, Status, worst_first
from rules.reports import Report

WORST = 10
"""How many findings and changes are shown."""

_COLOURS = {Status.ERROR: "magenta", Status.FAIL: "red", Status.SKIPPED: "yellow", Status.PASS: "green"}
_ORDER = (Outcome.FAILED, Outcome.DONE, Outcome.PLANNED, Outcome.SKIPPED)


def show_report(report: Report, address: str) -> None:
    """Print what a reader needs first.

    Args:
        report: the report.
        address: where the Prefect UI shows the run; may be empty.
    """
    say()
    say(report.verdict, colour=_COLOURS[report.status], bold=True)
    shown = [finding for finding in worst_first(report.findings) if finding.status is not Status.PASS]
    for finding in shown[:WORST]:
        _show_finding(finding)
    _show_rest(len(shown), "findings")
    changes = sorted(report.changes, key=lambda change: _ORDER.index(change.outcome))
    if changes:
        say("\nChanges:" if report.mode == "enforce" else "\nChanges that enforce mode would make:", bold=True)
    for change in changes[:WORST]:
        _show_change(change)
    _show_rest(len(changes), "changes")
    say()
    say(f"Policy: {report.policy}, digest {report.digest[:12]}, mode {report.mode}")
    if address:
        say(f"Run: {address}")


def _show_finding(finding: Finding) -> None:
    subject = f"{finding.subject.kind} {finding.subject.name}"
    say(f"\n  {finding.status.value} ({finding.severity.value}) {finding.rule}: {_line(subject)}", bold=True)
    say(f"    {_line(finding.message)}")
    if finding.remedy:
        say(f"    What to do: {_line(finding.remedy)}")


def _show_change(change: Change) -> None:
    subject = f"{change.subject.kind} {change.subject.name}"
    say(f"  {change.outcome.value}: {change.action} {_line(subject)}. {_line(change.reason)}")


def _show_rest(number: int, noun: str) -> None:
    if number > WORST:
        say(f"\n  and {number - WORST} more {noun} in the run's artifacts.")


def _line(text: str) -> str:
    return " ".join(text.split())
