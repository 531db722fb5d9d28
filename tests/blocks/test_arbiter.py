"""Who may claim an epoch, held against the session's real Prefect server."""

import contextvars
import threading
import uuid
from datetime import timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks.secret_stores.azure import arbiter as module
from blocks.secret_stores.azure.arbiter import PrefectArbiter
from blocks.secret_stores.interface import DeniedError, ThrottledError
from rules.errors import PermanentError, TemporaryError

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture
def name():
    return f"https://double.vault.azure.net/{uuid.uuid4().hex}"


@pytest.fixture
def impatient(monkeypatch):
    # The server dates its answers in whole seconds, so that a claim may seem to come from the future.
    monkeypatch.setattr(module, "TAKE_OVER_AFTER", timedelta(seconds=-2))


def variable(name, epoch):
    with get_client(sync_client=True) as client:
        return client.read_variable_by_name(module._variable(name, epoch))


def raced(claimants, name, epoch):
    barrier, turns = threading.Barrier(len(claimants)), []

    def claim(arbiter):
        barrier.wait()
        turns.append(arbiter.claim_once(name, epoch))

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(claim, arbiter)) for arbiter in claimants]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sorted(turns)


def test_one_claimant_gets_an_epoch_and_the_other_does_not(name):
    assert PrefectArbiter().claim_once(name, 1) == 1
    assert PrefectArbiter().claim_once(name, 1) == 0
    assert PrefectArbiter().claim_once(name, 2) == 1


def test_asking_again_for_what_one_has_is_a_yes(name):
    arbiter = PrefectArbiter()
    assert [arbiter.claim_once(name, 1) for _ in range(3)] == [1, 1, 1]


def test_a_variable_says_nothing_of_the_secret(name):
    PrefectArbiter().claim_once(name, 1)
    made = variable(name, 1)
    assert name not in f"{made.name} {made.value}"
    assert made.tags == ["vigiles"]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_of_claims_at_the_same_moment_exactly_one_wins(name, epoch):
    assert raced([PrefectArbiter() for _ in range(4)], name, epoch) == [0, 0, 0, 1]


def test_an_old_claim_is_taken_over_in_a_later_turn(name, impatient):
    first, second = PrefectArbiter(), PrefectArbiter()
    assert [first.claim_once(name, 1), second.claim_once(name, 1)] == [1, 2]
    assert variable(name, 1).value.endswith("/2")


def test_a_young_claim_is_not_taken_over(name):
    PrefectArbiter().claim_once(name, 1)
    before = variable(name, 1)
    assert PrefectArbiter().claim_once(name, 1) == 0
    assert variable(name, 1) == before


def test_of_two_that_see_the_same_old_claim_one_takes_it_over(name, monkeypatch):
    PrefectArbiter().claim_once(name, 1)
    barrier = threading.Barrier(2)

    def is_old(server, claim, now):
        # Both have read the very same variable; which of them deletes it is the server's to say.
        barrier.wait()
        return True

    monkeypatch.setattr(module, "_is_old", is_old)
    assert raced([PrefectArbiter(), PrefectArbiter()], name, 1) == [0, 2]


def test_the_claim_of_a_flow_run_that_has_ended_is_taken_over_at_once(name):
    @flow
    def claiming(arbiter):
        turns = arbiter.claim_once(name, 1), PrefectArbiter().claim_once(name, 1)
        return list(turns)

    assert claiming(PrefectArbiter()) == [1, 0]
    assert PrefectArbiter().claim_once(name, 1) == 2


def test_a_written_claim_is_not_taken_over(name, impatient):
    arbiter = PrefectArbiter()
    arbiter.claim_once(name, 1)
    arbiter.release(name, 1)
    assert variable(name, 1).value == "written"
    assert [PrefectArbiter().claim_once(name, 1), arbiter.claim_once(name, 1)] == [0, 0]


def test_what_remains_of_a_record_that_was_deleted_does_not_wedge_the_next_one(name, monkeypatch):
    arbiter = PrefectArbiter()
    arbiter.claim_once(name, 1)
    arbiter.release(name, 1)
    monkeypatch.setattr(module, "TAKE_OVER_WRITTEN_AFTER", timedelta(seconds=-2))
    assert PrefectArbiter().claim_once(name, 1) == 1


def test_releasing_drops_the_epochs_before(name):
    arbiter = PrefectArbiter()
    for epoch in (1, 2, 3):
        arbiter.claim_once(name, epoch)
    arbiter.release(name, 3)
    arbiter.release(name, 3)
    assert [variable(name, epoch) is not None for epoch in (1, 2, 3)] == [False, False, True]


def test_what_is_withdrawn_can_be_claimed_and_nobody_elses_is(name):
    first, second = PrefectArbiter(), PrefectArbiter()
    first.claim_once(name, 1)
    second.withdraw(name, 1)
    assert second.claim_once(name, 1) == 0
    first.withdraw(name, 1)
    assert second.claim_once(name, 1) == 1


def test_a_server_that_does_not_answer_is_temporary(name):
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(updates=nowhere), pytest.raises(TemporaryError) as caught:
        PrefectArbiter().claim_once(name, 1)
    assert caught.value.advice
    assert caught.value.__cause__ is None


def test_a_server_of_ones_own_is_none(name):
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(PermanentError, match="share"):
        PrefectArbiter().claim_once(name, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, DeniedError), (403, DeniedError), (422, PermanentError), (429, ThrottledError), (503, TemporaryError)],
)
def test_each_refusal_says_whether_to_try_again(status, kind):
    assert type(module._refusal(status)) is kind
    assert module._refusal(status).advice
