"""What a run does in the model, one remote call at a time: the order of calls is that of ``flows.rotating.effects``.

A run that was told to go away, or that crashed, is ``IDLE`` again: what it remembered is gone.
"""

from dataclasses import dataclass, field
from typing import Any

from support.rotation_at_target import target_apply, target_delete, target_login, target_mint, target_retire
from support.rotation_world import (
    GRACE,
    IDLE,
    MINT,
    SINGLE,
    WRITES,
    AgainError,
    RefusedError,
    Runner,
    Setting,
    Wish,
    World,
    instant,
    listed,
    order_of,
)

from rules.rotation import Decision, Journal, Observation, Step, StepKind, TargetKind, journal, next_step

TARGET_CALLS = frozenset({"apply", "retire", "revoke", "destroy", "mint"})
"""Calls that change the target."""

CUTS = "too many versions"
"""Said of a world in which the search ends, as another rotation would begin."""


@dataclass(eq=False)
class Engine:
    """The rules under test in a setting; answers are remembered, as the rules are pure."""

    setting: Setting
    rule: Any = next_step
    wish: Wish = field(default_factory=lambda: Wish(target="database/main"))
    _known: dict[Runner, Decision] = field(default_factory=dict)

    def decide(self, runner: Runner) -> Decision:
        """Return what the rules say to a run that has nothing under way."""
        known = self._known.get(runner)
        if known is None:
            order = order_of(runner.order, runner.now)
            known = self._known[runner] = self.rule(self.observation(runner), self.wish, instant(runner.now), order)
        return known

    def observation(self, runner: Runner) -> Observation:
        """Return all that the rules may know (see ``Memory.observation``)."""
        s, state = self.setting, runner.state
        return Observation(
            kind=s.kind,
            current=state.current,
            pending=state.pending,
            previous=state.previous,
            journal=state.journal,
            claimed=runner.claimed,
            proofs=dict(runner.proofs),
            strict=frozenset(v for v in runner.values if s.account(v) in runner.refused),
            accounts={v: s.account(v) for v in runner.values},
            credentials=listed(s, runner.keys),
            capacity=s.capacity if s.kind is MINT else None,
            made=runner.made,
            fresh=runner.fresh,
            applied=runner.applied,
            rejected=runner.rejected,
            undone=runner.undone,
            retired=runner.retired,
        )

    def calls(self, step: Step, runner: Runner) -> tuple[tuple, ...]:
        """Return the remote calls of a step, in their order."""
        s, state, version = self.setting, runner.state, step.version
        mints, has_target = s.kind is MINT, s.kind is not TargetKind.GENERATED

        def reveal(*versions: str | None) -> tuple[tuple, ...]:
            return tuple(("reveal", v) for v in versions if v is not None and v not in runner.values)

        def destroy(gone: str) -> tuple[tuple, ...]:
            return (*reveal(gone), ("destroy", gone)) if mints else ()

        current, pending, previous = state.current, state.pending, state.previous
        undo = ("apply", current, pending) if s.kind is SINGLE and current else ("retire", pending, current)
        table = {
            StepKind.CLAIM: lambda: (("claim",),),
            StepKind.SURVEY: lambda: (("list",),),
            StepKind.INTEND: lambda: (("record",),),
            StepKind.RECLAIM: lambda: (("revoke", step.credential),),
            StepKind.CUT: lambda: (*reveal(current), ("retire", current, None)),
            StepKind.MINT: lambda: (("mint",), ("stage", "minted")),
            StepKind.STAGE: lambda: (*(reveal(current) if has_target else ()), ("stage", "new")),
            StepKind.REVERT: lambda: (*reveal(previous), ("stage", "previous")),
            StepKind.APPLY: lambda: (*reveal(pending, current), ("apply", pending, current)),
            StepKind.VERIFY: lambda: (*reveal(version), ("login", version)) if has_target else (("read", version),),
            StepKind.PROBE: lambda: (*reveal(version), ("probe", version)),
            StepKind.PROMOTE: lambda: (("promote",),),
            StepKind.CONFIRM: lambda: (("read", current), ("confirm",)),
            StepKind.UNDO: lambda: (*reveal(pending, current), undo),
            StepKind.DISCARD: lambda: (*destroy(pending), ("discard",)),
            StepKind.RETIRE: lambda: (*reveal(previous, current), ("retire", previous, current)),
            StepKind.FORGET: lambda: (*(destroy(previous) if previous != current else ()), ("forget",)),
        }
        return table[step.kind]()

    def call(self, world: World, i: int) -> World:
        """Return the world after the next remote call of runner ``i``, which has a step under way."""
        kind, calls = world.runners[i].doing
        name, *arguments = calls[0]
        if name in WRITES and not self.setting.compares and world.runners[i].loaded is None:
            return put(world, i, world.runners[i]._replace(loaded=world.store))
        try:
            after = getattr(self, f"_{name}", None)
            after = after(world, i, *arguments) if after else self._write(world, i, kind, name, *arguments)
        except RefusedError:
            return ended(world, i)
        except AgainError:
            return put(world, i, world.runners[i]._replace(state=None, doing=None, loaded=None))
        if name == "refused":
            return ended(after, i)
        rest = after.runners[i].doing[1][1:]
        return put(after, i, after.runners[i]._replace(doing=(kind, rest) if rest else None, loaded=None))

    def _reveal(self, world: World, i: int, version: str) -> World:
        if version not in world.store[:3]:
            raise RefusedError("The store no longer holds the version.")
        runner = world.runners[i]
        return put(world, i, runner._replace(values=tuple(sorted({*runner.values, version}))))

    def _read(self, world: World, i: int, version: str) -> World:
        """Read a version back, which proves it where there is no target; what a run made itself it does not read."""
        runner, held = world.runners[i], version in world.store[:3]
        if runner.doing[0] is StepKind.CONFIRM:
            if not held:
                raise RefusedError("The store no longer holds the version.")
            return world
        if not held and version not in runner.values:
            return put(world, i, _tried(runner, version, False, None))
        values = tuple(sorted({*runner.values, version}))
        world = world._replace(proven=tuple(sorted({*world.proven, version})))
        return put(world, i, _tried(runner._replace(values=values), version, True, None))

    def _login(self, world: World, i: int, version: str) -> World:
        after, accepted = target_login(self.setting, world, version)
        return put(after, i, _tried(world.runners[i], version, accepted, self.setting.account(version)))

    def _probe(self, world: World, i: int, version: str) -> World:
        return put(world, i, _refused(world.runners[i], self.setting.account(version)))

    def _list(self, world: World, i: int) -> World:
        return put(world, i, world.runners[i]._replace(keys=world.keys))

    def _revoke(self, world: World, i: int, key: str) -> World:
        return put(target_delete(world, key), i, world.runners[i]._replace(keys=None))

    def _destroy(self, world: World, i: int, version: str) -> World:
        return put(target_delete(world, version), i, world.runners[i]._replace(keys=None))

    def _mint(self, world: World, i: int) -> World:
        try:
            after = target_mint(self.setting, world)
        except RefusedError:
            # A place for the call itself; the note is dropped by the one after it, and then the run ends.
            doing, fewer = (StepKind.MINT, (("mint",), ("refused",))), max(0, world.refusals - 1)
            return put(world, i, world.runners[i]._replace(keys=None, doing=doing))._replace(refusals=fewer)
        doing = (StepKind.MINT, (("mint",), ("stage", "minted", after.keys[-1].id)))
        return put(after, i, world.runners[i]._replace(keys=None, doing=doing))

    def _apply(self, world: World, i: int, version: str, current: str | None) -> World:
        runner, after = world.runners[i], target_apply(self.setting, world, version, current)
        if runner.doing[0] is StepKind.UNDO:
            return put(after, i, runner._replace(proofs=(), undone=runner.undone + 1))
        refused = int(int(version[1:]) in range(1, self.setting.rejects + 1))
        return put(after, i, runner._replace(proofs=(), applied=runner.applied + 1, rejected=runner.rejected + refused))

    def _retire(self, world: World, i: int, version: str, current: str | None) -> World:
        runner, after = world.runners[i], target_retire(self.setting, world, version, current)
        if runner.doing[0] is StepKind.RETIRE:
            proofs = tuple(p for p in runner.proofs if p[0] != version)
            return put(after, i, runner._replace(proofs=proofs, retired=runner.retired + 1, keys=None))
        undone = runner.undone + (runner.doing[0] is StepKind.UNDO)
        return put(after, i, runner._replace(proofs=(), undone=undone))

    def _write(self, world: World, i: int, kind: StepKind, name: str, *arguments: str) -> World:
        runner = world.runners[i]
        found = runner.loaded or world.store
        outdated = name == "claim" and self.setting.claims_what_was_seen and found.journal != runner.state.journal
        if outdated or found.journal.epoch != runner.state.journal.epoch:
            raise AgainError if runner.claimed is None else RefusedError
        world, runner, written, rest = self._prepared(world, runner, kind, name, *arguments)
        store = WRITES[name](found, written, *rest)
        world = world._replace(store=store)
        runner = runner._replace(state=store)
        if name == "claim":
            runner = runner._replace(claimed=written.epoch)
        if name == "stage":
            values = tuple(sorted({*runner.values, str(store.pending)}))
            runner = runner._replace(values=values, made=True, fresh=kind is StepKind.STAGE)
        return put(world, i, runner)

    def _prepared(self, world: World, runner: Runner, kind: StepKind, name: str, *arguments: str):
        """Return what a write needs: the journal to write, and which versions."""
        state, known = runner.state, runner.state.journal
        if name == "stage":
            return self._prepared_stage(world, _another(runner), *arguments)
        if name == "promote":
            return world, runner, known, (state.pending, state.current)
        if name == "discard":
            end = journal.abandoned if runner.order == "roll-back" else journal.discarded
            return world, _another(runner), end(known), (state.pending,)
        if name == "forget":
            return world, runner._replace(retired=0), journal.forgotten(known), (state.previous,)
        live = tuple(k.id for k in runner.keys or ())
        written = {
            "claim": lambda: journal.claimed(known, "r", self.wish.target or ""),
            "record": lambda: journal.intended(self._begun(known), live, self._now(world, runner)),
            "refused": lambda: journal.refused(known),
            "confirm": lambda: journal.confirmed(
                known, str(state.current), self._confirmed_at(world, runner), self._grace(runner)
            ),
        }
        return world, runner, written[name](), ()

    def _prepared_stage(self, world: World, runner: Runner, origin: str, *minted: str):
        """Return what a staging needs: of a version before, of a minted one, or of a new value."""
        state = runner.state
        if origin == "previous":
            return world, runner, journal.reverting(state.journal, "r"), (state.previous,)
        if origin == "minted":
            return world, runner, self._begun(state.journal), minted
        world = world._replace(made=world.made + 1)
        return world, runner, self._begun(state.journal), (f"{self._turn(state.current)}{world.made}",)

    def _confirmed_at(self, world: World, runner: Runner):
        order = order_of(runner.order, runner.now)
        return order.counted(self._now(world, runner), made=runner.made)

    def _now(self, world: World, runner: Runner):
        return instant(max(world.clock, runner.now))

    def _begun(self, known: Journal) -> Journal:
        return journal.begun(known, "r", self.wish.target or "")

    def _grace(self, runner: Runner):
        previous = runner.state.previous
        dead = self.setting.kind is SINGLE and dict(runner.proofs).get(str(previous)) is False
        if previous is None or dead:
            return None
        return GRACE * 0 if runner.order.startswith("emergency") else GRACE

    def _turn(self, current: str | None) -> str:
        if self.setting.kind is not TargetKind.ALTERNATING:
            return "v"
        return "b" if current is not None and current[0] == "a" else "a"


