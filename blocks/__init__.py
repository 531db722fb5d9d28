"""What Vigiles connects to, and what it is told to want. Importing this registers every block with Prefect."""

from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.policies.access import AccessPolicy
from blocks.policies.placement import PlacementPolicy
from blocks.policies.retention import RetentionPolicy
from blocks.policies.rotation import RotationPolicy
from blocks.rotation_targets.aws_iam_user import AwsIamUser
from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.rotation_targets.redis_user import RedisUser
from blocks.secret_stores.aws_parameter_store import AwsParameterStore
from blocks.secret_stores.aws_secrets_manager import AwsSecretsManagerStore
from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore
from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.gcp_secret_manager import GcpSecretManagerStore
from blocks.secret_stores.prefect_secret import PrefectSecretStore
from blocks.secret_stores.vault_kv import VaultKvStore

__all__ = [
    "AccessPolicy",
    "AwsIamUser",
    "AwsParameterStore",
    "AwsSecretsManagerStore",
    "AzureKeyVaultStore",
    "EnvFileStore",
    "GcpSecretManagerStore",
    "PlacementPolicy",
    "PostgresRole",
    "PrefectSecretStore",
    "PrefectServerDirectory",
    "RedisUser",
    "RetentionPolicy",
    "RotationPolicy",
    "VaultKvStore",
]
