"""Whole rotations through the executor, where credentials live side by side: IAM keys and Redis passwords."""

from datetime import UTC, datetime, timedelta

import pytest
from support.iam_user import StrictUser
from support.moto import moto  # noqa: F401
from support.redis import redis_server  # noqa: F401
from support.stores.aws_secrets_manager import SimulatedSecretsManager
from support.stores.memory import MemoryBackend

from blocks.policies.rotation import SecretEntry
from blocks.rotation_targets import aws_iam_user
from flows.rotating.performing import Rotation
from rules.rotation import NORMAL, Action, Done, Order, Quarantine

pytestmark = pytest.mark.server


class Secret:
    """A pair in a store, and rotations of it."""

    def __init__(self, backend, target):
        self.backend = backend
        self.target = target
        self.address = backend.address(pair=True)
        keys = {"username": self.address.username, "password": self.address.password}
        self.entry = SecretEntry(
            name="s", store="a/b", path=self.address.secret or None, keys=keys, target="c/d", every="30d", grace="1h"
        )
        self.now = datetime.now(UTC)

    def rotate(self, hours=0, order=NORMAL):
        self.now += timedelta(hours=hours)
        made = Rotation(
            self.entry, self.backend.make(), self.target, self.now, lambda _: None, order=order, pause=lambda _: None
        )
        _, decision = made.advance(effects=True)
        return [step.kind.value for step in made.steps], decision

    def consumed(self):
        return self.backend.consume(self.address)


@pytest.fixture
def user(moto, monkeypatch):  # noqa: F811
    monkeypatch.setattr(aws_iam_user, "_POLL_SECONDS", 0.01)
    return StrictUser(moto)


@pytest.fixture
def keys(user):
    secret = Secret(SimulatedSecretsManager(), user.target())
    secret.backend.put(secret.address, user.key.id, user.key.secret)
    return secret


def test_an_access_key_is_minted_promoted_and_the_old_one_deleted_after_the_grace(keys, user):
    done, decision = keys.rotate()
    assert done == ["claim", "intend", "mint", "promote", "confirm"]
    assert decision.in_grace
    minted = keys.consumed()[0]
    assert set(user.statuses()) == {user.key.id, minted}
    done, _ = keys.rotate(hours=2)
    assert done == ["claim", "retire", "forget"]
    assert user.statuses() == {minted: "Active"}


def test_a_full_user_is_left_alone_and_quarantined(keys, user):
    other = user.create_key()
    _, decision = keys.rotate()
    assert isinstance(decision, Quarantine)
    assert set(user.statuses()) == {user.key.id, other.id}
    assert keys.consumed() == (user.key.id, user.key.secret)


def test_an_emergency_leaves_no_other_key(keys, user):
    keys.rotate()
    order = Order(Action.EMERGENCY, keys.now + timedelta(hours=1))
    _, decision = keys.rotate(hours=1, order=order)
    assert isinstance(decision, Done)
    assert user.statuses() == {keys.consumed()[0]: "Active"}
    assert keys.consumed()[0] != user.key.id


def test_a_rotation_of_keys_is_taken_back_while_the_old_one_lives(keys, user):
    keys.rotate()
    done, _ = keys.rotate(order=Order(Action.ROLL_BACK))
    assert done == ["claim", "revert", "promote", "confirm"]
    assert keys.consumed() == (user.key.id, user.key.secret)


@pytest.fixture
def passwords(redis_server, prefect_api):  # noqa: F811
    from prefect.blocks.system import Secret as SecretBlock
    from support.redis import ADMIN, ADMIN_PASSWORD

    from blocks.rotation_targets.redis_user import RedisUser

    SecretBlock(value=ADMIN_PASSWORD).save("end-to-end-redis", overwrite=True)
    name = redis_server.new_user("on", ">first-password", "~*", "+@all")
    target = RedisUser(
        host=redis_server.host,
        port=redis_server.port,
        tls=False,
        user=name,
        admin_user=ADMIN,
        admin_secret="secret/end-to-end-redis",
    )
    secret = Secret(MemoryBackend(), target)
    secret.backend.put(secret.address, name, "first-password")
    return secret


def test_a_user_accepts_both_passwords_until_the_old_one_is_retired(passwords, redis_server):  # noqa: F811
    passwords.rotate()
    name, password = passwords.consumed()
    assert redis_server.accepts(name, password)
    assert redis_server.accepts(name, "first-password")
    done, _ = passwords.rotate(hours=2)
    assert done == ["claim", "retire", "forget"]
    assert redis_server.accepts(name, password)
    assert not redis_server.accepts(name, "first-password")
