"""Laws of the rotation: for any picture whatever, and for every order of steps and crashes that can happen."""

from collections import deque
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rotation_world import EVERY, GRACE, START, Wish, World

from rules.rotation import Done, Journal, Observation, Quarantine, Step, StepKind, TargetKind, next_step, plan

VERSIONS = st.sampled_from([None, "a", "b", "c"])
INSTANTS = st.none() | st.integers(-50, 50).map(lambda hours: START + timedelta(hours=hours))
JOURNALS = st.builds(
    Journal,
    epoch=st.integers(0, 3),
    base=VERSIONS,
    pending=VERSIONS,
    confirmed=VERSIONS,
    rotated_at=INSTANTS,
    retire_after=INSTANTS,
)
PICTURES = st.builds(
    Observation,
    kind=st.sampled_from(TargetKind),
    current=VERSIONS,
    pending=VERSIONS,
    previous=VERSIONS,
    journal=JOURNALS,
    claimed=st.none() | st.integers(0, 3),
    proofs=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans()),
    applied=st.integers(0, 3),
    retired=st.integers(0, 3),
)
WISHES = st.sampled_from([Wish(), Wish(window="Sun 02:00-06:00 Europe/Rome")])
ENOUGH = 25


@given(PICTURES, WISHES)
def test_every_picture_has_an_answer_with_a_reason(picture, wish):
    decision = next_step(picture, wish, START)
    assert len(decision.reason) > 10
    assert decision.reason.endswith((".", "reads."))


@given(PICTURES, WISHES)
def test_every_effect_needs_the_newest_epoch(picture, wish):
    decision = next_step(picture, wish, START)
    if isinstance(decision, Step) and decision.has_effect and decision.kind is not StepKind.CLAIM:
        assert picture.claimed == picture.journal.epoch


@given(PICTURES, WISHES)
def test_apply_never_precedes_a_durable_pending_version(picture, wish):
    decision = next_step(picture, wish, START)
    if isinstance(decision, Step) and decision.kind is StepKind.APPLY:
        assert decision.version == picture.pending == picture.journal.pending
        assert picture.proofs[picture.pending] is False
        assert picture.current is None or picture.proofs[picture.current]


@given(PICTURES, WISHES)
def test_promote_never_precedes_a_proven_login(picture, wish):
    decision = next_step(picture, wish, START)
    if isinstance(decision, Step) and decision.kind is StepKind.PROMOTE:
        assert picture.proofs[picture.pending] is True
        assert picture.current == picture.journal.base


@given(PICTURES, WISHES)
def test_retire_never_precedes_promotion_grace_and_a_login_with_current(picture, wish):
    decision = next_step(picture, wish, START)
    if isinstance(decision, Step) and decision.kind is StepKind.RETIRE:
        assert picture.pending is None
        assert picture.previous != picture.current
        assert picture.journal.retire_after <= START
        assert picture.proofs[picture.current] is True


@given(PICTURES, WISHES)
def test_a_value_is_generated_only_when_no_other_version_is_left_and_current_works(picture, wish):
    decision = next_step(picture, wish, START)
    if isinstance(decision, Step) and decision.kind is StepKind.STAGE:
        assert (picture.pending, picture.previous) == (None, None)
        if picture.current and picture.kind is not TargetKind.GENERATED:
            assert picture.proofs[picture.current] is True


@given(PICTURES)
def test_what_is_not_due_has_no_step(picture):
    journal = replace(picture.journal, rotated_at=START - timedelta(hours=1), pending=None)
    idle = replace(picture, pending=None, previous=None, journal=journal, claimed=None)
    assert isinstance(next_step(idle, Wish(), START), Done)


@given(PICTURES, WISHES)
def test_every_plan_ends(picture, wish):
    planned = plan(picture, wish, START)
    assert "fault of ours" not in planned.ends.reason


@cache
def run_alone(world):
    for _ in range(ENOUGH):
        decision = next_step(world.observe(), Wish(), world.now)
        if not isinstance(decision, Step):
            return world, decision
        world = world.after(decision)[-1]
    raise AssertionError(f"no end: {world}")


def search(kind, crashes, broken=None):
    """Visit every world that steps, crashes and waiting can lead to; return how many, and those that break a law."""
    first = World(kind)
    seen, queue, bad = {(first, crashes)}, deque([(first, crashes)]), []
    while queue:
        world, left = queue.popleft()
        if world.current is not None and not world.accepts(world.current):
            bad.append(world)
        ended, decision = run_alone(world.crashed())
        over = isinstance(decision, Done) and not decision.in_grace
        others = kind is TargetKind.ALTERNATING and [v for v in ended.accounts if v] != [ended.current]
        if isinstance(decision, Quarantine) or (over and others):
            bad.append(world)
        for following in steps_from(world, left, broken):
            if following not in seen and following[0].made <= 2:
                seen.add(following)
                queue.append(following)
    return len(seen), bad


def steps_from(world, left, broken):
    decision = (broken or next_step)(world.observe(), Wish(), world.now)
    if isinstance(decision, Step):
        cut_short = world.after(decision)
        yield cut_short[-1], left
        if left:
            yield from ((cut.crashed(), left - 1) for cut in [world, *cut_short])
    elif isinstance(decision, Done) and world.now < START + 4 * EVERY:
        yield from ((world.later(by), left) for by in (GRACE, EVERY))


@pytest.mark.parametrize("kind", [TargetKind.GENERATED, TargetKind.ALTERNATING])
def test_no_order_of_steps_and_three_crashes_leaves_a_current_that_fails(kind):
    visited, bad = search(kind, crashes=3)
    assert bad == []
    assert visited > 150


def test_one_slot_fails_only_while_the_applied_version_is_not_current():
    _, bad = search(TargetKind.SINGLE_SLOT, crashes=3)
    assert bad
    assert all(world.accepts(world.pending) and world.current != world.pending for world in bad)


def promotes_first(o, wish, now):
    if o.pending and o.claimed is not None and o.current == o.journal.base:
        return Step(StepKind.PROMOTE, "mutant", o.pending)
    return next_step(o, wish, now)


def retires_first(o, wish, now):
    decision = next_step(o, wish, now)
    if isinstance(decision, Step) and decision.kind is StepKind.PROMOTE and not o.retired:
        return Step(StepKind.RETIRE, "mutant", o.current)
    return decision


@pytest.mark.parametrize("mutant", [promotes_first, retires_first])
def test_the_search_notices_a_broken_engine(mutant):
    assert search(TargetKind.ALTERNATING, crashes=1, broken=mutant)[1]