def put(world: World, i: int, runner: Runner) -> World:
    """Return the world with another memory of runner ``i``."""
    return world._replace(runners=(*world.runners[:i], runner, *world.runners[i + 1 :]))


def ended(world: World, i: int) -> World:
    """Return the world without the run of runner ``i``; if it held the lease, that is free."""
    return put(world, i, IDLE)._replace(holder=-1 if world.holder == i else world.holder)


def observed(world: World, i: int) -> World:
    """Return the world after runner ``i`` asked the store; a run that was superseded ends there."""
    runner, store = world.runners[i], world.store
    if runner.claimed is not None and store.journal.epoch > runner.claimed:
        return ended(world, i)
    return put(world, i, runner._replace(state=store))


def begun(world: World, i: int, order: str) -> World:
    """Return the world after runner ``i`` took the lease and asked the store."""
    return observed(put(world, i, Runner(order, world.clock))._replace(holder=i), i)


def _tried(runner: Runner, version: str, accepted: bool, account: str | None) -> Runner:
    proofs = tuple(sorted({**dict(runner.proofs), version: accepted}.items()))
    after = runner._replace(proofs=proofs)
    return after if accepted else _refused(after, account)


def _refused(runner: Runner, account: str | None) -> Runner:
    return runner._replace(refused=tuple(sorted({*runner.refused, account}, key=str)))


def _another(runner: Runner) -> Runner:
    return runner._replace(made=False, fresh=False, applied=0, rejected=0, undone=0)
