"""Reports: status, exit code, verdict, JSON and what changed since the previous one."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.findings import Change, Finding, Outcome, Severity, Status, Subject
from rules.reports import Report, report_from_json, since

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def finding(status=Status.PASS, severity=Severity.HIGH, name="x", rule="some-rule"):
    return Finding(rule, severity, status, Subject("thing", name, name), "A reason.", "Mend it.", {"a": "b"})


def change(outcome=Outcome.DONE):
    return Change("delete", Subject("thing", "1", "one"), outcome, "It was old.")


def report(*findings, changes=()):
    end = NOW + timedelta(seconds=2)
    return Report("some-flow", "production", "abc", "audit", NOW, end, tuple(findings), tuple(changes))


findings = st.builds(
    finding, st.sampled_from(Status), st.sampled_from(Severity), st.sampled_from("abcdef"), st.sampled_from(["r", "s"])
)
reports = st.builds(
    lambda f, c: report(*f, changes=c), st.lists(findings), st.lists(st.builds(change, st.sampled_from(Outcome)))
)


@pytest.mark.parametrize(
    ("statuses", "status", "code"),
    [
        ([], "pass", 0),
        (["pass", "skipped"], "pass", 0),
        (["pass", "fail"], "fail", 1),
        (["fail", "error"], "error", 3),
        (["error"], "error", 3),
    ],
)
def test_could_not_check_wins_over_failed_wins_over_passed(statuses, status, code):
    made = report(*(finding(Status(s)) for s in statuses))

    assert (made.status.value, made.exit_code) == (status, code)


def test_a_minor_finding_does_not_fail_the_report_but_is_named():
    made = report(finding(Status.FAIL, Severity.LOW))

    assert made.exit_code == 0
    assert made.verdict == "Passed: 1 minor finding, 0 checks passed."


def test_a_change_that_could_not_be_done_is_never_green():
    made = report(finding(), changes=[change(Outcome.FAILED)])

    assert made.status is Status.ERROR
    assert made.verdict == "Unchecked: 1 change could not be done, 1 check passed, changes: 1 failed."


def test_the_verdict_of_an_unchecked_report_begins_with_that_word():
    made = report(finding(Status.ERROR), finding(Status.FAIL), finding(Status.SKIPPED), finding())

    assert made.verdict == ("Unchecked: 1 check could not be made, 1 finding failed, 1 check skipped, 1 check passed.")


def test_the_summary_names_every_status():
    assert report(finding()).summary == {"pass": 1, "fail": 0, "skipped": 0, "error": 0}


@given(reports)
def test_a_report_survives_its_json(made):
    assert report_from_json(json.loads(json.dumps(made.to_json()))) == made


@given(reports)
def test_nothing_changed_since_the_same_report(made):
    changed = since(made, made)

    assert changed.new == changed.resolved == ()


@given(reports, reports)
def test_what_was_wrong_before_is_in_exactly_one_place(one, other):
    changed = since(one, other)
    before = {f.identity for f in one.findings if f.status in (Status.FAIL, Status.ERROR)}
    skipped = {f.identity for f in other.findings if f.status is Status.SKIPPED}
    told = [*changed.resolved, *changed.still, *changed.unseen]

    assert {f.identity for f in told} <= before
    assert before - {f.identity for f in told} <= skipped
    assert len({f.identity for f in told}) == len(told)


def test_a_finding_that_is_gone_from_a_whole_report_is_resolved():
    changed = since(report(finding(Status.FAIL)), report(finding(name="y")))

    assert [f.subject.name for f in changed.resolved] == ["x"]


def test_a_finding_that_could_not_be_seen_is_not_resolved():
    changed = since(report(finding(Status.FAIL)), report(finding(Status.ERROR, name="store", rule="store-unreadable")))

    assert changed.resolved == ()
    assert [f.subject.name for f in changed.unseen] == ["x"]


def test_a_finding_that_is_excused_now_is_not_resolved():
    changed = since(report(finding(Status.FAIL)), report(finding(Status.SKIPPED)))

    assert changed.resolved == changed.still == changed.unseen == ()


def test_a_finding_that_passes_now_is_resolved():
    changed = since(report(finding(Status.FAIL)), report(finding(Status.PASS), finding(Status.ERROR, name="y")))

    assert [f.subject.name for f in changed.resolved] == ["x"]
    assert [f.subject.name for f in changed.new] == ["y"]
