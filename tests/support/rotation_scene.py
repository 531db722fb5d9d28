"""One secret in a store, accounts that it opens, a consumer: rotations of it, with everything that can be seen written
down, and a fault at a call.

Nothing but the store and the target outlives a run: each one is made of new block objects, as a new process would be.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from support.memory_target import MemoryTarget
from support.rotation_events import (
    Answered,
    Asked,
    Began,
    Called,
    Ended,
    Event,
    FellBack,
    Leased,
    Looked,
    Minted,
    Said,
    Touched,
    Tried,
    Value,
)
from support.rotation_texts import LogLines, texts_of
from support.stores.interface import Backend, intercept

from blocks.policies.rotation import SecretEntry
from blocks.secret_stores.interface import SecretAddress, SecretStore
from flows.rotating import performing
from flows.rotating.performing import Rotation
from rules.errors import VigilesError
from rules.rotation import NORMAL, Decision, Done, Order

GRACE = timedelta(hours=1)
MOST_RUNS = 4
ACCOUNTS = {"alternating": ["a", "b"], "dual": ["a"], "mint": ["a"], "single-slot": ["a"]}
STRANGER = ("stranger", "nobody-of-ours")
EFFECTS = frozenset({"apply", "retire", "mint", "revoke", "destroy"})
METHODS = ("observe", "reveal", "claim", "record", "stage", "promote", "confirm", "discard", "forget")

Request = Callable[[], Any]


class Killed(BaseException):
    """The process ends here: nothing catches it."""


@dataclass(frozen=True)
class Call:
    """One remote call: the number in its run, whose it is, what it says and whom it is about."""

    number: int
    side: str
    operation: str
    subject: tuple[str, str | None] | None = None


class Scene:
    """One secret and its rotations; ``log`` is what happened.

    Attributes:
        meddle: stands between every remote call and its service; by default it only lets it pass.
        looks: whether a consumer looks after this call; by default after every one.
        target_seconds: that each call of the target takes, by a clock that nothing else moves: how many calls a run
            makes must not depend on how fast the machine is.
    """

    def __init__(self, backend: Backend, kind: str, *, stranger: bool = False, grace: timedelta = GRACE) -> None:
        self.backend, self.kind = backend, kind
        self.log: list[Event] = []
        self.address = backend.address(pair=kind != "single-slot")
        self.target = MemoryTarget(accounts=ACCOUNTS[kind], style=kind, cap=3 if stranger else 2)
        self.now = datetime.now(UTC)
        self.target._now = lambda: self.now
        first = f"first-{uuid.uuid4().hex}"
        self.target.give("a", first)
        if stranger:
            self.target.give(*STRANGER)
        self.strangers = frozenset([STRANGER] if stranger else [])
        backend.put(self.address, "a" if self.address.username else None, first)
        self.secret = entry(self.address, grace)
        self.meddle: Callable[[Call, Request], Any] = lambda _, request: request()
        self.looks: Callable[[Call], bool] = lambda _: True
        self.target_seconds = self._clock = 0.0
        self.calls: list[Call] = []
        self._depth, self._owed = 0, False
        self.look()

    def later(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by

    def run(self, order: Order = NORMAL, check_lease: Callable[[float], None] = lambda _: None) -> Ended:
        """Make one run, as a process of its own, and return how it ended."""
        self.calls, self._depth, self._owed = [], 0, False
        self.log.append(Began(self.now, order.action.value, order.accept_outage))

        def leased(seconds: float) -> None:
            check_lease(seconds)
            self.log.append(Leased(seconds))

        store, target = self._watched(self.backend.make()), self.target.again()
        target._act = lambda call, request: self._at_target(target, call, request)
        rotation = Rotation(
            self.secret, store, target, self.now, leased, order=order, pause=lambda _: None
        )  # fmt: skip
        with LogLines() as lines, patch.object(performing, "time", SimpleNamespace(monotonic=lambda: self._clock)):
            ended = self._advance(rotation, order)
        self.log += [Said("log", line) for line in lines]
        self.log.append(ended)
        return ended

    def settle(self, order: Order = NORMAL) -> Ended:
        """Run again and again, until there is nothing to do or it is clear that this does not help."""
        for _ in range(MOST_RUNS):
            ended = self.run(order)
            if ended.outcome in {"rest", "grace"}:
                break
        return ended

    def look(self) -> None:
        """Read the secret as a consumer does, and try it."""
        value = self._consumed()
        works = value is not None and self.target.accepts(*value)
        living = frozenset((name, word) for name, words in self.target.living.items() for word in words)
        self.log.append(Looked(value, works, living))
        if not works:
            self._owed = True
            self._fall_back()

    def _consumed(self) -> Value | None:
        read = self.backend.consume(self.address)
        return (read[0] or self.target.accounts[0], read[1]) if read else None

    def _fall_back(self) -> None:
        """Read the pending version; not while the run is inside of the store, which may hold a lock."""
        if not self._owed or self._depth:
            return
        self._owed = False
        store = self.backend.make()
        pending = store.observe(self.address).pending
        if pending is not None and self.target.authenticates(store.reveal(self.address, pending)):
            self.log.append(FellBack(works=True))
            return
        again = self._consumed()
        self.log.append(FellBack(works=again is not None and self.target.accepts(*again)))

    def _advance(self, rotation: Rotation, order: Order) -> Ended:
        try:
            observation, decision = rotation.advance(effects=True)
        except Killed:
            return Ended("died")
        except VigilesError as error:
            self.log += texts_of(rotation, self.secret, error=error)
            return Ended("error", str(error))
        self.log += texts_of(rotation, self.secret, observation, decision, now=self.now, order=order)
        return Ended(outcome(decision), decision.reason)

    def _watched(self, store: SecretStore) -> SecretStore:
        intercept(store, lambda operation, request: self._remote("store", operation, None, request))
        for method in METHODS:
            object.__setattr__(store, method, self._around(method, getattr(store, method)))
        return store

    def _around(self, method: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            if self._depth:
                return function(*args)
            value = self._value(args[2], args[3]) if method == "stage" else None
            self.log.append(Asked(method, value))
            with self._inside():
                answer = function(*args)
            if method == "reveal":
                value = self._value(answer.username, answer.password)
            self.log.append(Answered(method, value, None if method == "reveal" else answer.journal.epoch))
            return answer

        return called

    def _value(self, username: str | None, password: Any) -> Value:
        return (username or self.target.accounts[0], password.get_secret_value())

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._fall_back()

    def _at_target(self, target: MemoryTarget, call: str, request: Request) -> Any:
        subject = target.subject
        if call in EFFECTS:
            self.log.append(Touched(call, *(subject or ())))
        minted = self.target.minted
        self._clock += self.target_seconds
        try:
            answer = self._remote("target", call, subject, request)
        finally:
            new = self.target.minted - minted
            self.log += [Minted((name, self.target._accepted[name][0])) for name in new]
        if call == "authenticates":
            assert subject is not None
            self.log.append(Tried((subject[0], subject[1] or ""), answer))
        return answer

    def _remote(self, side: str, operation: str, subject: tuple[str, str | None] | None, request: Request) -> Any:
        call = Call(len(self.calls) + 1, side, operation, subject)
        self.calls.append(call)
        self.log.append(Called(side, operation))
        try:
            return self.meddle(call, request)
        finally:
            if self.looks(call):
                self.look()


def entry(address: SecretAddress, grace: timedelta) -> SecretEntry:
    """Return the policy's entry for a secret at this address."""
    keys: dict[str, Any] = {"key": address.password or None}
    if address.username is not None:
        keys = {"keys": {"username": address.username, "password": address.password}}
    secret = SecretEntry(
        name="s",
        store="memory-store/x",
        path=address.secret or None,
        target="memory-target/y",
        every="30d",
        grace=grace,
        **keys,
    )
    assert secret.address == address
    return secret


def outcome(decision: Decision) -> str:
    """Return in a word how a run ended that no error stopped."""
    if not isinstance(decision, Done):
        return "quarantine"
    if decision.problem or decision.due:
        return "problem"
    return "grace" if decision.in_grace else "rest"
