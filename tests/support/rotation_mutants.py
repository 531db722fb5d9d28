"""Engines that are broken on purpose, to show that the checkers would notice.

Each replaces a name that the executor looks up: ``performing.next_step``, or one of its effects.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from blocks.secret_stores.generation import generate_password
from blocks.secret_stores.interface import SecretVersion
from flows.rotating import performing
from flows.rotating.effects import Effects
from rules.rotation import (
    Decision,
    Done,
    Journal,
    Observation,
    Order,
    Quarantine,
    Step,
    StepKind,
    TargetKind,
    next_step,
)
from rules.rotation.journal import confirmed

Patch = Callable[[Any, str, Any], None]
Rules = Callable[[Observation, Any, datetime, Order], Decision]


def _step(kind: StepKind, version: str | None = None, credential: str | None = None) -> Step:
    return Step(kind, "mutant", version, credential)


def promotes_before_verifying(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    if o.pending is not None and o.current != o.pending and o.claimed is not None:
        return _step(StepKind.PROMOTE, o.pending)
    if o.pending is not None and o.current == o.pending and not o.applied and o.kind is not TargetKind.MINT:
        return _step(StepKind.APPLY, o.pending)
    return next_step(o, policy, now, order)


def deletes_the_oldest_at_the_cap(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    decision = next_step(o, policy, now, order)
    full = o.capacity is not None and o.credentials is not None and len(o.credentials) >= o.capacity
    if full and o.pending is None and o.previous is None and isinstance(decision, Quarantine | Step) and o.claimed:
        oldest = min(o.credentials or (), key=lambda c: (c.created_at is not None, c.created_at))
        return _step(StepKind.RECLAIM, credential=oldest.id)
    return decision


def forgets_without_proof(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    decision = next_step(o, policy, now, order)
    if o.retired and isinstance(decision, Step) and decision.version == o.previous:
        return _step(StepKind.FORGET, o.previous)
    return decision


def never_claims(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.CLAIM:
        return next_step(replace(o, claimed=o.journal.epoch), policy, now, order)
    return decision


def knows_no_grace(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Done) and decision.in_grace:
        return next_step(o, policy, decision.until, order)
    return decision


def mints_without_writing_it_down(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.INTEND:
        return _step(StepKind.MINT)
    return decision


def drops_what_is_staged(o: Observation, policy: Any, now: datetime, order: Order) -> Decision:
    if o.pending is not None and o.pending != o.current and not o.fresh and not o.applied and o.claimed is not None:
        return _step(StepKind.DISCARD, o.pending)
    return next_step(o, policy, now, order)


def _retires_first(self: Effects) -> None:
    assert self._target is not None
    if self._state.current is not None:
        self._target.retire(self._reveal(self._state.current), self._reveal(self._state.pending))
    self._memory.state = self._store.promote(
        self._address, self._state.journal, str(self._state.pending), self._state.current
    )


def _applies_first(self: Effects) -> None:
    assert self._target is not None
    current = self._reveal(self._state.current)
    username, password = self._target.next_username(current.username), generate_password()
    self._target.apply(SecretVersion(id="unstored", username=username, password=password), current)
    self._begin(self._state.journal, username if self._address.username else None, password)


def _tries_another(self: Effects, version: str) -> None:
    """Log in with the current version, whatever is asked for."""
    credential = self._reveal(self._state.current)
    self._memory.proofs[version] = self._accepted(credential)


def _reads_nothing_back(self: Effects, now: datetime) -> None:
    current = str(self._state.current)
    written: Journal = confirmed(self._state.journal, current, now, self._grace())
    self._memory.state = self._store.confirm(self._address, written)


def _forgets_when(self: Effects, now: datetime) -> None:
    current = str(self._state.current)
    self._store.reveal(self._address, current)
    written = replace(confirmed(self._state.journal, current, now, self._grace()), rotated_at=None)
    self._memory.state = self._store.confirm(self._address, written)


def _hurries(self: performing.Rotation, step: Step) -> None:
    self.step = step
    self._effects.perform(step, self._now)
    self.step = None
    if step.has_effect:
        self.steps.append(step)


_begin = Effects._begin


def _talks(self: Effects, written: Journal, username: str | None, password: SecretStr) -> bool:
    logging.getLogger("mutant").info("staging %s", password.get_secret_value())
    return _begin(self, written, username, password)


RULES: dict[str, Rules] = {
    "promote-before-verify": promotes_before_verifying,
    "delete-oldest-at-the-cap": deletes_the_oldest_at_the_cap,
    "forget-without-proof": forgets_without_proof,
    "never-claim": never_claims,
    "no-grace": knows_no_grace,
    "mint-without-intent": mints_without_writing_it_down,
    "drop-what-is-staged": drops_what_is_staged,
}
EFFECTS: dict[str, tuple[type, str, Callable[..., Any]]] = {
    "retire-before-promote": (Effects, "_promote", _retires_first),
    "apply-before-stage": (Effects, "_stage", _applies_first),
    "verify-another-version": (Effects, "_verify", _tries_another),
    "confirm-without-reading-back": (Effects, "_confirm", _reads_nothing_back),
    "forget-when-it-was": (Effects, "_confirm", _forgets_when),
    "act-without-the-lease": (performing.Rotation, "_do", _hurries),
    "log-the-value": (Effects, "_begin", _talks),
}
NAMES = (*RULES, *EFFECTS)


def install(name: str, patch: Patch = setattr) -> None:
    """Break the engine of this process.

    Args:
        name: how.
        patch: what replaces a name; pytest's ``monkeypatch.setattr`` takes it back after the test.
    """
    if name in RULES:
        patch(performing, "next_step", RULES[name])
    else:
        patch(*EFFECTS[name])
