"""The access policy: which directory to look into, and which checks are known to be out of reach."""

from datetime import date
from typing import ClassVar

from pydantic import Field, field_validator

from blocks.policies.interface import Policy, PolicyPart, policy_error
from rules.access import DECLARABLE


class NotCheckableEntry(PolicyPart):
    """One check that cannot be made from where the flow runs (see ``rules.access``)."""

    check: str = Field(description="The id of the rule that cannot be checked.", min_length=1)
    owner: str = Field(description="Who accepts that.", min_length=1)
    reason: str = Field(description="Why it cannot be checked.", min_length=1)
    expires: date = Field(description="The last day (UTC) on which that holds, as a quoted YYYY-MM-DD.")

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

    directory: str = Field(
        description="The access directory, as block type and name: prefect-server-directory/self-hosted.",
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
    )
    not_checkable: list[NotCheckableEntry] = Field(
        default_factory=list, description="Checks that cannot be made from where the flow runs."
    )

    @field_validator("not_checkable")
    @classmethod
    def _one_entry_a_check(cls, value: list[NotCheckableEntry]) -> list[NotCheckableEntry]:
        seen: set[str] = set()
        for index, entry in enumerate(value):
            if entry.check in seen:
                raise policy_error(
                    "P045", "this check has an entry already", "Keep one of them.", path=(index, "check")
                )
            seen.add(entry.check)
        return value

    def references(self) -> tuple[str, ...]:
        """Return the slugs of the blocks that this policy names."""
        return (self.directory,)
