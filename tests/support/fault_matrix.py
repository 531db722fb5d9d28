"""Every fault at every remote call of a rotation: the scenarios, one by one, and what the checker says of each.

A plot has acts, such as the two halves of a rotation: up to the confirmation, and after the grace. A rehearsal without
faults numbers the remote calls of each. A scenario is a fresh secret with one fault at one of them; then it is run
again, and nothing else, until it rests, and so in the acts that follow.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from support.rotation_checker import Checker, Violation
from support.rotation_scene import Call, Killed, Request, Scene
from support.stores.interface import Backend

from rules.errors import TemporaryError
from rules.rotation import NORMAL, Action, Order

KINDS = ("alternating", "dual", "mint", "single-slot")
FAULTS = ("crash-before", "crash-after", "lost-answer", "stale-read", "throttle")
TARGET_READS = frozenset({"authenticates", "credentials"})


@dataclass(frozen=True)
class Act:
    """One run: how long after the one before, and by which order; an emergency is insisted on until it is over."""

    later: timedelta
    action: Action = Action.ROTATE


_START, _AFTER_THE_GRACE = Act(timedelta(0)), Act(timedelta(hours=2))
PLOTS = {
    "rotation": ((_START, _AFTER_THE_GRACE), (1,)),
    "late run": ((_START, Act(timedelta(days=40)), _AFTER_THE_GRACE), (2,)),
    "emergency": ((_START, _AFTER_THE_GRACE, Act(timedelta(hours=1), Action.EMERGENCY), _AFTER_THE_GRACE), (2, 3, 4)),
    "roll-back": ((_START, Act(timedelta(minutes=10), Action.ROLL_BACK), _AFTER_THE_GRACE), (1, 2)),
}
"""By name, the acts, and how many times what consumers read may have changed. In a late run the next rotation is due
before the last one is retired; an emergency does not count a version that another run had made, and makes one more; a
roll-back whose run dies before it is under way does not happen."""


@dataclass(frozen=True)
class Point:
    """One remote call of a rotation, and the fault that it meets.

    Attributes:
        act: of the plot, from 1.
        number: of the call in that act's run.
        call: what it asks.
        fault: what it meets.
        reads: whether the call changes nothing.
    """

    act: int
    number: int
    call: str
    fault: str
    reads: bool = False

    def __str__(self) -> str:
        return f"{self.fault} at call {self.number} of act {self.act} ({self.call})"


@dataclass
class Cell:
    """What became of one store and kind of target."""

    store: str
    kind: str
    stands_on: str
    calls: int = 0
    scenarios: Counter[str] = field(default_factory=Counter)
    not_applicable: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Point, tuple[Violation, ...]]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many scenarios were played."""
        return sum(self.scenarios.values())

    def failed(self, fault: str) -> int:
        """How many scenarios of a fault failed."""
        return sum(point.fault == fault for point, _ in self.failures)

    def __str__(self) -> str:
        rest = "".join(f"\n  {point}: {'; '.join(map(str, found))}" for point, found in self.failures[:20])
        return f"{self.store} x {self.kind}: {self.total} scenarios, {len(self.failures)} failed{rest}"


class Answers:
    """What the reading calls answered in a scenario, so that one can be answered as it was before."""

    def __init__(self, backend: Backend) -> None:
        self._prefixes = backend.reads
        self._known: dict[object, list[tuple[str, Any]]] = {}

    def can_be_stale(self, call: Call) -> bool:
        """Return whether the call only reads, and may be answered by something old."""
        return call.operation in TARGET_READS if call.side == "target" else call.operation.startswith(self._prefixes)

    def reads(self, call: Call) -> bool:
        """Return whether the call only reads."""
        return self.can_be_stale(call) or (call.side == "store" and call.operation.startswith("read "))

    def note(self, call: Call, answer: Any) -> None:
        """Remember the answer of a reading call, if it is another one than before."""
        known = self._known.setdefault((call.side, call.operation, call.subject), [])
        shown = comparable(answer)
        if not known or known[-1][0] != shown:
            known.append((shown, copied(answer)))

    def before(self, call: Call, answer: Any) -> tuple[Any, ...]:
        """Return, as the only item, the last answer that was another one; nothing if there was none."""
        shown = comparable(answer)
        known = self._known.get((call.side, call.operation, call.subject), [])
        return next(((copied(old),) for text, old in reversed(known) if text != shown), ())


class Struck:
    """Lets calls pass, but for the one of this number, which meets the fault."""

    def __init__(self, backend: Backend, *, rehearsal: bool) -> None:
        self._backend, self._answers = backend, Answers(backend)
        self.rehearsal = rehearsal
        self.number, self.fault = 0, ""
        self.struck = False
        self.stale: set[int] = set()

    def aim(self, number: int, fault: str) -> None:
        """Strike the call of this number of the next run; 0 for none."""
        self.number, self.fault, self.struck = number, fault, False
        self.stale.clear()

    def __call__(self, call: Call, request: Request) -> Any:
        if call.number != self.number or self.struck:
            return self._noted(call, request)
        self.struck = True
        if self.fault == "crash-before":
            raise Killed
        if self.fault == "throttle":
            raise self._refusal(call, self._backend.throttled)
        answer = request()
        if self.fault == "crash-after":
            raise Killed
        if self.fault == "lost-answer":
            raise self._refusal(call, self._backend.timeout)
        return next(iter(self._answers.before(call, answer)), answer)

    def looks(self, call: Call) -> bool:
        """Return whether a consumer looks: after a call that only reads it would see what it saw before.

        In the rehearsal it looks all the same, as that is the proof of it.
        """
        return self.rehearsal or not self._answers.reads(call)

    def points(self, act: int, call: Call) -> list[Point]:
        """Return the faults that a call of the run that is over can meet."""
        label, reads = f"{call.side}: {call.operation}", self._answers.reads(call)
        faults = [fault for fault in FAULTS if fault != "stale-read" or call.number in self.stale]
        return [Point(act, call.number, label, fault, reads) for fault in faults]

    def _noted(self, call: Call, request: Request) -> Any:
        answer = request()
        if self._answers.can_be_stale(call):
            if self._answers.before(call, answer):
                self.stale.add(call.number)
            self._answers.note(call, answer)
        return answer

    def _refusal(self, call: Call, of_store: Callable[[], Exception]) -> Exception:
        return of_store() if call.side == "store" else TemporaryError("The target did not answer.", "Run again.")


