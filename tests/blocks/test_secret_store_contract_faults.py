"""What every secret store must withstand: repeats, faults at every remote call, other runs, old answers, races."""

from dataclasses import replace

import pytest
from support.stores.faults import FAULTS, Killed, cases, counted, disturbed, told
from support.stores.interface import intercept
from support.stores.world import CHAINS, undisturbed

from blocks.secret_stores.interface import SupersededError
from rules.errors import PermanentError, TemporaryError, VigilesError

ROTATION = (*CHAINS["forget"], "forget")
REPEATABLE = [step for step in CHAINS if step != "claim"]


# Repeats and superseded runs.


@pytest.mark.parametrize("step", REPEATABLE)
def test_a_write_that_is_repeated_word_for_word_changes_nothing(step, world):
    seen = world.before(step).state()
    world.call(step, world.store, seen)
    first = world.state()
    assert world.call(step, world.backend.make(), seen) == first == world.state()
    assert world.picture() == undisturbed(world, step)


def test_a_claim_that_is_repeated_word_for_word_is_refused(world):
    seen = world.before("claim").state()
    first = world.call("claim", world.store, seen)
    with pytest.raises(SupersededError):
        world.call("claim", world.backend.make(), seen)
    assert world.state() == first


@pytest.mark.parametrize("step", CHAINS)
def test_a_superseded_epoch_writes_nothing(step, world):
    seen = world.before(step).state()
    world.take("claim", world.backend.make())
    before, read = world.state(), world.consume()
    with pytest.raises(SupersededError) as caught:
        world.call(step, world.store, seen)
    assert (world.state(), world.consume()) == (before, read)
    assert caught.value.advice


@pytest.mark.parametrize("step", CHAINS)
def test_an_epoch_that_was_never_claimed_writes_nothing(step, world):
    seen = world.before(step).state()
    early, read = replace(seen, journal=replace(seen.journal, epoch=seen.journal.epoch + 1)), world.consume()
    with pytest.raises(SupersededError):
        world.call(step, world.store, early)
    assert (world.state().journal, world.consume()) == (seen.journal, read)


# A fault at every remote call of every write.


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", CHAINS)
def test_a_step_that_met_a_fault_can_be_repeated(step, fault, pair):
    expected = undisturbed(pair, step)
    for struck, error in cases(pair, step, FAULTS[fault]):
        assert isinstance(error, TemporaryError | Killed | None)
        assert not [value for value in (struck.old[1], struck.new[1]) if value in told(error)]
        assert struck.consume() in struck.allowed(step)
        struck.take(step, struck.backend.make())
        assert struck.picture() == expected


@pytest.mark.parametrize("step", ROTATION)
def test_another_run_can_go_on_where_one_was_killed(step, pair):
    expected = undisturbed(pair, "forget")
    for struck, _ in cases(pair, step, FAULTS["killed_after"]):
        for later in ROTATION if step == "claim" else ("claim", *ROTATION[ROTATION.index(step) :]):
            struck.take(later, struck.backend.make())
        picture = struck.picture()
        if step == "forget":
            # A claim after a finished rotation names the next.
            picture["journal"].pop("rotation_id", None)
            expected["journal"].pop("rotation_id", None)
        assert picture == expected


@pytest.mark.parametrize("step", CHAINS)
def test_consumers_read_a_whole_pair_before_and_after_every_call(step, pair):
    seen, read = pair.before(step).state(), []

    def act(_, request):
        read.append(pair.consume())
        answer = request()
        read.append(pair.consume())
        return answer

    pair.call(step, intercept(pair.backend.make(), act), seen)
    assert read
    assert set(read) <= set(pair.allowed(step))


# Errors that say nothing.


@pytest.mark.parametrize("step", CHAINS)
def test_a_throttled_write_asks_to_be_repeated_and_tells_no_value(step, pair):
    for struck, error in cases(pair, step, FAULTS["throttled"]):
        assert isinstance(error, TemporaryError)
        assert error.advice
        assert not [value for value in (struck.old[1], struck.new[1]) if value in told(error)]


@pytest.mark.parametrize("step", CHAINS)
def test_an_error_that_a_client_fills_with_values_is_told_without_them(step, pair):
    canary = "canary-5f1d9f0c77"
    for number in range(len(counted(pair, step))):

        def leaking(_):
            raise RuntimeError(canary) from ValueError(canary)

        error = disturbed(pair.again(), step, number, leaking)
        assert isinstance(error, VigilesError)
        assert canary not in told(error)


@pytest.mark.parametrize("step", CHAINS)
def test_no_name_of_a_remote_call_holds_a_value(step, pair):
    calls = " ".join(counted(pair, step))
    assert calls
    assert pair.old[1] not in calls
    assert pair.new[1] not in calls


def test_a_refusal_holds_no_value(pair):
    state = pair.after("stage")
    pair.put(pair.fresh("other"))
    with pytest.raises(PermanentError) as refused:
        pair.take("promote")
    with pytest.raises(VigilesError) as gone:
        pair.store.reveal(pair.address, "0" * 16)
    said = told(refused.value) + told(gone.value) + repr(state)
    assert not [value for value in (pair.old[1], pair.new[1], pair.consume()[1]) if value in said]
