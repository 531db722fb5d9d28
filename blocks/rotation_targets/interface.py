"""What a rotation target must be able to do: take a new credential, tell whether one works, take an old one away."""

from abc import ABC, abstractmethod

from prefect.blocks.core import Block

from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError
from rules.rotation import TargetKind


class UnprovableError(PermanentError):
    """The target accepts any credential, so that a successful login proves nothing."""


class RotationTarget(Block, ABC):
    """A system that checks a credential and can be given another one.

    Every call ends within ``call_seconds``. Any method raises ``TemporaryError`` where the same call may succeed later
    (the system cannot be reached, is full or starting) and ``PermanentError`` where somebody has to act; no error ever
    holds a value.
    """

    @property
    @abstractmethod
    def kind(self) -> TargetKind:
        """How the target takes a new credential."""

    @property
    @abstractmethod
    def call_seconds(self) -> float:
        """The longest that one call may take, in seconds; a run must hold its lease for longer than that."""

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

    @abstractmethod
    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:
        """Make the target accept the pending version; doing it twice is doing it once.

        Args:
            pending: the version to set.
            current: the version that consumers use meanwhile, which stays untouched where the kind allows.
        """

    @abstractmethod
    def authenticates(self, version: SecretVersion) -> bool:
        """Return whether a login with the version succeeds. False only where the target refused the credential.

        Raises:
            UnprovableError: if the target would accept any credential.
            TemporaryError: if the target did not answer the question.
        """

    @abstractmethod
    def retire(self, previous: SecretVersion, current: SecretVersion) -> None:
        """Take the previous version's access away; doing it twice is doing it once.

        Raises:
            PermanentError: if that would hit the account that the current version uses.
        """
