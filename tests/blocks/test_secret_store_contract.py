"""What every secret store must do, held against each of them and against the simulator alike."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr
from support.memory_store import MemoryStore

from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.interface import ConflictError, SecretAddress, SupersededError, VersionGoneError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PAIR = SecretAddress("DB_PASSWORD", "DB_USER")
ALONE = SecretAddress("API_TOKEN")


def env_file(folder):
    path = folder / ".env"
    path.write_text("# first\nexport OTHER='keep me'\n")

    def consume(address):
        values = dotenv_values(path)
        password = values.get(address.password)
        return (values.get(address.username) if address.username else None, password) if password else None

    def put(address, username, password):
        lines = f"{address.password}={password}\n" + (f"{address.username}={username}\n" if address.username else "")
        path.write_text("# first\nexport OTHER='keep me'\n" + lines)

    return SimpleNamespace(make=lambda: EnvFileStore(path=path), consume=consume, put=put)


def memory(_folder):
    store = MemoryStore(label="test")
    return SimpleNamespace(make=lambda: store, consume=store.consume, put=store.put)


@pytest.fixture(params=[env_file, memory])
def backend(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture(params=[ALONE, PAIR], ids=["value", "pair"])
def address(request):
    return request.param


@pytest.fixture
def name(address):
    return "alice" if address.username else None


@pytest.fixture
def store(backend):
    return backend.make()


@pytest.fixture
def staged(backend, store, address, name):
    """A store with a current version, claimed at epoch 1, with a pending version."""
    backend.put(address, name, "old")
    store.claim(address, 0, "r1")
    return store.stage(address, 1, name, SecretStr("new"))


@pytest.fixture
def promoted(store, address, staged):
    store.promote(address, 1, staged, store.observe(address).current)
    return staged


@pytest.fixture
def confirmed(store, address, promoted):
    store.confirm(address, 1, NOW, LATER)
    return promoted


def value(store, address, version):
    return store.reveal(address, version).password.get_secret_value()


def test_an_unknown_secret_has_no_versions_and_an_empty_journal(store, address):
    state = store.observe(address)
    assert (state.current, state.pending, state.previous, state.journal.epoch) == (None, None, None, 0)


def test_a_secret_that_was_set_outside_is_current(backend, store, address, name):
    backend.put(address, name, "old")
    state = store.observe(address)
    assert value(store, address, state.current) == "old"
    assert store.reveal(address, state.current).username == name
    assert (state.pending, state.previous) == (None, None)


def test_preflight_passes_and_writes_nothing(backend, store, address, name):
    backend.put(address, name, "old")
    before = store.observe(address)
    store.preflight(address)
    assert store.observe(address) == before


def test_a_version_keeps_its_id(staged, store, address, backend):
    before = store.observe(address)
    assert store.observe(address) == backend.make().observe(address) == before
    assert len({before.current, before.pending}) == 2


def test_another_value_outside_is_another_version(backend, store, address, name, confirmed):
    backend.put(address, name, "changed")
    assert store.observe(address).current not in (confirmed, None)
    assert store.observe(address).journal.confirmed == confirmed


def test_a_claim_counts_the_epoch_and_names_the_rotation(store, address):
    assert store.claim(address, 0, "r1") == 1
    assert store.claim(address, 1, "r2") == 2
    assert (store.observe(address).journal.epoch, store.observe(address).journal.rotation_id) == (2, "r2")


@pytest.mark.parametrize("epoch", [0, 2, 7])
def test_a_claim_of_another_epoch_is_refused(store, address, epoch):
    store.claim(address, 0, "r1")
    with pytest.raises(SupersededError):
        store.claim(address, epoch, "r2")
    assert store.observe(address).journal.rotation_id == "r1"


def test_two_secrets_have_their_own_epochs(store):
    store.claim(ALONE, 0, "r1")
    assert store.observe(PAIR).journal.epoch == 0


def test_a_staged_version_is_invisible_to_consumers(backend, store, address, name, staged):
    assert backend.consume(address) == (name, "old")
    state = store.observe(address)
    assert (state.pending, state.journal.pending, state.journal.base) == (staged, staged, state.current)
    assert value(store, address, staged) == "new"


def test_staging_again_keeps_the_pending_version(store, address, name, staged):
    assert store.stage(address, 1, name, SecretStr("newer")) == staged
    assert value(store, address, staged) == "new"


def test_a_first_version_can_be_staged_and_promoted(backend, store, address, name):
    store.claim(address, 0, "r1")
    pending = store.stage(address, 1, name, SecretStr("new"))
    store.promote(address, 1, pending, None)
    store.confirm(address, 1, NOW, LATER)
    state = store.observe(address)
    assert backend.consume(address) == (name, "new")
    assert (state.current, state.previous, state.journal.retire_after) == (pending, None, None)


def test_a_promoted_version_is_what_consumers_read(backend, store, address, name, promoted):
    assert backend.consume(address) == (name, "new")
    state = store.observe(address)
    assert state.current == promoted == state.journal.pending
    assert value(store, address, state.previous) == "old"
    assert store.reveal(address, state.previous).username == name


def test_promoting_again_changes_nothing(store, address, promoted):
    before = store.observe(address)
    store.promote(address, 1, promoted, before.previous)
    assert store.observe(address) == before


def test_a_promotion_over_another_current_is_refused(backend, store, address, name, staged):
    expected = store.observe(address).current
    backend.put(address, name, "changed")
    with pytest.raises(ConflictError):
        store.promote(address, 1, staged, expected)
    assert backend.consume(address) == (name, "changed")


def test_a_promotion_of_an_unknown_version_is_refused(backend, store, address, name, staged):
    with pytest.raises(ConflictError):
        store.promote(address, 1, "unknown", store.observe(address).current)
    assert backend.consume(address) == (name, "old")


def test_a_confirmed_version_has_its_times_written_down(store, address, confirmed):
    state = store.observe(address)
    assert (state.pending, state.journal.pending, state.journal.confirmed) == (None, None, confirmed)
    assert (state.journal.rotated_at, state.journal.retire_after) == (NOW, LATER)


def test_confirming_again_keeps_the_first_times(store, address, confirmed):
    store.confirm(address, 1, LATER, LATER)
    assert store.observe(address).journal.rotated_at == NOW


def test_confirming_what_was_not_promoted_is_refused(store, address, staged):
    with pytest.raises(ConflictError):
        store.confirm(address, 1, NOW, LATER)


def test_confirming_where_nothing_was_staged_is_refused(store, address):
    store.claim(address, 0, "r1")
    with pytest.raises(ConflictError):
        store.confirm(address, 1, NOW, LATER)


def test_a_forgotten_version_is_gone(backend, store, address, name, confirmed):
    previous = store.observe(address).previous
    store.forget(address, 1, previous)
    state = store.observe(address)
    assert (state.previous, state.journal.retire_after) == (None, None)
    assert state.journal.rotated_at == NOW
    assert backend.consume(address) == (name, "new")
    with pytest.raises(VersionGoneError):
        store.reveal(address, previous)


def test_forgetting_again_changes_nothing(store, address, confirmed):
    previous = store.observe(address).previous
    store.forget(address, 1, previous)
    before = store.observe(address)
    store.forget(address, 1, previous)
    assert store.observe(address) == before


def test_forgetting_another_version_is_refused(store, address, confirmed):
    with pytest.raises(ConflictError):
        store.forget(address, 1, confirmed)
    assert store.observe(address).previous is not None


def test_an_unknown_version_cannot_be_revealed(store, address, staged):
    with pytest.raises(VersionGoneError):
        store.reveal(address, "unknown")


WRITES = {
    "stage": lambda s, a, v: s.stage(a, 1, "alice" if a.username else None, SecretStr("late")),
    "promote": lambda s, a, v: s.promote(a, 1, v, s.observe(a).current),
    "confirm": lambda s, a, v: s.confirm(a, 1, NOW, LATER),
    "forget": lambda s, a, v: s.forget(a, 1, v),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_superseded_epoch_writes_nothing(write, store, address, staged, backend):
    store.claim(address, 1, "r1")
    before, read = store.observe(address), backend.consume(address)
    with pytest.raises(SupersededError):
        WRITES[write](store, address, staged)
    assert (store.observe(address), backend.consume(address)) == (before, read)


def test_a_new_claim_keeps_what_is_staged(store, address, staged):
    store.claim(address, 1, "r1")
    assert store.observe(address).pending == staged
    assert value(store, address, staged) == "new"


def test_rotations_follow_one_another(backend, store, address, name, confirmed):
    store.forget(address, 1, store.observe(address).previous)
    store.claim(address, 1, "r2")
    pending = store.stage(address, 2, name, SecretStr("newest"))
    store.promote(address, 2, pending, confirmed)
    store.confirm(address, 2, LATER, LATER + timedelta(hours=1))
    assert backend.consume(address) == (name, "newest")
    assert value(store, address, store.observe(address).previous) == "new"


def test_no_version_shows_its_value(store, address, staged):
    revealed = store.reveal(address, staged)
    assert "new" not in repr(revealed) + str(revealed) + repr(store.observe(address)) + staged


@pytest.mark.parametrize("awkward", ["with space", "it's", 'say "hi"', "# no comment", "a=b", "ünïcode", "x" * 65536])
def test_awkward_values_read_back(awkward, backend, store, address, name):
    store.claim(address, 0, "r1")
    pending = store.stage(address, 1, name, SecretStr(awkward))
    store.promote(address, 1, pending, None)
    assert backend.consume(address) == (name, awkward)
    assert value(store, address, pending) == awkward
