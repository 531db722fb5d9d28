"""What one run remembers of one secret, and a crash forgets: logins that were tried, values that were read."""

from dataclasses import dataclass, field

from blocks.secret_stores.interface import SecretVersion, StoreState
from rules.rotation import Credential, Observation, TargetKind


@dataclass(repr=False)
class Memory:
    """What a run knows beyond what the store says.

    Attributes:
        state: what the store said last, or None where it has to be asked again.
        heard_at: when the store said so (monotonic seconds).
        claimed: the epoch that this run holds.
        values: versions that were read or made, by id.
        proofs: by version id, whether a login succeeded since the target was last changed.
        refused: accounts that were seen to refuse some credential.
        credentials: what a mint-style target listed since it was last changed.
        made: whether this run staged the version that is pending, or was until it was promoted.
        fresh: whether this run made the pending version.
        in_doubt: whether a version of this run may have been stored although no answer came.
        applied: how often it applied the pending version.
        rejected: how often the target's rules refused that.
        undone: how often it took the pending version back.
        retired: how often it retired the previous version.
    """

    state: StoreState | None = None
    heard_at: float = float("-inf")
    claimed: int | None = None
    values: dict[str, SecretVersion] = field(default_factory=dict)
    proofs: dict[str, bool] = field(default_factory=dict)
    refused: set[str | None] = field(default_factory=set)
    credentials: tuple[Credential, ...] | None = None
    made: bool = False
    fresh: bool = False
    in_doubt: bool = False
    applied: int = 0
    rejected: int = 0
    undone: int = 0
    retired: int = 0

    def observation(self, kind: TargetKind, capacity: int | None) -> Observation:
        """Return all that the rules may know; the store's state has to be known."""
        state = self.state
        assert state is not None
        accounts = {version: value.username for version, value in self.values.items()}
        return Observation(
            kind=kind,
            current=state.current,
            pending=state.pending,
            previous=state.previous,
            journal=state.journal,
            expires_at=state.expires_at,
            claimed=self.claimed,
            proofs=dict(self.proofs),
            strict=frozenset(version for version, account in accounts.items() if account in self.refused),
            accounts=accounts,
            credentials=self.credentials,
            capacity=capacity,
            made=self.made,
            fresh=self.fresh,
            applied=self.applied,
            rejected=self.rejected,
            undone=self.undone,
            retired=self.retired,
        )

    def tried(self, version: SecretVersion, *, accepted: bool) -> None:
        """Note how a login went."""
        self.proofs[version.id] = accepted
        if not accepted:
            self.refused.add(version.username)

    def begin_another(self) -> None:
        """Forget what concerned a pending version that is gone or replaced."""
        self.made, self.fresh, self.applied, self.rejected, self.undone = False, False, 0, 0, 0
