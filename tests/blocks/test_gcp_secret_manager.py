"""What is particular to Google Cloud's Secret Manager; what it shares with every store is in the contract suite."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from support.drongo import Layer, drongo_server  # noqa: F401
from support.secret_manager_simulator import PROJECT, SecretManagerSimulator
from support.stores.gcp_secret_manager import Real, Simulated, over
from support.stores.interface import intercept
from support.stores.world import World

from blocks.secret_stores.gcp import gcp_secrets
from blocks.secret_stores.gcp_secret_manager import GcpSecretManagerStore
from blocks.secret_stores.interface import ConflictError, DeniedError, SupersededError, ThrottledError
from rules.errors import PermanentError, TemporaryError

STEPS = ("claim", "stage", "promote", "confirm", "forget")


@pytest.fixture
def simulator():
    return SecretManagerSimulator()


@pytest.fixture
def world(simulator):
    return World(Simulated(simulator.client(), simulator.client(allowed=False)), pair=True)


def rotate(world, store):
    for step in STEPS:
        world.take(step, store)


def settings(world, suffix=""):
    return world.backend._client.get_secret(request={"name": world.backend.path(world.address, suffix)})


def set_field(world, field, value):
    secret = {"name": world.backend.path(world.address), field: value}
    world.backend._client.update_secret(request={"secret": secret, "update_mask": {"paths": [field]}})


def states(world, simulator, suffix=""):
    return [row["state"] for row in simulator.versions[world.backend.path(world.address, suffix)]]


def before_call(world, start, act):
    """Return a block that calls ``act`` once, just before the first call whose name begins so."""
    left = [act]

    def passing(operation, request):
        if left and operation.startswith(start):
            left.pop()()
        return request()

    return intercept(world.backend.make(), passing)


def answering(world, start, answer):
    """Return a block in which each call whose name begins so gets this answer."""
    return intercept(
        world.backend.make(), lambda operation, request: answer if operation.startswith(start) else request()
    )


def test_importing_the_store_imports_no_sdk():
    sdk = "{n for n in sys.modules if n.startswith(('google', 'prefect_gcp', 'grpc'))}"
    code = f"import sys, blocks.secret_stores.gcp_secret_manager; print({sdk})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("slug", ["", "gcp-credentials/", "secret/key", "gcp-credentials"])
def test_credentials_are_named_by_the_slug_of_their_block(slug):
    with pytest.raises(ValidationError, match="gcp-credentials/NAME"):
        GcpSecretManagerStore(credentials=slug)


@pytest.mark.parametrize("name", ["", "projects/p/secrets/db", "db--vigiles", "x" * 247])
def test_a_name_that_cannot_be_a_secrets_is_refused(name, world):
    with pytest.raises(PermanentError, match="cannot be a secret"):
        world.store.preflight(type(world.address)(secret=name))


def test_a_current_version_that_latest_does_not_show_yet_is_not_revealed(world):
    world.before("promote")
    old = world.store._version(world.address.secret, "latest")
    state = world.take("promote")
    store = answering(world, "AccessSecretVersion latest", old)
    assert store.observe(world.address) == state
    with pytest.raises(TemporaryError, match="still get version 1"):
        store.reveal(world.address, state.current)
    assert store.reveal(world.address, state.previous).password.get_secret_value() == world.old[1]


def test_aliases_are_moved_where_somebody_uses_them(world):
    world.put(world.old)
    set_field(world, "version_aliases", {"current": 1, "blue": 1})
    world.rotate(world.new)
    assert dict(settings(world).version_aliases) == {"current": 2, "previous": 1, "blue": 1}


def test_aliases_are_forced_on_nobody(world):
    world.put(world.old)
    set_field(world, "version_aliases", {"blue": 1})
    world.rotate(world.new)
    assert dict(settings(world).version_aliases) == {"blue": 1}


def test_aliases_that_were_moved_before_a_kill_are_moved_once(world):
    world.put(world.old)
    set_field(world, "version_aliases", {"current": 1})
    for step in ("claim", "stage", "promote"):
        world.take(step)

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.take("confirm", before_call(world, "AddSecretVersion", killed))
    world.take("confirm")
    assert dict(settings(world).version_aliases) == {"current": 2, "previous": 1}


def test_settings_that_somebody_changes_at_the_same_moment_are_not_overwritten(world):
    world.put(world.old)
    set_field(world, "version_aliases", {"current": 1})
    for step in ("claim", "stage", "promote"):
        world.take(step)
    change = lambda: set_field(world, "annotations", {"team": "other"})  # noqa: E731
    with pytest.raises(TemporaryError, match="settings"):
        world.take("confirm", before_call(world, f"UpdateSecret {world.address.secret}", change))
    world.take("confirm")
    assert (settings(world).version_aliases["current"], settings(world).annotations["team"]) == (2, "other")


@pytest.mark.parametrize("call", ["disable_secret_version", "destroy_secret_version"])
def test_a_newest_version_that_nobody_can_read_is_told(call, world):
    world.put(world.old)
    world.put(world.new)
    name = f"{world.backend.path(world.address)}/versions/2"
    getattr(world.backend._client, call)(request={"name": name})
    with pytest.raises(PermanentError, match="nobody can read") as caught:
        world.store.observe(world.address)
    assert "Enable it" in caught.value.advice


def test_a_secret_without_a_version_has_no_current_one_and_gets_one(world, simulator):
    world.put(world.old)
    simulator.versions[world.backend.path(world.address)].clear()
    assert world.state().current is None
    with pytest.raises(PermanentError, match="no secret"):
        world.store.preflight(world.address)
    world.rotate(world.new)
    assert world.consume() == world.new


def test_the_end_of_a_secret_is_shown(world, simulator):
    world.put(world.old)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    simulator.settings[world.backend.path(world.address)].fields["expireTime"] = end.isoformat()
    assert world.state().expires_at == end


def test_the_displaced_version_is_disabled_in_the_end(world, simulator):
    world.after("confirm")
    assert states(world, simulator) == ["ENABLED", "ENABLED"]
    world.take("forget")
    assert states(world, simulator) == ["DISABLED", "ENABLED"]


def test_a_version_that_is_not_the_displaced_one_is_left_alone(world, simulator):
    world.put(world.fresh("older"))
    world.after("confirm")
    world.put(world.fresh("other"))
    world.take("forget")
    assert states(world, simulator) == ["ENABLED", "DISABLED", "ENABLED", "ENABLED"]


def test_a_displaced_version_that_somebody_destroyed_is_passed_over(world, simulator):
    world.after("confirm")
    name = f"{world.backend.path(world.address)}/versions/1"
    world.backend._client.destroy_secret_version(request={"name": name})
    world.take("forget")
    assert states(world, simulator) == ["DESTROYED", "ENABLED"]


def test_all_but_the_last_two_versions_of_the_record_are_destroyed(world, simulator):
    world.after("forget")
    found = states(world, simulator, "--vigiles")
    assert (found[-2:], set(found[:-2])) == (["ENABLED", "ENABLED"], {"DESTROYED"})


def test_a_record_is_replicated_as_its_secret_is(world, simulator):
    world.put(world.old)
    places = {"userManaged": {"replicas": [{"location": "europe-west8"}]}}
    simulator.settings[world.backend.path(world.address)].fields["replication"] = places
    world.take("claim")
    assert simulator.settings[world.backend.path(world.address, "--vigiles")].fields["replication"] == places


def test_a_record_that_was_added_and_never_pointed_to_is_passed_over_and_destroyed(world, simulator):
    world.before("stage")

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.take("stage", before_call(world, "UpdateSecret", killed))
    assert world.state().pending is None
    for step in ("stage", "promote", "confirm", "forget"):
        world.take(step)
    assert states(world, simulator, "--vigiles").count("ENABLED") == 2


def test_a_version_that_is_added_at_the_same_moment_is_noticed_and_told(world):
    world.after("stage")
    store = before_call(world, f"AddSecretVersion {world.address.secret}", lambda: world.put(world.fresh("other")))
    with pytest.raises(ConflictError, match="same moment"):
        world.take("promote", store)


def test_a_promotion_writes_nothing_for_a_run_that_was_superseded_since_it_read(world):
    world.after("stage")
    store = before_call(world, "UpdateSecret", lambda: world.take("claim"))
    with pytest.raises(SupersededError):
        world.take("promote", store)
    assert world.consume() == world.old


def test_a_record_that_was_replaced_while_it_was_read_asks_for_another_try(world):
    world.after("claim")
    old = settings(world, "--vigiles")
    for step in ("stage", "promote", "confirm"):
        world.take(step)
    with pytest.raises(TemporaryError, match="replaced, or destroyed"):
        answering(world, f"GetSecret {world.address.secret}--vigiles", old).observe(world.address)


def test_a_record_that_somebody_wrote_is_refused_and_named(world):
    world.after("claim")
    secret = {"name": world.backend.path(world.address, "--vigiles"), "annotations": {"vigiles-record": "nine"}}
    request = {"secret": secret, "update_mask": {"paths": ["annotations"]}}
    world.backend._client.update_secret(request=request)
    with pytest.raises(PermanentError, match="vigiles-record"):
        world.store.observe(world.address)


def test_a_payload_that_arrives_damaged_is_not_believed(world, simulator, monkeypatch):
    world.put(world.old)
    shown = simulator._on_version

    def damaged(*request):
        answer = shown(*request)
        answer["payload"]["dataCrc32c"] = "1"
        return answer

    monkeypatch.setattr(simulator, "_on_version", damaged)
    with pytest.raises(TemporaryError, match="damaged"):
        world.store.observe(world.address)


def test_a_payload_that_leaves_with_a_wrong_checksum_is_refused_by_the_service(world, monkeypatch):
    monkeypatch.setattr(gcp_secrets, "_checksum", lambda data: 1)
    world.put(world.old)
    store = answering(world, "AccessSecretVersion", None)
    with pytest.raises(PermanentError, match="AddSecretVersion"):
        store.claim(world.address, store.observe(world.address), store.observe(world.address).journal)


def test_a_payload_that_is_no_text_is_told(world):
    world.put(world.old)
    add = {"parent": world.backend.path(world.address), "payload": {"data": b"\xff\xfe"}}
    world.backend._client.add_secret_version(request=add)
    with pytest.raises(PermanentError, match="no text"):
        world.store.observe(world.address)


def test_google_says_what_is_granted(world):
    world.put(world.old)
    refused = over(world.backend._powerless)
    assert {row.granted for row in refused.permissions(world.address)} == {False, None}
    world.take("claim")
    assert {row.granted for row in world.store.permissions(world.address)} == {True, None}


ERRORS = {
    "ResourceExhausted": ThrottledError,
    "TooManyRequests": ThrottledError,
    "PermissionDenied": DeniedError,
    "Forbidden": DeniedError,
    "Unauthenticated": DeniedError,
    "ServiceUnavailable": TemporaryError,
    "DeadlineExceeded": TemporaryError,
    "Aborted": TemporaryError,
    "InvalidArgument": PermanentError,
    "FailedPrecondition": PermanentError,
    "NotFound": PermanentError,
}


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_of_google_becomes_one_of_ours_without_its_text(name):
    from google.api_core import exceptions

    told = gcp_secrets.translated("AddSecretVersion db", getattr(exceptions, name)("canary"))
    assert type(told) is ERRORS[name]
    assert told.advice
    assert "canary" not in str(told)


def test_an_error_without_an_answer_is_told_apart():
    import requests
    from google.auth.exceptions import RefreshError

    assert type(gcp_secrets.translated("GetSecret x", requests.ConnectionError("canary"))) is TemporaryError
    assert type(gcp_secrets.translated("GetSecret x", RefreshError("canary"))) is DeniedError
    assert type(gcp_secrets.translated("GetSecret x", TypeError("canary"))) is PermanentError


def key_file(email="vigiles@test.iam.gserviceaccount.com"):
    """Return a service account's key; tokens are signed with it and not fetched."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    rest = {"project_id": PROJECT, "private_key_id": "1", "token_uri": "http://127.0.0.1:9/token"}
    return {"type": "service_account", "client_email": email, "private_key": private.decode(), **rest}


