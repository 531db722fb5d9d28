"""Access keys of an IAM user as a rotation target: AWS makes them, shows each secret once, and allows two."""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from pydantic import Field, PrivateAttr, SecretStr, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.rotation_targets.interface import RotationTarget
from blocks.secret_stores.aws import aws_session
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import Credential, TargetKind

_T = TypeVar("_T")

_POLL_SECONDS = 1.0
_CALLS = 2
_GONE = "NoSuchEntity"
_WRONG_SECRET = "SignatureDoesNotMatch"  # noqa: S105 - an answer of AWS
_NOT_ACCEPTED = "InvalidClientTokenId"


class AwsIamUser(RotationTarget):
    """The access keys of one IAM user.

    A user has two at the most, so a rotation needs one of the places to be free. A new key is accepted everywhere after
    some seconds, and a deactivated one refused after some; both are waited for. The secret has two fields: the access
    key id as the account, the secret access key as the value. The credentials block must be another identity's.

    Example:
        ```python
        from blocks.rotation_targets.aws_iam_user import AwsIamUser

        aws_iam_user = AwsIamUser.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "AWS IAM User"
    _block_type_slug: ClassVar[str | None] = "aws-iam-user"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "An IAM user whose access keys are rotated."

    aws_credentials: str = Field(
        description="AWS Credentials block of prefect-aws that may manage the user's keys, such as aws-credentials/iam."
    )
    user_name: str = Field(description="Name of the IAM user.", min_length=1, max_length=64)
    region_name: str | None = Field(default=None, description="Region of STS, if not that of the credentials block.")
    endpoint_url: str | None = Field(default=None, description="Address of IAM and STS, if not AWS's own.")
    propagation_seconds: int = Field(
        default=20, description="Seconds to wait until AWS knows everywhere what became of a key.", ge=1, le=120
    )
    _clients: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("aws_credentials")
    @classmethod
    def _credentials_slug(cls, slug: str) -> str:
        if not slug.startswith("aws-credentials/") or slug == "aws-credentials/":
            advice = "Save them as an AWS Credentials block first."
            raise policy_error("P077", "the credentials are named as aws-credentials/NAME", advice)
        return slug

    @property
    def kind(self) -> TargetKind:
        """AWS mints."""
        return TargetKind.MINT

    @property
    def capacity(self) -> int | None:
        """Two keys; no quota raises that."""
        return 2

    @property
    def call_seconds(self) -> float:
        """Two calls, of a connection and an answer each; what is waited for after them changes nothing."""
        return _CALLS * 2.0 * aws_session.SECONDS

    @property
    def permissions(self) -> tuple[str, ...]:
        """The IAM actions on the user."""
        actions = ("GetUser", "ListAccessKeys", "GetAccessKeyLastUsed")
        return tuple(f"iam:{a}" for a in (*actions, "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"))

    def preflight(self) -> None:
        """Check that the user exists, and is not the one whose key asks (see ``RotationTarget``)."""
        iam, sts = self._client("iam"), self._client("sts")
        user = self._asked("iam:GetUser", lambda: iam.get_user(UserName=self.user_name))["User"]
        caller = self._asked("sts:GetCallerIdentity", sts.get_caller_identity)
        if caller["Arn"] == user["Arn"]:
            advice = (
                "Let another user or a role rotate it: the old key is disabled at the end, and then the block's own."
            )
            raise PermanentError(f"The credentials block is a key of {self.user_name} itself.", advice)
        self._listed()

    def next_username(self, current: str | None) -> str | None:  # noqa: ARG002 - AWS chooses
        """Return nothing: the id of a key is known when it is minted."""
        return None

    def credentials(self) -> tuple[Credential, ...]:
        """Return every key of the user; whether one was used IAM knows some minutes later (see ``RotationTarget``)."""
        return tuple(
            Credential(key, row["CreateDate"], used=self._was_used(key), enabled=row["Status"] == "Active")
            for row in self._listed()
            for key in (str(row["AccessKeyId"]),)
        )

    def mint(self) -> SecretVersion:
        """Create an access key, once (see ``RotationTarget``)."""
        iam = self._client("iam")
        made = self._asked("iam:CreateAccessKey", lambda: iam.create_access_key(UserName=self.user_name))["AccessKey"]
        key = str(made["AccessKeyId"])
        return SecretVersion(id=key, username=key, password=SecretStr(made["SecretAccessKey"]))

    def revoke(self, credential_id: str) -> None:
        """Deactivate a key and delete it (see ``RotationTarget``)."""
        if self._deactivated(credential_id):
            self._delete(credential_id)

    def authenticates(self, version: SecretVersion) -> bool:
        """Ask STS who calls with the key, waiting for a new one to be known everywhere (see ``RotationTarget``)."""
        key, sts = _key(version), self._sts_with(_key(version), version.password)
        for _ in self._waits():
            refusal = self._refusal(sts, key)
            if refusal is None:
                return True
            if refusal == _WRONG_SECRET or not self._is_active(key):
                return False
        message = f"AWS does not know access key {key} everywhere yet."
        raise TemporaryError(message, "Run again; give the block more `propagation_seconds` if it happens often.")

    def retire(self, previous: SecretVersion, current: SecretVersion | None) -> None:
        """Deactivate the key, and wait until it is refused (see ``RotationTarget``)."""
        key = _key(previous)
        if current is not None and _key(current) == key:
            raise PermanentError(f"Access key {key} is in use as the current version; it is not retired.")
        self._deactivated(key)
        sts = self._sts_with(key, previous.password)
        for _ in self._waits():
            if self._refusal(sts, key) is not None:
                return
        message = f"Access key {key} is deactivated, and AWS does not refuse it everywhere yet."
        raise TemporaryError(message, "Run again; give the block more `propagation_seconds` if it happens often.")

    def destroy(self, previous: SecretVersion) -> None:
        """Delete the key (see ``RotationTarget``)."""
        self._delete(_key(previous))

    def _refusal(self, sts: Any, key: str) -> str | None:
        """Return the code by which STS refuses the key that a client has, or None where it does not."""
        try:
            caller = self._asked("sts:GetCallerIdentity", sts.get_caller_identity, _WRONG_SECRET, _NOT_ACCEPTED)
        except _AnsweredError as error:
            return error.code
        if not str(caller["Arn"]).endswith(f"/{self.user_name}"):
            advice = "Correct the block's user name, or see who put that key into the secret."
            raise PermanentError(f"Access key {key} belongs to another identity.", advice)
        return None

    def _waits(self) -> Iterator[None]:
        """Yield once and, with a pause before each, until the time for propagation is over."""
        until = time.monotonic() + self.propagation_seconds
        yield
        while time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            yield

    def _listed(self) -> list[dict[str, Any]]:
        iam = self._client("iam")
        answer = self._asked("iam:ListAccessKeys", lambda: iam.list_access_keys(UserName=self.user_name))
        return list(answer["AccessKeyMetadata"])

    def _was_used(self, key: str) -> bool:
        iam = self._client("iam")
        last = self._asked("iam:GetAccessKeyLastUsed", lambda: iam.get_access_key_last_used(AccessKeyId=key))
        return "LastUsedDate" in last.get("AccessKeyLastUsed", {})

    def _is_active(self, key: str) -> bool:
        return any(row["AccessKeyId"] == key and row["Status"] == "Active" for row in self._listed())

    def _deactivated(self, key: str) -> bool:
        """Deactivate a key; return whether there is one."""
        iam = self._client("iam")
        given = {"UserName": self.user_name, "AccessKeyId": key, "Status": "Inactive"}
        return self._found("iam:UpdateAccessKey", lambda: iam.update_access_key(**given))

    def _delete(self, key: str) -> None:
        iam = self._client("iam")
        given = {"UserName": self.user_name, "AccessKeyId": key}
        self._found("iam:DeleteAccessKey", lambda: iam.delete_access_key(**given))

    def _found(self, operation: str, request: Callable[[], Any]) -> bool:
        try:
            self._asked(operation, request, _GONE)
        except _AnsweredError:
            return False
        return True

    def _asked(self, operation: str, request: Callable[[], _T], *expected: str) -> _T:
        """Make one call; an error of an expected code becomes an ``_AnsweredError``."""
        failure: VigilesError
        try:
            return request()
        except Exception as error:  # noqa: BLE001 - botocore has no common base for what a call may raise
            code = aws_session.error_code(error) or ""
            failure = aws_session.translated(f"{operation} {self.user_name}", error)
        if code in expected:
            failure = _AnsweredError(code)
        elif code == _GONE:
            failure = PermanentError(f"There is no IAM user {self.user_name}.", "Create it, or correct the block.")
        elif code == "LimitExceeded":
            advice = "Delete the access key that nobody uses."
            failure = PermanentError(f"IAM user {self.user_name} has two access keys already.", advice)
        # Outside of `except`: the cause may hold a value.
        raise failure

    def _client(self, service: str) -> Any:
        with aws_session.LOCK:
            if service not in self._clients:
                made = aws_session.make_client(service, self.aws_credentials, self.region_name, self.endpoint_url)
                self._clients[service] = made
            return self._clients[service]

    def _sts_with(self, key: str, secret: SecretStr) -> Any:
        """Return a client of STS with a key of the user, otherwise like the block's own."""
        meta = self._client("sts").meta
        with aws_session.LOCK:
            session = import_module("boto3").Session(
                aws_access_key_id=key, aws_secret_access_key=secret.get_secret_value(), region_name=meta.region_name
            )
            return session.client("sts", config=meta.config, endpoint_url=self.endpoint_url)


class _AnsweredError(VigilesError):
    """AWS answered with a code that the caller knows what to do about."""

    def __init__(self, code: str) -> None:
        super().__init__(f"AWS answered {code}.")
        self.code = code


def _key(version: SecretVersion) -> str:
    if version.username is None:
        advice = "Give the policy `keys`: the fields of the access key id and of the secret access key."
        raise PermanentError("The secret does not name an access key.", advice)
    return version.username
