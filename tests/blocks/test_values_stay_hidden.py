"""What holds a value does not show it: as text, as JSON, or in the error of a field that was given wrongly."""

import json
import uuid

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError, field_validator
from support.canary import search

from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore
from blocks.secret_stores.gcp.gcp_secrets import Version as GcpVersion
from blocks.secret_stores.interface import SecretVersion
from blocks.secret_stores.record import Record
from blocks.secret_stores.sidecar import Loaded
from blocks.secret_stores.vault.vault_server import Version as VaultVersion
from blocks.secret_stores.vault_kv import VaultKvStore
from flows.rotating.memory import Memory
from rules.rotation import Journal

SECRET = f"s{uuid.uuid4().hex[:15]}"
"""Pydantic cuts what is longer."""

VERSION = SecretVersion(id="v", username="u", password=SecretStr(SECRET))
RECORD = Record(b"k" * 32, Journal(), ("u", SECRET), ("u", SECRET))
VAULT = {"address": "https://vault.example:8200", "authentication": "token", "token": SECRET}
APPROLE = {"address": "https://vault.example:8200", "role_id": "role", "secret_id": SECRET}
AZURE = {"vault_url": "https://name.vault.azure.net", "tenant_id": "t", "client_id": "c", "client_secret": SECRET}


class Careless(Block):
    """A block without any care."""

    url: str
    token: SecretStr

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        raise ValueError("no")


def shown(thing):
    texts = [repr(thing), str(thing), f"{thing}", repr([thing]), json.dumps({"x": thing}, default=repr)]
    if hasattr(thing, "model_dump"):
        texts += [str(thing.model_dump()), str(dict(thing)), thing.model_dump_json()]
        texts.append(json.dumps(thing.model_dump(), default=str))
    return "\n".join(texts).encode()


def seen(content):
    return search(content, "text", [SECRET])


THINGS = [
    VERSION,
    RECORD,
    Loaded(SECRET, RECORD, {"value": SECRET}, [SECRET]),
    Memory(values={"v": VERSION}),
    VaultVersion({"password": SECRET}, 1),
    GcpVersion(1, SECRET),
    VaultKvStore(**VAULT),
    VaultKvStore(**APPROLE),
    AzureKeyVaultStore(**AZURE),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_holds_a_value_does_not_show_it(thing):
    assert seen(shown(thing)) == []


WRONG = [
    (VaultKvStore, VAULT | {"token": [SECRET]}),
    (VaultKvStore, VAULT | {"token": {"value": SECRET}}),
    (VaultKvStore, APPROLE | {"secret_id": [SECRET]}),
    (VaultKvStore, APPROLE | {"role_id": None}),
    (VaultKvStore, VAULT | {"authentication": SECRET}),
    (VaultKvStore, VAULT | {"address": f"https://user:{SECRET}@vault.example"}),
    (AzureKeyVaultStore, AZURE | {"client_secret": [SECRET]}),
    (AzureKeyVaultStore, AZURE | {"tenant_id": None}),
    (AzureKeyVaultStore, AZURE | {"vault_url": f"https://name.vault.azure.net/?{SECRET}"}),
]


def refusal(block, fields):
    with pytest.raises(ValidationError) as caught:
        block(**fields)
    return f"{caught.value}\n{caught.value!r}".encode()


@pytest.mark.parametrize(("block", "fields"), WRONG)
def test_a_field_that_is_given_wrongly_is_refused_without_its_value(block, fields):
    assert seen(refusal(block, fields)) == []


def test_a_careless_block_would_have_been_found():
    assert seen(refusal(Careless, {"url": SECRET, "token": "t"}))
    assert seen(refusal(Careless, {"url": "u", "token": [SECRET]}))
