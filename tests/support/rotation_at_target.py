"""What a target of the model does: every function is one remote call, and says what the interface says."""

from support.rotation_world import DUAL, MINT, SINGLE, Key, RefusedError, Setting, World


def changed(world: World, **what: object) -> World:
    """Return the world with the target changed: what was proven of it before is void."""
    return world._replace(proven=(), **what)


def target_apply(s: Setting, world: World, version: str, current: str | None) -> World:
    """Set a version at the target."""
    if int(version[1:]) in range(1, s.rejects + 1):
        return changed(world)
    if s.kind is SINGLE:
        return changed(world, alive=(version,))
    if s.kind is DUAL:
        if version not in world.alive and len(world.alive) >= s.capacity:
            raise RefusedError("The account has all the passwords it may have.")
        return changed(world, alive=(*world.alive, *(() if version in world.alive else (version,))))
    if current is not None and s.account(current) == s.account(version):
        raise RefusedError("The account is in use.")
    return changed(world, alive=(*(v for v in world.alive if v[0] != version[0]), version))


def target_retire(s: Setting, world: World, version: str, current: str | None) -> World:
    """Take a version's access away; a mint-style target disables the key."""
    if s.kind is MINT:
        return changed(world, keys=tuple(k._replace(enabled=k.enabled and k.id != version) for k in world.keys))
    if s.kind is DUAL:
        return changed(world, alive=tuple(v for v in world.alive if v != version))
    if current is not None and s.account(current) == s.account(version):
        raise RefusedError("The account is in use.")
    return changed(world, alive=tuple(v for v in world.alive if s.account(v) != s.account(version)))


def target_delete(world: World, key: str) -> World:
    """Delete a key at a mint-style target."""
    return changed(world, keys=tuple(k for k in world.keys if k.id != key))


def target_mint(s: Setting, world: World) -> World:
    """Let the target make a key."""
    if world.refusals or len(world.keys) >= s.capacity:
        raise RefusedError("It may not be asked, or all the keys that there may be exist.")
    key = Key(f"k{world.made + 1}", world.clock, used=False if s.tells_use else None)
    return changed(world, keys=(*world.keys, key), made=world.made + 1)


def target_login(s: Setting, world: World, version: str) -> tuple[World, bool]:
    """Log in; what succeeded is proven until the target is changed."""
    if not s.accepts(world, version):
        return world, False
    keys = tuple(k._replace(used=True) if s.tells_use and k.id == version else k for k in world.keys)
    return world._replace(keys=keys, proven=tuple(sorted({*world.proven, version}))), True
