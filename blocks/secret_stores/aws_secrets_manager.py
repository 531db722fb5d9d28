"""Secrets in AWS Secrets Manager, on its own staging labels.

Version ids are AWS's own: immutable, and chosen by who puts a version. So they are the order in which rotations write.
Every version that a rotation puts takes the next *slot*, and a slot is taken once: AWS refuses a second PutSecretValue
of the same id with another content. What is put is either

* a *journal*, a JSON without values, under ``VIGILES-JOURNAL``;
* a *claim*, which is a journal under ``VIGILES-CLAIM`` too: its slot tells the epoch; or
* a *pending* version, the secret's text with the rotated fields replaced, under ``AWSPENDING`` and ``VIGILES-STAGED``.

As all of them compete for the same next slot, of two claims one fails, and so does every write but one of a run whose
epoch is over, even if all that it reads is out of date. A staged version is pending until a later journal does not name
it; so each step is decided by one call. Labels move on, and what has none is purged by AWS.

The one exception is the promotion: UpdateSecretVersionStage names the version that AWSCURRENT has to be taken from,
which AWS compares and sets, and AWSPREVIOUS follows; but AWS knows nothing of epochs there, so a read comes before it.

Never is a version put without labels, which would move AWSCURRENT; and never into a secret without any version, for AWS
makes the first one current whatever labels are asked for. AWS deletes no single version: who may read the secret can
read a forgotten version by its id, until 100 newer ones exist and it is a day old.
"""

import secrets
from typing import Any, ClassVar

from pydantic import SecretStr

from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores import document
from blocks.secret_stores.aws import aws_labels
from blocks.secret_stores.aws.aws_labels import Labels, Note
from blocks.secret_stores.aws.aws_secret_calls import AwsSecretCalls
from blocks.secret_stores.aws.aws_secrets import LARGEST, MovedError, TakenError, check, needed
from blocks.secret_stores.interface import (
    ConflictError,
    Permission,
    Quota,
    SecretAddress,
    SecretVersion,
    StoreState,
    SupersededError,
    VersionGoneError,
)
from rules.errors import PermanentError, TemporaryError
from rules.rotation import Journal


