"""What must agree between the parts of a placement policy. Every fault is reported, each with its place."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from blocks.policies.interface import Path, Problem, policy_error, refuse
from blocks.policies.nearest import Nearest, quoted
from rules.placement.governing import tag_label
from rules.selectors import Requirement, parse_selector

if TYPE_CHECKING:
    from blocks.policies.placement import PlacementPolicy


def check_document(policy: "PlacementPolicy") -> None:
    """Check what no single part of the document can check by itself.

    Raises:
        ValidationError: with every fault.
    """
    words = _Words(policy)
    refuse([problem for check in _CHECKS for problem in check(policy, words)])


class _Words:
    """What the policy declares, to look up in: a document may have ten thousands of labels."""

    def __init__(self, policy: "PlacementPolicy") -> None:
        self.nearest = Nearest()
        self.pools = dict.fromkeys(pool.name for pool in policy.pools)
        self._vocabulary = {key: dict.fromkeys(values) for key, values in policy.vocabulary.items()}

    def lacks_key(self, key: str) -> bool:
        return bool(self._vocabulary) and key not in self._vocabulary

    def unknown_key(self, key: str, column: int) -> PydanticCustomError:
        hint = self.nearest.hint(key, self._vocabulary)
        return policy_error("P062", f"the vocabulary has no key {quoted(key)}", hint, column)

    def unknown_value(self, key: str, value: str, path: Path, column: int) -> Iterator[Problem]:
        known = self._vocabulary.get(key)
        if known and value not in known:
            message = f"the vocabulary has no value {quoted(value)} for {quoted(key)}"
            yield path, policy_error("P062", message, self.nearest.hint(value, known), column)


def _not_empty(policy: "PlacementPolicy", _: _Words) -> Iterator[Problem]:
    if not policy.pools and not policy.constraints:
        yield (), policy_error("P065", "the policy declares neither pools nor constraints: it would check nothing")


def _names_are_unique(policy: "PlacementPolicy", _: _Words) -> Iterator[Problem]:
    yield from _duplicates("pool", [p.name for p in policy.pools], ("pools",))
    yield from _duplicates("constraint", [c.name for c in policy.constraints], ("constraints",))
    for index, pool in enumerate(policy.pools):
        yield from _duplicates("queue", [q.name for q in pool.queues or ()], ("pools", index, "queues"))


def _labels_are_known(policy: "PlacementPolicy", words: _Words) -> Iterator[Problem]:
    for index, pool in enumerate(policy.pools):
        yield from _unknown_labels(words, pool.labels, ("pools", index, "labels"))
        for number, queue in enumerate(pool.queues or ()):
            path = ("pools", index, "queues", number, "labels")
            yield from _unknown_labels(words, queue.labels, path)
            for key in queue.labels.keys() & pool.labels.keys():
                if queue.labels[key] != pool.labels[key]:
                    ours, theirs = quoted(queue.labels[key]), quoted(pool.labels[key])
                    message = f"for {quoted(key)} the queue says {ours}, its pool {theirs}"
                    yield (*path, key), policy_error("P064", message, "A queue only adds labels to those of its pool.")


def _selectors_are_known(policy: "PlacementPolicy", words: _Words) -> Iterator[Problem]:
    for index, pool in enumerate(policy.pools):
        if pool.accepts is not None:
            yield from _unknown_in_selector(words, pool.accepts, ("pools", index, "accepts"))
    for index, constraint in enumerate(policy.constraints):
        yield from _unknown_in_selector(words, constraint.require, ("constraints", index, "require"))
        for number, tag in enumerate(constraint.deployments.tags):
            label = tag_label(tag)
            if label is not None:
                path = ("constraints", index, "deployments", "tags", number)
                yield from words.unknown_value(*label, path, len(label[0]) + 1)


def _pools_are_declared(policy: "PlacementPolicy", words: _Words) -> Iterator[Problem]:
    for index, constraint in enumerate(policy.constraints):
        for number, name in enumerate(constraint.deployments.pools):
            if name not in words.pools:
                path = ("constraints", index, "deployments", "pools", number)
                hint = words.nearest.hint(name, words.pools)
                yield path, policy_error("P060", f"the policy declares no pool {quoted(name)}", hint)


_CHECKS: tuple[Callable[["PlacementPolicy", _Words], Iterator[Problem]], ...] = (
    _not_empty,
    _names_are_unique,
    _labels_are_known,
    _selectors_are_known,
    _pools_are_declared,
)


def _duplicates(what: str, names: Sequence[str], path: Path) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            message = f"the {what} name {quoted(name)} is used twice"
            hint = f"It is also that of {what} {first[name] + 1} in the list."
            yield (*path, index, "name"), policy_error("P045", message, hint)


def _unknown_labels(words: _Words, labels: dict[str, str], path: Path) -> Iterator[Problem]:
    for key, value in labels.items():
        if words.lacks_key(key):
            yield (*path, key), words.unknown_key(key, 0)
        else:
            yield from words.unknown_value(key, value, (*path, key), 0)


def _unknown_in_selector(words: _Words, text: str, path: Path) -> Iterator[Problem]:
    for requirement in parse_selector(text).requirements:
        if words.lacks_key(requirement.key):
            yield path, words.unknown_key(requirement.key, text.index(requirement.key, requirement.column))
        elif not _compares(requirement):
            for value in requirement.values:
                after = requirement.column + len(requirement.key)
                yield from words.unknown_value(requirement.key, value, path, text.find(value, after))


def _compares(requirement: Requirement) -> bool:
    return requirement.operator in (">", "<")
