"""Searches of every world that steps, crashes, lost answers, lost leases and waiting can lead to, breadth first.

What must hold is checked in each of them, and from each of them one run alone is followed to where it rests.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from support.rotation_outsiders import at_any_time, hour_passed, key_made
from support.rotation_runner import Engine, begun, ended, observed, put
from support.rotation_world import MINT, SINGLE, WRITES, Setting, World, later, tick

from rules.rotation import Decision, Done, Observation, Quarantine, Step, StepKind, next_step

KEPT = "lost only by the dead"
CHECKED = "lost alive, not during a target call"
LOOSE = "lost alive at any time"
NONE = "no lease"
ENOUGH = 120
"""Calls after which a run alone has to be at rest."""

_MAKES = (StepKind.STAGE, StepKind.MINT)
_AT_TARGET = ("apply", "retire", "revoke", "destroy", "mint", "login", "probe", "list")


class Rest(NamedTuple):
    """Where a run alone ends: the world, the last decision (None if it never rests), and what it broke on the way."""

    world: World
    decision: Decision | None
    broke: str


class Found(NamedTuple):
    """What a search found: how many states, and the broken laws with a world for each."""

    states: int
    broken: Counter[str]
    examples: dict[str, list[World]]
    rests: Counter[str]


@dataclass(eq=False)
class Search:
    """One search.

    Attributes:
        setting: the kind of the target.
        runners: how many runs there may be at a time.
        crashes: how many runs die, or answers to a write are lost.
        losses: how many leases are lost by runs that live on.
        arrivals: how many keys a stranger makes at the target.
        arrives: when these may be made.
        refusals: how often the target refuses to mint before it does.
        waits: how often an hour passes after the credentials there are were noted.
        versions: how many new versions may be made; the search ends where another rotation would begin.
        orders: what each run may be ordered to do.
        lease: what a lease is worth.
        rule: the rules under test.
        most: states after which the search gives up.
    """

    setting: Setting
    runners: int = 1
    crashes: int = 0
    losses: int = 0
    arrivals: int = 0
    arrives: Callable[[World], bool] = at_any_time
    refusals: int = 0
    waits: int = 0
    versions: int = 2
    orders: tuple[str, ...] = ("rotate",)
    lease: str = KEPT
    rule: Any = next_step
    most: int = 400_000
    rests: dict[tuple, Rest] = field(default_factory=dict)
    parents: dict[World, World | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = Engine(self.setting, self.rule)

    @property
    def first(self) -> World:
        """The world before anything happened."""
        budget = {name: getattr(self, name) for name in ("crashes", "losses", "arrivals", "refusals", "waits")}
        return self.setting.world(runners=self.runners, **budget)

    def run(self) -> Found:
        """Visit every world."""
        self.parents = {self.first: None}
        queue, broken, examples = deque([self.first]), Counter(), {}

        def note(law: str, world: World) -> None:
            broken[law] += 1
            examples.setdefault(law, []).append(world)

        while queue and len(self.parents) <= self.most:
            world = queue.popleft()
            for law in self.laws(world):
                note(law, world)
            for following in map(self._plainest, self.following(world)):
                if following.store.current not in (world.store.current, *world.proven):
                    note("I5: promoted without a login since the target was changed", world)
                if self._forgets_early(world, following):
                    note("the previous version died before its grace was over", world)
                if following not in self.parents:
                    self.parents[following] = world
                    queue.append(following)
        return Found(len(self.parents), broken, examples, self._how_it_rests())

    def laws(self, world: World) -> Iterator[str]:
        """Yield what is broken in a world."""
        yield from self.standing(world)
        yield from self.rest(world).broke.split(" + ") if self.rest(world).broke else ()

    def standing(self, world: World) -> Iterator[str]:
        """Yield what is broken in a world as it stands."""
        s = self.setting
        if not s.accepts(world, world.store.current) and not self._in_own_window(world):
            yield "I1: current does not authenticate"
        if len(set(s.living(world)) - set(s.strangers)) > 3:
            yield "I4: more than three credentials live"
        if sum(r.claimed == world.store.journal.epoch for r in world.runners if r.order) > 1:
            yield "I4: two runs hold one epoch"
        if self._dies_early(world):
            yield "the previous version died before its grace was over"
        if not self._kill_strangers() and not {*self._strangers(world)} <= {*s.living(world)}:
            yield "a stranger's credential was taken away"

    def rest(self, world: World, order: str = "") -> Rest:
        """Return where a run alone, with nothing remembered and nothing going wrong, takes a world."""
        core = world.core
        key = (core, order or self.orders[0])
        if key not in self.rests:
            self.rests[key] = self._settle(core, key[1])
        return self.rests[key]

    def _settle(self, world: World, order: str) -> Rest:
        broke: set[str] = set()
        for _ in range(ENOUGH):
            runner = world.runners[0]
            decision = self.engine.decide(runner) if runner.state and not runner.doing else None
            if not runner.order:
                world = begun(world, 0, order)
            elif decision is None or isinstance(decision, Step):
                world = self._acted(world, 0, decision)
            elif isinstance(decision, Done) and decision.in_grace:
                # Whoever is there when the grace is over has no order.
                order, world = "rotate", later(ended(world, 0)) or world
            else:
                world = ended(world, 0)
                broke |= set(self._end(world, decision))
                return Rest(world, decision, " + ".join(sorted(broke)))
            broke |= set(self.standing(world))
        return Rest(world, None, " + ".join(sorted(broke | {"I3: it never rests"})))

    def _end(self, world: World, decision: Decision) -> Iterator[str]:
        s = self.setting
        if isinstance(decision, Quarantine):
            yield f"I3: quarantined: {decision.reason}"
        elif not decision.problem:
            held = {k.id for k in world.keys} if s.kind is MINT else {*s.living(world)}
            strangers = set() if self._kill_strangers() else {*self._strangers(world)}
            if held != {world.store.current} | strangers or world.store[1:3] != (None, None):
                yield "I2: at rest not exactly current is alive"

    def following(self, world: World) -> Iterator[World]:
        """Yield every world that one call, one fault or time can lead to."""
        for i, runner in enumerate(world.runners):
            if runner.order:
                yield from self._faults(world, i)
                yield from self._acts(world, i)
            elif self._may_begin(world, i):
                for order in self.orders:
                    yield begun(world, i, order)
        if world.losses and world.holder >= 0 and self._may_lose(world.runners[world.holder]):
            yield world._replace(holder=-1, losses=world.losses - 1)
        if world.holder < 0:
            yield from [waited] if (waited := later(world)) else []
            yield from hour_passed(world)
        if world.arrivals and self.arrives(world):
            yield from key_made(self.setting, world)

    def _may_begin(self, world: World, i: int) -> bool:
        # Runs that were not begun are all alike: the first of them begins.
        others_idle = [j for j, r in enumerate(world.runners) if not r.order]
        return i == others_idle[0] and (world.holder < 0 or self.lease == NONE)

    def _may_lose(self, runner) -> bool:
        if self.lease == KEPT:
            return False
        calls = runner.doing[1] if runner.doing else ()
        return self.lease == LOOSE or not any(call[0] in _AT_TARGET[:5] for call in calls)

    def _faults(self, world: World, i: int) -> Iterator[World]:
        if not world.crashes:
            return
        fewer = world._replace(crashes=world.crashes - 1)
        yield ended(fewer, i)
        runner = world.runners[i]
        if runner.doing and runner.doing[1][0][0] in WRITES:
            # The answer is lost, before or after the effect, and the run lives on.
            forgets = runner._replace(state=None, doing=None, loaded=None)
            yield put(fewer, i, forgets)
            yield put(self.engine.call(fewer, i), i, forgets)

    def _acts(self, world: World, i: int) -> Iterator[World]:
        runner = world.runners[i]
        if self.lease == KEPT and world.holder != i:
            return
        decision = self.engine.decide(runner) if runner.state and not runner.doing else None
        if decision is None:
            yield self._acted(world, i, None)
        elif not isinstance(decision, Step) or (self.lease != NONE and decision.has_effect and world.holder != i):
            yield ended(world, i)
        elif decision.kind not in _MAKES or world.made < self.versions:
            yield self._acted(world, i, decision)

    def _acted(self, world: World, i: int, decision: Step | None) -> World:
        """Return the world after the next call; with a lease that is worth little, the check of it is apart."""
        runner = world.runners[i]
        if decision is not None:
            doing = (decision.kind, self.engine.calls(decision, runner))
            world = put(world, i, runner._replace(doing=doing))
            return world if self.lease == LOOSE else self.engine.call(world, i)
        return self.engine.call(world, i) if runner.doing else observed(world, i)

    def _plainest(self, world: World) -> World:
        """Return the world in its plainest form: without a lease nobody holds it, and runs are not told apart."""
        if self.lease == NONE:
            world = world._replace(holder=-1)
        if len(world.runners) < 2 or hash(world.runners[0]) <= hash(world.runners[1]):
            return world
        return world._replace(runners=world.runners[::-1], holder=1 - world.holder if world.holder >= 0 else -1)

    def _in_own_window(self, world: World) -> bool:
        if any(order.endswith("outage") for order in self.orders):
            return True
        pending = world.store.pending
        return self.setting.kind is SINGLE and pending != world.store.current and self.setting.accepts(world, pending)

    def _dies_early(self, world: World) -> bool:
        store, s = world.store, self.setting
        until = store.journal.retire_after
        waits = until is not None and world.clock < tick(until)
        if self._kill_strangers() or s.kind is SINGLE or not store.previous or not (waits or store.pending):
            return False
        return not s.accepts(world, store.previous)

    def _forgets_early(self, world: World, following: World) -> bool:
        until, kept = world.store.journal.retire_after, (following.store.previous, following.store.pending)
        if until is None or world.store.previous is None or self._kill_strangers():
            return False
        return world.clock < tick(until) and world.store.previous not in kept

    def _strangers(self, world: World) -> tuple[str, ...]:
        return (*self.setting.strangers, *(("s",) if self.arrivals > world.arrivals else ()))

    def _kill_strangers(self) -> bool:
        return any(order.startswith("emergency") for order in self.orders)

    def _how_it_rests(self) -> Counter[str]:
        return Counter(type(rest.decision).__name__ for rest in self.rests.values())

    def journey(self, order: str, world: World | None = None) -> str:
        """Return the steps that a run alone takes from a world, the first if none is given, and after the grace."""
        world, kinds = world or self.first, []
        while True:
            runner = world.runners[0]
            decision = self.engine.decide(runner) if runner.state and not runner.doing else None
            if not runner.order:
                world = begun(world, 0, order)
            elif decision is None or isinstance(decision, Step):
                kinds += [decision.kind.value] if decision else []
                world = self._acted(world, 0, decision)
            elif isinstance(decision, Done) and decision.in_grace and (waited := later(ended(world, 0))):
                order, world, kinds = "rotate", waited, [*kinds, ";"]
            else:
                return " ".join(kinds).replace(" ;", ";")

    def looked(self, world: World, order: str) -> Observation | None:
        """Return what a run has observed of a world when it comes to its first step with an effect, if it does."""
        world = begun(world, 0, order)
        while True:
            runner = world.runners[0]
            decision = self.engine.decide(runner) if not runner.doing else None
            if decision is not None and not isinstance(decision, Step):
                return None
            if decision is not None and decision.has_effect:
                return self.engine.observation(runner)
            world = self._acted(world, 0, decision)

    def cores(self) -> list[World]:
        """Return every world that was visited, without what runs remember."""
        return list(dict.fromkeys(w.core for w in self.parents))
