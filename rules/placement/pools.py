"""Judging work pools: are they there, are they the ones that were meant, and what do they leave open?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rules.findings import Finding, Subject
from rules.placement.catalogue import (
    POOL_ID_CHANGED,
    POOL_MISSING,
    POOL_OVERRIDABLE,
    POOL_UNBOUND,
    QUEUE_MISSING,
    QUEUE_UNDECLARED,
)
from rules.placement.estate import Pool
from rules.placement.places import id_changed
from rules.placement.policy import PlacementPolicy, WantedPool


def judge_pools(policy: PlacementPolicy, pools: Sequence[Pool]) -> Iterator[Finding]:
    """Yield the findings on every work pool that the policy declares."""
    by_name = {pool.name: pool for pool in pools}
    for wanted in policy.pools:
        pool = by_name.get(wanted.name)
        if pool is None:
            # Its id in the policy, not one of the server: the pool has none there.
            subject = Subject("work-pool", str(wanted.id or wanted.name), wanted.name)
            yield POOL_MISSING.failed(subject, "The policy declares this work pool, and the server has none so named.")
            continue
        yield _binding(wanted, pool)
        yield from _queues(wanted, pool)
        yield from _openness(wanted, pool)


def open_variables(template: Mapping[str, Any]) -> list[str]:
    """Return the job variables that a base job template lets anybody set.

    One whose schema allows a single value (``const``, or an ``enum`` of one) is not open.
    """
    properties = _mapping(_mapping(template.get("variables")).get("properties"))
    return sorted(name for name, schema in properties.items() if not _pinned(_mapping(schema)))


def takes_unknown_variables(template: Mapping[str, Any]) -> bool:
    """Return whether a base job template lets anybody set variables that it does not name."""
    return _mapping(template.get("variables")).get("additionalProperties") is not False


def _binding(wanted: WantedPool, pool: Pool) -> Finding:
    if wanted.id is None:
        message = f"The policy knows this work pool by name only. Its id is {pool.id}."
        return POOL_UNBOUND.failed(pool.subject, message, id=pool.id)
    if id_changed(wanted, pool):
        message = f"The work pool has id {pool.id}, the policy says {wanted.id}: it was made anew under the same name."
        # The policy's id, so that the finding stays the same one however often the pool is made anew.
        subject = Subject("work-pool", str(wanted.id), wanted.name)
        return POOL_ID_CHANGED.failed(subject, message, expected=str(wanted.id), found=pool.id)
    return POOL_ID_CHANGED.passed(pool.subject, "The work pool has the id that the policy says.", id=pool.id)


def _queues(wanted: WantedPool, pool: Pool) -> Iterator[Finding]:
    if wanted.queues is None or pool.queues is None:
        return
    declared = {queue.name for queue in wanted.queues}
    for queue in pool.queues:
        if queue.name not in declared and queue.id != pool.default_queue:
            subject = Subject("work-queue", queue.id, f"{pool.name}/{queue.name}")
            yield QUEUE_UNDECLARED.failed(
                subject, f"Work pool {pool.name} has a queue that the policy does not declare."
            )
    for name in sorted(declared - {queue.name for queue in pool.queues}):
        subject = Subject("work-queue", f"{pool.id}/{name}", f"{pool.name}/{name}")
        yield QUEUE_MISSING.failed(
            subject, f"The policy declares this queue, and work pool {pool.name} has none so named."
        )


def _openness(wanted: WantedPool, pool: Pool) -> Iterator[Finding]:
    if wanted.overridable is None:
        return
    surplus = [name for name in open_variables(pool.template) if name not in wanted.overridable]
    faults = [f"leaves these job variables open to anybody who starts a run: {', '.join(surplus)}"] if surplus else []
    if takes_unknown_variables(pool.template):
        faults.append("takes job variables that it does not name, as it lacks `additionalProperties: false`")
    if faults:
        message = f"The base job template {', and '.join(faults)}."
        yield POOL_OVERRIDABLE.failed(pool.subject, message, variables=",".join(surplus))
    else:
        yield POOL_OVERRIDABLE.passed(pool.subject, "The base job template leaves open only what the policy allows.")


def _pinned(schema: Mapping[str, Any]) -> bool:
    enum = schema.get("enum")
    return "const" in schema or (isinstance(enum, list) and len(enum) == 1)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
