"""One secret in one backend, walked through the steps of a rotation as a flow would take them."""

import json
import secrets
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from support.stores.interface import Backend

from blocks.secret_stores.interface import SecretAddress, SecretStore, StoreState
from rules.rotation import Journal
from rules.rotation.journal import claimed, confirmed, discarded, forgotten, intended

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
GRACE = timedelta(hours=1)

CHAINS = {
    "claim": (),
    "record": ("claim",),
    "stage": ("claim",),
    "discard": ("claim", "stage"),
    "promote": ("claim", "stage"),
    "confirm": ("claim", "stage", "promote"),
    "forget": ("claim", "stage", "promote", "confirm"),
}
"""Each write of a store, and the writes that come before it."""

Pair = tuple[str | None, str]


class World:
    """A secret that no other test uses, and whatever a run does to it.

    Attributes:
        backend: the service.
        address: of the secret.
        store: the block object of the run.
        old: what consumers read at first; every value is unlike any other text there is.
        new: what the run stages.
    """

    def __init__(self, backend: Backend, *, pair: bool, address: SecretAddress | None = None) -> None:
        self.backend = backend
        self.pair = pair
        self.address = address or backend.address(pair=pair)
        self.old, self.new = self.fresh("old"), self.fresh("new")
        self.store = backend.make()
        self._seen: StoreState | None = None

    def fresh(self, name: str) -> Pair:
        """Return a pair that is nowhere yet; the account is told apart too."""
        return (f"{name}.{secrets.token_hex(4)}" if self.pair else None, f"{name}-{secrets.token_hex(8)}")

    def again(self) -> "World":
        """Return a world with another secret in the same service."""
        return World(self.backend, pair=self.pair)

    def put(self, pair: Pair) -> None:
        """Set the current version as somebody outside does."""
        self.backend.put(self.address, *pair)

    def before(self, step: str) -> "World":
        """Make the secret, and take every step that comes before this one."""
        self.put(self.old)
        for earlier in CHAINS[step]:
            self.take(earlier)
        return self

    def after(self, step: str) -> StoreState:
        """Make the secret, take every step up to this one, and return what is seen then."""
        self.before(step).take(step)
        return self.state()

    def take(self, step: str, store: SecretStore | None = None) -> StoreState:
        """Take a step from a fresh observation, as whoever repeats it would."""
        store = store or self.store
        seen = store.observe(self.address)
        return self.call(step, store, seen)

    def call(self, step: str, store: SecretStore, seen: StoreState) -> StoreState:
        """Make the write of a step, on the ground of what was seen."""
        call: Callable[[SecretStore, StoreState], StoreState] = getattr(self, f"_{step}")
        return call(store, seen)

    def rotate(self, pair: Pair, grace: timedelta | None = None) -> StoreState:
        """Rotate to a pair, from claim to confirmation."""
        self.take("claim")
        self.stage(pair)
        self.take("promote")
        seen = self.state()
        return self.store.confirm(self.address, confirmed(seen.journal, str(seen.current), NOW, grace))

    def stage(self, pair: Pair) -> StoreState:
        """Stage a pair."""
        journal = self.store.observe(self.address).journal
        return self.store.stage(self.address, journal, pair[0], SecretStr(pair[1]))

    def state(self) -> StoreState:
        """Return what another process sees."""
        return self.backend.make().observe(self.address)

    def value(self, version: str | None) -> Pair | None:
        """Return a version's pair as another process reveals it."""
        if version is None:
            return None
        revealed = self.backend.make().reveal(self.address, version)
        return (revealed.username, revealed.password.get_secret_value())

    def consume(self) -> Pair | None:
        """Return what consumers read."""
        return self.backend.consume(self.address)

    def allowed(self, step: str) -> tuple[Pair, ...]:
        """Return what consumers may read while this step is taken."""
        return {"promote": (self.old, self.new), "confirm": (self.new,), "forget": (self.new,)}.get(step, (self.old,))

    def picture(self) -> dict[str, Any]:
        """Return all that is seen, with values by their names instead of ids; equal for worlds in the same state."""
        state = self.state()
        names = {self.old: "old", self.new: "new", None: None}
        pointers = {p: getattr(state, p) for p in ("current", "pending", "previous")}
        seen = {p: names.get(self.value(version), "?") for p, version in pointers.items()}
        by_id = {version: seen[p] for p, version in pointers.items() if version}
        # The epoch counts attempts too.
        journal = {f.name: getattr(state.journal, f.name) for f in fields(Journal) if f.name != "epoch"}
        for name in ("base", "pending", "confirmed"):
            journal[name] = by_id.get(journal[name], journal[name])
        return {**seen, "journal": journal, "consumed": names.get(self.consume(), "?")}

    def surroundings(self) -> str:
        """Return what stands around the secret, in a form that can be compared."""
        return json.dumps(self.backend.surroundings(self.address), default=repr)

    def _claim(self, store: SecretStore, seen: StoreState) -> StoreState:
        return store.claim(self.address, seen, claimed(seen.journal, "rotation-1"))

    def _record(self, store: SecretStore, seen: StoreState) -> StoreState:
        return store.record(self.address, intended(seen.journal, ("key-1", "key-2"), NOW))

    def _stage(self, store: SecretStore, seen: StoreState) -> StoreState:
        return store.stage(self.address, seen.journal, self.new[0], SecretStr(self.new[1]))

    def _promote(self, store: SecretStore, seen: StoreState) -> StoreState:
        pending = seen.pending or seen.journal.pending or "none"
        return store.promote(self.address, seen.journal, pending, seen.current)

    def _confirm(self, store: SecretStore, seen: StoreState) -> StoreState:
        return store.confirm(self.address, confirmed(seen.journal, str(seen.current), NOW, GRACE))

    def _discard(self, store: SecretStore, seen: StoreState) -> StoreState:
        pending = seen.pending or seen.journal.pending
        return store.discard(self.address, discarded(seen.journal), pending) if pending else seen

    def _forget(self, store: SecretStore, seen: StoreState) -> StoreState:
        # A repeated one still knows which version it was about.
        self._seen = self._seen or seen
        previous = seen.previous or self._seen.previous or "none"
        return store.forget(self.address, forgotten(seen.journal), previous)


def undisturbed(world: World, step: str) -> dict[str, Any]:
    """Return what a world looks like after a step when nothing goes wrong."""
    other = world.again()
    other.after(step)
    return other.picture()
