"""What the rules can answer: one step, nothing to do now, or a picture that nobody should act on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class StepKind(StrEnum):
    """The steps of a rotation, in the order in which a rotation may take them."""

    CLAIM = "claim"
    SURVEY = "survey"
    INTEND = "intend"
    RECLAIM = "reclaim"
    CUT = "cut"
    MINT = "mint"
    STAGE = "stage"
    REVERT = "revert"
    APPLY = "apply"
    VERIFY = "verify"
    PROBE = "probe"
    PROMOTE = "promote"
    CONFIRM = "confirm"
    UNDO = "undo"
    DISCARD = "discard"
    RETIRE = "retire"
    FORGET = "forget"


LOOKS = frozenset({StepKind.SURVEY, StepKind.VERIFY, StepKind.PROBE})
"""Steps that change nothing: they log in, list and read."""

AT_TARGET = frozenset(
    {StepKind.RECLAIM, StepKind.CUT, StepKind.MINT, StepKind.APPLY, StepKind.UNDO, StepKind.RETIRE, StepKind.FORGET}
)
"""Steps that may change the target, which no store can fence."""

TO_STORE = frozenset(
    {
        *(StepKind.CLAIM, StepKind.INTEND, StepKind.STAGE, StepKind.REVERT, StepKind.PROMOTE, StepKind.CONFIRM),
        *(StepKind.DISCARD, StepKind.FORGET),
    }
)
"""Steps that the store answers last, so that its answer is as old as they are."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, then ask again.

    Attributes:
        kind: what to do.
        reason: why, in plain English.
        version: the version that it concerns, where it concerns one that exists.
        credential: the id of the credential at a mint-style target that it concerns, if any.
    """

    kind: StepKind
    reason: str
    version: str | None = None
    credential: str | None = None

    @property
    def has_effect(self) -> bool:
        """Whether it changes a store or a target."""
        return self.kind not in LOOKS


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to do now.

    Attributes:
        reason: why, in plain English.
        until: when there will be something (aware, UTC).
        due: whether a rotation is due and only waits for its window or for the end of a blackout.
        in_grace: whether a rotation is finished but for the old version, which is still alive.
        problem: whether somebody should look: what was ordered cannot be done, or not yet.
        late: whether the wait is longer than the policy allows, as the credential expires before it is over.
    """

    reason: str
    until: datetime
    due: bool = field(default=False, kw_only=True)
    in_grace: bool = field(default=False, kw_only=True)
    problem: bool = field(default=False, kw_only=True)
    late: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The picture is not safe to act on: stop until a person has looked.

    Attributes:
        reason: what is wrong, in plain English.
    """

    reason: str


Decision = Step | Done | Quarantine


class Action(StrEnum):
    """What a person may order for a secret."""

    ROTATE = "rotate"
    """Rotate what is due."""

    ROLL_BACK = "roll-back"
    """Take a rotation back: what is staged is discarded; what is current gives way to the previous version."""

    EMERGENCY = "emergency"
    """Rotate now, whatever the schedule says, and retire the old credential as soon as the new one is current."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a run.

    Attributes:
        action: what to do.
        since: the instant of an emergency (aware, UTC): a version that was confirmed later fulfils it.
        accept_outage: in an emergency, take the current credential's access away before there is a new one.
    """

    action: Action = Action.ROTATE
    since: datetime | None = None
    accept_outage: bool = False

    @property
    def emergency(self) -> bool:
        """Whether it is an emergency."""
        return self.action is Action.EMERGENCY

    def counted(self, confirmed_at: datetime, *, made: bool) -> datetime:
        """Return the instant from which a confirmed version's age counts.

        A version that was staged before the emergency may have leaked with the rest: it does not fulfil the order, so
        it counts as older than that, and another rotation follows.

        Args:
            confirmed_at: when it is confirmed (aware, UTC).
            made: whether the run that confirms it staged it too.
        """
        if self.since is None or made:
            return confirmed_at
        return self.since - timedelta(seconds=1)


def cut(current: str) -> Step:
    """Return the step that takes the current version's access away before there is another one."""
    return Step(StepKind.CUT, "An outage is accepted: take the current version's access away at once.", current)


def verify(version: str, reason: str) -> Step:
    """Return the step that logs in with a version."""
    return Step(StepKind.VERIFY, reason, version)


def when(instant: datetime) -> str:
    """Return how reasons write an instant."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"
