"""The PostgreSQL target on a real server: who gets in, who no longer does, and every other answer told apart."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from support import postgres as postgres_server
from support.postgres import ADMIN, ADMIN_PASSWORD

from blocks.rotation_targets import postgres_session
from blocks.rotation_targets.admin_secret import load_password
from blocks.rotation_targets.interface import UnprovableError
from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import TargetKind

pytest_plugins = ["support.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture(scope="module")
def admin_secret(server):
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        Secret(value=ADMIN_PASSWORD).save("pg-tests-admin", overwrite=True)
        Secret(value={"a": 1}).save("pg-tests-json", overwrite=True)
    return "secret/pg-tests-admin"


@pytest.fixture
def make(prefect_api, admin_secret):
    def made(server, roles, **fields):
        common = {"host": server.host, "port": server.port, "admin_user": ADMIN, "admin_secret": admin_secret}
        return PostgresRole(**common | {"connect_timeout": 2} | fields, roles=roles)

    return made


@pytest.fixture
def roles(postgres):
    return postgres.new_roles(2)


@pytest.fixture
def pair(make, postgres, roles):
    return make(postgres, roles)


@pytest.fixture
def single(make, postgres, roles):
    return make(postgres, roles[:1])


def version(password, username=None):
    return SecretVersion(id="v", username=username, password=SecretStr(password))


@pytest.fixture
def current(roles):
    return version(f"first-{roles[0]}", roles[0])


def test_two_roles_alternate_and_one_is_single_slot(pair, single, roles):
    assert (pair.kind, single.kind) == (TargetKind.ALTERNATING, TargetKind.SINGLE_SLOT)
    assert [pair.next_username(name) for name in (None, *roles)] == [roles[0], roles[1], roles[0]]
    assert single.next_username(roles[0]) == roles[0]


def test_a_current_role_that_is_not_the_targets_is_refused(pair):
    with pytest.raises(PermanentError, match="does not name"):
        pair.next_username("somebody")


def test_the_pending_password_works_once_applied_and_the_current_one_still_does(pair, roles, current):
    pending = version("new-password", roles[1])
    assert not pair.authenticates(pending)
    pair.apply(pending, current)
    pair.apply(pending, current)
    assert pair.authenticates(pending)
    assert pair.authenticates(current)


def test_a_retired_role_is_dead_and_the_other_is_not(pair, roles, current):
    pending = version("new-password", roles[1])
    pair.apply(pending, current)
    pair.retire(current, pending)
    pair.retire(current, pending)
    assert not pair.authenticates(current)
    assert pair.authenticates(pending)


def test_the_role_in_use_is_neither_changed_nor_retired(pair, roles, current):
    other = version("x" * 30, roles[0])
    with pytest.raises(PermanentError, match="in use"):
        pair.apply(other, current)
    with pytest.raises(PermanentError, match="in use"):
        pair.retire(other, current)
    assert pair.authenticates(current)


def test_one_slot_kills_the_old_password_at_once(single, roles):
    old, new = version(f"first-{roles[0]}"), version("new-password")
    assert single.authenticates(old)
    single.apply(new, old)
    assert single.authenticates(new)
    assert not single.authenticates(old)


def test_the_servers_log_shows_no_password(pair, postgres, roles, current):
    pair.apply(version("a-password-in-no-log", roles[1]), current)
    log = (Path(postgres.folder) / "log").read_text()
    assert "ALTER ROLE" in log
    assert "a-password-in-no-log" not in log
    (stored,) = [row[1] for row in postgres.rows("SELECT rolname, rolpassword FROM pg_authid") if row[0] == roles[1]]
    assert stored.startswith("SCRAM-SHA-256$4096:")


def test_a_role_that_any_password_lets_in_proves_nothing(make, postgres):
    target = make(postgres, ["trusted"])
    with pytest.raises(UnprovableError, match="any password"):
        target.preflight()


def test_a_version_without_a_role_of_the_target_is_refused(pair):
    for wrong in (version("x"), version("x", "somebody")):
        with pytest.raises(PermanentError, match="does not name a role"):
            pair.authenticates(wrong)


def test_preflight_passes_for_roles_that_may_log_in(pair):
    pair.preflight()


def test_a_role_that_is_missing_is_told_apart(make, postgres, roles):
    target = make(postgres, [roles[0], "no_such_role"])
    with pytest.raises(PermanentError, match="no_such_role does not exist"):
        target.preflight()
    with pytest.raises(PermanentError, match="42704"):
        target.apply(version("x", "no_such_role"), version("y", roles[0]))
    assert not target.authenticates(version("x", "no_such_role"))


def test_a_role_that_may_not_log_in_is_told_apart(pair, postgres, roles, current):
    postgres.execute("ALTER ROLE {} NOLOGIN", roles[0])
    with pytest.raises(PermanentError, match="may not log in"):
        pair.preflight()
    with pytest.raises(PermanentError, match="not permitted to log in"):
        pair.authenticates(current)


def test_a_role_without_room_is_not_a_wrong_password(pair, postgres, roles, current):
    postgres.execute("ALTER ROLE {} CONNECTION LIMIT 0", roles[0])
    with pytest.raises(TemporaryError, match="too many connections"):
        pair.authenticates(current)


def test_a_missing_database_is_told_apart(make, postgres, roles, current):
    with pytest.raises(PermanentError, match="does not exist"):
        make(postgres, roles, database="nowhere").authenticates(current)


def test_an_admin_that_may_not_alter_is_told_apart(make, postgres, roles, prefect_api):
    from prefect.blocks.system import Secret

    (weak,) = postgres.new_roles(1)
    Secret(value=f"first-{weak}").save("pg-tests-weak", overwrite=True)
    target = make(postgres, roles, admin_user=weak, admin_secret="secret/pg-tests-weak")
    with pytest.raises(PermanentError, match=r"42501.*CREATEROLE"):
        target.apply(version("x", roles[1]), version("y", roles[0]))


def test_a_wrong_admin_password_is_told_apart(make, postgres, roles, prefect_api):
    from prefect.blocks.system import Secret

    Secret(value="not-it").save("pg-tests-wrong", overwrite=True)
    with pytest.raises(PermanentError, match="password authentication failed"):
        make(postgres, roles, admin_secret="secret/pg-tests-wrong").preflight()


def test_a_server_that_is_not_there_is_temporary(make, postgres, roles, current):
    target = make(postgres, roles, port=1)
    for call in (
        target.preflight,
        lambda: target.authenticates(current),
        lambda: target.retire(current, version("x", roles[1])),
    ):
        with pytest.raises(TemporaryError, match="Connection refused"):
            call()


def test_a_server_that_never_answers_is_given_up_in_time(make, postgres, roles, current):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = make(postgres, roles, port=silent.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(TemporaryError):
            target.authenticates(current)
        assert time.monotonic() - began < target.call_seconds


def test_a_server_that_hangs_in_the_middle_is_given_up_in_time(make, admin_secret):
    with postgres_server.running() as own:
        roles = own.new_roles(2)
        target = make(own, roles)
        with target._admin() as session:
            backends = [row[0] for row in own.rows("SELECT pid FROM pg_stat_activity WHERE application_name='vigiles'")]
            [os.kill(pid, signal.SIGSTOP) for pid in backends]
            began = time.monotonic()
            with pytest.raises(TemporaryError, match="did not set the password"):
                session.set_password(roles[1], SecretStr("x"))
            assert time.monotonic() - began < target.call_seconds
            [os.kill(pid, signal.SIGCONT) for pid in backends]


def test_a_full_server_is_temporary(make, admin_secret):
    with postgres_server.running(["max_connections=8"]) as own:
        roles = own.new_roles(2)
        target = make(own, roles)
        held = [own.connect() for _ in range(8)]
        with pytest.raises(TemporaryError, match=r"too many clients|connection slots"):
            target.authenticates(version(f"first-{roles[0]}", roles[0]))
        [connection.close() for connection in held]


def test_a_refusal_in_another_language_is_understood(pair, current, monkeypatch, roles):
    import re

    monkeypatch.setattr(postgres_session, "_WRONG_PASSWORD", re.compile("Passwort-Authentifizierung"))
    assert pair.authenticates(current)
    assert not pair.authenticates(version("wrong", roles[0]))


def test_no_error_holds_a_password(make, postgres, roles):
    target = make(postgres, roles, port=1)
    with pytest.raises(VigilesError) as caught:
        target.authenticates(version("s3cret-in-no-error", roles[0]))
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert "s3cret" not in repr(error) + str(error)


def test_the_admin_password_is_read_as_it_is(prefect_api, admin_secret):
    assert load_password(admin_secret).get_secret_value() == ADMIN_PASSWORD


@pytest.mark.parametrize(
    ("slug", "word"), [("secret/no-such-block", "cannot be loaded"), ("secret/pg-tests-json", "text")]
)
def test_an_admin_secret_that_is_no_text_is_refused(slug, word, prefect_api, admin_secret):
    with pytest.raises(PermanentError, match=word):
        load_password(slug)


def test_without_the_driver_the_command_to_install_it_is_told(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(postgres_session, "import_module", missing)
    with pytest.raises(PermanentError, match=r"pip install 'vigiles\[postgres\]'"):
        postgres_session.load_driver()


@pytest.mark.parametrize("fields", [{"roles": ["a", "a"]}, {"roles": [""]}, {"admin_secret": "warehouse-admin"}])
def test_a_block_that_cannot_work_is_refused(fields):
    with pytest.raises(ValidationError):
        PostgresRole(**{"host": "h", "roles": ["a"], "admin_user": "x", "admin_secret": "secret/y"} | fields)


def test_two_logins_at_once_do_not_disturb_each_other(pair, current):
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(pair.authenticates(current))) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert seen == [True] * 4
