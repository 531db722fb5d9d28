"""What all policy blocks share: version, name, exceptions, and a digest that shows an edit by hand."""

import hashlib
import json
from abc import ABC
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from rules.durations import format_duration, parse_duration

KEY = "[key]"
"""The last step of an error's place where not a value but its key is to blame (pydantic's own word)."""

NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"


def policy_error(
    code: str, message: str, hint: str = "", column: int = 0, path: tuple[str | int, ...] = ()
) -> PydanticCustomError:
    """Return an error that a validator raises so that the loader can report it with its place.

    Args:
        code: the stable code, such as ``P058``.
        message: what is wrong, without the value if that could be a secret.
        hint: what to write instead.
        column: offset in characters from the start of the value, where one character is to blame.
        path: keys and indexes from the validated value down to the part to blame; ``KEY`` last blames a key.
    """
    # Braces would be read as template fields of the message.
    context = {"message": message, "hint": hint, "column": column, "path": path}
    return PydanticCustomError(code, "{message}", context)


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise policy_error("P072", str(error), "Write for example 30m, 24h or 90d.") from None


def _canonical(value: timedelta) -> str:
    return format_duration(value)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(_canonical, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhdw]$"}),
]
"""A length of time, written as a whole number and one of ``s m h d w``."""


class PolicyPart(BaseModel):
    """A mapping inside a policy: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExceptionEntry(PolicyPart):
    """One accepted failure (see ``rules.policy_exceptions``)."""

    rule: str = Field(description="The id of the rule it excuses.", min_length=1)
    subject: str = Field(description="The subject's name; * and ? are wildcards.", min_length=1)
    owner: str = Field(description="Who accepts it.", min_length=1)
    reason: str = Field(description="Why it is accepted.", min_length=1)
    expires: date = Field(description="The last day (UTC) on which it holds, as a quoted YYYY-MM-DD.")


class Policy(Block, ABC):
    """What is wanted, as data: a copy of a document in git, saved by ``vigiles publish``.

    The digest is the SHA-256 of the canonical document. A block whose digest is not that of its fields was edited
    outside git, and flows report that.
    """

    _block_type_slug: ClassVar[str | None]
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL

    version: Literal[1] = Field(description="The version of this kind of document; 1 is the only one.")
    name: str = Field(description="The policy's name, kebab-case.", pattern=NAME_PATTERN, max_length=60)
    exceptions: list[ExceptionEntry] = Field(default_factory=list, description="Failures accepted for a time.")
    digest: str = Field(default="", description="SHA-256 of the document in git; set by publishing.")

    def document(self) -> dict[str, Any]:
        """Return the policy as its YAML document spells it, defaults filled in, with the digest."""
        return self.model_dump(mode="json", by_alias=True, include=set(type(self).model_fields))

    def canonical(self) -> str:
        """Return the document as canonical JSON: keys sorted, without the digest."""
        document = {key: value for key, value in self.document().items() if key != "digest"}
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def compute_digest(self) -> str:
        """Return the SHA-256 of the canonical document, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()
