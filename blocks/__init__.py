"""What Vigiles connects to, and what it is told to want. Importing this registers every block with Prefect."""

from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.policies.access import AccessPolicy
from blocks.policies.placement import PlacementPolicy
from blocks.policies.retention import RetentionPolicy
from blocks.policies.rotation import RotationPolicy
from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores.env_file import EnvFileStore

__all__ = [
    "AccessPolicy",
    "EnvFileStore",
    "PlacementPolicy",
    "PostgresRole",
    "PrefectServerDirectory",
    "RetentionPolicy",
    "RotationPolicy",
]
