"""What every secret store must do, step by step, held against each of them and against the simulator alike."""

from dataclasses import replace

import pytest
from support.stores.faults import refusal
from support.stores.world import CHAINS, GRACE, NOW

from blocks.secret_stores.interface import StoreState, SupersededError, VersionGoneError
from rules.errors import PermanentError
from rules.rotation import Journal, StepKind
from rules.rotation.journal import claimed, staged

LIVE = tuple(f"{n:08x}-aaaa-bbbb-cccc-0123456789ab" for n in range(5))
FULL = {
    "rotation_id": "r/2026-03-01T00:00:00+00:00",
    "base": "0123456789abcdef",
    "pending": "fedcba9876543210",
    "attempt": 3,
    "confirmed": "00112233-4455-6677-8899-aabbccddeeff",
    "rotated_at": NOW,
    "retire_after": NOW + GRACE,
    "intent_at": NOW - GRACE,
    "live": LIVE,
}


# Reading.


def test_a_secret_that_is_not_there_has_no_versions_or_is_refused_clearly(world):
    if error := refusal(world.state):
        assert error.advice
        assert not world.backend.creates
    else:
        assert world.state() == StoreState(None, None, None, Journal())


def test_a_secret_that_was_set_outside_is_current(world):
    world.put(world.old)
    state = world.store.observe(world.address)
    revealed = world.store.reveal(world.address, state.current)
    assert (revealed.username, revealed.password.get_secret_value()) == world.old
    assert (state.pending, state.previous, state.journal) == (None, None, Journal())


def test_observing_writes_nothing(world):
    world.before("stage")
    around, first = world.surroundings(), world.state()
    assert world.state() == first
    assert (world.surroundings(), world.consume()) == (around, world.old)


def test_preflight_passes_and_writes_nothing(world):
    world.before("promote")
    before = world.state()
    world.store.preflight(world.address)
    assert (world.state(), world.consume()) == (before, world.old)


def test_preflight_passes_before_anything_was_ever_claimed(world):
    world.put(world.old)
    world.store.preflight(world.address)
    assert (world.state().journal, world.consume()) == (Journal(), world.old)


def test_permissions_name_an_action_for_every_writing_step(world):
    world.put(world.old)
    permissions = world.store.permissions(world.address)
    steps = {step for permission in permissions for step in permission.steps}
    assert {StepKind.CLAIM, StepKind.STAGE, StepKind.PROMOTE, StepKind.CONFIRM, StepKind.FORGET} <= steps
    assert all(permission.action and permission.resource for permission in permissions)
    assert False not in {permission.granted for permission in permissions}


def test_asking_for_permissions_changes_nothing(world):
    before = world.after("stage")
    world.store.permissions(world.address)
    assert (world.state(), world.consume()) == (before, world.old)


def test_a_store_says_what_fences_it_and_what_it_may_spend(backend):
    store = backend.make()
    assert store.fencing.endswith(".")
    assert store.quota.name
    assert store.quota.writes >= 4
    assert store.quota.concurrency >= 1


@pytest.mark.parametrize("step", CHAINS)
def test_versions_have_the_same_ids_in_every_process(step, world):
    state = world.after(step)
    assert world.state() == world.store.observe(world.address) == state


@pytest.mark.parametrize("step", CHAINS)
def test_a_write_returns_what_is_observed_after_it(step, world):
    assert world.before(step).take(step) == world.state()


def test_another_value_outside_is_another_version(world):
    before = world.after("confirm")
    world.put(world.fresh("other"))
    after = world.state()
    assert after.current not in {before.current, None}
    assert after.journal.confirmed == before.current


def test_a_value_that_was_set_outside_is_revealed(world):
    world.after("confirm")
    other = world.fresh("other")
    world.put(other)
    assert world.value(world.state().current) == world.consume() == other


@pytest.mark.parametrize("step", CHAINS)
def test_the_current_version_is_what_consumers_read(step, world):
    state = world.after(step)
    assert world.value(state.current) == world.consume()


def test_an_unknown_version_cannot_be_revealed(world):
    world.after("stage")
    with pytest.raises(VersionGoneError):
        world.store.reveal(world.address, "0" * 16)


def test_no_version_shows_its_value(world):
    state = world.after("promote")
    revealed = [world.store.reveal(world.address, version) for version in (state.current, state.previous)]
    said = repr(revealed) + str(revealed) + repr(state)
    assert not [value for value in (world.old[1], world.new[1]) if value in said]


