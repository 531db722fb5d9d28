"""The plan of one secret: the same steps that a run takes when all goes well."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.rotation_search import Search
from support.rotation_world import DUAL, GRACE, MINT, SINGLE, START, Setting, Wish, instant, order_of

from rules.rotation import (
    NORMAL,
    Action,
    Credential,
    Done,
    Downtime,
    Journal,
    Observation,
    Order,
    Quarantine,
    StepKind,
    TargetKind,
    plan,
)

WISH = Wish()
IN_GRACE = Observation(
    TargetKind.ALTERNATING,
    current="p",
    previous="c",
    journal=Journal(1, "r", confirmed="p", rotated_at=START, retire_after=START + GRACE),
)


def planned(observation, order=NORMAL, now=START, wish=WISH):
    """Return the steps of a plan, those after a wait behind a semicolon."""
    words, waited = [], False
    for step in plan(observation, wish, now, order).steps:
        words += [";"] if step.not_before and not waited else []
        waited = waited or step.not_before is not None
        words.append(step.step.kind.value)
    return " ".join(words).replace(" ;", ";")


LOOKS_AND_CLAIMS = {StepKind.VERIFY, StepKind.PROBE, StepKind.SURVEY, StepKind.CLAIM}


def effects(words):
    """Leave out what a later run does again, as it remembers nothing: its claim and its logins."""
    return [word for word in words.replace(";", "").split() if word not in LOOKS_AND_CLAIMS]


@pytest.mark.parametrize("order", ["rotate", "roll-back", "emergency", "emergency-outage"])
@pytest.mark.parametrize("kind", TargetKind)
def test_a_plan_from_any_world_has_the_effects_that_a_run_has_in_a_world_that_behaves(kind, order):
    search, alone, compared = Search(Setting(kind), versions=1, crashes=1), Search(Setting(kind)), 0
    search.run()
    for world in search.cores():
        seen = alone.looked(world, order)
        if seen is not None:
            words = planned(seen, order_of(order, world.clock), instant(world.clock), alone.engine.wish)
            assert effects(words) == effects(alone.journey(order, world))
            compared += 1
    assert compared > 3


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (TargetKind.GENERATED, "claim stage verify promote confirm; forget"),
        (TargetKind.ALTERNATING, "claim stage apply verify probe promote confirm; verify retire verify forget"),
        (DUAL, "claim stage apply verify probe promote confirm; verify retire verify forget"),
        (MINT, "survey claim intend mint verify probe promote confirm; retire verify forget"),
        (SINGLE, "claim stage apply verify verify promote confirm"),
    ],
)
def test_a_plan_names_every_step_of_a_rotation_up_to_the_end_of_the_grace(kind, words):
    accounts = {"c": "k0"} if kind is MINT else {}
    assert planned(Observation(kind, current="c", proofs={"c": True}, accounts=accounts)) == words


@pytest.mark.parametrize(
    ("kind", "order", "downtime"),
    [
        (TargetKind.ALTERNATING, NORMAL, Downtime.NONE),
        (SINGLE, NORMAL, Downtime.WINDOW),
        (DUAL, Order(Action.EMERGENCY, START), Downtime.NONE),
        (DUAL, Order(Action.EMERGENCY, START, accept_outage=True), Downtime.OUTAGE),
        (SINGLE, Order(Action.ROLL_BACK), Downtime.NONE),
    ],
)
def test_a_plan_says_what_consumers_will_notice(kind, order, downtime):
    found = plan(Observation(kind, current="c", proofs={"c": True}), WISH, START, order)
    assert found.downtime is downtime
    assert found.notice.endswith(".")


def test_what_waits_for_the_grace_is_not_changed_now():
    found = plan(IN_GRACE, WISH, START)
    assert not found.changes_now
    assert {step.not_before for step in found.steps} == {START + GRACE}
    assert isinstance(found.ends, Done)


def test_a_rotation_is_planned_to_the_end_of_its_grace_and_no_further():
    found = plan(Observation(TargetKind.GENERATED), WISH, START)
    assert found.changes_now
    assert isinstance(found.ends, Done)
    assert not found.ends.in_grace


def test_a_plan_says_since_when_a_rotation_is_due():
    journal = Journal(1, rotated_at=START - timedelta(days=3))
    due = Observation(TargetKind.GENERATED, current="c", journal=journal)
    assert plan(due, WISH, START).due_since == START - timedelta(days=2)
    assert plan(Observation(TargetKind.GENERATED), WISH, START).due_since is None
    assert plan(IN_GRACE, WISH, START).due_since is None


def test_a_plan_of_an_emergency_in_the_grace_goes_on_to_another_rotation_at_the_same_target():
    order, wish = Order(Action.EMERGENCY, START + GRACE), Wish(target="role/a")
    at_target = replace(IN_GRACE, kind=DUAL, journal=replace(IN_GRACE.journal, target="role/a"))
    found = plan(at_target, wish, START + GRACE, order)
    kinds = [step.step.kind for step in found.steps]
    assert kinds.index(StepKind.FORGET) < kinds.index(StepKind.STAGE) < kinds.index(StepKind.CONFIRM)
    assert "not end" in found.ends.reason or isinstance(found.ends, Done)


def test_a_plan_over_an_unclear_picture_ends_in_quarantine():
    found = plan(replace(IN_GRACE, current=None), WISH, START)
    assert isinstance(found.ends, Quarantine)
    assert not found.changes_now


def test_a_plan_that_would_never_end_is_cut():
    order = Order(Action.EMERGENCY, START + timedelta(days=400))
    endless = plan(Observation(TargetKind.GENERATED), WISH, START, order)
    assert "does not end" in endless.ends.reason
    assert len(endless.steps) == 40


def test_a_plan_takes_an_emergency_to_the_last_stranger():
    keys = tuple(Credential(name, START - GRACE) for name in ("k0", "s", "t"))
    journal = Journal(1, rotated_at=START + GRACE)
    over = Observation(MINT, current="c", journal=journal, accounts={"c": "k0"}, credentials=keys, capacity=5)
    assert planned(over, Order(Action.EMERGENCY, START)) == "claim reclaim reclaim"
