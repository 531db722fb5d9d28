"""Whether requirements exclude one another, so that no labels could ever fulfil them all."""

from collections.abc import Sequence

from rules.selectors.requirements import Operator, Requirement

_NEEDS_THE_LABEL = frozenset({Operator.EQUALS, Operator.IN, Operator.EXISTS, Operator.GREATER, Operator.LESS})


def first_contradiction(requirements: Sequence[Requirement]) -> int | None:
    """Return the index of the first requirement that contradicts those before it on the same key, or None."""
    for index, requirement in enumerate(requirements):
        if _impossible([r for r in requirements[: index + 1] if r.key == requirement.key]):
            return index
    return None


def _impossible(requirements: Sequence[Requirement]) -> bool:
    operators = {r.operator for r in requirements}
    if Operator.ABSENT in operators:
        return bool(operators & _NEEDS_THE_LABEL)
    if operators & {Operator.EQUALS, Operator.IN}:
        allowed = next(r.values for r in requirements if r.operator in (Operator.EQUALS, Operator.IN))
        return not any(all(r.objection(value) is None for r in requirements) for value in allowed)
    return _empty_range(requirements)


def _empty_range(requirements: Sequence[Requirement]) -> bool:
    # A label's value begins with a letter or digit: there are no negative ones.
    above = max((int(r.values[0]) for r in requirements if r.operator is Operator.GREATER), default=-1)
    below = min((int(r.values[0]) for r in requirements if r.operator is Operator.LESS), default=None)
    return below is not None and below <= max(above, -1) + 1
