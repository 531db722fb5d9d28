"""Secrets Manager in memory: the methods of boto3's client that a store and a consumer call, strict as the service is.

Held to the API reference: a token is used once; labels sit on one version each; AWSPREVIOUS follows AWSCURRENT, which
is moved only from where it is said to be and never taken away; the first version is current whatever labels are asked
for; 20 labels a version; 100 versions, of which those without a label are purged once they are a day old.
"""

# ruff: noqa: N803 - the arguments are named as boto3 names them
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

CAP, LABELS, LARGEST = 100, 20, 65536


def refusal(code: str, message: str, operation: str, status: int = 400) -> Exception:
    """Return the error that boto3's client raises for an answer of this code."""
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


@dataclass
class Version:
    """One version."""

    content: str | bytes
    created: datetime
    labels: set[str] = field(default_factory=set)


@dataclass
class Secret:
    """One secret."""

    versions: dict[str, Version] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    deleted: datetime | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def holder(self, label: str) -> str | None:
        """Return the version that a label is on."""
        return next((name for name, version in self.versions.items() if label in version.labels), None)

    def move(self, label: str, to: str | None) -> None:
        """Put a label on a version, or on none."""
        before = self.holder(label)
        if before is not None:
            self.versions[before].labels.discard(label)
        if to is not None:
            self.versions[to].labels.add(label)
        if label == "AWSCURRENT" and before is not None and before != to:
            self.move("AWSPREVIOUS", before)


