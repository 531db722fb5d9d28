"""Engines that are broken on purpose, to show that the consumer of random kills would notice."""

import time
from typing import Any

from flows.rotating import performing
from flows.rotating.effects import Effects
from rules.rotation import Decision, Observation, Step, StepKind, next_step

WINDOW_SECONDS = 0.5
"""How long the fault lasts; a consumer looks at the secret several times in it."""


def retire_before_promote() -> None:
    """Take the current credential's access away while consumers still read it."""
    promote = Effects._promote

    def promote_late(self: Effects) -> None:
        with self._asked() as target:
            target.retire(self._reveal(self._state.current), self._reveal(self._state.pending))
        time.sleep(WINDOW_SECONDS)
        promote(self)

    Effects._promote = promote_late


def promote_before_apply() -> None:
    """Let consumers read a credential that the target does not know yet."""

    def decide(o: Observation, *rest: Any) -> Decision:
        if o.pending is not None and o.claimed is not None and not o.applied:
            if o.current != o.pending:
                return Step(StepKind.PROMOTE, "mutant", o.pending)
            time.sleep(WINDOW_SECONDS)
            return Step(StepKind.APPLY, "mutant", o.pending)
        return next_step(o, *rest)

    performing.next_step = decide


MUTANTS = {mutant.__name__: mutant for mutant in (retire_before_promote, promote_before_apply)}
"""Every mutant by its name; calling it breaks the engine of this process."""