def play(
    backend: Backend, kind: str, point: Point | None, plot: str = "rotation", target_seconds: float = 0.0
) -> tuple[list[Violation], list[Point]]:
    """Play one scenario, or the rehearsal; return what was broken, and the points of the calls that were made."""
    scene = Scene(backend, kind, stranger=kind == "mint" and plot != "emergency")
    scene.target_seconds = target_seconds
    meddling = Struck(backend, rehearsal=point is None)
    scene.meddle, scene.looks = meddling, meddling.looks
    acts, rotations = PLOTS[plot]
    points: list[Point] = []
    for number, act in enumerate(acts, start=1):
        strikes = point is not None and point.act == number
        meddling.aim(point.number if point and strikes else 0, point.fault if point else "")
        scene.later(act.later)
        # A version that was confirmed in this very instant would not be newer than the emergency.
        order = Order(act.action, scene.now - timedelta(seconds=1))
        scene.run(order)
        points += [found for call in scene.calls for found in meddling.points(number, call)]
        struck = meddling.struck
        meddling.aim(0, "")
        if strikes and not struck:
            return [Violation("I8", "the call was not reached")], []
        scene.settle(order if order.emergency else NORMAL)
    return judged(scene, rotations), points


def judged(scene: Scene, rotations: Sequence[int] = (1,)) -> list[Violation]:
    """Return what the checker says of the scene."""
    checker = Checker(scene.kind == "single-slot", scene.secret.grace, scene.strangers, rotations)
    return checker.judge(scene.log)


REHEARSAL = Point(0, 0, "rehearsal", "none")


def rehearse(backend: Backend, kind: str, plot: str, target_seconds: float = 0.0) -> tuple[Cell, list[Point]]:
    """Return the cell before any fault, and every point of the plot."""
    broken, points = play(backend, kind, None, plot, target_seconds)
    calls = sum(point.fault == FAULTS[0] for point in points)
    cell = Cell(backend.name, kind, backend.stands_on, calls)
    cell.not_applicable["stale-read"] = len(FAULTS) * calls - len(points)
    if broken:
        cell.failures.append((REHEARSAL, tuple(broken)))
    return cell, points


def all_points(points: Sequence[Point]) -> Sequence[Point]:
    """Return every point."""
    return points


def different_worlds(points: Sequence[Point]) -> Sequence[Point]:
    """Leave out crashes that leave the same world behind as another one.

    Before a call that is where it was after the one before it, and after a call that only reads where it was before.
    """
    kept = {"crash-before": lambda p: p.number == 1, "crash-after": lambda p: not p.reads}
    return [point for point in points if kept.get(point.fault, lambda _: True)(point)]


def every(nth: int, seed: int = 0) -> Callable[[Sequence[Point]], Sequence[Point]]:
    """Return what chooses every nth point, at random but always the same ones."""

    def choose(points: Sequence[Point]) -> Sequence[Point]:
        # The seed's own generator: nothing here is a secret.
        chosen = random.Random(seed).sample(range(len(points)), -(-len(points) // nth))
        return [points[index] for index in sorted(chosen)]

    return choose


def run_cell(
    backends: Iterator[Backend],
    kind: str,
    choose: Callable[[Sequence[Point]], Sequence[Point]] = all_points,
    tell: Callable[[Cell], None] = lambda _: None,
    plot: str = "rotation",
    target_seconds: float = 0.0,
) -> Cell:
    """Play the scenarios of a store and a kind of target.

    Args:
        backends: empty backends of the store, as many as are asked for.
        kind: of the target.
        choose: which scenarios to play; by default all.
        tell: is called with the cell after each.
        plot: what is played.
        target_seconds: that each call of the target takes (see ``Scene``).
    """
    backend = next(backends)
    cell, points = rehearse(backend, kind, plot, target_seconds)
    for point in choose(points):
        if cell.total % RENEWED_EVERY == RENEWED_EVERY - 1:
            backend = next(backends)
        broken, _ = play(backend, kind, point, plot, target_seconds)
        cell.scenarios[point.fault] += 1
        if broken:
            cell.failures.append((point, tuple(broken)))
        tell(cell)
    return cell


RENEWED_EVERY = 20
"""Scenarios after which the backend is made anew, as what is in it makes it slower."""


def copied(answer: Any) -> Any:
    """Return a copy that nobody changes."""
    try:
        return deepcopy(answer)
    except TypeError:  # a client's object with a lock in it
        return answer


def comparable(answer: Any) -> str:
    """Return what an answer says, without what differs at every call."""
    if isinstance(answer, dict):
        kept = {key: comparable(value) for key, value in answer.items() if key not in _VOLATILE}
        return repr(sorted(kept.items()))
    if isinstance(answer, list | tuple):
        return repr([comparable(item) for item in answer])
    shown = repr(answer)
    return comparable(vars(answer)) if " object at 0x" in shown and hasattr(answer, "__dict__") else shown


_VOLATILE = frozenset({"ResponseMetadata", "request_id", "lease_id", "LastAccessedDate", "warnings", "auth"})
