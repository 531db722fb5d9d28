"""What every secret store must withstand from outside: other runs, old answers, races, deletion, missing rights."""

import threading

import pytest
from pydantic import SecretStr
from support.stores.faults import Memory, counted, disturbed, failure, refusal
from support.stores.interface import intercept
from support.stores.world import CHAINS, GRACE, undisturbed

from blocks.secret_stores.interface import DeniedError
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import StepKind


@pytest.mark.parametrize("step", [step for step in CHAINS if CHAINS[step]])
def test_an_old_answer_is_noticed_or_harmless(step, pair):
    expected, reads, number = undisturbed(pair, step), 1, 0
    while number < reads:
        world, memory = pair.again(), Memory(pair.backend)
        store = memory.watch(world.backend.make())
        world.before(CHAINS[step][-1])
        store.observe(world.address)
        world.take(CHAINS[step][-1])
        memory.grow_old()
        seen = world.state()
        memory.strike(range(number, number + 1))
        try:
            world.call(step, store, seen)
        except VigilesError:
            assert world.consume() in world.allowed(step)
            world.take(step)
        reads, number = max(memory.reads, 1), number + 1
        assert world.consume() in world.allowed(step)
        assert world.picture() == expected


def applicable(world, *reasons):
    """Skip a test with the backend's own reason, if it names one."""
    for reason in filter(None, reasons):
        pytest.skip(f"not applicable to {world.backend.name}: {reason}")


@pytest.mark.parametrize("step", CHAINS)
def test_a_superseded_run_that_reads_only_old_answers_writes_nothing(step, pair):
    applicable(pair, pair.backend.no_races, step == "promote" and pair.backend.no_fence)
    memory = Memory(pair.backend)
    store = memory.watch(pair.backend.make())
    pair.before(step)
    seen = store.observe(pair.address)
    pair.take("claim", pair.backend.make())
    before = pair.state()
    memory.grow_old()
    memory.strike(range(100))
    with pytest.raises(VigilesError):
        pair.call(step, store, seen)
    assert (pair.state(), pair.consume()) == (before, pair.value(before.current))


@pytest.mark.parametrize("step", CHAINS)
def test_a_claim_between_the_calls_of_a_write_is_never_undone(step, pair):
    applicable(pair, pair.backend.no_interleaving, pair.backend.no_races)
    expected = undisturbed(pair, step)
    for number in range(len(counted(pair, step))):
        world, holders = pair.again(), []

        def overtaken(request, world=world, holders=holders):
            holders.append(world.take("claim", world.backend.make()))
            return request()

        error = disturbed(world, step, number, overtaken)
        assert isinstance(error, VigilesError | None)
        assert world.state().journal.epoch == holders[0].journal.epoch
        assert world.consume() in world.allowed(step)
        world.take(step, world.backend.make())
        # A claim after a finished discard begins to count anew, and one after a finished rotation names the next.
        picture = world.picture()
        anew = {"discard": "attempt", "forget": "rotation_id"}.get(step)
        if anew is not None:
            picture["journal"].pop(anew, None)
            expected["journal"].pop(anew, None)
        assert picture == expected


def test_a_promotion_that_was_overtaken_by_a_claim_and_a_discard_has_no_effect(pair):
    applicable(pair, pair.backend.no_interleaving, pair.backend.no_fence)
    for number in range(len(counted(pair, "promote"))):
        world = pair.again()

        def overtaken(request, world=world):
            world.take("claim", world.backend.make())
            world.take("discard", world.backend.make())
            return request()

        error = disturbed(world, "promote", number, overtaken)
        assert isinstance(error, VigilesError)
        assert world.consume() == world.old
        assert world.state().pending is None


def test_a_promotion_between_the_calls_of_a_claim_counts_or_is_refused(pair):
    applicable(pair, pair.backend.no_interleaving, pair.backend.no_races)
    expected, calls = undisturbed(pair, "forget"), pair.again()
    for number in range(len(counted(calls, "claim", calls.after("stage")))):
        world, refused = pair.again(), []
        seen = world.after("stage")

        def overtaken(request, world=world, seen=seen, refused=refused):
            refused.append(failure(lambda: world.call("promote", world.backend.make(), seen)))
            return request()

        error = disturbed(world, "claim", number, overtaken, seen)
        assert isinstance(error, VigilesError | None)
        assert world.consume() == (world.old if refused[0] else world.new)
        [world.take(step, world.backend.make()) for step in ("claim", "promote", "confirm", "forget")]
        assert world.picture() == expected


