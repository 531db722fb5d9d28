"""A placement policy without Prefect or pydantic: just the fields that the rules read."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from rules.placement import Deployment, Estate, Pool, Worker, judge_placement

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HIGH_ID = UUID(int=1)
STANDARD_ID = UUID(int=2)


@dataclass(frozen=True)
class Queued:
    name: str
    labels: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    name: str
    id: UUID | None = None
    labels: dict = field(default_factory=dict)
    queues: list | None = None
    accepts: str | None = None
    overridable: list | None = None


@dataclass(frozen=True)
class Selected:
    tags: list = field(default_factory=list)
    names: list = field(default_factory=list)
    pools: list = field(default_factory=list)


@dataclass(frozen=True)
class Required:
    name: str = "high-security-flows"
    deployments: Selected = field(default_factory=lambda: Selected(tags=["security:high"]))
    require: str = "security=high"
    mode: str = "enforce"


@dataclass(frozen=True)
class Wanted:
    pools: list = field(default_factory=list)
    constraints: list = field(default_factory=lambda: [Required()])
    vocabulary: dict = field(default_factory=dict)
    name: str = "production"


HIGH = Declared("high", HIGH_ID, {"security": "high"})
STANDARD = Declared("standard", STANDARD_ID, {"security": "standard"})
LIVE = (Worker("worker-1", NOW),)
BOTH = (
    Pool(str(HIGH_ID), "high", workers=LIVE),
    Pool(str(STANDARD_ID), "standard", workers=LIVE),
)


def books(pool="high", tags=("security:high",), queue="default", name="books"):
    return Deployment(f"id-{name}", "nightly", name, tuple(tags), pool, queue if pool else None)


def judge(policy, *deployments, pools=BOTH, runs=(), gaps=(), now=NOW):
    return judge_placement(policy, Estate(pools, deployments, runs, gaps), now)


def failures(findings):
    """Which rules failed, in order of appearance."""
    return [f.rule for f in findings if f.status == "fail"]


def of(findings, rule):
    """The findings of one rule; the only one if there is one."""
    found = [f for f in findings if f.rule == rule]
    return found[0] if len(found) == 1 else found
