"""The rotation policy: what it accepts, what it refuses and with which code, what it names."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from blocks.policies.loader import load_policies
from blocks.policies.rotation import RotationPolicy
from blocks.secret_stores.interface import SecretAddress

EXAMPLE = Path(__file__).resolve().parents[2] / "policies" / "rotation.yaml"
VALUE = {"name": "api-token", "store": "env-file-store/local", "key": "API_TOKEN", "every": "30d"}
KEYS = {"username": "U", "password": "P"}
PAIR = {"name": "db", "store": "env-file-store/local", "keys": KEYS, "target": "postgres-role/db", "every": "30d"}


CLOUD = {"name": "cloud", "store": "aws-secrets-manager/main", "path": "prod/db", "every": "30d"}
TARGET = {"target": "postgres-role/db"}
HOLIDAYS = "2026-12-24..2027-01-02 Europe/Rome"


def policy(*secrets, **fields):
    return RotationPolicy(version=1, name="production", secrets=list(secrets), **fields)


def test_the_example_is_valid_and_has_both_kinds():
    loaded = load_policies([EXAMPLE])
    assert loaded.problems == ()
    token, warehouse = loaded.policies[0].policy.secrets
    assert token.address == SecretAddress("API_TOKEN")
    assert warehouse.address == SecretAddress("WAREHOUSE_PASSWORD", "WAREHOUSE_USER")


def test_the_defaults_are_cautious():
    (secret,) = policy(VALUE).secrets
    assert (secret.grace, secret.window, secret.length) == (timedelta(hours=24), None, 32)
    assert (secret.jitter, secret.before_expiry, secret.blackouts, secret.path) == (None, None, [], None)
    assert policy(VALUE).max_changes == 20
    assert policy(VALUE).blackouts == []


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({}, SecretAddress(secret="prod/db")),
        ({"key": "password"}, SecretAddress("password", secret="prod/db")),
        ({"keys": KEYS} | TARGET, SecretAddress("P", "U", "prod/db")),
    ],
)
def test_a_secret_of_a_store_of_secrets_is_rotated_whole_or_in_some_of_its_fields(fields, address):
    (secret,) = policy(CLOUD | fields).secrets
    assert secret.address == address


def test_a_secret_may_not_rotate_on_the_blackouts_of_the_policy_and_on_its_own():
    shared = policy(CLOUD | {"blackouts": ["2026-11-27"]}, VALUE, blackouts=[HOLIDAYS])
    assert [entry.blackouts for entry in shared.entries()] == [["2026-11-27", HOLIDAYS], [HOLIDAYS]]
    assert [secret.blackouts for secret in shared.secrets] == [["2026-11-27"], []]


def test_two_secrets_of_one_store_are_two_secrets():
    both = policy(CLOUD, CLOUD | {"name": "other", "path": "prod/other"})
    assert [str(entry.address) for entry in both.entries()] == ["prod/db", "prod/other"]
    assert policy(CLOUD, CLOUD | {"name": "other", "store": "aws-secrets-manager/second"})


def test_secrets_with_targets_of_their_own_or_none_at_all_are_told_apart():
    other = PAIR | {"name": "other", "store": "env-file-store/second", "target": "postgres-role/other"}
    assert len(policy(PAIR, other, VALUE, CLOUD).secrets) == 4


def test_jitter_is_shorter_than_what_the_grace_leaves():
    assert policy(VALUE | {"jitter": "28d"}).secrets[0].jitter == timedelta(days=28)


def test_it_names_stores_before_targets_and_each_once():
    assert policy(VALUE, PAIR).references() == ("env-file-store/local", "postgres-role/db")


def test_it_is_read_back_from_its_own_document_with_the_same_digest():
    schedule = {"window": "Sun 02:00-06:00 Europe/Rome", "jitter": "2d", "before_expiry": "7d", "blackouts": [HOLIDAYS]}
    original = policy(VALUE, PAIR | schedule, CLOUD | {"key": "password"}, blackouts=["2026-11-27"])
    again = RotationPolicy(**original.model_dump(mode="json", by_alias=True))
    assert again.compute_digest() == original.compute_digest()
    assert again.entries() == original.entries()
    assert again.compute_digest() != policy(VALUE, PAIR | schedule).compute_digest()


@pytest.mark.parametrize(
    ("secrets", "code"),
    [
        ([VALUE | {"every": "monthly"}], "P072"),
        ([VALUE | {"grace": "0s"}], "P072"),
        ([VALUE | {"window": "Sunday night"}], "P073"),
        ([VALUE | {"window": "Sun 02:00-06:00 Mars/Olympus"}], "P073"),
        ([VALUE, VALUE | {"key": "OTHER"}], "P045"),
        ([VALUE, VALUE | {"name": "other"}], "P045"),
        ([PAIR, VALUE | {"key": "U"}], "P045"),
        ([PAIR | {"keys": {"username": "U", "password": "U"}}], "P045"),
        ([VALUE | {"keys": KEYS}], "P120"),
        ([{k: v for k, v in VALUE.items() if k != "key"}], "P120"),
        ([CLOUD | {"key": "password", "keys": KEYS} | TARGET], "P120"),
        ([CLOUD, CLOUD | {"name": "other", "key": "password"}], "P045"),
        ([CLOUD | {"key": "user"}, CLOUD | {"name": "other", "key": "password"}], "P045"),
        ([CLOUD, CLOUD | {"name": "other", "path": "/prod/db"}], "P045"),
        ([CLOUD, CLOUD | {"name": "other", "path": "prod/db/"}], "P045"),
        ([PAIR, PAIR | {"name": "other", "store": "env-file-store/second"}], "P125"),
        ([PAIR, VALUE | TARGET], "P125"),
        ([VALUE | {"jitter": "29d"}], "P123"),
        ([VALUE | {"jitter": "2d", "grace": "28d"}], "P123"),
        ([VALUE | {"jitter": "soon"}], "P072"),
        ([VALUE | {"before_expiry": "0d"}], "P072"),
        ([VALUE | {"blackouts": ["Christmas"]}], "P124"),
        ([VALUE | {"blackouts": ["2027-01-02..2026-12-24"]}], "P124"),
        ([VALUE | {"blackouts": ["2026-12-24 Mars/Olympus"]}], "P124"),
        ([CLOUD | {"path": "../x"}], "string_pattern_mismatch"),
        ([CLOUD | {"path": "a b"}], "string_pattern_mismatch"),
        ([{k: v for k, v in PAIR.items() if k != "target"}], "P121"),
        ([VALUE | {"grace": "30d"}], "P122"),
        ([VALUE | {"every": "1h"}], "P122"),
        ([VALUE | {"store": "local"}], "string_pattern_mismatch"),
        ([VALUE | {"key": "NOT A KEY"}], "string_pattern_mismatch"),
        ([VALUE | {"length": 21}], "greater_than_equal"),
        ([VALUE | {"value": "x"}], "extra_forbidden"),
        ([], "too_short"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_code(secrets, code):
    with pytest.raises(ValidationError) as caught:
        policy(*secrets)
    assert code in {error["type"] for error in caught.value.errors()}


def test_a_blackout_of_the_policy_that_cannot_be_meant_is_refused():
    with pytest.raises(ValidationError) as caught:
        policy(VALUE, blackouts=["Christmas"])
    assert [(error["type"], error["loc"]) for error in caught.value.errors()] == [("P124", ("blackouts", 0))]
