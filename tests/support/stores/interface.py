"""What the contract suite and the fault matrix need to know of a secret store's backend."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from blocks.secret_stores.interface import SecretAddress, SecretStore


class Backend(ABC):
    """One service to keep secrets in, real or simulated, empty when made, and the store block over it.

    Attributes:
        name: of the store, such as ``aws-secrets-manager``.
        stands_on: ``simulator``, ``double`` or ``real server``: what answers the store's calls.
        largest: ASCII letters of the largest value that replaces another of the same size at an address without a
            username; a larger one must be refused when staged. None where there is no limit.
        reads: how the operations that only read begin; only they can return something stale. Empty where none can.
        document: whether a secret is a JSON object or a file with more than the rotated keys in it.
        creates: whether a rotation may make the first version of a secret that does not exist; where not, a write must
            say so by a ``PermanentError``.
        restores: whether what ``remove`` deleted can be had back by ``restore``.
        kept_at_most: how many versions of one secret the service may hold, however often it was rotated; None where
            nothing counts them (see ``versions_kept``).
        no_races: why two writers at the same moment may both succeed here, so that races prove nothing; empty where
            the service compares and sets.
        no_fence: why a promotion that is under way when another run claims may still succeed afterwards; empty where
            it cannot (a ``SidecarStore`` with ``compares_main``). It belongs into the store's ``fencing`` too.
        no_interleaving: why no other writer can come between the calls of a write, so that a test of it would only
            wait; empty where one can.
        no_free_text: why a secret is not a text of somebody's own, of which some fields rotate; empty where it is one
            (see ``put_text``).
    """

    name: ClassVar[str]
    stands_on: ClassVar[str]
    largest: ClassVar[int | None] = 65536
    reads: ClassVar[tuple[str, ...]]
    document: ClassVar[bool] = False
    creates: ClassVar[bool] = True
    restores: ClassVar[bool] = False
    kept_at_most: ClassVar[int | None] = None
    no_races: ClassVar[str] = ""
    no_fence: ClassVar[str] = ""
    no_interleaving: ClassVar[str] = ""
    no_free_text: ClassVar[str] = "the backend names no way to put a whole text"

    @abstractmethod
    def make(self) -> SecretStore:
        """Return a new block object over the same service, as another process would have it."""

    @abstractmethod
    def address(self, *, pair: bool) -> SecretAddress:
        """Return an address that no other test uses: of a pair of account and value, or of a value alone."""

    @abstractmethod
    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Set the current version, as somebody outside does; where there is room for more, more is in it."""

    @abstractmethod
    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what an unmodified consumer of the ecosystem reads, through a client of its own; None for nothing."""

    @abstractmethod
    def surroundings(self, address: SecretAddress) -> object:
        """Return whatever stands around the rotated keys, which no rotation may change."""

    @abstractmethod
    def remove(self, address: SecretAddress) -> None:
        """Delete the secret as somebody outside does, by the service's usual (soft) deletion."""

    @abstractmethod
    def timeout(self) -> Exception:
        """Return what the client raises when the answer to a call is lost."""

    @abstractmethod
    def throttled(self) -> Exception:
        """Return what the client raises when the service wants fewer calls."""

    def denied(self) -> SecretStore | None:
        """Return a block whose credential may do nothing, or None where the service knows no rights."""
        return None

    def restore(self, address: SecretAddress) -> None:
        """Undo ``remove`` by the service's own means; only where ``restores``."""
        raise NotImplementedError

    def versions_kept(self, address: SecretAddress) -> int:
        """Count the versions that the service holds of the secret and of what is beside it; only where limited."""
        raise NotImplementedError

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return an address, that no other test uses, of fields in a secret that is free text."""
        raise NotImplementedError

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Set the whole text of a secret as somebody outside does."""
        raise NotImplementedError

    def text(self, address: SecretAddress) -> str:
        """Return the whole text of a secret as a consumer reads it."""
        raise NotImplementedError


def intercept(store: SecretStore, act: Callable[[str, Callable[[], Any]], Any]) -> SecretStore:
    """Let every remote call of this block object pass through ``act(operation, request)``; return the same object.

    What ``act`` raises is translated as if the client had raised it.
    """
    call = store._call

    def intercepted(operation: str, request: Callable[[], Any]) -> Any:
        return call(operation, lambda: act(operation, request))

    object.__setattr__(store, "_call", intercepted)
    return store
