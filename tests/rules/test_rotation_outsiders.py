"""What others do meanwhile: name another target, change the secret, take an old version back, make keys."""

from collections import Counter
from dataclasses import replace

import pytest
from support.rotation_outsiders import long_after, restored, rewritten, while_nobody_runs
from support.rotation_rule_mutants import reclaims_whenever_it_was_made
from support.rotation_search import Search
from support.rotation_world import ALTERNATING, EVERY, GENERATED, GRACE, MINT, START, Setting, Wish

from rules.rotation import (
    NORMAL,
    Done,
    Journal,
    Observation,
    Quarantine,
    StepKind,
    TargetKind,
    journal,
    next_step,
    plan,
)

PROVEN = Observation(
    ALTERNATING,
    current="c",
    pending="p",
    journal=Journal(1, "r", base="c", pending="p"),
    claimed=1,
    proofs={"p": True},
    strict=frozenset({"p"}),
)
CONFIRMED = Observation(
    ALTERNATING,
    current="p",
    previous="c",
    journal=Journal(1, "r", base="c", confirmed="p", rotated_at=START - GRACE, retire_after=START),
    claimed=1,
)
STRANGER_DIED = "a stranger's credential was taken away"


def step(observation, wish=None, now=START):
    return next_step(observation, wish or Wish(), now, NORMAL)


@pytest.mark.parametrize("target", [None, "role/b"])
def test_a_rotation_under_way_at_another_target_than_the_policy_names_is_quarantined(target):
    away = replace(PROVEN, journal=replace(PROVEN.journal, target="role/a"))
    decision = step(away, Wish(target=target))
    assert isinstance(decision, Quarantine)
    assert "A rotation at role/a is under way" in decision.reason
    assert step(away, Wish(target="role/a")).kind is StepKind.PROMOTE


def test_a_version_that_was_promoted_at_another_target_is_not_confirmed():
    promoted = replace(PROVEN, current="p", pending=None, journal=replace(PROVEN.journal, target="role/a"))
    assert isinstance(step(promoted), Quarantine)
    assert step(promoted, Wish(target="role/a")).kind is StepKind.CONFIRM


def test_a_previous_version_that_was_removed_by_hand_does_not_tie_the_secret_to_a_target():
    removed = replace(CONFIRMED, kind=GENERATED, previous=None, claimed=None)
    tied = replace(removed, journal=replace(removed.journal, target="role/a", rotated_at=START - EVERY))
    coming = plan(tied, Wish(target="role/b"), START)
    assert StepKind.CONFIRM in {planned.step.kind for planned in coming.steps}
    assert isinstance(coming.ends, Done)


def test_a_target_that_is_named_another_way_between_two_rotations_is_the_new_one():
    rested = Observation(GENERATED, current="c", journal=Journal(1, target="role/a", rotated_at=START - EVERY))
    assert step(rested, Wish(target="role/b")).kind is StepKind.CLAIM


@pytest.mark.parametrize(("proofs", "kind"), [({}, StepKind.VERIFY), ({"c": True}, StepKind.FORGET)])
@pytest.mark.parametrize("now", [START - GRACE, START])
def test_a_previous_version_that_somebody_made_current_again_is_let_be(proofs, kind, now):
    assert step(replace(CONFIRMED, current="c", proofs=proofs), now=now).kind is kind


def after(kind, change, order, holds):
    """Let somebody make the change in every world of a rotation for which it can be; return how a run ends there."""
    search, alone = Search(Setting(kind, capacity=3), crashes=1), Search(Setting(kind, capacity=3), orders=(order,))
    search.run()
    changed = [change(search.setting, world) for world in search.cores() if holds(search.setting, world)]
    assert kind is TargetKind.SINGLE_SLOT or len(changed) > 3
    return [(world, alone.rest(world)) for world in changed]


