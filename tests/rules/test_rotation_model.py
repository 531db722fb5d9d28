"""The model search: what holds in every world that calls, crashes and other runs can lead to, and what cannot hold."""

import sys
from collections import Counter

import pytest
from support.rotation_model import LIMITS, holding, row
from support.rotation_rule_mutants import MUTANTS
from support.rotation_search import CHECKED, Search
from support.rotation_world import ALTERNATING, DUAL, GENERATED, MINT, SINGLE, Setting

from rules.rotation import Done, Quarantine, TargetKind

pytestmark = pytest.mark.unmeasured

CASES = list(holding())
TARGETS = [ALTERNATING, DUAL, MINT, SINGLE]


def laws(search):
    return {law.split(":")[0] for law in search.run().broken}


@pytest.mark.parametrize(("kind", "name", "search"), CASES, ids=[f"{kind}: {name}" for kind, name, _ in CASES])
def test_every_law_holds_in_every_world(kind, name, search):
    line, found = row(kind, name, search)
    sys.stdout.write(f"{line}\n")
    assert found.broken == Counter()
    assert found.rests.keys() == {"Done"}
    assert 250 < found.states < search.most


@pytest.mark.parametrize(("mutant", "kind", "law"), MUTANTS, ids=[f"{m.__name__} {law}" for m, _, law in MUTANTS])
def test_the_search_finds_what_is_wrong_with_broken_rules(mutant, kind, law):
    strangers = ("s",) if law.startswith("a stranger") else ()
    setting = Setting(kind, capacity=2 + len(strangers), strangers=strangers)
    found = Search(setting, crashes=1, rule=mutant, most=1000).run()
    assert any(broken.startswith(law) for broken in found.broken)


def test_a_full_target_with_a_strangers_key_is_left_as_it_is_and_said():
    search = Search(Setting(MINT, strangers=("s",)), crashes=2)
    assert laws(search) == {"I3"}
    assert all(isinstance(rest.decision, Quarantine) for rest in search.rests.values())
    assert all("Delete one that nobody uses." in rest.decision.reason for rest in search.rests.values())


def test_a_strangers_key_that_is_used_stops_a_rotation_and_survives():
    search = Search(Setting(MINT, capacity=3, tells_use=True), crashes=2, arrivals=1)
    assert laws(search) == {"I3"}
    assert {type(rest.decision) for rest in search.rests.values()} == {Done, Quarantine}


def test_a_strangers_key_that_is_made_during_a_rotation_and_never_used_cannot_be_told_from_ours():
    search = Search(Setting(MINT, capacity=3), arrivals=1)
    assert laws(search) == {"I2", "a stranger's credential was taken away"}


def test_a_value_that_is_always_refused_is_given_up_after_four():
    for kind in (ALTERNATING, DUAL, SINGLE):
        search = Search(Setting(kind, rejects=9))
        rest = search.rest(search.first)
        assert "refused 4 generated values" in rest.decision.reason
        assert rest.world.store.current in rest.world.alive


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (GENERATED, set()),
        (ALTERNATING, {"I1", "I2", "I3", "I5"}),
        (DUAL, {"I2", "I3", "I5"}),
        (MINT, {"I2", "I3", "I5"}),
        (SINGLE, {"I1", "I2", "I3", "I5"}),
    ],
)
def test_a_call_that_the_target_gets_after_the_lease_was_lost_cannot_be_fenced(kind, broken):
    (search,) = [make(kind) for name, make in LIMITS.items() if "between its check and the call" in name]
    assert laws(search) == broken


@pytest.mark.parametrize("kind", TARGETS)
def test_without_a_lease_a_store_that_compares_does_not_suffice(kind):
    (search,) = [make(kind) for name, make in LIMITS.items() if "a store that compares" in name]
    assert "I5" in laws(search)


@pytest.mark.parametrize("kind", TARGETS)
def test_without_a_lease_a_store_where_the_last_writer_wins_lets_two_runs_hold_one_epoch(kind):
    (search,) = [make(kind) for name, make in LIMITS.items() if "no lease, last writer" in name]
    assert {"I1", "I4"} <= laws(search)


