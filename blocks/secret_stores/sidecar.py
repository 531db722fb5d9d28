"""The protocol over any store that can hold two texts: the secret that consumers read, and a record beside it.

A backend says how to load both, how to save the record and how to save the secret, with whatever its service has to
make a write conditional. What is written when, which epoch may write, and what a repeated write means is here, once.

Order of effects in a rotation: the record with the pending pair and the one it displaces; the secret; the record
without the pending pair; the record without the previous pair. So each step is one durable write, and from any point
between two of them the whole picture can be read: the secret's present value is compared with the record's, by
fingerprints, and nothing has to be believed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from pydantic import PrivateAttr, SecretStr

from blocks.secret_stores import document
from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import (
    ConflictError,
    SecretAddress,
    SecretStore,
    SecretVersion,
    StoreState,
    SupersededError,
    VersionGoneError,
)
from blocks.secret_stores.record import Record, new_key
from rules.errors import PermanentError, TemporaryError
from rules.rotation import Journal
from rules.rotation.journal import staged


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """What a store holds of one secret, with what its conditional writes need.

    Attributes:
        main: the secret as consumers read it, or None where there is none.
        record: the record beside it, or None where there is none.
        main_revision: whatever the backend needs to replace just this secret.
        record_revision: whatever the backend needs to replace just this record.
        expires_at: when the store says that the secret expires (aware, UTC), or None.
    """

    main: str | None
    record: Record | None
    main_revision: Any = None
    record_revision: Any = None
    expires_at: datetime | None = None


class SidecarStore(SecretStore, ABC):
    """A secret store that keeps a record beside each secret (see the module)."""

    # Whether the service refuses `_save_main` where the secret is not the loaded one any more. Only then does a claim
    # also stop a promotion that is under way; for the price of a few reads, and of a write where something is pending.
    compares_main: ClassVar[bool] = False

    # The key of the ids as long as there is no record that holds one.
    _key: bytes = PrivateAttr(default_factory=new_key)

    @abstractmethod
    def _load(self, address: SecretAddress) -> Loaded:
        """Return what the store holds; the record first where the two cannot be read at once."""

    @abstractmethod
    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        """Replace the record that was loaded, or make the first one.

        A record whose epoch is higher than the loaded one's is a claim: it must fail where another claim of that epoch
        succeeded, as far as the service can make it so.

        Raises:
            SupersededError: if the record is not the loaded one any more.
        """

    @abstractmethod
    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        """Replace the secret that was loaded, in one step, for consumers to read.

        Raises:
            ConflictError: if the secret is not the loaded one any more, as far as the service can tell.
        """

    def _drop_previous(self, address: SecretAddress, loaded: Loaded) -> None:
        """Take away older versions of the secret that the service itself keeps; nothing where it keeps none."""

    @contextmanager
    def _locked(self, address: SecretAddress, *, writing: bool) -> Iterator[None]:  # noqa: ARG002 - for who overrides it
        """Hold whatever the backend locks while it is read or written; nothing by default."""
        yield

    def _read_pair(self, address: SecretAddress, text: str | None) -> Pair | None:
        return document.read_pair(text, address.username, address.password)

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        return document.with_pair(text, address.username, address.password, pair)

    def observe(self, address: SecretAddress) -> StoreState:
        """Return pointers and journal; nothing is written (see ``SecretStore``)."""
        with self._locked(address, writing=False):
            return self._state(address, self._load(address))

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version with its value (see ``SecretStore``)."""
        with self._locked(address, writing=False):
            loaded = self._load(address)
        record = self._record(loaded)
        for pair in (self._read_pair(address, loaded.main), record.pending, record.previous):
            if pair is not None and record.fingerprint(pair) == version:
                return SecretVersion(id=version, username=pair[0], password=SecretStr(pair[1]))
        raise VersionGoneError(f"The store no longer holds version {version} of {address}.", "Run again.")

    def claim(self, address: SecretAddress, seen: StoreState, journal: Journal) -> StoreState:
        """Claim the next epoch in the record (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, seen.journal.epoch)
            if self._record(loaded).journal != seen.journal:
                # The new journal is made from the one that was seen: an older one would undo what was written since.
                raise SupersededError(f"{address} is not what was observed.", "Run again.")
            state = self._saved(address, loaded, replace(self._record(loaded), journal=journal))
            return self._outdated(address) if self.compares_main and state.pending else state

    def record(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Replace the journal in the record (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, journal.epoch)
            return self._saved(address, loaded, replace(self._record(loaded), journal=journal))

    def stage(self, address: SecretAddress, journal: Journal, username: str | None, password: SecretStr) -> StoreState:
        """Put the pending pair and the one that it will displace into the record (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, journal.epoch)
            record, current = self._record(loaded), self._read_pair(address, loaded.main)
            if record.pending is not None:
                return self._state(address, loaded)
            pending = (username, password.get_secret_value())
            if not pending[1]:
                raise PermanentError("An empty value is none, and is not stored.", "Look at what generates it.")
            if record.journal.confirmed != record.fingerprint(current) and self._load(address).main != loaded.main:
                # A stale read would be written down as what the pending version replaces.
                raise TemporaryError(f"The answers about {address} contradict one another.", "Run again later.")
            # Refused here rather than at the promotion: what cannot be written must not be applied either.
            self._with_pair(address, loaded.main, pending)
            journal = staged(journal, str(record.fingerprint(pending)), record.fingerprint(current))
            return self._saved(address, loaded, replace(record, journal=journal, pending=pending, previous=current))

    def promote(
        self, address: SecretAddress, journal: Journal, pending: str, expected_current: str | None
    ) -> StoreState:
        """Replace the secret once; the record holds the previous pair already (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            # Loaded before the record that passes the fence, so that a claim in between outdates the revision.
            earlier = self._load(address) if self.compares_main else None
            loaded = self._fenced(address, journal.epoch)
            state, record = self._state(address, loaded), self._record(loaded)
            if state.current == pending:
                return state
            if state.current != expected_current or record.pending is None or state.pending != pending:
                raise ConflictError(f"{address} is not what was observed.", "Run again.")
            if record.fingerprint(record.previous) != state.current:
                raise ConflictError(f"{address} was changed since the new value was staged.", "See who changed it.")
            text = self._with_pair(address, loaded.main, record.pending)
            self._save_main(address, replace(loaded, main_revision=(earlier or loaded).main_revision), text)
            return self._state(address, replace(loaded, main=text))

    def confirm(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Drop the pending pair from the record, as it is current (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, journal.epoch)
            record, state = self._record(loaded), self._state(address, loaded)
            if record.pending is None and state.current is not None and record.journal.confirmed == state.current:
                return state
            if record.pending is None or state.current != state.pending:
                raise ConflictError(f"The current version of {address} is not the promoted one.", "Run again.")
            # What is not going to be retired need not be kept.
            kept = record.previous if journal.retire_after is not None else None
            return self._saved(address, loaded, replace(record, journal=journal, pending=None, previous=kept))

    def discard(self, address: SecretAddress, journal: Journal, pending: str) -> StoreState:
        """Drop the pending pair from the record (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, journal.epoch)
            record, state = self._record(loaded), self._state(address, loaded)
            if record.pending is not None and (state.pending != pending or state.current == pending):
                raise ConflictError(f"The pending version of {address} is another one, or current.", "Run again.")
            return self._saved(address, loaded, replace(record, journal=journal, pending=None, previous=None))

    def forget(self, address: SecretAddress, journal: Journal, previous: str) -> StoreState:
        """Drop the previous pair from the record, and the service's own copies (see ``SecretStore``)."""
        with self._locked(address, writing=True):
            loaded = self._fenced(address, journal.epoch)
            record = self._record(loaded)
            if record.previous is None and record.journal.retire_after is None:
                return self._state(address, loaded)
            if record.previous is not None and record.fingerprint(record.previous) != previous:
                raise ConflictError(f"The previous version of {address} is another one.", "Run again.")
            self._drop_previous(address, loaded)
            return self._saved(address, loaded, replace(record, journal=journal, previous=None))

    def _fenced(self, address: SecretAddress, epoch: int) -> Loaded:
        loaded = self._load(address)
        found = self._record(loaded).journal.epoch
        if found != epoch:
            message = f"{address} is at epoch {found}, this run holds {epoch}."
            raise SupersededError(message, "Another run works on it; run again when it has ended.")
        return loaded

    def _outdated(self, address: SecretAddress) -> StoreState:
        """Let nobody promote who loaded the secret before this claim; ``promote`` does the other half."""
        loaded = self._load(address)
        state = self._state(address, loaded)
        if loaded.main is None or state.pending in {None, state.current}:
            return state
        # Who changed the secret just now has outdated it, too.
        with suppress(ConflictError):
            self._save_main(address, loaded, loaded.main)
        return self._state(address, self._load(address))

    def _saved(self, address: SecretAddress, loaded: Loaded, record: Record) -> StoreState:
        self._save_record(address, loaded, record)
        return self._state(address, replace(loaded, record=record))

    def _record(self, loaded: Loaded) -> Record:
        return loaded.record or Record(self._key, Journal())

    def _state(self, address: SecretAddress, loaded: Loaded) -> StoreState:
        record = self._record(loaded)
        current, previous = (
            record.fingerprint(self._read_pair(address, loaded.main)),
            record.fingerprint(record.previous),
        )
        pending = record.fingerprint(record.pending)
        # Before the promotion the record already holds what will be displaced.
        shown = None if pending is not None and previous == current else previous
        return StoreState(current, pending, shown, record.journal, loaded.expires_at)
