"""Publishing a report: artifacts, event, final state, and the comparison with the report before."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from prefect import flow
from pydantic import Field
from support.prefect_server import drain, send

from blocks.policies.interface import ExceptionEntry, Policy
from flows.reporting.publishing import FindingsFailedError, conclude
from flows.reporting.rendering import bounded_json, cell, embedded_json, finding_rows, markdown
from rules.findings import Change, Outcome, Rule, Severity, Status, Subject
from rules.reports import Report, report_from_json

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULE = Rule("some-rule", Severity.HIGH, "A title", "Mend it.")


class ReportedPolicy(Policy):
    """A policy for these tests."""

    _block_type_slug: ClassVar[str] = "reported-policy"
    thing: str = Field(default="x", description="A thing.")


def subject(name="one"):
    return Subject("deployment", name, f"flow/{name}")


def report(*findings, changes=()):
    return Report("some-flow", "production", "abc", "audit", NOW, NOW, tuple(findings), tuple(changes))


@pytest.fixture
def policy():
    return ReportedPolicy(version=1, name=f"p{uuid.uuid4().hex[:12]}")


def run(policy, *findings, changes=(), mode="audit"):
    """Run a real flow that concludes with these findings, and return its final state."""

    @flow(name="some-flow", persist_result=False)
    def some_flow():
        return conclude("some-flow", policy, mode, datetime.now(UTC), findings, changes)

    return some_flow(return_state=True)


def artifacts(server, policy):
    body = {"artifacts": {"key": {"like_": f"vigiles-some-flow-{policy.name}%"}}, "sort": "CREATED_DESC"}
    return send(server.url, "POST", "/artifacts/filter", body)


def test_a_clean_report_completes_with_the_verdict_as_message(prefect_api, policy):
    state = run(policy, RULE.passed(subject(), "All is well."))

    assert (state.is_completed(), state.message) == (True, "Passed: 1 check passed.")
    assert state.result().exit_code == 0


def test_failed_findings_end_the_run_failed_and_named_failed(prefect_api, policy):
    state = run(policy, RULE.failed(subject(), "It is not."))

    assert (state.type.value, state.name, state.message) == (
        "FAILED",
        "Failed",
        "Failed: 1 finding failed, 0 checks passed.",
    )
    assert state.result(raise_on_failure=False).report.exit_code == 1


def test_what_could_not_be_checked_is_never_green(prefect_api, policy):
    state = run(policy, RULE.unchecked(subject(), "The list could not be read."))

    assert state.is_failed()
    assert state.message.startswith("Unchecked: ")


def test_a_policy_that_was_edited_in_the_ui_is_an_error(prefect_api, policy):
    edited = policy.model_copy(update={"digest": policy.compute_digest(), "thing": "edited"})

    state = run(edited, RULE.passed(subject(), "All is well."))

    assert state.result(raise_on_failure=False).report.findings[-1].rule == "policy-edited"
    assert state.message.startswith("Unchecked: ")


def test_a_saved_policy_without_its_digest_is_an_error_too(prefect_api, policy):
    policy.save(policy.name)

    state = run(ReportedPolicy.load(policy.name), RULE.passed(subject(), "All is well."))

    assert state.message.startswith("Unchecked: ")


def test_a_previous_report_that_was_cut_is_not_compared_with(prefect_api, policy, monkeypatch):
    from flows.reporting import rendering

    with monkeypatch.context() as patch:
        patch.setattr(rendering.bounded_json, "__defaults__", (10,))
        run(policy, RULE.failed(subject(), "It is not."))
    run(policy, RULE.failed(subject(), "It is not."))

    text = next(a["data"] for a in artifacts(prefect_api, policy) if a["type"] == "markdown")
    assert "This is the first report for this policy." in text


def test_a_table_that_is_too_long_says_how_much_is_missing(monkeypatch):
    from flows.reporting import rendering

    monkeypatch.setattr(rendering, "ROWS", 2)
    rows = finding_rows(report(*[RULE.failed(subject(str(n)), "Bad.") for n in range(5)]))

    assert [row["reason"] for row in rows] == ["Bad.", "Bad.", "and 3 more, which --json lists."]


def test_an_exception_of_the_policy_turns_a_failure_to_skipped(prefect_api, policy):
    entry = ExceptionEntry(rule="some-rule", subject="flow/*", owner="me", reason="moving", expires="2099-01-01")

    state = run(policy.model_copy(update={"exceptions": [entry]}), RULE.failed(subject(), "It is not."))

    assert state.is_completed()
    assert state.result().findings[0].message.startswith("Accepted by me until 2099-01-01: moving.")


def test_artifacts_have_stable_keys_and_the_tables_identical_columns(prefect_api, policy):
    change = Change("delete", subject(), Outcome.PLANNED, "It was old.")
    run(policy, RULE.failed(subject(), "It is not."), RULE.passed(subject("two"), "Fine."), changes=[change])

    found = {a["key"].removeprefix(f"vigiles-some-flow-{policy.name}"): a for a in artifacts(prefect_api, policy)}

    assert set(found) == {"", "-findings", "-changes"}
    rows = json.loads(found["-findings"]["data"])
    assert [row["status"] for row in rows] == ["fail", "pass"]
    assert len({tuple(row) for row in rows}) == 1


def test_the_markdown_opens_with_the_verdict_and_says_what_changed(prefect_api, policy):
    run(policy, RULE.failed(subject("one"), "It is not."))
    run(policy, RULE.failed(subject("two"), "It is not."))

    text = max((a for a in artifacts(prefect_api, policy) if a["type"] == "markdown"), key=lambda a: a["created"])[
        "data"
    ]

    assert text.startswith("# Failed: 1 finding failed")
    assert "1 new, 1 resolved, 0 remain." in text
    assert "- new: `some-rule` flow/two" in text
    assert "- resolved: `some-rule` flow/one" in text


def test_one_digest_event_is_emitted(prefect_api, policy):
    run(policy, RULE.failed(subject(), "It is not."))
    drain()

    body = {"filter": {"resource": {"id": [f"vigiles.some-flow.{policy.name}"]}}}
    for _ in range(50):
        events = send(prefect_api.url, "POST", "/events/filter", body)["events"]
        if events:
            break
        time.sleep(0.2)

    assert [event["event"] for event in events] == ["vigiles.some-flow.report"]
    assert events[0]["resource"]["vigiles.status"] == "fail"
    assert events[0]["payload"]["worst"][0]["rule"] == "some-rule"


def test_the_markdown_carries_the_whole_report():
    made = report(RULE.failed(subject(), "A ``` fence and a | bar."), RULE.passed(subject("two"), "Fine."))

    assert report_from_json(embedded_json(markdown(made, None))) == made


def test_a_huge_report_keeps_its_worst_findings_and_says_what_it_left_out():
    many = [RULE.failed(subject(str(n)), "x" * 100) for n in range(100)]
    made = report(*many, RULE.unchecked(subject("unseen"), "Not seen."), RULE.passed(subject("fine"), "Fine."))

    document = json.loads(bounded_json(made, limit=5_000))

    assert document["findings"][0]["status"] == "error"
    assert document["omitted"]["passed"] == 1
    assert document["omitted"]["others"] + len(document["findings"]) == 101
    assert document["summary"]["fail"] == 100


@pytest.mark.parametrize("text", ["no report", "```json\nbroken\n```", "```json\n[1]\n```"])
def test_an_artifact_without_a_report_is_no_previous_report(text):
    assert embedded_json(text) is None


def test_text_from_outside_cannot_format_the_report():
    assert cell("<img src=x>\n# `boom` [a](b) |") == "\\<img src=x\\> \\# \\`boom\\` \\[a\\](b) \\|"
    assert cell("a\u202egnp.exe ~x~ &amp; $1 !") == "a?gnp.exe \\~x\\~ \\&amp; \\$1 \\!"


def test_a_long_report_points_to_the_tables():
    many = [RULE.failed(subject(str(n)), "Bad.") for n in range(12)]
    changes = [Change("delete", subject(str(n)), Outcome.DONE, "Old.") for n in range(11)]

    text = markdown(report(*many, changes=changes), None)

    assert "and 2 more in the table of findings." in text
    assert "and 1 more in the table of changes." in text


def test_rows_are_worst_first():
    made = report(RULE.passed(subject(), "Fine."), RULE.unchecked(subject(), "Not seen."))

    assert [row["status"] for row in finding_rows(made)] == [Status.ERROR, Status.PASS]


def test_the_failure_carries_the_report_and_prints_only_the_verdict():
    failure = FindingsFailedError(report(RULE.failed(subject(), "It is not.")))

    assert str(failure) == failure.report.verdict
    assert failure.__reduce__()[1] == (failure.report,)
