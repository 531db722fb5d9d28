"""A small workspace in memory for the rules of retention: runs, references, listings and a policy as plain data."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from rules.retention.judging import Judge
from rules.retention.observed import Artifact, Listing, Mark, Metadata, Reference, Run, StoredObject
from rules.retention.planning import Plan, make_plan, survey
from rules.retention.standings import nanoseconds

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Meant:
    all: bool = False
    tags: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()


EVERY = Meant(all=True)


@dataclass(frozen=True)
class Keep:
    name: str = "everything"
    match: Meant = EVERY
    unless: Meant | None = None
    results: timedelta | None = 7 * DAY
    artifacts: timedelta | None = None
    runs: timedelta | None = None
    keep_last: int | None = None


@dataclass(frozen=True)
class Held:
    match: Meant = EVERY
    owner: str = "finance"
    reason: str = "audit"
    expires: date = date(2027, 1, 1)


@dataclass(frozen=True)
class AtMost:
    objects: int = 10_000
    percent: int = 100


@dataclass(frozen=True)
class Wish:
    name: str = "production"
    rules: tuple[Keep, ...] = (Keep(),)
    holds: tuple[Held, ...] = ()
    caches: str = "expire"
    limits: AtMost = AtMost()
    grace: timedelta = HOUR


def ran(run_id: str = "run", *, ago: timedelta = 30 * DAY, **changes) -> Run:
    """A completed flow run that ended some time ago."""
    ended = NOW - ago
    run = Run(run_id, "flow", "", frozenset(), "COMPLETED", 0, 1, ended - HOUR, ended, None, is_flow=True)
    return run._replace(**changes)


def live(run_id: str = "live", **changes) -> Run:
    return ran(run_id, **{"state": "RUNNING", "ended": None, **changes})


def task_of(owner: str | None, run_id: str = "task", **changes) -> Run:
    return ran(run_id, owner=owner, is_flow=False, **changes)


def stored(key: str = "object", *, ago: timedelta = 30 * DAY, size: int = 100) -> StoredObject:
    return StoredObject(key, size, nanoseconds(NOW - ago), "1")


def points(run: str, *, cacheable: bool = False, expiration: datetime | None = None) -> Reference:
    return Reference(run, cacheable, expiration)


@dataclass
class Facts:
    """Everything that one decision is made from; ``plan`` makes it."""

    runs: list[Run] = field(default_factory=list)
    references: dict[str, list[Reference]] = field(default_factory=dict)
    objects: list[StoredObject] = field(default_factory=list)
    metadata: dict[str, Metadata | None] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    unlocated: frozenset[str] = frozenset()
    exclusive: bool = False

    @property
    def mark(self) -> Mark:
        references = {key: tuple(found) for key, found in self.references.items()}
        return Mark(NOW, {r.id: r for r in self.runs}, {"store": references}, self.unlocated, {}, tuple(self.artifacts))

    def plan(self, policy: Wish | None = None, mark: Mark | None = None) -> Plan:
        mark = mark or self.mark
        judge = Judge(mark, policy or Wish(), NOW)
        seen = survey(judge, mark, Listing("store", self.exclusive, tuple(self.objects)))
        # What a run's own object says is None unless a test says otherwise: bare bytes.
        heads = {o.key: self.metadata.get(o.key) for o in seen.pending}
        return make_plan(judge, mark, [seen], {"store": heads})


def condemned(plan: Plan) -> dict[str, str]:
    return {c.object.key: c.verdict.verdict.value for c in plan.objects}


def one(run: Run, *others: Run, **changes) -> Facts:
    """One object that one run refers to."""
    return Facts(runs=[run, *others], references={"object": [points(run.id)]}, objects=[stored()], **changes)