def raced(world, work, runners):
    """Let threads do the same at the same moment; return the error of each, or None."""
    barrier, outcomes = threading.Barrier(runners), []

    def run():
        store = world.backend.make()
        barrier.wait()
        outcomes.append(failure(lambda: work(store)))

    threads = [threading.Thread(target=run) for _ in range(runners)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return outcomes


def test_of_claims_at_the_same_moment_exactly_one_wins(world):
    applicable(world, world.backend.no_races)
    world.put(world.old)
    for epoch in (1, 2, 3):
        seen = world.state()
        outcomes = raced(world, lambda store, seen=seen: world.call("claim", store, seen), 3)
        assert sorted(type(error).__name__ for error in outcomes) == ["NoneType", "SupersededError", "SupersededError"]
        assert world.state().journal.epoch == epoch


def test_promotions_at_the_same_moment_leave_one_result(world):
    seen = world.after("stage")
    outcomes = raced(world, lambda store: world.call("promote", store, seen), 2)
    assert None in outcomes
    assert world.picture() == undisturbed(world, "promote")


def test_many_rotations_neither_wedge_nor_pile_up(pair):
    pair.put(pair.old)
    last = pair.old
    for number in range(12):
        displaced, last = last, pair.fresh(f"v{number}")
        state = pair.rotate(last, GRACE)
        assert (pair.consume(), pair.value(state.previous)) == (last, displaced)
        pair.take("forget")
        pair._seen = None
    assert (pair.state().previous, pair.consume()) == (None, last)
    if pair.backend.kept_at_most is not None:
        assert pair.backend.versions_kept(pair.address) <= pair.backend.kept_at_most


# A secret or a right that is missing.


def test_a_deleted_secret_is_refused_clearly_or_seen_as_none(world):
    world.after("stage")
    world.backend.remove(world.address)
    if error := refusal(world.state):
        assert error.advice
        assert not isinstance(error, DeniedError)
    else:
        assert world.state().current is None


@pytest.mark.parametrize("step", ["promote", "confirm"])
def test_nothing_is_promoted_or_confirmed_over_a_deleted_secret(step, world):
    seen = world.before(step).state()
    world.backend.remove(world.address)
    with pytest.raises(PermanentError):
        world.call(step, world.store, seen)
    assert world.consume() is None


def test_a_secret_that_was_restored_goes_on(world):
    if not world.backend.restores:
        pytest.skip(f"not applicable: {world.backend.name} deletes for good")
    before = world.after("stage")
    world.backend.remove(world.address)
    world.backend.restore(world.address)
    assert world.state() == before
    world.take("promote")
    assert world.picture() == undisturbed(world, "promote")


@pytest.mark.parametrize("call", ["observe", "preflight", "claim", "stage"])
def test_a_credential_without_rights_is_told_so(call, world):
    store, seen = world.backend.denied(), world.after("claim")
    if store is None:
        pytest.skip(f"not applicable: {world.backend.name} knows no rights")
    calls = {
        "observe": lambda: store.observe(world.address),
        "preflight": lambda: store.preflight(world.address),
        "claim": lambda: world.call("claim", store, seen),
        "stage": lambda: store.stage(world.address, seen.journal, world.new[0], SecretStr(world.new[1])),
    }
    with pytest.raises(DeniedError) as caught:
        calls[call]()
    assert caught.value.advice
    assert world.state() == seen


def test_permissions_of_a_credential_without_rights_claim_none(world):
    store = world.backend.denied()
    if store is None:
        pytest.skip(f"not applicable: {world.backend.name} knows no rights")
    world.put(world.old)
    try:
        granted = [p for p in store.permissions(world.address) if p.granted and StepKind.PROMOTE in p.steps]
    except DeniedError:
        granted = []
    assert granted == []


def test_a_lost_answer_of_a_read_is_temporary(world):
    world.after("stage")

    def lost(_, request):
        request()
        raise world.backend.timeout()

    with pytest.raises(TemporaryError):
        intercept(world.backend.make(), lost).observe(world.address)
