"""Who may claim an epoch, where the store itself cannot say: a Prefect Variable that only one can create.

A variable's name holds secret and epoch, and Prefect's database lets nobody create a name twice. So of all runs that
want the same epoch one gets it; the others are superseded. The variable's value says who: never anything of a secret.

A run may die between getting the epoch here and writing it to the store. Then the epoch would be taken for ever, and
the secret wedged. So an old claim may be taken over: by deleting that very variable by its id (whom Prefect answers
that it is gone was not the first) and creating it anew. A claim is old when the flow run that made it has ended, or
when it is older than any claimant may take: one that has not begun to write ``WRITE_WITHIN`` seconds after it asked
does not write any more, and ``TAKE_OVER_AFTER`` leaves room for the write itself and for what clocks measure.
A process that is frozen between its last look at the clock and the write is beyond that. So each take-over counts a
turn, and the store writes it beside the epoch: of two writes of one epoch the higher turn counts.

A claim that was written says so, and is not taken over for a day: whoever asks for it by then has read something old.
After that it may only be the remainder of a record that was deleted, whose epochs begin anew.
"""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx

from blocks.secret_stores.interface import DeniedError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WRITE_WITHIN = 30.0
"""Seconds from asking for an epoch in which the write of it has to begin."""

TAKE_OVER_AFTER = timedelta(seconds=75)
"""Age at which the claim of a run that may still be alive can be taken over."""

TAKE_OVER_WRITTEN_AFTER = timedelta(days=1)
"""Age at which a claim that was written can be taken over: no store's answer is that old."""

_WRITTEN = "written"
_TERMINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class Arbiter(Protocol):
    """Lets one claimant have an epoch of a secret."""

    def claim_once(self, name: str, epoch: int) -> int:
        """Return the turn in which this claimant has the epoch: 1, more if it took it over, 0 if it has it not.

        Asking again for what one has is a yes. The store has to look at its record again afterwards: the names of old
        epochs can be had once more.

        Args:
            name: of the secret, with its store; only a hash of it is kept.
            epoch: the epoch to be claimed.

        Raises:
            TemporaryError, PermanentError: if nobody can tell.
        """

    def release(self, name: str, epoch: int) -> None:
        """Note that the store shows the epoch by now, and drop the claims of the ones before."""

    def withdraw(self, name: str, epoch: int) -> None:
        """Give back an epoch that was got and for which nothing was written."""


class PrefectArbiter:
    """Arbiter on the variables of the Prefect server that the run reports to."""

    def __init__(self) -> None:
        self._token = uuid.uuid4().hex
        self._ids: dict[tuple[str, int], str] = {}

    def claim_once(self, name: str, epoch: int) -> int:
        """Create the epoch's variable, taking over one that was left behind (see ``Arbiter``)."""
        with _Server() as server:
            variable, turn = _variable(name, epoch), 1
            made = server.create(variable, self._value(turn))
            if made is None:
                found, now = server.read(variable)
                turn = _turn(found)
                if found is not None and found["value"] == self._value(turn):
                    # A create whose answer was lost.
                    made = str(found["id"])
                elif found is None or (_is_old(server, found, now) and server.delete(found["id"])):
                    turn += 1
                    made = server.create(variable, self._value(turn))
        if made is None:
            return 0
        self._ids[name, epoch] = made
        return turn

    def release(self, name: str, epoch: int) -> None:
        """Mark the epoch's variable as written, and delete those of the two epochs before (see ``Arbiter``)."""
        made = self._ids.pop((name, epoch), None)
        with _Server() as server:
            if made is not None:
                server.update(made, _WRITTEN)
            for old in (epoch - 1, epoch - 2):
                found, _ = server.read(_variable(name, old)) if old > 0 else (None, None)
                if found is not None:
                    server.delete(found["id"])

    def withdraw(self, name: str, epoch: int) -> None:
        """Delete the variable that this claimant created (see ``Arbiter``)."""
        made = self._ids.pop((name, epoch), None)
        if made is not None:
            with _Server() as server:
                server.delete(made)

    def _value(self, turn: int) -> str:
        from prefect.runtime import flow_run  # noqa: PLC0415 - its context is that of the claim

        # The token too: Prefect may run one flow run twice at a time.
        return f"{flow_run.id or ''}/{self._token}/{turn}"