@dataclass
class Service:
    """Every secret, and the time, which tests move on."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    lock: Any = field(default_factory=RLock)

    def pass_by(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)


class SecretsManager:
    """A client of the service."""

    def __init__(self, service: Service, *, allowed: bool = True) -> None:
        self.service = service
        self._allowed = allowed

    def create_secret(self, *, Name: str, **given: Any) -> dict[str, Any]:
        """Create a secret, with a first version if there is a value."""
        with self.service.lock:
            self._check("CreateSecret")
            if Name in self.service.secrets:
                raise refusal("ResourceExistsException", f"The secret {Name} already exists.", "CreateSecret")
            tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", ())}
            self.service.secrets[Name] = Secret(tags=tags)
            if "SecretString" in given or "SecretBinary" in given:
                values = {key: given[key] for key in ("SecretString", "SecretBinary") if key in given}
                return self.put_secret_value(SecretId=Name, **values)
            return {"Name": Name}

    def describe_secret(self, *, SecretId: str) -> dict[str, Any]:
        """Describe a secret, also one that is going to be deleted; versions without a label are not listed."""
        with self.service.lock:
            secret = self._found(SecretId, "DescribeSecret", deleted=True)
            answer: dict[str, Any] = {"Name": SecretId, "ARN": f"arn:aws:secretsmanager:::secret:{SecretId}-AbCdEf"}
            stages = {name: sorted(version.labels) for name, version in secret.versions.items() if version.labels}
            answer |= {"VersionIdsToStages": stages} if stages else {}
            answer |= {"Tags": [{"Key": key, "Value": value} for key, value in secret.tags.items()]}
            answer |= {"DeletedDate": secret.deleted} if secret.deleted else {}
            return answer | secret.more

    def get_secret_value(self, *, SecretId: str, VersionId: str = "", VersionStage: str = "") -> dict[str, Any]:
        """Return a version with its value."""
        with self.service.lock:
            if VersionId:
                self._check_id(VersionId)
            secret = self._found(SecretId, "GetSecretValue")
            name = VersionId or secret.holder(VersionStage or "AWSCURRENT")
            version = secret.versions.get(name or "")
            if version is None or (VersionStage and VersionStage not in version.labels):
                message = "Secrets Manager can't find the specified secret value."
                raise refusal("ResourceNotFoundException", message, "GetSecretValue")
            key = "SecretString" if isinstance(version.content, str) else "SecretBinary"
            return {"VersionId": name, "VersionStages": sorted(version.labels), key: version.content}

    def put_secret_value(
        self,
        *,
        SecretId: str,
        SecretString: str | None = None,
        SecretBinary: bytes | None = None,
        ClientRequestToken: str = "",
        VersionStages: list[str] | None = None,
    ) -> dict[str, Any]:
        """Put a version; one that is there already, with the same content, is left as it is."""
        operation = "PutSecretValue"
        with self.service.lock:
            token = ClientRequestToken or str(uuid.uuid4())
            self._check_id(token)
            secret = self._found(SecretId, operation)
            content = SecretString if SecretString is not None else SecretBinary
            if not content or len(content.encode() if isinstance(content, str) else content) > LARGEST:
                raise refusal("InvalidParameterException", "The value has a wrong length.", operation)
            if token in secret.versions:
                if secret.versions[token].content != content:
                    raise refusal("ResourceExistsException", f"You can't use ClientRequestToken {token}.", operation)
                return {"VersionId": token, "VersionStages": sorted(secret.versions[token].labels)}
            self._make_room(secret, operation)
            labels = {*(VersionStages or ["AWSCURRENT"]), *([] if secret.versions else ["AWSCURRENT"])}
            if len(labels) > LABELS:
                raise refusal("LimitExceededException", "Too many labels.", operation)
            secret.versions[token] = Version(content, self.service.now)
            for label in labels:
                secret.move(label, token)
            return {"VersionId": token, "VersionStages": sorted(labels)}

    def update_secret_version_stage(
        self, *, SecretId: str, VersionStage: str, MoveToVersionId: str = "", RemoveFromVersionId: str = ""
    ) -> dict[str, Any]:
        """Move a label, from where it is said to be."""
        operation = "UpdateSecretVersionStage"
        with self.service.lock:
            for name in filter(None, (MoveToVersionId, RemoveFromVersionId)):
                self._check_id(name)
            secret = self._found(SecretId, operation)
            holder = secret.holder(VersionStage)
            if holder != (RemoveFromVersionId or None):
                message = f"Staging label {VersionStage} is attached to another version."
                raise refusal("InvalidParameterException", message, operation)
            if not MoveToVersionId and VersionStage == "AWSCURRENT":
                raise refusal("InvalidParameterException", "You can only move staging label AWSCURRENT.", operation)
            if MoveToVersionId and MoveToVersionId not in secret.versions:
                raise refusal("ResourceNotFoundException", "There is no such version.", operation)
            secret.move(VersionStage, MoveToVersionId or None)
            return {"Name": SecretId}

    def delete_secret(self, *, SecretId: str, RecoveryWindowInDays: int = 30) -> dict[str, Any]:
        """Let a secret be deleted when its recovery window is over."""
        with self.service.lock:
            self._found(SecretId, "DeleteSecret").deleted = self.service.now + timedelta(days=RecoveryWindowInDays)
            return {"Name": SecretId}

    def restore_secret(self, *, SecretId: str) -> dict[str, Any]:
        """Have it back."""
        with self.service.lock:
            self._found(SecretId, "RestoreSecret", deleted=True).deleted = None
            return {"Name": SecretId}

    def _found(self, name: str, operation: str, *, deleted: bool = False) -> Secret:
        self._check(operation)
        secret = self.service.secrets.get(name)
        if secret is None:
            message = "Secrets Manager can't find the specified secret."
            raise refusal("ResourceNotFoundException", message, operation)
        if secret.deleted and not deleted:
            message = "You can't perform this operation on the secret because it was marked for deletion."
            raise refusal("InvalidRequestException", message, operation)
        return secret

    def _check(self, operation: str) -> None:
        if not self._allowed:
            raise refusal("AccessDeniedException", "User is not authorized.", operation)

    def _check_id(self, name: str) -> None:
        from botocore.exceptions import ParamValidationError

        if not 32 <= len(name) <= 64:
            raise ParamValidationError(report="Invalid length for a version id.")

    def _make_room(self, secret: Secret, operation: str) -> None:
        day_ago = self.service.now - timedelta(days=1)
        old = [name for name, v in secret.versions.items() if not v.labels and v.created <= day_ago]
        for name in sorted(old, key=lambda name: secret.versions[name].created)[: len(secret.versions) - CAP + 1]:
            del secret.versions[name]
        if len(secret.versions) >= CAP:
            raise refusal("LimitExceededException", "The request failed: too many versions.", operation)
