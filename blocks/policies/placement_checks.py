"""What must agree between the parts of a placement policy. Every fault is reported, each with its place."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from blocks.policies.interface import policy_error
from rules.placement import RULES
from rules.placement.governing import tag_label
from rules.selectors import Requirement, parse_selector

if TYPE_CHECKING:
    from blocks.policies.placement import PlacementPolicy

Path = tuple[str | int, ...]
Problem = tuple[Path, PydanticCustomError]


def refuse(problems: Sequence[Problem]) -> None:
    """Raise every problem at once, each at its path below the value that is being validated.

    Raises:
        ValidationError: if there is any.
    """
    if problems:
        lines = [InitErrorDetails(type=error, loc=path, input=None) for path, error in problems]
        raise ValidationError.from_exception_data("policy", lines)


def check_document(policy: "PlacementPolicy") -> None:
    """Check what no single part of the document can check by itself.

    Raises:
        ValidationError: with every fault.
    """
    refuse([problem for check in _CHECKS for problem in check(policy)])


def _not_empty(policy: "PlacementPolicy") -> Iterator[Problem]:
    if not policy.pools and not policy.constraints:
        yield (), policy_error("P065", "the policy declares neither pools nor constraints: it would check nothing")


def _names_are_unique(policy: "PlacementPolicy") -> Iterator[Problem]:
    yield from _duplicates("pool", [p.name for p in policy.pools], ("pools",))
    yield from _duplicates("constraint", [c.name for c in policy.constraints], ("constraints",))
    for index, pool in enumerate(policy.pools):
        yield from _duplicates("queue", [q.name for q in pool.queues or ()], ("pools", index, "queues"))


def _labels_are_known(policy: "PlacementPolicy") -> Iterator[Problem]:
    for index, pool in enumerate(policy.pools):
        yield from _unknown_labels(policy, pool.labels, ("pools", index, "labels"))
        for number, queue in enumerate(pool.queues or ()):
            path = ("pools", index, "queues", number, "labels")
            yield from _unknown_labels(policy, queue.labels, path)
            for key in queue.labels.keys() & pool.labels.keys():
                if queue.labels[key] != pool.labels[key]:
                    message = f"the queue says {key}={queue.labels[key]}, its pool {key}={pool.labels[key]}"
                    yield (*path, key), policy_error("P064", message, "A queue only adds labels to those of its pool.")


def _selectors_are_known(policy: "PlacementPolicy") -> Iterator[Problem]:
    for index, pool in enumerate(policy.pools):
        if pool.accepts is not None:
            yield from _unknown_in_selector(policy, pool.accepts, ("pools", index, "accepts"))
    for index, constraint in enumerate(policy.constraints):
        yield from _unknown_in_selector(policy, constraint.require, ("constraints", index, "require"))
        for number, tag in enumerate(constraint.deployments.tags):
            label = tag_label(tag)
            if label is not None and label[0] in policy.vocabulary:
                path = ("constraints", index, "deployments", "tags", number)
                yield from _unknown_value(policy, *label, path, len(label[0]) + 1)


def _pools_are_declared(policy: "PlacementPolicy") -> Iterator[Problem]:
    known = [pool.name for pool in policy.pools]
    for index, constraint in enumerate(policy.constraints):
        for number, name in enumerate(constraint.deployments.pools):
            if name not in known:
                path = ("constraints", index, "deployments", "pools", number)
                yield path, policy_error("P060", f"the policy declares no pool `{name}`", _nearest(name, known))


def _exceptions_name_rules(policy: "PlacementPolicy") -> Iterator[Problem]:
    known = [rule.id for rule in RULES]
    for index, exception in enumerate(policy.exceptions):
        if exception.rule not in known:
            message = f"no rule on placement has the id `{exception.rule}`"
            yield ("exceptions", index, "rule"), policy_error("P066", message, _nearest(exception.rule, known))


_CHECKS: tuple[Callable[["PlacementPolicy"], Iterator[Problem]], ...] = (
    _not_empty,
    _names_are_unique,
    _labels_are_known,
    _selectors_are_known,
    _pools_are_declared,
    _exceptions_name_rules,
)


def _duplicates(what: str, names: Sequence[str], path: Path) -> Iterator[Problem]:
    for index, name in enumerate(names):
        first = names.index(name)
        if first != index:
            message = f"the {what} name `{name}` is used twice"
            hint = f"It is also that of {what} {first + 1} in the list."
            yield (*path, index, "name"), policy_error("P045", message, hint)


def _unknown_labels(policy: "PlacementPolicy", labels: dict[str, str], path: Path) -> Iterator[Problem]:
    for key, value in labels.items():
        if policy.vocabulary and key not in policy.vocabulary:
            yield (*path, key), _unknown_key(policy, key, 0)
        else:
            yield from _unknown_value(policy, key, value, (*path, key), 0)


def _unknown_in_selector(policy: "PlacementPolicy", text: str, path: Path) -> Iterator[Problem]:
    for requirement in parse_selector(text).requirements:
        if policy.vocabulary and requirement.key not in policy.vocabulary:
            yield path, _unknown_key(policy, requirement.key, text.index(requirement.key, requirement.column))
        elif not _compares(requirement):
            for value in requirement.values:
                after = requirement.column + len(requirement.key)
                yield from _unknown_value(policy, requirement.key, value, path, text.find(value, after))


def _unknown_key(policy: "PlacementPolicy", key: str, column: int) -> PydanticCustomError:
    hint = _nearest(key, list(policy.vocabulary))
    return policy_error("P062", f"the vocabulary has no key `{key}`", hint, column)


def _unknown_value(policy: "PlacementPolicy", key: str, value: str, path: Path, column: int) -> Iterator[Problem]:
    known = policy.vocabulary.get(key)
    if known and value not in known:
        message = f"the vocabulary has no value `{value}` for `{key}`"
        yield path, policy_error("P062", message, _nearest(value, known), column)


def _compares(requirement: Requirement) -> bool:
    return requirement.operator in (">", "<")


def _nearest(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1, 0.5)
    return f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(dict.fromkeys(known)) or 'none'}."
