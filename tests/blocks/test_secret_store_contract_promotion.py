"""What every secret store must do from the promotion on: to confirm, to discard, to forget, to go back."""

from datetime import timedelta

import pytest
from support.stores.world import GRACE, NOW

from blocks.secret_stores.interface import ConflictError, VersionGoneError
from rules.rotation.journal import confirmed, discarded, forgotten

# Promoting.


def test_a_promoted_version_is_what_consumers_read(world):
    state = world.after("promote")
    assert world.consume() == world.value(state.current) == world.new
    assert state.current == state.pending == state.journal.pending


def test_a_promotion_keeps_the_displaced_version(world):
    before = world.before("promote").state()
    after = world.take("promote")
    assert after.previous == before.current
    assert world.value(after.previous) == world.old


def test_a_promotion_changes_nothing_around_the_secret(world):
    world.before("promote")
    around = world.surroundings()
    world.take("promote")
    assert world.surroundings() == around


def test_a_promotion_leaves_other_secrets_alone(world):
    other = world.again()
    other.put(other.old)
    world.after("promote")
    assert (other.consume(), world.consume()) == (other.old, world.new)


def test_a_promotion_over_another_current_version_is_refused(world):
    seen = world.after("stage")
    other = world.fresh("other")
    world.put(other)
    with pytest.raises(ConflictError):
        world.call("promote", world.store, seen)
    assert world.consume() == other


def test_a_promotion_over_what_was_changed_since_staging_is_refused_even_if_observed(world):
    world.after("stage")
    other = world.fresh("other")
    world.put(other)
    with pytest.raises(ConflictError):
        world.take("promote")
    assert world.consume() == other


def test_a_promotion_of_an_unknown_version_is_refused(world):
    state = world.after("stage")
    with pytest.raises(ConflictError):
        world.store.promote(world.address, state.journal, "0" * 16, state.current)
    assert (world.state(), world.consume()) == (state, world.old)


def test_a_promotion_of_nothing_staged_is_refused(world):
    state = world.after("claim")
    with pytest.raises(ConflictError):
        world.store.promote(world.address, state.journal, "0" * 16, state.current)
    assert (world.state(), world.consume()) == (state, world.old)


# Confirming.


def test_a_confirmed_version_has_its_times_written_down(world):
    state = world.after("confirm")
    assert (state.pending, state.journal.pending, state.journal.confirmed) == (None, None, state.current)
    assert (state.journal.rotated_at, state.journal.retire_after) == (NOW, NOW + GRACE)
    assert (world.consume(), world.value(state.previous)) == (world.new, world.old)


def test_confirming_again_keeps_the_first_times(world):
    state = world.after("confirm")
    later = confirmed(state.journal, state.current, NOW + timedelta(days=1), GRACE)
    world.store.confirm(world.address, later)
    assert world.state() == state


def test_confirming_what_was_not_promoted_is_refused(world):
    state = world.after("stage")
    with pytest.raises(ConflictError):
        world.take("confirm")
    assert (world.state(), world.consume()) == (state, world.old)


def test_confirming_where_nothing_was_staged_is_refused(world):
    state = world.after("claim")
    with pytest.raises(ConflictError):
        world.take("confirm")
    assert world.state() == state


def test_confirming_what_was_changed_since_the_promotion_is_refused(world):
    world.after("promote")
    other = world.fresh("other")
    world.put(other)
    with pytest.raises(ConflictError):
        world.take("confirm")
    assert world.consume() == other


def test_confirming_without_a_grace_keeps_no_previous_version(world):
    state = world.after("promote")
    world.store.confirm(world.address, confirmed(state.journal, state.current, NOW, None))
    after = world.state()
    assert (after.previous, after.journal.retire_after) == (None, None)
    assert world.consume() == world.new


# Discarding.


def test_a_discarded_version_is_gone_and_the_current_one_stays(world):
    staging = world.after("stage")
    world.take("discard")
    state = world.state()
    assert (state.current, state.pending, state.previous) == (staging.current, None, None)
    assert (state.journal.pending, state.journal.base, state.journal.attempt) == (None, None, 1)
    assert world.consume() == world.old
    with pytest.raises(VersionGoneError):
        world.store.reveal(world.address, staging.pending)


def test_discarding_a_promoted_version_is_refused(world):
    state = world.after("promote")
    with pytest.raises(ConflictError):
        world.store.discard(world.address, discarded(state.journal), state.pending)
    assert (world.state(), world.consume()) == (state, world.new)


def test_discarding_another_version_is_refused(world):
    state = world.after("stage")
    with pytest.raises(ConflictError):
        world.store.discard(world.address, discarded(state.journal), "0" * 16)
    assert world.state() == state


def test_staging_after_a_discard_makes_another_version(world):
    first = world.after("stage").pending
    world.take("discard")
    state = world.stage(world.fresh("newer"))
    assert state.pending not in {first, None}
    assert state.journal.attempt == 1
    assert world.consume() == world.old


# Forgetting, and going back.


def test_a_forgotten_version_is_gone(world):
    before = world.after("confirm")
    after = world.take("forget")
    assert (after.previous, after.journal) == (None, forgotten(before.journal))
    assert world.state() == after
    with pytest.raises(VersionGoneError):
        world.store.reveal(world.address, before.previous)


def test_forgetting_leaves_consumers_and_surroundings_alone(world):
    world.after("confirm")
    around = world.surroundings()
    world.take("forget")
    assert (world.consume(), world.surroundings()) == (world.new, around)


def test_forgetting_another_version_is_refused(world):
    state = world.after("confirm")
    with pytest.raises(ConflictError):
        world.store.forget(world.address, forgotten(state.journal), state.current)
    assert (world.state(), world.consume()) == (state, world.new)


def test_staging_the_previous_pair_again_rolls_back(world):
    displaced = world.after("confirm").current
    world.rotate(world.old, GRACE)
    state = world.state()
    assert world.consume() == world.value(state.current) == world.old
    assert (state.previous, world.value(state.previous)) == (displaced, world.new)


def test_rotations_follow_one_another(world):
    world.after("forget")
    newest = world.fresh("newest")
    state = world.rotate(newest, GRACE)
    assert (world.consume(), world.value(state.previous)) == (newest, world.new)


def test_a_rotation_without_forgetting_first_keeps_only_the_last_displaced_version(world):
    first = world.after("confirm").previous
    state = world.rotate(world.fresh("newest"), GRACE)
    assert world.value(state.previous) == world.new
    with pytest.raises(VersionGoneError):
        world.store.reveal(world.address, first)
