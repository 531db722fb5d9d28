"""Every rule of the project, found in the modules themselves; run it to print the README's table."""

import importlib
import pkgutil
from collections.abc import Iterator

import flows
import rules
from rules.findings import Rule


def _rules_in(value: object, depth: int = 2) -> Iterator[Rule]:
    if isinstance(value, Rule):
        yield value
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from _rules_in(item, depth - 1)
    elif depth and isinstance(value, tuple | list | set | frozenset):
        for item in value:
            yield from _rules_in(item, depth - 1)


def all_rules() -> dict[str, Rule]:
    """Return every rule by id; an id that two rules share is an error."""
    found: dict[str, Rule] = {}
    for package in (rules, flows):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                for rule in _rules_in(value):
                    assert found.setdefault(rule.id, rule) == rule, f"two rules are called {rule.id}"
    return dict(sorted(found.items()))


def table() -> str:
    """Return the README's table of rules."""
    lines = ["| Rule | Severity | Demands |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{r.id}` | {r.severity} | {r.title} |" for r in all_rules().values())])


if __name__ == "__main__":
    print(table())  # noqa: T201 - it is what running this module is for
