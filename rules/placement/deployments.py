"""Judging deployments: does each run where its constraints allow, and does its pool accept it?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches

from rules.findings import Finding, Severity, Status, Subject
from rules.placement.catalogue import (
    ABSENCE_MATCHES,
    CONSTRAINT_IDLE,
    CONSTRAINT_OFF,
    DEPLOYMENT_UNMANAGED,
    DEPLOYMENTS_UNGOVERNED,
    POOL_MISMATCH,
    POOL_REFUSES,
    POOL_UNDECLARED,
    QUEUE_NO_BOUNDARY,
    TAG_UNKNOWN,
)
from rules.placement.estate import Deployment, Pool
from rules.placement.governing import constraints_on, selects, tag_label
from rules.placement.places import Place, fitting_places, place_of, refusal, wanted_pool
from rules.placement.policy import Constraint, PlacementPolicy
from rules.selectors import Selector, parse_selector

NAMED = 5
"""How many names a sentence lists before it counts the rest."""


def judge_deployments(
    policy: PlacementPolicy, pools: Sequence[Pool] | None, deployments: Sequence[Deployment]
) -> Iterator[Finding]:
    """Yield the findings on constraints and on the deployments they govern or that accepting pools hold."""
    for constraint in policy.constraints:
        yield from _constraint(policy, pools, constraint, deployments)
    for deployment in deployments:
        yield from _accepted(policy, deployment)
        yield from _tags(policy, deployment)
    yield from _ungoverned(policy, deployments)


def weighed(finding: Finding, constraint: Constraint) -> Finding:
    """Return the finding as heavy as the constraint's mode makes it: in ``warn``, no failure is more than low."""
    if constraint.mode == "warn" and finding.status is Status.FAIL:
        return replace(finding, severity=Severity.LOW)
    return finding


def fitting_sentence(policy: PlacementPolicy, require: Selector, tags: Sequence[str]) -> str:
    """Return one sentence that says which declared pools would do."""
    fitting = fitting_places(policy, require, tags)
    return f"It would fit {listed(fitting)}." if fitting else "No declared work pool would fit it."