def in_grace(setting, world):
    previous = world.store.previous
    return previous is not None and world.store.journal.retire_after and setting.accepts(world, previous)


def in_the_middle(_, world):
    return world.store.pending is not None


@pytest.mark.parametrize("kind", TargetKind)
def test_a_rotation_comes_to_rest_where_somebody_made_the_previous_version_current_again(kind):
    for world, rest in after(kind, restored, "rotate", in_grace):
        assert isinstance(rest.decision, Done)
        assert not rest.decision.problem
        assert rest.world.store[1:3] == (None, None)
        assert Setting(kind).accepts(rest.world, rest.world.store.current)
        due = world.clock >= 24
        assert due or rest.world.store.current == world.store.current


@pytest.mark.parametrize("kind", TargetKind)
def test_a_roll_back_after_an_outside_change_in_the_middle_ends_with_that_version_which_works(kind):
    outcomes = after(kind, rewritten, "roll-back", in_the_middle)
    assert outcomes
    for world, rest in outcomes:
        assert (type(rest.decision), rest.decision.problem) == (Done, False)
        assert rest.world.store[:3] == (world.store.current, None, None)
        assert Setting(kind).accepts(rest.world, world.store.current)
        assert not Setting(kind).accepts(rest.world, world.store.pending) or kind is GENERATED


@pytest.mark.parametrize("kind", TargetKind)
def test_an_outside_change_in_the_middle_stops_an_ordinary_run_which_says_what_to_order(kind):
    for world, rest in after(kind, rewritten, "rotate", in_the_middle):
        assert isinstance(rest.decision, Quarantine)
        assert "Order a roll-back of this secret" in rest.decision.reason
        assert (rest.world.store[:3], rest.world.alive) == (world.store[:3], world.alive)


@pytest.mark.parametrize("kind", TargetKind)
def test_a_roll_back_that_is_ordered_after_a_finished_one_finds_nothing_to_roll_back(kind):
    search = Search(Setting(kind), crashes=1, versions=1, orders=("rotate", "roll-back"))
    search.run()
    rested = [w for w in search.cores() if w.store.journal.rotated_at and not w.store.journal.under_way]
    assert rested
    for world in rested:
        rest = search.rest(world, "roll-back")
        assert (rest.world.store, rest.decision.problem) == (world.store, True)


def test_nothing_is_searched_for_after_the_target_refused_to_mint(monkeypatch):
    made_after = {"refusals": 1, "arrivals": 1, "arrives": while_nobody_runs}
    found = Search(Setting(MINT, capacity=3), **made_after).run()
    assert (found.broken, found.rests.keys()) == (Counter(), {"Done"})
    monkeypatch.setattr(journal, "refused", lambda kept: kept)
    assert STRANGER_DIED in Search(Setting(MINT, capacity=3), **made_after).run().broken


@pytest.mark.parametrize("capacity", [2, 3])
def test_a_strangers_key_that_is_made_long_after_an_intent_is_never_deleted(capacity):
    meanwhile = {"arrivals": 1, "arrives": long_after, "waits": 1, "refusals": 1, "crashes": 1}
    found = Search(Setting(MINT, capacity=capacity), **meanwhile).run()
    assert all(law.startswith("I3: quarantined") for law in found.broken)
    assert found.rests["Quarantine"]
    broken = Search(Setting(MINT, capacity=capacity), rule=reclaims_whenever_it_was_made, **meanwhile).run().broken
    assert STRANGER_DIED in broken


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (ALTERNATING, "claim stage cut apply"),
        (TargetKind.DUAL, "claim stage cut apply"),
        (MINT, "claim intend cut mint"),
        (TargetKind.SINGLE_SLOT, "claim stage cut apply"),
    ],
)
def test_current_is_cut_only_when_what_follows_is_written_down(kind, steps):
    words = Search(Setting(kind)).journey("emergency-outage").replace("verify ", "")
    assert words.removeprefix("survey ").startswith(steps)
