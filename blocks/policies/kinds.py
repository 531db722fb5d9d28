"""Which class reads which ``kind`` of document. Each class is imported when the first document asks for it."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TypeAlias

from blocks.policies.interface import Policy

Kinds: TypeAlias = Mapping[str, Callable[[], type[Policy]]]
"""From a ``kind`` to what returns its class."""


def _imported(module: str, name: str) -> type[Policy]:
    policy_class = getattr(import_module(module), name)
    if not (isinstance(policy_class, type) and issubclass(policy_class, Policy)):
        raise TypeError(f"{module}.{name} is no policy")
    return policy_class


KINDS: Kinds = {
    "RotationPolicy": partial(_imported, "blocks.policies.rotation", "RotationPolicy"),
    "PlacementPolicy": partial(_imported, "blocks.policies.placement", "PlacementPolicy"),
    "RetentionPolicy": partial(_imported, "blocks.policies.retention", "RetentionPolicy"),
    "AccessPolicy": partial(_imported, "blocks.policies.access", "AccessPolicy"),
}
"""The four kinds."""
