"""One run at a time acts on a policy: a lease on a concurrency limit of Prefect, one limit for a flow and policy.

The lease keeps honest runs apart. It is not the last word: the server may forget it, so what a run writes is also
fenced where it is written (the epoch of a secret store). What this module adds to Prefect's own limits: it says whom a
run waits for and until when, it waits for a bounded time, and it frees a slot whose run is over, so that a crash that
Prefect has noticed, or a server that restarted and forgot its leases, blocks nobody.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError
from prefect.runtime import flow_run

from blocks.estate.paging import read_all, request
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.exclusion import (
    LABEL_LEASE,
    LABEL_LIMIT,
    LABEL_UNTIL,
    LIVE_STATES,
    Contender,
    Verdict,
    contender,
    judge_slot,
)

LEASE_SECONDS = 60.0
"""The shortest lease that Prefect grants, so the soonest that a killed run's slot is free again."""

RENEW_SECONDS = 15.0
"""How often the lease is renewed: three renewals may fail before it is lost."""

WAIT_SECONDS = 180.0
"""How long a run waits for its turn: a killed run's lease, the server's loop that takes it back, and some more."""

_POLL_SECONDS = 2.0
_PATIENCE = timedelta(seconds=20)
_RECENT = timedelta(minutes=10)


class LeaseLostError(TemporaryError):
    """The lease would not last for what is about to be done: the run stops before it."""


class Lease:
    """What a run holds while it acts; in audit mode it holds nothing and every check passes."""

    def __init__(self) -> None:
        self._valid_until: float | None = None
        self._lost = ""

    def check(self, seconds: float = 0.0) -> None:
        """Check, just before an effect, that the lease will last for as long as the effect may take.

        Args:
            seconds: the longest that the effect may take.

        Raises:
            LeaseLostError: if it will not.
        """
        if self._valid_until is None:
            return
        if self._lost or time.monotonic() + seconds >= self._valid_until:
            reason = self._lost or "it could not be renewed in time"
            raise LeaseLostError(f"This run's lease is not safe any more: {reason}.", "It stops here; run again.")

    def extend(self, since: float) -> None:
        """Note that the lease was granted or renewed by a request sent at ``since`` (monotonic seconds)."""
        self._valid_until = since + LEASE_SECONDS

    def lose(self, reason: str) -> None:
        """Note that the lease is gone."""
        self._lost = reason


def limit_name(flow: str, policy: str) -> str:
    """Return the name of the concurrency limit for a flow (kebab-case) and a policy."""
    return f"vigiles-{flow}-{policy}"


