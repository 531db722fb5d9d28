"""What a rotation target must be able to do: take a new credential, tell whether one works, take an old one away."""

from abc import ABC, abstractmethod

from prefect.blocks.core import Block

from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError
from rules.rotation import Credential, TargetKind


class UnprovableError(PermanentError):
    """The target accepts any credential, so that a successful login proves nothing."""


class RejectedError(PermanentError):
    """The target's own rules (such as a password policy) refuse this value; another one may pass."""


class RotationTarget(Block, ABC):
    """A system that checks a credential and can be given another one.

    Whatever a call changes, it changes within ``call_seconds``. Any method raises ``TemporaryError`` where the same
    call may succeed later (the system cannot be reached, is full or starting) and ``PermanentError`` where somebody
    has to act; no error ever holds a value.

    Targets take a value that we make (``apply``) or make one themselves (``mint``); a block implements one of the two.
    A single-slot target's ``apply`` is also what sets the old value back in a rollback.
    """

    @property
    @abstractmethod
    def kind(self) -> TargetKind:
        """How the target takes a new credential."""

    @property
    @abstractmethod
    def call_seconds(self) -> float:
        """Seconds from the beginning of a call to its last change, at most: a lease has to last for longer."""

    @abstractmethod
    def preflight(self) -> None:
        """Check, without changing anything, that a rotation could be done.

        Raises:
            TemporaryError, PermanentError: if it could not, saying what to repair.
        """

    @abstractmethod
    def next_username(self, current: str | None) -> str | None:
        """Return the account that the next version is for.

        Args:
            current: the account of the current version, or None where there is none or the secret holds no name.

        Raises:
            PermanentError: if the current account is not one of the target's.
        """

    @property
    def capacity(self) -> int | None:
        """How many credentials a mint-style target allows at a time; None for no limit."""
        return None

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the block's own credential must be allowed, in the target's words."""
        return ()

    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:
        """Make the target accept the pending version; doing it twice is doing it once.

        Args:
            pending: the version to set.
            current: the version that consumers use meanwhile, which stays untouched where the kind allows.

        Raises:
            RejectedError: if the target's rules refuse the value.
        """
        raise NotImplementedError

    def credentials(self) -> tuple[Credential, ...]:
        """Return every credential that a mint-style target knows of the account, without values."""
        return ()

    def mint(self) -> SecretVersion:
        """Let the target make a new credential, which it shows this once; ``username`` is its id at the target.

        It must not be repeated below this call: a lost answer would leave one more credential behind each time.
        """
        raise NotImplementedError

    def revoke(self, credential_id: str) -> None:
        """Delete a credential at a mint-style target; one that is gone already is a success."""
        raise NotImplementedError

    @abstractmethod
    def authenticates(self, version: SecretVersion) -> bool:
        """Return whether a login with the version succeeds. False only where the target refused the credential.

        An accepted one proves something only where a refusal was seen too; that is the caller's business.

        Raises:
            TemporaryError: if the target did not answer the question.
        """

    @abstractmethod
    def retire(self, previous: SecretVersion, current: SecretVersion | None) -> None:
        """Take the previous version's access away; doing it twice is doing it once.

        It is also how a pending version is taken back. A mint-style target only disables it, if it can.

        Args:
            previous: the version whose access is taken away.
            current: the version that has to keep working; None where nothing has to, as in an accepted outage.

        Raises:
            PermanentError: if that would hit what the current version uses.
        """

    def destroy(self, previous: SecretVersion) -> None:
        """Delete what ``retire`` disabled and was then proven dead; by default there is nothing to delete."""
