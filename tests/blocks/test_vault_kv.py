"""What is particular to KV version 2, against OpenBao's real server; the common contract has a suite of its own."""

import io
import json
import re
import secrets
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import certifi
import hvac
import pytest
import requests
from hvac.adapters import RawAdapter
from pydantic import SecretStr, ValidationError
from support import faulty_server, vault_simulator
from support import openbao as servers
from support.cluster_double import NAME, NAMESPACE, cluster_double, service_account
from support.openbao import openbao  # noqa: F401
from support.stores.interface import intercept

from blocks.secret_stores.interface import ConflictError, DeniedError, SecretAddress, ThrottledError
from blocks.secret_stores.vault import vault_numbers
from blocks.secret_stores.vault_kv import VaultKvStore
from rules.errors import PermanentError, TemporaryError
from rules.rotation.journal import claimed, confirmed, forgotten

ADDRESS = SecretAddress("password", "username", "prod/app")
FIELDS = {"username": "alice", "password": "first", "host": "db", "port": 5432}


class Secret:
    """One secret in an engine of its own."""

    def __init__(self, server, **fields):
        self.server, self.mount = server, server.new_mount()
        self.kv = server.client().secrets.kv.v2
        self.kv.create_or_update_secret(ADDRESS.secret, FIELDS | fields, cas=0, mount_point=self.mount)

    def store(self, token=servers.ROOT, **fields):
        login = {"authentication": "token", "token": token} | fields
        return VaultKvStore(address=self.server.address, mount=self.mount, **login)

    def least(self, *without):
        """The README's least-privilege policy, without the lines that end so."""
        path = ADDRESS.secret
        rules = {
            f"{self.mount}/data/{path}": ["read", "update"],
            f"{self.mount}/data/{path}--vigiles": ["create", "read", "update"],
            f"{self.mount}/metadata/{path}": ["read"],
            f"{self.mount}/metadata/{path}--vigiles": ["create", "update"],
            f"{self.mount}/destroy/{path}": ["update"],
        }
        kept = {path: rights for path, rights in rules.items() if not path.startswith(tuple(without))}
        return self.server.new_policy(kept)

    def read(self, version=None, suffix=""):
        path = ADDRESS.secret + suffix
        read = self.kv.read_secret_version(path, version, mount_point=self.mount, raise_on_deleted_version=True)
        return read["data"]["data"]

    def versions(self, suffix=""):
        rows = self.kv.read_secret_metadata(ADDRESS.secret + suffix, mount_point=self.mount)["data"]["versions"]
        return {int(number): row["destroyed"] for number, row in rows.items()}


@pytest.fixture
def secret(openbao):  # noqa: F811
    return Secret(openbao)


@pytest.fixture
def now():
    return datetime(2026, 3, 1, tzinfo=UTC)


def approle(secret, *policies, ttl="1h"):
    role = secret.server.new_approle(*policies, ttl=ttl)
    return role, {"authentication": "approle", "role_id": role.role_id, "secret_id": role.secret_id}


def rotate(store, now, password="second"):
    seen = store.observe(ADDRESS)
    state = store.claim(ADDRESS, seen, claimed(seen.journal, "r1"))
    state = store.stage(ADDRESS, state.journal, "bob", SecretStr(password))
    state = store.promote(ADDRESS, state.journal, state.pending, state.current)
    state = store.confirm(ADDRESS, confirmed(state.journal, state.current, now, now - now))
    return store.forget(ADDRESS, forgotten(state.journal), state.previous)


def test_a_role_with_the_least_rights_can_rotate(secret, now):
    _, login = approle(secret, secret.least())
    store = secret.store(**login)
    store.preflight(ADDRESS)
    assert {p.granted for p in store.permissions(ADDRESS)} == {True}
    rotate(store, now)
    assert secret.read() == FIELDS | {"username": "bob", "password": "second"}
    assert {p.granted for p in store.permissions(ADDRESS)} == {True}


