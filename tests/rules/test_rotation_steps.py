"""The next step of one secret, picture by picture."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.rotation_search import Search
from support.rotation_world import (
    ALTERNATING,
    DUAL,
    EVERY,
    GENERATED,
    GRACE,
    MINT,
    SINGLE,
    START,
    Setting,
    Wish,
)

from rules.rotation import (
    NORMAL,
    Action,
    Credential,
    Done,
    Journal,
    Observation,
    Order,
    Quarantine,
    Step,
    StepKind,
    next_step,
)
from rules.rotation.minting import FRESH, OURS, SKEW

SECOND = timedelta(seconds=1)
ROLL_BACK = Order(Action.ROLL_BACK)
EMERGENCY = Order(Action.EMERGENCY, START)
OUTAGE = Order(Action.EMERGENCY, START, accept_outage=True)
STAGED = Observation(ALTERNATING, current="c", pending="p", journal=Journal(1, "r", base="c", pending="p"), claimed=1)
PROVEN = replace(STAGED, proofs={"p": True}, strict=frozenset({"p"}))
PROMOTED = replace(STAGED, current="p", previous="c")
CONFIRMED = Observation(
    ALTERNATING,
    current="p",
    previous="c",
    journal=Journal(1, "r", base="c", confirmed="p", rotated_at=START - GRACE, retire_after=START),
    claimed=1,
)
REVERTING = replace(STAGED, journal=replace(STAGED.journal, rotation_id="rollback-r"))
MINTING = Observation(
    MINT,
    current="c",
    journal=Journal(1, "r", intent_at=START, live=("k0",)),
    claimed=1,
    proofs={"c": True},
    accounts={"c": "k0"},
    credentials=(Credential("k0", START - EVERY),),
    capacity=2,
)
LATER = Credential("k1", START, used=False)


def step(observation, wish=None, now=START, order=NORMAL):
    return next_step(observation, wish or Wish(), now, order)


def with_credentials(*credentials, **changes):
    return replace(MINTING, credentials=(*MINTING.credentials, *credentials), **changes)


@pytest.mark.parametrize(
    ("observation", "kind"),
    [
        (Observation(GENERATED), StepKind.CLAIM),
        (Observation(GENERATED, claimed=0), StepKind.STAGE),
        (Observation(ALTERNATING, claimed=0), StepKind.STAGE),
        (Observation(ALTERNATING, current="c"), StepKind.VERIFY),
        (Observation(ALTERNATING, current="c", proofs={"c": True}), StepKind.CLAIM),
        (STAGED, StepKind.VERIFY),
        (replace(STAGED, fresh=True), StepKind.VERIFY),
        (replace(STAGED, fresh=True, proofs={"c": True}), StepKind.APPLY),
        (replace(STAGED, fresh=True, applied=1, proofs={"c": True}), StepKind.VERIFY),
        (replace(STAGED, fresh=True, kind=GENERATED), StepKind.VERIFY),
        (replace(STAGED, proofs={"p": True}), StepKind.PROBE),
        (PROVEN, StepKind.PROMOTE),
        (replace(PROVEN, kind=GENERATED, strict=frozenset()), StepKind.PROMOTE),
        (replace(PROVEN, kind=SINGLE), StepKind.VERIFY),
        (replace(PROVEN, kind=SINGLE, proofs={"p": True, "c": False}), StepKind.PROMOTE),
        (replace(STAGED, proofs={"p": False}), StepKind.VERIFY),
        (replace(STAGED, proofs={"p": False, "c": True}), StepKind.APPLY),
        (replace(STAGED, kind=SINGLE, applied=1, proofs={"p": False, "c": False}), StepKind.APPLY),
        (
            replace(STAGED, current=None, journal=replace(STAGED.journal, base=None), proofs={"p": False}),
            StepKind.APPLY,
        ),
        (replace(STAGED, proofs={"p": False, "c": False}, previous="q"), StepKind.VERIFY),
        (replace(STAGED, proofs={"p": False, "c": True}, rejected=2, applied=2), StepKind.DISCARD),
        (PROMOTED, StepKind.VERIFY),
        (replace(PROMOTED, proofs={"p": True}), StepKind.CONFIRM),
        (replace(PROMOTED, pending=None, proofs={"p": True}), StepKind.CONFIRM),
        (replace(PROMOTED, kind=SINGLE, proofs={"p": True}), StepKind.VERIFY),
        (replace(PROMOTED, kind=SINGLE, proofs={"p": True, "c": False}), StepKind.CONFIRM),
        (replace(PROMOTED, kind=SINGLE, proofs={"p": True}, previous=None), StepKind.CONFIRM),
        (CONFIRMED, StepKind.VERIFY),
        (replace(CONFIRMED, proofs={"p": True}), StepKind.VERIFY),
        (replace(CONFIRMED, proofs={"p": True, "c": True}), StepKind.RETIRE),
        (replace(CONFIRMED, proofs={"p": True, "c": False}), StepKind.FORGET),
        (replace(CONFIRMED, kind=GENERATED), StepKind.FORGET),
        (replace(MINTING, credentials=None), StepKind.SURVEY),
        (replace(MINTING, journal=Journal(1, "r")), StepKind.INTEND),
        (MINTING, StepKind.MINT),
        (with_credentials(LATER), StepKind.RECLAIM),
        (with_credentials(replace(LATER, used=None)), StepKind.RECLAIM),
        (with_credentials(LATER, capacity=None), StepKind.RECLAIM),
        (with_credentials(replace(LATER, created_at=START - SKEW)), StepKind.RECLAIM),
        (with_credentials(replace(LATER, created_at=START + OURS)), StepKind.RECLAIM),
        (replace(MINTING, capacity=None), StepKind.MINT),
        (replace(MINTING, current=None, credentials=()), StepKind.MINT),
    ],
)
def test_the_next_step_follows_from_the_picture(observation, kind):
    assert step(observation).kind is kind


@pytest.mark.parametrize(
    ("observation", "word"),
    [
        (replace(STAGED, claimed=0), "Another run"),
        (Observation(ALTERNATING, current="c", proofs={"c": False}), "does not authenticate"),
        (replace(STAGED, pending="x"), "no journal explains"),
        (replace(STAGED, current="x"), "somebody else"),
        (replace(STAGED, pending=None), "no longer holds"),
        (replace(STAGED, kind=GENERATED, proofs={"p": False}), "read back"),
        (replace(STAGED, proofs={"p": False, "c": False}), "Neither"),
        (replace(STAGED, proofs={"p": False, "c": False, "q": True}, previous="q"), "but the previous one does"),
        (replace(STAGED, proofs={"p": False, "c": False, "q": False}, previous="q"), "nor does the previous"),
        (replace(STAGED, proofs={"p": False, "c": True}, applied=2), "applied 2 times"),
        (
            replace(STAGED, proofs={"p": False, "c": True}, rejected=2, journal=replace(STAGED.journal, attempt=3)),
            "refused 4 generated values",
        ),
        (replace(PROVEN, kind=SINGLE, proofs={"p": True, "c": True}), "Two passwords"),
        (replace(PROMOTED, proofs={"p": False, "c": True}), "does not authenticate any more"),
        (replace(PROMOTED, proofs={"p": False}, previous=None), "does not authenticate any more. Nothing more"),
        (replace(CONFIRMED, journal=Journal(1)), "no journal explains"),
        (replace(CONFIRMED, current="c", proofs={"c": False}), "previous one again and does not authenticate"),
        (replace(CONFIRMED, current=None), "There is no current version"),
        (replace(CONFIRMED, proofs={"p": False, "c": True}), "nothing is retired"),
        (replace(CONFIRMED, proofs={"p": True, "c": True}, retired=2), "retired 2 times"),
        (replace(CONFIRMED, kind=SINGLE, proofs={"p": True, "c": True}), "Two passwords"),
        (with_credentials(replace(LATER, used=True)), "(k1) that no rotation wrote down and that is in use"),
        (with_credentials(replace(LATER, created_at=START - SKEW - SECOND)), "was made at another time"),
        (with_credentials(replace(LATER, created_at=START + OURS + SECOND)), "was made at another time"),
        (with_credentials(replace(LATER, created_at=None)), "was made at another time"),
        (with_credentials(replace(LATER, id="s"), journal=Journal(1, intent_at=START, live=("k0", "s"))), "(s)"),
        (replace(MINTING, capacity=1), "none but the current one"),
    ],
)
def test_what_cannot_be_explained_is_quarantined(observation, word):
    decision = step(observation)
    assert isinstance(decision, Quarantine)
    assert word in decision.reason


@pytest.mark.parametrize(
    ("observation", "kind"),
    [
        (STAGED, StepKind.VERIFY),
        (replace(STAGED, proofs={"p": False}), StepKind.DISCARD),
        (replace(STAGED, kind=GENERATED, proofs={"p": True}), StepKind.DISCARD),
        (replace(STAGED, proofs={"p": True}), StepKind.UNDO),
        (replace(STAGED, kind=SINGLE, proofs={"p": True}), StepKind.UNDO),
        (replace(STAGED, current="x"), StepKind.VERIFY),
        (replace(STAGED, current="x", proofs={"p": True}), StepKind.UNDO),
        (replace(STAGED, current="x", proofs={"p": False}), StepKind.DISCARD),
        (replace(REVERTING, current="x", proofs={"p": True}), StepKind.UNDO),
        (PROMOTED, StepKind.CONFIRM),
        (CONFIRMED, StepKind.VERIFY),
        (replace(CONFIRMED, proofs={"c": True}), StepKind.REVERT),
        (replace(REVERTING, proofs={"p": True}, strict=frozenset({"p"})), StepKind.PROMOTE),
        (replace(REVERTING, current="p", previous="c"), StepKind.VERIFY),
    ],
)
def test_a_roll_back_takes_back_what_is_under_way_or_goes_back_to_what_lives(observation, kind):
    assert step(observation, order=ROLL_BACK).kind is kind


@pytest.mark.parametrize(
    ("observation", "word"),
    [
        (replace(STAGED, proofs={"p": True}, undone=2), "taken back 2 times"),
        (
            replace(STAGED, kind=SINGLE, current=None, journal=replace(STAGED.journal, base=None), proofs={"p": True}),
            "no earlier version",
        ),
        (replace(CONFIRMED, current="x"), "going back would overwrite a change"),
    ],
)
def test_a_roll_back_that_cannot_be_done_is_quarantined(observation, word):
    decision = step(observation, order=ROLL_BACK)
    assert isinstance(decision, Quarantine)
    assert word in decision.reason


def test_a_roll_back_is_refused_when_the_previous_version_is_dead():
    decision = step(replace(CONFIRMED, proofs={"c": False}), order=ROLL_BACK)
    assert isinstance(decision, Done)
    assert (decision.problem, decision.reason.split(":")[0]) == (
        True,
        "The previous version does not authenticate any more",
    )


@pytest.mark.parametrize(
    ("observation", "problem"),
    [
        (Observation(GENERATED, current="c"), True),
        (Observation(GENERATED, current="c", claimed=0), False),
        (Observation(GENERATED, current="c", journal=Journal(1, rotated_at=START - EVERY), claimed=1), False),
        (Observation(GENERATED, current="c", journal=Journal(1, rotated_at=START), claimed=1), True),
        (Observation(GENERATED, current="c", journal=Journal(1, rotated_at=START), claimed=1, made=True), False),
        (Observation(GENERATED, current="c", journal=Journal(1, rotated_at=START), made=True), True),
    ],
)
def test_a_roll_back_is_a_problem_only_where_it_took_nothing_back(observation, problem):
    decision = step(observation, order=ROLL_BACK)
    assert isinstance(decision, Done)
    assert decision.problem is problem


def test_a_roll_back_that_is_done_keeps_the_other_version_for_its_grace():
    journal = replace(CONFIRMED.journal, rotation_id="rollback-r", retire_after=START + GRACE)
    assert step(replace(CONFIRMED, journal=journal), order=ROLL_BACK).in_grace


@pytest.mark.parametrize(("age", "kind"), [(FRESH, StepKind.MINT), (FRESH + SECOND, StepKind.INTEND)])
def test_a_note_of_the_credentials_there_are_is_renewed_when_it_is_older_than_minutes(age, kind):
    assert step(MINTING, now=START + age).kind is kind


def test_what_was_left_by_a_run_is_reclaimed_before_its_note_is_renewed():
    assert step(with_credentials(LATER), now=START + EVERY).kind is StepKind.RECLAIM
    assert step(replace(MINTING, capacity=1), now=START + EVERY).kind is StepKind.INTEND


@pytest.mark.parametrize(("order", "said"), [(NORMAL, False), (EMERGENCY, True)])
def test_an_emergency_over_a_dead_version_names_the_order_that_helps(order, said):
    decision = step(Observation(ALTERNATING, current="c", proofs={"c": False}), order=order)
    assert ("order the emergency with accept_outage" in decision.reason) is said


ROTATED_LATER = Journal(1, "r", rotated_at=START + GRACE)


@pytest.mark.parametrize(
    ("observation", "order", "kind"),
    [
        (
            replace(CONFIRMED, journal=replace(CONFIRMED.journal, retire_after=START + GRACE)),
            EMERGENCY,
            StepKind.VERIFY,
        ),
        (replace(MINTING, journal=Journal(1), credentials=None), EMERGENCY, StepKind.SURVEY),
        (with_credentials(LATER, journal=ROTATED_LATER), EMERGENCY, StepKind.RECLAIM),
        (with_credentials(LATER, journal=ROTATED_LATER, accounts={}), EMERGENCY, StepKind.VERIFY),
        (with_credentials(replace(LATER, used=True)), EMERGENCY, StepKind.RECLAIM),
        (with_credentials(LATER, journal=replace(MINTING.journal, live=("k0", "k1"))), EMERGENCY, StepKind.RECLAIM),
        (Observation(ALTERNATING, current="c", claimed=0), OUTAGE, StepKind.VERIFY),
        (Observation(ALTERNATING, current="c", claimed=0, proofs={"c": True}), OUTAGE, StepKind.STAGE),
        (replace(STAGED, proofs={"p": False, "c": True}), OUTAGE, StepKind.CUT),
        (replace(MINTING, journal=Journal(1)), OUTAGE, StepKind.INTEND),
        (MINTING, OUTAGE, StepKind.CUT),
        (replace(MINTING, proofs={"c": False}), OUTAGE, StepKind.MINT),
        (Observation(ALTERNATING, current="c", claimed=0, proofs={"c": False}), OUTAGE, StepKind.STAGE),
        (Observation(DUAL, claimed=0), OUTAGE, StepKind.STAGE),
        (replace(STAGED, proofs={"p": False, "c": False}), OUTAGE, StepKind.APPLY),
    ],
)
def test_an_emergency_does_not_wait_and_leaves_nothing_else_alive(observation, order, kind):
    assert step(observation, order=order).kind is kind


@pytest.mark.parametrize(
    "observation",
    [
        replace(MINTING, journal=ROTATED_LATER),
        replace(MINTING, journal=ROTATED_LATER, current=None),
    ],
)
def test_an_emergency_is_over_when_only_the_new_credential_is_left(observation):
    assert isinstance(step(observation, order=EMERGENCY), Done)


def test_a_mint_that_was_cut_short_is_finished_even_if_nothing_is_due():
    cut = replace(MINTING, journal=replace(MINTING.journal, rotated_at=START), proofs={})
    assert step(cut).kind is StepKind.VERIFY
    assert step(replace(cut, proofs={"c": True})).kind is StepKind.MINT


MINTED = replace(STAGED, kind=MINT, proofs={"p": False, "c": True}, accounts={"p": "k1", "c": "k0"})


def test_a_minted_credential_that_is_listed_and_not_accepted_yet_is_waited_for():
    assert step(MINTED).kind is StepKind.SURVEY
    decision = step(replace(MINTED, credentials=(LATER,)))
    assert isinstance(decision, Done)
    assert decision.problem


def test_a_minted_credential_that_is_not_listed_any_more_is_dropped():
    assert step(replace(MINTED, credentials=())).kind is StepKind.DISCARD


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"credentials": None}, StepKind.SURVEY),
        ({"accounts": {}}, StepKind.VERIFY),
        ({"current": None, "accounts": {}, "credentials": ()}, StepKind.INTEND),
    ],
)
def test_when_a_minted_credential_expires_is_asked_for_where_that_matters(changes, kind):
    idle = replace(MINTING, journal=Journal(1), proofs={}, **changes)
    assert step(idle, Wish(before_expiry=GRACE)).kind is kind


def rotated(hours):
    return Observation(GENERATED, current="c", journal=Journal(1, "r", rotated_at=START - timedelta(hours=hours)))


@pytest.mark.parametrize(("hours", "due"), [(0, False), (23, False), (24, True), (400, True)])
def test_a_secret_is_due_when_its_time_is_over(hours, due):
    assert isinstance(step(rotated(hours)), Step) is due


def test_a_rotation_that_has_begun_is_finished_outside_its_window_and_in_a_blackout():
    shut = Wish(window="Mon 02:00-06:00 UTC", blackouts=("2026-03-01",))
    assert step(PROVEN, shut).kind is StepKind.PROMOTE


def test_the_old_version_lives_until_its_grace_is_over():
    decision = step(CONFIRMED, now=START - timedelta(seconds=1))
    assert isinstance(decision, Done)
    assert decision.in_grace
    assert decision.until == START


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (GENERATED, "claim stage verify promote confirm; claim forget"),
        (
            ALTERNATING,
            "verify claim stage apply verify probe promote confirm; verify verify claim retire verify forget",
        ),
        (DUAL, "verify claim stage apply verify probe promote confirm; verify verify claim retire verify forget"),
        (
            MINT,
            "verify survey claim intend mint verify probe promote confirm; verify verify claim retire verify forget",
        ),
        (SINGLE, "verify claim stage apply verify verify promote confirm"),
    ],
)
def test_a_whole_rotation_takes_these_steps(kind, steps):
    assert Search(Setting(kind)).journey("rotate") == steps
