"""Which deployments a constraint governs, and which labels a deployment's tags make."""

from collections.abc import Sequence

from rules.patterns import matches
from rules.placement.estate import Deployment
from rules.placement.policy import Constraint, PlacementPolicy, Selection
from rules.selectors import SelectorError, check_key, check_value


def active(policy: PlacementPolicy) -> list[Constraint]:
    """Return the constraints that are not switched off."""
    return [c for c in policy.constraints if c.mode != "off"]


def selects(selection: Selection, deployment: Deployment) -> bool:
    """Return whether a deployment has one hit in each list of the selection that is not empty."""
    return (
        (not selection.tags or any(tag in selection.tags for tag in deployment.tags))
        and (not selection.names or any(matches(deployment.full_name, name) for name in selection.names))
        and (not selection.pools or deployment.pool in selection.pools)
    )


def constraints_on(policy: PlacementPolicy, deployment: Deployment) -> list[Constraint]:
    """Return the constraints, not switched off, that govern a deployment."""
    return [c for c in active(policy) if selects(c.deployments, deployment)]


def governed(policy: PlacementPolicy, deployments: Sequence[Deployment]) -> list[Deployment]:
    """Return the deployments that at least one constraint governs."""
    return [d for d in deployments if constraints_on(policy, d)]


def tag_label(tag: str) -> tuple[str, str] | None:
    """Return the label that a tag of the form ``key:value`` makes, or None where it makes none."""
    key, colon, value = tag.partition(":")
    try:
        check_key(key)
        check_value(value)
    except SelectorError:
        return None
    return (key, value) if colon else None


def label_readings(tags: Sequence[str]) -> list[dict[str, str]]:
    """Return the labels that tags make: one reading, and one more for each further value of a key.

    A deployment tagged ``security:high`` and ``security:low`` could be read either way. Whoever trusts its labels must
    be content with every reading.
    """
    labels = dict.fromkeys(label for tag in tags if (label := tag_label(tag)) is not None)
    first: dict[str, str] = {}
    for key, value in labels:
        first.setdefault(key, value)
    return [first, *({**first, key: value} for key, value in labels if first[key] != value)]
