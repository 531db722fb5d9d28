"""A report as its readers see it: Markdown that opens with the verdict, and table rows, worst first. Pure."""

import json
from typing import Any

from rules.findings import Finding, Outcome, Status, worst_first
from rules.reports import Report, Since

WORST = 10
"""How many findings the Markdown lists in full."""

JSON_LIMIT = 1_000_000
"""The most characters of JSON that the Markdown carries; past it, passed findings are left out, then the mildest."""

ROWS = 20_000
"""The most rows of a table artifact: twice the default ceiling of a retention plan, a few megabytes."""

_FENCE = "```json\n"


def markdown(report: Report, changed: Since | None) -> str:
    """Return the Markdown of the artifact.

    Args:
        report: the report to show.
        changed: what changed since the previous report, or None where there is none.
    """
    sections = [
        f"# {report.verdict}",
        _facts(report),
        "## Since the previous report\n\n" + _since(changed),
        "## Worst findings\n\n" + _worst(report),
        "## Changes\n\n" + _changes(report) if report.changes else "",
        f"## The whole report as JSON\n\n{_FENCE}{bounded_json(report)}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def embedded_json(text: str) -> dict[str, Any] | None:
    """Return the JSON report that ``markdown`` put into ``text``, or None where there is none to read."""
    _, fence, rest = text.rpartition(_FENCE)
    if not fence:
        return None
    try:
        document = json.loads(rest.partition("\n```")[0])
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def bounded_json(report: Report, limit: int = JSON_LIMIT) -> str:
    """Return the report as JSON of at most about ``limit`` characters, worst findings first.

    Where it had to be cut, ``"omitted"`` holds how many passed and other findings and how many changes are missing; the
    summary always counts them all.
    """
    document = report.to_json()
    whole = json.dumps(document)
    if len(whole) <= limit:
        return whole
    findings = [f for f in worst_first(report.findings) if f.status is not Status.PASS]
    rows = {id(f): row for f, row in zip(report.findings, document["findings"], strict=True)}
    kept: list[Any] = []
    size = 0
    for finding in findings:
        size += len(json.dumps(rows[id(finding)]))
        if size > limit:
            break
        kept.append(rows[id(finding)])
    passed = len(report.findings) - len(findings)
    omitted = {"passed": passed, "others": len(findings) - len(kept), "changes": len(report.changes)}
    return json.dumps(document | {"findings": kept, "changes": [], "omitted": omitted})


def finding_rows(report: Report) -> list[dict[str, str]]:
    """Return the findings as table rows with identical keys, worst first, at most ``ROWS`` of them."""
    rows = [
        {
            "status": f.status.value,
            "severity": f.severity.value,
            "rule": f.rule,
            "subject": f.subject.name,
            "reason": f.message,
            "remedy": f.remedy,
        }
        for f in worst_first(report.findings)
    ]
    return _bounded(rows, "reason")


def change_rows(report: Report) -> list[dict[str, str]]:
    """Return the changes as table rows with identical keys, failed ones first, at most ``ROWS`` of them."""
    order = (Outcome.FAILED, Outcome.DONE, Outcome.PLANNED, Outcome.SKIPPED)
    rows = [
        {"outcome": c.outcome.value, "action": c.action, "subject": c.subject.name, "reason": c.reason}
        for c in sorted(report.changes, key=lambda c: order.index(c.outcome))
    ]
    return _bounded(rows, "reason")


def _bounded(rows: list[dict[str, str]], told_in: str) -> list[dict[str, str]]:
    if len(rows) <= ROWS:
        return rows
    rest = dict.fromkeys(rows[0], "") | {told_in: f"and {len(rows) - ROWS} more, which --json lists."}
    return [*rows[:ROWS], rest]


def _facts(report: Report) -> str:
    seconds = (report.finished - report.started).total_seconds()
    return (
        f"Flow **{report.flow}**, policy **{report.policy}** (digest `{report.digest[:12]}`), mode **{report.mode}**, "
        f"judged at {report.started:%Y-%m-%d %H:%M:%S} UTC in {seconds:.1f} s."
    )


def _since(changed: Since | None) -> str:
    if changed is None:
        return "This is the first report for this policy."
    unseen = f" Of {len(changed.unseen)} this report cannot tell." if changed.unseen else ""
    if not changed.new and not changed.resolved:
        return f"Nothing new, nothing resolved; {len(changed.still)} remain.{unseen}"
    lines = [f"- new: {_line(f)}" for f in worst_first(changed.new)[:WORST]]
    lines += [f"- resolved: {_line(f)}" for f in worst_first(changed.resolved)[:WORST]]
    counts = f"{len(changed.new)} new, {len(changed.resolved)} resolved, {len(changed.still)} remain.{unseen}"
    return "\n".join([counts, "", *lines])


def _worst(report: Report) -> str:
    bad = [f for f in worst_first(report.findings) if f.status is not Status.PASS]
    if not bad:
        return "None: every check passed."
    lines = [_entry(f) for f in bad[:WORST]]
    rest = len(bad) - len(lines)
    return "\n".join(lines) + (f"\n\nand {rest} more in the table of findings." if rest else "")


def _entry(finding: Finding) -> str:
    remedy = f"\n  - *What to do:* {cell(finding.remedy)}" if finding.remedy else ""
    return (
        f"- **{finding.status}** ({finding.severity}) `{finding.rule}`: {cell(finding.subject.name)}. "
        f"{cell(finding.message)}{remedy}"
    )


def _line(finding: Finding) -> str:
    return f"`{finding.rule}` {cell(finding.subject.name)}"


def _changes(report: Report) -> str:
    rows = change_rows(report)
    lines = [f"- **{r['outcome']}** {r['action']} {cell(r['subject'])}: {cell(r['reason'])}" for r in rows[:WORST]]
    rest = len(rows) - len(lines)
    return "\n".join(lines) + (f"\n\nand {rest} more in the table of changes." if rest else "")


def cell(text: str) -> str:
    """Return ``text`` on one line and with what Markdown or HTML would interpret made harmless."""
    flat = " ".join(text.split())
    shown = "".join(c if c.isprintable() else "?" for c in flat)
    return "".join("\\" + c if c in "\\`*_[]<>|#~&$!" else c for c in shown)
