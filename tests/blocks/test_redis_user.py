"""The Redis target on a real server: who gets in, who no longer does, what a restart keeps, what else may be."""

import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from support import redis as redis_servers
from support.prefect_server import free_port
from support.redis import ADMIN, ADMIN_PASSWORD

from blocks.rotation_targets import redis_session
from blocks.rotation_targets.interface import UnprovableError
from blocks.rotation_targets.redis_user import RedisUser
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import TargetKind

pytest_plugins = ["support.redis"]
pytestmark = [pytest.mark.server]


@pytest.fixture(scope="module")
def admin_secret(server):
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        Secret(value=ADMIN_PASSWORD).save("redis-tests-admin", overwrite=True)
        Secret(value="first-weak").save("redis-tests-weak", overwrite=True)
    return "secret/redis-tests-admin"


@pytest.fixture
def make(prefect_api, admin_secret):
    def made(server, user, **fields):
        common = {"host": server.host, "port": server.port, "admin_user": ADMIN, "admin_secret": admin_secret}
        return RedisUser(**common | {"tls": False, "connect_timeout": 1} | fields, user=user)

    return made


@pytest.fixture
def user(redis_server):
    return redis_server.new_user()


@pytest.fixture
def target(make, redis_server, user):
    return make(redis_server, user)


def version(password, username=None):
    return SecretVersion(id="v", username=username, password=SecretStr(password))


@pytest.fixture
def old(user):
    return version(f"first-{user}")


NEW = version("s3cret-new ünï")


def hashed(one):
    return hashlib.sha256(one.password.get_secret_value().encode()).hexdigest()


def restarted(server, **kept):
    """Restart a server on its files and port."""
    redis_servers.end(server)
    kept = {"users_file": server.users_file.exists(), "port": server.port} | kept
    return redis_servers.start(Path(server.folder), **kept)


def test_one_account_takes_two_passwords(target, user):
    assert target.kind is TargetKind.DUAL
    assert (target.next_username(None), target.next_username(user)) == (user, user)
    with pytest.raises(PermanentError, match="names a user"):
        target.next_username("somebody")


def test_the_old_and_the_new_password_work_until_the_old_one_is_retired(target, old):
    assert (target.authenticates(old), target.authenticates(NEW)) == (True, False)
    target.apply(NEW, old)
    assert (target.authenticates(old), target.authenticates(NEW)) == (True, True)
    target.retire(old, NEW)
    assert (target.authenticates(old), target.authenticates(NEW)) == (False, True)


def test_doing_it_twice_is_doing_it_once(target, redis_server, user, old):
    for _ in range(2):
        target.apply(NEW, old)
    for _ in range(2):
        target.retire(old, NEW)
    answer = redis_server.command("ACL", "GETUSER", user)
    assert answer[answer.index("passwords") + 1] == [hashed(NEW)]


def test_a_consumer_sees_the_same_as_the_target(target, redis_server, user, old):
    target.apply(NEW, old)
    assert redis_server.accepts(user, NEW.password.get_secret_value())
    assert redis_server.accepts(user, f"first-{user}")
    assert not redis_server.accepts(user, "wrong")


def test_nothing_else_of_the_user_changes(target, redis_server, old):
    name = redis_server.new_user("-@all", "+get", ">another")
    other = target.model_copy(update={"user": name})
    before = redis_server.command("ACL", "GETUSER", name)
    first = version(f"first-{name}")
    other.apply(NEW, first)
    other.retire(NEW, first)
    assert redis_server.command("ACL", "GETUSER", name) == before
    assert other.authenticates(version("another"))


def test_what_is_in_use_is_not_retired(target, redis_server, old):
    target.apply(NEW, old)
    with pytest.raises(PermanentError, match="in use"):
        target.retire(old, version(old.password.get_secret_value()))
    assert target.authenticates(old)


def test_the_last_password_is_not_retired_for_one_that_the_user_does_not_have(target, old):
    with pytest.raises(PermanentError, match="does not have the current"):
        target.retire(old, NEW)
    assert target.authenticates(old)


def test_an_accepted_outage_takes_even_the_last_password(target, old):
    target.retire(old, None)
    assert not target.authenticates(old)


def test_connections_that_are_open_stay_open_when_their_password_is_retired(target, redis_server, user, old):
    with redis_server.client(user, f"first-{user}") as consumer:
        consumer.ping()
        held = consumer.connection_pool.get_connection()
        target.apply(NEW, old)
        target.retire(old, NEW)
        held.send_command("PING")
        assert held.read_response() == "PONG"


def test_a_restart_keeps_what_was_applied_and_what_was_retired(make):
    with redis_servers.running() as own:
        user = own.new_user()
        target, old = make(own, user), version(f"first-{user}")
        target.apply(NEW, old)
        again = restarted(own)
        assert (target.authenticates(old), target.authenticates(NEW)) == (True, True)
        target.retire(old, NEW)
        restarted(again)
        assert (target.authenticates(old), target.authenticates(NEW)) == (False, True)


