"""Publishing a report: read the previous one, write the artifacts, emit the digest event, end the run rightly."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from prefect import get_run_logger
from prefect.artifacts import Artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from blocks.policies.interface import Policy
from flows.reporting.rendering import change_rows, embedded_json, finding_rows, markdown
from rules.findings import Change, Finding, Rule, Severity, Status, Subject
from rules.policy_exceptions import apply_exceptions
from rules.reports import Report, Since, report_from_json, since

POLICY_INTACT = Rule(
    id="policy-edited",
    severity=Severity.HIGH,
    title="The policy block is the one that was published from git",
    remedy="Publish the policy again with `vigiles publish`, or bring the edit into git first.",
)


class FindingsFailedError(Exception):
    """Ends a flow run whose report is not clean; its text is the verdict and nothing else.

    Attributes:
        report: the report, complete.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report.verdict)
        self.report = report

    def __reduce__(self) -> tuple[type["FindingsFailedError"], tuple[Report]]:
        return (type(self), (self.report,))


class _VerdictOnly(logging.Filter):
    """Keeps Prefect from logging 60 lines of its own call stack for a run that ended as it should: with findings."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, FindingsFailedError):
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True


_VERDICT_ONLY = _VerdictOnly()


def conclude(
    flow: str,
    policy: Policy,
    mode: str,
    now: datetime,
    findings: Iterable[Finding],
    changes: Iterable[Change] = (),
) -> State[Any]:
    """Publish what a run found and return the state that it must end in.

    Args:
        flow: kebab-case name of the flow.
        policy: the policy block the run was given.
        mode: ``audit`` or ``enforce``.
        now: the one instant of the run.
        findings: what its rules found.
        changes: what was done, or in audit mode would be.

    Returns:
        ``Completed`` holding the report, or ``Failed`` holding a ``FindingsFailedError`` with it; the message of both
        is the verdict.
    """
    judged = apply_exceptions([*findings, *policy_findings(policy)], policy.exceptions, now.date())
    report = Report(
        flow=flow,
        policy=policy.name,
        digest=policy.compute_digest(),
        mode=mode,
        started=now,
        finished=datetime.now(UTC),
        findings=judged,
        changes=tuple(changes),
    )
    publish(report)
    get_run_logger().log(_LOG_LEVELS[report.status], report.verdict)
    if report.status is Status.PASS:
        return Completed(message=report.verdict, data=report)
    for logger in ("prefect.flow_runs", "prefect.engine"):
        logging.getLogger(logger).addFilter(_VERDICT_ONLY)
    return Failed(message=report.verdict, data=FindingsFailedError(report))


_LOG_LEVELS = {Status.PASS: 20, Status.FAIL: 40, Status.ERROR: 40}


def policy_findings(policy: Policy) -> list[Finding]:
    """Return an ``error`` if the policy is not what was published from git; nothing otherwise.

    Only a policy that is no block of the server may be without a digest: it comes from a file or from Python. The
    digest shows edits by hand; it is no signature, and whoever edits on purpose can compute it anew.
    """
    subject = Subject("policy", policy.name, policy.name)
    published = policy.digest or policy._block_document_id is not None  # noqa: SLF001 - Prefect's mark of a saved block
    if published and policy.digest != policy.compute_digest():
        return [POLICY_INTACT.unchecked(subject, "The policy block was edited outside git: its digest does not match.")]
    return []


def artifact_key(report: Report) -> str:
    """Return the stable key of the report's Markdown artifact; the tables add ``-findings`` and ``-changes``."""
    return f"vigiles-{report.flow}-{report.policy}"


def publish(report: Report) -> None:
    """Write the report's artifacts and emit its event ``vigiles.<flow>.report``."""
    changed = compare_with_previous(report)
    key = artifact_key(report)
    create_markdown_artifact(key=key, markdown=markdown(report, changed), description=report.verdict)
    create_table_artifact(key=f"{key}-findings", table=finding_rows(report), description=report.verdict)
    if report.changes:
        create_table_artifact(key=f"{key}-changes", table=change_rows(report), description=report.verdict)
    emit_event(
        event=f"vigiles.{report.flow}.report",
        resource={
            "prefect.resource.id": f"vigiles.{report.flow}.{report.policy}",
            "prefect.resource.name": f"{report.flow} {report.policy}",
            "vigiles.status": report.status.value,
            "vigiles.mode": report.mode,
        },
        payload=digest_payload(report, changed),
    )


def digest_payload(report: Report, changed: Since | None) -> dict[str, Any]:
    """Return what the event carries: verdict, counts, digest and the ten worst findings; a few kilobytes."""
    return {
        "verdict": report.verdict,
        "status": report.status.value,
        "mode": report.mode,
        "policy": {"name": report.policy, "digest": report.digest},
        "summary": report.summary,
        "changes": len(report.changes),
        "new": len(changed.new) if changed else None,
        "resolved": len(changed.resolved) if changed else None,
        "unseen": len(changed.unseen) if changed else None,
        "worst": [{k: v[:200] for k, v in row.items()} for row in finding_rows(report)[:10] if row["status"] != "pass"],
    }


def compare_with_previous(report: Report) -> Since | None:
    """Return what changed since the latest report of the same flow and policy, or None where there is none."""
    previous = cast("Artifact | None", Artifact.get(artifact_key(report)))
    document = embedded_json(previous.data) if previous and isinstance(previous.data, str) else None
    if document is None:
        return None
    if document.get("omitted", {}).get("others"):
        get_run_logger().warning(
            "The previous report was too long to be compared with; this one is treated as the first."
        )
        return None
    try:
        return since(report_from_json(document), report)
    except (KeyError, TypeError, ValueError):
        get_run_logger().warning("The previous report could not be read; this one is treated as the first.")
        return None