def listed(names: Sequence[str]) -> str:
    """Return names in one line, the first few of them in full."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _constraint(
    policy: PlacementPolicy, pools: Sequence[Pool] | None, constraint: Constraint, deployments: Sequence[Deployment]
) -> Iterator[Finding]:
    subject = Subject("constraint", constraint.name, constraint.name)
    if constraint.mode == "off":
        yield CONSTRAINT_OFF.skipped(subject, "The constraint is off: nothing was held against it.")
        return
    held = [d for d in deployments if selects(constraint.deployments, d)]
    if not held:
        yield CONSTRAINT_IDLE.failed(subject, "The constraint governs none of the deployments on the server.")
    placed: dict[tuple[str, str | None], Place] = {}
    for deployment in held:
        finding, place = _placement(policy, pools, constraint, deployment)
        yield weighed(finding, constraint)
        if place is not None:
            placed[place.pool, place.queue] = place
    yield from _held_by_absence(constraint, placed.values())
    for place in placed.values():
        yield from _held_by_queue(policy, constraint, place)


def _placement(
    policy: PlacementPolicy, pools: Sequence[Pool] | None, constraint: Constraint, deployment: Deployment
) -> tuple[Finding, Place | None]:
    subject = Subject("deployment", f"{deployment.id}:{constraint.name}", deployment.full_name)
    require = parse_selector(constraint.require)
    facts = {"constraint": constraint.name, "pool": deployment.pool or "", "queue": deployment.queue or ""}
    if deployment.pool is None:
        message = f"Constraint {constraint.name} governs it, but it has no work pool: no place can be held against it."
        fitting = fitting_sentence(policy, require, deployment.tags)
        return DEPLOYMENT_UNMANAGED.failed(subject, f"{message} {fitting}", **facts), None
    place = place_of(policy, pools, deployment.pool, deployment.queue)
    objection = place.objection(require)
    if not objection:
        message = f"Work pool {place.pool} fulfils constraint {constraint.name}."
        return POOL_MISMATCH.passed(subject, message, **facts), place
    undeclared = wanted_pool(policy, deployment.pool) is None
    rule = POOL_UNDECLARED if undeclared else POOL_MISMATCH
    fitting = fitting_sentence(policy, require, deployment.tags)
    message = f"Work pool {place.pool} breaks constraint {constraint.name}. {objection} {fitting}"
    return rule.failed(subject, message, **facts), None


def _held_by_absence(constraint: Constraint, places: Iterable[Place]) -> Iterator[Finding]:
    require = parse_selector(constraint.require)
    absent: dict[str, dict[str, None]] = {}
    for place in places:
        held = require.held_by_absence(place.labels)
        absent.setdefault(place.pool, {}).update(dict.fromkeys(f"`{r}`" for r in held))
    for pool, texts in absent.items():
        if texts:
            subject = Subject("constraint", f"{constraint.name}:{pool}", f"{constraint.name} on {pool}")
            yield ABSENCE_MATCHES.failed(
                subject, f"Work pool {pool} lacks the label that {', '.join(texts)} speaks of."
            )


def _held_by_queue(policy: PlacementPolicy, constraint: Constraint, place: Place) -> Iterator[Finding]:
    wanted = wanted_pool(policy, place.pool)
    if wanted is not None and not parse_selector(constraint.require).matches(wanted.labels):
        name = f"{constraint.name} on {place.pool}, queue {place.queue}"
        subject = Subject("constraint", f"{constraint.name}:{place.pool}/{place.queue}", name)
        message = f"Only the labels of queue {place.queue} fulfil it; those of work pool {place.pool} do not."
        yield QUEUE_NO_BOUNDARY.failed(subject, message)


def _accepted(policy: PlacementPolicy, deployment: Deployment) -> Iterator[Finding]:
    wanted = wanted_pool(policy, deployment.pool)
    if wanted is None or wanted.accepts is None:
        return
    subject = Subject("deployment", deployment.id, deployment.full_name)
    why = refusal(wanted, deployment.tags)
    if why:
        yield POOL_REFUSES.failed(subject, why, pool=wanted.name, accepts=wanted.accepts)
    else:
        yield POOL_REFUSES.passed(subject, f"Work pool {wanted.name} accepts it.", pool=wanted.name)


def _tags(policy: PlacementPolicy, deployment: Deployment) -> Iterator[Finding]:
    for tag in dict.fromkeys(deployment.tags):
        meant = _meant(policy, tag)
        if meant is None:
            continue
        subject = Subject("deployment", f"{deployment.id}:{tag}", deployment.full_name)
        hint = f" Did you mean {listed(meant)}?" if meant else ""
        yield TAG_UNKNOWN.failed(subject, f"Its tag {tag} is not in the policy's vocabulary.{hint}", tag=tag)


def _meant(policy: PlacementPolicy, tag: str) -> list[str] | None:
    """Return what a tag that looks mistyped may have meant; None for one that is known or that is none of ours."""
    label = tag_label(tag)
    if label is None:
        return None
    key, value = label
    known = policy.vocabulary.get(key)
    if known is not None:
        close = get_close_matches(value.casefold(), known, 1, 0.5) if known else []
        return None if not known or value in known else [f"{key}:{v}" for v in close]
    close = get_close_matches(key.casefold(), list(policy.vocabulary), 1, 0.8)
    return [f"{k}:{value.casefold()}" for k in close if value.casefold() in policy.vocabulary[k]] or None


def _ungoverned(policy: PlacementPolicy, deployments: Sequence[Deployment]) -> Iterator[Finding]:
    free = [d.full_name for d in deployments if not constraints_on(policy, d)]
    if free:
        subject = Subject("policy", policy.name, policy.name)
        message = f"{len(free)} of {len(deployments)} deployments are under no constraint: {listed(free)}."
        yield DEPLOYMENTS_UNGOVERNED.passed(subject, message)
