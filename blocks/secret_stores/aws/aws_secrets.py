"""What Secrets Manager says of a secret: whether it can be rotated, what its errors mean, which rights are needed."""

from collections.abc import Mapping
from typing import Any

from blocks.secret_stores.aws import aws_session
from blocks.secret_stores.interface import ConflictError, Permission, SecretAddress, VersionGoneError
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import StepKind

LARGEST = 65536
"""Bytes of a version."""

_SHORTEST_ID, _LONGEST_ID = 32, 64
_MOVED = {"InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"}
_KEY = ("the secret's KMS key cannot be used", "Enable the key, and allow its use to this credential.")
_ADVICE = {
    "ResourceNotFoundException": (
        "there is no such secret, or it has no value",
        "Create it with a first value that works, or correct name and region.",
    ),
    "LimitExceededException": (
        "the secret has no room for another version",
        "It holds 100 versions, of which none is purged before it is a day old: rotate it less often.",
    ),
    "EncryptionFailure": _KEY,
    "DecryptionFailure": _KEY,
}


class TakenError(ConflictError):
    """A version of that id exists already, with another content."""


class MovedError(ConflictError):
    """A label is not on the version that it was to be taken from."""


def is_version(text: str) -> bool:
    """Return whether a version can have such an id; of any other one, AWS would refuse to look for it."""
    return _SHORTEST_ID <= len(text) <= _LONGEST_ID


def check_alive(address: SecretAddress, description: Mapping[str, Any]) -> None:
    """Refuse a secret that is going to be deleted; AWS still describes it, and takes some writes.

    Raises:
        PermanentError: if it is.
    """
    if description.get("DeletedDate"):
        raise _deleted(address.secret)


def check(address: SecretAddress, description: Mapping[str, Any]) -> None:
    """Refuse a secret that somebody else rotates, or that is not the primary, or whose replicas do not follow.

    Raises:
        TemporaryError, PermanentError: if it cannot be rotated, saying what to repair.
    """
    name, owner = address.secret, description.get("OwningService")
    check_alive(address, description)
    if owner:
        raise PermanentError(f"Secret {name} belongs to {owner}, which rotates it.", "Take it out of the policy.")
    if description.get("RotationEnabled"):
        advice = f"Run: aws secretsmanager cancel-rotate-secret --secret-id {name}"
        raise PermanentError(f"AWS rotates secret {name} itself.", advice)
    regions = {row.get("Region"): row.get("Status") for row in description.get("ReplicationStatus") or ()}
    failed = sorted(str(region) for region, status in regions.items() if status == "Failed")
    if failed:
        advice = "Repair the replication, or remove those regions from it."
        raise PermanentError(f"Secret {name} is not replicated to {', '.join(failed)}.", advice)
    if [status for status in regions.values() if status != "InSync"]:
        raise TemporaryError(f"Secret {name} is being replicated.", "Run again when its replicas are in sync.")


def needed(address: SecretAddress) -> tuple[Permission, ...]:
    """Return every right that a rotation needs."""
    writes = (StepKind.CLAIM, StepKind.STAGE, StepKind.PROMOTE, StepKind.CONFIRM, StepKind.DISCARD, StepKind.FORGET)
    puts = tuple(step for step in (*writes, StepKind.INTEND) if step is not StepKind.PROMOTE)
    moves = (StepKind.PROMOTE, StepKind.DISCARD, StepKind.FORGET)
    reads = (StepKind.STAGE, StepKind.VERIFY, StepKind.CONFIRM)
    secret, key = f"secret:{address.secret}-??????", "KMS key of the secret, if not aws/secretsmanager"
    return (
        Permission("secretsmanager:DescribeSecret", secret, writes),
        Permission("secretsmanager:GetSecretValue", secret, reads),
        Permission("secretsmanager:PutSecretValue", secret, puts),
        Permission("secretsmanager:UpdateSecretVersionStage", secret, moves),
        Permission("kms:Decrypt", key, (*puts, *reads)),
        Permission("kms:GenerateDataKey", key, puts),
    )


def translated(operation: str, error: Exception) -> VigilesError:
    """Return our error for one that the client raised, without its text."""
    code = aws_session.error_code(error) or ""
    call, _, rest = operation.partition(" ")
    if code == "InvalidRequestException" and "delet" in _text(error):
        return _deleted(rest.split()[0])
    if code == "ResourceExistsException":
        return TakenError(f"{operation}: a version of that id exists.", "Run again.")
    if call == "UpdateSecretVersionStage" and code in _MOVED:
        return MovedError(f"{operation}: the label is not where it was.", "See who moved it, and run again.")
    if code == "ResourceNotFoundException" and len(rest.split()) > 1:
        return VersionGoneError(f"{operation}: there is no such version any more.", "Run again.")
    if code in _ADVICE:
        return PermanentError(f"{operation}: {_ADVICE[code][0]}.", _ADVICE[code][1])
    return aws_session.translated(operation, error)


def _deleted(name: str) -> PermanentError:
    advice = f"Have it back, aws secretsmanager restore-secret --secret-id {name}, or take it out of the policy."
    return PermanentError(f"Secret {name} is going to be deleted.", advice)


def _text(error: Exception) -> str:
    """Return what AWS says beside the code; to be looked at, never to be passed on."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Message", "")).lower()
