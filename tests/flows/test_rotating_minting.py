"""What the executor does around a credential that the target makes: notes, refusals, and versions restored by hand."""

from datetime import UTC, datetime, timedelta

import pytest
from support.memory_store import MemoryStore
from support.memory_target import MemoryTarget

from blocks.policies.rotation import SecretEntry
from blocks.secret_stores.interface import SecretAddress
from flows.rotating.performing import Rotation
from rules.errors import PermanentError, TemporaryError

ADDRESS = SecretAddress("PASSWORD", "USER")


class Minting:
    """A minted key in a simulated store, and rotations of it."""

    def __init__(self):
        self.store = MemoryStore(label="x")
        self.target = MemoryTarget(accounts=["k0"], style="mint", cap=3)
        self.target.give("k0", "first-password")
        self.store.put(ADDRESS, "k0", "first-password")
        keys = {"username": "USER", "password": "PASSWORD"}
        self.entry = SecretEntry(name="s", store="m/x", keys=keys, target="m/y", every="30d", grace="1h")
        self.now = datetime.now(UTC)

    def rotate(self, hours=0):
        self.now += timedelta(hours=hours)
        run = Rotation(self.entry, self.store, self.target, self.now, lambda _: None, pause=lambda _: None)
        run.advance(effects=True)
        return [step.kind.value for step in run.steps]

    @property
    def journal(self):
        return self.store.observe(ADDRESS).journal


@pytest.fixture
def minting():
    return Minting()


def test_a_refused_mint_leaves_no_note_behind(minting):
    minting.target.fail_next("mint", PermanentError("Denied."))
    with pytest.raises(PermanentError, match="Denied"):
        minting.rotate()
    assert (minting.journal.intent_at, minting.journal.live) == (None, ())


def test_a_lost_answer_keeps_the_note_by_which_the_lost_key_is_found(minting):
    minting.target.fail_next("mint", TemporaryError("No answer."), after_effect=True)
    with pytest.raises(TemporaryError):
        minting.rotate()
    assert minting.journal.live == ("k0",)
    assert "reclaim" in minting.rotate()
    assert set(minting.target.living) == {"k0", minting.store.consume(ADDRESS)[0]}


def test_the_note_carries_the_instant_of_the_request_and_not_of_the_run(minting):
    minting.now -= timedelta(hours=3)
    minting.target.fail_next("mint", TemporaryError("No answer."))
    with pytest.raises(TemporaryError):
        minting.rotate()
    assert datetime.now(UTC) - minting.journal.intent_at < timedelta(minutes=1)


def test_a_key_that_somebody_made_current_again_is_not_deleted(minting):
    minting.rotate()
    minting.store.put(ADDRESS, "k0", "first-password")
    row = minting.store._rows[ADDRESS]
    row.current = row.previous
    minting.rotate(hours=2)
    assert minting.target.accepts("k0", "first-password")
    assert minting.store.observe(ADDRESS).previous is None