@contextmanager
def exclusive(flow: str, policy: str, mode: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[Lease]:
    """Keep every other enforcing run of the flow for the same policy out while in the context.

    Use it inside the flow. Before each effect ask ``lease.check(seconds)``: a run that was suspended or cut off from
    the server must stop by itself.

    Args:
        flow: kebab-case name of the flow.
        policy: name of the policy.
        mode: ``audit`` takes nothing and waits for nobody; ``enforce`` takes the slot.
        wait_seconds: how long to wait for the slot.

    Yields:
        The lease.

    Raises:
        TemporaryError: if the slot stays taken for longer than that, the server does not answer, or the lease was lost.
        PermanentError: if the server refuses, or this is not a flow run.
    """
    lease = Lease()
    if mode != "enforce":
        yield lease
        return
    me = flow_run.id
    if me is None:
        raise PermanentError("Only a flow run can act exclusively.", "Call it inside the flow.")
    with get_client(sync_client=True) as client:
        slot = _Slot(client, flow, limit_name(flow, policy), str(me))
        lease_id = slot.take(lease, wait_seconds)
        stop = threading.Event()
        renewal = threading.Thread(target=_renew, args=(slot, lease, lease_id, stop), daemon=True, name="vigiles-lease")
        renewal.start()
        try:
            yield lease
            lease.check()
        finally:
            stop.set()
            renewal.join(timeout=5)
            with suppress(VigilesError):
                slot.give_back(lease_id)


class _Slot:
    """The requests about one limit, and what this run says of itself."""

    def __init__(self, client: SyncPrefectClient, flow: str, limit: str, me: str) -> None:
        self._client = client
        self._flow = flow
        self._limit = limit
        self._me = me
        self._unclaimed_since: datetime | None = None
        self._released: set[str] = set()
        self._said = ""

    def take(self, lease: Lease, wait_seconds: float) -> UUID:
        """Return the id of a new lease on the slot, waiting for it if need be."""
        self._ensure()
        deadline = time.monotonic() + wait_seconds
        while True:
            self.label("")
            sent = time.monotonic()
            lease_id = self._acquire()
            if lease_id is not None:
                lease.extend(sent)
                self.label(str(lease_id))
                return lease_id
            verdict = judge_slot(self._others(), self._me, datetime.now(UTC), self._unclaimed_since, _PATIENCE)
            self._unclaimed_since = None if verdict.claimed else self._unclaimed_since or datetime.now(UTC)
            if self._free(verdict):
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                message = f"Waited {wait_seconds:.0f} s for {verdict.waits_for}."
                raise TemporaryError(message, "Run again when it has ended, or cancel it in the UI.")
            self._say(f"Waiting for {verdict.waits_for}", left)
            time.sleep(_POLL_SECONDS)

    def _free(self, verdict: Verdict) -> bool:
        """Free what the verdict allows; return whether that may have helped."""
        fresh = [lease for lease in verdict.release if lease not in self._released]
        for lease in fresh:
            self.give_back(UUID(lease))
            self._released.add(lease)
        if verdict.reset and not fresh:
            get_run_logger().info("No living run holds the slot %s: it is freed.", self._limit)
            self._client.update_global_concurrency_limit(self._limit, GlobalConcurrencyLimitUpdate(active_slots=0))
        return bool(fresh) or verdict.reset

    def _say(self, words: str, left: float) -> None:
        if words != self._said:
            self._said = words
            get_run_logger().info("%s; giving up in %.0f s.", words, left)

    def label(self, lease_id: str) -> None:
        """Say on this run that it wants the slot or, with a lease, that it holds it."""
        until = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
        labels = {LABEL_LIMIT: self._limit, LABEL_LEASE: lease_id, LABEL_UNTIL: until.isoformat(timespec="seconds")}
        request(self._client, "PATCH", f"/flow_runs/{self._me}/labels", labels)

    def renew(self, lease_id: UUID) -> bool:
        """Renew the lease; False if the server no longer knows it."""
        try:
            self._client.renew_concurrency_lease(lease_id, LEASE_SECONDS)
        except PrefectHTTPStatusError as error:
            if error.response.is_client_error:
                return False
            raise
        self.label(str(lease_id))
        return True

    def give_back(self, lease_id: UUID) -> None:
        """End the lease and free its slot; nothing happens if the server no longer knows it."""
        request(self._client, "POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": str(lease_id)})

    def _ensure(self) -> None:
        with suppress(ObjectAlreadyExists), _our_errors():
            self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=self._limit, limit=1))

    def _acquire(self) -> UUID | None:
        holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(self._me))
        try:
            with _our_errors():
                answer = self._client.increment_concurrency_slots_with_lease(
                    [self._limit], 1, "concurrency", LEASE_SECONDS, holder
                )
        except _TakenError:
            return None
        granted = answer.json()
        if not granted["limits"]:
            raise TemporaryError(f"The concurrency limit {self._limit} was deleted meanwhile.", "Run again.")
        return UUID(granted["lease_id"])

    def _others(self) -> list[Contender]:
        # What ended long ago holds no lease; what is alive is listed however long ago it began.
        recent = datetime.now(UTC) - _RECENT
        wanted = {"state": {"type": {"any_": LIVE_STATES}}, "end_time": {"after_": recent.isoformat()}}
        body = {
            "flows": {"name": {"any_": [self._flow]}},
            "flow_runs": {"operator": "or_", **wanted},
            "sort": "ID_DESC",
        }
        rows = (row for row in read_all(self._client, "/flow_runs/filter", body) if str(row["id"]) != self._me)
        return [found for row in rows if (found := contender(row, self._limit))]


def _renew(slot: _Slot, lease: Lease, lease_id: UUID, stop: threading.Event) -> None:
    while not stop.wait(RENEW_SECONDS):
        sent = time.monotonic()
        # What fails for another reason is tried again until the lease has run out, which `check` sees by itself.
        with suppress(Exception):
            if not slot.renew(lease_id):
                lease.lose("the server no longer knows it")
                return
            lease.extend(sent)


class _TakenError(TemporaryError):
    """The slot is taken."""


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status == httpx.codes.LOCKED:
            raise _TakenError("The slot is taken.") from None
        message = f"Prefect's API answered {status} to a request for a concurrency slot."
        if error.response.is_server_error:
            raise TemporaryError(message, "Look at the server's log, then run again.") from None
        raise PermanentError(message, "Check the credentials and the versions of client and server.") from None
    except httpx.HTTPError as error:
        message = f"Prefect's API did not answer a request for a concurrency slot ({type(error).__name__})."
        raise TemporaryError(message, "Check that the server runs and can be reached.") from None
