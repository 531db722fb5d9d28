"""The retention policy: how long what is kept, what is held, and the most that one run may delete."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from blocks.policies.interface import (
    NAME_PATTERN,
    SLUG_PATTERN,
    Day,
    DeploymentPattern,
    Duration,
    Policy,
    PolicyPart,
    Problem,
    policy_error,
    refuse,
)
from blocks.policies.nearest import quoted
from blocks.policies.rule_ids import excusable_rules
from rules import exclusion, retention

DEFAULT_STORE = "default"
"""The name that stands for the default result storage of the server and its settings."""

_LEAST_GRACE = timedelta(minutes=1)
_Text = Annotated[str, StringConstraints(min_length=1)]


def _store(name: str) -> str:
    if name != DEFAULT_STORE and re.fullmatch(SLUG_PATTERN, name) is None:
        raise policy_error(
            "P111", "a store is default or a block", "Write default, or type-slug/name: local-file-system/results."
        )
    return name


class RunMatch(PolicyPart):
    """Which runs are meant: every key that is given must fit, and one value of a key is enough."""

    all: bool = Field(default=False, description="Every run; stands alone.")
    tags: list[_Text] = Field(default_factory=list, description="Tags of the run; * and ? are wildcards.")
    flows: list[_Text] = Field(default_factory=list, description="Names of flows; * and ? are wildcards.")
    deployments: list[DeploymentPattern] = Field(
        default_factory=list, description="Deployments as flow/deployment; * and ? are wildcards."
    )

    @model_validator(mode="after")
    def _says_what_it_means(self) -> Self:
        keys = bool(self.tags or self.flows or self.deployments)
        if not keys and not self.all:
            raise policy_error("P056", "an empty match would mean every run", "Write all: true if it should.")
        if keys and self.all:
            raise policy_error("P112", "all: true makes the other keys meaningless", "Leave all out.", path=("all",))
        return self


class StoreEntry(PolicyPart):
    """One result store."""

    block: Annotated[str, AfterValidator(_store)] = Field(
        description="The storage block as type-slug/name, or default for the default result storage."
    )
    exclusive: bool = Field(
        default=False,
        description="Whether only this Prefect server writes to it. Only then are results without a run deleted.",
    )


class RetentionRule(PolicyPart):
    """How long what some runs leave behind is kept. Where several rules match a run, the longest period wins."""

    name: str = Field(description="Its name, kebab-case.", pattern=NAME_PATTERN, max_length=60)
    match: RunMatch = Field(description="The runs it is about.")
    unless: RunMatch | None = Field(default=None, description="The runs among them that it is not about.")
    results: Duration | None = Field(default=None, description="How long results are kept after their run has ended.")
    artifacts: Duration | None = Field(
        default=None, description="How long artifacts with a type are kept after they were written."
    )
    runs: Duration | None = Field(
        default=None, description="How long the runs themselves are kept. Not enforced yet, and reported so."
    )
    keep_last: int | None = Field(
        default=None, ge=1, le=100_000, description="The latest ended runs of each flow that keep everything."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.results is None and self.artifacts is None and self.runs is None:
            raise policy_error("P113", "the rule keeps nothing", "Give results, artifacts or runs a duration.")
        return self


class HoldEntry(PolicyPart):
    """What may not be deleted, whatever any rule says."""

    match: RunMatch = Field(description="The runs it is about; their subflow and task runs are held with them.")
    owner: _Text = Field(description="Who asked for it.")
    reason: _Text = Field(description="Why.")
    expires: Day = Field(description="The last day (UTC) on which it holds, as a quoted YYYY-MM-DD.")


class LimitsPart(PolicyPart):
    """The most that one run may delete; exceeding one stops everything before the first deletion."""

    objects: int = Field(default=10_000, ge=1, le=100_000_000, description="Objects and artifacts together.")
    percent: int = Field(default=20, ge=1, le=100, description="Percent of all objects, and of all artifacts.")


class RetentionPolicy(Policy):
    """How long results and artifacts are kept, what is held, and the most that one run may delete.

    Where several rules match a run, the longest period wins; `unless` takes runs out of a broad rule, so that a
    narrow one may keep them shorter. What no rule matches is kept.

    Example:
        Load a published policy:
        ```python
        from blocks.policies.retention import RetentionPolicy

        policy = RetentionPolicy.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Retention Policy"
    _block_type_slug: ClassVar[str | None] = "retention-policy"
    excusable: ClassVar[frozenset[str]] = excusable_rules(retention, exclusion)

    stores: list[StoreEntry] = Field(default_factory=list, description="The result stores that it is about.")
    rules: list[RetentionRule] = Field(description="How long what is kept.", min_length=1)
    holds: list[HoldEntry] = Field(default_factory=list, description="What may not be deleted.")
    caches: Literal["keep", "expire"] = Field(
        default="keep",
        description="What to do with results that may be caches which never expire: keep them for ever, or let them "
        "expire with the runs that use them.",
    )
    limits: LimitsPart = Field(default_factory=LimitsPart, description="The most that one run may delete.")
    grace: Duration = Field(
        default=timedelta(hours=1), description="How old everything must be before it can be condemned."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        refuse([*self._contradictions()])
        return self

    def _contradictions(self) -> Iterator[Problem]:
        yield from _named_twice([rule.name for rule in self.rules], "rules", "name")
        yield from _named_twice([store.block for store in self.stores], "stores", "block")
        if self.grace < _LEAST_GRACE:
            yield ("grace",), policy_error("P114", "the grace is too short", "Give it at least 1m; 1h is the default.")
        if not self.stores and any(rule.results for rule in self.rules):
            hint = "Add stores: [{block: default}]."
            yield (), policy_error("P115", "rules keep results, but no store is named", hint)

    def references(self) -> tuple[str, ...]:
        """Return the blocks that the policy names, as type-slug/name."""
        return tuple(store.block for store in self.stores if store.block != DEFAULT_STORE)


def _named_twice(names: Sequence[str], part: str, key: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield (part, index, key), policy_error("P045", f"{quoted(name)} is named twice", "Names are unique.")
        seen.add(name)