@pytest.mark.parametrize("kind", TargetKind)
def test_a_claim_that_compares_the_epoch_only_can_wedge_a_secret(kind):
    search = Search(
        Setting(kind, claims_what_was_seen=False), runners=2, losses=1, lease=CHECKED, versions=1, most=4000
    )
    assert laws(search) == {"I3"}
    (wedged, *_) = [rest for rest in search.rests.values() if rest.decision is None]
    assert search.setting.accepts(wedged.world, wedged.world.store.current)


def ordered(kind, order, *, hours=0):
    """Give the order in every world of one rotation with a crash; return each with where it rests."""
    search = Search(Setting(kind), crashes=1, versions=1)
    search.run()
    alone = Search(Setting(kind), orders=(order,))
    worlds = [world._replace(clock=world.clock + hours) for world in search.cores()]
    return search.first.store.current, [(world, alone.rest(world)) for world in worlds]


@pytest.mark.parametrize("kind", TargetKind)
def test_a_roll_back_at_any_time_brings_the_old_version_back_or_is_refused(kind):
    old, outcomes = ordered(kind, "roll-back")
    for world, rest in outcomes:
        assert rest.broke == ""
        taken_back = rest.world.store.current == old
        assert taken_back or rest.decision.problem
        under_way = world.store.pending is not None or world.store.previous is not None
        possible = under_way and Setting(kind).accepts(world, old) and old in world.store[:3]
        if possible:
            assert (taken_back, rest.decision.problem) == (True, False)
    assert {rest.world.store.current == old for _, rest in outcomes} == {True, False}


@pytest.mark.parametrize("kind", TargetKind)
def test_after_a_roll_back_the_ordinary_run_comes_to_rest(kind):
    search = Search(Setting(kind))
    for _, rest in ordered(kind, "roll-back")[1]:
        after = search.rest(rest.world)
        assert (after.broke, type(after.decision)) == ("", Done)


@pytest.mark.parametrize("order", ["emergency", "emergency-outage"])
@pytest.mark.parametrize("kind", TargetKind)
def test_an_emergency_at_any_time_leaves_nothing_but_a_new_current_version(kind, order):
    for world, rest in ordered(kind, order, hours=2)[1]:
        assert rest.broke == ""
        assert isinstance(rest.decision, Done)
        before = {world.store.current, world.store.pending}
        assert before.isdisjoint({*rest.world.store[:3], *Setting(kind).living(rest.world)} - {None})


@pytest.mark.parametrize("order", ["emergency", "emergency-outage"])
@pytest.mark.parametrize("capacity", [2, 3])
def test_an_emergency_revokes_the_keys_of_strangers_before_where_they_are_in_the_way(order, capacity):
    search = Search(Setting(MINT, capacity=capacity, strangers=("s",)), orders=(order,), crashes=1)
    found = search.run()
    first = search.rest(search.first)
    assert (first.broke, [key.id for key in first.world.keys]) == ("", ["k1"])
    assert found.broken == Counter()


@pytest.mark.parametrize("kind", TARGETS)
def test_an_accepted_outage_that_a_crash_cuts_short_ends_with_the_next_such_order(kind):
    search = Search(Setting(kind), crashes=2, versions=1, orders=("emergency-outage",))
    assert laws(search) == set()
    assert any(not search.setting.accepts(world, world.store.current) for world in search.parents)


@pytest.mark.parametrize("kind", TARGETS)
def test_an_outage_that_nobody_accepts_any_more_is_never_made_worse(kind):
    search = Search(Setting(kind), crashes=1, versions=1, orders=("emergency-outage",))
    search.run()
    ordinary = Search(Setting(kind), orders=("rotate",))
    cut = [world for world in search.cores() if not search.setting.accepts(world, world.store.current)]
    assert cut
    for world in cut:
        rest = ordinary.rest(world)
        recovered = search.setting.accepts(rest.world, rest.world.store.current)
        assert recovered or rest.world.alive == world.alive
        assert rest.world.store.current in (world.store.current, world.store.pending)
