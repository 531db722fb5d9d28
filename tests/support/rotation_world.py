"""A world to rotate in, small enough to be searched: a store, accounts of a target, time that ticks; all immutable.

It is written from the interfaces' words and not from the planner's, so that the two check each other.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from rules.rotation import Journal, Observation, Step, TargetKind

START = datetime(2026, 3, 1, tzinfo=UTC)
GRACE = timedelta(hours=1)
EVERY = timedelta(days=1)


@dataclass(frozen=True)
class Wish:
    name: str = "s"
    every: timedelta = EVERY
    window: str | None = None
    grace: timedelta = GRACE


@dataclass(frozen=True)
class Memory:
    """What one run remembers, and a crash forgets."""

    claimed: int | None = None
    proofs: tuple[tuple[str, bool], ...] = ()
    applied: int = 0
    retired: int = 0


@dataclass(frozen=True)
class World:
    """``accounts`` holds for each account the version that it accepts; a version is written ACCOUNT:NUMBER."""

    kind: TargetKind
    current: str | None = "a:0"
    pending: str | None = None
    previous: str | None = None
    journal: Journal = field(default_factory=Journal)
    accounts: tuple[str | None, str | None] = ("a:0", None)
    now: datetime = START
    made: int = 0
    memory: Memory = Memory()

    def accepts(self, version: str) -> bool:
        if self.kind is TargetKind.GENERATED:
            return True
        return self.accounts["ab".index(version[0])] == version

    def observe(self) -> Observation:
        m = self.memory
        return Observation(
            self.kind,
            self.current,
            self.pending,
            self.previous,
            self.journal,
            m.claimed,
            dict(m.proofs),
            m.applied,
            m.retired,
        )

    def crashed(self) -> "World":
        return replace(self, memory=Memory())

    def later(self, by: timedelta) -> "World":
        return replace(self.crashed(), now=self.now + by)

    def with_account(self, version: str, accepted: str | None) -> "World":
        accounts = list(self.accounts)
        accounts["ab".index(version[0])] = accepted
        return replace(self, accounts=tuple(accounts))

    def after(self, step: Step) -> list["World"]:
        """Return the worlds that one call leaves behind: the last is the whole effect, the others are cut short."""
        return getattr(self, f"_{step.kind.value}")(step)

    def _claim(self, _):
        epoch = self.journal.epoch + 1
        return [replace(self, journal=replace(self.journal, epoch=epoch), memory=replace(self.memory, claimed=epoch))]

    def _stage(self, _):
        new = f"{self._turn()}:{self.made + 1}"
        journal = replace(self.journal, pending=new, base=self.current)
        return [replace(self, pending=new, made=self.made + 1, journal=journal)]

    def _verify(self, step):
        proofs = {**dict(self.memory.proofs), step.version: self.accepts(step.version)}
        return [replace(self, memory=replace(self.memory, proofs=tuple(sorted(proofs.items()))))]

    def _apply(self, step):
        memory = replace(self.memory, applied=self.memory.applied + 1, proofs=())
        return [replace(self.with_account(step.version, step.version), memory=memory)]

    def _promote(self, _):
        kept = replace(self, previous=self.current)
        return [kept, replace(kept, current=self.pending)]

    def _confirm(self, _):
        after = self.now + GRACE if self.previous else None
        journal = replace(self.journal, pending=None, confirmed=self.current, rotated_at=self.now, retire_after=after)
        return [replace(self, pending=None, journal=journal)]

    def _retire(self, step):
        proofs = tuple(p for p in self.memory.proofs if p[0] != step.version)
        memory = replace(self.memory, retired=self.memory.retired + 1, proofs=proofs)
        return [replace(self.with_account(step.version, None), memory=memory)]

    def _forget(self, _):
        return [replace(self, previous=None, journal=replace(self.journal, retire_after=None))]

    def _turn(self) -> str:
        if self.kind is not TargetKind.ALTERNATING or self.current is None:
            return "a"
        return "b" if self.current[0] == "a" else "a"
