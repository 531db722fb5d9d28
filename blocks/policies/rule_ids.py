"""Which rules there are, read from the modules that declare them: nobody has to remember to add one to a list."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from rules.findings import Rule
from rules.policy_exceptions import EXCEPTION_EXPIRED

POLICY_EDITED = "policy-edited"
"""The rule that every flow checks when it concludes: the policy block is the one that was published."""


def excusable_rules(*sources: ModuleType) -> frozenset[str]:
    """Return the ids that an exception may name: the rules declared in modules, and the one on the policy itself.

    The rule on expired exceptions is not among them: no exception can excuse another one.

    Args:
        sources: modules; of a package, every module in it.
    """
    declared = {value.id for module in _modules(sources) for value in vars(module).values() if isinstance(value, Rule)}
    return frozenset({*declared, POLICY_EDITED} - {EXCEPTION_EXPIRED.id})


def _modules(sources: tuple[ModuleType, ...]) -> Iterator[ModuleType]:
    for source in sources:
        yield source
        for found in pkgutil.iter_modules(getattr(source, "__path__", ())):
            yield import_module(f"{source.__name__}.{found.name}")