class _Server:
    """The few requests to Prefect's API, with our errors for its."""

    _client: "SyncPrefectClient"

    def __enter__(self) -> Self:
        from prefect.client.orchestration import get_client  # noqa: PLC0415 - as late as any other call
        from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

        if not PREFECT_API_URL.value():
            # Prefect would start a server of this process, which arbitrates between nobody.
            message = "There is no Prefect server that all runs share, and only such a one lets one run claim a secret."
            raise PermanentError(message, "Set PREFECT_API_URL.")
        self._client = get_client(sync_client=True).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._client.__exit__(None, None, None)

    def create(self, name: str, value: str) -> str | None:
        body = {"name": name, "value": value, "tags": ["vigiles"]}
        answer = self._ask(lambda: self._client.request("POST", "/variables/", json=body), httpx.codes.CONFLICT)
        return None if answer is None else str(answer.json()["id"])

    def read(self, name: str) -> tuple[dict[str, Any] | None, datetime]:
        """Return the variable, and what the server's own clock said, so that clocks need not agree."""
        path = {"name": name}
        answer = self._ask(lambda: self._client.request("GET", "/variables/name/{name}", path_params=path))
        if answer is None:
            return None, datetime.now(UTC)
        date = answer.headers.get("date")
        return answer.json(), parsedate_to_datetime(date) if date else datetime.now(UTC)

    def update(self, variable: str, value: str) -> bool:
        path, body = {"id": variable}, {"value": value}
        return (
            self._ask(lambda: self._client.request("PATCH", "/variables/{id}", path_params=path, json=body)) is not None
        )

    def delete(self, variable: str) -> bool:
        path = {"id": variable}
        return self._ask(lambda: self._client.request("DELETE", "/variables/{id}", path_params=path)) is not None

    def has_ended(self, flow_run: str) -> bool:
        path = {"id": flow_run}
        answer = self._ask(lambda: self._client.request("GET", "/flow_runs/{id}", path_params=path))
        return answer is not None and answer.json().get("state_type") in _TERMINAL

    def _ask(self, request: Any, expected: int = httpx.codes.NOT_FOUND) -> httpx.Response | None:
        """Return the answer, or None for the one refusal that says something."""
        try:
            answer: httpx.Response = request()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            raise TemporaryError(
                f"Prefect's API did not answer ({type(error).__name__}), which lets one run at a time claim a secret.",
                "See that the server is up.",
            ) from None
        else:
            return answer
        if status == expected:
            return None
        raise _refusal(status)


def _variable(name: str, epoch: int) -> str:
    return f"vigiles_claim_{hashlib.sha256(name.encode()).hexdigest()[:32]}_{epoch}"


def _turn(claim: dict[str, Any] | None) -> int:
    turn = str(claim["value"]).rpartition("/")[2] if claim else ""
    return int(turn) if turn.isdecimal() else 0


def _is_old(server: _Server, claim: dict[str, Any], now: datetime) -> bool:
    written = claim["value"] == _WRITTEN
    if now - datetime.fromisoformat(claim["created"]) >= (TAKE_OVER_WRITTEN_AFTER if written else TAKE_OVER_AFTER):
        return True
    flow_run = "" if written else str(claim["value"]).partition("/")[0]
    return bool(flow_run) and server.has_ended(flow_run)


def _refusal(status: int) -> VigilesError:
    message = f"Prefect's API answered {status} when a secret was going to be claimed."
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return ThrottledError(message, "Run again later.")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return TemporaryError(message, "See the server's log.")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return DeniedError(message, "Let the run's credential create, read and delete variables.")
    return PermanentError(message, "See that the server is a Prefect 3 server that allows variables.")
