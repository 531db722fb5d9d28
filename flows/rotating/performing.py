"""Performing the rotation of one secret: look, ask the rules for the next step, do it, look again.

Nothing is remembered between two runs but what the store and the target hold.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from blocks.policies.rotation import SecretEntry
from blocks.rotation_targets.interface import RotationTarget
from blocks.secret_stores.interface import SecretStore, StoreState, SupersededError, ThrottledError
from flows.exclusion import LeaseLostError
from flows.rotating.effects import Effects
from flows.rotating.memory import Memory
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import NORMAL, Decision, Observation, Order, Step, StepKind, TargetKind, next_step
from rules.rotation.steps import AT_TARGET, TO_STORE

LONGEST = 60
"""Steps after which a run stops: a rotation has about a dozen, an emergency over many credentials a few more."""

PATIENCE = 4
"""How often a run looks again after a store did not answer or gave a stale answer."""

THROTTLED_PATIENCE = 10
"""How often a run tries again after a store asked for fewer calls, while others of the run slow down too."""

STORE_SECONDS = 10.0
"""How long a write to a store may take, all its calls together; the lease has to last for longer."""

RECENT_SECONDS = 5.0
"""Age of the store's last answer at which it is asked again before the target is changed: a process may have slept."""

TAKES_AWAY = AT_TARGET - {StepKind.APPLY, StepKind.MINT} | {StepKind.DISCARD}
"""Steps that take something away for good: the store has to say twice that they are right, as it may answer stale."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0

_T = TypeVar("_T")


class Rotation:
    """The rotation of one secret, as far as one run takes it.

    Attributes:
        step: the step being done, or None between steps.
        steps: the steps with an effect that were done.
    """

    def __init__(
        self,
        secret: SecretEntry,
        store: SecretStore,
        target: RotationTarget | None,
        now: datetime,
        check_lease: Callable[[float], None],
        *,
        order: Order = NORMAL,
        seen: StoreState | None = None,
        on_throttle: Callable[[], None] = lambda: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._secret = secret
        self._store = store
        self._target = target
        self._now = now
        self._check_lease = check_lease
        self._order = order
        self._pause = pause
        self._memory = Memory(state=seen)
        self._effects = Effects(secret, store, target, self._memory, order)
        self._on_throttle = on_throttle
        self._troubles = self._throttles = 0
        self.step: Step | None = None
        self.steps: list[Step] = []

    @property
    def at_target(self) -> bool:
        """Whether it was the target that failed, and not the store."""
        return self._effects.at_target

    @property
    def state(self) -> StoreState | None:
        """What the store said last, without any value."""
        return self._memory.state

    def preflight(self) -> None:
        """Check that the rotation could be done, without changing anything.

        Raises:
            TemporaryError, PermanentError: if it could not.
        """
        self._scrubbed(self._preflight)

    def look(self) -> Observation:
        """Return what the store says, without a login; a store that throttles is asked again for a while.

        Raises:
            TemporaryError, PermanentError: from the store.
        """
        return self._scrubbed(self._look_patiently)

    def _look_patiently(self) -> Observation:
        while True:
            try:
                return self._look()
            except TemporaryError as error:
                self._bear(error, effects=False)

    def _look(self) -> Observation:
        if self._memory.state is None:
            self._memory.state = self._store.observe(self._secret.address)
            self._memory.heard_at = time.monotonic()
        kind = self._target.kind if self._target else TargetKind.GENERATED
        return self._memory.observation(kind, self._target.capacity if self._target else None)

    def advance(self, *, effects: bool) -> tuple[Observation, Decision]:
        """Do one step after the other until there is nothing to do now.

        Args:
            effects: whether to change anything; without, it stops before the first step that would.

        Returns:
            What was observed last, and the decision on it.

        Raises:
            TemporaryError, PermanentError: from store or target, or if the lease is lost; ``step`` says at which step.
        """
        return self._scrubbed(lambda: self._advance(effects=effects))

    def _preflight(self) -> None:
        self._store.preflight(self._secret.address)
        if self._target is not None:
            self._effects.at_target = True
            self._target.preflight()
            self._effects.at_target = False

    def _advance(self, *, effects: bool) -> tuple[Observation, Decision]:
        self._check_shape()
        for _ in range(LONGEST):
            try:
                observation = self._look_in_order()
                decision = next_step(observation, self._secret, self._now, self._order)
                if not isinstance(decision, Step) or (decision.has_effect and not effects):
                    return observation, decision
                if decision.kind in AT_TARGET and self._out_of_date():
                    continue
                if decision.kind in TAKES_AWAY and not self._told_twice():
                    continue
                self._do(decision)
            except TemporaryError as error:
                self._bear(error, effects=effects)
        raise PermanentError(f"The rotation did not end after {LONGEST} steps.", "This is a fault of ours: report it.")

    def _look_in_order(self) -> Observation:
        observation = self._look()
        claimed, epoch = self._memory.claimed, observation.journal.epoch
        if claimed is not None and epoch > claimed:
            message = f"Another run has claimed epoch {epoch}; this one holds {claimed}."
            raise SupersededError(message, "It continues there; run again when it has ended.")
        if claimed is not None and epoch < claimed:
            raise TemporaryError("The store's answer is older than this run's own claim.", "Run again later.")
        return observation

    def _out_of_date(self) -> bool:
        """Forget what the store said if that is a while ago: no target can be fenced, so the epoch is read again."""
        if self._target is None or time.monotonic() - self._memory.heard_at < RECENT_SECONDS:
            return False
        self._memory.state = None
        return True

    def _told_twice(self) -> bool:
        """Ask the store again, and return whether it says the same as before."""
        before, self._memory.state = self._memory.state, None
        self._look()
        return self._memory.state == before

    def _check_shape(self) -> None:
        one_key = self._secret.address.username is None
        if self._target is not None and one_key and self._target.kind in (TargetKind.ALTERNATING, TargetKind.MINT):
            self._effects.at_target = True
            message = f"Each version of {self._secret.name} is for another account, and the policy gives it one key."
            raise PermanentError(message, "Give the secret `keys` with username and password.")

    def _do(self, step: Step) -> None:
        self.step = step
        if step.has_effect:
            touches = self._target is not None and step.kind in AT_TARGET
            self._check_lease(STORE_SECONDS + (self._target.call_seconds if self._target and touches else 0.0))
        self._effects.perform(step, self._now)
        if step.kind in TO_STORE:
            self._memory.heard_at = time.monotonic()
        self.step = None
        if step.has_effect:
            self.steps.append(step)

    def _bear(self, error: TemporaryError, *, effects: bool) -> None:
        """Look again after a fault of the store, a few times; what the target or the lease raised ends the run."""
        throttled = isinstance(error, ThrottledError)
        superseded = isinstance(error, SupersededError) and self._memory.claimed is not None
        final = self.at_target or superseded or isinstance(error, LeaseLostError)
        if final or not (effects or throttled) or self._lost_patience(throttled=throttled):
            raise error
        self._memory.state = None
        self._pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._troubles + self._throttles - 1)))

    def _lost_patience(self, *, throttled: bool) -> bool:
        if throttled:
            self._on_throttle()
            self._throttles += 1
        else:
            self._troubles += 1
        return self._throttles > THROTTLED_PATIENCE or self._troubles > PATIENCE

    def _scrubbed(self, act: Callable[[], _T]) -> _T:
        """Let our own errors pass and replace every other: its text may hold a value."""
        try:
            return act()
        except VigilesError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, its text must not get out
            kind = type(error).__name__
        # Outside of `except`, and no context manager: the other error must not hang on to this one as its context.
        asked = "target" if self.at_target else "store"
        raise PermanentError(f"The {asked} failed with an unexpected {kind}.", "Please report it.")
