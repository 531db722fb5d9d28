"""What an error of HashiCorp Vault's or OpenBao's client means, in our words: its own text may hold a value."""

from importlib import import_module
from typing import Any

from blocks.secret_stores.interface import ConflictError, DeniedError, SupersededError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

RECORD = "write the record "
"""How an operation begins whose conflict means that another run was faster."""

_MISMATCH = "check-and-set parameter did not match"
_UPGRADING = "Upgrading from non-versioned"
_BUSY = (TemporaryError, "failed in the server", "Run again later.")
_ANSWERS: dict[str, tuple[type[VigilesError], str, str]] = {
    "Forbidden": (DeniedError, "was denied", "Check the login, and grant it in a policy of the token or role."),
    "Unauthorized": (DeniedError, "was denied", "Check the login, and grant it in a policy of the token or role."),
    "RateLimitExceeded": (ThrottledError, "met a rate limit quota", "Run again later, or raise the quota."),
    "VaultDown": (TemporaryError, "failed: the server is not available", "Run again when it is."),
    "InvalidPath": (PermanentError, "found nothing there", "Check the block's address, namespace and mount."),
    "InvalidRequest": (PermanentError, "was refused as invalid", "Look at the server's log for the reason."),
    "ParamValidationError": (PermanentError, "was refused by hvac as invalid", "Check the block's fields."),
}


def explained(operation: str, error: Exception) -> VigilesError:
    """Return our error for one that hvac or requests raised in an operation; never with its text."""
    kinds, wire = import_module("hvac.exceptions"), import_module("requests.exceptions")
    if isinstance(error, kinds.VaultError):
        family, problem, advice = _answer(operation, error)
    elif isinstance(error, wire.SSLError):
        family, problem = PermanentError, "failed: the server's certificate is not trusted"
        advice = "Give the block `ca_file`, or correct its address."
    elif isinstance(error, wire.Timeout | wire.ConnectionError | wire.ChunkedEncodingError):
        family, problem = TemporaryError, "got no answer"
        advice = "Check that the server runs and can be reached from here."
    elif isinstance(error, OSError):
        family, problem = PermanentError, "failed"
        advice = "Check the files that the block names, and its address."
    else:
        family, problem = PermanentError, "got an answer that is not the server's"
        advice = "Check what answers at the block's address."
    return family(f"The attempt to {operation} {problem} ({type(error).__name__}).", advice)


def _answer(operation: str, error: Any) -> tuple[type[VigilesError], str, str]:
    words = " ".join(error.errors or ())
    if _MISMATCH in words and operation.startswith(RECORD):
        return (SupersededError, "came too late: another run has written it", "Run again when that one has ended.")
    if _MISMATCH in words:
        return (ConflictError, "was refused: somebody has changed the secret", "See who, then run again.")
    if "is sealed" in words:
        return (TemporaryError, "failed: the server is sealed", "Unseal it, then run again.")
    if _UPGRADING in words:
        return _BUSY
    if operation.startswith("log in") and type(error).__name__ == "InvalidRequest":
        return (DeniedError, "was refused", "Check the block's role and secret id, or give it new ones.")
    return _ANSWERS.get(type(error).__name__, _BUSY)
