"""Secrets in the Parameter Store of AWS Systems Manager."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import Field, PrivateAttr, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.aws import aws_parameters, aws_session
from blocks.secret_stores.aws.aws_parameters import LIMITS, PAGE, RECORDS, VERSIONS
from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import (
    ConflictError,
    Permission,
    Quota,
    SecretAddress,
    SupersededError,
)
from blocks.secret_stores.record import Record, record_from_json
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, VigilesError
from rules.rotation import StepKind

_T = TypeVar("_T")

LARGEST = 3584
"""Bytes of a value: a record, of the 8 KiB that the service takes, holds two of them."""

_CHANGES = (
    *(StepKind.CLAIM, StepKind.INTEND, StepKind.STAGE, StepKind.PROMOTE),
    *(StepKind.CONFIRM, StepKind.DISCARD, StepKind.FORGET),
)


class AwsParameterStore(SidecarStore):
    """Keeps secrets in the Parameter Store of AWS Systems Manager.

    Consumers read the parameter by its bare name. Pending and previous versions and the journal are in a record: for
    parameter ``/prod/db`` the SecureString parameters ``/vigiles/prod/db/NUMBER``. Each state of the record is one of
    them, which can be created only once, and the last two are kept. Whoever may read ``/vigiles`` can read the
    pending value. Type, tier, key, labels and description of the parameter stay as they are; the service itself keeps
    up to 100 old versions of it, which nobody can delete one by one. A reader that names a version or a label goes on
    reading that one.

    Example:
        ```python
        from blocks.secret_stores.aws_parameter_store import AwsParameterStore

        aws_parameter_store = AwsParameterStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "AWS Parameter Store"
    _block_type_slug: ClassVar[str | None] = "aws-parameter-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in the Parameter Store of AWS and can be rotated."

    fencing: ClassVar[str] = (
        "Each state of the record is a parameter that can be created once, also just before a promotion; the secret's "
        "own parameter takes the last write, so a run superseded between those two calls is noticed, not prevented."
    )
    quota: ClassVar[Quota] = Quota(
        "PutParameter at standard throughput, for account and region",
        3.0,
        writes=6,
        concurrency=2,
        note="GetParameter, GetParameters and GetParametersByPath share 40/s; higher throughput is a paid setting.",
    )

    credentials: str = Field(description="AWS Credentials block of prefect-aws, such as aws-credentials/production.")
    region_name: str | None = Field(default=None, description="Region, if not that of the credentials block.")
    endpoint_url: str | None = Field(default=None, description="Address of the service, if not AWS's own.")
    key_id: str | None = Field(
        default=None, description="KMS key for records and new parameters, if not the account's own for the service."
    )
    _client: Any = PrivateAttr(default=None)

    @field_validator("credentials")
    @classmethod
    def _credentials_slug(cls, slug: str) -> str:
        if not aws_session.is_slug(slug):
            advice = "Save them as an AWS Credentials block first."
            raise policy_error("P077", "the credentials are named as aws-credentials/NAME", advice)
        return slug

    def preflight(self, address: SecretAddress) -> None:
        """Check the name, what is readable, sizes, and that no label keeps the service's oldest version."""
        aws_parameters.check_name(address.secret)
        loaded = self._load(address)
        self._state(address, loaded)
        if loaded.main is None:
            advice = f"Create it: aws ssm put-parameter --name {address.secret} --type SecureString --value ..."
            raise PermanentError(f"There is no parameter {address.secret}.", advice)
        self._kept_fields(address, loaded.main)
        if loaded.main_revision >= VERSIONS:
            self._check_oldest(address)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the IAM actions; only IAM itself could say which are granted (see ``SecretStore``)."""
        secret, path = _resource(address.secret), _resource(_path(address))
        key = self.key_id or "the KMS key of parameter and records"
        kms = [Permission(f"kms:{action}", key, _CHANGES) for action in ("Decrypt", "Encrypt", "GenerateDataKey")]
        return (
            Permission("ssm:GetParameter", secret, _CHANGES),
            Permission("ssm:GetParameterHistory", secret, (StepKind.CLAIM,)),
            Permission("ssm:DescribeParameters", "*", (StepKind.STAGE, StepKind.PROMOTE)),
            Permission("ssm:PutParameter", secret, (StepKind.PROMOTE,)),
            Permission("ssm:GetParametersByPath", path, _CHANGES),
            Permission("ssm:PutParameter", f"{path}/*", _CHANGES),
            Permission("ssm:DeleteParameters", f"{path}/*", _CHANGES),
            *kms,
        )

    def _load(self, address: SecretAddress) -> Loaded:
        # The record first: what is promoted after it was read shows as current, and is then recognised.
        rows = self._records(address)
        number = max(rows, default=0)
        main = self._ask(f"GetParameter {address.secret}", lambda client: aws_parameters.read(client, address.secret))
        if main is not None and main["Type"] == "StringList":
            raise PermanentError(f"{address.secret} is a StringList.", "Store the secret as a SecureString parameter.")
        return Loaded(
            main and main["Value"],
            _parsed(_path(address, number), rows[number]) if rows else None,
            main_revision=main["Version"] if main else 0,
            record_revision=(number, [_path(address, n) for n in sorted(rows) if n < number]),
        )

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        self._check_record(address, loaded, record)
        last, older = loaded.record_revision
        if older:
            operation = f"DeleteParameters of older records of {address.secret}"
            self._ask(operation, lambda client: client.delete_parameters(Names=older[:PAGE]))
        fields = {"Type": "SecureString", "Tier": "Intelligent-Tiering", "Description": "A record of Vigiles."}
        name, text = _path(address, last + 1), _packed(record)
        made = self._put(name, text, {"Overwrite": False, **fields, **self._own_key()}) is not None
        if made and (record.pending or record.previous or record.journal.intent_at):
            # The name of a state that was deleted can be had again, by a run that slept for long. Others do not see it,
            # and it must not go on to the target.
            made = max(self._records(address), default=0) <= last + 1
        if not made:
            message = f"Another run has written the record of {address.secret}."
            raise SupersededError(message, "Run again when it has ended.")

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        fields = self._kept_fields(address, text)
        if loaded.main is None:
            fields = {"Overwrite": False, "Type": "SecureString", "Tier": "Standard", **self._own_key()}
        # Whatever was read: nobody else has written the record until now (see `fencing`).
        self._save_record(address, loaded, self._record(loaded))
        version = self._put(address.secret, text, fields)
        if version != loaded.main_revision + 1:
            raise ConflictError(
                f"Somebody else wrote {address.secret} at the same moment.",
                f"See who did, and which value is right: aws ssm get-parameter-history --name {address.secret}",
            )

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        if len(pair[1].encode()) > LARGEST:
            raise PermanentError(f"The new value of {address} has over {LARGEST} bytes.", "Let a shorter one be made.")
        return super()._with_pair(address, text, pair)

    def _check_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        """Refuse what the service would refuse only when the target has the value already."""
        if len(_packed(record).encode()) > LIMITS["Advanced"]:
            advice = "The record holds two values and has to fit into 8 KiB: shorten the value."
            raise PermanentError(f"The record of {address.secret} grows too large.", advice)
        if self._record(loaded).pending is None and record.pending is not None:
            self._kept_fields(address, self._with_pair(address, loaded.main, record.pending))

    def _kept_fields(self, address: SecretAddress, text: str) -> Mapping[str, Any]:
        name = address.secret
        found = self._ask(f"DescribeParameters {name}", lambda client: aws_parameters.describe(client, name))
        return aws_parameters.checked_fields(name, found, text)

    def _check_oldest(self, address: SecretAddress) -> None:
        operation, name = f"GetParameterHistory {address.secret}", address.secret
        history = list(self._paged(operation, lambda client, after: aws_parameters.list_versions(client, name, after)))
        oldest = min(history, key=lambda row: int(row["Version"]))
        if len(history) >= VERSIONS and oldest.get("Labels"):
            raise aws_parameters.label_in_the_way(name)

    def _records(self, address: SecretAddress) -> dict[int, str]:
        """Return every state of the record that is kept, by its number."""
        path, rows = _path(address), dict[int, str]()
        listing = self._paged(
            f"GetParametersByPath {path}", lambda client, after: aws_parameters.list_below(client, path, after)
        )
        for row in listing:
            parent, _, number = row["Name"].rpartition("/")
            if parent == path and number.isdigit():
                rows[int(number)] = row["Value"]
        return rows

    def _paged(self, operation: str, page_after: Callable[[Any, str | None], Any]) -> Iterator[Mapping[str, Any]]:
        after: str | None = None
        while True:
            page = self._ask(operation, _following(page_after, after))
            yield from page["Parameters"]
            after = page.get("NextToken")
            if not after:
                return

    def _put(self, name: str, text: str, fields: Mapping[str, Any]) -> int | None:
        return self._ask(f"PutParameter {name}", lambda client: aws_parameters.write(client, name, text, fields))

    def _own_key(self) -> dict[str, str]:
        return {"KeyId": self.key_id} if self.key_id else {}

    def _ask(self, operation: str, request: Callable[[Any], _T]) -> _T:
        with aws_session.LOCK:
            if self._client is None:
                self._client = aws_session.make_client("ssm", self.credentials, self.region_name, self.endpoint_url)
        return self._call(operation, lambda: request(self._client))

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        code = aws_session.error_code(error)
        if code == "ParameterMaxVersionLimitExceeded":
            return aws_parameters.label_in_the_way(operation.partition(" ")[2])
        if code == "ParameterLimitExceeded":
            return PermanentError("The account has no room for another parameter.", "Delete some, or raise the quota.")
        if code == "HierarchyLevelLimitExceededException":
            return PermanentError(f"{operation}: the name has too many levels.", "Use 13 at most; the record adds two.")
        return aws_session.translated(operation, error)


def _path(address: SecretAddress, number: int | None = None) -> str:
    path = f"{RECORDS}/{address.secret.strip('/')}"
    return path if number is None else f"{path}/{number:012d}"


def _resource(name: str) -> str:
    return f"parameter/{name.lstrip('/')}"


def _following(page_after: Callable[[Any, str | None], _T], after: str | None) -> Callable[[Any], _T]:
    return lambda client: page_after(client, after)


def _packed(record: Record) -> str:
    return json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))


def _parsed(name: str, text: str) -> Record:
    try:
        return record_from_json(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    # Outside of `except`: the cause may hold a value.
    raise PermanentError(
        f"Parameter {name} is not what was written there.",
        "If no rotation was under way, delete it: the next run starts from the current value.",
    )
