"""The rotation policy: which secrets are rotated, where they are, how often and when."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from blocks.policies.interface import NAME_PATTERN, Duration, Policy, PolicyPart, Problem, Slug, policy_error, refuse
from blocks.policies.nearest import quoted
from blocks.policies.rule_ids import excusable_rules
from blocks.secret_stores.generation import SHORTEST
from blocks.secret_stores.interface import SecretAddress
from rules import exclusion, rotation
from rules.durations import format_duration
from rules.rotation.blackouts import parse_blackout
from rules.rotation.windows import parse_window


def _window(text: str) -> str:
    try:
        parse_window(text)
    except ValueError as error:
        raise policy_error("P073", str(error), "Write for example Sun 02:00-06:00 Europe/Rome.") from None
    return text


def _blackout(text: str) -> str:
    try:
        parse_blackout(text)
    except ValueError as error:
        raise policy_error("P124", str(error), "Write for example 2026-12-24..2027-01-02 Europe/Rome.") from None
    return text


_Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=200)]
_Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_][A-Za-z0-9/_+=.@-]*$", max_length=400)]
_Window = Annotated[str, AfterValidator(_window)]
_Blackout = Annotated[str, AfterValidator(_blackout)]


class KeysPart(PolicyPart):
    """The keys of a secret whose account rotates with its password."""

    username: _Key = Field(description="The key or field that holds the account's name, or a minted credential's id.")
    password: _Key = Field(description="The key or field that holds its password.")


class SecretEntry(PolicyPart):
    """One secret: where it is, what checks it, and when it is rotated."""

    name: str = Field(description="Its name, kebab-case.", pattern=NAME_PATTERN, max_length=60)
    store: Slug = Field(description="The store block that holds it, such as env-file-store/local.")
    path: _Path | None = Field(
        default=None, description="The secret's path or name in the store; left out where the store is one file."
    )
    key: _Key | None = Field(
        default=None, description="The key in the file, or the field of the secret; left out for all of a secret."
    )
    # Not named `keys`: `dict(model)` would call it, and Prefect does that to every parameter.
    pair: KeysPart | None = Field(
        default=None, alias="keys", description="The keys of a pair of account and password, instead."
    )
    target: Slug | None = Field(
        default=None, description="The target block that checks it, such as postgres-role/warehouse; none for a value."
    )
    every: Duration = Field(description="The longest time between two rotations.")
    window: _Window | None = Field(
        default=None, description="When a rotation may begin, such as Sun 02:00-06:00 Europe/Rome; always if left out."
    )
    jitter: Duration | None = Field(
        default=None, description="How much earlier a rotation may come, so that not all secrets rotate at once."
    )
    before_expiry: Duration | None = Field(
        default=None, description="Rotate so long before the store or the target says that the credential expires."
    )
    blackouts: list[_Blackout] = Field(
        default_factory=list, description="Days on which none begins, such as 2026-12-24..2027-01-02 Europe/Rome."
    )
    grace: Duration = Field(
        default=timedelta(hours=24), description="How long the old version is kept alive beside the new one."
    )
    length: int = Field(default=32, ge=SHORTEST, le=128, description="Characters of a generated value.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        refuse([*self._contradictions()])
        return self

    def _contradictions(self) -> Iterator[Problem]:
        if self.key is not None and self.pair is not None:
            yield (), policy_error("P120", "a secret has either `key` or `keys`", "Give one of the two.")
        if self.path is None and self.key is None and self.pair is None:
            hint = "Give `key` or `keys` for a file, `path` for a store of secrets."
            yield (), policy_error("P120", "nothing says which value rotates", hint)
        if self.pair is not None and self.pair.username == self.pair.password:
            yield ("keys", "password"), policy_error("P045", "both keys are the same", "Use two keys.")
        if self.pair is not None and self.target is None:
            hint = "Name the target, or give `key` for a value that is only generated."
            yield ("keys",), policy_error("P121", "an account needs a target that checks it", hint)
        if self.grace >= self.every:
            hint = f"Make it shorter than {format_duration(self.every)}; 24h is the default."
            at = "grace" if "grace" in self.model_fields_set else "every"
            yield (at,), policy_error("P122", "the grace is not shorter than the time between two rotations", hint)
        if self.jitter is not None and self.jitter + self.grace >= self.every:
            hint = "Together they have to be shorter than `every`."
            yield ("jitter",), policy_error("P123", "jitter and grace leave no time between two rotations", hint)

    @property
    def address(self) -> SecretAddress:
        """Where the secret is in its store."""
        if self.pair is not None:
            return SecretAddress(self.pair.password, self.pair.username, self.path or "")
        return SecretAddress(self.key or "", None, self.path or "")


class RotationPolicy(Policy):
    """Which secrets are rotated, how often and when, and how many a run may change.

    Example:
        Load a published policy:
        ```python
        from blocks.policies.rotation import RotationPolicy

        policy = RotationPolicy.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Rotation Policy"
    _block_type_slug: ClassVar[str | None] = "rotation-policy"
    excusable: ClassVar[frozenset[str]] = excusable_rules(rotation, exclusion)

    secrets: list[SecretEntry] = Field(description="The secrets, each with its schedule.", min_length=1)
    blackouts: list[_Blackout] = Field(
        default_factory=list, description="Days on which no rotation of any of them begins."
    )
    max_changes: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="The most secrets that a run may change; more stop it before the first.",
    )

    @model_validator(mode="after")
    def _names_and_keys_are_unique(self) -> Self:
        refuse([*self._shared()])
        return self

    def _shared(self) -> Iterator[Problem]:
        names: set[str] = set()
        written: dict[tuple[str, str], str] = {}
        targets: dict[str, str] = {}
        for index, secret in enumerate(self.secrets):
            if secret.name in names:
                message = f"another secret has the name {quoted(secret.name)}"
                yield ("secrets", index, "name"), policy_error("P045", message, "Give each its own name.")
            names.add(secret.name)
            # Beside a secret there is one journal, whatever its fields.
            for key in (secret.path.strip("/"),) if secret.path else secret.address.keys:
                owner = written.get((secret.store, key))
                if owner is not None:
                    message = f"{quoted(owner)} writes {quoted(key)} of this store too"
                    part = "path" if secret.path else "key" if secret.pair is None else "keys"
                    yield ("secrets", index, part), policy_error("P045", message, "One entry owns a secret.")
                written.setdefault((secret.store, key), secret.name)
            changed_by = targets.setdefault(secret.target, secret.name) if secret.target else secret.name
            if changed_by != secret.name:
                message = f"{quoted(changed_by)} rotates the account of {quoted(secret.target or '')} too"
                hint = "Two rotations of one account lock each other out. Keep it in one secret."
                yield ("secrets", index, "target"), policy_error("P125", message, hint)

    def entries(self) -> tuple[SecretEntry, ...]:
        """Return the secrets, each with the blackouts that hold for all."""
        shared = self.blackouts
        return tuple(s.model_copy(update={"blackouts": [*s.blackouts, *shared]}) for s in self.secrets)

    def references(self) -> tuple[str, ...]:
        """Return the slugs of the blocks that the policy names: stores, then targets."""
        stores = [secret.store for secret in self.secrets]
        targets = [secret.target for secret in self.secrets if secret.target is not None]
        return tuple(dict.fromkeys([*stores, *targets]))
