"""The access policy: which directory to look into, and which checks are known to be out of reach."""

from typing import ClassVar

from pydantic import Field, field_validator

from blocks.policies.interface import Day, Policy, PolicyPart, Slug, policy_error, refuse
from blocks.policies.rule_ids import excusable_rules
from rules import access, advisories, modes, posture
from rules.access import DECLARABLE


class NotCheckableEntry(PolicyPart):
    """One check that cannot be made from where the flow runs (see ``rules.access``)."""

    check: str = Field(description="The id of the rule that cannot be checked.", min_length=1)
    owner: str = Field(description="Who accepts that.", min_length=1)
    reason: str = Field(description="Why it cannot be checked.", min_length=1)
    expires: Day = Field(description="The last day (UTC) on which that holds, as a quoted YYYY-MM-DD.")

    @field_validator("check")
    @classmethod
    def _check_is_known(cls, value: str) -> str:
        if value not in DECLARABLE:
            raise policy_error(
                "P090", "this is no check that can be out of reach", f"Write one of {', '.join(sorted(DECLARABLE))}."
            )
        return value


class AccessPolicy(Policy):
    """Who may do what: the directory that shows it, and what of it cannot be checked.

    Example:
        Load a published policy:
        ```python
        from blocks.policies.access import AccessPolicy

        policy = AccessPolicy.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Access Policy"
    _block_type_slug: ClassVar[str | None] = "access-policy"
    excusable: ClassVar[frozenset[str]] = excusable_rules(access, posture, advisories, modes)

    directory: Slug = Field(
        description="The access directory, as block type and name: prefect-server-directory/self-hosted."
    )
    not_checkable: list[NotCheckableEntry] = Field(
        default_factory=list, description="Checks that cannot be made from where the flow runs."
    )

    @field_validator("not_checkable")
    @classmethod
    def _one_entry_a_check(cls, value: list[NotCheckableEntry]) -> list[NotCheckableEntry]:
        checks = [entry.check for entry in value]
        first = {check: index for index, check in reversed(list(enumerate(checks)))}
        again = [index for index, check in enumerate(checks) if first[check] != index]
        error = policy_error("P045", "this check has an entry already", "Keep one of them.")
        refuse([((index, "check"), error) for index in again])
        return value

    def references(self) -> tuple[str, ...]:
        """Return the slugs of the blocks that this policy names."""
        return (self.directory,)
