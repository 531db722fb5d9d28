"""Requirements and the selectors they make: whether labels match, and if not, why."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_WHOLE_NUMBER = re.compile(r"[0-9]+")


class Operator(StrEnum):
    """How a requirement looks at its label."""

    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"
    GREATER = ">"
    LESS = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label.

    Attributes:
        key: the label's key.
        operator: how its value is looked at.
        values: one for ``=``, ``!=``, ``>`` and ``<``; one or more for ``in`` and ``notin``; else none.
        column: where it began in the text it was read from, from 0.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    column: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.operator in (Operator.IN, Operator.NOT_IN):
            # A single empty value needs its comma: `()` would be no value at all.
            listed = "," if self.values == ("",) else ",".join(self.values)
            return f"{self.key} {self.operator} ({listed})"
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.ABSENT:
            return f"!{self.key}"
        return f"{self.key}{self.operator}{self.values[0]}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` fulfil this requirement."""
        return self.objection(labels.get(self.key)) is None

    def objection(self, value: str | None) -> str | None:
        """Return why a label's value (None: no such label) does not fulfil this, or None if it does."""
        return _OBJECTIONS[self.operator](self, value)

    @property
    def holds_by_absence(self) -> bool:
        """Whether a missing label fulfils it although it names values: ``!=`` and ``notin``."""
        return self.operator in (Operator.NOT_EQUALS, Operator.NOT_IN)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One requirement that labels do not fulfil.

    Attributes:
        requirement: the requirement.
        reason: why not, as a clause about the label.
    """

    requirement: Requirement
    reason: str

    def __str__(self) -> str:
        return f"`{self.requirement}` does not hold: {self.reason}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold; never none (see ``parse_selector``).

    Attributes:
        requirements: in the order in which they were written.
    """

    requirements: tuple[Requirement, ...]

    def __str__(self) -> str:
        return ",".join(str(r) for r in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` fulfil every requirement."""
        return all(r.matches(labels) for r in self.requirements)

    def mismatches(self, labels: Mapping[str, str]) -> tuple[Mismatch, ...]:
        """Return, requirement by requirement, why ``labels`` do not match; empty if they do."""
        objections = ((r, r.objection(labels.get(r.key))) for r in self.requirements)
        return tuple(Mismatch(r, reason) for r, reason in objections if reason is not None)

    def held_by_absence(self, labels: Mapping[str, str]) -> tuple[Requirement, ...]:
        """Return the requirements that hold only because ``labels`` lack the key."""
        return tuple(r for r in self.requirements if r.holds_by_absence and r.key not in labels)


def explain(selector: Selector, labels: Mapping[str, str]) -> str:
    """Return one sentence that says why ``labels`` do not match, or that they do."""
    mismatches = selector.mismatches(labels)
    return "; ".join(str(m) for m in mismatches) + "." if mismatches else f"`{selector}` holds."


def whole_number(text: str) -> int | None:
    """Return the number that a label's value stands for, or None where it is no whole number."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{v}`" for v in values)


def _wanted(requirement: Requirement, value: str | None) -> str | None:
    if value is None:
        return f"label {requirement.key} is missing"
    if value in requirement.values:
        return None
    return f"label {requirement.key} is `{value}`, not {_listed(requirement.values)}"


def _unwanted(requirement: Requirement, value: str | None) -> str | None:
    return f"label {requirement.key} is `{value}`" if value in requirement.values else None


def _exists(requirement: Requirement, value: str | None) -> str | None:
    return f"label {requirement.key} is missing" if value is None else None


def _absent(requirement: Requirement, value: str | None) -> str | None:
    return None if value is None else f"label {requirement.key} is present, as `{value}`"


def _compared(requirement: Requirement, value: str | None) -> str | None:
    if value is None:
        return f"label {requirement.key} is missing"
    number, bound = whole_number(value), int(requirement.values[0])
    if number is None:
        return f"label {requirement.key} is `{value}`, which is no whole number"
    above = requirement.operator is Operator.GREATER
    if (number > bound) if above else (number < bound):
        return None
    return f"label {requirement.key} is {number}, not {'above' if above else 'below'} {bound}"


_OBJECTIONS: Mapping[Operator, Callable[[Requirement, str | None], str | None]] = {
    Operator.EQUALS: _wanted,
    Operator.IN: _wanted,
    Operator.NOT_EQUALS: _unwanted,
    Operator.NOT_IN: _unwanted,
    Operator.EXISTS: _exists,
    Operator.ABSENT: _absent,
    Operator.GREATER: _compared,
    Operator.LESS: _compared,
}
