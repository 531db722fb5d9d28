"""What each step of a rotation does to the store and to the target: one method a step."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from blocks.policies.rotation import SecretEntry
from blocks.rotation_targets.interface import RejectedError, RotationTarget, UnprovableError
from blocks.secret_stores.generation import generate_password
from blocks.secret_stores.interface import ConflictError, SecretStore, SecretVersion, StoreState, VersionGoneError
from flows.rotating.memory import Memory
from rules.errors import PermanentError
from rules.rotation import Action, Order, Step, StepKind, TargetKind, journal

_NO_GRACE = timedelta(0)


class Effects:
    """The steps of one secret's rotation, with their calls to store and target.

    Attributes:
        at_target: whether the last call was to the target and failed.
    """

    def __init__(
        self, secret: SecretEntry, store: SecretStore, target: RotationTarget | None, memory: Memory, order: Order
    ) -> None:
        self._secret = secret
        self._address = secret.address
        self._store = store
        self._target = target
        self._memory = memory
        self._order = order
        self.at_target = False

    def perform(self, step: Step, now: datetime) -> None:
        """Do the step.

        Args:
            step: what to do.
            now: the instant of the run (aware, UTC).

        Raises:
            TemporaryError, PermanentError: from store or target.
        """
        actions: dict[StepKind, Callable[[], None]] = {
            StepKind.CLAIM: self._claim,
            StepKind.SURVEY: self._survey,
            StepKind.INTEND: lambda: self._intend(now),
            StepKind.RECLAIM: lambda: self._reclaim(str(step.credential)),
            StepKind.CUT: self._cut,
            StepKind.MINT: self._mint,
            StepKind.STAGE: self._stage,
            StepKind.REVERT: self._revert,
            StepKind.APPLY: self._apply,
            StepKind.VERIFY: lambda: self._verify(str(step.version)),
            StepKind.PROBE: lambda: self._probe(str(step.version)),
            StepKind.PROMOTE: self._promote,
            StepKind.CONFIRM: lambda: self._confirm(now),
            StepKind.UNDO: self._undo,
            StepKind.DISCARD: self._discard,
            StepKind.RETIRE: self._retire,
            StepKind.FORGET: self._forget,
        }
        actions[step.kind]()

    def _claim(self) -> None:
        claimed = journal.claimed(self._state.journal, secrets.token_hex(8), self._secret.target or "")
        self._memory.state = self._store.claim(self._address, self._state, claimed)
        self._memory.claimed = claimed.epoch

    def _survey(self) -> None:
        with self._asked() as target:
            self._memory.credentials = target.credentials()

    def _intend(self, now: datetime) -> None:
        live = tuple(credential.id for credential in self._memory.credentials or ())
        if len(" ".join(live)) > journal.LONGEST:
            message = f"The target has {len(live)} credentials, too many to write down before another one is minted."
            raise PermanentError(message, "Delete those that nobody uses.")
        # The instant counts by which a credential that nobody stored is recognised; a run may be hours old.
        intent = journal.intended(self._begun(), live, max(datetime.now(UTC), now))
        self._memory.state = self._store.record(self._address, intent)

    def _reclaim(self, credential: str) -> None:
        self._memory.credentials = None
        with self._asked() as target:
            target.revoke(credential)

    def _cut(self) -> None:
        current = self._reveal(self._state.current)
        self._memory.proofs.clear()
        with self._asked() as target:
            target.retire(current, None)

    def _mint(self) -> None:
        # Whatever comes of it, the target may have one more credential now.
        self._memory.credentials = None
        try:
            with self._asked() as target:
                minted = target.mint()
        except PermanentError:
            # It was refused: nothing was made, and what appears later is somebody else's.
            self._memory.state = self._store.record(self._address, journal.refused(self._state.journal))
            raise
        self._begin(self._begun(), minted.username, minted.password)

    def _stage(self) -> None:
        username = None
        if self._target is not None:
            current = self._reveal(self._state.current) if self._state.current is not None else None
            username = self._target.next_username(current.username if current else None)
        if self._address.username is None:
            username = None
        self._memory.fresh = self._begin(self._begun(), username, generate_password(self._secret.length))

    def _revert(self) -> None:
        previous = self._reveal(self._state.previous)
        written = journal.reverting(self._state.journal, secrets.token_hex(8))
        self._begin(written, previous.username, previous.password)

    def _begun(self) -> journal.Journal:
        return journal.begun(self._state.journal, secrets.token_hex(8), self._secret.target or "")

    def _begin(self, written: journal.Journal, username: str | None, password: SecretStr) -> bool:
        """Stage a version; return whether it is certain that this one is pending, and not one of an earlier attempt."""
        certain = not self._memory.in_doubt
        self._memory.begin_another()
        self._memory.in_doubt = True
        state = self._store.stage(self._address, written, username, password)
        self._memory.in_doubt = False
        self._memory.state = state
        if certain and state.pending is not None:
            self._memory.values[state.pending] = SecretVersion(id=state.pending, username=username, password=password)
        self._memory.made = certain
        return certain

    def _apply(self) -> None:
        pending = self._reveal(self._state.pending)
        current = self._reveal(self._state.current) if self._state.current is not None else None
        # Whatever comes of the call, what was known of the target before it is void.
        self._memory.proofs.clear()
        self._memory.applied += 1
        with self._asked() as target:
            try:
                target.apply(pending, current)
            except RejectedError:
                self._memory.rejected += 1

    def _verify(self, version: str) -> None:
        if self._target is None:
            # Nobody else would notice that the store holds something else than what it was given.
            self._memory.values.pop(version, None)
        try:
            credential = self._reveal(version)
        except VersionGoneError:
            if self._target is not None:
                raise
            self._memory.proofs[version] = False
            return
        self._memory.tried(credential, accepted=self._target is None or self._accepted(credential))

    def _probe(self, version: str) -> None:
        credential = self._reveal(version)
        wrong = credential.model_copy(update={"password": generate_password()})
        if self._accepted(wrong):
            advice = "Let it check passwords for logins from the machine that runs this flow."
            raise UnprovableError("The target lets the account in with any password.", advice)
        self._memory.refused.add(credential.username)

    def _promote(self) -> None:
        state = self._state
        self._memory.state = self._store.promote(self._address, state.journal, str(state.pending), state.current)

    def _confirm(self, now: datetime) -> None:
        current, proven = str(self._state.current), self._memory.values.get(str(self._state.current))
        read = self._store.reveal(self._address, current)
        if proven is not None and _pair(read) != _pair(proven):
            message = "What consumers read is not what was stored as pending."
            raise ConflictError(message, "Nothing was retired. See what the store does to values.")
        # The grace counts from now; a clock that was set back meanwhile must not make the version older than the run.
        at = self._order.counted(max(datetime.now(UTC), now), made=self._memory.made)
        written = journal.confirmed(self._state.journal, current, at, self._grace())
        self._memory.state = self._store.confirm(self._address, written)

    def _grace(self) -> timedelta | None:
        """Return how long the previous version lives on, None where it does not live any more."""
        previous = self._state.previous
        dead = self._kind is TargetKind.SINGLE_SLOT and self._memory.proofs.get(str(previous)) is False
        if previous is None or dead:
            return None
        return _NO_GRACE if self._order.emergency else self._secret.grace

    def _undo(self) -> None:
        pending = self._reveal(self._state.pending)
        current = self._reveal(self._state.current) if self._state.current is not None else None
        self._memory.proofs.clear()
        self._memory.undone += 1
        with self._asked() as target:
            if self._kind is TargetKind.SINGLE_SLOT and current is not None:
                target.apply(current, pending)
            else:
                target.retire(pending, current)

    def _discard(self) -> None:
        pending = str(self._state.pending)
        if self._kind is TargetKind.MINT:
            self._destroy(pending)
        end = journal.abandoned if self._order.action is Action.ROLL_BACK else journal.discarded
        self._memory.state = self._store.discard(self._address, end(self._state.journal), pending)
        self._memory.begin_another()

    def _retire(self) -> None:
        previous, current = self._reveal(self._state.previous), self._reveal(self._state.current)
        self._memory.proofs.pop(previous.id, None)
        self._memory.retired += 1
        self._memory.credentials = None
        with self._asked() as target:
            target.retire(previous, current)

    def _forget(self) -> None:
        previous = str(self._state.previous)
        if self._target is not None and previous != self._state.current:
            self._destroy(previous)
        self._memory.state = self._store.forget(self._address, journal.forgotten(self._state.journal), previous)
        self._memory.retired = 0

    @property
    def _state(self) -> StoreState:
        assert self._memory.state is not None
        return self._memory.state

    @property
    def _kind(self) -> TargetKind:
        return self._target.kind if self._target else TargetKind.GENERATED

    def _reveal(self, version: str | None) -> SecretVersion:
        assert version is not None
        if version not in self._memory.values:
            self._memory.values[version] = self._store.reveal(self._address, version)
        return self._memory.values[version]

    def _accepted(self, credential: SecretVersion) -> bool:
        with self._asked() as target:
            return target.authenticates(credential)

    def _destroy(self, version: str) -> None:
        credential = self._reveal(version)
        self._memory.credentials = None
        with self._asked() as target:
            target.destroy(credential)

    @contextmanager
    def _asked(self) -> Iterator[RotationTarget]:
        """Give the target for one call, and keep in mind that it was the target if that fails."""
        assert self._target is not None
        self.at_target = True
        yield self._target
        self.at_target = False


def _pair(version: SecretVersion) -> tuple[str | None, str]:
    return (version.username, version.password.get_secret_value())
