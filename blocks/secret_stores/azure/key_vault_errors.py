"""What an error of the Key Vault client means; nothing of its text is passed on, which may quote a request."""

import re
from importlib import import_module
from typing import Any

from blocks.secret_stores.interface import DeniedError, SupersededError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

_TIMED_OUT, _CONFLICT, _THROTTLED, _BROKEN = 408, 409, 429, 500
_REFUSED = (401, 403)
_UNDER_WAY = ("ObjectIsBeingDeleted", "ObjectIsBeingRecovered")


def translated(operation: str, error: Exception) -> VigilesError:
    """Return our error for one that azure-keyvault-secrets or azure-identity raised in an operation."""
    azure: Any = import_module("azure.core.exceptions")
    if isinstance(error, azure.HttpResponseError) and error.status_code:
        return _answered(operation, int(error.status_code), _inner_code(error))
    if isinstance(error, azure.ClientAuthenticationError):
        advice = "Give the block a service principal, or the machine an identity that DefaultAzureCredential finds."
        return DeniedError(f"No token for Key Vault could be had for {operation}.", advice)
    if isinstance(error, azure.ServiceRequestError | azure.ServiceResponseError):
        advice = "See that the vault's name is right and that its network lets this machine in."
        return TemporaryError(f"Key Vault did not answer {operation} ({type(error).__name__}).", advice)
    advice = "See that the URL is that of a vault, and which versions of the azure packages are installed."
    return PermanentError(f"{operation} failed ({type(error).__name__}).", advice)


def superseded(secret: str) -> SupersededError:
    """Return the error for an epoch that another run has, or a record that is not what was loaded or written."""
    message = f"Another run has claimed {secret}, or is claiming it."
    return SupersededError(message, "Run again when it has ended; one that died is overtaken within two minutes.")


def deleted(url: str) -> PermanentError:
    """Return the error for a secret whose name is taken by a deleted one."""
    return PermanentError(f"{url} is deleted but not purged.", f"Run: az keyvault secret recover --id {url}")


def _answered(operation: str, status: int, inner: str) -> VigilesError:
    said = f"Key Vault answered {operation} with {status}" + (f" ({inner})." if inner else ".")
    if inner == "SecretDisabled":
        return PermanentError(f"{said} The version is disabled.", "Enable it, or set a new version.")
    if status in _REFUSED:
        advice = "Grant the credential secrets get, list and set, and let the vault's network rules let it in."
        return DeniedError(said, advice)
    if status == _THROTTLED:
        return ThrottledError(said, "Lower the concurrency, or spread the secrets over several vaults.")
    if status == _TIMED_OUT or status >= _BROKEN or inner in _UNDER_WAY:
        return TemporaryError(said, "Run again later.")
    if status == _CONFLICT:
        return PermanentError(f"{said} A secret of that name is deleted but not purged.", "Recover it, or purge it.")
    return PermanentError(said, "See that the vault holds what the policy names.")


def _inner_code(error: Any) -> str:
    """Return the code within the code, which is what tells a disabled secret from a missing right."""
    told = getattr(error, "error", None)
    inner = getattr(told, "inner_error", None) or getattr(told, "innererror", None) or {}
    code = inner.get("code") if isinstance(inner, dict) else getattr(inner, "code", None)
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,64}", code) else ""
