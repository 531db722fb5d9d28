"""What is Key Vault's own in its store; what every store has to do is in the contract suite."""

import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from pydantic import SecretStr, ValidationError
from support.key_vault_double import DENIED, Vault, in_process, over_https, serving
from support.stores.azure_key_vault import AzureKeyVaultBackend, AzureKeyVaultDouble
from support.stores.interface import intercept
from support.stores.world import CHAINS, GRACE, World

from blocks.secret_stores import azure_key_vault
from blocks.secret_stores.azure import key_vault_errors, key_vault_record
from blocks.secret_stores.azure.arbiter import PrefectArbiter
from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    SecretAddress,
    SupersededError,
    ThrottledError,
)
from rules.errors import PermanentError, TemporaryError
from rules.rotation.journal import claimed

URL = "https://double.vault.azure.net"


@pytest.fixture
def vault():
    return Vault(URL)


@pytest.fixture
def world(vault):
    return World(AzureKeyVaultBackend(lambda **token: in_process(vault, **token)), pair=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("vault")) as (vault, certificate):
        yield vault, certificate


@pytest.fixture
def remote(served):
    vault, certificate = served
    return World(AzureKeyVaultDouble(lambda **token: over_https(vault, certificate, **token)), pair=True)


def client(world):
    return world.backend._outsider


def enabled(world, suffix=""):
    name = world.address.secret + suffix
    return [v.version for v in client(world).list_properties_of_secret_versions(name) if v.enabled]


def current(world, suffix=""):
    return client(world).get_secret(world.address.secret + suffix).properties


def during(world, operation, act):
    """Return a store in which something happens just before a call that begins so, once."""
    pending = [act]

    def intervene(called, request):
        if called.startswith(operation) and pending:
            pending.pop()()
        return request()

    return intercept(world.backend.make(), intervene)


# The block.


@pytest.mark.parametrize(
    "url",
    [
        "http://name.vault.azure.net",
        "https://name.vault.azure.net.evil.example",
        "https://user@name.vault.azure.net",
        "https://name.vault.azure.net/secrets/x",
        "https://vault.azure.net",
    ],
)
def test_what_is_no_vault_is_refused(url):
    with pytest.raises(ValidationError, match="not the URL of a vault"):
        AzureKeyVaultStore(vault_url=url)


def test_a_vault_of_another_cloud_is_accepted():
    assert AzureKeyVaultStore(vault_url="https://name.vault.usgovcloudapi.net/").vault_url.endswith(".net")


@pytest.mark.parametrize("missing", ["tenant_id", "client_id", "client_secret"])
def test_half_a_service_principal_is_refused(missing):
    whole = {"tenant_id": "t", "client_id": "c", "client_secret": SecretStr("s")}
    del whole[missing]
    with pytest.raises(ValidationError, match="tenant, client and secret"):
        AzureKeyVaultStore(vault_url=URL, **whole)


def test_importing_the_store_imports_no_sdk():
    code = "import sys, blocks.secret_stores.azure_key_vault; print('azure.core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("principal", [{}, {"tenant_id": "t", "client_id": "c", "client_secret": SecretStr("s3cret")}])
def test_the_client_checks_the_challenge_makes_no_retries_and_is_made_once(principal):
    store = AzureKeyVaultStore(vault_url=URL, **principal)
    made = store._connect()
    policies = {
        type(p).__name__: p for p in (getattr(p, "_policy", p) for p in made._client._client._pipeline._impl_policies)
    }
    assert policies["ChallengeAuthPolicy"]._verify_challenge_resource is True
    assert policies["RetryPolicy"].total_retries == 0
    assert store._connect() is made


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    with pytest.raises(PermanentError, match=r"vigiles.azure"):
        AzureKeyVaultStore(vault_url=URL)._connect()


# Errors.


