"""Secrets Manager as a backend: a strict simulator, and moto's server behind a layer that makes it as strict.

The consumer of the simulator is a plain ``get_secret_value``; that of the server is Prefect's own ``AwsSecret``.
"""

import json
import re
import uuid
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from support.moto import REGION, Key, Moto
from support.secrets_manager import LARGEST, SecretsManager, Service, refusal
from support.stores.catalogue import Entry
from support.stores.interface import Backend
from support.strict_moto import Ledger, StrictClient

from blocks.secret_stores.aws_secrets_manager import AwsSecretsManagerStore
from blocks.secret_stores.interface import SecretAddress, SecretStore

_AROUND = '{\n  "engine": "postgres",\n  "port": 5432,\n  "note": "ü\\u00e9"'
"""Text around the rotated fields, which no JSON writer would write just so."""


class SecretsManagerBackend(Backend):
    """What the two have in common: a secret is a JSON document with more in it than the rotated fields."""

    name: ClassVar[str] = "aws-secrets-manager"
    largest: ClassVar[int | None] = LARGEST - len((_AROUND + ',\n  "password": ""\n}\n').encode())
    reads: ClassVar[tuple[str, ...]] = ("DescribeSecret", "GetSecretValue")
    document: ClassVar[bool] = True
    creates: ClassVar[bool] = False
    restores: ClassVar[bool] = True
    no_fence: ClassVar[str] = "AWS compares AWSCURRENT with the version expected, and knows nothing of epochs"
    no_free_text: ClassVar[str] = ""
    # To be read by the suite: a version is the whole text here, so a change of another field is another version.
    no_merging: ClassVar[str] = "a pending version is a whole text, made over the one that was current then"

    @property
    @abstractmethod
    def outside(self) -> Any:
        """The client of somebody else, who may do everything."""

    @abstractmethod
    def over(self, client: Any) -> AwsSecretsManagerStore:
        """Return a block that calls a client."""

    def address(self, *, pair: bool) -> SecretAddress:
        """Return fields of a secret with a new name; it is created by the first ``put``."""
        return self.text_address(username="username" if pair else None, password="password")

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return fields of a secret with a new name."""
        return SecretAddress(password, username, f"prod/{uuid.uuid4().hex[:12]}")

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Put a document, as an operator does."""
        fields = {address.username: username} if address.username else {}
        rows = (
            f",\n  {json.dumps(key)}: {json.dumps(text)}" for key, text in (fields | {"password": password}).items()
        )
        self.put_text(address, _AROUND + "".join(rows) + "\n}\n" if address.password else password)

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Put a text as AWSCURRENT."""
        try:
            self.outside.put_secret_value(SecretId=address.secret, SecretString=text)
        except Exception as error:
            if "ResourceNotFound" not in str(error):
                raise
            tags = [{"Key": "team", "Value": "db"}]
            self.outside.create_secret(Name=address.secret, SecretString=text, Tags=tags)

    def text(self, address: SecretAddress) -> str:
        """Return the whole text."""
        return str(self.outside.get_secret_value(SecretId=address.secret)["SecretString"])

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what a consumer makes of the secret."""
        try:
            text = self.read(address)
        except Exception as error:
            if "ResourceNotFound" in str(error) or "delet" in str(error):
                return None
            raise
        if not address.password:
            return (None, text)
        document = json.loads(text)
        return (document[address.username] if address.username else None, document[address.password])

    def read(self, address: SecretAddress) -> str:
        """Return the text as a consumer gets it."""
        return self.text(address)

    def surroundings(self, address: SecretAddress) -> object:
        """Return the text without the values of its fields, and the tags."""
        tags = self.outside.describe_secret(SecretId=address.secret).get("Tags") or ()
        text = re.sub(r'("(?:username|password)"\s*:\s*)"(?:\\.|[^"\\])*"', r"\1", self.text(address))
        return (text, tags)

    def remove(self, address: SecretAddress) -> None:
        """Delete the secret, with a week to have it back."""
        self.outside.delete_secret(SecretId=address.secret, RecoveryWindowInDays=7)

    def restore(self, address: SecretAddress) -> None:
        """Have it back."""
        self.outside.restore_secret(SecretId=address.secret)

    def timeout(self) -> Exception:
        """Return a lost answer."""
        from botocore.exceptions import ReadTimeoutError

        return ReadTimeoutError(endpoint_url="https://secretsmanager.eu-central-1.amazonaws.com/")

    def throttled(self) -> Exception:
        """Return a refusal for now."""
        return refusal("ThrottlingException", "Rate exceeded", "PutSecretValue")


