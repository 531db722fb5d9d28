"""Clients of AWS services with the credentials of prefect-aws, and what their errors mean to a rotation."""

from importlib import import_module
from threading import Lock
from typing import Any

from blocks.block_loading import load_block
from blocks.secret_stores.interface import DeniedError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

SECONDS = 5
"""How long to wait for a connection, and for an answer."""

LOCK = Lock()
"""To be held while a client is made: boto3's sessions are not safe to make at the same moment."""

_PREFIX = "aws-credentials/"
_THROTTLED = {"ThrottlingException", "Throttling", "ThrottledException", "RequestLimitExceeded", "RequestThrottled"}
_THROTTLED |= {"TooManyRequestsException", "RequestThrottledException", "SlowDown", "TooManyUpdates"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired"}
_UNKNOWN_KEY = {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_UNKNOWN_KEY |= {"InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken", "AuthFailure"}
_UNKNOWN_KEY |= {"ExpiredToken", "ExpiredTokenException"}
_PASSING = {"InternalServerError", "InternalServiceError", "InternalFailure", "InternalError", "ServiceUnavailable"}
_PASSING |= {"ServiceUnavailableException", "ServiceFailure", "RequestTimeout", "RequestTimeoutException"}
_PASSING |= {"ConcurrentModification", "EntityTemporarilyUnmodifiable", "ServiceFailureException"}
_NO_KEY = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}
_NO_KEY |= {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "ProfileNotFound"}
_WRONG = {"ParamValidationError", "NoRegionError", "UnknownServiceError", "InvalidRegionError", "ValidationError"}
_DENIED_STATUS = (401, 403)
_TOO_MANY_STATUS = 429
_SERVER_STATUS = 500


def is_slug(text: str) -> bool:
    """Return whether a text names an AWS Credentials block."""
    return text.startswith(_PREFIX) and text != _PREFIX


def make_client(service: str, slug: str, region: str | None, endpoint: str | None) -> Any:
    """Return a client whose every call is made once, and ends soon.

    Args:
        service: as boto3 calls it, such as ``ssm``.
        slug: of the credentials block, such as ``aws-credentials/production``.
        region: the region; None for that of the credentials block.
        endpoint: address of the service; None for AWS's own.

    Raises:
        TemporaryError: if Prefect's server does not answer.
        PermanentError: if an extra is missing, there is no such block, or it cannot be used.
    """
    credentials = _load(slug)
    # A repeated call is the engine's own decision: a lost answer may be that of a write.
    once = import_module("botocore.config").Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    options: dict[str, Any] = credentials.aws_client_parameters.get_params_override()
    options["config"] = options["config"].merge(once) if options.get("config") else once
    region = region or credentials.region_name
    options |= {name: value for name, value in {"region_name": region, "endpoint_url": endpoint}.items() if value}
    try:
        return credentials.get_boto3_session().client(service, **options)
    except Exception as error:  # noqa: BLE001 - whatever botocore thinks of profiles, regions and addresses
        failure = translated(f"the client of {service}", error)
    # Outside of `except`: the cause may hold the key.
    raise failure


def translated(operation: str, error: Exception) -> VigilesError:
    """Return our error for one that a boto3 client raised; never with its text, which may hold a value."""
    name, code = type(error).__name__, error_code(error)
    if code is not None:
        return _answered(operation, code, error)
    if name in _NO_KEY:
        return DeniedError(f"There are no AWS credentials for {operation} ({name}).", "Complete the credentials block.")
    if name in _WRONG:
        return PermanentError(f"AWS's client refuses {operation} ({name}).", "Correct the block's fields.")
    advice = "Check the network, the region and the endpoint; it may also have been done."
    return TemporaryError(f"AWS did not answer {operation} ({name}).", advice)


def error_code(error: Exception) -> str | None:
    """Return the code of an answer that is an error, or None where there was no answer."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    return str(response.get("Error", {}).get("Code", "no code"))


def _answered(operation: str, code: str, error: Exception) -> VigilesError:
    response: dict[str, Any] = getattr(error, "response", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLED or status == _TOO_MANY_STATUS:
        return ThrottledError(f"AWS throttles {operation} ({code}).", "Run fewer rotations at a time.")
    if code in _UNKNOWN_KEY:
        return DeniedError(f"AWS does not accept the key that asks for {operation} ({code}).", "Renew the credentials.")
    if code in _DENIED or status in _DENIED_STATUS:
        return DeniedError(f"AWS denies {operation} ({code}).", "Grant the action in IAM, and the use of the KMS key.")
    if code in _PASSING or status >= _SERVER_STATUS:
        return TemporaryError(f"AWS failed at {operation} ({code}).", "Run again; it may also have been done.")
    return PermanentError(f"AWS refuses {operation} ({code}).", "Look the code up in AWS's reference of that call.")


def _load(slug: str) -> Any:
    try:
        kind = import_module("prefect_aws.credentials").AwsCredentials
    except ImportError:
        raise PermanentError(
            "prefect-aws, which talks to AWS, is not installed.", "Install it: pip install 'vigiles[aws]'"
        ) from None
    return load_block(slug, kind, "Save an AWS Credentials block of that name.")