def answered(status, inner="", body=True):
    error = HttpResponseError("https://double.vault.azure.net/secrets/x?value=canary")
    error.status_code = status
    error.error = SimpleNamespace(inner_error=SimpleNamespace(code=inner)) if body else None
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(401), DeniedError),
        (answered(403, "ForbiddenByRbac"), DeniedError),
        (answered(403, body=False), DeniedError),
        (answered(403, "SecretDisabled"), PermanentError),
        (answered(400), PermanentError),
        (answered(408), TemporaryError),
        (answered(409, "ObjectIsDeletedButRecoverable"), PermanentError),
        (answered(409, "ObjectIsBeingRecovered"), TemporaryError),
        (answered(429), ThrottledError),
        (answered(500), TemporaryError),
        (answered(503), TemporaryError),
        (ServiceRequestError("canary"), TemporaryError),
        (ServiceResponseError("canary"), TemporaryError),
        (ClientAuthenticationError("canary"), DeniedError),
        (ValueError("canary"), PermanentError),
    ],
)
def test_each_error_of_the_client_has_its_meaning(error, kind):
    ours = key_vault_errors.translated("SetSecret x", error)
    assert type(ours) is kind
    assert ours.advice
    assert "canary" not in str(ours)


def test_a_code_that_is_no_code_is_not_told():
    assert "can ary" not in str(key_vault_errors.translated("SetSecret x", answered(403, "can ary")))


# Over HTTPS, as the real client does it.


@pytest.mark.parametrize("step", CHAINS)
def test_every_step_works_over_https(step, remote):
    remote.after(step)
    assert remote.consume() in (remote.old, remote.new)
    assert remote.value(remote.state().current) == remote.consume()


def test_versions_come_in_pages_and_all_count(remote):
    remote.put(remote.old)
    for number in range(8):
        remote.rotate(remote.fresh(f"v{number}"), GRACE)
        remote.take("forget")
        remote._seen = None
    listed = [*client(remote).list_properties_of_secret_versions(remote.address.secret + "--vigiles")]
    assert len(listed) == 32
    assert remote.state().journal.epoch == 8


