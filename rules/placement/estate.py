"""What was observed of an estate, as far as placement is concerned. None stands for a list that could not be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rules.findings import Subject


@dataclass(frozen=True, slots=True)
class Queue:
    """A work queue as the server has it.

    Attributes:
        id: its id.
        name: its name, unique in its pool.
        paused: whether it gives out no runs.
        concurrency_limit: the most runs at once; None for no limit.
    """

    id: str
    name: str
    paused: bool = False
    concurrency_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the server has it; any client can make one, and its status is not worth having.

    Attributes:
        name: what it calls itself.
        heartbeat: when it was last heard of (aware, UTC), if ever.
        interval: how often it says it would be heard of.
    """

    name: str
    heartbeat: datetime | None
    interval: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool as the server has it.

    Attributes:
        id: its id; a pool that is made anew under the same name has another.
        name: its name.
        type: the type of its workers, such as ``process``.
        paused: whether it gives out no runs.
        concurrency_limit: the most runs at once; None for no limit.
        default_queue: the id of the queue that it cannot be without.
        template: its base job template.
        queues: its queues, or None where they were not or could not be read.
        workers: its workers, or None where they were not or could not be read.
    """

    id: str
    name: str
    type: str = "process"
    paused: bool = False
    concurrency_limit: int | None = None
    default_queue: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    queues: tuple[Queue, ...] | None = ()
    workers: tuple[Worker, ...] | None = ()

    @property
    def subject(self) -> Subject:
        """What a finding about it is about."""
        return Subject("work-pool", self.id, self.name)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as the server has it.

    Attributes:
        id: its id.
        flow: its flow's name.
        name: its own name, unique for its flow.
        tags: its tags.
        pool: the work pool it runs in; None if it has none and a process of its own serves it.
        queue: the work queue it runs in.
    """

    id: str
    flow: str
    name: str
    tags: tuple[str, ...] = ()
    pool: str | None = None
    queue: str | None = None

    @property
    def full_name(self) -> str:
        """``flow/deployment``, as Prefect's command line has it."""
        return f"{self.flow}/{self.name}"


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A flow run that has not begun: scheduled, late or pending.

    Attributes:
        id: its id.
        name: its name.
        deployment: the id of its deployment, or None if it has none.
        pool: the work pool that it waits in, or None.
        queue: the work queue that it waits in, or None.
        state: the name of its state, such as ``Late``.
        due: when it should begin (aware, UTC), if known.
    """

    id: str
    name: str
    deployment: str | None
    pool: str | None
    queue: str | None
    state: str = "Scheduled"
    due: datetime | None = None

    @property
    def subject(self) -> Subject:
        """What a finding about it is about."""
        return Subject("flow-run", self.id, self.name)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be seen.

    Attributes:
        subject: what it is: a list of the server, or one row of it.
        message: what happened and what therefore is not known, in plain sentences.
        remedy: how to make it visible.
    """

    subject: Subject
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Estate:
    """Everything that was observed for placement.

    Attributes:
        pools: all work pools, or None.
        deployments: all deployments, or None.
        runs: the waiting runs of governed deployments and of pools that accept only some, or None.
        gaps: what could not be seen, each None of the other fields included.
    """

    pools: tuple[Pool, ...] | None
    deployments: tuple[Deployment, ...] | None
    runs: tuple[ScheduledRun, ...] | None
    gaps: tuple[Gap, ...] = ()