def test_two_secrets_do_not_touch_one_another(world):
    other = world.again()
    other.put(other.old)
    world.after("confirm")
    assert replace(other.state(), current=None) == StoreState(None, None, None, Journal())
    assert (other.consume(), world.consume()) == (other.old, world.new)


# Claiming and the journal.


def test_a_claim_counts_the_epoch_and_names_the_rotation(world):
    world.put(world.old)
    first = world.take("claim")
    second = world.store.claim(world.address, first, claimed(first.journal, "rotation-2"))
    assert (first.journal.epoch, second.journal.epoch) == (1, 2)
    assert world.state().journal.rotation_id == "rotation-2"


@pytest.mark.parametrize("epoch", [0, 2, 7])
def test_a_claim_of_another_epoch_is_refused(epoch, world):
    state = world.after("claim")
    seen = replace(state, journal=replace(state.journal, epoch=epoch))
    with pytest.raises(SupersededError):
        world.store.claim(world.address, seen, claimed(seen.journal, "thief"))
    assert world.state() == state


def test_a_claim_on_the_ground_of_an_older_journal_is_refused(world):
    seen = world.after("claim")
    world.take("stage")
    before = world.state()
    with pytest.raises(SupersededError):
        world.call("claim", world.store, seen)
    assert (world.state(), world.consume()) == (before, world.old)


def test_two_secrets_have_their_own_epochs(world):
    other = world.again()
    other.put(other.old)
    world.after("claim")
    assert (world.state().journal.epoch, other.state().journal.epoch) == (1, 0)


@pytest.mark.parametrize("step", ["stage", "promote", "confirm"])
def test_a_claim_keeps_every_version(step, world):
    before = world.after(step)
    after = world.take("claim")
    assert replace(after, journal=before.journal) == before
    assert after.journal.epoch == before.journal.epoch + 1


def test_a_claim_writes_the_whole_journal_that_it_is_given(world):
    state = world.after("claim")
    journal = Journal(epoch=2, **FULL)
    world.store.claim(world.address, state, journal)
    assert world.state().journal == journal


@pytest.mark.parametrize("name", FULL)
def test_each_field_of_the_journal_survives(name, world):
    state = world.after("claim")
    journal = replace(state.journal, **{name: FULL[name]})
    world.store.record(world.address, journal)
    assert world.state().journal == journal


def test_recording_replaces_what_was_recorded_before(world):
    state = world.after("claim")
    world.store.record(world.address, Journal(epoch=1, **FULL))
    world.store.record(world.address, state.journal)
    assert world.state() == state


def test_recording_leaves_versions_and_surroundings_alone(world):
    before = world.after("stage")
    around = world.surroundings()
    after = world.store.record(world.address, replace(before.journal, live=LIVE, intent_at=NOW))
    assert replace(after, journal=before.journal) == before
    assert (world.consume(), world.surroundings()) == (world.old, around)


# Staging.


def test_a_staged_version_is_invisible_to_consumers(world):
    state = world.after("stage")
    assert world.consume() == world.value(state.current) == world.old
    assert world.value(state.pending) == world.new
    assert (state.journal.pending, state.journal.base, state.previous) == (state.pending, state.current, None)


def test_staging_notes_the_version_in_the_journal_and_nothing_else(world):
    before = world.before("stage").state()
    after = world.take("stage")
    assert after.journal == staged(before.journal, after.pending, before.current)


def test_staging_again_keeps_the_pending_version(world):
    first = world.after("stage")
    assert world.stage(world.fresh("newer")) == first == world.state()
    assert world.value(first.pending) == world.new


def test_an_empty_value_is_not_staged(world):
    state = world.after("claim")
    with pytest.raises(PermanentError):
        world.stage((world.new[0], ""))
    assert (world.state(), world.consume()) == (state, world.old)


def test_a_first_version_is_made_or_refused_clearly(world):
    if error := refusal(lambda: (world.take("claim"), world.take("stage"))):
        assert error.advice
        assert not world.backend.creates
        assert world.consume() is None
        return
    assert world.consume() is None
    world.take("promote")
    assert world.backend.creates
    assert world.consume() == world.new


def test_a_first_version_has_no_previous_one(world):
    if not world.backend.creates:
        pytest.skip(f"not applicable: {world.backend.name} makes no first version")
    state = world.rotate(world.new)
    assert (state.previous, state.pending, state.journal.confirmed) == (None, None, state.current)
    assert world.state() == state
