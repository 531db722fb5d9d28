"""What is reported of one secret."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.rotation_world import GRACE, START, Wish

from rules.errors import PermanentError, TemporaryError
from rules.findings import Outcome, Severity, Status, Subject
from rules.rotation import Downtime, Journal, Observation, Step, StepKind, TargetKind, plan
from rules.rotation.verdicts import (
    RULES,
    done,
    exceeded,
    interrupted,
    judge,
    planned,
    secret_subject,
    skipped_by_ceiling,
    undone,
    unobserved,
)

SUBJECT = secret_subject("production", Wish(name="warehouse"))
NEVER = Observation(TargetKind.ALTERNATING, current="c", proofs={"c": True})
IN_GRACE = Observation(
    TargetKind.GENERATED,
    current="p",
    previous="c",
    journal=Journal(1, "r", confirmed="p", rotated_at=START, retire_after=START + GRACE),
)


def findings(observation, wish=None, *, enforced=False):
    wish = wish or Wish()
    return judge(SUBJECT, wish, observation, plan(observation, wish, START), enforced=enforced)


def test_a_secret_is_named_by_its_policy_and_its_name():
    assert (SUBJECT.kind, SUBJECT.id, SUBJECT.name) == ("secret", "production/warehouse", "warehouse")


def test_a_due_secret_fails_with_its_steps_and_without_downtime():
    (finding,) = findings(NEVER)
    assert (finding.rule, finding.status) == ("rotation-due", Status.FAIL)
    assert finding.message.startswith("It was never rotated. Steps: claim, stage, verify, apply, verify, promote,")
    assert finding.evidence["downtime"] == Downtime.NONE.value
    assert "retire (from 2026-03-01 01:00 UTC)" in finding.evidence["steps"]


def test_one_slot_is_labelled_with_its_window():
    state, label = findings(replace(NEVER, kind=TargetKind.SINGLE_SLOT))
    assert state.evidence["downtime"] == "bounded window"
    assert "from `apply` until `promote`" in state.evidence["notice"]
    assert (label.rule, label.severity, label.failed) == ("single-slot-window", Severity.LOW, False)


def test_a_secret_that_is_not_due_passes():
    (finding,) = findings(replace(NEVER, journal=Journal(1, rotated_at=START)))
    assert (finding.status, finding.evidence["rotated"]) == (Status.PASS, "2026-03-01T00:00:00+00:00")
    assert "steps" not in finding.evidence


def test_a_due_secret_that_waits_for_its_window_is_skipped():
    (finding,) = findings(NEVER, Wish(window="Mon 02:00-06:00 UTC"))
    assert finding.status is Status.SKIPPED
    assert "opens on 2026-03-02 02:00 UTC" in finding.message


def test_an_old_version_in_its_grace_passes():
    (finding,) = findings(IN_GRACE)
    assert finding.status is Status.PASS
    assert "lives on until 2026-03-01 01:00 UTC" in finding.message


def test_a_grace_that_is_over_is_incomplete():
    (finding,) = findings(replace(IN_GRACE, journal=replace(IN_GRACE.journal, retire_after=START)))
    assert (finding.rule, finding.status) == ("rotation-incomplete", Status.FAIL)


def test_a_rotation_cut_in_the_middle_is_incomplete():
    cut = replace(NEVER, pending="p", journal=Journal(1, "r", base="c", pending="p"), proofs={"p": True})
    assert findings(cut)[0].rule == "rotation-incomplete"


def test_what_is_still_due_after_enforcing_is_incomplete():
    assert findings(NEVER, enforced=True)[0].rule == "rotation-incomplete"


def test_what_cannot_be_explained_is_critical():
    (finding,) = findings(replace(NEVER, proofs={"c": False}))
    assert (finding.rule, finding.severity) == ("rotation-quarantined", Severity.CRITICAL)


def test_a_value_that_somebody_else_wrote_is_reported():
    rules = [f.rule for f in findings(replace(NEVER, journal=Journal(1, confirmed="x", rotated_at=START)))]
    assert rules == ["rotation-due", "secret-changed-outside"]


def test_a_value_that_was_promoted_and_not_confirmed_is_ours():
    journal = Journal(1, confirmed="x", pending="c", rotated_at=START)
    assert "secret-changed-outside" not in [f.rule for f in findings(replace(NEVER, journal=journal))]


@pytest.mark.parametrize(("at_target", "rule"), [(True, "target-unchecked"), (False, "store-unreadable")])
def test_what_could_not_be_asked_is_an_error(at_target, rule):
    finding = unobserved(SUBJECT, TemporaryError("It is away.", "Wait."), at_target=at_target)
    assert (finding.rule, finding.status, finding.remedy) == (rule, Status.ERROR, "Wait.")


STEP = Step(StepKind.APPLY, "Because.", "p")


def test_a_step_that_failed_for_now_continues_at_the_next_run():
    finding = interrupted(SUBJECT, STEP, TemporaryError("It is away."))
    assert finding.message == "`apply` failed: It is away. It continues at the next run."


def test_a_step_that_failed_for_good_needs_a_repair():
    finding = interrupted(SUBJECT, None, PermanentError("No role."))
    assert finding.message == "It stopped: No role. It needs a repair first."


def test_changes_say_what_was_and_was_not_done():
    assert [c.action for c in planned(SUBJECT, plan(NEVER, Wish(), START))] == [
        "claim",
        "stage",
        "apply",
        "promote",
        "confirm",
    ]
    assert done(SUBJECT, STEP).outcome is Outcome.DONE
    assert undone(SUBJECT, STEP, PermanentError("No.")).outcome is Outcome.FAILED
    assert skipped_by_ceiling(SUBJECT).outcome is Outcome.SKIPPED


def test_a_ceiling_that_is_reached_is_no_error_and_one_that_is_exceeded_is():
    subjects = [Subject("secret", str(n), f"s{n}") for n in range(12)]
    assert exceeded("production", subjects, 12) == []
    (finding,) = exceeded("production", subjects, 11)
    assert finding.status is Status.ERROR
    assert finding.message.startswith("12 secrets would be changed (s0, s1")
    assert "s10" not in finding.message
    assert "s1," not in exceeded("production", subjects[:2], 1)[0].message


def test_rule_ids_are_unique():
    assert len({rule.id for rule in RULES}) == len(RULES) == 8


def test_a_plan_that_would_never_end_is_cut():
    endless = plan(replace(NEVER, kind=TargetKind.GENERATED), Wish(every=GRACE, grace=GRACE), START)
    assert "does not end" in endless.ends.reason
    assert len(endless.steps) == 30


def test_a_plan_from_the_middle_goes_on_from_there():
    staged = replace(NEVER, pending="p", journal=Journal(1, "r", base="c", pending="p"), proofs={"p": False, "c": True})
    steps = [s.step.kind.value for s in plan(staged, Wish(), START).steps]
    assert steps[:5] == ["claim", "apply", "verify", "promote", "confirm"]
    assert plan(staged, Wish(), START).ends.until == START + timedelta(days=1)