def test_a_save_that_failed_is_made_up_for_by_the_same_call(make):
    with redis_servers.running() as own:
        user = own.new_user()
        target, old = make(own, user), version(f"first-{user}")
        own.users_file.rename(own.users_file.with_suffix(".away"))
        own.users_file.mkdir()
        with pytest.raises(TemporaryError, match="did not save"):
            target.apply(NEW, old)
        own.users_file.rmdir()
        target.apply(NEW, old)
        assert hashed(NEW) in own.users_file.read_text()


def test_a_server_without_an_acl_file_is_refused_before_anything_is_changed(make):
    with redis_servers.running(users_file=False) as own:
        user = own.new_user()
        target, old = make(own, user), version(f"first-{user}")
        for call in (target.preflight, lambda: target.apply(NEW, old), lambda: target.retire(old, NEW)):
            with pytest.raises(PermanentError, match="restart brings the old password back"):
                call()
        assert (target.authenticates(old), target.authenticates(NEW)) == (True, False)


def test_a_server_without_an_acl_file_can_be_accepted_and_then_forgets(make):
    options = ("user kept on >first-kept ~* +@all",)
    with redis_servers.running(users_file=False, options=options) as own:
        target, old = make(own, "kept", allow_unsaved=True), version("first-kept")
        target.preflight()
        target.apply(NEW, old)
        target.retire(old, NEW)
        assert (target.authenticates(old), target.authenticates(NEW)) == (False, True)
        restarted(own, options=options)
        assert (target.authenticates(old), target.authenticates(NEW)) == (True, False)


@contextmanager
def passed_on(server, seconds=0.0):
    """Pass one connection on to the server, each answer late; yield the port, and all that was sent."""
    sent = bytearray()

    def passing():
        near, _ = listening.accept()
        with near, socket.create_connection(("127.0.0.1", server.port)) as far:
            while asked := near.recv(65536):
                sent.extend(asked)
                far.sendall(asked)
                answer = far.recv(65536)
                time.sleep(seconds)
                near.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=passing, daemon=True).start()
        yield listening.getsockname()[1], sent


def test_a_server_is_given_no_password_that_it_sets_but_its_hash(make, redis_server, user, old):
    with passed_on(redis_server) as (port, sent):
        make(redis_server, user, port=port).apply(NEW, old)
    assert hashed(NEW).encode() in sent
    assert NEW.password.get_secret_value().encode() not in sent


def test_neither_the_log_nor_the_file_of_the_server_holds_a_password(target, redis_server, old):
    target.apply(NEW, old)
    target.authenticates(NEW)
    target.retire(old, NEW)
    kept = redis_server.log + redis_server.users_file.read_text()
    assert hashed(NEW) in kept
    assert "s3cret-new" not in kept


def test_preflight_passes_and_changes_nothing(target, redis_server):
    before = redis_server.users_file.read_text(), redis_server.command("ACL", "LIST")
    target.preflight()
    assert (redis_server.users_file.read_text(), redis_server.command("ACL", "LIST")) == before


@pytest.mark.parametrize(
    ("rules", "error", "words"),
    [
        (("nopass",), UnprovableError, "any password"),
        (("off",), PermanentError, "is disabled"),
    ],
)
def test_a_user_that_cannot_be_rotated_is_told_apart(rules, error, words, make, redis_server):
    name = redis_server.new_user(*rules)
    target, old = make(redis_server, name), version(f"first-{name}")
    for call in (target.preflight, lambda: target.apply(NEW, old)):
        with pytest.raises(error, match=words):
            call()


def test_a_user_that_is_missing_is_not_made(make, redis_server):
    target = make(redis_server, "no-such-user")
    for call in (target.preflight, lambda: target.apply(NEW, None)):
        with pytest.raises(PermanentError, match="does not exist"):
            call()
    assert redis_server.command("ACL", "GETUSER", "no-such-user") is None
    assert not target.authenticates(NEW)


def test_a_user_is_not_its_own_admin(make, redis_server):
    with pytest.raises(PermanentError, match="its own admin"):
        make(redis_server, ADMIN).preflight()


def weak_admin(redis_server, *rules):
    name = redis_server.new_user("-@all", *rules)
    redis_server.command("ACL", "SETUSER", name, ">first-weak")
    return name


@pytest.mark.parametrize("missing", redis_session.PERMISSIONS)
def test_an_admin_that_lacks_a_right_is_told_before_anything_is_changed(missing, make, redis_server, user):
    allowed = [rule for rule in redis_session.PERMISSIONS if rule != missing]
    name = weak_admin(redis_server, *allowed, "+acl|dryrun")
    target = make(redis_server, user, admin_user=name, admin_secret="secret/redis-tests-weak")
    with pytest.raises(PermanentError) as caught:
        target.preflight()
    assert missing in caught.value.advice


