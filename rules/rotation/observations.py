"""What is observed of one secret before a step is decided: pointers of the store, proofs from the target, journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from rules.rotation.journal import Journal


class TargetKind(StrEnum):
    """How the place that checks a credential takes a new one."""

    GENERATED = "generated"
    """There is no target: the value only has to be in the store."""

    ALTERNATING = "alternating"
    """Two accounts take turns, so that the old credential works until it is retired."""

    DUAL = "dual"
    """One account that accepts two passwords at a time."""

    MINT = "mint"
    """The target makes the credential itself and shows it once; each has an id and can be taken back by it."""

    SINGLE_SLOT = "single-slot"
    """One account with one password: the old one dies in the moment the new one is applied."""


class SecretPolicy(Protocol):
    """What the rules need to know of one secret's entry in the policy."""

    @property
    def name(self) -> str:
        """The secret's name in the policy."""

    @property
    def target(self) -> str | None:
        """What checks its credential, as the policy names it; None for nothing."""

    @property
    def every(self) -> timedelta:
        """The longest time between two rotations."""

    @property
    def window(self) -> str | None:
        """When a rotation may begin (see ``rules.rotation.windows``); None for always."""

    @property
    def grace(self) -> timedelta:
        """How long the old version is kept alive after the new one became current."""

    @property
    def jitter(self) -> timedelta | None:
        """How much earlier than due a rotation may come, so that secrets made together do not rotate together."""

    @property
    def before_expiry(self) -> timedelta | None:
        """How long before the credential or its entry in the store expires it is rotated."""

    @property
    def blackouts(self) -> Sequence[str]:
        """Dates on which no rotation may begin (see ``rules.rotation.blackouts``)."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential that a mint-style target lists; never its value.

    Attributes:
        id: what the target calls it.
        created_at: when it was made (aware, UTC), or None where the target does not say.
        used: whether it was ever used, or None where the target does not say.
        expires_at: when it stops working (aware, UTC), or None where it does not or the target does not say.
        enabled: whether it is accepted.
    """

    id: str
    created_at: datetime | None = None
    used: bool | None = None
    expires_at: datetime | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that ``next_step`` may know.

    Versions are named by ids, never by values.

    Attributes:
        kind: how the target takes a new credential.
        current: the version that consumers read, or None where there is none yet.
        pending: the version that is staged, or None.
        previous: the version that was current before, while it is kept, or None.
        journal: what the store's journal says.
        expires_at: when the store says that the secret expires (aware, UTC), or None.
        claimed: the epoch that the asking run holds, or None while it holds none.
        proofs: by version id, whether a login with it succeeded (without a target: whether it could be read back).
            A version that is missing has not been tried since the target was last changed.
        strict: versions whose account was seen to refuse some credential, so that an accepted one proves something.
        accounts: by version id, the account or credential id that it names, as far as it was revealed.
        credentials: what a mint-style target lists, or None while it was not asked since it was last changed.
        capacity: how many credentials a mint-style target allows at a time, or None for no limit.
        made: whether the asking run itself staged the version that is pending, or was until it was promoted.
        fresh: whether the asking run itself made the pending version, so that the target cannot know it yet.
        applied: how often the asking run applied the pending version.
        rejected: how often the target's own rules refused the pending version in this run.
        undone: how often the asking run took the pending version back from the target.
        retired: how often the asking run retired the previous version.
    """

    kind: TargetKind
    current: str | None = None
    pending: str | None = None
    previous: str | None = None
    journal: Journal = field(default_factory=Journal)
    expires_at: datetime | None = None
    claimed: int | None = None
    proofs: Mapping[str, bool] = field(default_factory=dict)
    strict: frozenset[str] = frozenset()
    accounts: Mapping[str, str | None] = field(default_factory=dict)
    credentials: tuple[Credential, ...] | None = None
    capacity: int | None = None
    made: bool = False
    fresh: bool = False
    applied: int = 0
    rejected: int = 0
    undone: int = 0
    retired: int = 0
