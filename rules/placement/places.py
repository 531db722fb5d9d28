"""Places: a work pool and a queue of it, with the labels that the policy gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.placement.estate import Pool
from rules.placement.governing import label_readings
from rules.placement.policy import PlacementPolicy, WantedPool
from rules.selectors import Selector, parse_selector
from rules.selectors.requirements import explain


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment or a run is.

    Attributes:
        pool: the work pool's name.
        queue: the queue's name, if any.
        labels: what is true there; empty where nothing is known.
        doubt: why nothing is known of it, in one sentence; empty where the policy speaks for it.
    """

    pool: str
    queue: str | None
    labels: Mapping[str, str]
    doubt: str = ""

    def objection(self, require: Selector) -> str:
        """Return why the place does not fulfil a selector, in one sentence; empty if it does."""
        if self.doubt:
            return self.doubt
        return "" if require.matches(self.labels) else _sentence(explain(require, self.labels))


def wanted_pool(policy: PlacementPolicy, name: str | None) -> WantedPool | None:
    """Return what the policy says of the pool of that name, or None where it says nothing."""
    return next((pool for pool in policy.pools if pool.name == name), None)


def id_changed(wanted: WantedPool, pool: Pool) -> bool:
    """Return whether the policy is bound to another pool than the one that now has the name."""
    return wanted.id is not None and str(wanted.id) != pool.id


def place_of(policy: PlacementPolicy, pools: Sequence[Pool] | None, pool: str, queue: str | None) -> Place:
    """Return the place that a pool and a queue make.

    Args:
        policy: what gives it labels.
        pools: the pools of the server, or None if they could not be read: then ids cannot be compared.
        pool: the pool's name.
        queue: the queue's name, if any.
    """
    wanted = wanted_pool(policy, pool)
    if wanted is None:
        return Place(pool, queue, {}, f"Work pool {pool} is not declared in the policy, so nothing is known of it.")
    if any(id_changed(wanted, p) for p in pools or () if p.name == pool):
        doubt = f"Work pool {pool} is not the one that the policy was written for: its id differs."
        return Place(pool, queue, {}, doubt)
    return Place(pool, queue, _labels(wanted, queue))


def fitting_places(policy: PlacementPolicy, require: Selector, tags: Sequence[str]) -> list[str]:
    """Return the names of the declared pools that fulfil a selector and take a deployment with these tags.

    A pool that fulfils it only in one queue is named with the queue.
    """
    fitting: list[str] = []
    for wanted in policy.pools:
        if refusal(wanted, tags):
            continue
        if require.matches(wanted.labels):
            fitting.append(wanted.name)
            continue
        queues = [q.name for q in wanted.queues or () if require.matches(_labels(wanted, q.name))]
        fitting += [f"{wanted.name} (queue {name})" for name in queues]
    return fitting


def refusal(wanted: WantedPool, tags: Sequence[str]) -> str:
    """Return why a pool does not accept a deployment with these tags, in one sentence; empty if it does."""
    if wanted.accepts is None:
        return ""
    accepts = parse_selector(wanted.accepts)
    refused = (labels for labels in label_readings(tags) if not accepts.matches(labels))
    labels = next(refused, None)
    if labels is None:
        return ""
    why = explain(accepts, labels)
    return f"Work pool {wanted.name} accepts only `{accepts}`, and by the deployment's tags {why}"


def _labels(wanted: WantedPool, queue: str | None) -> dict[str, str]:
    added = next((q.labels for q in wanted.queues or () if q.name == queue), {})
    return {**wanted.labels, **added}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
