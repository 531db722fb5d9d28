"""What all policy blocks share: version, name, exceptions, a digest that shows an edit by hand, and kinds of values."""

import hashlib
import json
import re
from abc import ABC
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from prefect.blocks.core import Block
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from blocks.policies.nearest import Nearest, quoted
from blocks.policies.rule_ids import excusable_rules
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from rules.durations import format_duration, parse_duration

KEY = "[key]"
"""The last step of an error's place where not a value but its key is to blame (pydantic's own word)."""

NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"

SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*$"
"""A block, as type-slug/name."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ARTIFACT_ENDINGS = ("-findings", "-changes")

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the value that is being validated down to a part of it."""

Problem: TypeAlias = tuple[Path, PydanticCustomError]
"""One fault, and where it is."""


def policy_error(code: str, message: str, hint: str = "", column: int = 0, path: Path = ()) -> PydanticCustomError:
    """Return an error that a validator raises so that the loader can report it with its place.

    Args:
        code: the stable code, such as ``P058``.
        message: what is wrong; words of the document in back quotes, so that the loader hides what could be a secret.
        hint: what to write instead, likewise.
        column: offset in characters from the start of the value, where one character is to blame.
        path: keys and indexes from the validated value down to the part to blame; ``KEY`` last blames a key.
    """
    # Braces would be read as template fields of the message.
    context = {"message": message, "hint": hint, "column": column, "path": path}
    return PydanticCustomError(code, "{message}", context)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise every problem at once, each at its path below the value that is being validated.

    Raises:
        ValidationError: if there is any.
    """
    if problems:
        lines = [InitErrorDetails(type=error, loc=path, input=None) for path, error in problems]
        raise ValidationError.from_exception_data("policy", lines)


def _day(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    # Pydantic would take seconds since 1970 and times of day too.
    raise PydanticKnownError("date_type")


def _deployment(pattern: str) -> str:
    flow, slash, deployment = pattern.partition("/")
    if not (flow and slash and deployment):
        raise policy_error("P061", "this names no deployment", "Write FLOW/DEPLOYMENT, such as nightly/* or */prod.")
    return pattern


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise policy_error("P041", "`version` is not known", "This release supports 1.")
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""A day, written as exactly YYYY-MM-DD."""

Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
"""A block, as type-slug/name."""

DeploymentPattern = Annotated[str, AfterValidator(_deployment)]
"""Deployments as FLOW/DEPLOYMENT, where ``*`` and ``?`` are wildcards."""


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
    expires: Day = Field(description="The last day (UTC) on which it holds, as a quoted YYYY-MM-DD.")


class Policy(Block, ABC):
    """What is wanted, as data: a copy of a document in git, saved by ``vigiles publish``.

    The digest is the SHA-256 of the canonical document. A block whose digest is not that of its fields was edited
    outside git, and flows report that.
    """

    _block_type_slug: ClassVar[str | None]
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL

    excusable: ClassVar[frozenset[str]] = excusable_rules()
    """The ids of the rules that an exception may name: those that the policy's flow can report."""

    version: Annotated[Literal[1], BeforeValidator(_number)] = Field(
        description="The version of this kind of document; 1 is the only one."
    )
    name: str = Field(description="The policy's name, kebab-case.", pattern=NAME_PATTERN, max_length=60)
    exceptions: list[ExceptionEntry] = Field(default_factory=list, description="Failures accepted for a time.")
    digest: str = Field(default="", description="SHA-256 of the document in git; set by publishing.")

    @field_validator("name")
    @classmethod
    def _artifacts_have_keys_of_their_own(cls, value: str) -> str:
        if value.endswith(_ARTIFACT_ENDINGS):
            hint = "A report's tables have these endings, so those of another policy could overwrite this one's report."
            raise policy_error("P044", "`name` ends with -findings or -changes", hint)
        return value

    @field_validator("exceptions")
    @classmethod
    def _exceptions_name_rules(cls, value: list[ExceptionEntry]) -> list[ExceptionEntry]:
        nearest, known = Nearest(), sorted(cls.excusable)
        unknown = [(index, entry.rule) for index, entry in enumerate(value) if entry.rule not in cls.excusable]
        refuse(
            [
                (
                    (index, "rule"),
                    policy_error("P066", f"{quoted(rule)} is no rule of this policy", nearest.hint(rule, known)),
                )
                for index, rule in unknown
            ]
        )
        return value

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