def test_the_value_that_was_forgotten_can_be_read_nowhere(secret, now):
    rotate(secret.store(), now)
    assert secret.versions() == {1: True, 2: False}
    assert len(secret.versions("--vigiles")) == 1
    assert "first" not in json.dumps(secret.read(suffix="--vigiles"))


def test_every_version_with_the_forgotten_value_is_destroyed_and_older_history_stays(secret, now):
    for number, change in enumerate([{"password": "kept"}, {"password": "dead"}, {"password": "dead", "host": "new"}]):
        secret.kv.create_or_update_secret(ADDRESS.secret, FIELDS | change, cas=number + 1, mount_point=secret.mount)
    rotate(secret.store(), now)
    assert secret.versions() == {1: False, 2: False, 3: True, 4: True, 5: False}
    assert secret.read(2)["password"] == "kept"


def test_without_the_right_to_destroy_a_rotation_ends_and_the_plan_says_what_is_missing(secret, now):
    _, login = approle(secret, secret.least(f"{secret.mount}/destroy", f"{secret.mount}/metadata"))
    store = secret.store(**login)
    rotate(store, now)
    assert secret.read(1)["password"] == "first"
    refused = {(p.action, p.resource.removeprefix(secret.mount)) for p in store.permissions(ADDRESS) if not p.granted}
    assert refused == {
        ("update", "/destroy/prod/app"),
        ("read", "/metadata/prod/app"),
        ("create", "/metadata/prod/app--vigiles"),
        ("update", "/metadata/prod/app--vigiles"),
    }


@pytest.mark.parametrize("missing", ["data/prod/app--vigiles", "data/prod/app"])
def test_a_missing_right_is_named(missing, secret, now):
    _, login = approle(secret, secret.least(f"{secret.mount}/{missing}"))
    with pytest.raises(DeniedError, match=f"read {secret.mount}/{missing}"):
        rotate(secret.store(**login), now)


def test_settings_of_the_secret_stay_and_demanded_check_and_set_is_met(secret, now):
    settings = {"cas_required": True, "custom_metadata": {"team": "payments"}, "max_versions": 7}
    secret.kv.update_metadata(ADDRESS.secret, mount_point=secret.mount, **settings)
    secret.kv.configure(cas_required=True, mount_point=secret.mount)
    rotate(secret.store(), now)
    found = secret.kv.read_secret_metadata(ADDRESS.secret, mount_point=secret.mount)["data"]
    assert {name: found[name] for name in settings} == settings


def test_a_change_of_another_field_between_reading_and_promoting_is_not_overwritten(secret):
    store = secret.store()
    state = store.claim(ADDRESS, seen := store.observe(ADDRESS), claimed(seen.journal, "r1"))
    state = store.stage(ADDRESS, state.journal, "bob", SecretStr("second"))

    def act(operation, request):
        if operation == f"write {secret.mount}/data/prod/app":
            secret.kv.create_or_update_secret(ADDRESS.secret, FIELDS | {"host": "new"}, mount_point=secret.mount)
        return request()

    with pytest.raises(ConflictError, match="somebody has changed the secret"):
        intercept(secret.store(), act).promote(ADDRESS, state.journal, state.pending, state.current)
    assert secret.read() == FIELDS | {"host": "new"}


def test_a_login_that_has_ended_is_made_again(secret):
    _, login = approle(secret, secret.least(), ttl="1s")
    calls = []
    store = intercept(secret.store(**login), lambda operation, request: (calls.append(operation), request())[1])
    store.observe(ADDRESS)
    time.sleep(1.1)
    store.observe(ADDRESS)
    assert calls.count("log in at auth/approle") == 2