def test_a_vault_that_does_not_answer_is_temporary(served, tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    silent = Vault(f"https://127.0.0.1:{listener.getsockname()[1]}")
    store = AzureKeyVaultStore(vault_url=URL)
    store._client = over_https(silent, served[1], seconds=0.3)
    with listener, pytest.raises(TemporaryError):
        store.observe(SecretAddress(secret="x"))


def test_a_server_whose_certificate_is_another_is_not_talked_to(served, remote):
    import certifi

    remote.put(remote.old)
    stranger = over_https(served[0], certifi.where())
    with pytest.raises(ServiceRequestError):
        stranger.get_secret(remote.address.secret)


def test_the_double_wants_a_token_and_tells_rights(vault):
    assert vault.answer("GET", f"{URL}/secrets/x?api-version=7.4", None, b"")[0] == 401
    assert vault.answer("GET", f"{URL}/secrets/x?api-version=7.4", DENIED, b"")[0] == 403
    assert vault.answer("GET", f"{URL}/secrets/x", "token", b"")[0] == 400


# What the vault keeps.


def test_the_journal_is_in_tags_and_a_note_makes_no_version(world):
    before = len(enabled(world.before("record"), "--vigiles"))
    world.take("record")
    assert len(enabled(world, "--vigiles")) == before
    assert current(world, "--vigiles").tags["live"] == "key-1 key-2"


def test_a_promoted_version_says_which_rotation_made_it_and_what_it_displaced(world):
    displaced = current(world.before("promote")).version
    state = world.take("promote")
    tags = current(world).tags
    assert [tags[name] for name in key_vault_record.MARKS] == ["rotation-1", state.current, displaced]


def test_only_what_is_in_use_stays_readable(world):
    world.after("forget")
    assert enabled(world) == [current(world).version]
    assert len(enabled(world, "--vigiles")) == 1
    world.rotate(world.fresh("newer"), GRACE)
    assert len(enabled(world)) == 2


def test_versions_that_no_rotation_displaced_stay_enabled(world):
    world.put(world.fresh("older"))
    older = current(world).version
    world.after("forget")
    assert set(enabled(world)) == {older, current(world).version}


def test_a_version_that_expires_is_followed_by_one_that_lives_as_long(world):
    world.before("promote")
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    client(world).update_secret_properties(world.address.secret, expires_on=expires, not_before=expires)
    assert world.state().expires_at == expires
    time.sleep(1.1)
    world.take("promote")
    assert timedelta(0) < world.state().expires_at - expires < timedelta(minutes=1)
    assert current(world).not_before is None


def test_a_version_without_expiry_is_followed_by_one_without(world):
    world.after("promote")
    assert world.state().expires_at is None


def test_marks_give_way_to_tags_that_were_added_meanwhile(world):
    world.before("promote")
    tags = {f"t{number}": "x" for number in range(14)}
    client(world).update_secret_properties(world.address.secret, tags=tags)
    world.take("promote")
    assert current(world).tags == tags


# What preflight refuses.


@pytest.mark.parametrize("name", ["", "with/slash", "with_underscore", "x" * 119])
def test_a_name_that_cannot_be_rotated_is_refused(name, world):
    with pytest.raises(PermanentError, match="cannot be rotated"):
        world.store.preflight(SecretAddress(secret=name))


def test_the_longest_name_works(vault, world):
    longest = World(world.backend, pair=False, address=SecretAddress(secret="x" * 118))
    longest.after("forget")
    longest.store.preflight(longest.address)


def test_a_disabled_version_is_refused_with_advice(world):
    world.put(world.old)
    client(world).update_secret_properties(world.address.secret, enabled=False)
    with pytest.raises(PermanentError, match="disabled") as refused:
        world.store.preflight(world.address)
    assert type(refused.value) is PermanentError
    assert "Enable" in refused.value.advice


@pytest.mark.parametrize("suffix", ["", "--vigiles"])
def test_a_deleted_secret_or_record_is_refused_with_advice(suffix, world):
    world.after("forget")
    client(world).begin_delete_secret(world.address.secret + suffix, _polling_interval=0.01).wait()
    with pytest.raises(PermanentError, match="not purged") as refused:
        world.store.preflight(world.address)
    assert "recover" in refused.value.advice


def test_a_claim_over_a_deleted_record_is_refused_with_advice(world):
    world.after("forget")
    client(world).begin_delete_secret(world.address.secret + "--vigiles", _polling_interval=0.01).wait()
    with pytest.raises(PermanentError, match=r"not purged|deleted"):
        world.take("claim")


def test_a_record_that_is_none_is_refused_with_advice(world):
    world.after("claim")
    tags = current(world, "--vigiles").tags | {"number": "99"}
    client(world).set_secret(world.address.secret + "--vigiles", "{}", tags=tags)
    with pytest.raises(PermanentError, match="not what was written"):
        world.state()


def test_a_secret_of_a_certificate_is_refused(world, vault):
    world.put(world.old)
    vault.secrets[world.address.secret.lower()][-1].bundle["managed"] = True
    with pytest.raises(PermanentError, match="certificate"):
        world.store.preflight(world.address)


def test_a_secret_without_room_for_tags_is_refused(world):
    world.put(world.old)
    tags = {f"t{number}": "x" for number in range(13)}
    client(world).update_secret_properties(world.address.secret, tags=tags)
    with pytest.raises(PermanentError, match="tags"):
        world.store.preflight(world.address)


def test_a_journal_that_fits_into_no_tag_is_refused(world):
    state = world.after("claim")
    with pytest.raises(PermanentError, match="too long"):
        world.store.record(world.address, replace(state.journal, live=("x" * 257,)))
    assert world.state() == state


# Fencing.


def test_what_a_superseded_run_writes_late_is_passed_over(world):
    world.before("stage")
    store = during(world, "SetSecret", lambda: world.take("claim", world.backend.make()))
    with pytest.raises(SupersededError):
        world.take("stage", store)
    assert (world.state().journal.epoch, world.state().pending) == (2, None)
    assert current(world, "--vigiles").tags["epoch"] == "1"


def test_a_frozen_claimant_loses_to_who_took_its_claim_over(world):
    world.put(world.old)
    winners = []

    def overtake():
        winners.append(world.take("claim", world.backend.make()))

    with pytest.raises(SupersededError):
        world.take("claim", during(world, "SetSecret", overtake))
    assert world.state() == winners[0]
    assert current(world, "--vigiles").tags["turn"] == "1"


def test_who_lost_its_claim_after_it_was_written_writes_no_more(world):
    world.put(world.old)
    first, second = world.backend.make(), world.backend.make()
    world.take("claim", first)
    tags = current(world, "--vigiles").tags | {"turn": "2", "claimant": second._claimant}
    client(world).set_secret(
        world.address.secret + "--vigiles",
        client(world).get_secret(world.address.secret + "--vigiles").value,
        tags=tags,
    )
    with pytest.raises(SupersededError):
        world.take("stage", first)
    assert world.take("stage", second).pending


def test_a_claim_that_took_too_long_is_given_back(world, monkeypatch):
    world.put(world.old)
    monkeypatch.setattr(azure_key_vault, "WRITE_WITHIN", -1.0)
    with pytest.raises(SupersededError):
        world.take("claim")
    monkeypatch.undo()
    assert world.take("claim").journal.epoch == 1


def test_a_late_claimer_of_an_old_epoch_finds_the_store_ahead(world):
    seen = world.after("claim")
    late = world.backend.make()
    load = late._load

    def stale(address):
        loaded = load(address)
        world.take("claim", world.backend.make())
        world.take("claim", world.backend.make())
        world.take("claim", world.backend.make())
        return loaded

    object.__setattr__(late, "_load", stale)
    with pytest.raises(SupersededError):
        late.claim(world.address, seen, claimed(seen.journal, "late"))
    assert world.state().journal.epoch == 4


@pytest.mark.parametrize("operation", ["GetSecret Db", "SetSecret", "ListSecretVersions Db"])
def test_a_secret_that_somebody_sets_during_a_promotion_is_a_conflict(operation, world):
    seen = world.after("stage")
    count = {"GetSecret Db": 3, "SetSecret": 1, "ListSecretVersions Db": 4}[operation]
    calls, other = [], world.fresh("other")

    def act(called, request):
        calls.append(called)
        if called.startswith(operation) and sum(c.startswith(operation) for c in calls) == count:
            world.put(other)
        return request()

    with pytest.raises(ConflictError):
        world.call("promote", intercept(world.backend.make(), act), seen)
    assert [c for c in calls if c.startswith("SetSecret")] or operation.startswith("GetSecret")


def test_promoting_what_another_promoted_a_moment_ago_changes_nothing(world):
    seen = world.after("stage")
    store = during(world, "ListSecretVersions", lambda: None)
    load = store._load

    def overtaken(address):
        loaded = load(address)
        world.call("promote", world.backend.make(), seen)
        return loaded

    object.__setattr__(store, "_load", overtaken)
    world.call("promote", store, seen)
    assert len(enabled(world)) == 2


@pytest.mark.server
@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_run_that_dies_in_its_claim_does_not_wedge_the_secret(lost, world, monkeypatch):
    from blocks.secret_stores.azure import arbiter

    def die(called, request):
        if called.startswith("ClaimEpoch"):
            if lost == "after":
                request()
            raise KeyboardInterrupt
        return request()

    def make():
        store = world.backend.make()
        store._arbiter = PrefectArbiter()
        return store

    world.put(world.old)
    with pytest.raises(KeyboardInterrupt):
        world.take("claim", intercept(make(), die))
    if lost == "after":
        with pytest.raises(SupersededError):
            world.take("claim", make())
        monkeypatch.setattr(arbiter, "TAKE_OVER_AFTER", timedelta(seconds=-2))
    assert world.take("claim", make()).journal.epoch == 1
    assert world.take("claim", make()).journal.epoch == 2