class SimulatedSecretsManager(SecretsManagerBackend):
    """The simulator."""

    stands_on: ClassVar[str] = "simulator"

    def __init__(self) -> None:
        self.service = Service()

    @property
    def outside(self) -> Any:
        """Another client of the same service."""
        return SecretsManager(self.service)

    def over(self, client: Any) -> AwsSecretsManagerStore:
        """Return a block that calls a client."""
        store = AwsSecretsManagerStore(credentials="aws-credentials/simulated")
        store._client = client
        return store

    def make(self) -> SecretStore:
        """Return a block with a client of its own."""
        return self.over(SecretsManager(self.service))

    def denied(self) -> SecretStore:
        """Return a block whose every call is refused."""
        return self.over(SecretsManager(self.service, allowed=False))


class MotoSecretsManager(SecretsManagerBackend):
    """moto's server, with the layer before it."""

    stands_on: ClassVar[str] = "real server"

    def __init__(self, moto: Moto) -> None:
        self.moto = moto
        self.ledger = Ledger()

    @cached_property
    def outside(self) -> Any:
        """The administrator's client."""
        return self.moto.client("secretsmanager")

    def over(self, client: Any) -> AwsSecretsManagerStore:
        """Return a block that calls a client."""
        store = AwsSecretsManagerStore(
            credentials="aws-credentials/moto", region_name=REGION, endpoint_url=self.moto.url
        )
        store._client = client
        return store

    def make(self) -> SecretStore:
        """Return a block with the administrator's key."""
        return self.over(StrictClient(self.outside, self.ledger))

    def denied(self) -> SecretStore:
        """Return a block with the key of a user who may do nothing."""
        client = self.moto.client("secretsmanager", self.moto.new_key(None))
        return self.over(StrictClient(client, self.ledger))

    def with_key(self, key: Key) -> AwsSecretsManagerStore:
        """Return a block with a key."""
        return self.over(StrictClient(self.moto.client("secretsmanager", key), self.ledger))

    def read(self, address: SecretAddress) -> str:
        """Return what Prefect's own block of such a secret reads."""
        # The stage is the service's default; moto's is whatever was put last without a label.
        return str(self._secret(address.secret).read_secret(version_stage="AWSCURRENT", _sync=True))

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Put a text as AWSCURRENT; in two steps, as moto loses sight of AWSCURRENT where it was moved before."""
        stages = self._stages(address)
        current = next((version for version, labels in stages.items() if "AWSCURRENT" in labels), None)
        if current is None:
            super().put_text(address, text)
            return
        outside, name = self.outside, address.secret
        put = outside.put_secret_value(SecretId=name, SecretString=text, VersionStages=["OUTSIDE"])["VersionId"]
        outside.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=put, RemoveFromVersionId=current
        )
        outside.update_secret_version_stage(SecretId=name, VersionStage="OUTSIDE", RemoveFromVersionId=put)

    def text(self, address: SecretAddress) -> str:
        """Return the whole text."""
        found = self.outside.get_secret_value(SecretId=address.secret, VersionStage="AWSCURRENT")
        return str(found["SecretString"])

    def remove(self, address: SecretAddress) -> None:
        """Delete the secret, with a week to have it back."""
        super().remove(address)
        self.ledger.deleted.add(address.secret)

    def restore(self, address: SecretAddress) -> None:
        """Have it back."""
        super().restore(address)
        self.ledger.deleted.discard(address.secret)

    def _stages(self, address: SecretAddress) -> dict[str, list[str]]:
        try:
            described = self.outside.describe_secret(SecretId=address.secret)
        except self.outside.exceptions.ResourceNotFoundException:
            return {}
        stages: dict[str, list[str]] = described.get("VersionIdsToStages") or {}
        return stages

    def _secret(self, name: str) -> Any:
        from prefect_aws import AwsCredentials, AwsSecret

        key = self.moto.admin
        credentials = AwsCredentials(
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            region_name=REGION,
            aws_client_parameters={"endpoint_url": self.moto.url},
        )
        return AwsSecret(aws_credentials=credentials, secret_name=name)


def _simulated(_: Path) -> Backend:
    return SimulatedSecretsManager()


def _on_moto(_: Path, moto: Moto) -> Backend:
    return MotoSecretsManager(moto)


BACKENDS = (
    Entry("aws-secrets-manager-simulated", _simulated),
    Entry("aws-secrets-manager-moto", _on_moto, fixtures=("moto",), slow=True),
)