def test_threads_share_one_login(secret):
    _, login = approle(secret, secret.least())
    calls = []
    store = intercept(secret.store(**login), lambda operation, request: (calls.append(operation), request())[1])
    threads = [threading.Thread(target=store.observe, args=[ADDRESS]) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (calls.count("log in at auth/approle"), len(calls)) == (1, 9)


def test_a_revoked_secret_id_is_told(secret):
    role, login = approle(secret, secret.least())
    approles = secret.server.client().auth.approle
    approles.destroy_secret_id(role.name, role.secret_id)
    with pytest.raises(DeniedError, match="log in at auth/approle was refused") as caught:
        secret.store(**login).observe(ADDRESS)
    assert role.secret_id not in str(caught.value) + repr(vars(caught.value)) + repr(secret.store(**login))


def test_a_revoked_token_is_denied_and_not_shown(secret):
    token = secret.server.new_token(secret.least())
    store = secret.store(token)
    store.observe(ADDRESS)
    secret.server.client().auth.token.revoke(token)
    with pytest.raises(DeniedError) as caught:
        store.observe(ADDRESS)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert token not in str(caught.value) + repr(store)


def test_a_token_of_the_environment_is_not_used(secret, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", servers.ROOT)
    _, login = approle(secret)
    with pytest.raises(DeniedError):
        secret.store(**login).observe(ADDRESS)


def test_a_deleted_secret_is_refused_before_a_rotation_until_it_is_undeleted(secret):
    secret.kv.delete_latest_version_of_secret(ADDRESS.secret, mount_point=secret.mount)
    with pytest.raises(PermanentError, match="is deleted"):
        secret.store().preflight(ADDRESS)
    secret.kv.undelete_secret_versions(ADDRESS.secret, [1], mount_point=secret.mount)
    secret.store().preflight(ADDRESS)


def test_a_record_that_was_deleted_can_be_written_again(secret, now):
    rotate(secret.store(), now)
    secret.kv.delete_latest_version_of_secret(f"{ADDRESS.secret}--vigiles", mount_point=secret.mount)
    rotate(secret.store(), now, "third")
    assert secret.read()["password"] == "third"


def test_a_record_that_is_none_of_ours_is_refused_and_not_shown(secret):
    path = f"{ADDRESS.secret}--vigiles"
    secret.kv.create_or_update_secret(path, {"key": "foreign"}, cas=0, mount_point=secret.mount)
    with pytest.raises(PermanentError, match="is not what was written there") as caught:
        secret.store().observe(ADDRESS)
    assert "foreign" not in str(caught.value)


def raw(secret, number=None):
    """Return the text that the server answers, after a field was written with so many digits."""
    adapter, path = secret.server.client().adapter, f"/v1/{secret.mount}/data/{ADDRESS.secret}"
    if number is not None:
        adapter.post(path, data=json.dumps({"data": FIELDS})[:-2] + f', "serial": {number}' + "}}")
    return RawAdapter.from_adapter(adapter).get(path).text


@pytest.mark.parametrize("number", ["0.1", "-2.50", "1e3", "9007199254740993", "12345678901234567890.5", "1e-400"])
def test_a_number_in_another_field_stays_as_the_server_keeps_it(number, secret, now):
    before = re.search('"serial":[^,}]*', raw(secret, number))[0]
    rotate(secret.store(), now)
    assert before in raw(secret)
    assert secret.read()["password"] == "second"


@pytest.fixture
def simulated():
    """A store on the simulator, which keeps numbers that OpenBao refuses, and what writes such a field."""
    url, name = vault_simulator.address(), f"prod/{secrets.token_hex(4)}"
    client = hvac.Client(url=url, token=vault_simulator.TOKEN)
    address = SecretAddress("password", "username", name)
    store = VaultKvStore(address=url, mount=vault_simulator.MOUNT, authentication="token", token=vault_simulator.TOKEN)

    def put(number):
        text = json.dumps({"data": FIELDS})[:-2] + f', "serial": {number}' + "}}"
        client.adapter.post(f"/v1/{vault_simulator.MOUNT}/data/{name}", data=text)

    return store, address, put


def test_a_number_that_nobody_can_write_is_refused_before_anything_is_staged(simulated):
    store, address, put = simulated
    put("1e400")
    seen = store.observe(address)
    state = store.claim(address, seen, claimed(seen.journal, "r1"))
    with pytest.raises(PermanentError, match="would be rounded") as caught:
        store.stage(address, state.journal, "bob", SecretStr("second"))
    assert "as a text" in caught.value.advice
    assert store.observe(address).pending is None
    put("1")
    assert store.stage(address, state.journal, "bob", SecretStr("second")).pending is not None


def test_such_a_number_that_came_after_staging_is_refused_by_a_claim_until_it_is_repaired(simulated):
    store, address, put = simulated
    put("1")
    seen = store.observe(address)
    state = store.claim(address, seen, claimed(seen.journal, "r1"))
    seen = store.stage(address, state.journal, "bob", SecretStr("second"))
    put("1e400")
    with pytest.raises(PermanentError, match="would be rounded"):
        store.claim(address, seen, claimed(seen.journal, "r1"))
    put("1")
    seen = store.observe(address)
    state = store.claim(address, seen, claimed(seen.journal, "r1"))
    assert store.promote(address, state.journal, state.pending, state.current).current == state.pending


@pytest.mark.parametrize("number", ["12345678901234567890.5", "0.1234567890123456789", "1e400", "1e-400", "1" * 5000])
def test_a_number_that_python_would_round_is_read_as_one_that_cannot_be_written(number):
    with pytest.raises(PermanentError, match="would be rounded"):
        vault_numbers.fields_of("secret/prod", json.dumps(answered(number)))


@pytest.mark.parametrize("number", ["0.1", "-2.50", "1e3", "-0.0", "9007199254740993", "1" * 400])
def test_a_number_that_python_can_hold_is_read_as_it_is(number):
    read = vault_numbers.fields_of("secret/prod", json.dumps(answered(number)))["serial"]
    assert Decimal(repr(read)) == Decimal(number)


def answered(number):
    """Return what is read of an answer with this number in it."""
    response = requests.Response()
    response.raw = io.BytesIO(f'{{"serial": {number}}}'.encode())
    vault_numbers.keep(response)
    return response.json()


def test_when_the_server_will_delete_the_secret_it_expires(openbao):  # noqa: F811
    secret = Secret(openbao)
    secret.kv.update_metadata(ADDRESS.secret, delete_version_after="2h", mount_point=secret.mount)
    secret.kv.create_or_update_secret(ADDRESS.secret, FIELDS, cas=1, mount_point=secret.mount)
    expires = secret.store().observe(ADDRESS).expires_at
    assert expires is not None
    assert 7100 < expires.timestamp() - time.time() < 7210


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (SecretAddress("", None, "prod/app"), "has a path and fields"),
        (SecretAddress("password", None, ""), "has a path and fields"),
        (SecretAddress("password", None, "prod/none"), "There is no secret"),
        (SecretAddress("none", None, "prod/app"), "has no field `none`"),
        (SecretAddress("port", None, "prod/app"), "is no text"),
    ],
)
def test_what_cannot_be_rotated_is_refused_before_a_rotation(address, reason, secret):
    with pytest.raises(PermanentError, match=reason):
        secret.store().preflight(address)


