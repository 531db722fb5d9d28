"""Judges the log of a rotation by the invariants I1 to I7, and knows nothing of how a rotation is done.

* I1 a consumer works after every call; what it may still hold from before works until the grace is over; at a single
  slot it may fail between `apply` and the end of `promote`, and then one that falls back to the pending version works.
* I2 in the end exactly the current credential is accepted, and nobody else's was taken away.
* I3 running again, and nothing else, comes to rest.
* I4 at most three credentials of ours live; claims only ever go up; nothing is written without a claim, and nothing is
  done without a look at the lease.
* I5 each step only after what it has to be sure of (see the methods).
* I6 nothing that leaves a run holds a value.
* I7 what is repeated is done once: a rotation changes what consumers read exactly once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from support.canary import search
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

WRITES = frozenset({"claim", "record", "stage", "promote", "confirm", "discard", "forget"})
MOST_LIVING = 3


@dataclass(frozen=True)
class Violation:
    """One invariant that was broken, and how."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@dataclass
class Run:
    """What the run under way has made sure of; the next one begins with nothing."""

    now: datetime
    order: str
    accepts_outage: bool
    claimed: bool = False
    leased: set[str] = field(default_factory=set)
    proven: dict[Value, bool] = field(default_factory=dict)
    revealed: set[Value] = field(default_factory=set)
    strict: set[str] = field(default_factory=set)


