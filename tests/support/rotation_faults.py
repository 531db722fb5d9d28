"""Stands between a rotation and its store and target, and interferes with one call before or after its effect."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from support.memory_store import MemoryStore
from support.memory_target import MemoryTarget

from blocks.policies.rotation import SecretEntry
from blocks.secret_stores.interface import SecretAddress, SecretVersion
from flows.rotating.performing import Rotation

KEYS = {"username": "USER", "password": "PASSWORD"}
ADDRESS = SecretAddress("PASSWORD", "USER")


class Interfering:
    """Passes every call on, and calls ``act(number, side, name)`` before and after each."""

    def __init__(self, inner: Any, act: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._act = act

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "next_username":
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            self._act("before", name)
            result = found(*args, **kwargs)
            self._act("after", name)
            return result

        return called


class Setting:
    """A secret in a simulated store with simulated accounts, and rotations of it that can be interfered with."""

    def __init__(self, accounts: int) -> None:
        self.store = MemoryStore(label="test")
        self.target = MemoryTarget(accounts=["a", "b"][:accounts])
        self.target.give("a", "first")
        self.store.put(ADDRESS, "a", "first")
        self.now = datetime.now(UTC)
        self.secret = SecretEntry(
            name="s", store="memory-store/x", keys=KEYS, target="memory-target/y", every="30d", grace="1h"
        )
        self.count = 0

    def rotation(self, act: Callable[[int, str, str], None] | None = None, check_lease=lambda _: None) -> Rotation:
        def numbered(side: str, name: str) -> None:
            self.count += side == "before"
            if act is not None:
                act(self.count, side, name)

        self.count = 0
        store, target = Interfering(self.store, numbered), Interfering(self.target, numbered)
        return Rotation(self.secret, store, target, self.now, check_lease)

    def later(self, hours: int = 2) -> "Setting":
        self.now += timedelta(hours=hours)
        return self

    def current_works(self) -> bool:
        read = self.store.consume(ADDRESS)
        return read is not None and self.logs_in(*read)

    def logs_in(self, account: str | None, password: str) -> bool:
        return self.target.authenticates(SecretVersion(id="-", username=account, password=SecretStr(password)))
