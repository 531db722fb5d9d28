"""What is reported of one secret."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from support.rotation_world import GRACE, START, Wish

from rules.errors import PermanentError, TemporaryError
from rules.findings import Outcome, Severity, Status, Subject
from rules.rotation import (
    NORMAL,
    Action,
    Credential,
    Downtime,
    Journal,
    Observation,
    Order,
    Step,
    StepKind,
    TargetKind,
    plan,
)
from rules.rotation.rights import Needs
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


NEEDS = Needs(
    [SimpleNamespace(action="Put", resource="db", steps=[StepKind.STAGE], granted=False)], (), "It compares.", "3"
)


def findings(observation, wish=None, *, order=NORMAL, **more):
    wish = wish or Wish()
    return judge(SUBJECT, wish, observation, plan(observation, wish, START, order), **more)


def test_a_secret_is_named_by_its_policy_and_its_name():
    assert (SUBJECT.kind, SUBJECT.id, SUBJECT.name) == ("secret", "production/warehouse", "warehouse")


def test_a_due_secret_fails_with_its_steps_and_without_downtime():
    (finding,) = findings(NEVER)
    assert (finding.rule, finding.status) == ("rotation-due", Status.FAIL)
    assert finding.message.startswith(
        "It was never rotated. Steps: claim, stage, apply, verify, probe, promote, confirm, "
    )
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
    assert len({rule.id for rule in RULES}) == len(RULES) == 11


def test_a_plan_from_the_middle_goes_on_from_there():
    staged = replace(NEVER, pending="p", journal=Journal(1, "r", base="c", pending="p"), proofs={"p": False, "c": True})
    (finding,) = findings(staged)
    assert (
        finding.message
        == "A rotation is under way and not finished. " + plan(staged, Wish(), START).steps[0].step.reason
    )
    assert finding.evidence["steps"].startswith("claim, apply, verify, probe, promote, confirm, ")


def test_what_was_ordered_and_cannot_be_done_is_incomplete():
    finding, *_ = findings(NEVER, order=Order(Action.ROLL_BACK))
    assert (finding.rule, finding.message) == ("rotation-incomplete", "There is no rotation that could be rolled back.")


def test_a_roll_back_that_was_done_passes():
    (finding,) = findings(replace(NEVER, claimed=0), order=Order(Action.ROLL_BACK), enforced=True)
    assert (finding.status, finding.message) == (Status.PASS, "The rotation was taken back; nothing of it is left.")


@pytest.mark.parametrize(
    ("observation", "state"),
    [
        (NEVER, "never rotated"),
        (replace(NEVER, journal=Journal(1, rotated_at=START)), "at rest"),
        (replace(NEVER, pending="p", journal=Journal(1, base="c", pending="p")), "staged"),
        (replace(NEVER, pending="c", journal=Journal(1, pending="c")), "promoted, not confirmed"),
        (replace(NEVER, journal=Journal(1, intent_at=START)), "about to mint"),
        (IN_GRACE, "rotated, in grace"),
    ],
)
def test_the_evidence_says_where_a_rotation_stands(observation, state):
    evidence = findings(observation)[0].evidence
    assert evidence["state"] == state
    assert evidence["schedule"] == "every 1d, grace 1h"


def test_an_expiry_is_part_of_the_evidence():
    expiring = replace(NEVER, expires_at=START + timedelta(days=9))
    assert findings(expiring)[0].evidence["expires"] == "2026-03-10T00:00:00+00:00"


def test_a_credential_that_expires_while_its_rotation_waits_fails():
    waiting = replace(NEVER, expires_at=START + timedelta(hours=9))
    state, late = findings(waiting, Wish(window="Mon 02:00-06:00 UTC"))
    assert state.status is Status.SKIPPED
    assert (late.rule, late.severity) == ("credential-expires-first", Severity.HIGH)
    assert "It expires before that." in late.message


def test_a_credential_that_expires_before_its_rotation_is_due_fails():
    key = Credential("k0", expires_at=START + timedelta(hours=9))
    picture = Observation(
        TargetKind.MINT, "c", journal=Journal(1, rotated_at=START), accounts={"c": "k0"}, credentials=(key,)
    )
    state, late = findings(picture)
    assert state.status is Status.PASS
    assert (late.rule, late.remedy[:9]) == ("credential-expires-first", "Extend it")
    assert len(findings(replace(picture, credentials=()))) == 1


def test_a_credential_that_expires_within_the_grace_fails():
    journal = replace(IN_GRACE.journal, retire_after=START + timedelta(hours=40))
    state, late = findings(replace(IN_GRACE, journal=journal, expires_at=START + timedelta(hours=39)))
    assert state.status is Status.PASS
    assert late.message == "It expires on 2026-03-02 15:00 UTC, before its next rotation can begin."


def test_rights_that_are_missing_are_reported_beside_the_state():
    state, missing = findings(NEVER, needs=NEEDS)
    assert (state.evidence["fencing"], state.evidence["quota"]) == ("It compares.", "3")
    assert (missing.rule, missing.status) == ("permissions-granted", Status.FAIL)