@dataclass
class Checker:
    """Takes the events one by one.

    Attributes:
        single_slot: whether an account has one password, so that the old one dies when the new one is applied.
        grace: how long what was displaced has to live on.
        strangers: credentials at the target that are somebody else's.
        rotations: how many times the current value may have been replaced.
    """

    single_slot: bool
    grace: timedelta
    strangers: frozenset[Value] = frozenset()
    rotations: Sequence[int] = (1,)
    violations: list[Violation] = field(default_factory=list)
    current: Value | None = None
    displaced: Value | None = None
    displaced_at: datetime | None = None
    window: bool = False
    owed: bool = False
    changes: int = 0
    epoch: int = 0
    living: frozenset[Value] = frozenset()
    ours: set[str] = field(default_factory=set)
    durable: set[Value] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    texts: list[Said] = field(default_factory=list)
    last: Ended | None = None
    run: Run = field(default_factory=lambda: Run(datetime.min.replace(tzinfo=UTC), "", accepts_outage=False))

    def judge(self, log: Iterable[Event]) -> list[Violation]:
        """Return what the log breaks."""
        for event in log:
            getattr(self, f"_{type(event).__name__.lower()}")(event)
        self._end()
        return self.violations

    def _broken(self, invariant: str, what: str) -> None:
        self.violations.append(Violation(invariant, what))

    def _demand(self, invariant: str, *demands: tuple[object, str]) -> None:
        for holds, what in demands:
            if not holds:
                self._broken(invariant, what)

    def _began(self, event: Began) -> None:
        self.run = Run(event.now, event.order, event.accepts_outage)

    def _leased(self, _: Leased) -> None:
        # A look at the lease covers one effect on the target and the write that belongs to it.
        self.run.leased = {"store", "target"}

    def _called(self, event: Called) -> None:
        """Nothing: what a call did is seen by the look after it."""

    def _settled(self) -> None:
        """A consumer that fell back did so by now; one that found the store locked waited until the lock was gone."""
        self._demand("I1", (not self.owed, "no consumer fell back to the pending version"))
        self.owed = False

    def _asked(self, event: Asked) -> None:
        self._settled()
        if event.value is not None:
            self.values.add(event.value[1])
        if event.method not in WRITES:
            return
        self._demand(
            "I4",
            ("store" in self.run.leased, f"{event.method} without a look at the lease"),
            (self.run.claimed or event.method == "claim", f"{event.method} without a claim"),
        )
        self.run.leased.clear()
        if event.method == "forget":
            dead = self.run.proven.get(self.displaced) is False if self.displaced else False
            self._demand("I5", (dead, "forgot a version that was not proven dead"))

    def _answered(self, event: Answered) -> None:
        if event.method == "claim":
            higher = event.epoch is not None and event.epoch > self.epoch
            self._demand("I4", (higher, f"claimed epoch {event.epoch} after {self.epoch}"))
            self.run.claimed, self.epoch = True, event.epoch or self.epoch
        if event.method == "promote":
            self.window = False
        if event.method == "confirm":
            self._demand("I5", (self.current in self.run.revealed, "confirmed what was not read back"))
        if event.value is not None:
            self.values.add(event.value[1])
            self.durable.add(event.value)
            if event.method == "reveal":
                self.run.revealed.add(event.value)

    def _touched(self, event: Touched) -> None:
        self._settled()
        self._demand(
            "I4",
            ("target" in self.run.leased, f"{event.call} without a look at the lease"),
            (self.run.claimed, f"{event.call} without a claim"),
        )
        self.run.leased.discard("target")
        value = (event.account, event.password or "")
        judge = {"apply": self._apply, "retire": self._retire, "destroy": self._destroy, "revoke": self._revoke}
        if event.call in judge:
            judge[event.call](value)
        voids = {"apply": lambda tried, _: tried[0] == event.account, "retire": lambda tried, _: tried == value}
        void = voids.get(event.call, lambda tried, alive: tried[0] == event.account and alive)
        self.run.proven = {tried: alive for tried, alive in self.run.proven.items() if not void(tried, alive)}

    def _apply(self, value: Value) -> None:
        self._demand("I5", (value in self.durable, "applied a version that was not yet stored"))
        self.window = self.single_slot

    def _retire(self, value: Value) -> None:
        if value == self.current:
            self._demand("I5", (self.run.accepts_outage, "retired the current version"))
            return
        self._demand("I5", (self.current in self.run.revealed, "retired before current was read back"))
        if value != self.displaced or self.displaced_at is None:
            return
        over = self.run.now >= self.displaced_at + self.grace or self.run.order == "emergency"
        works = self.run.proven.get(self.current) if self.current else False
        self._demand(
            "I5",
            (works, "retired before a login with the current version"),
            (over, "retired before the grace was over"),
        )

    def _destroy(self, value: Value) -> None:
        self._demand(
            "I5",
            (value != self.current, "deleted the current credential"),
            (value[0] in self.ours, "deleted somebody else's credential"),
            (self.run.proven.get(value) is False, "deleted a credential that was not proven dead"),
        )

    def _revoke(self, value: Value) -> None:
        self._demand(
            "I5",
            (self.current is None or value[0] != self.current[0], "revoked the current credential"),
            (value[0] in self.ours or self.run.order == "emergency", "revoked somebody else's credential"),
            (all(value[0] != stored[0] for stored in self.durable) or self.run.order == "emergency",
             "revoked a credential that the store holds"),
        )  # fmt: skip

    def _minted(self, event: Minted) -> None:
        self.ours.add(event.value[0])
        self.values.add(event.value[1])

    def _tried(self, event: Tried) -> None:
        self.run.proven[event.value] = event.accepted
        self.values.add(event.value[1])
        if not event.accepted:
            self.run.strict.add(event.value[0])

    def _looked(self, event: Looked) -> None:
        if event.value is None:
            self._broken("I1", "there is no current version to read")
            return
        if event.value != self.current:
            self._changed(event.value)
        if not event.works:
            self._demand("I1", (self.window, "the current version does not work"))
            self.owed = self.window
        self.living = event.living
        living = len(event.living - self.strangers)
        self._demand("I4", (living <= MOST_LIVING, f"{living} credentials live"))
        kept = self.displaced is None or self.displaced in event.living or self.single_slot
        over = self.displaced_at is None or self.run.now >= self.displaced_at + self.grace
        self._demand("I1", (kept or over or self.run.order != "rotate", "the old version died before its grace"))

    def _changed(self, value: Value) -> None:
        """Judge a promotion, by whatever call consumers come to read another value."""
        self.values.add(value[1])
        self.ours.add(value[0])
        if self.current is not None:
            self.changes += 1
            self.displaced, self.displaced_at = self.current, self.run.now
            self._demand(
                "I5",
                (self.run.proven.get(value), "promoted a version that no login had succeeded with"),
                (value[0] in self.run.strict, "promoted on the word of a target that was not seen to refuse"),
            )
        self.current = value
        self.run.revealed.discard(value)

    def _fellback(self, event: FellBack) -> None:
        self.owed = False
        self._demand("I1", (event.works, "neither the current nor the pending version works"))

    def _said(self, event: Said) -> None:
        self.texts.append(event)

    def _ended(self, event: Ended) -> None:
        self._settled()
        self.last = event

    def _end(self) -> None:
        rests = self.last is not None and self.last.outcome == "rest"
        self._demand(
            "I3", (rests, f"it does not come to rest: {self.last.outcome}, {self.last.reason}" if self.last else "?")
        )
        left = self.living - self.strangers - ({self.current} if self.current else set())
        self._demand(
            "I2",
            (not left, f"{len(left)} credentials live beside the current one"),
            (self.strangers <= self.living, "somebody else's credential is gone"),
        )
        self._demand("I7", (self.changes in self.rotations, f"what consumers read changed {self.changes} times"))
        text = "\n".join(said.text for said in self.texts).encode()
        if search(text, "", self.values):
            for said in self.texts:
                for leak in search(said.text.encode(), said.place, self.values):
                    self._broken("I6", f"{said.place} holds a value ({leak.form})")