class AwsSecretsManagerStore(AwsSecretCalls):
    """Keeps secrets in AWS Secrets Manager.

    Consumers read the secret as ever and get AWSCURRENT. The pending version is AWSPENDING and the one before
    AWSPREVIOUS, as in AWS's own rotation, which must be off. The journal is in versions of the secret too, which only
    who asks for their label or id gets.

    Example:
        ```python
        from blocks.secret_stores.aws_secrets_manager import AwsSecretsManagerStore

        aws_secrets_manager_store = AwsSecretsManagerStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "AWS Secrets Manager Store"
    _block_type_slug: ClassVar[str | None] = "aws-secrets-manager-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in AWS Secrets Manager and can be rotated."

    fencing: ClassVar[str] = (
        "AWS refuses whatever a run whose epoch is over puts, as its version id is taken; only the move of AWSCURRENT, "
        "which AWS compares with the version expected but not with the epoch, follows a read of the epoch."
    )
    quota: ClassVar[Quota] = Quota(
        "PutSecretValue and UpdateSecretVersionStage, for account and region",
        50,
        writes=6,
        note="A rotation puts four to six of a secret's 100 versions, and AWS purges none before it is a day old.",
    )

    def preflight(self, address: SecretAddress) -> None:
        """Check that nobody else rotates the secret, and that its fields are there (see ``SecretStore``)."""
        if not address.secret:
            raise PermanentError("Secrets Manager holds secrets by name.", "Give the policy `path`.")
        description = self._describe(address)
        check(address, description)
        text = self._text(address, _current(address, aws_labels.labels_of(description)))
        if document.read_pair(text, address.username, address.password) is None:
            raise PermanentError(f"The value of {address} is empty.", "Put a first value that works.")

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the IAM actions; only IAM itself could say which are granted (see ``SecretStore``)."""
        return needed(address)

    def observe(self, address: SecretAddress) -> StoreState:
        """Return pointers and journal, from one DescribeSecret where no rotation broke off (see ``SecretStore``)."""
        return self._state(address, self._described(address))

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version with its value (see ``SecretStore``)."""
        labels = self._known(address).labels
        state = self._state(address, labels) if labels is not None else None
        if state is None or version not in _pointers(state):
            state = self.observe(address)
        if version not in _pointers(state):
            raise _gone(address, version)
        text = self._consumed(address, version) if version == state.current else self._text(address, version)
        pair = document.read_pair(text, address.username, address.password)
        if pair is None:
            raise PermanentError(f"The value of {address} is empty.", "Put a first value that works.")
        return SecretVersion(id=version, username=pair[0], password=SecretStr(pair[1]))

    def claim(self, address: SecretAddress, seen: StoreState, journal: Journal) -> StoreState:
        """Put the claim; its slot is the fence (see ``SecretStore``)."""
        labels = self._known(address).labels
        if labels is None or seen.journal.under_way or self._state(address, labels) != seen:
            labels = self._fenced(address, seen.journal.epoch)
            if self._state(address, labels).journal != seen.journal:
                raise _superseded(address)
        note = Note(journal, _current(address, labels))
        try:
            return self._noted(address, labels, note, aws_labels.CLAIM, nonce=secrets.token_hex(16))
        except TakenError:
            raise _superseded(address) from None

    def record(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Put the journal; its slot is the fence (see ``SecretStore``)."""
        return self._written(address, self._fenced(address, journal.epoch), journal)

    def stage(self, address: SecretAddress, journal: Journal, username: str | None, password: SecretStr) -> StoreState:
        """Put the pending version; its slot is the fence (see ``SecretStore``)."""
        labels = self._ready(address, journal) or self._fenced(address, journal.epoch)
        state = self._state(address, labels)
        if state.pending is not None:
            return _kept(address, state)
        current, pair = _current(address, labels), (username, password.get_secret_value())
        text = document.with_pair(self._text(address, current), address.username, address.password, pair)
        _check_text(address, password, text)
        note = Note(journal, current)
        if self._note(address, labels) != note:
            self._written(address, labels, journal)
            labels = labels.moved(labels.next_slot.version, aws_labels.JOURNAL)
        version, marks = labels.next_slot.version, (aws_labels.PENDING, aws_labels.STAGED)
        try:
            self._put(address, version, text, marks)
        except TakenError:
            state = self._state(address, self._fenced(address, journal.epoch))
            if state.pending is None:
                raise _superseded(address) from None
            return _kept(address, state)
        self._known(address).text = None
        return self._became(address, labels.moved(version, *marks))

    def promote(
        self, address: SecretAddress, journal: Journal, pending: str, expected_current: str | None
    ) -> StoreState:
        """Move AWSCURRENT from the expected version to the pending one (see ``SecretStore``)."""
        labels = self._fenced(address, journal.epoch)
        state = self._state(address, labels)
        if state.current == pending:
            return state
        if state.pending != pending or state.current != expected_current or state.journal.base != expected_current:
            raise ConflictError(f"{address} is not what was observed or staged over.", "See who changed it; run again.")
        try:
            self._move(address, aws_labels.CURRENT, to=pending, away=expected_current)
        except MovedError:
            state = self.observe(address)
            if state.current != pending:
                raise
            return state
        return self._became(address, labels.moved(pending, aws_labels.CURRENT))

    def confirm(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Put a journal that names nothing pending any more (see ``SecretStore``)."""
        labels = self._proven(address, journal.epoch) or self._fenced(address, journal.epoch)
        state = self._state(address, labels)
        if state.pending is None and state.current is not None and state.journal.confirmed == state.current:
            return state
        if state.pending is None or state.current != state.pending:
            raise ConflictError(f"The current version of {address} is not the promoted one.", "Run again.")
        return self._written(address, labels, journal)

    def discard(self, address: SecretAddress, journal: Journal, pending: str) -> StoreState:
        """Take AWSPENDING off the version, and put a journal that does not name it (see ``SecretStore``)."""
        labels = self._fenced(address, journal.epoch)
        state = self._state(address, labels)
        if state.pending is None:
            return self._written(address, labels, journal)
        if state.pending != pending or state.current == pending:
            raise ConflictError(f"The pending version of {address} is another one, or current.", "Run again.")
        self._taken_off(address, aws_labels.PENDING, pending)
        return self._written(address, labels.moved(None, aws_labels.PENDING), journal)

    def forget(self, address: SecretAddress, journal: Journal, previous: str) -> StoreState:
        """Put the journal, and take AWSPREVIOUS off the version, so that AWS purges it (see ``SecretStore``)."""
        labels = self._fenced(address, journal.epoch)
        state = self._state(address, labels)
        if state.previous not in {None, previous}:
            raise ConflictError(f"The previous version of {address} is another one.", "Run again.")
        if state.previous is not None or state.journal.retire_after is not None:
            state = self._written(address, labels, journal)
        if labels.holders.get(aws_labels.PREVIOUS) != previous:
            return state
        # Last, as nothing but the journal's slot is a fence; if it fails, the next promotion moves the label on.
        self._taken_off(address, aws_labels.PREVIOUS, previous)
        kept = self._known(address).labels or labels
        return self._became(address, kept.moved(None, aws_labels.PREVIOUS))

    def _written(self, address: SecretAddress, labels: Labels, journal: Journal) -> StoreState:
        """Put a journal, unless it is there already."""
        state = self._state(address, labels)
        if state.journal == journal:
            return self._became(address, labels)
        try:
            return self._noted(address, labels, Note(journal, state.current))
        except TakenError:
            state = self._state(address, self._fenced(address, journal.epoch))
        if state.journal != journal:
            raise _superseded(address)
        return state

    def _noted(self, address: SecretAddress, labels: Labels, note: Note, *marks: str, nonce: str = "") -> StoreState:
        version = labels.next_slot.version
        self._put(address, version, note.to_text(nonce), (aws_labels.JOURNAL, *marks))
        self._known(address).note = (version, note)
        return self._became(address, labels.moved(version, aws_labels.JOURNAL, *marks))

    def _ready(self, address: SecretAddress, journal: Journal) -> Labels | None:
        """Return what is known, if it is enough to stage: the slot will tell whether the epoch is over."""
        known = self._known(address)
        labels, note, text = known.labels, known.note, known.text
        if labels is None or note is None or text is None or labels.epoch != journal.epoch:
            return None
        whole = labels.holders.get(aws_labels.JOURNAL) == note[0] and note[1] == Note(journal, text[0])
        return labels if whole and labels.holders.get(aws_labels.CURRENT) == text[0] else None

    def _proven(self, address: SecretAddress, epoch: int) -> Labels | None:
        """Return what is known, if the last call read the current version: the slot will tell of the epoch."""
        known = self._known(address)
        labels = known.labels
        if labels is None or labels.epoch != epoch or labels.holders.get(aws_labels.CURRENT) != known.consumed:
            return None
        return labels

    def _consumed(self, address: SecretAddress, version: str) -> str:
        """Return the text that consumers read, if it is that of the version."""
        found, text = self._read_current(address)
        if found == version:
            known = self._known(address)
            known.text, known.consumed = (version, text), version
            return text
        state = self.observe(address)
        if version == state.current:
            raise TemporaryError(f"Secrets Manager does not yet show the newest version of {address}.", "Run again.")
        if version not in _pointers(state):
            raise _gone(address, version)
        return self._text(address, version)


def _pointers(state: StoreState) -> set[str | None]:
    return {state.current, state.pending, state.previous}


def _current(address: SecretAddress, labels: Labels) -> str:
    current = labels.holders.get(aws_labels.CURRENT)
    if current is None:
        advice = (
            "Put a first value that works: AWS makes the first version current at once, so it cannot be tried first."
        )
        raise PermanentError(f"Secret {address} has no value yet.", advice)
    return current


def _kept(address: SecretAddress, state: StoreState) -> StoreState:
    if state.pending != state.journal.pending:
        advice = "AWS rotates it, or somebody else does: let that end, or take AWSPENDING off."
        raise ConflictError(f"Secret {address} has a pending version that is not ours.", advice)
    return state


def _check_text(address: SecretAddress, password: SecretStr, text: str) -> None:
    if not password.get_secret_value():
        raise PermanentError("An empty value is none, and is not stored.", "Look at what generates it.")
    if len(text.encode()) > LARGEST:
        raise PermanentError(f"{address} would be larger than {LARGEST} bytes.", "Use a shorter value.")


def _gone(address: SecretAddress, version: str) -> VersionGoneError:
    return VersionGoneError(f"The store no longer holds version {version} of {address}.", "Run again.")


def _superseded(address: SecretAddress) -> SupersededError:
    advice = (
        "Another run works on it; run again when it has ended. If none does, see that no VIGILES label was removed."
    )
    return SupersededError(f"{address} was written to meanwhile.", advice)
