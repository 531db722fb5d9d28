"""The client of one key vault."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, cast

from rules.errors import PermanentError

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

_SECONDS = 5
"""For the connection, and for each answer."""


def new_client(vault_url: str, tenant_id: str | None, client_id: str | None, secret: str | None) -> "SecretClient":
    """Return a client that makes each call once; nothing is sent yet.

    Args:
        vault_url: URL of the vault.
        tenant_id: directory of the service principal.
        client_id: application id of the service principal.
        secret: its secret; None for the credential that azure-identity finds on the machine.

    Raises:
        PermanentError: if the packages for it are not installed.
    """
    try:
        identity, secrets = import_module("azure.identity"), import_module("azure.keyvault.secrets")
    except ImportError:
        secrets = None
    if secrets is None:
        raise PermanentError("The packages for Azure Key Vault are not installed.", "pip install 'vigiles[azure]'")
    if secret is None:
        credential = identity.DefaultAzureCredential()
    else:
        credential = identity.ClientSecretCredential(tenant_id, client_id, secret)
    # It would tell each call with its headers, by the thousand.
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    # Retries are the run's: it has to look first what a lost call did.
    client = secrets.SecretClient(
        vault_url, credential, retry_total=0, connection_timeout=_SECONDS, read_timeout=_SECONDS
    )
    return cast("SecretClient", client)
