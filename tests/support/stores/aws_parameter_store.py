"""The Parameter Store on moto's server, and on a simulator; its consumer is a plain boto3 client."""

import json
import re
import uuid
from functools import cache
from itertools import count
from typing import Any, ClassVar

from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.aws_parameter_store import LARGEST, AwsParameterStore
from blocks.secret_stores.interface import SecretAddress, SecretStore

TEXT = '{{\n  "host": "db",  "password" : {password},\n  {username}"port": 5432}}'


class ParameterStoreBackend(Backend):
    """An account's parameters, among others; pairs are JSON with more in it."""

    name: ClassVar[str] = "aws-parameter-store"
    largest: ClassVar[int | None] = LARGEST
    reads: ClassVar[tuple[str, ...]] = ("GetParameter", "DescribeParameters")
    document: ClassVar[bool] = True
    no_fence: ClassVar[str] = "the service takes the last write of a parameter, whoever wrote before"
    no_free_text: ClassVar[str] = ""
    key: ClassVar[str] = "alias/of-the-team"

    def __init__(self, client: Any, powerless: Any) -> None:
        self._client, self._powerless = client, powerless
        self._numbers = count(1)

    def make(self) -> SecretStore:
        """Return a block over the service."""
        return over(self._client)

    def denied(self) -> SecretStore | None:
        """Return a block whose key may do nothing."""
        return over(self._powerless)

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new name: of JSON with a pair in it, or of a plain value."""
        if pair:
            return self.text_address(username="username", password="password")
        return SecretAddress(secret=f"/apps/{next(self._numbers)}-{uuid.uuid4().hex[:8]}")

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return fields of a new name."""
        return SecretAddress(password, username, f"/apps/{next(self._numbers)}-{uuid.uuid4().hex[:8]}/db")

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Write the parameter past the store."""
        name = f'"username":{json.dumps(username)},' if username else ""
        self.put_text(address, TEXT.format(password=json.dumps(password), username=name) if username else password)

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Write the whole parameter, with the team's own key."""
        fields = {"Type": "SecureString", "KeyId": self.key, "Description": "of the team"}
        self._client.put_parameter(Name=address.secret, Value=text, Overwrite=True, **fields)

    def text(self, address: SecretAddress) -> str:
        """Return what boto3 reads by the bare name."""
        return self._client.get_parameter(Name=address.secret, WithDecryption=True)["Parameter"]["Value"]

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return the fields of the JSON, or the text."""
        try:
            text = self.text(address)
        except self._client.exceptions.ParameterNotFound:
            return None
        if not address.password:
            return (None, text)
        document = json.loads(text)
        return (document[address.username] if address.username else None, document[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the rest of the text, and what the service says of the parameter."""
        only = [{"Key": "Name", "Values": [address.secret]}]
        about = self._client.describe_parameters(ParameterFilters=only)["Parameters"][0]
        kept = [about.get(name) for name in ("Type", "KeyId", "Tier", "Description", "AllowedPattern", "DataType")]
        text = self.text(address) if address.password else ""
        return (re.sub(r'("(?:username|password)"\s*:\s*)"(?:\\.|[^"\\])*"', r"\1", text), kept)

    def remove(self, address: SecretAddress) -> None:
        """Delete the parameter; the service keeps nothing of it."""
        self._client.delete_parameters(Names=[address.secret])

    def timeout(self) -> Exception:
        """Return what botocore raises when no answer comes."""
        from botocore.exceptions import ReadTimeoutError

        return ReadTimeoutError(endpoint_url="https://ssm.example")

    def throttled(self) -> Exception:
        """Return what botocore makes of too many calls."""
        from botocore.exceptions import ClientError

        return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "PutParameter")


class Simulated(ParameterStoreBackend):
    """Over the simulator."""

    stands_on: ClassVar[str] = "simulator"


class Real(ParameterStoreBackend):
    """Over moto's server, which checks keys, signatures and policies, but neither sizes nor patterns."""

    stands_on: ClassVar[str] = "real server (moto)"


def over(client: Any, **fields: Any) -> AwsParameterStore:
    """Return a block that uses this client."""
    store = AwsParameterStore(credentials="aws-credentials/test", **fields)
    store._client = client
    return store


def _simulated(_: Any) -> ParameterStoreBackend:
    from support.parameter_store_simulator import ParameterStoreSimulator

    simulator = ParameterStoreSimulator()
    return Simulated(simulator.client(), simulator.client(allowed=False))


def _real(_: Any, moto: Any) -> ParameterStoreBackend:
    return Real(*_clients(moto))


@cache
def _clients(moto: Any) -> tuple[Any, Any]:
    """Return the client of the administrator and that of somebody without rights, once for each server."""
    return moto.client("ssm"), moto.client("ssm", moto.new_key(None))


BACKENDS = (
    Entry("aws-parameter-store-simulator", _simulated),
    Entry("aws-parameter-store-moto", _real, ("moto",), slow=True),
)
