"""A world to rotate in, small enough to be searched: a store, a target, time, and what each run remembers.

All of it is immutable, and every function that changes it is one remote call. It is written from the words of the
interfaces (``SecretStore``, ``RotationTarget``) and not from the planner, so that the two check each other.

A version is named after its account: ``a0``, ``b1``, ... where two alternate; after its key, ``k1``, where the target
mints; else ``v1``. What is drawn from a random source is a counter here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from rules.rotation import Action, Credential, Journal, Order, TargetKind, journal

START = datetime(2026, 3, 1, tzinfo=UTC)
GRACE = timedelta(hours=1)
EVERY = timedelta(days=1)
GENERATED, ALTERNATING, DUAL, MINT, SINGLE = TargetKind


@dataclass(frozen=True)
class Wish:
    """An entry of the policy."""

    name: str = "s"
    target: str | None = None
    every: timedelta = EVERY
    window: str | None = None
    grace: timedelta = GRACE
    jitter: timedelta | None = None
    before_expiry: timedelta | None = None
    blackouts: tuple[str, ...] = ()


class Store(NamedTuple):
    """What the store holds; it is what ``observe`` returns too."""

    current: str | None
    pending: str | None = None
    previous: str | None = None
    journal: Journal = Journal()


class Key(NamedTuple):
    """A credential of a mint-style target."""

    id: str
    at: int = -99
    enabled: bool = True
    used: bool | None = None


class Runner(NamedTuple):
    """One run and what it remembers (see ``flows.rotating.memory``); without an order it is not running.

    ``doing`` is the step being done and its remote calls that are still to come; ``loaded`` is what a store that cannot
    compare was read as, before it is written.
    """

    order: str = ""
    now: int = 0
    claimed: int | None = None
    state: Store | None = None
    values: tuple[str, ...] = ()
    proofs: tuple[tuple[str, bool], ...] = ()
    refused: tuple[str | None, ...] = ()
    keys: tuple[Key, ...] | None = None
    made: bool = False
    fresh: bool = False
    applied: int = 0
    rejected: int = 0
    undone: int = 0
    retired: int = 0
    doing: tuple | None = None
    loaded: Store | None = None


IDLE = Runner()


class World(NamedTuple):
    """Everything there is.

    ``holder`` is the runner that has the lease, ``proven`` what I5 needs to know; ``arrivals`` are the keys that a
    stranger is going to make, ``refusals`` how often the target refuses to mint before it does, ``waits`` how often
    time passes after what was noted before minting.
    """

    store: Store
    alive: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    clock: int = 0
    made: int = 0
    proven: tuple[str, ...] = ()
    runners: tuple[Runner, ...] = (IDLE,)
    holder: int = -1
    crashes: int = 0
    losses: int = 0
    arrivals: int = 0
    refusals: int = 0
    waits: int = 0

    @property
    def core(self) -> "World":
        """What outlives the runs."""
        return World(*self[:5], runners=(IDLE,), arrivals=self.arrivals, refusals=self.refusals)


class RefusedError(Exception):
    """The store or the target answered with an error that ends the run."""


class AgainError(Exception):
    """The store answered with an error after which the run looks again."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What does not change in a search: the kind of target and what is strict about it.

    Attributes:
        kind: of the target.
        capacity: credentials that a mint-style target allows, or passwords of an account that takes several.
        rejects: versions with a number up to this are refused by the target's own rules.
        tells_use: whether a mint-style target tells if a key was ever used.
        strangers: keys that somebody else made.
        compares: whether the store compares before it sets; without, the last writer wins.
        claims_what_was_seen: whether a claim is refused when anything in the journal changed since it was seen, and not
            only the epoch.
    """

    kind: TargetKind
    capacity: int = 2
    rejects: int = 0
    tells_use: bool = False
    strangers: tuple[str, ...] = ()
    compares: bool = True
    claims_what_was_seen: bool = True

    def world(self, *, runners: int = 1, **budget: int) -> World:
        """Return the world before the first rotation."""
        first = {ALTERNATING: "a0", MINT: "k0"}.get(self.kind, "v0")
        used = True if self.tells_use else None
        keys = tuple(Key(name, used=used) for name in (first, *self.strangers)) if self.kind is MINT else ()
        alive = () if self.kind in (MINT, GENERATED) else (first,)
        return World(Store(first), alive, keys, runners=(IDLE,) * runners, **budget)

    def account(self, version: str | None) -> str | None:
        """Return the account that the version names, which only two kinds write down."""
        if version is None or self.kind not in (ALTERNATING, MINT):
            return None
        return version if self.kind is MINT else version[0]

    def living(self, world: World) -> tuple[str, ...]:
        """Return every version and key that the target accepts."""
        if self.kind is GENERATED:
            return (world.store.current,) if world.store.current else ()
        return tuple(k.id for k in world.keys if k.enabled) if self.kind is MINT else world.alive

    def accepts(self, world: World, version: str | None) -> bool:
        """Return whether a login with the version succeeds."""
        return self.kind is GENERATED or version in self.living(world)


def instant(tick: int) -> datetime:
    """Return the time of a tick of the clock, an hour."""
    return START + timedelta(hours=tick)


def tick(moment: datetime) -> int:
    """Return the tick of a time."""
    return int((moment - START) / timedelta(hours=1))


@cache
def order_of(name: str, now: int) -> Order:
    """Return the order of a run that began then, as the flow makes it."""
    if name.startswith("emergency"):
        return Order(Action.EMERGENCY, instant(now), accept_outage=name.endswith("outage"))
    return Order(Action(name))


def later(world: World) -> World | None:
    """Return the world at the next instant at which anything in the journal comes due, or None."""
    written = world.store.journal
    known = [written.retire_after, written.rotated_at + EVERY if written.rotated_at else None]
    coming = [tick(moment) for moment in known if moment is not None and tick(moment) > world.clock]
    return world._replace(clock=min(coming)) if coming else None


def listed(s: Setting, keys: tuple[Key, ...] | None) -> tuple[Credential, ...] | None:
    """Return a listing of keys as the target gives it."""
    if keys is None:
        return None
    return tuple(Credential(k.id, instant(k.at), k.used if s.tells_use else None, enabled=k.enabled) for k in keys)


def _stage(store: Store, written: Journal, version: str) -> Store:
    if store.pending is not None:
        return store
    return Store(store.current, version, None, journal.staged(written, version, store.current))


def _promote(store: Store, _: Journal, pending: str, expected: str | None) -> Store:
    if store.current == pending:
        return store
    if store.current != expected or store.pending != pending or store.journal.base != store.current:
        raise RefusedError("Not what was observed.")
    return Store(pending, pending, store.current, store.journal)


def _confirm(store: Store, written: Journal) -> Store:
    if store.pending is None and store.current is not None and store.journal.confirmed == store.current:
        return store
    if store.pending is None or store.pending != store.current:
        raise RefusedError("The current version is not the promoted one.")
    return Store(store.current, None, store.previous if written.retire_after is not None else None, written)


def _discard(store: Store, written: Journal, pending: str) -> Store:
    if store.pending is not None and (store.pending != pending or store.pending == store.current):
        raise RefusedError("The pending version is another one, or current.")
    return Store(store.current, None, None, written)


def _forget(store: Store, written: Journal, previous: str) -> Store:
    if store.previous is None and store.journal.retire_after is None:
        return store
    if store.previous not in (None, previous):
        raise RefusedError("The previous version is another one.")
    return Store(store.current, store.pending, None, written)


WRITES: dict[str, Callable[..., Store]] = {
    "claim": lambda store, written: store._replace(journal=written),
    "record": lambda store, written: store._replace(journal=written),
    "refused": lambda store, written: store._replace(journal=written),
    "stage": _stage,
    "promote": _promote,
    "confirm": _confirm,
    "discard": _discard,
    "forget": _forget,
}
"""What each write of the store does, where the epoch is right."""
