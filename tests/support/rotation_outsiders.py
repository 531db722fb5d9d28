"""What people do in the model's world beside the runs: make a key, change the secret, take an old version back."""

from collections.abc import Iterator

from support.rotation_world import ALTERNATING, GENERATED, MINT, SINGLE, Key, Setting, World, tick

HAND = 9
"""Number of a version that was made by hand."""


def key_made(s: Setting, world: World) -> Iterator[World]:
    """Yield the world in which a stranger has made a key, where there is room for one."""
    if len(world.keys) < s.capacity:
        key = Key("s", world.clock, used=True if s.tells_use else None)
        yield world._replace(keys=(*world.keys, key), arrivals=world.arrivals - 1)


def at_any_time(_: World) -> bool:
    """Whether a stranger may make a key now: always."""
    return True


def while_nobody_runs(world: World) -> bool:
    """Whether there is no run."""
    return not any(runner.order for runner in world.runners)


def long_after(world: World) -> bool:
    """Whether there is no run, and none has noted within the hour which keys there are."""
    noted = world.store.journal.intent_at
    return while_nobody_runs(world) and (noted is None or world.clock > tick(noted))


def hour_passed(world: World) -> Iterator[World]:
    """Yield the world an hour after it was noted which keys there are, as often as that may pass."""
    noted = world.store.journal.intent_at
    if world.waits and noted is not None and world.clock == tick(noted):
        yield world._replace(clock=world.clock + 1, waits=world.waits - 1)


def restored(s: Setting, world: World) -> World:
    """Return the world in which somebody made the previous version current again, at the target too if need be."""
    previous = world.store.previous
    alive = (previous,) if s.kind is SINGLE else world.alive
    return world._replace(store=world.store._replace(current=previous), alive=alive)


def rewritten(s: Setting, world: World) -> World:
    """Return the world in which somebody gave the current account another credential, and wrote it into the secret."""
    current = world.store.current
    made = f"{current[0]}{HAND}"
    store = world.store._replace(current=made)
    if s.kind is MINT:
        keys = tuple(Key(made, world.clock) if k.id == current else k for k in world.keys)
        return world._replace(store=store, keys=keys)
    if s.kind is GENERATED:
        return world._replace(store=store)
    replaced = {ALTERNATING: lambda v: v[0] == current[0], SINGLE: lambda _: True}.get(s.kind, lambda v: v == current)
    return world._replace(store=store, alive=(*(v for v in world.alive if not replaced(v)), made))
