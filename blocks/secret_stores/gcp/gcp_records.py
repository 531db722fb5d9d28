"""What is read of a secret in Google Cloud and of the record beside it, and what IAM has to grant. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.secret_stores.record import Record, record_from_json
from rules.errors import PermanentError
from rules.rotation import StepKind

if TYPE_CHECKING:
    from google.cloud.secretmanager import Secret

BESIDE = "--vigiles"
"""What the name of the second secret ends with."""

POINTER = "vigiles-record"
"""The annotation that says which version is the record."""

LIMIT = 65_536
"""Bytes of a version."""

_WRITES = (
    *(StepKind.CLAIM, StepKind.INTEND, StepKind.STAGE, StepKind.PROMOTE),
    *(StepKind.CONFIRM, StepKind.DISCARD, StepKind.FORGET),
)
OF_SECRET: Mapping[str, tuple[StepKind, ...]] = {
    "secretmanager.secrets.get": _WRITES,
    "secretmanager.versions.access": _WRITES,
    "secretmanager.versions.add": (StepKind.PROMOTE,),
    "secretmanager.secrets.update": (StepKind.CONFIRM,),
    "secretmanager.versions.list": (StepKind.FORGET,),
    "secretmanager.versions.disable": (StepKind.FORGET,),
}
"""What a rotation has to be allowed on the secret, and for which steps; ``update`` only where aliases are moved."""

OF_RECORD: Mapping[str, tuple[StepKind, ...]] = {
    "secretmanager.secrets.get": _WRITES,
    "secretmanager.secrets.update": _WRITES,
    "secretmanager.versions.access": _WRITES,
    "secretmanager.versions.add": _WRITES,
    "secretmanager.versions.list": _WRITES,
    "secretmanager.versions.destroy": _WRITES,
}
"""What it has to be allowed on the second secret."""


@dataclass(frozen=True, slots=True, repr=False)
class Newest:
    """The secret as it is.

    Attributes:
        number: of its newest version; 0 where there is none.
        latest: the number that readers of ``latest`` get by now.
        settings: of the secret, or None where there is no such secret.
    """

    number: int
    latest: int
    settings: "Secret | None"


@dataclass(frozen=True, slots=True, repr=False)
class Pointer:
    """The second secret as it was read.

    Attributes:
        number: of the version that is the record; 0 where there is none.
        settings: of the second secret, or None where there is none.
    """

    number: int
    settings: "Secret | None"


def pointed_at(settings: "Secret | None") -> int:
    """Return the number of the version that is the record; 0 where there is none.

    Raises:
        PermanentError: if the annotation is no number.
    """
    text = settings.annotations.get(POINTER, "0") if settings is not None else "0"
    if not text.isdecimal():
        raise PermanentError(f"The annotation {POINTER} is no number.", "Restore it from the audit log.")
    return int(text)


def packed(name: str, record: Record) -> str:
    """Return the text of a record.

    Raises:
        PermanentError: if the service would not take it.
    """
    text = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > LIMIT:
        advice = "The record holds two values and has to fit into 64 KiB: shorten the value."
        raise PermanentError(f"The record of {name} grows too large.", advice)
    return text


def parsed(name: str, text: str) -> Record:
    """Return the record of a text.

    Raises:
        PermanentError: if it is none.
    """
    try:
        return record_from_json(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    # Outside of `except`: the cause may hold a value.
    raise PermanentError(
        f"Secret {name} does not hold what was written there.",
        "If no rotation was under way, delete it: the next run starts from the current value.",
    )