def test_a_version_1_engine_and_a_missing_one_are_refused(secret):
    secret.mount = secret.server.new_mount("1")
    with pytest.raises(PermanentError, match="not a KV version 2 engine"):
        secret.store().preflight(ADDRESS)
    secret.mount = "nowhere"
    with pytest.raises(PermanentError):
        secret.store().preflight(ADDRESS)


def test_a_sealed_server_is_temporary_and_goes_on_when_it_is_unsealed():
    with servers.running() as server:
        secret = Secret(server)
        store, key = secret.store(), server.unseal_key
        store.observe(ADDRESS)
        server.client().sys.seal()
        with pytest.raises(TemporaryError, match="sealed"):
            store.observe(ADDRESS)
        server.client().sys.submit_unseal_key(key)
        assert store.observe(ADDRESS).current


def test_a_certificate_is_trusted_only_by_the_authority_that_the_block_names():
    with servers.running(tls=True) as server:
        secret = Secret(server)
        assert secret.store(ca_file=server.ca_file).observe(ADDRESS).current
        with pytest.raises(PermanentError, match="certificate is not trusted"):
            secret.store().observe(ADDRESS)
        with pytest.raises(PermanentError, match="Check the files that the block names"):
            secret.store(ca_file=server.ca_file + ".none").observe(ADDRESS)


