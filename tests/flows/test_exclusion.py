"""One run at a time, on a real server: who waits, who is waited for, and whose slot is taken back."""

import sqlite3
import threading
import time
import uuid
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed, Running
from support import prefect_server

from flows import exclusion
from flows.exclusion import Lease, exclusive, limit_name
from rules.errors import PermanentError, TemporaryError
from rules.exclusion import LABEL_LEASE, LABEL_LIMIT, LABEL_UNTIL

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
FLOW = "exclusion-test"


@pytest.fixture
def policy():
    return f"p-{uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(exclusion, "_POLL_SECONDS", 0.2)


@flow(name=FLOW, persist_result=False)
def act(policy, mode="enforce", wait=3.0, body=None):
    with exclusive(FLOW, policy, mode, wait) as lease:
        return body(lease) if body else time.monotonic()


def active_slots(policy):
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(limit_name(FLOW, policy)).active_slots


def holder(policy, *, until=60, forget=False):
    """Leave behind what a run that holds the slot leaves behind; return its id and its lease."""
    act(policy)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(act, state=Running())
        limit = limit_name(FLOW, policy)
        answer = client.increment_concurrency_slots_with_lease([limit], 1, "concurrency", 60)
        lease = answer.json()["lease_id"]
        if forget:
            # What a server that kept leases in memory looks like after a restart: the slot is counted, no lease known.
            client.release_concurrency_slots_with_lease(uuid.UUID(lease))
            client.update_global_concurrency_limit(limit, GlobalConcurrencyLimitUpdate(active_slots=1))
        ends = datetime.now(UTC) + timedelta(seconds=until)
        client.update_flow_run_labels(
            run.id, {LABEL_LIMIT: limit, LABEL_LEASE: lease, LABEL_UNTIL: ends.isoformat(timespec="seconds")}
        )
        return run, lease


def test_audit_takes_nothing(prefect_api, policy):
    act(policy, "audit")
    with pytest.raises(ObjectNotFound):
        active_slots(policy)


def test_the_slot_is_held_in_the_context_and_free_after_it(prefect_api, policy):
    assert act(policy, body=lambda _: active_slots(policy)) == 1
    assert active_slots(policy) == 0


def test_the_slot_is_free_after_an_error_too(prefect_api, policy):
    def fail(_):
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        act(policy, body=fail)
    assert active_slots(policy) == 0


def test_a_living_holder_is_waited_for_by_name_and_for_a_bounded_time(prefect_api, policy, caplog):
    run, _ = holder(policy)
    began = time.monotonic()
    with pytest.raises(TemporaryError, match=f"Waited 6 s for run {run.name}, leased until"):
        act(policy, wait=6.0)
    assert time.monotonic() - began < 25
    assert f"Waiting for run {run.name}" in caplog.text
    assert "giving up in" in caplog.text


@pytest.mark.parametrize("forget", [False, True])
def test_the_slot_of_a_run_that_is_over_is_taken_back_at_once(prefect_api, policy, forget):
    run, _ = holder(policy, forget=forget)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Crashed(), force=True)
    began = time.monotonic()
    act(policy, wait=30.0)
    assert time.monotonic() - began < 15
    assert active_slots(policy) == 0


def test_the_slot_of_a_run_that_stopped_renewing_is_taken_back(prefect_api, policy):
    holder(policy, until=-120, forget=True)
    act(policy, wait=10.0)
    assert active_slots(policy) == 0


def test_another_policy_does_not_wait(prefect_api, policy):
    holder(policy)
    act(f"{policy}-other")


def test_many_runs_take_turns(prefect_api, policy):
    inside, most = [], []

    def body(_):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.3)
        inside.pop()

    act(policy)
    runs = [threading.Thread(target=copy_context().run, args=(act, policy, "enforce", 60.0, body)) for _ in range(3)]
    [run.start() for run in runs]
    [run.join() for run in runs]
    assert most == [1, 1, 1]


def test_a_lease_that_the_server_no_longer_knows_stops_the_run(prefect_api, policy, monkeypatch):
    monkeypatch.setattr(exclusion, "RENEW_SECONDS", 0.2)
    reached = []

    def body(lease):
        lease.check(30)
        with get_client(sync_client=True) as client:
            runs = client.request("POST", "/flow_runs/filter", json={"sort": "ID_DESC"}).json()
            mine = next(
                r
                for r in runs
                if r["labels"].get(LABEL_LIMIT) == limit_name(FLOW, policy) and r["state_type"] == "RUNNING"
            )
            client.release_concurrency_slots_with_lease(uuid.UUID(mine["labels"][LABEL_LEASE]))
        time.sleep(3)
        lease.check()
        reached.append(True)

    with pytest.raises(TemporaryError, match="no longer knows it"):
        act(policy, body=body)
    assert reached == []


def test_a_lease_that_was_lost_unnoticed_fails_the_run_at_the_end(prefect_api, policy):
    with pytest.raises(TemporaryError, match="not safe any more"):
        act(policy, body=lambda lease: lease.lose("it was taken away"))


def test_a_lease_is_renewed_while_it_is_held(prefect_api, policy, monkeypatch):
    monkeypatch.setattr(exclusion, "RENEW_SECONDS", 0.2)

    def body(lease):
        before = lease._valid_until
        time.sleep(2)
        return lease._valid_until - before

    assert act(policy, body=body) > 0.5


def test_an_effect_that_may_outlast_the_lease_is_not_begun():
    lease = Lease()
    lease.check(10_000)
    lease.extend(time.monotonic())
    lease.check(50)
    with pytest.raises(TemporaryError, match="could not be renewed in time"):
        lease.check(61)


@pytest.mark.parametrize(("status", "family"), [(503, TemporaryError), (403, PermanentError)])
def test_what_the_server_refuses_is_told_apart(status, family):
    answer = httpx.Response(status, request=httpx.Request("POST", "http://server/api"))
    with pytest.raises(family, match=str(status)), exclusion._our_errors():
        raise PrefectHTTPStatusError("refused", request=answer.request, response=answer)


def test_a_server_that_is_away_is_temporary():
    with pytest.raises(TemporaryError, match="ConnectError"), exclusion._our_errors():
        raise httpx.ConnectError("away")


def test_outside_a_flow_run_nothing_is_exclusive(prefect_api, policy):
    with pytest.raises(PermanentError, match="flow run"), exclusive(FLOW, policy, "enforce"):
        pass


def test_a_server_that_restarts_and_forgets_blocks_nobody(tmp_path, migrated_database, policy):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        prefect_server.running(tmp_path / "first", migrated_database) as first,
        temporary_settings(updates={PREFECT_API_URL: first.url}),
    ):
        run, _ = holder(policy)
    with sqlite3.connect(tmp_path / "first" / "prefect.db") as left, sqlite3.connect(tmp_path / "kept.db") as kept:
        left.backup(kept)
    with (
        prefect_server.running(tmp_path / "second", tmp_path / "kept.db") as second,
        temporary_settings(updates={PREFECT_API_URL: second.url}),
    ):
        assert active_slots(policy) == 1
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Crashed(), force=True)
        act(policy, wait=30.0)
        assert active_slots(policy) == 0
