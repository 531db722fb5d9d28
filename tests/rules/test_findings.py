"""Findings: order, identity, and what counts as failed."""

import pytest

from rules.findings import Finding, Rule, Severity, Status, Subject, worst_first

RULE = Rule("some-rule", Severity.HIGH, "A title", "Mend it.")
SUBJECT = Subject("deployment", "1", "flow/one")


def finding(status=Status.FAIL, severity=Severity.HIGH, name="x"):
    return Finding("some-rule", severity, status, Subject("deployment", name, name), "A reason.")


@pytest.mark.parametrize(
    ("severity", "failed"),
    [("critical", True), ("high", True), ("medium", True), ("low", False), ("info", False)],
)
def test_a_fail_counts_from_medium_up(severity, failed):
    assert finding(severity=Severity(severity)).failed is failed


@pytest.mark.parametrize("status", [Status.PASS, Status.SKIPPED, Status.ERROR])
def test_nothing_but_a_fail_counts_as_failed(status):
    assert not finding(status).failed


def test_errors_come_first_then_failures_by_severity():
    low, high = finding(severity=Severity.LOW), finding(severity=Severity.HIGH)
    error, passed, skipped = finding(Status.ERROR, Severity.INFO), finding(Status.PASS), finding(Status.SKIPPED)

    assert worst_first([passed, low, skipped, high, error]) == [error, high, low, skipped, passed]


def test_identity_is_rule_kind_and_id_but_not_the_name():
    renamed = RULE.failed(Subject("deployment", "1", "flow/renamed"), "A reason.")

    assert RULE.failed(SUBJECT, "Another reason.").identity == renamed.identity


def test_a_rule_gives_its_remedy_to_what_it_could_not_check_or_failed():
    assert RULE.failed(SUBJECT, "r").remedy == RULE.unchecked(SUBJECT, "r").remedy == "Mend it."
    assert RULE.failed(SUBJECT, "r", "Do that.").remedy == RULE.unchecked(SUBJECT, "r", "Do that.").remedy == "Do that."


def test_a_pass_or_a_skip_has_nothing_to_mend():
    assert RULE.passed(SUBJECT, "fine").remedy == RULE.skipped(SUBJECT, "left out").remedy == ""


def test_evidence_is_kept_by_name():
    assert RULE.failed(SUBJECT, "r", pool="standard").evidence == {"pool": "standard"}
