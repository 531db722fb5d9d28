"""Every secret store that the contract suite is run over.

The convention: each module in ``support/stores`` that has a backend exports ``BACKENDS = (Entry(...), ...)``, and is
found here by that. Such a module imports no SDK at its top, so that collecting tests stays quick. One that cannot be
imported becomes an entry whose tests fail with the reason, and the others run. A fixture that an entry asks for is
imported in ``tests/blocks/conftest.py``.

The name of an entry is in the ids of its tests: ``pytest tests/blocks -k vault-kv``.
"""

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from support import stores
from support.stores.interface import Backend

_OURS = {"catalogue", "faults", "interface", "world"}


@dataclass(frozen=True)
class Entry:
    """One backend that can be made.

    Attributes:
        name: of the store, such as ``aws-secrets-manager``.
        make: makes the backend, empty, from the test's ``tmp_path`` and the values of ``fixtures``, in their order.
        fixtures: names of the pytest fixtures that it needs, such as a server.
        slow: whether each call takes so long that CI runs only the heart of the suite over it, and ``make proof`` all.
    """

    name: str
    make: Callable[..., Backend]
    fixtures: tuple[str, ...] = ()
    slow: bool = False


def entries() -> tuple[Entry, ...]:
    """Return every backend's entry, in the order of the modules' names."""
    return tuple(_entries())


def _entries() -> Iterator[Entry]:
    for found in pkgutil.iter_modules(stores.__path__):
        if found.name in _OURS:
            continue
        try:
            yield from getattr(import_module(f"{stores.__name__}.{found.name}"), "BACKENDS", ())
        except Exception as error:  # noqa: BLE001 - whatever keeps one backend from being tested fails its own test
            yield Entry(found.name.replace("_", "-"), _broken(error))


def _broken(error: Exception) -> Callable[..., Backend]:
    def make(*_: Any) -> Backend:
        raise error

    return make
