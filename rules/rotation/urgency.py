"""In which order secrets are worked on: what was cut in the middle first, then what is longest overdue."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from rules.rotation.journal import Journal
from rules.rotation.planning import Plan

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Waiting(Protocol):
    """What the rules need to know of a secret that waits for its turn."""

    @property
    def coming(self) -> Plan | None:
        """Its plan."""

    @property
    def journal(self) -> Journal:
        """Its journal."""


_Waiting = TypeVar("_Waiting", bound=Waiting)


def most_urgent_first(secrets: Iterable[_Waiting]) -> list[_Waiting]:
    """Return the secrets in the order in which they should be worked on; among equals their order is kept."""
    return sorted(secrets, key=_urgency)


def _urgency(secret: Waiting) -> tuple[bool, datetime]:
    due_since = secret.coming.due_since if secret.coming else None
    return (not secret.journal.under_way, due_since or _LONG_AGO)
