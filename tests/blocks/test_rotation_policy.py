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
    assert policy(VALUE).max_changes == 20


def test_it_names_stores_before_targets_and_each_once():
    assert policy(VALUE, PAIR).references() == ("env-file-store/local", "postgres-role/db")


def test_it_is_read_back_from_its_own_document_with_the_same_digest():
    original = policy(VALUE, PAIR | {"window": "Sun 02:00-06:00 Europe/Rome"})
    again = RotationPolicy(**original.model_dump(mode="json", by_alias=True))
    assert again.compute_digest() == original.compute_digest()


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
