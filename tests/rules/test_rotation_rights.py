"""What a rotation needs: which rights are missing, and what a plan says of them."""

from dataclasses import dataclass

import pytest

from rules.findings import Severity, Status, Subject
from rules.rotation import StepKind
from rules.rotation.rights import RULES, Needs, evidence, judge

SUBJECT = Subject("secret", "production/s", "s")


@dataclass(frozen=True)
class Right:
    action: str
    granted: bool | None
    resource: str = "prod/db"
    steps: tuple[StepKind, ...] = (StepKind.STAGE, StepKind.PROMOTE)


def needs(*granted, at_target=()):
    return Needs([Right(f"Put{n}", known) for n, known in enumerate(granted)], at_target, "It compares.", "3 writes")


@pytest.mark.parametrize("granted", [(), (True,), (None,), (True, None)])
def test_a_right_that_is_there_or_cannot_be_known_is_no_finding(granted):
    assert judge(SUBJECT, needs(*granted)) == []


def test_every_right_that_is_missing_is_named_with_the_steps_that_use_it():
    (finding,) = judge(SUBJECT, needs(False, True, None, False))
    assert (finding.rule, finding.status, finding.severity) == ("permissions-granted", Status.FAIL, Severity.HIGH)
    assert finding.message == (
        "The store's credential lacks Put0 on prod/db (for stage, promote), Put3 on prod/db (for stage, promote)."
    )
    assert finding.rule in {rule.id for rule in RULES}


def test_a_plan_says_of_each_right_whether_it_was_checked():
    said = evidence(needs(True, False, None, at_target=["CREATEROLE for admin"]))
    assert said == {
        "permissions": "Put0 on prod/db [granted]; Put1 on prod/db [MISSING]; "
        "Put2 on prod/db [not checkable in advance]; CREATEROLE for admin [at the target]",
        "quota": "3 writes",
        "fencing": "It compares.",
    }


def test_a_store_that_needs_no_right_says_so():
    assert evidence(needs())["permissions"] == "none"
