"""A secret in a simulated store, accounts in a simulated target, and rotations that can be interfered with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from support.memory_store import MemoryStore
from support.memory_target import MemoryTarget
from support.rotation_scene import ACCOUNTS
from support.stores.interface import intercept

from blocks.policies.rotation import SecretEntry
from blocks.secret_stores.interface import SecretAddress
from flows.rotating.performing import Rotation
from rules.rotation import NORMAL, Order, TargetKind

KEYS = {"username": "USER", "password": "PASSWORD"}
ADDRESS = SecretAddress("PASSWORD", "USER")

Act = Callable[[int, str, str], None]


def _nothing(*_: object) -> None:
    pass


class Setting:
    """One secret; ``count`` is how many remote calls the last rotation made, ``pauses`` how long it waited."""

    def __init__(self, kind: str = "alternating", cap: int = 2) -> None:
        self.store = MemoryStore(label="test")
        self.target = MemoryTarget(accounts=ACCOUNTS[kind], style=kind, cap=cap)
        self.target.give("a", "first-password")
        self.store.put(ADDRESS, "a", "first-password")
        self.now = datetime.now(UTC)
        self.secret = SecretEntry(
            name="s", store="memory-store/x", keys=KEYS, target="memory-target/y", every="30d", grace="1h"
        )
        self.count = 0
        self.pauses: list[float] = []

    def rotation(
        self,
        act: Act = _nothing,
        check_lease: Callable[[float], None] = _nothing,
        order: Order = NORMAL,
        on_throttle: Callable[[], None] = _nothing,
    ) -> Rotation:
        """Return a rotation over block objects of its own; ``act(number, side, call)`` is called around every call."""
        self.count = 0

        def around(call: str, request: Callable[[], Any]) -> Any:
            self.count += 1
            number = self.count
            act(number, "before", call)
            answer = request()
            act(number, "after", call)
            return answer

        store, target = intercept(self.store.again(), around), self.target.again()
        target._act = around
        return Rotation(
            self.secret,
            store,
            target,
            self.now,
            check_lease,
            order=order,
            on_throttle=on_throttle,
            pause=self.pauses.append,
        )

    def rotate(self) -> "Setting":
        """Make a run without any fault."""
        self.rotation().advance(effects=True)
        return self

    def later(self, hours: float = 2) -> "Setting":
        """Let time pass."""
        self.now += timedelta(hours=hours)
        return self

    def consumed(self) -> tuple[str | None, str] | None:
        """Return what a consumer reads."""
        return self.store.consume(ADDRESS)

    def current_works(self) -> bool:
        """Read the secret as a consumer does, and log in with it."""
        read = self.consumed()
        return read is not None and self.target.accepts(*read)

    def pending_works(self) -> bool:
        """Log in with the pending version of a single slot, as a consumer does that falls back to it."""
        pending = self.store.observe(ADDRESS).pending
        return self.target.kind is TargetKind.SINGLE_SLOT and self.target.authenticates(
            self.store.reveal(ADDRESS, str(pending))
        )

    def only_current_lives(self) -> bool:
        """Whether the target accepts the current credential and no other."""
        living = [(name, word) for name, words in self.target.living.items() for word in words]
        return living == [self.consumed()]
