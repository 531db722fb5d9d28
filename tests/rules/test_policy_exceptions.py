"""Exceptions: what they excuse, and that they end."""

from dataclasses import dataclass
from datetime import date

import pytest

from rules.findings import Rule, Severity, Status, Subject
from rules.policy_exceptions import apply_exceptions

RULE = Rule("pool-mismatch", Severity.HIGH, "t", "Move it.")
TODAY = date(2026, 11, 23)


@dataclass(frozen=True)
class Accepted:
    rule: str = "pool-mismatch"
    subject: str = "nightly/*"
    owner: str = "platform"
    reason: str = "moving in March"
    expires: date = TODAY


def judged(finding, *exceptions):
    return apply_exceptions([finding], exceptions, TODAY)


FAILED = RULE.failed(Subject("deployment", "1", "nightly/load"), "Runs on standard.")


def test_an_excused_failure_is_skipped_with_owner_reason_and_end():
    (finding,) = judged(FAILED, Accepted())

    assert finding.status is Status.SKIPPED
    assert finding.message == "Accepted by platform until 2026-11-23: moving in March. Runs on standard."


@pytest.mark.parametrize("other", [Accepted(rule="pool-missing"), Accepted(subject="daily/*")])
def test_an_exception_excuses_only_its_rule_and_subject(other):
    assert judged(FAILED, other) == (FAILED,)


def test_a_bracket_in_an_exception_is_only_a_bracket():
    accepted = Accepted(subject="nightly/[load]")
    bracketed = RULE.failed(Subject("deployment", "2", "nightly/[load]"), "Runs on standard.")
    of_the_set = RULE.failed(Subject("deployment", "3", "nightly/l"), "Runs on standard.")

    assert judged(bracketed, accepted)[0].status is Status.SKIPPED
    assert judged(of_the_set, accepted) == (of_the_set,)


def test_an_exception_holds_to_the_end_of_its_last_day_and_no_longer():
    (finding, expired) = judged(FAILED, Accepted(expires=date(2026, 11, 22)))

    assert finding is FAILED
    assert (expired.rule, expired.status, expired.failed) == ("exception-expired", Status.FAIL, True)


def test_nobody_can_accept_what_was_not_seen():
    unseen = RULE.unchecked(FAILED.subject, "The pool could not be read.")

    assert judged(unseen, Accepted()) == (unseen,)


def test_a_pass_needs_no_exception():
    passed = RULE.passed(FAILED.subject, "Runs where it should.")

    assert judged(passed, Accepted()) == (passed,)
