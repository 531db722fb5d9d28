"""A small policy with one of everything that a document may hold: the loader is tested on it, not on a real kind."""

from datetime import date
from typing import Literal

from pydantic import Field, field_validator

from blocks.policies.interface import NAME_PATTERN, Duration, Policy, PolicyPart, policy_error


class TrialPart(PolicyPart):
    """A named thing."""

    name: str = Field(description="Its name.", pattern=NAME_PATTERN)
    every: Duration | None = Field(default=None, description="How often.")
    mode: Literal["off", "audit", "warn", "enforce"] = Field(default="audit", description="How strictly.")
    require: str = Field(default="a=1", description="A selector.")
    count: int = Field(default=1, description="How many.", ge=1, le=10)
    active: bool = Field(default=True, description="Whether it counts.")
    on: date | None = Field(default=None, description="A day.")
    words: tuple[str, ...] = Field(default=(), description="Some words.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    keys: dict[str, str] = Field(default_factory=dict, description="Names of keys.")

    @field_validator("require")
    @classmethod
    def _closed(cls, value: str) -> str:
        if value.count("(") != value.count(")"):
            raise policy_error("P058", "this parenthesis is not closed", "Add `)`.", column=value.rindex("("))
        if value == "explode":
            raise RuntimeError(value)
        return value


class TrialByBlock(PolicyPart):
    """One branch of a union."""

    block: str = Field(description="A block.")
    exclusive: bool = Field(default=False, description="Whether it is ours alone.")


class TrialByFolder(PolicyPart):
    """The other branch."""

    folder: str = Field(description="A folder.")
    depth: int = Field(description="How deep.")


class TrialPolicy(Policy):
    """A policy for tests.

    Example:
        ```python
        from support.trial_policy import TrialPolicy

        policy = TrialPolicy.load("BLOCK_NAME")
        ```
    """

    _block_type_slug = "trial-policy"
    _block_type_name = "Trial Policy"

    max_changes: int = Field(default=20, description="How much may change.", ge=0)
    things: list[TrialPart] = Field(description="The things.", min_length=1)
    places: list[TrialByBlock | TrialByFolder] = Field(default_factory=list, description="Where.")
    vocabulary: dict[str, list[str]] = Field(default_factory=dict, description="Words by topic.")

    def references(self) -> tuple[str, ...]:
        """Return the blocks that it names."""
        return tuple(place.block for place in self.places if isinstance(place, TrialByBlock))


TRIAL_KINDS = {"TrialPolicy": lambda: TrialPolicy}

GOOD = """\
kind: TrialPolicy
version: 1
name: trial
things:
  - {name: one, every: 30d}
"""
