"""Engines that are broken on purpose, to show that the checkers would notice."""

from collections.abc import Callable

import flows.rotating.performing
from rules.rotation import Decision, Observation, Step, StepKind, next_step

NAMES = ("promote-before-verify", "retire-before-promote")


def promotes_before_verifying(o: Observation, policy, now) -> Decision:
    if o.pending is not None and o.current != o.pending and o.claimed is not None:
        return Step(StepKind.PROMOTE, "mutant", o.pending)
    if o.pending is not None and o.current == o.pending and not o.applied:
        return Step(StepKind.APPLY, "mutant", o.pending)
    return next_step(o, policy, now)


def install(name: str) -> None:
    """Break the engine of this process."""
    performing = flows.rotating.performing
    if name == "promote-before-verify":
        performing.next_step = promotes_before_verifying
        return
    promote: Callable[..., None] = performing.Rotation._promote

    def retires_first(self, o: Observation) -> None:
        self._target.retire(self._reveal(o.current), self._reveal(o.pending))
        promote(self, o)

    performing.Rotation._promote = retires_first
