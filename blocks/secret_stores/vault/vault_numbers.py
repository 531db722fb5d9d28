"""Numbers beside the fields that rotate: KV version 2 writes a secret as a whole, and a JSON reader may round them."""

import json
import math
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from rules.errors import PermanentError


def keep(response: Any, *_: object, **__: object) -> None:
    """Let an answer's JSON be read so that a number which cannot be written back as it was is infinite.

    A hook for ``requests``.
    """
    response.json = partial(response.json, parse_float=_as_double, parse_int=_as_whole)


def fields_of(where: str, text: str) -> dict[str, Any]:
    """Return the fields of a secret to be written.

    Args:
        where: path of the secret.
        text: its JSON.

    Raises:
        PermanentError: if a field cannot be written as it was read.
    """
    try:
        fields: dict[str, Any] = json.loads(text, parse_constant=_refused)
    except ValueError:
        pass
    else:
        return fields
    advice = "Store that number as a text, in quotes: vault kv patch PATH FIELD=NUMBER."
    raise PermanentError(f"A field of {where} holds a number that would be rounded when it is written.", advice)


def _as_double(text: str) -> float:
    number = float(text)
    with suppress(InvalidOperation):
        if math.isfinite(number) and Decimal(text) == Decimal(repr(number)):
            return number
    return math.inf


def _as_whole(text: str) -> float:
    # Python refuses to read more than some thousand digits.
    try:
        return int(text)
    except ValueError:
        return math.inf


def _refused(constant: str) -> float:
    raise ValueError(constant)
