"""The placement policy: what is true of work pools, and what deployments require of the pool they run in."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from blocks.policies.interface import (
    KEY,
    NAME_PATTERN,
    DeploymentPattern,
    Path,
    Policy,
    PolicyPart,
    Problem,
    policy_error,
    refuse,
)
from blocks.policies.placement_checks import check_document
from blocks.policies.rule_ids import excusable_rules
from rules import modes, placement
from rules.selectors import SelectorError, canonical_label, check_key, parse_selector


def _labels(value: object) -> object:
    if not isinstance(value, dict):
        return value
    problems: list[Problem] = [*_bad_keys(value)]
    labels = {key: _canonical(text, (str(key),), problems) for key, text in value.items()}
    refuse(problems)
    return labels


def _vocabulary(value: object) -> object:
    if not isinstance(value, dict) or not all(isinstance(texts, list) for texts in value.values()):
        return value
    problems: list[Problem] = [*_bad_keys(value)]
    vocabulary = {
        key: [_canonical(text, (str(key), index), problems) for index, text in enumerate(texts)]
        for key, texts in value.items()
    }
    refuse(problems)
    return vocabulary


def _bad_keys(labels: dict[object, object]) -> Iterator[Problem]:
    for key in labels:
        try:
            check_key(str(key))
        except SelectorError as error:
            yield (str(key), KEY), _policy_error(error)


def _canonical(value: object, path: Path, problems: list[Problem]) -> str:
    try:
        return canonical_label(value)
    except SelectorError as error:
        problems.append((path, _policy_error(error)))
        return ""


def _policy_error(error: SelectorError) -> PydanticCustomError:
    return policy_error(error.code, error.message, error.hint, error.column)


def _selector(text: str) -> str:
    try:
        parse_selector(text)
    except SelectorError as error:
        raise _policy_error(error) from None
    return text


def _mode(value: object) -> object:
    if value is False:
        raise policy_error("P046", "YAML reads this word as false", 'Write mode: "off", in quotes.')
    return value


Labels = Annotated[dict[str, str], BeforeValidator(_labels)]
"""Label values by key; booleans and whole numbers become text."""

SelectorText = Annotated[str, AfterValidator(_selector)]
"""A label selector in the syntax of Kubernetes, such as ``security=high,environment in (production)``."""


class QueueEntry(PolicyPart):
    """A work queue that its pool may have."""

    name: str = Field(description="The work queue's name.", min_length=1)
    labels: Labels = Field(default_factory=dict, description="Labels that it adds to those of its pool.")


class PoolEntry(PolicyPart):
    """What is true of one work pool: the policy says so, the pool itself cannot."""

    name: str = Field(description="The work pool's name.", min_length=1)
    id: UUID | None = Field(default=None, description="Its id, which a pool made anew under the name does not have.")
    labels: Labels = Field(default_factory=dict, description="What is true of every worker of the pool.")
    queues: list[QueueEntry] | None = Field(
        default=None, description="The queues it may have besides its default one; leave out to allow any."
    )
    accepts: SelectorText | None = Field(
        default=None,
        description=(
            "Which deployments it takes, as a selector over the labels that a deployment's tags of the form key:value "
            "make; leave out to take any."
        ),
    )
    overridable: list[str] | None = Field(
        default=None, description="The job variables its base job template may leave open; leave out to allow any."
    )


class DeploymentSelection(PolicyPart):
    """Which deployments a constraint governs: one hit in each list that is given."""

    tags: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="Deployments that carry one of these tags."
    )
    names: list[DeploymentPattern] = Field(
        default_factory=list,
        description="Deployments whose FLOW/DEPLOYMENT matches one of these; * and ? are wildcards.",
    )
    pools: list[str] = Field(default_factory=list, description="Deployments that run in one of these work pools.")

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if not (self.tags or self.names or self.pools):
            hint = "Give tags, names or pools; names: ['*/*'] selects all."
            raise policy_error("P063", "this constraint selects no deployment", hint)
        return self


class ConstraintEntry(PolicyPart):
    """What some deployments require of the pool they run in."""

    name: str = Field(description="The constraint's name, kebab-case.", pattern=NAME_PATTERN, max_length=60)
    deployments: DeploymentSelection = Field(description="Which deployments it governs.")
    require: SelectorText = Field(description="A selector that the labels of their pool and queue must match.")
    mode: Annotated[Literal["off", "audit", "warn", "enforce"], BeforeValidator(_mode)] = Field(
        default="audit",
        description=(
            "off: reported as skipped. warn: failures are low and end no run. audit: failures count in full. "
            "enforce: as audit, and acted on where the flow's mode allows it too."
        ),
    )


class PlacementPolicy(Policy):
    """What is true of work pools and what deployments require of them (``kind: PlacementPolicy``).

    Example:
        Load a published placement policy:
        ```python
        from blocks.policies.placement import PlacementPolicy

        policy = PlacementPolicy.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Placement Policy"
    _block_type_slug: ClassVar[str | None] = "placement-policy"
    excusable: ClassVar[frozenset[str]] = excusable_rules(placement, modes)

    vocabulary: Annotated[dict[str, list[str]], BeforeValidator(_vocabulary)] = Field(
        default_factory=dict,
        description="Every label key with its allowed values, none for any value; leave out to allow all.",
    )
    pools: list[PoolEntry] = Field(default_factory=list, description="The work pools and what is true of them.")
    constraints: list[ConstraintEntry] = Field(default_factory=list, description="What deployments require.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_document(self)
        return self