def test_a_rate_limit_quota_is_told_as_throttling(secret):
    client = secret.server.client()
    client.sys.create_or_update_quota(secret.mount, rate=1, path=f"{secret.mount}/", interval="60s")
    with pytest.raises(ThrottledError, match="rate limit quota"):
        [secret.store().observe(ADDRESS) for _ in range(5)]
    client.sys.delete_quota(secret.mount)


def test_a_server_that_is_not_there_is_temporary(secret):
    store = VaultKvStore(address="http://127.0.0.1:9", authentication="token", token="t")
    with pytest.raises(TemporaryError, match="got no answer"):
        store.observe(ADDRESS)


@pytest.mark.parametrize("text", [b"{}", b'{"data": null}', b'{"data": {"type": "kv"', b"<html>"])
def test_an_answer_that_is_no_vaults_is_told_as_such(text):
    with faulty_server.running(faulty_server.answer("200 OK", text, Content_Type="application/json")) as server:
        store = VaultKvStore(address=server.url.removesuffix("/api"), authentication="token", token="t")
        with pytest.raises(PermanentError, match="got an answer that is not the server's"):
            store.preflight(ADDRESS)


@pytest.fixture
def pod(secret, tmp_path):
    """A server that trusts a cluster (a double), and the file of a service account's token there."""
    token = service_account(tmp_path)
    with cluster_double(token.read_text().strip()) as cluster:
        client = secret.server.client()
        client.sys.enable_auth_method("kubernetes", path=secret.mount)
        client.auth.kubernetes.configure(
            cluster,
            # Any: the double speaks http.
            kubernetes_ca_cert=re.search(r"-+BEGIN CERT[^#]+-+END CERTIFICATE-+", Path(certifi.where()).read_text())[0],
            token_reviewer_jwt=token.read_text().strip(),
            disable_local_ca_jwt=True,
            mount_point=secret.mount,
        )
        client.auth.kubernetes.create_role(
            "rotator", [NAME], [NAMESPACE], policies=[secret.least()], mount_point=secret.mount
        )
        yield token
        client.sys.disable_auth_method(secret.mount)


def test_a_pod_logs_in_with_its_service_account(secret, pod, now):
    login = {"authentication": "kubernetes", "role": "rotator", "auth_mount": secret.mount}
    rotate(secret.store(**login, service_account_token_path=pod), now)
    assert secret.read()["password"] == "second"


def test_another_service_account_is_denied(secret, pod, tmp_path):
    login = {"authentication": "kubernetes", "role": "rotator", "auth_mount": secret.mount}
    other = service_account(tmp_path, b"of somebody else")
    with pytest.raises(DeniedError, match="log in at"):
        secret.store(**login, service_account_token_path=other).observe(ADDRESS)


def test_a_service_account_that_is_not_there_is_told(secret, tmp_path):
    login = {"authentication": "kubernetes", "role": "rotator"}
    with pytest.raises(PermanentError, match="log in at auth/kubernetes failed"):
        secret.store(**login, service_account_token_path=tmp_path / "none").observe(ADDRESS)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "http://vault.example:8200"}, "in the clear"),
        ({"address": "vault.example"}, "no URL"),
        ({"address": "https://user:pw@vault.example"}, "more in it than scheme, host and port"),
        ({"authentication": "approle", "role_id": "r"}, "takes `secret_id`"),
        ({"authentication": "token"}, "takes `token`"),
        ({"authentication": "kubernetes"}, "takes `role`"),
    ],
)
def test_a_block_that_could_not_work_is_refused(fields, words):
    good = {"address": "https://vault.example", "authentication": "token"} | (
        {} if "authentication" in fields else {"token": "t"}
    )
    with pytest.raises(ValidationError, match=words):
        VaultKvStore(**good | fields)


@pytest.mark.parametrize("address", ["https://vault.example:8200/", "http://localhost:8200", "http://[::1]:8200"])
def test_https_and_loopback_addresses_are_taken(address):
    assert VaultKvStore(address=address, authentication="token", token="t").address == address.rstrip("/")
