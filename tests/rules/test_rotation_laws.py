"""Laws of the rotation, for any picture whatever: what no step may precede, and that every plan ends."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.rotation_world import START, Wish

from rules.rotation import (
    NORMAL,
    Action,
    Credential,
    Done,
    Journal,
    Observation,
    Order,
    Step,
    StepKind,
    TargetKind,
    minting,
    next_step,
    plan,
)
from rules.rotation.steps import AT_TARGET

VERSIONS = st.sampled_from([None, "a", "b", "c"])
INSTANTS = st.none() | st.integers(-50, 50).map(lambda hours: START + timedelta(hours=hours))
JOURNALS = st.builds(
    Journal,
    epoch=st.integers(0, 3),
    rotation_id=st.sampled_from(["", "r", "rollback-r"]),
    target=st.sampled_from(["", "role/a"]),
    base=VERSIONS,
    pending=VERSIONS,
    attempt=st.integers(0, 4),
    confirmed=VERSIONS,
    rotated_at=INSTANTS,
    retire_after=INSTANTS,
    intent_at=INSTANTS,
    live=st.sampled_from([(), ("a",), ("a", "x")]),
)
CREDENTIALS = st.builds(
    Credential, st.sampled_from(["a", "b", "x", "y"]), INSTANTS, st.sampled_from([None, True, False])
)
PICTURES = st.builds(
    Observation,
    kind=st.sampled_from(TargetKind),
    current=VERSIONS,
    pending=VERSIONS,
    previous=VERSIONS,
    journal=JOURNALS,
    expires_at=INSTANTS,
    claimed=st.none() | st.integers(0, 3),
    proofs=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans()),
    strict=st.sets(st.sampled_from(["a", "b", "c"])).map(frozenset),
    accounts=st.sampled_from([{}, {"a": "a", "b": "b"}, {"a": None}]),
    made=st.booleans(),
    credentials=st.none() | st.lists(CREDENTIALS, max_size=3).map(tuple),
    capacity=st.sampled_from([None, 2, 3]),
    fresh=st.booleans(),
    applied=st.integers(0, 3),
    rejected=st.integers(0, 2),
    undone=st.integers(0, 3),
    retired=st.integers(0, 3),
)
WISHES = st.sampled_from(
    [
        Wish(),
        Wish(target="role/a"),
        Wish(window="Sun 02:00-06:00 Europe/Rome"),
        Wish(before_expiry=timedelta(days=1), blackouts=("2026-03-01",)),
    ]
)
ORDERS = st.sampled_from(
    [
        NORMAL,
        Order(Action.ROLL_BACK),
        Order(Action.EMERGENCY, START),
        Order(Action.EMERGENCY, START, accept_outage=True),
    ]
)


def step(picture, wish, order=NORMAL, *kinds):
    decision = next_step(picture, wish, START, order)
    return decision if isinstance(decision, Step) and decision.kind in kinds else None


@given(PICTURES, WISHES, ORDERS)
def test_every_picture_has_an_answer_with_a_reason(picture, wish, order):
    decision = next_step(picture, wish, START, order)
    assert len(decision.reason) > 10
    assert decision.reason.endswith(".")


@given(PICTURES, WISHES, ORDERS)
def test_every_effect_needs_the_newest_epoch(picture, wish, order):
    decision = next_step(picture, wish, START, order)
    if isinstance(decision, Step) and decision.has_effect and decision.kind is not StepKind.CLAIM:
        assert picture.claimed == picture.journal.epoch


@given(PICTURES, WISHES, ORDERS)
def test_apply_never_precedes_a_durable_pending_version_and_a_login_with_current(picture, wish, order):
    if found := step(picture, wish, order, StepKind.APPLY):
        assert found.version == picture.pending == picture.journal.pending
        assert not picture.proofs.get(picture.pending)
        own_window = picture.kind is TargetKind.SINGLE_SLOT and picture.applied
        assert picture.current is None or picture.proofs[picture.current] or order.accept_outage or own_window


@given(PICTURES, WISHES, ORDERS)
def test_promote_never_precedes_a_login_at_an_account_that_was_seen_to_refuse_one(picture, wish, order):
    if step(picture, wish, order, StepKind.PROMOTE):
        assert picture.proofs[picture.pending] is True
        assert picture.current == picture.journal.base
        assert picture.kind is TargetKind.GENERATED or picture.pending in picture.strict


@given(PICTURES, WISHES, ORDERS)
def test_retire_never_precedes_promotion_grace_and_a_login_with_current(picture, wish, order):
    if step(picture, wish, order, StepKind.RETIRE):
        assert picture.pending is None
        assert picture.previous != picture.current
        assert picture.journal.retire_after <= START or order.emergency
        assert picture.proofs[picture.current] is True


@given(PICTURES, WISHES, ORDERS)
def test_what_is_forgotten_is_proven_dead_where_there_is_a_target_or_works_and_is_current_again(picture, wish, order):
    if step(picture, wish, order, StepKind.FORGET) and picture.kind is not TargetKind.GENERATED:
        assert picture.proofs[picture.previous] is (picture.previous == picture.current)


@given(PICTURES, WISHES, ORDERS)
def test_no_step_is_taken_at_another_target_than_that_of_the_rotation_under_way(picture, wish, order):
    versions = (picture.pending, picture.previous, picture.journal.pending, picture.journal.intent_at)
    if isinstance(next_step(picture, wish, START, order), Step) and any(versions):
        assert picture.journal.target == (wish.target or "")


@given(PICTURES, WISHES, ORDERS)
def test_another_version_is_made_only_when_no_other_is_left_and_current_works(picture, wish, order):
    if step(picture, wish, order, StepKind.STAGE, StepKind.MINT):
        assert (picture.pending, picture.previous) == (None, None)
        if picture.current and picture.kind is not TargetKind.GENERATED:
            assert picture.proofs[picture.current] is True or order.accept_outage


@given(PICTURES, WISHES)
def test_only_an_emergency_deletes_what_was_there_before_or_is_in_use(picture, wish):
    if found := step(picture, wish, NORMAL, StepKind.RECLAIM):
        assert found.credential not in picture.journal.live
        (credential,) = {c for c in picture.credentials if c.id == found.credential and not c.used}
        noted = picture.journal.intent_at
        assert noted - minting.SKEW <= credential.created_at <= noted + minting.OURS


@given(PICTURES, WISHES, ORDERS)
def test_the_current_credential_is_cut_only_where_an_outage_is_accepted(picture, wish, order):
    if step(picture, wish, order, StepKind.CUT):
        assert order.accept_outage
        assert picture.pending is not None or picture.journal.intent_at is not None


@given(PICTURES, WISHES)
def test_a_roll_back_makes_nothing_new(picture, wish):
    assert not step(picture, wish, Order(Action.ROLL_BACK), StepKind.STAGE, StepKind.MINT, StepKind.INTEND)


@given(PICTURES)
def test_what_is_not_due_is_not_touched(picture):
    journal = replace(picture.journal, rotated_at=START - timedelta(hours=1), pending=None, intent_at=None, target="")
    idle = replace(picture, pending=None, previous=None, journal=journal, claimed=None)
    assert isinstance(next_step(idle, Wish(), START), Done)


@given(PICTURES, WISHES, ORDERS)
def test_every_plan_ends(picture, wish, order):
    assert "fault of ours" not in plan(picture, wish, START, order).ends.reason


def test_the_steps_that_may_touch_a_target_are_known():
    looks = {StepKind.SURVEY, StepKind.VERIFY, StepKind.PROBE}
    assert {kind for kind in StepKind if Step(kind, "").has_effect} == set(StepKind) - looks
    assert {StepKind.APPLY, StepKind.RETIRE, StepKind.MINT, StepKind.CUT} <= AT_TARGET
    assert AT_TARGET.isdisjoint(looks)