def test_the_rights_that_are_named_are_enough(make, redis_server, user, old):
    name = weak_admin(redis_server, *redis_session.PERMISSIONS)
    target = make(redis_server, user, admin_user=name, admin_secret="secret/redis-tests-weak")
    assert target.permissions == redis_session.PERMISSIONS
    target.preflight()
    target.apply(NEW, old)
    target.retire(old, NEW)
    assert (target.authenticates(old), target.authenticates(NEW)) == (False, True)


def test_a_wrong_admin_password_is_told_apart(make, redis_server, user):
    with pytest.raises(PermanentError, match=f"did not let {ADMIN} in"):
        make(redis_server, user, admin_secret="secret/redis-tests-weak").preflight()


def test_a_server_that_is_not_there_is_temporary(make, redis_server, user, old):
    target = make(redis_server, user, port=1)
    for call in (target.preflight, lambda: target.authenticates(old), lambda: target.retire(old, NEW)):
        with pytest.raises(TemporaryError, match="ConnectionError"):
            call()


def test_a_full_server_is_temporary(make):
    with redis_servers.running(options=("maxclients 4",)) as own:
        target = make(own, own.new_user())
        held = [own.client().connection_pool.get_connection() for _ in range(4)]
        with pytest.raises(TemporaryError):
            target.authenticates(NEW)
        [connection.disconnect() for connection in held]


def test_a_server_that_hangs_is_given_up_in_time(make):
    with redis_servers.running() as own:
        user = own.new_user()
        target = make(own, user)
        os.kill(own.pid, signal.SIGSTOP)
        began = time.monotonic()
        for call in (lambda: target.authenticates(NEW), lambda: target.apply(NEW, None)):
            with pytest.raises(TemporaryError):
                call()
        assert time.monotonic() - began < 2 * target.call_seconds
        os.kill(own.pid, signal.SIGCONT)


def test_a_server_whose_every_answer_is_late_is_given_up_in_time(make, redis_server, user, old):
    with passed_on(redis_server, 0.8) as (port, _):
        target = make(redis_server, user, port=port)
        began = time.monotonic()
        with pytest.raises(TemporaryError):
            target.apply(NEW, old)
        assert time.monotonic() - began < target.call_seconds


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of the loopback address that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_port(redis_server, certificate):
    """A second port of the session's server, with TLS."""
    port = free_port()
    redis_server.command("CONFIG", "SET", "tls-auth-clients", "no", "tls-cert-file", str(certificate / "cert.pem"),
                         "tls-key-file", str(certificate / "key.pem"), "tls-port", str(port))  # fmt: skip
    return port


def test_a_server_is_trusted_by_its_certificate(make, redis_server, user, old, tls_port, certificate):
    target = make(redis_server, user, port=tls_port, tls=True, ca_file=str(certificate / "cert.pem"))
    target.preflight()
    target.apply(NEW, old)
    assert (target.authenticates(NEW), target.authenticates(version("wrong"))) == (True, False)


def test_a_server_without_a_trusted_certificate_is_told_no_password(make, redis_server, user, old, tls_port):
    for call in (lambda t: t.authenticates(old), lambda t: t.preflight()):
        with pytest.raises(PermanentError) as caught:
            call(make(redis_server, user, port=tls_port, tls=True))
        assert "`ca_file`" in caught.value.advice


def test_a_server_that_speaks_no_tls_is_told_no_password(make, redis_server, user, old):
    with passed_on(redis_server) as (port, sent):
        with pytest.raises(TemporaryError) as caught:
            make(redis_server, user, port=port, tls=True).authenticates(old)
        assert "TLS" in caught.value.advice
    assert sent
    assert old.password.get_secret_value().encode() not in sent


def test_no_error_holds_a_password(make, redis_server, user):
    for target in (make(redis_server, user, port=1), make(redis_server, "no-such-user")):
        for call in (lambda t=target: t.apply(NEW, None), lambda t=target: t.retire(NEW, NEW)):
            with pytest.raises(VigilesError) as caught:
                call()
            error = caught.value
            assert (error.__cause__, error.__context__) == (None, None)
            assert "s3cret" not in repr(error) + str(error)
            assert hashed(NEW) not in repr(error) + str(error)


def test_without_the_client_the_command_to_install_it_is_told(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(redis_session, "import_module", missing)
    with pytest.raises(PermanentError, match=r"pip install 'vigiles\[redis\]'"):
        redis_session.load_client()


@pytest.mark.parametrize("fields", [{"user": ""}, {"user": "a b"}, {"admin_secret": "redis-admin"}, {"port": 0}])
def test_a_block_that_cannot_work_is_refused(fields):
    with pytest.raises(ValidationError):
        RedisUser(**{"host": "h", "user": "a", "admin_user": "x", "admin_secret": "secret/y"} | fields)