def test_the_client_is_made_from_a_credentials_block(drongo_server, prefect_api):  # noqa: F811
    from prefect_gcp import GcpCredentials

    world = World(Real(Layer(drongo_server).client()), pair=True)
    world.put(world.old)
    GcpCredentials(service_account_info=key_file()).save("for-secrets", overwrite=True)
    store = GcpSecretManagerStore(credentials="gcp-credentials/for-secrets", endpoint=drongo_server)
    store.preflight(world.address)
    state = store.observe(world.address)
    assert store.reveal(world.address, state.current).password.get_secret_value() == world.old[1]


def test_a_credentials_block_that_is_missing_is_named(prefect_api):
    store = GcpSecretManagerStore(credentials="gcp-credentials/missing", project=PROJECT)
    with pytest.raises(PermanentError, match="gcp-credentials/missing"):
        store.observe(World(Simulated(None), pair=True).address)


def test_a_project_that_nobody_names_is_asked_for(simulator):
    store = over(simulator.client())
    store.project = None
    with pytest.raises(PermanentError, match="project"):
        store.observe(World(Simulated(simulator.client()), pair=True).address)


def test_drongo_lets_pass_what_the_layer_refuses(drongo_server):  # noqa: F811
    from google.api_core.exceptions import BadRequest

    layer = Layer(drongo_server)
    world = World(Real(layer.client()), pair=True)
    world.put(world.old)
    name = world.backend.path(world.address)
    body = {"name": name, "etag": '"999"', "annotations": {"a": "b"}}
    assert layer._drongo("PATCH", f"/v1/{name}", {"updateMask": "annotations"}, body)[0] == 200
    with pytest.raises(BadRequest):
        world.backend._client.update_secret(request={"secret": body, "update_mask": {"paths": ["annotations"]}})
