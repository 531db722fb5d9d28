"""Performing the rotation of one secret: look, ask the rules for the next step, do it, look again.

Nothing is remembered between two runs but what the store and the target hold. Within a run it remembers which logins
succeeded since the target was last touched, and how often it touched it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from blocks.policies.rotation import SecretEntry
from blocks.rotation_targets.interface import RotationTarget
from blocks.secret_stores.generation import generate_password
from blocks.secret_stores.interface import SecretStore, SecretVersion, VersionGoneError
from rules.errors import PermanentError, VigilesError
from rules.rotation import Decision, Observation, Step, StepKind, TargetKind, next_step

LONGEST = 40
"""Steps after which a run stops: a rotation has about a dozen."""


class Rotation:
    """The rotation of one secret, as far as one run takes it.

    Attributes:
        step: the step being done, or None between steps.
        steps: the steps with an effect that were done.
        at_target: whether the last call was to the target and not to the store.
    """

    def __init__(
        self,
        secret: SecretEntry,
        store: SecretStore,
        target: RotationTarget | None,
        now: datetime,
        check_lease: Callable[[float], None],
    ) -> None:
        self._secret = secret
        self._address = secret.address
        self._store = store
        self._target = target
        self._now = now
        self._check_lease = check_lease
        self._claimed: int | None = None
        self._proofs: dict[str, bool] = {}
        self._touched = {StepKind.APPLY: 0, StepKind.RETIRE: 0}
        self.step: Step | None = None
        self.steps: list[Step] = []
        self.at_target = False

    def preflight(self) -> None:
        """Check that the rotation could be done, without changing anything.

        Raises:
            TemporaryError, PermanentError: if it could not.
        """
        with self._scrubbed():
            self._store.preflight(self._address)
            if self._target is not None:
                self.at_target = True
                if self._target.kind is TargetKind.ALTERNATING and self._address.username is None:
                    message = f"{self._secret.target} alternates between accounts, and {self._secret.name} has one key."
                    raise PermanentError(message, "Give the secret `keys` with username and password.")
                self._target.preflight()

    def look(self) -> Observation:
        """Return what is true now, logins that were not tried since the target was touched left out."""
        self.at_target = False
        state = self._store.observe(self._address)
        return Observation(
            kind=self._target.kind if self._target else TargetKind.GENERATED,
            current=state.current,
            pending=state.pending,
            previous=state.previous,
            journal=state.journal,
            claimed=self._claimed,
            proofs=dict(self._proofs),
            applied=self._touched[StepKind.APPLY],
            retired=self._touched[StepKind.RETIRE],
        )

    def advance(self, *, effects: bool) -> tuple[Observation, Decision]:
        """Do one step after the other until there is nothing to do now.

        Args:
            effects: whether to change anything; without, it stops before the first step that would.

        Returns:
            What was observed last, and the decision on it.

        Raises:
            TemporaryError, PermanentError: from store or target, or if the lease is lost; ``step`` says at which step.
        """
        with self._scrubbed():
            for _ in range(LONGEST):
                observation = self.look()
                decision = next_step(observation, self._secret, self._now)
                if not isinstance(decision, Step) or (decision.has_effect and not effects):
                    return observation, decision
                self.step = decision
                self._perform(decision, observation)
                self.step = None
                if decision.has_effect:
                    self.steps.append(decision)
        raise PermanentError(f"The rotation did not end after {LONGEST} steps.", "This is a fault of ours: report it.")

    def _perform(self, step: Step, o: Observation) -> None:
        actions: dict[StepKind, Callable[[Observation], None]] = {
            StepKind.CLAIM: self._claim,
            StepKind.STAGE: self._stage,
            StepKind.APPLY: self._apply,
            StepKind.PROMOTE: self._promote,
            StepKind.CONFIRM: self._confirm,
            StepKind.RETIRE: self._retire,
            StepKind.FORGET: self._forget,
        }
        if step.has_effect:
            touches_target = self._target is not None and step.kind in self._touched
            self._check_lease(self._target.call_seconds if self._target and touches_target else 0.0)
            actions[step.kind](o)
        elif step.version is not None:
            self._proofs[step.version] = self._verify(step.version)

    def _claim(self, o: Observation) -> None:
        under_way = o.pending is not None or o.previous is not None or o.journal.pending is not None
        rotation_id = o.journal.rotation_id if under_way else secrets.token_hex(8)
        self._claimed = self._store.claim(self._address, o.journal.epoch, rotation_id)

    def _stage(self, o: Observation) -> None:
        username = None
        if self._target is not None:
            current = self._store.reveal(self._address, o.current) if o.current is not None else None
            username = self._target.next_username(current.username if current else None)
        if self._address.username is None:
            username = None
        self._store.stage(self._address, self._epoch, username, generate_password(self._secret.length))

    def _apply(self, o: Observation) -> None:
        pending = self._reveal(o.pending)
        current = self._reveal(o.current) if o.current is not None else None
        # Whatever comes of the call, what was known of the target before it is void.
        self._proofs.clear()
        self._touched[StepKind.APPLY] += 1
        self._reached_target().apply(pending, current)

    def _verify(self, version: str) -> bool:
        try:
            credential = self._reveal(version)
        except VersionGoneError:
            return False
        return True if self._target is None else self._reached_target().authenticates(credential)

    def _promote(self, o: Observation) -> None:
        assert o.pending is not None
        self._store.promote(self._address, self._epoch, o.pending, o.current)

    def _confirm(self, o: Observation) -> None:
        # Reading it back: the version that was proven is the one that consumers get.
        self._reveal(o.current)
        rotated_at = datetime.now(UTC)
        self._store.confirm(self._address, self._epoch, rotated_at, rotated_at + self._secret.grace)

    def _retire(self, o: Observation) -> None:
        previous, current = self._reveal(o.previous), self._reveal(o.current)
        self._proofs.pop(previous.id, None)
        self._touched[StepKind.RETIRE] += 1
        self._reached_target().retire(previous, current)

    def _forget(self, o: Observation) -> None:
        assert o.previous is not None
        self._store.forget(self._address, self._epoch, o.previous)

    @property
    def _epoch(self) -> int:
        assert self._claimed is not None
        return self._claimed

    def _reveal(self, version: str | None) -> SecretVersion:
        assert version is not None
        return self._store.reveal(self._address, version)

    def _reached_target(self) -> RotationTarget:
        assert self._target is not None
        self.at_target = True
        return self._target

    @contextmanager
    def _scrubbed(self) -> Iterator[None]:
        """Let our own errors pass and replace every other: its text may hold a value."""
        kind = ""
        try:
            yield
        except VigilesError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, its text must not get out
            kind = type(error).__name__
        if kind:
            asked = "target" if self.at_target else "store"
            raise PermanentError(f"The {asked} failed with an unexpected {kind}.", "Please report it.") from None
